"""A simulated kit's serial port: a pty, with a link `<run_dir>/dev/<id>` to its other end."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import time
import tty
from pathlib import Path
from typing import Protocol

from labkit import ports
from labkit.errors import LabkitError

_READ = 4096


class Firmware(Protocol):
    """What a kit's microcontroller does."""

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take bytes from the PC; the replies, one by one."""

    def tick(self, now: float) -> list[bytes]:
        """Let time pass; what it says by itself."""


class SerialKit:
    """One firmware on one pty; all methods belong to one thread. ``usb`` (``vid:pid:serial@location``): how it shows itself."""

    def __init__(self, link: Path, firmware: Firmware, delay_s: float = 0.0, usb: str = "") -> None:
        self._firmware, self._delay_s, self._link = firmware, delay_s, link
        self._master, self._slave = os.openpty()
        # Both ends stay open here: a PC that closes the port takes nothing from the kit, which goes on as before.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._later: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        _link(link, os.ttyname(self._slave))
        # The run directory holds dev/<id> and, for a board that shows itself as a USB device, usb/<id>.json.
        stay = f"{os.getpid()}/{time.monotonic_ns()}"
        self._plugged = ports.plug_in(link.parents[1], link.name, link, usb, stay) if usb else None

    def fileno(self) -> int:
        """The kit's end of the line."""
        return self._master

    def readable(self, now: float) -> None:
        """Bytes have come from the PC."""
        with contextlib.suppress(BlockingIOError):
            self._say(self._firmware.feed(os.read(self._master, _READ), now), now)

    def tick(self, now: float) -> None:
        """Let time pass, and say what is due."""
        self._say(self._firmware.tick(now), now)
        while self._later and self._later[0][0] <= now:
            self._write(heapq.heappop(self._later)[2])

    def close(self) -> None:
        """Unplug the kit."""
        if self._plugged:
            self._plugged.unlink(missing_ok=True)
        if self._link.is_symlink() and os.readlink(self._link) == os.ttyname(self._slave):
            self._link.unlink()
        os.close(self._master)
        os.close(self._slave)

    def _say(self, replies: list[bytes], now: float) -> None:
        for reply in replies:
            if self._delay_s:
                heapq.heappush(self._later, (now + self._delay_s, next(self._order), reply))
            else:
                self._write(reply)

    def _write(self, data: bytes) -> None:
        # Nobody reads: a UART sends into the air all the same.
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)


def _link(link: Path, target: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f".{link.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    if link.exists() and not link.is_symlink():
        draft.unlink()
        raise LabkitError("port_taken", f"{link} 已存在，不是模拟串口", f"{link} exists and is no simulated port")
    draft.replace(link)
