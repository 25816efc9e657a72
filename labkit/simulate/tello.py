"""A Ryze Tello (Talent) in SDK mode: one command a datagram, state ten times a second; flying as a height over the table.

As documented: ``rc`` is never answered and holds until the next; after 15 s without any command it lands; ``takeoff`` and ``land`` answer
when they are done. Not documented and assumed: the speed of ``rc`` 100 (1 m/s, 100 degrees a second), ``vgx`` in 0.1 m/s.
Source: Tello SDK 3.0 User Guide (2021).
"""

from __future__ import annotations

import math
import random
import re
from enum import Enum

from labkit.lab import LabDevice
from labkit.simulate.body import Body
from labkit.simulate.faults import Faults, FaultyLine

SDK = "30"
CONTROLLER = "esp32v1.0.0.33"
SILENCE_S = 15.0
CRUISE_M, CLIMB_MPS = 0.8, 0.8
STATE_S = 0.1
RC_MPS, RC_RADPS = 1.0, math.radians(100)
BOOT_S = 3.0
_RC = re.compile(r"rc (-?\d{1,3}) (-?\d{1,3}) (-?\d{1,3}) (-?\d{1,3})")


class Flight(Enum):
    """What it does in the air."""

    GROUND = "on the ground"
    RISING = "takeoff"
    FLYING = "flying"
    LANDING = "land"


class TelloFirmware:
    """One drone."""

    def __init__(self, device: LabDevice, body: Body, faults: Faults, seed: int, now: float) -> None:
        self._device, self._body, self._faults = device, body, faults
        self._line = FaultyLine(faults, seed)
        self._random = random.Random(f"tello {seed}")
        self._sdk = False
        self._boots_at = now
        self._born = self._ticked = self._told_at = self._state_at = now
        self._owed = False
        self.flight = Flight.GROUND
        self.height_m = 0.0
        self.restarted = False

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take one datagram; its answer, if it has one."""
        if now < self._boots_at or self._random.random() < self._faults.drop:
            return []
        answer = self._answer(self._line.to_kit(data).decode("ascii", "replace").strip(), now)
        return self._out(answer)

    def tick(self, now: float) -> list[bytes]:
        """Rise, sink, land after 15 s of silence."""
        self._body.advance(now)
        passed, self._ticked = now - self._ticked, now
        if self._faults.brown_out_s and self._body.moving and self._random.random() < passed / self._faults.brown_out_s:
            self._fall(now, "brown-out")
            self._sdk, self._boots_at = False, now + BOOT_S
            return []
        if self.flight is Flight.FLYING and now - self._told_at > SILENCE_S:
            self._land(now, "silence")
        done = False
        if self.flight is Flight.RISING:
            self.height_m = min(CRUISE_M, self.height_m + CLIMB_MPS * passed)
            done = self.height_m == CRUISE_M
            self.flight = Flight.FLYING if done else self.flight
        elif self.flight is Flight.LANDING:
            self.height_m = max(0.0, self.height_m - CLIMB_MPS * passed)
            done = self.height_m == 0
            self.flight = Flight.GROUND if done else self.flight
        if done and self._owed:
            self._owed = False
            return self._out("ok")
        return []

    def pushes(self, now: float) -> list[bytes]:
        """The state, ten times a second once it is in SDK mode."""
        if not self._sdk or self._faults.deaf or now < self._state_at or now < self._boots_at:
            return []
        self._state_at = now + STATE_S
        if self._random.random() < self._faults.drop:
            return []
        ahead = (self._body.left_mps + self._body.right_mps) / 2
        yaw = round(-math.degrees(self._body.pose.heading))
        height = round(self.height_m * 100)
        state = {
            "mid": -2, "x": -200, "y": -200, "z": -200, "mpry": "0,0,0", "pitch": 0, "roll": 0, "yaw": yaw,
            "vgx": round(ahead * 10), "vgy": 0, "vgz": 0, "templ": 60, "temph": 63, "tof": max(10, height), "h": height,
            "bat": round(self._body.sense("battery", now)), "baro": "44.30", "time": 0,
            "agx": "0.00", "agy": "0.00", "agz": "-1000.00",
        }  # fmt: skip
        return [("".join(f"{key}:{value};" for key, value in state.items()) + "\r\n").encode()]

    def hung_up(self, now: float) -> None:
        """Datagrams have no end."""

    def _out(self, answer: str) -> list[bytes]:
        if not answer or self._random.random() < self._faults.drop:
            return []
        data = self._line.from_kit(answer.encode())
        return [data] if data else []

    def _answer(self, command: str, now: float) -> str:
        if command == "command":
            self._sdk, self._told_at = True, now
            return "ok"
        if not self._sdk:
            return ""
        self._told_at = now
        rc = _RC.fullmatch(command)
        if rc:
            self._rc([int(word) for word in rc.groups()], now)
            return ""
        match command:
            case "takeoff":
                return self._take_off()
            case "land":
                if self.flight is Flight.GROUND:
                    return "error"
                self._land(now, "land")
                self._owed = True
                return ""
            case "stop":
                return self._hover(now)
            case "emergency":
                self._fall(now, "emergency")
                return "ok"
            case "sdk?":
                return self._faults.firmware or SDK
            case "battery?":
                return str(round(self._body.sense("battery", now)))
            case "EXT version?" if "controller" not in self._faults.lacks.split():
                return CONTROLLER
        if command.startswith("EXT led") and "controller" not in self._faults.lacks.split():
            self._body.blinks += 1
            return "led ok"
        return f"unknown command: {command[:40]}"

    def _take_off(self) -> str:
        if self.flight is not Flight.GROUND:
            return "error"
        self.flight, self._owed = Flight.RISING, True
        return ""

    def _hover(self, now: float) -> str:
        if self.flight is Flight.GROUND:
            return "error Motor stop"
        self._body.run(0.0, 0.0, now, "stop")
        self.flight, self._owed = Flight.FLYING, False
        return "ok"

    def _rc(self, sticks: list[int], now: float) -> None:
        if self.flight is not Flight.FLYING or any(abs(stick) > 100 for stick in sticks):
            return
        _, forward, _, clockwise = sticks
        self._body.twist(forward / 100 * RC_MPS, -clockwise / 100 * RC_RADPS, now, "rc")

    def _land(self, now: float, why: str) -> None:
        self._body.run(0.0, 0.0, now, why)
        self.flight = Flight.LANDING

    def _fall(self, now: float, why: str) -> None:
        self._body.run(0.0, 0.0, now, why)
        self.flight, self.height_m, self._owed = Flight.GROUND, 0.0, False
