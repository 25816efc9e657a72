"""The emergency stop of a room: every robot told at once, and a list of those that did not prove it, within 2 s.

The report: ``{"id", "confirmed": [device], "unconfirmed": [{"device", "sticker", "reason", "reason_en", "code"}], "at", "gateway"}``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labkit.errors import Malformed
from labkit.gateway.mailbox import StopOrder
from labkit.gateway.worker import REASONS, Worker
from labkit.homie import parse_json_object

log = logging.getLogger("labkit.gateway")
PATIENCE_S = 1.6


@dataclass(frozen=True)
class RoomStop:
    """One stop: its id and the robots, and whatever else must be switched off, that it is for; ``named``: it names its devices."""

    id: str
    robots: tuple[Worker, ...]
    named: bool = False

    @classmethod
    def read(cls, payload: bytes, robots: Sequence[Worker]) -> RoomStop:
        """Read ``{"id", "by", "at", "devices"?}``.

        A stop that cannot be read stops all robots of the room: a broken message must not keep one running.
        """
        try:
            data = parse_json_object(payload)
        except Malformed as error:
            log.warning("a stop that cannot be read (%s): stopping the whole room", error.en)
            return cls("", tuple(robots))
        named = data.get("devices")
        if not isinstance(named, list):
            return cls(str(data.get("id", "")), tuple(robots))
        return cls(str(data.get("id", "")), tuple(r for r in robots if r.device.id in named), True)

    def carry_out(self, report: Callable[[dict[str, object]], None]) -> None:
        """Tell every robot now; ``report`` gets the outcome from a thread of its own, at the latest after 1.6 s."""
        orders = [(robot, StopOrder(f"room stop {self.id}")) for robot in self.robots]
        for robot, order in orders:
            robot.mailbox.put(order)
        threading.Thread(target=self._watch, args=(orders, report), name="room stop", daemon=True).start()

    def _watch(self, orders: list[tuple[Worker, StopOrder]], report: Callable[[dict[str, object]], None]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        confirmed: list[str] = []
        unconfirmed: list[dict[str, str]] = []
        for robot, order in orders:
            order.done.wait(max(0.0, deadline - time.monotonic()))
            order.settle("no_answer")
            if not order.failure:
                confirmed.append(robot.device.id)
                continue
            why = REASONS[order.failure]
            unconfirmed.append(
                {
                    "device": robot.device.id,
                    "sticker": robot.device.sticker,
                    "reason": why.zh,
                    "reason_en": why.en,
                    "code": order.failure,
                }
            )
        report({"id": self.id, "confirmed": confirmed, "unconfirmed": unconfirmed})
