"""Bad Wi-Fi on the loopback: a relay between a gateway and a kit that loses, delays, and goes down without a word."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import selectors
import socket
import threading
import time

from tests.effort import PATIENCE_S

RETRANSMIT_S = 0.2
TICK_S = 0.02
HOST = "127.0.0.1"


class Relay:
    """``port`` is where the gateway goes, ``target`` the kit's command port; ``pushes`` = (port of ours, port of the gateway).

    UDP: each datagram, in both directions, is lost with the chance ``loss``. TCP: a lost segment comes 0.2 s later, and what follows
    waits behind it. ``down``: nothing passes and nobody is told.
    """

    def __init__(self, kind: str, target: int, pushes: tuple[int, int], seed: int = 1) -> None:
        self._target, self._push_to = target, pushes[1]
        self._chance = random.Random(seed)
        self.loss = 0.0
        self.down = threading.Event()
        self._ended = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._later: list[tuple[float, int, socket.socket, bytes, tuple[str, int] | None]] = []
        self._order = itertools.count()
        self._free_at: dict[socket.socket, float] = {}
        self._other: dict[socket.socket, socket.socket] = {}
        self._gateway: tuple[str, int] | None = None
        self._stream = kind == "tcp"
        self._door = socket.socket(socket.AF_INET, socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM)
        self._door.bind((HOST, 0))
        self.port = int(self._door.getsockname()[1])
        self._ear = self._udp(pushes[0])
        if self._stream:
            self._door.listen(2)
        else:
            self._kit = self._udp(0)
            self._selector.register(self._kit, selectors.EVENT_READ)
        for one in (self._door, self._ear):
            one.setblocking(False)
            self._selector.register(one, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, and close everything."""
        self._ended.set()
        self._thread.join(PATIENCE_S)
        for one in {self._door, self._ear, *self._other, *([] if self._stream else [self._kit])}:
            one.close()
        self._selector.close()

    def up(self) -> None:
        """The link is back; streams that were cut stay dead."""
        self.down.clear()

    def _udp(self, port: int) -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((HOST, port))
        one.setblocking(False)
        return one

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(TICK_S):
                assert isinstance(key.fileobj, socket.socket)
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    self._take(key.fileobj)
            while self._later and self._later[0][0] <= time.monotonic():
                _, _, out, data, where = heapq.heappop(self._later)
                with contextlib.suppress(OSError):
                    if where:
                        out.sendto(data, where)
                    else:
                        out.sendall(data)

    def _take(self, one: socket.socket) -> None:
        if one.fileno() < 0:
            return  # closed by the other end a moment ago
        if self._stream and one is self._door:
            self._join(one.accept()[0])
        elif one in self._other:
            self._pump(one)
        else:
            data, sender = one.recvfrom(4096)
            if one is self._door:
                self._gateway = sender
                self._pass(self._kit, data, (HOST, self._target))
            elif one is self._ear:
                self._pass(self._ear, data, (HOST, self._push_to))
            elif self._gateway:
                self._pass(self._door, data, self._gateway)

    def _join(self, line: socket.socket) -> None:
        if self.down.is_set():
            line.close()
            return
        try:
            far = socket.create_connection((HOST, self._target), 1)
        except OSError:
            line.close()
            return
        for one, other in ((line, far), (far, line)):
            one.setblocking(False)
            self._other[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pump(self, one: socket.socket) -> None:
        other = self._other[one]
        data = one.recv(4096)
        if data:
            self._pass(other, data, None)
            return
        for end in (one, other):
            self._selector.unregister(end)
            del self._other[end]
            end.close()

    def _pass(self, out: socket.socket, data: bytes, where: tuple[str, int] | None) -> None:
        if self.down.is_set():
            return
        now = time.monotonic()
        lost = self._chance.random() < self.loss
        if where and lost:
            return
        at = max(now, self._free_at.get(out, 0.0)) + (RETRANSMIT_S if lost else 0.0)
        if where is None:
            self._free_at[out] = at
        heapq.heappush(self._later, (at, next(self._order), out, data, where))
