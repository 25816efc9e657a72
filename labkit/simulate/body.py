"""A simulated robot's body: motors, sensors and battery over time, and a record of every change of its motors."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from labkit.model import Drive
from labkit.simulate import physics
from labkit.simulate.physics import Arena, Battery, Pose

# What a body has done with its motors is advanced at least this often, so that a long sleep is no leap.
MAX_LEAP_S = 5.0


class MotorLog:
    """`<run_dir>/sim/<id>.jsonl`: one line a change, flushed, so that a test can prove when a robot stood still.

    `{"at": seconds of the machine's monotonic clock, "time": ISO UTC, "left": m/s, "right": m/s, "why": text}`
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._out: TextIO = path.open("a", encoding="utf-8")

    def put(self, now: float, left_mps: float, right_mps: float, why: str) -> None:
        """Append one change."""
        line = {
            "at": round(now, 4),
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "left": round(left_mps, 3),
            "right": round(right_mps, 3),
            "why": why,
        }
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()

    def close(self) -> None:
        """Close the file."""
        self._out.close()


class Body:
    """Wheels on the table. Times are the monotonic clock's, handed in; speeds are the wheels', forward positive."""

    def __init__(self, arena: Arena, start: Pose, drive: Drive, seed: int, log: MotorLog, now: float) -> None:
        self._arena, self._drive, self._log = arena, drive, log
        self._random = random.Random(f"body {seed}")
        self.pose = start
        self.battery = Battery(7.4 * self._random.uniform(0.7, 1.0))
        self.left_mps = self.right_mps = 0.0
        self.blinks = 0
        self._at = now
        log.put(now, 0.0, 0.0, "start")

    @property
    def moving(self) -> bool:
        """Whether a motor is on."""
        return self.left_mps != 0 or self.right_mps != 0

    def run(self, left_mps: float, right_mps: float, now: float, why: str) -> None:
        """Set both wheels' speeds from `now` on; an empty battery moves nothing."""
        self.advance(now)
        if self.battery.left_wh == 0:
            left_mps = right_mps = 0.0
        if (left_mps, right_mps) != (self.left_mps, self.right_mps):
            self.left_mps, self.right_mps = left_mps, right_mps
            self._log.put(now, left_mps, right_mps, why)

    def twist(self, linear_x: float, angular_z: float, now: float, why: str) -> None:
        """Set both wheels from m/s forward and rad/s to the left."""
        half = angular_z * self._drive.wheel_base_m / 2
        self.run(linear_x - half, linear_x + half, now, why)

    def advance(self, now: float) -> None:
        """Let time pass up to `now`."""
        while self._at < now:
            seconds = min(now - self._at, MAX_LEAP_S)
            self._at += seconds
            self.pose, _ = physics.drive(
                self._arena, self.pose, self.left_mps, self.right_mps, self._drive.wheel_base_m, seconds
            )
            effort = (abs(self.left_mps) + abs(self.right_mps)) / self._drive.max_mps
            self.battery = self.battery.after(seconds, effort)
        if self.moving and self.battery.left_wh == 0:
            self.run(0.0, 0.0, now, "battery empty")

    def sense(self, name: str, now: float) -> float:
        """A sensor's reading: `range` cm, `line` 0–3 (left sensor 2, right 1; set = white), `light` 0–1023, `battery` %.

        Raises KeyError for a sensor that the body does not have.
        """
        self.advance(now)
        match name:
            case "range":
                return min(
                    physics.MAX_RANGE_CM,
                    max(2.0, physics.range_cm(self._arena, self.pose) + self._random.gauss(0, 0.3)),
                )
            case "line":
                left, right = physics.line_bits(self._arena, self.pose)
                return 2.0 * left + right
            case "light":
                return min(1023.0, max(0.0, physics.light(self._arena, self.pose) + self._random.gauss(0, 2)))
            case "battery":
                return self.battery.percent
        raise KeyError(name)
