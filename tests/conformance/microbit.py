"""A micro:bit: its own MicroPython firmware (Debian's package) on the nRF51 of QEMU, its UART on a pty.

Two things QEMU's nRF51 has not: its timers do not run the firmware's PWM, so what is looked at are the pins that are written
digitally, the motors' directions; and without an analogue converter `display.read_light_level()` and `temperature()` never return, so
the cable replaces the question for the light by a number. All other bytes pass as they are.
"""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.conformance import debian
from tests.effort import PATIENCE_S

FIRMWARE = "/usr/share/firmware-microbit-micropython/firmware.hex"
GPIO_OUT = 0x50000504
PORT_BIT = {13: 23, 14: 22, 15: 21, 16: 16}
"""Edge connector pin → bit of port 0."""
LOOK_S = 0.01
LIGHT, DARKNESS = b"display.read_light_level()", b"7"


class Microbit:
    """A board whose port is ``path``."""

    def __init__(self, folder: Path) -> None:
        qemu = debian.program("qemu-system-arm", "qemu-system-arm")
        firmware = debian.file(FIRMWARE, "firmware-microbit-micropython")
        self.path = folder / "tty-microbit"
        serial, monitor = folder / "uart", folder / "monitor"
        doors = ["-serial", f"unix:{serial},server=on,wait=off", "-monitor", f"unix:{monitor},server=on,wait=off"]
        board = ["-M", "microbit", "-device", f"loader,file={firmware}", "-display", "none"]
        self._process = subprocess.Popen([qemu, *board, *doors])
        self._uart, self._monitor = _connect(serial), _connect(monitor)
        self._prompt()
        self._plugged = False
        self._cable = threading.Lock()
        self._listener = threading.Thread(target=self._to_port, daemon=True)
        self._listener.start()
        self.plug()

    def plug(self) -> None:
        """Plug the cable in: a port that was not there before."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        with self._cable:
            self._master, self._slave, self._plugged = master, slave, True
        self._speaker = threading.Thread(target=self._to_board, args=(master,), daemon=True)
        self._speaker.start()

    def unplug(self) -> None:
        """Pull the cable; the board runs on from its battery."""
        with self._cable:
            if not self._plugged:
                return
            self._plugged = False
        self.path.unlink()
        os.write(self._slave, b"x")  # wakes the reader, which keeps the port alive
        self._speaker.join(PATIENCE_S)
        os.close(self._slave)
        os.close(self._master)

    def inject(self, data: bytes) -> None:
        """Bytes that come to the board through the cable, though nobody at the port has sent them."""
        self._uart.sendall(data)

    def reset(self) -> None:
        """Press its reset button."""
        self._monitor.sendall(b"system_reset\n")
        self._prompt()

    def level(self, pin: int) -> int:
        """What a pin of the edge connector gives, 0 or 1."""
        self._monitor.sendall(f"xp /1wx {GPIO_OUT:#x}\n".encode())
        word = self._prompt().rsplit(":", 1)[1].split()[0]
        return int(word, 16) >> PORT_BIT[pin] & 1

    def gives(self, levels: Mapping[int, int], timeout_s: float) -> float:
        """Wait until pins have these levels; the seconds it took."""
        began, pace = time.monotonic(), threading.Event()
        while (found := {pin: self.level(pin) for pin in levels}) != levels:
            assert time.monotonic() - began < timeout_s, f"{levels} wanted, {found} found"
            pace.wait(LOOK_S)
        return time.monotonic() - began

    def changes(self, pin: int, looks: int = 200) -> bool:
        """Whether a pin has both levels in so many looks."""
        return len({self.level(pin) for _ in range(looks)}) == 2

    def end(self) -> None:
        """Switch it off."""
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self.unplug()
        self._listener.join(PATIENCE_S)
        for one in (self._uart, self._monitor):
            one.close()

    def _to_board(self, master: int) -> None:
        while True:
            data = os.read(master, 256)
            if not self._plugged:
                return
            with suppress(BrokenPipeError, ConnectionResetError):  # switched off
                self._uart.sendall(data.replace(LIGHT, DARKNESS))

    def _to_port(self) -> None:
        with suppress(ConnectionResetError):  # switched off
            while data := self._uart.recv(256):
                with self._cable:
                    if self._plugged:
                        os.write(self._master, data)

    def _prompt(self) -> str:
        """The monitor's answer up to its next prompt."""
        answer = b""
        while not answer.endswith(b"(qemu) "):
            answer += self._monitor.recv(4096)
        return answer.decode().removesuffix("(qemu) ")


def _connect(path: Path) -> socket.socket:
    """A connection to a door of QEMU, which opens a moment after its start."""
    pace = threading.Event()
    for _ in range(500):
        one = socket.socket(socket.AF_UNIX)
        try:
            one.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            one.close()
            pace.wait(0.02)
            continue
        return one
    raise AssertionError(f"QEMU does not open {path}")
