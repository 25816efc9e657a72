"""A serial port behind its guard process: this side of the pipes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from labkit import guard
from labkit.links import child

END_WAIT_S = 2.0


class GuardedPort:
    """One guard process.

    ``on_bytes`` gets what the port gives, ``on_event`` the guard's notes (see ``labkit.guard``) and at last
    ``{"event": "exit", "code": n}``; both are called from a reader thread and must not block. ``tap`` is told every frame of
    the line (``in`` from the kit, ``out`` to it) by whatever thread it passes.
    """

    def __init__(
        self,
        on_bytes: Callable[[bytes], None],
        on_event: Callable[[dict[str, object]], None],
        tap: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._on_bytes = on_bytes
        self._on_event = on_event
        self._tap = tap
        self._stop = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def open(
        self, port: Path | str, baud: int, settle_ms: int, stop: tuple[bytes, ...], repeat: int, number_from: int = 0
    ) -> None:
        """Start the guard; an ``open`` or ``error`` note follows. ``port``: a path, or a text kit's ``tcp:`` or ``udp:`` URL."""
        self._stop = b"".join(stop)
        chunks = [word for part in stop for word in ("--stop", part.hex())]
        self._process = child.start(
            "labkit.guard",
            *("--port", str(port), "--baud", str(baud), "--settle-ms", str(settle_ms), "--repeat", str(repeat)),
            *("--number-from", str(number_from)),
            *chunks,
        )
        threading.Thread(target=self._read, args=(self._process,), name=f"guard {port}", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """The guard's process id while it runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def drive(self, lease_ms: int, data: bytes) -> bool:
        """Send drive bytes; the guard stops the kit unless another drive follows within ``lease_ms``."""
        return self._send(guard.drive_frame(lease_ms, data), data)

    def write(self, data: bytes) -> bool:
        """Send bytes that move nothing."""
        return self._send(guard.frame(b"W", data), data) if data else True

    def stop(self, mark: str = "") -> bool:
        """Stop the kit now; the guard's ``stop`` note carries ``mark``."""
        return self._send(guard.frame(b"S", mark.encode()))

    def close(self) -> None:
        """Stop the kit, end the guard and wait for it; a guard that does not end in time is killed."""
        process = self._process
        if process is None or process.stdin is None:
            return
        # A broken pipe: the guard has ended already, which is what is wanted.
        with self._lock, contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _send(self, data: bytes, passing: bytes = b"") -> bool:
        process = self._process
        if process is None or process.stdin is None:
            return False
        with self._lock:
            try:
                process.stdin.write(data)
                process.stdin.flush()
            except (BrokenPipeError, ValueError):
                return False
        if self._tap and passing:
            self._tap("out", passing)
        return True

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for kind, body in guard.frames(process.stdout):
            if kind == b"R":
                if self._tap:
                    self._tap("in", body)
                self._on_bytes(body)
            elif kind == b"E":
                note = json.loads(body)
                if self._tap and note.get("event") == "stop":
                    self._tap("out", self._stop)
                self._on_event(note)
        process.stdout.close()
        code = process.wait()
        if process.stdin:
            with self._lock, contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        self._on_event({"event": "exit", "code": code})
