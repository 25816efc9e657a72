"""A car with its own board on the Wi-Fi: a Homie 5 device over real MQTT, with the deadman that such a board has."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from labkit import homie
from labkit.errors import Malformed
from labkit.lab import LabDevice
from labkit.links import BrokerAddress
from labkit.model import MAIN_NODE, Affordance, Datatype, Device, Node, Property, State, Value
from labkit.simulate.body import Body
from labkit.simulate.faults import Faults
from labkit.simulate.onbroker import Login, OnBroker

log = logging.getLogger("labkit.simulate")

REPORT_S, IDLE_REPORT_S = 0.2, 1.0
_TYPES = {"boolean": Datatype.BOOLEAN, "integer": Datatype.INTEGER, "number": Datatype.FLOAT, "string": Datatype.STRING}
_DIGITS = {"range": 1, "light": 0, "battery": 0, "line": 0}


class MqttCar:
    """One board; its network thread only hands commands over, everything else happens in `tick`.

    Speeds are obeyed for the deadman's time (profile `device_deadman_ms`), then the board stops by itself, connected or not.
    Retained topics are published again at each connection; `login` is asked again whenever the broker refuses.
    """

    def __init__(
        self,
        device: LabDevice,
        body: Body,
        faults: Faults,
        seed: int,
        broker: BrokerAddress,
        login: Callable[[], Login],
    ) -> None:
        drive, safety = device.profile.drive, device.profile.safety
        if drive is None or safety is None:
            raise ValueError(f"{device.id}: {device.profile.id} has no drive")
        self._device, self._body, self._faults = device, body, faults
        deadman_ms = safety.device_deadman_ms if faults.deadman_ms is None else faults.deadman_ms
        self._deadman_s = (deadman_ms or 0) / 1000
        self.homie = described(device)
        self._linear, self._angular = homie.property_id(drive.linear), homie.property_id(drive.angular)
        self._speeds = {self._linear: 0.0, self._angular: 0.0}
        self._stop_at: float | None = None
        self._report_at = 0.0
        self._reported: dict[str, Value] = {}
        will = (homie.state_topic(device.id), State.LOST.value.encode())
        topics = [homie.set_topic(device.id, "+")]
        self._line = OnBroker(
            device.id, broker, login, topics, will, obeys_retained=False, faults=faults, seed=seed
        )
        self._at = time.monotonic()

    def tick(self, now: float) -> None:
        """Obey what has come, stop when the deadman's time is over, tell the sensors; a brown-out restarts the board."""
        self._body.advance(now)
        passed, self._at = now - self._at, now
        if self._body.moving and self._line.browns_out(passed):
            self._halt(now, "brown-out")
        if self._line.greet:
            self._line.greet = False
            self._introduce(now)
        for topic, payload in self._line.due(now):
            self.obey(topic.split("/")[-2], payload, now)
        if self._stop_at is not None and now >= self._stop_at:
            self._halt(now, "deadman")
        if now >= self._report_at:
            self._report_at = now + (REPORT_S if self._body.moving else IDLE_REPORT_S)
            self._report(now)

    def close(self) -> None:
        """Stop, say goodbye in order, disconnect."""
        self._body.run(0.0, 0.0, time.monotonic(), "switched off")
        self._put(homie.state_topic(self._device.id), State.DISCONNECTED.value.encode())
        self._line.close()

    # ---- the network ----------------------------------------------------------------------------------------------

    def _put(self, topic: str, payload: bytes, qos: int = 1) -> None:
        self._line.say(topic, payload, qos)

    def _introduce(self, now: float) -> None:
        self._put(homie.state_topic(self._device.id), State.INIT.value.encode())
        self._put(homie.description_topic(self._device.id), homie.describe(self.homie))
        self._reported.clear()
        self._tell_motion()
        self._report(now)
        self._put(homie.state_topic(self._device.id), State.READY.value.encode())

    # ---- commands -------------------------------------------------------------------------------------------------

    def obey(self, name: str, payload: bytes, now: float) -> None:
        """Take a ``/set`` of one of its properties; what is none of them, or no value of it, is refused in the log."""
        item = self.homie.property(MAIN_NODE, name)
        if item is None or not item.settable:
            log.warning("%s: %s cannot be set", self._device.id, name)
            return
        try:
            value = homie.decode(item, payload)
        except Malformed as error:
            log.warning("%s: %s", self._device.id, error.en)
            return
        if name == "stop":
            self._halt(now, "stop")
        elif name == "identify":
            self._body.blinks += 1
        elif isinstance(value, float):
            self._drive_on(name, value, now)

    def _drive_on(self, name: str, value: float, now: float) -> None:
        self._speeds[name] = value
        linear, angular = self._speeds[self._linear], self._speeds[self._angular]
        self._body.twist(linear, angular, now, "set")
        self._stop_at = now + self._deadman_s if self._deadman_s and (linear or angular) else None
        self._tell(name, value)
        self._tell("moving", self._body.moving)

    def _halt(self, now: float, why: str) -> None:
        self._stop_at = None
        self._speeds = dict.fromkeys(self._speeds, 0.0)
        self._body.run(0.0, 0.0, now, why)
        self._tell_motion()

    # ---- what it tells --------------------------------------------------------------------------------------------

    def _tell_motion(self) -> None:
        for name, value in self._speeds.items():
            self._tell(name, value)
        self._tell("moving", self._body.moving)

    def _report(self, now: float) -> None:
        for item in self.homie.nodes[0].properties:
            if item.id not in _DIGITS:
                continue
            rounded = round(self._body.sense(item.id, now), _DIGITS[item.id])
            value: Value = int(rounded) if item.datatype is Datatype.INTEGER else float(rounded)
            if self._reported.get(item.id) != value:
                self._reported[item.id] = value
                self._tell(item.id, value, qos=0)

    def _tell(self, name: str, value: Value, qos: int = 1) -> None:
        item = self.homie.property(MAIN_NODE, name)
        if item is not None and not self._faults.deaf:
            self._put(homie.value_topic(self._device.id, name), homie.encode(item, value), qos)


def described(device: LabDevice) -> Device:
    """The board's own Homie 5 description; raises ValueError for a profile without wheels."""
    drive = device.profile.drive
    if drive is None:
        raise ValueError(f"{device.id}: {device.profile.id} has no drive")
    speeds = {drive.linear, drive.angular}
    own = tuple(_property(item, item.id in speeds) for item in device.profile.properties.values())
    orders = tuple(
        Property(homie.property_id(name), Datatype.ENUM, action.title.zh, format=name, settable=True, retained=False)
        for name, action in device.profile.actions.items()
    )
    return Device(
        id=device.id,
        name=device.title.zh,
        type=device.profile.id,
        nodes=(Node(MAIN_NODE, device.title.zh, device.profile.kind.value, own + orders),),
    )


def _property(item: Affordance, settable: bool) -> Property:
    datatype, bounds = _TYPES[item.type], ""
    if datatype in (Datatype.INTEGER, Datatype.FLOAT) and (item.minimum is not None or item.maximum is not None):
        low, high = ("" if edge is None else f"{edge:g}" for edge in (item.minimum, item.maximum))
        bounds = f"{low}:{high}"
    return Property(homie.property_id(item.id), datatype, item.title.zh, item.unit, bounds, settable=settable)
