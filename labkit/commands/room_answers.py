"""What the gateways of a room answer to its stop: a room may have several, each for its own robots."""

from __future__ import annotations

import json
from typing import Any

from labkit import homie
from labkit.errors import Malformed
from labkit.links import Message
from labkit.model import Kind, State

SILENT = {"reason": "网关没有回应", "reason_en": "its gateway does not answer", "code": "no_gateway"}


class RoomAnswers:
    """Gathers the answers to one stop, and which robots there are; ``complete`` once somebody has spoken for each of them."""

    def __init__(self, room: str, stop_id: str) -> None:
        self._room, self._id = room, stop_id
        self._robots: dict[str, str] = {}
        self._off: set[str] = set()
        self._confirmed: set[str] = set()
        self._unconfirmed: dict[str, dict[str, Any]] = {}
        self.answered = False

    def take(self, message: Message) -> None:
        """Note one message; what cannot be read is no answer."""
        levels = message.topic.split("/")
        try:
            if levels[-1] == "devices":
                for row in json.loads(message.payload or b"[]"):
                    if isinstance(row, dict) and (row.get("room"), row.get("kind")) == (self._room, Kind.ROBOT.value):
                        self._robots[str(row.get("device"))] = str(row.get("sticker", ""))
            elif levels[-1] == "$state":
                gone = message.payload in (b"", State.DISCONNECTED.value.encode())
                (self._off.add if gone else self._off.discard)(levels[2])
            elif levels[-1] == "stopped":
                self._answer(homie.parse_json_object(message.payload))
        except (Malformed, ValueError, TypeError):
            return

    def _answer(self, report: dict[str, Any]) -> None:
        confirmed, unconfirmed = report.get("confirmed"), report.get("unconfirmed")
        if report.get("id") != self._id or not isinstance(confirmed, list) or not isinstance(unconfirmed, list):
            return
        self.answered = True
        self._confirmed |= {str(device) for device in confirmed}
        self._unconfirmed |= {
            str(row["device"]): row for row in unconfirmed if isinstance(row, dict) and "device" in row
        }

    def _silent(self) -> list[str]:
        return [d for d in self._robots if d not in self._off | self._confirmed | self._unconfirmed.keys()]

    @property
    def complete(self) -> bool:
        """Whether nobody is left to answer."""
        return self.answered and not self._silent()

    def report(self) -> dict[str, Any]:
        """All answers as one; robots that no gateway speaks for are not confirmed."""
        rows = [row for device, row in self._unconfirmed.items() if device not in self._confirmed]
        rows += [{"device": device, "sticker": self._robots[device], **SILENT} for device in self._silent()]
        return {"id": self._id, "confirmed": sorted(self._confirmed), "unconfirmed": rows}
