"""The socket of a text kit, with as much of a serial port's face as the guard needs. Light: the guard imports it.

``tcp://host:port``: a stream. ``udp://host:port``: each line written is one datagram (without its newline), each datagram that
comes is one read. Waiting is bounded everywhere: 1.5 s to connect, 0.25 s to write, 3 s of a stream without an answer.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Protocol
from urllib.parse import urlsplit

import serial

CONNECT_S = 1.5
WRITE_S = 0.25
SILENCE_S = 3.0
FAREWELL_S = 0.3
MAX_READ = 2048
SEND_BUFFER = 8192
USER_TIMEOUT_MS = 1500


class Port(Protocol):
    """What the guard does with a port."""

    @property
    def in_waiting(self) -> int:
        """How many bytes can be read at once."""

    def read(self, size: int = 1, /) -> bytes:
        """Wait for bytes."""

    def write(self, data: bytes, /) -> int | None:
        """Send."""

    def reset_output_buffer(self) -> None:
        """Forget what has not gone out yet."""


class TcpPort:
    """A stream to a kit; what is not acknowledged for 1.5 s ends it, so that no old command arrives late."""

    in_waiting = 0

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), CONNECT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        self._socket.settimeout(WRITE_S)
        self._asked_at: float | None = None
        self._broken = False
        self._ended = threading.Event()

    def read(self, _size: int = 1, /) -> bytes:
        """What has come, b"" after 0.25 s without anything; OSError when the stream is over or a kit stays silent for 3 s."""
        try:
            data = self._socket.recv(MAX_READ)
        except TimeoutError as error:
            if self._asked_at is not None and time.monotonic() - self._asked_at > SILENCE_S:
                self._fail()
                raise OSError(f"no answer for {SILENCE_S:g} s") from error
            return b""
        except OSError:
            self._fail()
            raise
        if not data:
            self._fail()
            raise OSError("the kit has closed the connection")
        self._asked_at = None
        return data

    def write(self, data: bytes, /) -> int:
        """Send all; SerialTimeoutException when nothing went out in time, OSError when only a part did: half a command must
        not be the beginning of the next.
        """
        sent = 0
        while sent < len(data):
            try:
                sent += self._socket.send(data[sent:])
            except TimeoutError as error:
                if sent:
                    self._fail()
                    raise OSError("only half a command went out") from error
                raise serial.SerialTimeoutException("the stream takes nothing") from error
        if self._asked_at is None:
            self._asked_at = time.monotonic()
        return sent

    def reset_output_buffer(self) -> None:
        """A stream takes nothing back."""

    def close(self) -> None:
        """Let the last words arrive; a broken stream forgets them at once."""
        with contextlib.suppress(OSError):
            if self._broken:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self._socket.shutdown(socket.SHUT_WR)
                self._ended.wait(FAREWELL_S)
        self._socket.close()

    def _fail(self) -> None:
        self._broken = True
        self._ended.set()


class UdpPort:
    """Datagrams to and from one kit; those of others are not let in by the system."""

    in_waiting = 0

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(WRITE_S)
        try:
            self._socket.connect((host, port))
        except OSError:
            self._socket.close()
            raise

    def read(self, _size: int = 1, /) -> bytes:
        """One datagram; b"" after 0.25 s without, or when the kit's machine says that nobody listens there."""
        try:
            return self._socket.recv(MAX_READ)
        except (TimeoutError, ConnectionRefusedError):
            return b""

    def write(self, data: bytes, /) -> int:
        """A datagram a line; SerialTimeoutException when the network takes it not (the kit may be switched off for now)."""
        for line in data.splitlines():
            try:
                self._send(line)
            except OSError as error:
                raise serial.SerialTimeoutException(str(error)) from error
        return len(data)

    def reset_output_buffer(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, line: bytes) -> None:
        try:
            self._socket.send(line)
        except ConnectionRefusedError:
            # That is the answer to an earlier datagram; this one has not been sent yet.
            with contextlib.suppress(ConnectionRefusedError):
                self._socket.send(line)


SocketPort = TcpPort | UdpPort


def address(url: str) -> tuple[str, str, int]:
    """``(scheme, host, port)`` of a ``tcp:`` or ``udp:`` URL; raises ValueError when it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("tcp", "udp") or not parts.hostname or not parts.port:
        raise ValueError(f"{url} should be tcp://host:port or udp://host:port")
    return parts.scheme, parts.hostname, parts.port


def open_port(url: str) -> SocketPort:
    """Connect; raises OSError when the kit cannot be reached."""
    scheme, host, port = address(url)
    return TcpPort(host, port) if scheme == "tcp" else UdpPort(host, port)
