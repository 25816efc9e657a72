"""A scripted mBot on a pty: the parser of Makeblock's firmware 06.01, byte for byte, without its physics."""

from __future__ import annotations

import os
import pty
import struct
import threading
import time
import tty
from pathlib import Path

from tests.effort import PATIENCE_S

GET, RUN, RESET = 1, 2, 4
VERSION, MOTOR, JOYSTICK = 0, 0x0A, 0x05


class ScriptedMbot:
    """The kit's end of a pty, linked at ``path``; motors as PWM, no deadman, like the real one."""

    def __init__(self, path: Path, firmware: str = "06.01.007") -> None:
        self.path = path
        self.firmware = firmware
        self.motors = {9: 0, 10: 0}
        self.moved: list[tuple[float, dict[int, int]]] = []
        self.runs: list[tuple[int, bytes]] = []
        self.changed = threading.Condition()
        self.garbage = b""
        self._buffer = bytearray(52)
        self._index = 0
        self._left = 0
        self._started = False
        self._previous = 0
        self.plug()

    def plug(self) -> None:
        """Open a pty and link it."""
        self.mute = False  # it answers nothing
        self.cut = False  # nothing reaches it either
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        self._slave = slave
        self._gone = False
        self._reader = threading.Thread(target=self._read, args=(self._master,), daemon=True)
        self._reader.start()

    def unplug(self) -> None:
        """Pull the cable: the port is gone for whoever has it open."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close both ends; the reader is woken first, for a blocked read would keep the port alive."""
        if not self._gone:
            self._gone = True
            os.write(self._slave, b"x")
            self._reader.join(PATIENCE_S)
            os.close(self._slave)
            os.close(self._master)

    def standing(self) -> bool:
        """Whether both motors are off."""
        return not any(self.motors.values())

    def wait(self, standing: bool, timeout_s: float = PATIENCE_S) -> float:
        """Wait until the kit stands (or moves); returns the seconds it took; fails after the time."""
        began = time.monotonic()
        with self.changed:
            assert self.changed.wait_for(lambda: self.standing() is standing, timeout_s), (self.motors, self.runs[-5:])
        return time.monotonic() - began

    def runs_at(self, left: int, right: int, timeout_s: float = PATIENCE_S) -> None:
        """Wait until both motors have these PWM values."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.motors == {9: left, 10: right}, timeout_s), self.motors

    def _read(self, master: int) -> None:
        while True:
            data = os.read(master, 256)
            if self._gone:
                return
            for byte in b"" if self.cut else data:
                self._take(byte, master)

    def _take(self, byte: int, master: int) -> None:
        """``serialHandle`` of mbot_firmware.ino: a head is not looked for inside a frame."""
        if byte == 0x55 and not self._started:
            if self._previous == 0xFF:
                self._index, self._started = 1, True
        else:
            self._previous = byte
            if self._started:
                if self._index == 2:
                    self._left = byte
                elif self._index > 2:
                    self._left -= 1
                self._buffer[self._index % 52] = byte
        self._index += 1
        if self._index > 51:
            self._index, self._started = 0, False
        if self._started and self._left == 0 and self._index > 3:
            self._started = False
            self._parse(master)
            self._index = 0

    def _parse(self, master: int) -> None:
        index, action, device = self._buffer[3:6]
        if action == GET:
            self._answer(master, b"\xff\x55" + bytes([index]) + self._value(device) + b"\r\n")
        elif action in (RUN, RESET):
            with self.changed:
                self._run(action, device)
                self.changed.notify_all()
            self._answer(master, b"\xff\x55\r\n")

    def _run(self, action: int, device: int) -> None:
        self.runs.append((device if action == RUN else -1, bytes(self._buffer[6:12])))
        if action == RESET:
            self.motors = {9: 0, 10: 0}
        elif device == MOTOR:
            self.motors[self._buffer[6]] = struct.unpack_from("<h", self._buffer, 7)[0]
        elif device == JOYSTICK:
            left, right = struct.unpack_from("<hh", self._buffer, 6)
            self.motors = {9: left, 10: right}
        self.moved.append((time.monotonic(), dict(self.motors)))

    def _value(self, device: int) -> bytes:
        if device == VERSION:
            return bytes([4, len(self.firmware)]) + self.firmware.encode()
        return b"\x02" + struct.pack("<f", 2.0)

    def _answer(self, master: int, data: bytes) -> None:
        if self.mute:
            return
        os.write(master, self.garbage + data)

    def inject(self, data: bytes) -> None:
        """Send bytes to the gateway that no protocol knows."""
        os.write(self._master, data)

    def truncate(self) -> None:
        """Put the parser into the middle of a frame, as lost bytes on the cable do."""
        for byte in b"\xff\x55\x30\x00\x02":
            self._take(byte, self._master)
