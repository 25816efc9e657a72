"""The guard of one port: a small process of its own that alone holds the descriptor of a serial port or a text kit's socket.

It outlives a killed gateway: when its pipe closes, when the drive lease ends, when it is told to, and when it opens the
port, it sends the kit's stop. Nothing heavy is imported, so that a new guard is there within a tenth of a second.

``python -m labkit.guard --port PATH --baud N --settle-ms N --stop HEX [--stop HEX …] --repeat N [--number-from N]``; each
``--stop`` is one chunk, a PATH with ``://`` a text kit's address (see ``labkit.textport``), which the guard keeps trying to reach. With
``--number-from`` each stop that is sent gets a fresh number for ``{n}``; its note tells ``first`` and ``count``. Frames on both pipes: one letter, two bytes length (big-endian), body.

======  =======================================================================================================
in      ``D`` lease_ms (2 bytes) + bytes: drive, stop when no further D comes in time · ``W`` bytes: write · ``S`` stop now,
        before everything that waits · ``Q`` stop and end
out     ``R`` bytes that came from the port · ``E`` JSON: ``{"event": "open" | "stop" | "error" | "bye", …}``
======  =======================================================================================================

Exit codes: 0 ended in order, 3 the port is gone, 4 it could not be opened.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import serial

from labkit import textport
from labkit.textport import Port, TcpPort, UdpPort

HEADER = struct.Struct(">cH")
LEASE = struct.Struct(">H")
MAX_BODY = 4096
MAX_LEASE_MS = 500
REPEAT_GAP_S = 0.04
RECONNECT_S = 1.0
LAST_NUMBER = 9_999_999
WRITE_TIMEOUT_S = 0.25
EXIT_GONE = 3
EXIT_NOT_OPENED = 4
PORT_ERRORS: tuple[type[Exception], ...] = (serial.SerialException, OSError)
if sys.platform != "win32":
    import termios

    PORT_ERRORS = (*PORT_ERRORS, termios.error)


@dataclass(frozen=True)
class Settings:
    """One port: its path, baud rate, the wait after opening, and the stop as chunks to be sent ``repeat`` times.

    ``number_from``: numbers for ``{n}`` in the stop begin here (0 = the stop is not numbered).
    """

    port: str
    baud: int
    settle_ms: int
    stop: tuple[bytes, ...]
    repeat: int
    number_from: int = 0


def frame(kind: bytes, body: bytes = b"") -> bytes:
    """One frame of the pipe protocol; ``kind`` is one letter, ``body`` at most 65535 bytes."""
    return HEADER.pack(kind, len(body)) + body


def drive_frame(lease_ms: int, data: bytes) -> bytes:
    """A ``D`` frame: drive bytes that are valid for ``lease_ms``."""
    return frame(b"D", LEASE.pack(lease_ms) + data)


def frames(pipe: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Frames from a pipe until it closes; a half frame at the end is dropped."""
    while True:
        head = _exactly(pipe, HEADER.size)
        if head is None:
            return
        kind, size = HEADER.unpack(head)
        body = _exactly(pipe, size)
        if body is None:
            return
        yield kind, body


def _exactly(pipe: IO[bytes], size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        part = pipe.read(size - len(data))
        if not part:
            return None
        data += part
    return data


class Guard:
    """The guard's loop; orders come through ``take``, the port's bytes go to ``out``."""

    def __init__(self, settings: Settings, out: IO[bytes]) -> None:
        self._settings = settings
        self._port: Port
        self._number = settings.number_from
        self._out = out
        self._out_lock = threading.Lock()
        self._changed = threading.Condition()
        self._orders: deque[tuple[bytes, bytes]] = deque()
        self._stop_wanted = False
        self._mark = b""
        self._ending = False
        self._gone = False
        self._deadline: float | None = None

    def take(self, kind: bytes, body: bytes) -> None:
        """Accept an order; a stop throws away the drives that wait before it."""
        with self._changed:
            if kind in (b"S", b"Q"):
                self._orders.clear()
                self._stop_wanted = True
                self._mark = body
                self._ending |= kind == b"Q"
            elif kind in (b"D", b"W"):
                self._orders.append((kind, body))
            self._changed.notify()

    @property
    def ending(self) -> bool:
        """Whether it was told to end."""
        return self._ending

    def attach(self, port: Port) -> None:
        """The port is open; what it gives is read from now on."""
        self._port = port
        threading.Thread(target=self.read_port, name="port", daemon=True).start()

    def run(self) -> int:
        """Serve until told to end, the pipe closes or the port is gone; returns the exit code."""
        self._halt("open")
        while True:
            what, kind, body = self._next()
            if what == "gone":
                return EXIT_GONE
            if what == "order":
                self._pass_on(kind, body)
                continue
            self._halt(what, body)
            if what == "end":
                self.tell({"event": "bye"})
                return 0

    def _next(self) -> tuple[str, bytes, bytes]:
        """Wait for what comes first: ``gone``, a stop (``told``, ``end``; with its mark), an ``order``, the end of the ``lease``.

        A drive that waits prolongs a lease that is just over; a mere write does not.
        """
        with self._changed:
            while True:
                if self._gone:
                    return "gone", b"", b""
                if self._stop_wanted:
                    self._stop_wanted = False
                    return "end" if self._ending else "told", b"S", self._mark
                left = None if self._deadline is None else self._deadline - time.monotonic()
                over = left is not None and left <= 0
                if self._orders and not (over and self._orders[0][0] == b"W"):
                    return "order", *self._orders.popleft()
                if over:
                    return "lease", b"", b""
                self._changed.wait(left)

    def _pass_on(self, kind: bytes, body: bytes) -> None:
        if kind == b"D":
            if len(body) < LEASE.size:
                return
            lease_ms = min(LEASE.unpack_from(body)[0], MAX_LEASE_MS)
            self._deadline = time.monotonic() + lease_ms / 1000
            body = body[LEASE.size :]
        self._write(body)

    def _halt(self, reason: str, mark: bytes = b"") -> None:
        """Send the stop ``repeat`` times; the note goes out before the last time, so that a proof after it is this stop's."""
        self._deadline = None
        note: dict[str, object] = {"event": "stop", "reason": reason}
        if mark:
            note["mark"] = mark.decode("ascii", "replace")
        if self._settings.number_from:
            if self._number + self._settings.repeat > LAST_NUMBER:
                self._number = self._settings.number_from
            note |= {"first": self._number, "count": self._settings.repeat}
        pause = threading.Event()
        for turn in range(self._settings.repeat):
            if turn == self._settings.repeat - 1:
                self.tell(note)
            try:
                if turn == 0:
                    self._port.reset_output_buffer()
                else:
                    pause.wait(REPEAT_GAP_S)
                for chunk in self._settings.stop:
                    self._port.write(self._numbered(chunk))
            except PORT_ERRORS as error:
                self._fail(error)
                return

    def _numbered(self, chunk: bytes) -> bytes:
        if not self._settings.number_from:
            return chunk
        self._number += 1
        return chunk.replace(b"{n}", b"%d" % (self._number - 1))

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except PORT_ERRORS as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        slow = isinstance(error, serial.SerialTimeoutException)
        self.tell({"event": "error", "code": "slow" if slow else "gone", "detail": str(error)})
        if not slow:
            with self._changed:
                self._gone = True
                self._changed.notify()

    def read_port(self) -> None:
        """Forward what the port gives until it is gone (a thread of its own)."""
        while True:
            try:
                data = self._port.read(1)
                waiting = self._port.in_waiting
                if waiting:
                    data += self._port.read(min(waiting, MAX_BODY - 1))
            except PORT_ERRORS as error:
                self._fail(serial.SerialException(str(error)))
                return
            if data:
                self.send(frame(b"R", data))

    def tell(self, note: dict[str, object]) -> None:
        """Report an event to the gateway, if it still listens."""
        self.send(frame(b"E", json.dumps(note).encode()))

    def send(self, data: bytes) -> None:
        """Write to the gateway; a gateway that is gone must not keep the guard from stopping the kit."""
        with self._out_lock:
            try:
                self._out.write(data)
                self._out.flush()
            except (BrokenPipeError, ValueError):
                self.take(b"Q", b"")


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the port and guard it until the pipe closes."""
    parser = argparse.ArgumentParser(
        prog="python -m labkit.guard", description="owns one serial port and sends its stop"
    )
    parser.add_argument("--port", required=True)
    parser.add_argument("--baud", type=int, required=True)
    parser.add_argument("--settle-ms", type=int, default=0)
    parser.add_argument("--stop", action="append", default=[], help="one chunk of the stop, in hex")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--number-from", type=int, default=0, help="the first number for {n} in the stop")
    given = parser.parse_args(arguments)
    stop = tuple(bytes.fromhex(chunk) for chunk in given.stop)
    settings = Settings(given.port, given.baud, given.settle_ms, stop, given.repeat, given.number_from)
    return guard(settings, sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0))


def guard(settings: Settings, orders: IO[bytes], out: IO[bytes]) -> int:
    """Guard one port; ``orders`` closing means that the gateway has gone."""
    keeper = Guard(settings, out)
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: keeper.take(b"Q", b""))
    closed = threading.Event()

    def listen() -> None:
        for kind, body in frames(orders):
            keeper.take(kind, body)
        closed.set()
        keeper.take(b"Q", b"")

    listener = threading.Thread(target=listen, name="orders", daemon=True)
    if "://" in settings.port:
        listener.start()  # while it tries to reach the kit it must notice when it is no longer wanted
    port = _open(settings, keeper, closed)
    if port is None:
        return EXIT_NOT_OPENED
    keeper.attach(port)
    if not listener.is_alive() and not closed.is_set():
        listener.start()
    closed.wait(settings.settle_ms / 1000)
    keeper.tell({"event": "open", "port": settings.port})
    code = keeper.run()
    if isinstance(port, (TcpPort, UdpPort)):
        port.close()
    return code


def _open(settings: Settings, keeper: Guard, closed: threading.Event) -> Port | None:
    """The open port; None when a serial port cannot be opened, or the guard was told to end before a kit could be reached."""
    while True:
        try:
            if "://" in settings.port:
                return textport.open_port(settings.port)
            return serial.Serial(settings.port, settings.baud, write_timeout=WRITE_TIMEOUT_S, exclusive=True)
        except PORT_ERRORS as error:
            keeper.tell({"event": "error", "code": "not_opened", "detail": str(error)})
        if "://" not in settings.port or keeper.ending:
            return None
        closed.wait(RECONNECT_S)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
