"""A board with MicroPython: its serial line, its raw REPL, and the program that it runs.

As on the board: ``03`` interrupts what runs (and empties the serial buffer), at the raw prompt it clears the line; while something
runs, only as many bytes wait as the buffer holds, the rest is lost; ``04`` on an empty line restarts the interpreter. There is no
deadman but the one that the installed program makes. Source: micropython/micropython ``shared/runtime/pyexec.c``.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from labkit.lab import LabDevice
from labkit.simulate.body import Body
from labkit.simulate.faults import Faults, FaultyLine
from labkit.simulate.micropython import Machine, Steps, Thing, Thrown
from labkit.simulate.repl_hardware import hardware_of

BANNER = b"raw REPL; CTRL-B to exit\r\n"
BOOT_S = 0.6
STEPS_A_BYTE = 12
STEPS_A_TICK = 40
STEPS_A_CALLBACK = 200
MAX_LINE = 4096
INTERRUPT = Thrown("KeyboardInterrupt")


@dataclass
class _Periodic:
    period_s: float
    callback: object
    due: float


class ReplBoard:
    """One board; ``feed`` is its serial line."""

    def __init__(self, device: LabDevice, body: Body, faults: Faults, seed: int, now: float) -> None:
        drive = device.profile.drive
        if drive is None:
            raise ValueError(f"{device.id}: {device.profile.id} has no drive")
        self.now = now
        self._body, self._faults = body, faults
        self._line = FaultyLine(faults, seed)
        self._random = random.Random(f"repl {seed}")
        self._hardware = hardware_of(device.profile.transport.program)(device, body, drive, self)
        if faults.firmware:
            self._hardware.machine = faults.firmware
        self._out = bytearray()
        self._ticked = self._boots_at = now
        self._typed, self._buffer = bytearray(), deque[int]()
        self._periodic: list[_Periodic] = []
        self._running: Steps | None = None
        self._boot()

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take bytes from the PC; what the board sends meanwhile."""
        self.now = now
        if now < self._boots_at:
            return []
        for byte in self._line.to_kit(data):
            self._receive(byte)
            self._step(STEPS_A_BYTE)
        self._step(STEPS_A_TICK)
        return self._said()

    def tick(self, now: float) -> list[bytes]:
        """Let time pass; a brown-out restarts the board, which drops its motors, its program and the raw REPL."""
        self.now = now
        self._body.advance(now)
        passed, self._ticked = now - self._ticked, now
        if self._body.moving and self._faults.brown_out_s and self._random.random() < passed / self._faults.brown_out_s:
            self.power_cycle(now)
        if now >= self._boots_at:
            self._step(STEPS_A_TICK)
        return self._said()

    def any(self) -> bool:
        """Whether bytes wait in the serial buffer."""
        return bool(self._buffer)

    def every(self, period_ms: int, callback: object) -> None:
        """A timer of the board."""
        period_s = max(0.001, period_ms / 1000)
        self._periodic = [_Periodic(period_s, callback, self.now + period_s)]

    @property
    def shows(self) -> int:
        """How often it has shown itself."""
        return self._hardware.shows

    def power_cycle(self, now: float) -> None:
        """A brown-out: outputs low, no program, deaf while it boots."""
        self._boots_at = now + BOOT_S
        self._boot()

    def start(self, source: str) -> None:
        """Run a program as a flashed ``main.py`` does."""
        self._run(source)

    def _boot(self) -> None:
        self._raw = self._interrupted = False
        self._typed.clear()
        self._buffer.clear()
        self._running = None
        self._periodic = []
        self._hardware.reset()
        self._machine = self._new_machine()
        self._out += b"MicroPython v1.9.2 on simulated; " + self._hardware.machine.encode() + b"\r\n>>> "

    def _new_machine(self) -> Machine:
        builtins: dict[str, object] = {
            "print": self._print,
            "abs": abs,
            "range": lambda *ends: range(*ends),
            "len": len,
            "int": int,
            "min": min,
            "max": max,
            "round": round,
            "__import__": lambda name: Thing(self._machine.modules[name]),
        }
        return Machine(self._hardware.modules(), builtins)

    def _print(self, *values: object) -> None:
        self._out += " ".join(str(value) for value in values).encode("utf-8", "replace") + b"\r\n"

    def _said(self) -> list[bytes]:
        said = self._line.from_kit(bytes(self._out))
        self._out.clear()
        return [said] if said else []

    # ---- the serial line ------------------------------------------------------------------------------------------

    def _receive(self, byte: int) -> None:
        if self._running is None:
            self._type(byte)
        elif byte == 3:
            self._buffer.clear()
            self._interrupted = True
        elif len(self._buffer) < self._hardware.buffer:
            self._buffer.append(byte)

    def _type(self, byte: int) -> None:
        if byte == 1:
            self._raw = True
            self._typed.clear()
            self._out += BANNER + b">"
        elif byte == 3:
            self._typed.clear()
            self._out += b"" if self._raw else b"\r\n>>> "
        elif not self._raw:
            self._friendly(byte)
        elif byte == 2:
            self._raw = False
            self._out += b"\r\n>>> "
        elif byte == 4:
            self._enter()
        elif len(self._typed) < MAX_LINE:
            self._typed.append(byte)

    def _friendly(self, byte: int) -> None:
        """The prompt for people: it echoes; code that is typed there is not simulated."""
        if byte == 4:
            self._restart()
        else:
            self._out += b"\r\n>>> " if byte == 13 else bytes([byte])

    def _enter(self) -> None:
        source = self._typed.decode("utf-8", "replace").replace("\r", "\n")
        empty = not self._typed
        self._typed.clear()
        self._out += b"OK"
        if empty:
            self._restart()
        else:
            self._run(source)

    def _restart(self) -> None:
        """A soft reboot: the program's names and timers go, the outputs stay as they are."""
        self._machine = self._new_machine()
        self._periodic = []
        self._out += b"\r\nMPY: soft reboot\r\n" + (BANNER + b">" if self._raw else b">>> ")

    # ---- the program ----------------------------------------------------------------------------------------------

    def _run(self, source: str) -> None:
        self._interrupted = False
        self._running = self._machine.run(source)

    def _step(self, steps: int) -> None:
        self._call_back()
        for _ in range(steps):
            running = self._running
            if running is None:
                if not self._buffer:
                    return
                self._type(self._buffer.popleft())
            elif self._interrupted:
                self._interrupted = False
                self._advance(lambda steps=running: steps.throw(INTERRUPT))  # type: ignore[misc]  # bound at once
            else:
                self._advance(lambda steps=running: next(steps))  # type: ignore[misc]  # bound at once

    def _advance(self, step: Callable[[], object]) -> None:
        try:
            step()
        except StopIteration:
            self._ended(b"")
        except Thrown as thrown:
            place = b'Traceback (most recent call last):\r\n  File "<stdin>", line 1\r\n'
            self._ended(place + str(thrown).encode("utf-8", "replace") + b"\r\n")

    def _ended(self, error: bytes) -> None:
        self._running = None
        self._out += b"\x04" + error + b"\x04>" if self._raw else error + b"\r\n>>> "

    def _call_back(self) -> None:
        """A timer's callback comes between two steps of whatever runs, as the board's scheduler does it."""
        for timer in [t for t in self._periodic if self.now >= t.due]:
            timer.due = self.now + timer.period_s
            steps = self._machine.call(timer.callback, timer)
            try:
                for _, _ in zip(range(STEPS_A_CALLBACK), steps, strict=False):
                    pass
            except Thrown as thrown:
                self._out += str(thrown).encode("utf-8", "replace") + b"\r\n"
