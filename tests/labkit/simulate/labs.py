"""Small labs for the tests of the simulators, run as real processes."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import serial
import yaml

from tests.effort import PATIENCE_S

WAIT_S = PATIENCE_S


def write_lab(folder: Path, *devices: dict[str, object]) -> Path:
    """A lab file in `folder`."""
    file = folder / "lab.yaml"
    file.write_text(yaml.safe_dump({"name": "gw-test", "room": "lab1", "devices": list(devices)}, allow_unicode=True))
    return file


def mbot(device_id: str = "mbot-1", **simulate: object) -> dict[str, object]:
    """An mBot in the middle of the table."""
    return {
        "id": device_id,
        "profile": "makeblock-mbot",
        "url": "sim://pty",
        "simulate": {"start": [0.6, 0.4, 0.0], **simulate},
    }


def firmata_car(device_id: str = "uno-1", **simulate: object) -> dict[str, object]:
    """A Firmata car."""
    return {"id": device_id, "profile": "arduino-firmata-car", "url": "sim://pty", "simulate": simulate}


def mqtt_car(device_id: str = "car-1", **simulate: object) -> dict[str, object]:
    """A car on MQTT."""
    return {
        "id": device_id,
        "profile": "zhike-mqtt-car",
        "url": "mqtt:",
        "simulate": {"start": [0.6, 0.4, 0.0], **simulate},
    }


class Simulation:
    """A running `python -m labkit.simulate`."""

    def __init__(self, lab: Path, run_dir: Path, *arguments: str) -> None:
        self.run_dir = run_dir
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labkit.simulate", "--lab", str(lab), "--run-dir", str(run_dir), *arguments]
        )

    def port(self, device: str) -> Path:
        """The kit's port, waited for."""
        path = self.run_dir / "dev" / device
        pause, deadline = threading.Event(), time.monotonic() + WAIT_S
        while not path.exists():
            assert self.process.poll() is None, "the simulator has ended"
            assert time.monotonic() < deadline, f"no port {path}"
            pause.wait(0.02)
        return path

    def motors(self, device: str) -> list[dict[str, Any]]:
        """All changes of a kit's motors so far."""
        path = self.run_dir / "sim" / f"{device}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_motors(self, device: str, fits: Callable[[dict[str, Any]], bool], since: int = 0) -> dict[str, Any]:
        """The first change after `since` that fits, waited for."""
        pause, deadline = threading.Event(), time.monotonic() + WAIT_S
        while True:
            for change in self.motors(device)[since:]:
                if fits(change):
                    return change
            assert time.monotonic() < deadline, f"{device}: {self.motors(device)[since:]}"
            pause.wait(0.01)

    def end(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


def drives(change: dict[str, Any]) -> bool:
    """Whether a motor is on."""
    return bool(change["left"] or change["right"])


def stands(change: dict[str, Any]) -> bool:
    """Whether both motors are off."""
    return not drives(change)


class Line:
    """The PC's end of a kit's serial line."""

    def __init__(self, port: Path, baud: int = 115200) -> None:
        self.port = serial.Serial(str(port), baud, timeout=0)
        self._fd: int = self.port.fileno()

    def send(self, data: bytes) -> None:
        """Write all."""
        self.port.write(data)
        self.port.flush()

    def until(self, complete: Callable[[bytes], bool], timeout_s: float = WAIT_S) -> bytes:
        """Read until `complete` holds for all that has come."""
        got, deadline = b"", time.monotonic() + timeout_s
        while not complete(got):
            left = deadline - time.monotonic()
            assert left > 0, f"only {got!r} has come"
            if select.select([self._fd], [], [], left)[0]:
                got += os.read(self._fd, 4096)
        return got

    def quiet(self, seconds: float) -> bytes:
        """What comes in the next `seconds`."""
        got, deadline = b"", time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._fd], [], [], left)[0]:
                got += os.read(self._fd, 4096)
        return got

    def ask(self, data: bytes, size: int) -> bytes:
        """Send, and wait for `size` bytes."""
        self.send(data)
        return self.until(lambda got: len(got) >= size)

    def close(self) -> None:
        """Close the port; the kit is not told."""
        self.port.close()
