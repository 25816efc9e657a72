"""Where a text kit is, and what it tells by UDP without being asked.

Commands go through the guard (``GuardedPort`` with a ``tcp:`` or ``udp:`` URL), which alone holds that socket. What a kit pushes moves
nothing, so it comes here: all kits of one make push to the same port of the PC, and are told apart by their address.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from labkit.errors import LinkDown, Malformed
from labkit.lab import LabDevice
from labkit.model import Transport

log = logging.getLogger("labkit.text")
MAX_DATAGRAM = 2048
LOOK_UP_S = 0.5


@dataclass(frozen=True)
class TextAddress:
    """``tcp://host[:port][?push=port]`` or ``udp://…``; the profile has the usual ports. ``push_port`` 0 = it pushes nothing."""

    url: str
    host: str
    push_port: int

    @classmethod
    def parse(cls, url: str, transport: Transport) -> TextAddress:
        """Read a text kit's URL; raises Malformed with what is wrong."""
        parts = urlsplit(url)
        push = parse_qs(parts.query).get("push", [str(transport.push_port)])[0]
        try:
            port = parts.port or transport.port
        except ValueError as error:
            raise Malformed(f"{url}：端口不对", f"{url}: wrong port") from error
        if parts.scheme != transport.type or not parts.hostname or parts.path not in ("", "/"):
            raise Malformed(
                f"{url} 应像 {transport.type}://192.168.2.1", f"{url} should look like {transport.type}://192.168.2.1"
            )
        if not push.isascii() or not push.isdigit() or int(push) > 65535:
            raise Malformed(f"{url}：push 应为端口号", f"{url}: push should be a port")
        return cls(f"{parts.scheme}://{parts.hostname}:{port}", parts.hostname, int(push))

    @classmethod
    def find(cls, device: LabDevice, run_dir: Path) -> TextAddress | None:
        """The address of a device; for ``sim:`` the one that the simulator has written, None while there is none."""
        url = device.url
        if device.scheme == "sim":
            try:
                url = device.port(run_dir).read_text(encoding="ascii").strip()
            except (FileNotFoundError, UnicodeDecodeError):
                return None
        return cls.parse(url, device.profile.transport)


class Pushes:
    """The UDP ports at which kits push, each opened once; datagrams of unknown machines are dropped. Thread-safe."""

    def __init__(self) -> None:
        self._ears: dict[tuple[str, int], _Ear] = {}
        self._lock = threading.Lock()

    def listen(self, address: TextAddress, take: Callable[[bytes], None]) -> None:
        """Hand over what this kit pushes, from a reader thread; raises LinkDown when another program has the port."""
        if not address.push_port:
            return
        try:
            host = socket.gethostbyname(address.host)
        except OSError as error:
            raise LinkDown(f"找不到 {address.host}", f"cannot find {address.host}") from error
        place = ("127.0.0.1" if host.startswith("127.") else "", address.push_port)
        with self._lock:
            if place not in self._ears:
                self._ears[place] = _Ear(*place)
            self._ears[place].takers[host] = take

    def close(self) -> None:
        """Leave all ports."""
        with self._lock:
            for ear in self._ears.values():
                ear.close()
            self._ears.clear()


class _Ear:
    """One UDP port and its reader."""

    def __init__(self, host: str, port: int) -> None:
        self.takers: dict[str, Callable[[bytes], None]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(LOOK_UP_S)
        self._closed = threading.Event()
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise LinkDown(
                f"UDP 端口 {port} 被别的程序占用：{error.strerror}", f"UDP port {port} is in use: {error.strerror}"
            ) from error
        self._thread = threading.Thread(target=self._read, name=f"push {port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()
        self._thread.join(LOOK_UP_S * 2)

    def _read(self) -> None:
        with contextlib.closing(self._socket):
            while not self._closed.is_set():
                try:
                    data, (host, _) = self._socket.recvfrom(MAX_DATAGRAM)
                except TimeoutError:
                    continue
                except OSError as error:
                    log.error("pushes are not received any more: %s", error)
                    return
                take = self.takers.get(host)
                if take:
                    take(data)
