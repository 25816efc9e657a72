"""What devices behind a guard share (serial and text kits): the guarded line, asking for properties, the battery's alert."""

from __future__ import annotations

from labkit import codecs
from labkit.codecs import Reported
from labkit.gateway.board import Board
from labkit.gateway.mailbox import Item
from labkit.gateway.worker import REASONS, Worker
from labkit.lab import LabDevice
from labkit.links import GuardedPort
from labkit.model import State, Title

REOPEN_S = 1.0
PROBE_EVERY_S = 0.5
PROBE_PATIENCE_S = 3.0
SILENCE_S = 2.0
LOW_BATTERY = 20


class BehindGuard(Worker):
    """One device; ``_port`` is None while its guard does not run."""

    def __init__(self, device: LabDevice, board: Board) -> None:
        super().__init__(device, board)
        self._port: GuardedPort | None = None
        self._codec = self._new_codec()

    @property
    def guard_pid(self) -> int | None:
        """The guard's process id."""
        return self._port.pid if self._port else None

    def end(self) -> None:
        """The guard stops the kit when its pipe closes."""
        if self._port:
            self._port.close()
        self.become(State.DISCONNECTED)

    def _new_codec(self) -> codecs.Codec:
        return codecs.create(self.device.profile.transport.codec, self.device.profile, self.device.parameters)

    def _keep(self, item: Item) -> None:
        if not self.mailbox.put(item):
            self.noise("its queue is full")

    def _charged(self, event: Reported) -> None:
        """A battery that was read may be low."""
        if event.property != "battery" or not isinstance(event.value, (int, float)):
            return
        self.health.charge(event.value)
        if event.value < LOW_BATTERY:
            self.alert("battery", Title(f"电量只剩 {event.value:g}%", f"battery at {event.value:g} %"))
        else:
            self.calm("battery")

    def _ask(self, property_id: str, now: float) -> None:
        question = self._codec.read(self.device.profile.properties[property_id])
        if question:
            self.health.asked(property_id, now)
            self._write(question)

    def _lost(self, reason: str) -> None:
        self.alert(reason.replace("_", "-"), REASONS[reason])
        self.become(State.LOST)

    def _write(self, data: bytes) -> None:
        if self._port:
            self._port.write(data)
