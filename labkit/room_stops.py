"""What a client that drives hears of emergency stops (急停): the order itself, Homie's broadcast of it, and the gateways' report."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from labkit import homie
from labkit.errors import Malformed
from labkit.links import Message

BROADCAST = f"{homie.BASE}/$broadcast/stop"
TOPICS = (f"{BROADCAST}/+", "zhike/room/+/stop", "zhike/room/+/stopped")
REMEMBERED = 50


@dataclass(frozen=True)
class Stop:
    """A room stands; ``devices`` where only some of it were told to (None = all)."""

    room: str
    devices: frozenset[str] | None = None

    def is_for(self, device: str, room: str) -> bool:
        """Whether it stops this device; one whose room nobody knows ("") stands too."""
        return room in ("", self.room) and (self.devices is None or device in self.devices)


class RoomStops:
    """Tells each stop once, by whichever of the three messages comes first."""

    def __init__(self) -> None:
        self._known: deque[str] = deque(maxlen=REMEMBERED)

    def take(self, message: Message) -> Stop | None:
        """The stop that a message brings news of. An order that cannot be read stops the whole room, as at the gateway."""
        levels = message.topic.split("/")
        spoken = message.topic.startswith(f"{BROADCAST}/")
        if message.retained or not (
            spoken or (levels[:2] == ["zhike", "room"] and levels[3:] in (["stop"], ["stopped"]))
        ):
            return None
        room, stop_id, devices = levels[-1] if spoken else levels[2], "", None
        if spoken:
            stop_id = message.payload.decode("utf-8", "replace")
        else:
            try:
                data = homie.parse_json_object(message.payload)
            except Malformed:
                data = {}
            stop_id = str(data.get("id", ""))
            devices = _named(data) if levels[3] == "stop" else _told(data)
        if stop_id and stop_id in self._known:
            return None
        self._known.append(stop_id)
        return Stop(room, devices)


def _named(order: dict[str, object]) -> frozenset[str] | None:
    devices = order.get("devices")
    return frozenset(map(str, devices)) if isinstance(devices, list) else None


def _told(report: dict[str, object]) -> frozenset[str]:
    confirmed, unconfirmed = report.get("confirmed"), report.get("unconfirmed")
    rows = unconfirmed if isinstance(unconfirmed, list) else []
    return frozenset(map(str, confirmed if isinstance(confirmed, list) else [])) | {
        str(row.get("device")) for row in rows if isinstance(row, dict)
    }
