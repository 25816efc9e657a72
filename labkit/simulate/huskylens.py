"""A HuskyLens on a serial line: answers knocks and requests with objects that wander through its picture.

Which objects there are follows from the algorithm: faces, things, a line as an arrow, colours, tags. Like the real one it says nothing
unasked, keeps its algorithm while it has power, and ignores a frame with a wrong sum.
Source: HuskyLens/HUSKYLENSArduino, ``HUSKYLENS Protocol.md``.
"""

from __future__ import annotations

import math
import random
import struct

from labkit.codecs.huskylens import ALGORITHM, ARROW, BLOCK, HEAD, HEIGHT, INFO, KNOCK, OK, REQUEST, WIDTH, frame
from labkit.lab import LabDevice
from labkit.simulate.faults import Faults, FaultyLine

ALGORITHMS = 7
LINE_TRACKING = 3
FRAMES_A_SECOND = 20
_SIZES = {0: 60, 1: 80, 2: 90, 4: 50, 5: 40, 6: 120}


class Huskylens:
    """One camera; ``feed`` is its serial line."""

    def __init__(self, device: LabDevice, faults: Faults, seed: int, now: float) -> None:
        self._faults = faults
        self._line = FaultyLine(faults, seed)
        chance = random.Random(f"husky {seed}")
        self._phases = [chance.uniform(0, math.tau) for _ in range(3)]
        self._born = now
        self._buffer = bytearray()
        self.algorithm = 0

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take bytes from the PC; the replies, one by one."""
        self._buffer += self._line.to_kit(data)
        replies: list[bytes] = []
        while len(self._buffer) >= 6:
            if self._buffer[:3] != HEAD:
                del self._buffer[0]
                continue
            size = 6 + self._buffer[3]
            if len(self._buffer) < size:
                break
            asked = bytes(self._buffer[:size])
            if sum(asked[:-1]) & 0xFF == asked[-1]:
                del self._buffer[:size]
                replies += self._answer(asked[4], asked[5:-1], now)
            else:
                del self._buffer[0]
        return [cut for reply in replies if (cut := self._line.from_kit(reply))]

    def tick(self, now: float) -> list[bytes]:
        """It says nothing unasked."""
        return []

    def _answer(self, command: int, data: bytes, now: float) -> list[bytes]:
        if command == KNOCK:
            return [] if self._faults.firmware else [frame(OK)]
        if command == ALGORITHM and len(data) == 2:
            number = struct.unpack("<H", data)[0]
            if number < ALGORITHMS:
                self.algorithm = number
            return [frame(OK)]
        if command != REQUEST:
            return []
        seen = self._seen(now - self._born)
        number = int((now - self._born) * FRAMES_A_SECOND) & 0x7FFF
        info = struct.pack("<HHH4x", len(seen), sum(1 for _, values in seen if values[4]), number)
        return [frame(INFO, info), *(frame(kind, struct.pack("<5h", *values)) for kind, values in seen)]

    def _seen(self, t: float) -> list[tuple[int, tuple[int, int, int, int, int]]]:
        if self.algorithm == LINE_TRACKING:
            lean = round(60 * math.sin(t / 3 + self._phases[0]))
            return [(ARROW, (WIDTH // 2, HEIGHT - 1, WIDTH // 2 + lean, 40, 1))]
        size = _SIZES[self.algorithm]
        found = []
        for number, phase in enumerate(self._phases[: 1 + self.algorithm % 3]):
            x = round(WIDTH / 2 + (WIDTH / 2 - size) * math.sin(t / (4 + number) + phase))
            y = round(HEIGHT / 2 + (HEIGHT / 2 - size) * math.cos(t / (5 + number) + phase))
            found.append((BLOCK, (x, y, size, size, number)))
        return found
