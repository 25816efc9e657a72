"""Drive the lab's robots from a notebook: ``import labkit``, ``with labkit.lab() as lab, lab.robot("07") as r: r.drive(0.2)``.

A robot drives only inside its ``with`` block and stands when the block is left, however that happens. While a drive goes on,
this process repeats it; when the process dies the gateway ends the drive within the robot's lease (at most 0.5 s).
An emergency stop of the room ends the drive and the program's turn: what comes next raises ``stopped``.
See ``docs/how-to/python-api.md``.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from labkit import homie
from labkit.errors import LabkitError, Malformed
from labkit.gateway import face
from labkit.homie import Part
from labkit.lease import HANDS_OFF
from labkit.links import DEFAULT_BROKER, Broker, BrokerAddress, Message
from labkit.model import MAIN_NODE, Device, Property, State, Value
from labkit.room_stops import TOPICS, RoomStops

REPEAT_S = 0.2
LONGEST_DRIVE_S = 10.0
CONNECT_S = 5.0
LOOK_S = 2.0
LIST_S = 0.5
STOP_S = 2.0
READ_S = 3.0
REFUSED_S = 0.6
LOOKS = ("homie/5/+/$description", "homie/5/+/$state", "zhike/gateway/+/devices", *TOPICS)
GONE = (State.LOST, State.DISCONNECTED)
STATES = {
    State.INIT: "正在启动，请稍等",
    State.LOST: "失去连接：请检查电源、线和网络",
    State.DISCONNECTED: "没有连接：请插好线，打开电源",
    State.SLEEPING: "在睡眠：请按一下电源键",
}


class RobotError(LabkitError):
    """What a robot cannot do now.

    ``code`` is no_robot, not_ready, not_in_block, too_fast, no_property, no_reading, wrong_value, not_stopped, stopped, held, held-by
    or another word of the gateway for its refusal.
    """


@dataclass(frozen=True)
class Reading:
    """The newest value of a property and when it came (monotonic seconds); ``live`` = after we began to listen."""

    value: Value
    at: float
    live: bool


@dataclass(frozen=True)
class Row:
    """A device in a gateway's list; "" = unknown."""

    sticker: str = ""
    room: str = ""
    gateway: str = ""


class Robot:
    """One robot; made by `Lab.robot`. ``id`` is its Homie id, ``sticker`` the number on its roof ("" = none)."""

    def __init__(self, lab: Lab, device: Device, row: Row) -> None:
        self.id, self.sticker, self.name = device.id, row.sticker, device.name
        self.room, self.gateway = row.room, row.gateway
        self._lab, self._device = lab, device
        self._trouble: RobotError | None = None
        self._stopped_at = float("-inf")
        self._motion: tuple[float, float] | None = None
        self._until = 0.0
        self._driver: threading.Thread | None = None
        self._change = threading.Condition()
        self._inside = False

    def __repr__(self) -> str:
        return f"<小车 {self.sticker or self.id}：{self.name}>"

    def __enter__(self) -> Robot:
        self._lab.check_ready(self)
        with self._change:
            if time.monotonic() - self._stopped_at >= HANDS_OFF.total_seconds():
                self._trouble = None
        self._check_trouble()
        self._inside = True
        self._driver = threading.Thread(target=self._repeat, name=f"drive {self.id}", daemon=True)
        self._driver.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._change:
            self._inside = False
            self._change.notify_all()
        if self._driver:
            self._driver.join(REPEAT_S * 5)
        try:
            self.stop()
        except LabkitError as not_stopped:
            if error is None:
                raise
            error.add_note(str(not_stopped))

    @property
    def state(self) -> str:
        """``ready``, ``init``, ``lost``, ``disconnected`` or ``sleeping``."""
        return self._lab.state(self._device).value

    @property
    def properties(self) -> list[str]:
        """Names that `read` knows."""
        return [item.id.replace("-", "_") for item in self._items() if item.retained]

    def drive(self, linear: float, angular: float = 0.0, seconds: float | None = None) -> None:
        """Drive at ``linear`` m/s and ``angular`` rad/s (left turn positive).

        With ``seconds`` (0–10) it waits and stops; without, it goes on until `stop`, the next `drive` or the end of the block,
        at most 10 s. Raises RobotError: too_fast, not_ready, not_in_block, stopped, held, held-by.
        """
        self._check_trouble()
        if not self._inside:
            raise RobotError(
                "not_in_block",
                f'请写在 with lab.robot("{self.sticker or self.id}") as r: 里面，离开时才会自动停车',
                "drive inside a with block, so that the robot stops at its end",
            )
        self._check_speed(face.LINEAR, linear, "米/秒", "m/s")
        self._check_speed(face.ANGULAR, angular, "弧度/秒", "rad/s")
        if seconds is not None and not 0 < seconds <= LONGEST_DRIVE_S:
            raise RobotError("wrong_value", f"seconds 应在 0 到 {LONGEST_DRIVE_S:g} 之间", "seconds should be 0 to 10")
        self._lab.check_ready(self)
        with self._change:
            self._motion = (float(linear), float(angular))
            self._until = time.monotonic() + (LONGEST_DRIVE_S if seconds is None else seconds)
            self._change.notify_all()
        if seconds is not None:
            self.wait(seconds)
            self.stop()

    def wait(self, seconds: float) -> None:
        """Let the robot go on for a while; an emergency stop or the gateway's refusal ends it at once, as RobotError."""
        with self._change:
            self._change.wait_for(lambda: self._trouble is not None, seconds)
        self._check_trouble()
        self._lab.check_ready(self)

    def stop(self) -> None:
        """Stop and wait until the robot itself has said so; raises RobotError not_stopped: lift it."""
        with self._change:
            self._motion = None
        if not self._lab.stop_and_prove(self._device):
            name = self.sticker or self.id
            raise RobotError(
                "not_stopped", f"{name} 号没有确认停止，请马上拿起来", f"{name} did not confirm its stop: lift it now"
            )

    def read(self, name: str, timeout_s: float = READ_S) -> Value:
        """The newest reading of a property such as ``range`` (cm), waited for if none has come yet; raises RobotError."""
        self._check_trouble()
        return self._lab.reading(self, self._item(name), timeout_s)

    def readings(self) -> dict[str, Value]:
        """All readings that have come so far."""
        known = self._lab.known(self.id)
        return {key.replace("-", "_"): reading.value for key, reading in known.items()}

    def set(self, name: str, value: Value) -> None:
        """Set one of the robot's own settable properties, such as a light; raises RobotError."""
        self._check_trouble()
        item = self._item(name)
        if not item.settable or item.id in (face.LINEAR, face.ANGULAR, face.STOP):
            raise RobotError("wrong_value", f"{name} 不能这样设置", f"{name} cannot be set like this")
        try:
            payload = homie.encode(item, value)
        except Malformed as error:
            raise RobotError("wrong_value", error.zh, error.en) from error
        self._lab.order(self.id, item.id, payload)

    def identify(self) -> None:
        """Blink or beep, to be found on the table."""
        self._lab.order(self.id, face.IDENTIFY, b"identify")

    def halt(self) -> None:
        """An emergency stop: drop the motion now and tell the program; called from the network's thread."""
        name = self.sticker or self.id
        self._stopped_at = time.monotonic()
        self.refused(
            RobotError(
                "stopped",
                f"老师按了急停，{name} 号已停：可以继续时，请重新运行程序",
                f"emergency stop: {name} stands; run the program again when you may",
            )
        )

    def refused(self, why: RobotError) -> None:
        """What was asked is not done: drop the motion, tell the program at its next word."""
        with self._change:
            self._motion = None
            if self._trouble is None or why.code == "stopped":
                self._trouble = why
            self._change.notify_all()

    def _check_trouble(self) -> None:
        trouble = self._trouble
        if trouble is not None:
            raise RobotError(trouble.code, trouble.zh, trouble.en)

    def _items(self) -> tuple[Property, ...]:
        node = self._device.node(MAIN_NODE)
        return node.properties if node else ()

    def _item(self, name: str) -> Property:
        item = self._device.property(MAIN_NODE, homie.property_id(name))
        if item is None:
            names = "、".join(self.properties)
            raise RobotError(
                "no_property", f"{self.name}没有 {name}；有：{names}", f"{self.id} has no {name}; it has: {names}"
            )
        return item

    def _check_speed(self, property_id: str, value: float, zh: str, en: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RobotError("wrong_value", f"速度应是数，不是 {value!r}", f"a speed is a number, not {value!r}")
        item = self._item(property_id)
        try:
            homie.encode(item, float(value))
        except Malformed as error:
            low, _, high = item.format.partition(":")
            raise RobotError(
                "too_fast", f"速度应在 {low} 到 {high} {zh}之间，不是 {value}", f"{low} to {high} {en}, not {value}"
            ) from error

    def _repeat(self) -> None:
        """Repeat the drive until the block ends: without a new word the gateway ends it."""
        while True:
            with self._change:
                if not self._inside:
                    return
                motion = self._motion
                if motion and time.monotonic() >= self._until:
                    self._motion = motion = None
                    self._lab.order(self.id, face.STOP, b"stop")
                if motion:
                    self._lab.steer(self.id, self.gateway, *motion)
                self._change.wait(REPEAT_S if motion else 1.0)


class Lab:
    """The devices on one broker; use it as ``with labkit.lab() as lab:``. ``seat`` is the terminal (``t-…``) whose group's robots it may drive in a lesson."""

    def __init__(self, address: BrokerAddress, seat: str = "") -> None:
        self.me = seat or f"labkit-{uuid.uuid4().hex[:12]}"
        self._news = threading.Condition()
        self._devices: dict[str, Device] = {}
        self._states: dict[str, State] = {}
        self._rows: dict[str, Row] = {}
        self._alerts: dict[str, dict[str, str]] = {}
        self._stops = RoomStops()
        self._refused: dict[str, tuple[float, RobotError]] = {}
        self._readings: dict[str, dict[str, Reading]] = {}
        self._robots: list[Robot] = []
        self._broker = Broker(address, f"labkit-{uuid.uuid4().hex[:12]}", self._hear, lambda: None)

    def __enter__(self) -> Lab:
        self._broker.start()
        try:
            self._broker.wait(CONNECT_S)
        except LabkitError:
            self._broker.stop()
            raise
        for topic in LOOKS:
            self._broker.subscribe(topic)
        # What the broker holds has arrived before this acknowledgement, or follows within the look below.
        self._broker.flush(CONNECT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._broker.flush(1.0)
        self._broker.stop()

    @property
    def robots(self) -> list[str]:
        """Sticker numbers (or ids) of all robots that are there."""
        self._wait(lambda: any(self._is_robot(d) for d in self._devices.values()), LOOK_S)
        with self._news:
            return sorted(self._label(d.id) for d in self._devices.values() if self._is_robot(d))

    def robot(self, name: str | int) -> Robot:
        """The robot with this sticker number or id; raises RobotError no_robot that names those that are there."""
        text = str(name)
        wanted = {text, text.zfill(2)}
        self._wait(lambda: self._find(wanted) is not None, LOOK_S)
        device = self._find(wanted)
        if device is None:
            there = "、".join(self.robots) or "一台也没有，请先启动网关"
            raise RobotError(
                "no_robot", f"没有 {text} 号小车；有：{there}", f"there is no robot {text}; there are: {there}"
            )
        self._broker.subscribe(f"homie/5/{device.id}/{MAIN_NODE}/+")
        self._broker.subscribe(f"homie/5/{device.id}/$alert/+")
        self._wait(lambda: device.id in self._rows, LIST_S)
        with self._news:
            robot = Robot(self, device, self._rows.get(device.id, Row()))
            self._robots.append(robot)
            return robot

    # What robots ask for.

    def order(self, device: str, property_id: str, payload: bytes, node: str = MAIN_NODE) -> None:
        """Publish to a device's ``/set``; raises RobotError not_ready while the broker is away."""
        if not self._broker.publish(homie.set_topic(device, property_id, node), payload, qos=1, retain=False):
            raise self._away()

    def _away(self) -> RobotError:
        return RobotError(
            "not_ready", "和代理的连接断了，小车会自己停下", "the broker is away: the robot stops by itself"
        )

    def steer(self, device: str, gateway: str, linear: float, angular: float) -> None:
        """Drive by the robot's gateway, which holds it after an emergency stop and minds leases; without one by ``/set``."""
        if not gateway:
            self.order(device, face.LINEAR, repr(linear).encode())
            self.order(device, face.ANGULAR, repr(angular).encode())
            return
        wanted = {"linear_x": linear, "angular_z": angular, "by": self.me}
        if not self._broker.publish(
            face.steer_topic(gateway, device), json.dumps(wanted).encode(), qos=1, retain=False
        ):
            raise self._away()

    def state(self, device: Device) -> State:
        """The effective state: a child of a lost gateway is lost."""
        with self._news:
            own = self._states.get(device.id, State.LOST)
            return homie.effective_state(own, self._states.get(device.root) if device.root else None)

    def check_ready(self, robot: Robot) -> None:
        """Raise RobotError not_ready with what to do."""
        device = self._devices[robot.id]
        if not self._wait(lambda: self.state(device) is State.READY, LOOK_S):
            raise self._not_ready(robot.sticker or robot.id, device)
        if not self._wait(lambda: self._states.get(robot.gateway, State.READY) is State.READY, LOOK_S):
            raise RobotError(
                "not_ready",
                f"{robot.sticker or robot.id} 号的网关 {robot.gateway} 没有运行：请老师启动它",
                f"{robot.gateway}, the gateway of {robot.id}, is not running",
            )

    def _not_ready(self, name: str, device: Device) -> RobotError:
        state = self.state(device)
        known = "；".join(text for text in self._alerts.get(device.id, {}).values() if text)
        return RobotError("not_ready", f"{name} 号{known or STATES[state]}", f"{device.id} is {state.value}: {known}")

    def device(self, name: str) -> Device:
        """Any device by its id or sticker number, its readings subscribed to; raises RobotError no_robot."""
        wanted = {name, name.zfill(2)}

        def find() -> Device | None:
            known = self._devices.values()
            return next((d for d in known if d.id == name or self._rows.get(d.id, Row()).sticker in wanted), None)

        self._wait(lambda: find() is not None, LOOK_S)
        device = find()
        if device is None:
            raise RobotError(
                "no_robot", f"没有这台设备：{name}。labkit list 列出在的设备", f"no device {name}: see labkit list"
            )
        self._broker.subscribe(f"homie/5/{device.id}/{MAIN_NODE}/+")
        return device

    def tell(self, device: Device, property_id: str, payload: bytes) -> None:
        """Write one property, or call an action, of a device that is there, after checking it, and wait whether it is refused.

        Raises RobotError no_property, wrong_value, not_ready, or the refusal of its gateway.
        """
        node, item = next(((n.id, i) for n in device.nodes for i in n.properties if i.id == property_id), ("", None))
        if item is None or not item.settable:
            names = "、".join(i.id for n in device.nodes for i in n.properties if i.settable) or "没有"
            raise RobotError(
                "no_property",
                f"{device.id} 没有可以设置的 {property_id}；有：{names}",
                f"{device.id} has no {property_id} to be set; it has: {names}",
            )
        try:
            homie.decode(item, payload)
        except Malformed as error:
            raise RobotError("wrong_value", error.zh, error.en) from error
        self._wait(lambda: self.state(device) not in GONE, LOOK_S)
        if self.state(device) in GONE:
            raise self._not_ready(device.id, device)
        asked = time.monotonic()
        self.order(device.id, property_id, payload, node)
        refused = self.refusal(device.id, asked, REFUSED_S)
        if refused:
            raise refused

    def refusal(self, device: str, since: float, timeout_s: float) -> RobotError | None:
        """What the gateway has refused since then (monotonic seconds), waited for."""
        self._wait(lambda: self._refused.get(device, (0.0, None))[0] >= since, timeout_s)
        at, why = self._refused.get(device, (0.0, None))
        return why if at >= since else None

    def stop_and_prove(self, device: Device) -> bool:
        """Tell it to stop (again after a second) and wait for a proof that came afterwards."""
        return self.stop_all([device])[device.id]

    def stop_all(self, devices: Sequence[Device]) -> dict[str, bool]:
        """Stop them at once, so that a silent one keeps no other waiting; each one's own proof is waited for."""
        left, since = list(devices), time.monotonic()
        for _ in range(2):
            for device in left:
                self.order(device.id, face.STOP, b"stop")
            self._wait(partial(self._all_stand, left, since), STOP_S / 2)
            left = [device for device in left if not self._stands(device, since)]
        return {device.id: device not in left for device in devices}

    def reading(self, robot: Robot, item: Property, timeout_s: float) -> Value:
        """A property's newest value, waited for if there is none."""
        if not self._wait(lambda: item.id in self._readings.get(robot.id, {}), timeout_s):
            raise RobotError(
                "no_reading",
                f"{robot.sticker or robot.id} 号在 {timeout_s:g} 秒内没有给出 {item.name}",
                f"{robot.id} gave no {item.id} within {timeout_s:g} s",
            )
        with self._news:
            return self._readings[robot.id][item.id].value

    def known(self, device: str) -> Mapping[str, Reading]:
        """All readings of one device."""
        with self._news:
            return dict(self._readings.get(device, {}))

    # What the bus says.

    def _all_stand(self, devices: Sequence[Device], since: float) -> bool:
        return all(self._stands(device, since) for device in devices)

    def _stands(self, device: Device, since: float) -> bool:
        said = self._readings.get(device.id, {})

        def fresh(name: str, value: Value) -> bool:
            reading = said.get(name)
            return reading is not None and reading.live and reading.at >= since and reading.value == value

        if device.root:
            return fresh(face.STOP_CONFIRMED, True)
        return fresh(face.MOVING, False) or (fresh(face.LINEAR, 0.0) and fresh(face.ANGULAR, 0.0))

    def _refusal(self, device: str, message: Message) -> None:
        said = homie.parse_json_object(message.payload)
        if message.retained or said.get("terminal", "") not in (self.me, ""):
            return  # somebody else's
        why = RobotError(str(said.get("code")), f"{device}：{said.get('zh')}", f"{device}: {said.get('en')}")
        self._refused[device] = (time.monotonic(), why)
        if said.get("terminal") != self.me:
            return
        for robot in [r for r in self._robots if r.id == device]:
            robot.refused(why)

    def _wait(self, fits: Callable[[], bool], timeout_s: float) -> bool:
        with self._news:
            return self._news.wait_for(fits, timeout_s)

    def _is_robot(self, device: Device) -> bool:
        return device.property(MAIN_NODE, face.STOP) is not None

    def _label(self, device: str) -> str:
        return self._rows.get(device, Row()).sticker or device

    def _find(self, wanted: set[str]) -> Device | None:
        robots = [d for d in self._devices.values() if self._is_robot(d)]
        return next((d for d in robots if d.id in wanted or self._rows.get(d.id, Row()).sticker in wanted), None)

    def _hear(self, message: Message) -> None:
        stop = self._stops.take(message)
        if stop:
            for robot in [r for r in self._robots if stop.is_for(r.id, r.room)]:
                robot.halt()
            return
        with self._news:
            try:
                self._take(message)
            except Malformed:
                return  # a foreign device's mistake is not the student's
            finally:
                self._news.notify_all()

    def _take(self, message: Message) -> None:
        if message.topic.startswith("zhike/gateway/"):
            rows = homie.parse_json_object(b'{"rows":' + (message.payload or b"[]") + b"}")["rows"]
            gateway = message.topic.split("/")[2]
            for row in rows if isinstance(rows, list) else ():
                one = Row(str(row.get("sticker", "")), str(row.get("room", "")), gateway)
                self._rows[str(row.get("device"))] = one
            return
        address = homie.parse_topic(message.topic)
        if address.part is Part.DESCRIPTION and message.payload:
            self._devices[address.device] = homie.parse_description(address.device, message.payload)
        elif address.part is Part.STATE and message.payload:
            self._states[address.device] = homie.parse_state(message.payload)
        elif address.part is Part.ALERT:
            self._alerts.setdefault(address.device, {})[address.item] = message.payload.decode("utf-8", "replace")
        elif (address.part, address.property) == (Part.VALUE, face.REFUSED):
            self._refusal(address.device, message)
        elif address.part is Part.VALUE:
            device = self._devices.get(address.device)
            item = device.property(address.node, address.property) if device else None
            if item and message.payload:
                value = homie.decode(item, message.payload)
                known = self._readings.setdefault(address.device, {})
                known[item.id] = Reading(value, time.monotonic(), not message.retained)


def lab(broker: str = "", username: str = "", password: str = "", ca: str = "", seat: str = "") -> Lab:
    """The lab at ``broker``; what is not given is read from ``LABKIT_BROKER``, ``LABKIT_USERNAME``, ``LABKIT_PASSWORD``, ``LABKIT_CA``, ``LABKIT_SEAT``.

    Raises LabkitError link_down on entering when the broker cannot be reached.
    """
    known = os.environ
    url = broker or known.get("LABKIT_BROKER", DEFAULT_BROKER)
    user, secret = username or known.get("LABKIT_USERNAME", ""), password or known.get("LABKIT_PASSWORD", "")
    return Lab(
        BrokerAddress.parse(url, user, secret, ca or known.get("LABKIT_CA", "")), seat or known.get("LABKIT_SEAT", "")
    )
