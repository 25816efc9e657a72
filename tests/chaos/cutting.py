"""A line that breaks: a relay on this machine that cuts the first hand-ups, each in its own way."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress

from tests.effort import PATIENCE_S

SWALLOW = -1
"""Let the request through, and cut before the answer to it comes back."""


class CuttingLine:
    """Relays HTTP to a port. ``cuts``: each of the first hand-ups is cut after that many bytes of the request, or its answer is SWALLOWed.

    A context manager; ``cut`` counts the connections that were cut.
    """

    def __init__(self, port: int, cuts: Sequence[int]) -> None:
        self._target = port
        self._cuts = list(cuts)
        self.cut = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> CuttingLine:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()
        self._thread.join(PATIENCE_S)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:  # the server is being started again
            _reset(client)
            return
        first = client.recv(16384)
        limit = self._next() if first.startswith(b"POST /api/region/batches") else None
        threading.Thread(target=self._answer, args=(server, client, limit == SWALLOW), daemon=True).start()
        passed, data = 0, first
        with suppress(OSError):
            while data:
                if limit is not None and limit != SWALLOW and passed + len(data) > limit:
                    server.sendall(data[: max(0, limit - passed)])
                    self._end(client, server)
                    return
                passed += len(data)
                server.sendall(data)
                data = client.recv(16384)

    def _answer(self, server: socket.socket, client: socket.socket, swallow: bool) -> None:
        with suppress(OSError):
            while data := server.recv(16384):
                if swallow:
                    self._end(client, server)
                    return
                client.sendall(data)
        _reset(client, linger=False)
        _reset(server, linger=False)

    def _next(self) -> int | None:
        with self._lock:
            return self._cuts.pop(0) if self._cuts else None

    def _end(self, *connections: socket.socket) -> None:
        with self._lock:
            self.cut += 1
        for one in connections:
            _reset(one)


def _reset(connection: socket.socket, *, linger: bool = True) -> None:
    """Close; ``linger``: so that the other side hears of it as of a broken line."""
    with suppress(OSError):
        if linger:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
