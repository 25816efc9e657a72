"""An Arduino Uno: Arduino's own StandardFirmata, executed by simavr (see avr_runner.c), its UART on a pty."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conformance import debian
from tests.effort import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "conformance"
SOURCE = Path(__file__).with_name("avr_runner.c")
FIRMWARE = BUILD / "StandardFirmata.hex"


def runner() -> Path:
    """The runner, compiled anew when its source is newer."""
    compiler = debian.program("gcc", "gcc libc6-dev")
    debian.file("/usr/include/simavr/sim_avr.h", "libsimavr-dev libelf-dev")
    binary = BUILD / "avr_runner"
    if not binary.exists() or binary.stat().st_mtime < SOURCE.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        words = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(binary), str(SOURCE), "-lsimavr", "-lelf"]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    if not FIRMWARE.exists():
        pytest.skip("没有 StandardFirmata.hex / no StandardFirmata.hex: make conformance")
    return binary


class Uno:
    """A board whose port is ``path``; ``outputs`` by digital pin, 0..255."""

    def __init__(self, path: Path) -> None:
        binary = runner()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.outputs: dict[int, int] = {}
        self.changes: list[tuple[float, int, int]] = []
        self.changed = threading.Condition()
        self._process = subprocess.Popen(
            [binary, FIRMWARE, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline()) == {"event": "ready"}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            note = json.loads(line)
            with self.changed:
                self.outputs[note["pin"]] = note["value"]
                self.changes.append((time.monotonic(), note["pin"], note["value"]))
                self.changed.notify_all()

    def order(self, line: str) -> None:
        """One order to the runner: ``reset``, ``adc CHANNEL MILLIVOLTS``, ``wire HEX``."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def gives(self, outputs: Mapping[int, int], timeout_s: float) -> float:
        """Wait until pins have these outputs; the seconds it took."""
        began = time.monotonic()
        with self.changed:
            assert self.changed.wait_for(
                lambda: all(self.outputs.get(pin, 0) == value for pin, value in outputs.items()), timeout_s
            ), f"{outputs} wanted, {self.outputs} found"
        return time.monotonic() - began

    def end(self) -> None:
        """Switch it off."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            if pipe is self._process.stdin:
                pipe.close()
                self._process.wait(PATIENCE_S)
                self._reader.join(PATIENCE_S)
            else:
                pipe.close()
