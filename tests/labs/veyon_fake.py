"""A WebAPI with PCs behind it that answers byte for byte as Veyon 4.7.5's plugin does, its oddities with it.

An order is lost if its connection is closed at once; what is active is known only a moment after a connection begins; the first picture is
not there yet; connections are few and expire. ``tests/conformance/test_veyon.py`` runs the same client against Veyon itself.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from labkit import veyon
from tests.effort import PATIENCE_S

KEY = "-----BEGIN PRIVATE KEY-----\nMIIfake\n-----END PRIVATE KEY-----\n"
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
TRAY = "8e997d84-ebb9-430f-8f72-d45d9821963d"  # SystemTrayIcon: active wherever the service runs
TAKES_S = 0.2  # so long an order needs to leave
STATUS = {1: 400, 2: 401, 3: 400, 4: 400, 5: 400, 6: 401, 7: 429, 8: 408, 9: 503, 10: 503, 11: 500, 12: 501}
MESSAGES = {2: "Invalid connection", 6: "Authentication failed", 7: "Limit for maximum number of connections reached", 8: "Connection timed out"}


@dataclass
class FakePc:
    """A PC: whether it answers, whether it obeys, what it did."""

    on: bool = True
    obeys: bool = True
    key_name: str = "lab"
    locked: bool = False
    user: bool = True
    did: list[str] = field(default_factory=list)


@dataclass
class Line:
    """A connection of ours to a PC."""

    pc: FakePc
    asked: int = 0
    pictures: int = 0
    pending: list[tuple[float, str, bool]] = field(default_factory=list)


class FakeVeyon:
    """The server's state; ``limit`` connections; ``most`` were open at once; ``gate`` closed holds every sign-in back."""

    def __init__(self, pcs: dict[str, FakePc], limit: int = 32) -> None:
        self.pcs, self.limit, self.most = pcs, limit, 0
        self.lines: dict[str, Line] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.expiring = 0
        self.lock = threading.Lock()
        self.url = ""

    def expire(self, count: int) -> None:
        """The next ``count`` connections are gone as soon as they are made."""
        self.expiring = count

    def settle(self, line: Line, *, closing: bool = False) -> None:
        """Let orders arrive that have been on their way long enough; closing loses the others."""
        now = time.monotonic()
        for order in list(line.pending):
            at, feature, active = order
            if now - at >= TAKES_S:
                line.pending.remove(order)
                if line.pc.obeys:
                    line.pc.did.append(f"{feature}:{int(active)}")
                    if feature == veyon.LOCK:
                        line.pc.locked = active
        if closing:
            line.pending.clear()

    def answer(self, verb: str, path: str, uid: str, body: dict[str, Any]) -> tuple[int, str, bytes]:
        """Status, content type, body."""
        parts = path.removeprefix("/api/v1/").split("/")
        if parts[0] == "authentication":
            return self._door(verb, unquote(parts[1]), uid, body)
        with self.lock:
            line = self.lines.get(uid)
            if line is None:
                return error(2)
            self.settle(line)
            line.asked += 1
            if parts[0] == "framebuffer":
                if not line.pc.user or line.pictures == 0:
                    line.pictures += 1
                    return error(10)
                return 200, "image/jpeg", JPEG
            if parts == ["feature"]:
                known = line.asked > 1
                active = {TRAY: known, veyon.LOCK: known and line.pc.locked, veyon.REBOOT: False, veyon.POWER_DOWN: False}
                return data([{"name": "x", "uid": key, "parentUid": str(uuid.UUID(int=0)), "active": on} for key, on in active.items()])
            if parts[0] == "feature" and verb == "PUT":
                if parts[1] not in (veyon.LOCK, veyon.REBOOT, veyon.POWER_DOWN):
                    return error(3)
                line.pending.append((time.monotonic(), parts[1], bool(body["active"])))
                return data({})
        return 404, "text/plain", b"Invalid command or non-matching HTTP method"

    def _door(self, verb: str, host: str, uid: str, body: dict[str, Any]) -> tuple[int, str, bytes]:
        pc = self.pcs.get(host)
        if verb == "DELETE":
            with self.lock:
                line = self.lines.pop(uid, None)
                if line is None:
                    return error(2)
                self.settle(line, closing=True)
                return data({})
        if verb == "GET":
            return data({"methods": [veyon.KEY_FILE]}) if pc is not None and pc.on else error(8)
        self.gate.wait(PATIENCE_S)
        with self.lock:
            if len(self.lines) >= self.limit:
                return error(7)
            if pc is None or not pc.on:
                return error(8)
            if body.get("method") != veyon.KEY_FILE:
                return error(5)
            if "PRIVATE KEY" not in body["credentials"].get("keydata", ""):
                return error(4)
            if body["credentials"]["keyname"] != pc.key_name:
                return error(6)
            made = str(uuid.uuid4())
            if self.expiring:
                self.expiring -= 1
            else:
                self.lines[made] = Line(pc)
            self.most = max(self.most, len(self.lines))
            return data({"connection-uid": made, "validUntil": 1795359148})


def data(value: Any) -> tuple[int, str, bytes]:
    """A good answer."""
    return 200, "application/json", json.dumps(value).encode()


def error(code: int) -> tuple[int, str, bytes]:
    """A refusal as Veyon words it."""
    return STATUS[code], "application/json", json.dumps({"error": {"code": code, "message": MESSAGES.get(code, "…")}}).encode()


@contextmanager
def serving(fake: FakeVeyon) -> Iterator[FakeVeyon]:
    """The WebAPI on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            status, kind, payload = fake.answer(self.command, urlsplit(self.path).path, self.headers.get("Connection-Uid", ""), body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_DELETE = _any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 50  # as Qt's

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        fake.gate.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)
