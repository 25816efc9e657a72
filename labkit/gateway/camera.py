"""A camera: a vision process gives counts, the gateway publishes them and says when they are old.

Asked by the school's server (nobody else may say it) on ``zhike/room/<room>/camera/<device>/preview`` with ``{"until"}`` or on ``…/record`` with
``{"id", "until", "permit"}``, ``{"id", "stop": true}`` or ``{"id", "erase": true}``. A preview goes out on ``zhike/room/<room>/preview/<device>``, not
retained, and everybody in the room reads ``watched`` and ``recording`` of the camera.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from labkit import homie
from labkit.camera_orders import LONGEST_PREVIEW_S, preview_topic
from labkit.errors import LabkitError, Malformed
from labkit.gateway.board import Board
from labkit.gateway.mailbox import Item, Told
from labkit.gateway.recordings import Recordings
from labkit.gateway.worker import Worker, log, to_json
from labkit.lab import LabDevice
from labkit.links import Message, VisionProcess
from labkit.model import Affordance, Profile, State, Title, Value
from labkit.recording import NotPermitted, allowed, read_permit

RESTART_S = (1.0, 2.0, 5.0, 10.0)
REPORT_GAP_S = 0.25
WATCHED, RECORDING = "watched", "recording"


class Camera(Worker):
    """One camera; nothing but numbers leaves its vision process, unless a preview in squares is asked for.

    It records only where ``recordings`` is given, ``lab.yaml`` says ``record: true`` and a permit covers room and time.
    """

    def __init__(self, device: LabDevice, board: Board, recordings: Recordings | None = None) -> None:
        super().__init__(device, board)
        self._recordings = recordings
        self._watched_until = 0.0
        self._recording = ""
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
        """No frame yet, nobody looks."""
        self.publish("stale", True)
        self._show(WATCHED, False)
        self._show(RECORDING, False)

    def ordered(self, room: str, what: str, message: Message, now: datetime) -> None:
        """An order of the server, called by the router; raises Malformed for one that cannot be read. ``now``: aware UTC."""
        if message.retained:
            raise Malformed("摄像头命令不能是保留消息", "an order to a camera must not be retained")
        if room != self.device.room:
            raise Malformed(f"{self.device.id} 不在 {room}", f"{self.device.id} is not in {room}")
        order = homie.parse_json_object(message.payload)
        if what == "preview":
            seconds = (_moment(order) - now).total_seconds()
            self._keep(Told({"preview_s": min(max(seconds, 0.0), LONGEST_PREVIEW_S)}, self))
        elif what == "record":
            self._keep(Told({"record": order}, self))

    def handle(self, item: Item) -> None:
        """Orders; lines and the end of the vision process."""
        if isinstance(item, Told) and item.source is self:
            self._obey(item.note)
            return
        if not isinstance(item, Told) or item.source is not self._vision:
            return
        if "preview" in item.note:
            self._preview(item.note)
        elif "recording" in item.note:
            self._recorded(item.note)
        elif "exit" in item.note:
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
        if self._watched_until and now >= self._watched_until:
            self._watched_until = 0.0
            self._show(WATCHED, False)
        old = self._frame_at is None or now - self._frame_at > self.device.profile.stale_after_s
        if old and not self._stale:
            self._stale = True
            self.publish("stale", True)
            self.alert("stale", Title("画面已停止更新", "the picture no longer changes"))

    def end(self) -> None:
        """End the vision process."""
        if self._vision:
            self._vision.close()
        self._end_recording()
        self.become(State.DISCONNECTED)

    def _obey(self, note: Mapping[str, object]) -> None:
        seconds = note.get("preview_s")
        if isinstance(seconds, float):
            self._watched_until = time.monotonic() + seconds
            # The sign first, then the picture.
            self._show(WATCHED, seconds > 0)
            if self._vision:
                self._vision.order({"preview_s": seconds})
            return
        order, now = note.get("record"), datetime.now(UTC)
        assert isinstance(order, dict)
        number = str(order.get("id", ""))
        try:
            self._take_order(number, order, now)
        except LabkitError as error:
            self._refuse_recording(number, error, now)
        except OSError as error:
            zh, en = f"网关电脑的硬盘出错：{error.strerror}", f"the gateway's disk fails: {error.strerror}"
            self._refuse_recording(number, LabkitError("disk", zh, en), now)

    def _take_order(self, number: str, order: Mapping[str, object], now: datetime) -> None:
        if order.get("erase") is True:
            if self._recordings:
                self._recordings.erase(number, now)
        elif order.get("stop") is True:
            if number == self._recording and self._vision:
                self._vision.order({"record": None})
        elif self._recordings is None or not self._recordings.knows(number):  # an order that comes twice is one
            self._record(number, order, now)

    def _record(self, number: str, order: Mapping[str, object], now: datetime) -> None:
        """Let the vision process record; raises NotPermitted or Malformed with the reason."""
        if not self.device.record or self._recordings is None:
            raise NotPermitted(
                "off",
                "这台摄像头没有打开录像（lab.yaml 里的 record）",
                "recording is off for this camera (record in lab.yaml)",
            )
        permit = read_permit(order.get("permit"))
        allowed(permit, self.device.room, now)
        if self._recording:
            raise NotPermitted("busy", "这台摄像头正在录像", "this camera is recording already")
        if self._vision is None or self._stale:
            raise NotPermitted("camera", "摄像头没有画面，不能录像", "the camera gives no picture")
        until = _moment(order)
        file = self._recordings.begin(number, self.device.id, self.device.room, permit, now)
        self._recording = number
        self._show(RECORDING, True)
        wish = {"id": number, "file": str(file), "room": self.device.room, "until": until.isoformat()}
        self._vision.order({"record": wish | {"permit": permit.to_json()}})

    def _refuse_recording(self, number: str, error: LabkitError, now: datetime) -> None:
        log.warning("%s: recording refused: %s", self.device.id, error.en)
        if self._recordings:
            self._recordings.refuse(number, self.device.id, self.device.room, error, now)
        if number == self._recording:
            self._recording = ""
            self._show(RECORDING, False)

    def _recorded(self, note: Mapping[str, object]) -> None:
        """The vision process tells how its recording goes."""
        number, state = str(note["recording"]), note.get("state")
        if state == "refused":
            error = LabkitError(str(note.get("code")), str(note.get("message")), str(note.get("message_en")))
            self._refuse_recording(number, error, datetime.now(UTC))
        elif state == "ended" and number == self._recording:
            self._end_recording()

    def _end_recording(self) -> None:
        if self._recording and self._recordings:
            self._recordings.ended(self._recording, datetime.now(UTC))
            self._recording = ""
            self._show(RECORDING, False)

    def _preview(self, note: Mapping[str, object]) -> None:
        """Hand a picture in squares on while it is asked for."""
        if time.monotonic() < self._watched_until:
            picture = {"at": note.get("at"), "jpeg": note["preview"]}
            self._board.event(preview_topic(self.device.room, self.device.id), to_json(picture))

    def _show(self, name: str, value: bool) -> None:
        """Tell the room, where the camera's profile has the sign."""
        if name in self._properties:
            self.publish(name, value)

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
        self._end_recording()
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


def _moment(order: Mapping[str, object]) -> datetime:
    """The order's ``until``; raises Malformed."""
    try:
        until = datetime.fromisoformat(str(order["until"]))
    except (KeyError, ValueError) as error:
        raise Malformed("摄像头命令没有结束时间", "an order to a camera needs its end (until)") from error
    if until.tzinfo is None:
        raise Malformed("结束时间要带时区", "until needs a time zone")
    return until


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
