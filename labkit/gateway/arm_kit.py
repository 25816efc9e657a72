"""A servo arm on a serial port: joints turn at a limited speed, a stop holds them where they are told to be.

A servo runs to a new angle as fast as it can; the gateway therefore sends small steps. Nothing is switched off by a stop: an arm
without power falls. What is proved is that the board has answered after everything sent before the stop, and that no step follows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from labkit.binding import PortBook
from labkit.errors import Malformed
from labkit.gateway import face
from labkit.gateway.board import Board
from labkit.gateway.mailbox import DriveOrder, SetOrder, StopOrder
from labkit.gateway.serial_kit import SerialKit
from labkit.gateway.worker import PUBLISH_GAP_S
from labkit.homie import decode, property_id
from labkit.lab import LabDevice
from labkit.model import Title, Value

STEP_S = 0.05
ARRIVED_MS = 100
ATTACHED_AT = 90.0
DEFAULT_DEGREES_PER_S = 60


class ArmKit(SerialKit):
    """One arm: each writable property in degrees is a joint; parameter ``degrees_per_s`` limits their speed."""

    def __init__(self, device: LabDevice, board: Board, book: PortBook) -> None:
        super().__init__(device, board, book)
        writable = device.profile.properties.values()
        self._joints = {item.id: item for item in writable if item.form("writeproperty") and item.unit == "°"}
        self._angles: dict[str, float] = {}
        self._targets: dict[str, float] = {}
        self._step_at = 0.0
        self._speed = float(device.parameters.get("degrees_per_s", DEFAULT_DEGREES_PER_S))

    def send_drive(self, order: DriveOrder) -> bool:
        """An arm has no wheels."""
        self.refuse(order.by, order.seq, "not_ready", Title("机械臂没有轮子", "an arm has no wheels"))
        return True

    def is_moved_by(self, order: SetOrder) -> bool:
        """A pose, a joint's angle."""
        return order.property == face.POSE or order.property in {property_id(name) for name in self._joints}

    def set_property(self, order: SetOrder) -> None:
        """A joint's new angle, or a named pose: it is reached step by step."""
        if order.property == face.POSE and order.payload.decode("utf-8", "replace") in self.device.profile.poses:
            self._turn_to(self.device.profile.poses[order.payload.decode()].joints)
            return
        item = next((joint for joint in self._joints.values() if property_id(joint.id) == order.property), None)
        if item is None:
            super().set_property(order)
            return
        try:
            value = decode(face.sensor(item), order.payload)
        except Malformed as error:
            self.noise(error.en)
            return
        assert isinstance(value, (int, float))
        self._turn_to({item.id: float(value)})

    def _turn_to(self, angles: Mapping[str, float]) -> None:
        self.count()
        self._targets |= angles
        self._driven = True
        self.publish(face.STOP_CONFIRMED, False)
        self.publish(face.MOVING, True)

    def halt(self, order: StopOrder) -> None:
        """No step follows."""
        self._targets.clear()
        super().halt(order)

    def tick(self, now: float) -> None:
        """Send the next step when it is time and no stop waits for its proof."""
        super().tick(now)
        if self._targets and not self._stops and now >= self._step_at:
            self._step(min(now - self._step_at, STEP_S) + STEP_S)
            self._step_at = now + STEP_S

    def publish(self, name: str, value: Value, gap_s: float = 0.0) -> None:
        """Everything but the speeds of wheels."""
        if name not in (face.LINEAR, face.ANGULAR):
            super().publish(name, value, gap_s)

    def _greet(self) -> None:
        """A servo that gets its signal anew goes to the middle."""
        self._targets.clear()
        self._angles = {joint: self._within(joint, ATTACHED_AT) for joint in self._joints}
        super()._greet()

    def _within(self, joint: str, angle: float) -> float:
        item = self._joints[joint]
        low = 0.0 if item.minimum is None else item.minimum
        high = 180.0 if item.maximum is None else item.maximum
        return min(max(angle, low), high)

    def _step(self, seconds: float) -> None:
        if self.obstacle(stopping=False) or self._port is None:
            self._targets.clear()
            return
        reach, data = self._speed * seconds, b""
        for joint, target in list(self._targets.items()):
            angle = self._angles[joint]
            angle = self._within(joint, angle + min(max(target - angle, -reach), reach))
            try:
                data += self._codec.write(self._joints[joint], round(angle))
            except Malformed as error:
                del self._targets[joint]
                self.unwritable(error)
                continue
            self._angles[joint] = angle
            self.publish(joint, round(angle), PUBLISH_GAP_S)
            if angle == self._within(joint, target):
                del self._targets[joint]
        self._armed = False
        self._drove_at = time.monotonic()
        # When all have arrived, the guard's own stop follows at once, and its proof tells that the arm stands.
        self._port.drive(self.safety.lease_ms if self._targets else ARRIVED_MS, data)
