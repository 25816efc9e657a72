"""A robot on a serial port: drives, identify, settings, the proof of a stop."""

from __future__ import annotations

import time
from functools import partial

from labkit import codecs
from labkit.binding import PortBook
from labkit.codecs import Restarted, StopProved
from labkit.errors import Malformed
from labkit.gateway import drive, face
from labkit.gateway.board import Board
from labkit.gateway.mailbox import DriveOrder, SetOrder, StopOrder
from labkit.gateway.serial_port import Phase, SerialWorker
from labkit.gateway.worker import Robot, log
from labkit.homie import decode
from labkit.lab import LabDevice
from labkit.model import Title

FRESH_DRIVE_S = 0.05


class SerialKit(SerialWorker, Robot):
    """One robot on a serial port."""

    def __init__(self, device: LabDevice, board: Board, book: PortBook) -> None:
        super().__init__(device, board, book)
        self._drove_at = 0.0
        self._armed = False

    def obstacle(self, stopping: bool) -> str:
        """CLOSED cannot even be stopped; only READY can be driven."""
        if self._phase is Phase.CLOSED:
            return self._closed_because
        if stopping or self._phase is Phase.READY:
            return ""
        return {Phase.WRONG: "wrong_firmware", Phase.UNCONFIRMED: "unconfirmed"}.get(self._phase, "not_ready")

    def may_blink(self) -> bool:
        """A board that may be another one shows itself, so that a person can tell."""
        return self._phase is Phase.UNCONFIRMED

    def send_drive(self, order: DriveOrder) -> bool:
        """Both wheels in one write."""
        if self._port is None:
            return False
        values = drive.wheels(self.drive_model, order.linear_x, order.angular_z)
        data = b"".join(self._codec.write(self.device.profile.properties[p], v) for p, v in values.items())
        self._armed = False
        self._drove_at = time.monotonic()
        return self._port.drive(min(order.ms, self.safety.lease_ms), data)

    def send_stop(self, number: int) -> bool:
        """The guard knows the kit's stop; its note with this number arms the proof."""
        self._armed = False
        return self._port is not None and self._port.stop(str(number))

    def blink(self) -> None:
        """The profile's identify action, step by step."""
        action = self.device.profile.actions.get("identify")
        if action is None:
            self.refuse("", 0, "not_ready", Title("这种设备不会亮灯", "this kit cannot blink"))
            return
        lacking = self.lacks(action.id)
        if lacking:
            self.refuse("", 0, "lacking", lacking)
            return
        for after_ms, data in self._codec.act(action):
            self.later(after_ms, partial(self._write, data))

    def set_property(self, order: SetOrder) -> None:
        """Write one of the kit's own properties, after checking it."""
        affordance = face.affordance(self.device.profile, order.property)
        if affordance is None or affordance.read_only or affordance.id in face.motors(self.drive_model):
            self.noise(f"{order.property} cannot be set")
            return
        lacking = self.lacks(affordance.id)
        if lacking:
            self.refuse("", 0, "lacking", lacking)
            return
        try:
            value = decode(face.sensor(affordance), order.payload)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise Malformed("应为数", f"{order.property} should be a number")
            self._write(self._codec.write(affordance, value))
        except Malformed as error:
            self.noise(error.en)
            return
        self.count()
        self.publish(order.property, value)

    def stop_chunks(self) -> tuple[tuple[bytes, ...], int]:
        """The profile's stop."""
        stop = self.device.profile.actions[self.safety.stop]
        return self._codec.stop(stop, self.safety.resync_before_stop), self.safety.repeat_stop

    def beware(self, reason: str) -> None:
        """Stop it."""
        self.halt(StopOrder(reason))

    def heard(self, event: codecs.Event) -> None:
        """The proof of a stop counts once, and only for the stop that it belongs to."""
        if isinstance(event, StopProved):
            if self._armed:
                self._armed = False
                self.proved()
            return
        super().heard(event)
        if isinstance(event, Restarted) and self._driven:
            self.halt(StopOrder("the kit started anew"))  # what it was driving has ended with its power

    def guard_stopped(self, note: dict[str, object], now: float) -> None:
        """Arm the proof for the stop that waits, or for one that the guard made by itself."""
        self._codec.expect_stop()
        mark = str(note.get("mark", ""))
        if self._stops:
            self._armed = mark == str(self._stops[-1][0].number)
        else:
            self._armed = now - self._drove_at > FRESH_DRIVE_S
        if note.get("reason") != "told":
            self.publish(face.STOP_CONFIRMED, False)
            log.info("%s: the guard stopped it (%s)", self.device.id, note.get("reason"))
