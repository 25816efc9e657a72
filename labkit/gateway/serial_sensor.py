"""A sensor on a serial port, such as an AI camera: polled, never driven; its own settings can be written."""

from __future__ import annotations

from labkit.errors import Malformed
from labkit.gateway import face
from labkit.gateway.mailbox import Item, SetOrder
from labkit.gateway.serial_port import Phase, SerialWorker
from labkit.homie import decode
from labkit.model import Affordance, Value


class SerialSensor(SerialWorker):
    """One sensor; its guard has no stop to send."""

    def handle(self, item: Item) -> None:
        """Settings here, bytes and notes in SerialWorker."""
        if isinstance(item, SetOrder):
            self._set(item)
        else:
            super().handle(item)

    def _set(self, order: SetOrder) -> None:
        affordance = face.affordance(self.device.profile, order.property)
        if affordance is None or affordance.read_only or self._phase is not Phase.READY:
            self.noise(f"{order.property} cannot be set")
            return
        try:
            value = decode(face.sensor(affordance), order.payload)
            self._write(self._codec.write(affordance, _number(affordance, value)))
        except Malformed as error:
            self.noise(error.en)
            return
        self.publish(order.property, value)


def _number(affordance: Affordance, value: Value) -> float:
    """The word of an enum goes as its index; raises Malformed for what is neither a word of it nor a number."""
    if isinstance(value, str) and value in affordance.enum:
        return affordance.enum.index(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Malformed("应为数", f"{affordance.id} should be a number")
    return value
