"""An mBot with Makeblock's factory firmware 06.01, or an Orion board with its sister 0a.01: bytes in, bytes out.

Exactly as the firmware's loop treats them: no deadman; one buffer of 52 bytes, so that a frame that lost bytes swallows what follows; no checksum, so that
zeros complete it and are obeyed; the acknowledgement of RUN carries no index; a short is sent as four bytes.
Source: Makeblock mBot firmware 06.01, `mbot_firmware.ino` (loop, parseData, runModule, readSensor).
"""

from __future__ import annotations

import random
import struct

from labkit.lab import LabDevice
from labkit.model import Drive
from labkit.simulate.body import Body
from labkit.simulate.faults import Faults, FaultyLine

FIRMWARE = "06.01.009"
VERSIONS = {"makeblock-orion": "0a.01.007"}
M1, M2 = 9, 10
GET, RUN, RESET, START = 1, 2, 4, 5
VERSION, ULTRASONIC, LIGHT, JOYSTICK, RGB_LED, MOTOR = 0x00, 0x01, 0x03, 0x05, 0x08, 0x0A
LINE_FOLLOWER, TONE, BUTTON, TIMER = 0x11, 0x22, 0x23, 0x32
BUFFER = 52
BOOT_S = 1.2
_OK = b"\xff\x55\r\n"


class MbotFirmware:
    """One mCore board; `feed` is its serial line."""

    def __init__(self, device: LabDevice, body: Body, faults: Faults, seed: int, now: float) -> None:
        drive = device.profile.drive
        if drive is None:
            raise ValueError(f"{device.id}: {device.profile.id} has no drive")
        self._drive: Drive = drive
        self._body, self._faults = body, faults
        self._firmware = faults.firmware or VERSIONS.get(device.profile.id, FIRMWARE)
        self._line = FaultyLine(faults, seed)
        self._random = random.Random(f"mbot {seed}")
        self._pwm = {M1: 0, M2: 0}
        self._buffer = bytearray(BUFFER)
        self._index = self._left = self._previous = 0
        self._started = False
        self._born = now
        self._boots_at = now
        self._driven_s = 0.0
        self._ticked = now

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take bytes from the PC; the replies, one by one."""
        if now < self._boots_at:
            return []
        replies = []
        for byte in self._line.to_kit(data):
            if self._collect(byte):
                reply = self._line.from_kit(self._parse(now))
                if reply:
                    replies.append(reply)
        return replies

    def tick(self, now: float) -> list[bytes]:
        """Let time pass; a brown-out restarts the board, which drops the motors and is deaf while it boots."""
        self._body.advance(now)
        passed, self._ticked = now - self._ticked, now
        if self._body.moving and self._faults.brown_out_s and self._random.random() < passed / self._faults.brown_out_s:
            self._boots_at = now + BOOT_S
            self._pwm = {M1: 0, M2: 0}
            self._started, self._index = False, 0
            self._body.run(0.0, 0.0, now, "brown-out")
            return [b"Version: " + self._version().encode() + b"\r\n"]
        return []

    def _collect(self, byte: int) -> bool:
        """The firmware's loop for one byte; whether a frame is complete."""
        if byte == 0x55 and not self._started:
            if self._previous == 0xFF:
                self._index, self._started = 1, True
        else:
            self._previous = byte
            if self._started:
                if self._index == 2:
                    self._left = byte
                elif self._index > 2:
                    self._left = (self._left - 1) & 0xFF
                self._buffer[self._index] = byte
        self._index += 1
        if self._index > BUFFER - 1:
            self._index, self._started = 0, False
        if self._started and self._left == 0 and self._index > 3:
            self._started, self._index = False, 0
            return True
        return False

    def _parse(self, now: float) -> bytes:
        index, action, device = self._buffer[3], self._buffer[4], self._buffer[5]
        if action == GET:
            return b"\xff\x55" + bytes([index]) + self._read(device, now) + b"\r\n"
        if action == RUN:
            self._run(device, now)
            return _OK
        if action == RESET:
            self._motors({M1: 0, M2: 0}, now, "reset")
            return _OK
        return _OK if action == START else b""

    def _read(self, device: int, now: float) -> bytes:
        if device == VERSION:
            text = self._version().encode()
            return bytes([4, len(text)]) + text
        if device == ULTRASONIC:
            return _float(self._body.sense("range", now))
        if device == LINE_FOLLOWER:
            return _float(self._body.sense("line", now))
        if device == LIGHT:
            return _float(round(self._body.sense("light", now)))
        if device == TIMER:
            return _float(now - self._born)
        if device == BUTTON:
            return b"\x01\x00"
        return b""

    def _run(self, device: int, now: float) -> None:
        if device == MOTOR:
            port = self._buffer[6]
            if port in self._pwm:
                self._motors({port: self._short(7)}, now, "run")
        elif device == JOYSTICK:
            self._motors({M1: self._short(6), M2: self._short(8)}, now, "joystick")
        elif device in (RGB_LED, TONE):
            self._body.blinks += 1

    def _motors(self, pwm: dict[int, int], now: float, why: str) -> None:
        self._pwm |= {port: max(-255, min(255, value)) for port, value in pwm.items()}
        left, right = (
            self._speed(name, self._pwm[port]) for name, port in ((self._drive.left, M1), (self._drive.right, M2))
        )
        self._body.run(left, right, now, why)

    def _speed(self, motor: str, pwm: int) -> float:
        turned = -pwm if motor in self._drive.invert else pwm
        return turned / self._drive.max_pwm * self._drive.max_mps

    def _short(self, at: int) -> int:
        return int(struct.unpack_from("<h", self._buffer, at)[0])

    def _version(self) -> str:
        return self._firmware


def _float(value: float) -> bytes:
    return b"\x02" + struct.pack("<f", value)
