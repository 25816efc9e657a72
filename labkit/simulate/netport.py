"""A simulated text kit's sockets: commands over TCP or UDP, pushes by UDP to whoever commands."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import selectors
import socket
from pathlib import Path
from typing import Protocol

from labkit.lab import LabDevice
from labkit.links.text import TextAddress

log = logging.getLogger("labkit.simulate")
_READ = 2048
_HOST = "127.0.0.1"


class TextFirmware(Protocol):
    """What a text kit's controller does."""

    restarted: bool

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take what came from the PC; the answers, one by one."""

    def tick(self, now: float) -> list[bytes]:
        """Let time pass; late answers."""

    def pushes(self, now: float) -> list[bytes]:
        """Datagrams that it sends by itself now."""

    def hung_up(self, now: float) -> None:
        """The stream to the PC is over."""


class NetKit:
    """One firmware behind one command socket; all methods belong to one thread.

    A URL ``sim:`` gets free ports on the loopback, told in the file ``<run_dir>/dev/<id>``; a ``tcp:`` or ``udp:`` URL is served there.
    """

    def __init__(self, device: LabDevice, run_dir: Path, firmware: TextFirmware, delay_s: float = 0.0) -> None:
        self._firmware, self._delay_s = firmware, delay_s
        self._stream = device.profile.transport.type == "tcp"
        kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
        self._door = socket.socket(socket.AF_INET, kind)
        self._pushes = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._file = device.port(run_dir) if device.scheme == "sim" else None
        if self._stream:
            self._door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._file is None:
            address = TextAddress.parse(device.url, device.profile.transport)
            self._door.bind((address.host, int(address.url.rpartition(":")[2])))
            self._push_port = address.push_port
        else:
            self._door.bind((_HOST, 0))
            self._push_port = _free_port()
            _tell(self._file, f"{'tcp' if self._stream else 'udp'}://{_HOST}:{self.port}?push={self._push_port}")
        self._door.setblocking(False)
        self._pushes.bind((self._door.getsockname()[0], 0))
        if self._stream:
            self._door.listen(2)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._door, selectors.EVENT_READ)
        self._line: socket.socket | None = None
        self._peer: tuple[str, int] | None = None
        self._later: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()

    @property
    def port(self) -> int:
        """The command port."""
        return int(self._door.getsockname()[1])

    def fileno(self) -> int:
        """Readable when any of its sockets is."""
        return self._selector.fileno()

    def readable(self, now: float) -> None:
        """Something has come from the PC."""
        for key, _ in self._selector.select(0):
            if key.fileobj is self._line:
                self._hear(now)
            elif self._stream:
                self._accept(now)
            else:
                self._receive(now)

    def tick(self, now: float) -> None:
        """Let time pass, say what is due, push."""
        self._say(self._firmware.tick(now), now)
        if self._firmware.restarted:
            self._firmware.restarted = False
            self._hang_up(now)
        while self._later and self._later[0][0] <= now:
            self._write(heapq.heappop(self._later)[2])
        for datagram in self._firmware.pushes(now):
            if self._peer and self._push_port:
                # Nobody listens: a datagram goes into the air all the same.
                with contextlib.suppress(OSError):
                    self._pushes.sendto(datagram, (self._peer[0], self._push_port))

    def close(self) -> None:
        """Switch the kit off."""
        if self._file:
            self._file.unlink(missing_ok=True)
        if self._line:
            self._line.close()
        self._selector.close()
        self._door.close()
        self._pushes.close()

    def _accept(self, now: float) -> None:
        line, self._peer = self._door.accept()
        line.setblocking(False)
        # The newest wins: an old stream whose link was lost must not keep the robot from coming back.
        self._hang_up(now, keep_peer=True)
        self._line = line
        self._selector.register(line, selectors.EVENT_READ)

    def _hear(self, now: float) -> None:
        assert self._line is not None
        try:
            data = self._line.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._say(self._firmware.feed(data, now), now)
        else:
            self._hang_up(now)

    def _receive(self, now: float) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            data, self._peer = self._door.recvfrom(_READ)
            self._say(self._firmware.feed(data, now), now)

    def _hang_up(self, now: float, keep_peer: bool = False) -> None:
        if not keep_peer:
            self._peer = None
        if self._line:
            self._selector.unregister(self._line)
            self._line.close()
            self._line = None
            self._later.clear()
            self._firmware.hung_up(now)

    def _say(self, answers: list[bytes], now: float) -> None:
        for answer in answers:
            if self._delay_s:
                heapq.heappush(self._later, (now + self._delay_s, next(self._order), answer))
            else:
                self._write(answer)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if self._line:
                self._line.send(data)
            elif not self._stream and self._peer:
                self._door.sendto(data, self._peer)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _tell(file: Path, url: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(url + "\n", encoding="ascii")
    draft.replace(file)
