"""One kit on a bench: a worker of the gateway with its real guard, a simulated board on a pty, no broker."""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Callable
from pathlib import Path

from labkit import homie
from labkit.binding import PortBook
from labkit.gateway import face
from labkit.gateway.board import Board
from labkit.gateway.mailbox import DriveOrder, EndOrder, StopOrder
from labkit.gateway.serial_port import SerialWorker
from labkit.gateway.worker import Robot
from labkit.lab import Lab, LabDevice, load_lab
from labkit.model import MAIN_NODE
from labkit.profiles import load_profile, profiles_dir
from labkit.simulate.port import Firmware, SerialKit
from tests.effort import PATIENCE_S

TURN_S = 0.005
NAME = "kit-1"


class Notices(Board):
    """The gateway's notice board, with a memory and without a broker."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()
        self.values: dict[str, bytes] = {}

    def put(self, topic: str, payload: bytes) -> None:
        super().put(topic, payload)
        self._keep(topic, payload)

    def event(self, topic: str, payload: bytes) -> None:
        self._keep(topic, payload)

    def _keep(self, topic: str, payload: bytes) -> None:
        with self.changed:
            self.values[topic] = payload
            self.changed.notify_all()


class Bench:
    """A kit of one profile; ``worker`` makes the gateway's part, ``board`` is served by a thread."""

    def __init__(
        self,
        folder: Path,
        lab: Lab,
        firmware: Firmware,
        worker: Callable[[LabDevice, Board, PortBook], SerialWorker],
    ) -> None:
        self.device = lab.devices[0]
        self.firmware = firmware
        self.notices = Notices()
        self._port = SerialKit(folder / "dev" / NAME, firmware)
        self._ending = threading.Event()
        self.lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.worker = worker(self.device, self.notices, PortBook(lab, folder))
        node = face.kit_device(self.device, "gw-x", 1).node(MAIN_NODE)
        assert node
        self.worker.serve(node.properties)
        self.worker.start()

    def value(self, name: str) -> bytes | None:
        """The last value of a property."""
        return self.notices.values.get(homie.value_topic(NAME, homie.property_id(name)))

    def state(self) -> bytes | None:
        """The device's last state."""
        return self.notices.values.get(homie.state_topic(NAME))

    def until(self, fits: Callable[[], bool], timeout_s: float = PATIENCE_S) -> float:
        """Wait for something on the notice board; the seconds it took."""
        began = time.monotonic()
        with self.notices.changed:
            assert self.notices.changed.wait_for(fits, timeout_s), self.notices.values
        return time.monotonic() - began

    def ready(self) -> None:
        """Wait until the kit can be used."""
        self.until(lambda: self.state() == b"ready")

    def watch(self, fits: Callable[[], bool], timeout_s: float = PATIENCE_S) -> float:
        """Wait for something on the table (bodies do not notify); the seconds it took."""
        pause, began = threading.Event(), time.monotonic()
        while not fits():
            assert time.monotonic() - began < timeout_s, self.notices.values
            pause.wait(0.005)
        return time.monotonic() - began

    def until_time(self, then: float) -> None:
        """Let things happen until a moment of the monotonic clock."""
        self.watch(lambda: time.monotonic() > then)

    def drive(self, linear_x: float, angular_z: float = 0.0, ms: int = 500) -> None:
        """A drive as the router hands it over."""
        self.worker.mailbox.put(DriveOrder(linear_x, angular_z, ms))

    def stop(self) -> StopOrder:
        """A stop, waited for until it is decided."""
        assert isinstance(self.worker, Robot)
        order = StopOrder("test")
        self.worker.mailbox.put(order)
        assert order.done.wait(PATIENCE_S)
        return order

    def close(self) -> None:
        """End the worker, pull the cable."""
        self.worker.mailbox.put(EndOrder())
        self.worker.join(PATIENCE_S)
        self._ending.set()
        self._thread.join(PATIENCE_S)
        self._port.close()

    def pause(self) -> None:
        """The board's clock stands still until `go_on`; for tests that reach into it."""
        self.lock.acquire()

    def go_on(self) -> None:
        """Let it run again."""
        self.lock.release()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._port, selectors.EVENT_READ)
            while not self._ending.is_set():
                ready = selector.select(TURN_S)
                with self.lock:
                    now = time.monotonic()
                    if ready:
                        self._port.readable(now)
                    self._port.tick(now)


def lab_of(folder: Path, profile: str, more: str = "") -> Lab:
    """A lab with one kit of a profile."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "lab.yaml"
    file.write_text(
        f"name: gw-x\nroom: r\ndevices:\n  - {{id: {NAME}, profile: {profile}, url: 'sim://pty'{more}}}\n",
        encoding="utf-8",
    )
    return load_lab(file, {profile: load_profile(profiles_dir() / profile)})
