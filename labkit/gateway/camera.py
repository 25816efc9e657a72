"""A camera: a vision process gives counts, the gateway publishes them and says when they are old."""

from __future__ import annotations

import time
from collections.abc import Mapping

from labkit import homie
from labkit.gateway.board import Board
from labkit.gateway.mailbox import Item, Told
from labkit.gateway.worker import Worker, log
from labkit.lab import LabDevice
from labkit.links import VisionProcess
from labkit.model import Affordance, Profile, State, Title, Value

RESTART_S = (1.0, 2.0, 5.0, 10.0)
REPORT_GAP_S = 0.25


class Camera(Worker):
    """One camera; nothing but numbers leaves its vision process."""

    def __init__(self, device: LabDevice, board: Board) -> None:
        super().__init__(device, board)
        self._vision: VisionProcess | None = None
        self._failures = 0
        self._restart_at = 0.0
        self._frame_at: float | None = None
        self._stale = True
        self._frames = 0
        self._frames_before = 0

    @property
    def vision_pid(self) -> int | None:
        """The vision process's id."""
        return self._vision.pid if self._vision else None

    def begin(self) -> None:
        """No frame yet."""
        self.publish("stale", True)

    def handle(self, item: Item) -> None:
        """Lines and the end of the vision process."""
        if not isinstance(item, Told) or item.source is not self._vision:
            return
        if "exit" in item.note:
            self._exited(item.note["exit"])
        elif "refused" in item.note:
            self.noise(f"vision: {item.note['refused']}")
        elif "error" in item.note:
            self._trouble(item.note)
        else:
            self._frame(item.note)

    def tick(self, now: float) -> None:
        """Start the process when it is time, and tell when frames stop."""
        if self._vision is None and now >= self._restart_at:
            self._open()
        old = self._frame_at is None or now - self._frame_at > self.device.profile.stale_after_s
        if old and not self._stale:
            self._stale = True
            self.publish("stale", True)
            self.alert("stale", Title("画面已停止更新", "the picture no longer changes"))

    def end(self) -> None:
        """End the vision process."""
        if self._vision:
            self._vision.close()
        self.become(State.DISCONNECTED)

    def _open(self) -> None:
        vision = VisionProcess(
            lambda line: self._keep(Told(line, vision)),
            lambda reason: self._keep(Told({"refused": reason}, vision)),
            lambda code: self._keep(Told({"exit": code}, vision)),
        )
        self._vision = vision
        self.become(State.INIT)
        vision.open(self.device.url, self.device.fps, self.device.look, self.device.share)

    def _keep(self, item: Item) -> None:
        if not self.mailbox.put(item):
            log.error("%s: its queue is full, a line was dropped", self.device.id)

    def _exited(self, code: object) -> None:
        wait = RESTART_S[min(self._failures, len(RESTART_S) - 1)]
        self._failures += 1
        self._frames_before = self._frames
        self._vision, self._restart_at = None, time.monotonic() + wait
        log.warning("%s: its vision process ended (%s), again in %g s", self.device.id, code, wait)
        self.alert("camera", Title("摄像头打不开或已断开", "the camera cannot be opened or is gone"))
        self.become(State.LOST)

    def _trouble(self, note: dict[str, object]) -> None:
        """The process tells why it has no picture, and keeps trying."""
        zh, en = str(note.get("message", note["error"])), str(note.get("message_en", note["error"]))
        self.noise(f"vision: {en}")
        self.alert("camera", Title(zh, en))
        if self._stale:
            self.become(State.LOST)

    def _frame(self, line: dict[str, object]) -> None:
        self._frame_at = time.monotonic()
        self.health.heard(self._frame_at)
        self._failures = 0
        number = line.get("frame")
        if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
            self._frames = self._frames_before + number
            line = line | {"frame": self._frames}
        given, refused = readings(self.device.profile, line)
        for name, value in given.items():
            if homie.property_id(name) in self._properties:
                self.publish(name, value, REPORT_GAP_S)
        for reason in refused:
            self.noise(f"vision: {reason}")
        if self._stale:
            self._stale = False
            self.health.connected()
            self.publish("stale", False)
            self.calm("stale")
            self.calm("camera")
            self.become(State.READY)


def readings(profile: Profile, line: Mapping[str, object]) -> tuple[dict[str, Value], list[str]]:
    """A line of the vision process as readings by property, and why the rest of it is none."""
    given: dict[str, Value] = {}
    refused: list[str] = []
    for affordance in profile.properties.values():
        name = affordance.forms[0].href.removeprefix("vision:")
        if name in line:
            value = _fitting(affordance, line[name])
            if value is None:
                refused.append(f"{name} is no {affordance.type}")
            else:
                given[affordance.id] = value
    return given, refused


def _fitting(affordance: Affordance, value: object) -> Value | None:
    """The value as the property's type; None when it is of another."""
    if affordance.type == "integer":
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if affordance.type == "number" and isinstance(value, (int, float)) and not isinstance(value, bool):
        digits = affordance.forms[0].round
        return round(float(value), digits) if digits is not None else float(value)
    if affordance.type == "boolean":
        return value if isinstance(value, bool) else None
    return value if affordance.type == "object" and isinstance(value, dict) else None
