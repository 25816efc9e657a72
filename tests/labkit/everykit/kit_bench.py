"""Any kit that hangs on this PC: the gateway's worker and the simulated kit, with the guard's part between them, in time of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.binding import Choice
from labkit.gateway import face
from labkit.gateway.board import Board
from labkit.gateway.mailbox import Came, Item, StopOrder, Told
from labkit.gateway.serial_port import Phase as SerialPhase
from labkit.gateway.serial_port import SerialWorker
from labkit.gateway.service import _serial_worker
from labkit.gateway.text_kit import Phase as TextPhase
from labkit.gateway.text_kit import TextKit
from labkit.gateway.worker import Robot
from labkit.lab import LabDevice, load_lab
from labkit.links.text import Pushes
from labkit.model import MAIN_NODE, Profile, State
from labkit.ports import SerialPort
from labkit.simulate.backwards import Backwards
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults
from labkit.simulate.firmata_car import NO_WHEELS, FirmataBoard
from labkit.simulate.fleet import serial_firmware, text_firmware
from labkit.simulate.physics import Pose, school_table
from labkit.simulate.tello import TelloFirmware

TURN_S = 0.01
START_S = 1000.0
PORT = SerialPort("/dev/kit", "1a86:7523", "A", "1-1")


def device_of(profile: Profile, folder: Path, url: str = "", device_id: str = "kit-1") -> LabDevice:
    """The kit as a lab file has it."""
    file = folder / "lab.yaml"
    own = url or f"sim://{'pty' if profile.transport.type == 'serial' else profile.transport.type}"
    file.write_text(f"name: gw-x\nroom: r\ndevices: [{{id: {device_id}, profile: {profile.id}, url: '{own}'}}]\n")
    return load_lab(file, {profile.id: profile}).devices[0]


def simulated(device: LabDevice, motors: MotorLog, now: float, faults: Faults | None = None) -> tuple[Any, Body | None]:
    """The simulated kit as the fleet makes it, and its body."""
    profile = device.profile
    wheels = profile.drive or (NO_WHEELS if profile.transport.codec == "firmata" else None)
    body = Body(school_table(), Pose(1.0, 1.0, 0.0), wheels, 1, motors, now) if wheels else None
    make: Any = serial_firmware if profile.transport.type == "serial" else text_firmware
    return make(device, body, faults or Faults(), 1, now), body


class Book:
    """Where the device's board is plugged in: always at the same place, without doubt."""

    def choice(self, _device: str) -> Choice:
        return Choice(PORT)

    def settle(self, *_: object) -> None:
        return None

    def confirm(self, *_: object) -> bool:
        return True


class Wire:
    """What a `GuardedPort` and its guard do: numbers the stops, ends a drive that nobody renews."""

    pid = 1

    def __init__(self, bench: KitBench, chunks: tuple[bytes, ...], numbers_from: int) -> None:
        self._bench, self._chunks, self._next = bench, chunks, numbers_from
        self.until: float | None = None

    def drive(self, lease_ms: int, data: bytes) -> bool:
        assert 0 < lease_ms <= 500
        self.until = self._bench.now + lease_ms / 1000
        return self.write(data)

    def write(self, data: bytes) -> bool:
        self._bench.to_kit(data)
        return True

    def stop(self, mark: str = "", reason: str = "told") -> bool:
        self.until, first = None, self._next
        data = b"".join(self._chunks)
        for _ in range(data.count(b"{n}") if self._next else 0):
            data = data.replace(b"{n}", b"%d" % self._next, 1)
            self._next += 1
        self._bench.tell({"event": "stop", "mark": mark, "reason": reason, "first": first, "count": self._next - first})
        return self.write(data)

    def close(self) -> None:
        self.until = None


class KitBench:
    """One kit; ``worker`` is not started as a thread: `do` hands an item over, `turn` lets time pass."""

    def __init__(self, device: LabDevice, folder: Path) -> None:
        self.device, self.now = device, START_S
        self.motors = MotorLog(folder / "log")
        self.kit, self.body = simulated(device, self.motors, self.now)
        self._came: list[Item] = []
        self.worker = self._worker(folder)
        node = face.kit_device(device, "gw-x", 1).node(MAIN_NODE)
        assert node
        self.worker.serve(node.properties)

    def _worker(self, folder: Path) -> SerialWorker | TextKit:
        if self.device.profile.transport.type == "serial":
            return _serial_worker(self.device)(self.device, Board(), Book())  # type: ignore[arg-type]  # what a worker asks of a book
        return TextKit(self.device, Board(), folder, Pushes())

    def to_kit(self, data: bytes) -> None:
        datagrams = data.splitlines() if self.device.profile.transport.type == "udp" else [data]
        for one in datagrams:
            self._came += [Came(reply) for reply in self.kit.feed(one, self.now)]

    def tell(self, note: dict[str, object]) -> None:
        self._came.append(Told(note, self.worker._port))

    def do(self, item: Item) -> None:
        """One item out of the worker's queue."""
        self.worker.handle(item)

    def turn(self, seconds: float = TURN_S) -> None:
        """Time passes: the kit acts, its guard watches, the worker hears."""
        end = self.now + seconds
        while self.now < end:
            self.now += TURN_S
            self._came += [Came(said) for said in self.kit.tick(self.now)]
            if hasattr(self.kit, "pushes"):
                for datagram in self.kit.pushes(self.now):
                    self.tell({"event": "push", "data": datagram})
            wire = self.worker._port
            if isinstance(wire, Wire) and wire.until is not None and self.now > wire.until:
                wire.stop(reason="lease")
            came, self._came = self._came, []
            for item in came:
                self.worker.handle(item)
            self.worker.tick(self.now)
            self.worker._flush(self.now)

    def ready(self) -> None:
        """Plugged in, probed, set up; what flies has taken off."""
        profile, codec = self.device.profile, self.worker._codec
        stop: tuple[bytes, ...] = ()
        if profile.safety:
            stop = codec.stop(profile.actions[profile.safety.stop], profile.safety.resync_before_stop)
        wire = Wire(self, stop, getattr(codec, "numbers_from", 0))
        self.worker._port = wire  # type: ignore[assignment]  # what a worker uses of a link
        if isinstance(self.worker, SerialWorker):
            self.worker._phase, self.worker._at = SerialPhase.OPENING, PORT
        else:
            self.worker._phase = TextPhase.REACHING
        self.tell({"event": "open"})
        wire.stop(reason="opened")
        for _ in range(2000):
            self.turn()
            if self.worker.state is State.READY and not (isinstance(self.worker, Robot) and self.worker._stops):
                break
        assert self.worker.state is State.READY, f"{profile.id}: {self.worker._phase}"
        if isinstance(self.kit, TelloFirmware):
            self.to_kit(b"takeoff")
            self.turn(3)

    def moves(self) -> bool:
        """Whether a motor runs now."""
        return bool(self.body and self.body.moving)

    def halted(self) -> None:
        """A stop that is proved when the kit can be reached: nothing turns."""
        order = StopOrder("in the end")
        self.do(order)
        self.turn(6)
        assert order.done.is_set()
        assert not (self.body and self.body.moving), self.device.profile.id

    def limits_hold(self) -> None:
        """Wheels, joints and settings stand within what the profile allows."""
        profile, drive = self.device.profile, self.device.profile.drive
        if drive and self.body:
            left, right = self.body.left_mps, self.body.right_mps
            if drive.model == "twist":
                assert abs(left + right) / 2 <= drive.max_mps + 0.006
                assert abs(right - left) / drive.wheel_base_m <= drive.max_radps + 0.02
            else:
                assert max(abs(left), abs(right)) <= drive.max_mps + 1e-6
        written = dict(self.kit.written) if isinstance(self.kit, Backwards) else {}
        if isinstance(self.kit, FirmataBoard):
            for item in profile.properties.values():
                pin = item.forms[0].href.partition("firmata:servo/{")[2].rstrip("}")
                angle = self.kit.angle(self.device.parameters[pin]) if pin else None
                written |= {} if angle is None else {item.id: angle}
        for name, value in written.items():
            item = profile.properties[name]
            if isinstance(value, str):
                assert value in item.enum
            else:
                assert (item.minimum is None or value >= item.minimum - 0.02) and (
                    item.maximum is None or value <= item.maximum + 0.02
                ), (name, value)


@contextmanager
def kit_bench(profile: Profile, folder: Path) -> Iterator[KitBench]:
    """A bench on which time is the bench's own for all of the gateway."""
    with pytest.MonkeyPatch.context() as patch:
        bench: list[KitBench] = []
        clock = SimpleNamespace(monotonic=lambda: bench[0].now if bench else START_S)
        for name, module in list(sys.modules.items()):
            if name.startswith("labkit.gateway.") and hasattr(module, "time"):
                patch.setattr(module, "time", clock)
        bench.append(KitBench(device_of(profile, folder), folder))
        yield bench[0]
        bench[0].motors.close()
