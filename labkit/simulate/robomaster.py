"""A RoboMaster EP's plaintext SDK: commands that end in ``;``, answers that repeat the number.

As documented: nothing but ``command`` is answered outside the SDK mode; a stream that ends leaves that mode. What is not documented is
taken at its worst: the wheels keep turning when the stream ends, and no velocity ever runs out. There is no deadman.
Source: DJI RoboMaster Developer Guide, plaintext protocol.
"""

from __future__ import annotations

import math
import random
import re

from labkit.lab import LabDevice
from labkit.simulate.body import Body
from labkit.simulate.faults import Faults, FaultyLine

VERSION = "00.00.00.60"
BUFFER = 1024
BOOT_S = 2.0
PUSH_S = 0.2
MAX_MPS, MAX_DPS = 3.5, 600.0
_SPEED = re.compile(r"chassis speed x (\S+) y (\S+) z (\S+)")
_NUMBER = re.compile(r"[+-]?\d{1,6}(\.\d{1,6})?")


class RobomasterFirmware:
    """The controller of one EP chassis with an infrared distance sensor in front."""

    def __init__(self, device: LabDevice, body: Body, faults: Faults, seed: int, now: float) -> None:
        self._body, self._faults = body, faults
        self._line = FaultyLine(faults, seed)
        self._random = random.Random(f"ep {seed}")
        self._buffer = b""
        self._sdk = False
        self._pushed = {"attitude": False, "status": False}
        self._push_at = now
        self._boots_at = now
        self._ticked = now
        self._device = device
        self.restarted = False

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take bytes of the stream; the answers, one by one."""
        if now < self._boots_at:
            return []
        self._buffer = (self._buffer + self._line.to_kit(data))[-BUFFER:]
        answers = []
        while b";" in self._buffer:
            raw, _, self._buffer = self._buffer.partition(b";")
            if self._random.random() >= self._faults.drop:
                answer = self._line.from_kit(self._obey(raw.decode("ascii", "replace").strip(), now))
                if answer:
                    answers.append(answer)
        return answers

    def tick(self, now: float) -> list[bytes]:
        """Let time pass; a brown-out restarts the robot, which drops its motors and every connection."""
        self._body.advance(now)
        passed, self._ticked = now - self._ticked, now
        if self._body.moving and self._faults.brown_out_s and self._random.random() < passed / self._faults.brown_out_s:
            self._body.run(0.0, 0.0, now, "brown-out")
            self._boots_at = now + BOOT_S
            self.restarted = True
            self.hung_up(now)
        return []

    def pushes(self, now: float) -> list[bytes]:
        """``chassis push attitude …`` and ``status …`` five times a second, where they were switched on."""
        if now < self._push_at or self._faults.deaf or not any(self._pushed.values()):
            return []
        self._push_at = now + PUSH_S
        parts = []
        if self._pushed["attitude"]:
            parts.append(f"attitude 0.000 0.000 {self._yaw():.3f} ")
        if self._pushed["status"]:
            parts.append(f"status {int(not self._body.moving)} 0 0 0 0 0 0 0 0 0 0 ")
        return [("chassis push " + "; ".join(parts) + ";").encode()]

    def hung_up(self, _now: float) -> None:
        """Out of the SDK mode; the wheels are left as they are."""
        self._sdk = False
        self._buffer = b""
        self._pushed = dict.fromkeys(self._pushed, False)

    def _obey(self, text: str, now: float) -> bytes:
        command, mark, number = text.partition(" seq ")
        answer = self._answer(" ".join(command.split()), now)
        if not answer:
            return b""
        return f"{answer}{mark}{number.strip()};".encode("ascii", "replace")

    def _answer(self, command: str, now: float) -> str:
        if command == "command":
            self._sdk = True
            return "ok"
        if not self._sdk:
            return ""
        if command == "quit":
            self.hung_up(now)
            return "ok"
        if command == "version":
            return f"version {self._faults.firmware or VERSION}"
        if command.endswith(" ?"):
            return self._tell(command[:-2], now)
        speed = _SPEED.fullmatch(command)
        if speed:
            return self._run(speed[1], speed[2], speed[3], now)
        words = command.split()
        if words[:2] == ["chassis", "push"]:
            for name in self._pushed:
                if name in words[:-1]:
                    self._pushed[name] = words[words.index(name) + 1] == "on"
            return "ok"
        if words[:2] == ["led", "control"]:
            self._body.blinks += 1
            return "ok"
        if words[:2] == ["ir_distance_sensor", "measure"]:
            return "error" if "ir" in self._faults.lacks.split() else "ok"
        return "ok" if words[:2] == ["robot", "mode"] else "error"

    def _run(self, x: str, y: str, z: str, now: float) -> str:
        if not all(_NUMBER.fullmatch(word) for word in (x, y, z)):
            return "error"
        forward, aside, clockwise = float(x), float(y), float(z)
        if max(abs(forward), abs(aside)) > MAX_MPS or abs(clockwise) > MAX_DPS:
            return "error"
        self._body.twist(forward, -math.radians(clockwise), now, "chassis speed")
        return "ok"

    def _tell(self, what: str, now: float) -> str:
        match what:
            case "robot battery":
                return str(round(self._body.sense("battery", now)))
            case "chassis attitude":
                return f"0.000 0.000 {self._yaw():.3f}"
            case "ir_distance_sensor distance 1" if "ir" not in self._faults.lacks.split():
                return str(round(self._body.sense("range", now) * 10))
        return "error"

    def _yaw(self) -> float:
        return -math.degrees(self._body.pose.heading)
