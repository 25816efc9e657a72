"""A table with simulated mBots that can be plugged in and out: Makeblock's firmware as simulated, on ptys, as USB devices."""

from __future__ import annotations

import selectors
import threading
import time
from pathlib import Path

from labkit.lab import load_lab
from labkit.profiles import load_profile, profiles_dir
from labkit.simulate import physics
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import read_faults
from labkit.simulate.mbot import MbotFirmware
from labkit.simulate.physics import Pose
from labkit.simulate.port import SerialKit
from tests.effort import PATIENCE_S

TURN_S = 0.01
CH340 = "1a86:7523"


class Bench:
    """Boards by name; a thread serves them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        profile = load_profile(profiles_dir() / "makeblock-mbot")
        path = folder / "boards.yaml"
        path.write_text("name: gw-x\nroom: x\ndevices: [{id: board, profile: makeblock-mbot, url: 'sim://pty'}]\n")
        self._device = load_lab(path, {profile.id: profile}).devices[0]
        self._boards: dict[str, tuple[SerialKit, MotorLog]] = {}
        self.bodies: dict[str, Body] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def plug(self, name: str, socket: str, serial: str = "", firmware: str = "") -> None:
        """Plug a board in; its motors start standing."""
        drive = self._device.profile.drive
        assert drive
        now = time.monotonic()
        motors = MotorLog(self._folder / "sim" / f"{name}.jsonl")
        body = Body(physics.school_table(), Pose(1.0, 1.0, 0.0), drive, 1, motors, now)
        faults = read_faults(name, {"firmware": firmware} if firmware else {})
        kit = SerialKit(
            self._folder / "dev" / name,
            MbotFirmware(self._device, body, faults, 1, now),
            usb=f"{CH340}:{serial}@{socket}",
        )
        with self._lock:
            self._boards[name], self.bodies[name] = (kit, motors), body

    def unplug(self, *names: str) -> None:
        """Pull cables."""
        with self._lock:
            for name in names:
                kit, motors = self._boards.pop(name)
                kit.close()
                motors.close()

    def close(self) -> None:
        """Pull all."""
        self._ending.set()
        self._thread.join(PATIENCE_S)
        self.unplug(*self._boards)

    def _serve(self) -> None:
        while not self._ending.is_set():
            with self._lock, selectors.DefaultSelector() as selector:
                kits = {kit.fileno(): kit for kit, _ in self._boards.values()}
                for number in kits:
                    selector.register(number, selectors.EVENT_READ)
                ready = selector.select(TURN_S) if self._boards else []
                now = time.monotonic()
                for key, _ in ready:
                    kits[key.fd].readable(now)
                for kit in kits.values():
                    kit.tick(now)
            self._ending.wait(0.001)
