"""A camera behind its vision process: JSON lines of counts and landmarks come out; a picture in squares only on order."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from labkit.links import child
from labkit.vision.counts import DEFAULT_LOOKS, URL

END_WAIT_S = 3.0
MAX_LINE_BYTES = 256 * 1024


class VisionProcess:
    """One ``python -m labkit.vision --fps N --look … --share …``, the camera's address in the environment.

    ``on_line`` gets each line's object, ``on_refused`` the reason for a line that is none, ``on_exit`` the exit code; all are
    called from a reader thread.
    """

    def __init__(
        self,
        on_line: Callable[[dict[str, object]], None],
        on_refused: Callable[[str], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._on_line = on_line
        self._on_refused = on_refused
        self._on_exit = on_exit
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, url: str, fps: float, look: Sequence[str] = DEFAULT_LOOKS, share: float = 1.0) -> None:
        """Start the process; ``look`` names what it looks for, ``share`` how much of a core it may use."""
        words = ("--fps", f"{fps:g}", "--look", ",".join(look), "--share", f"{share:g}")
        self._process = child.start("labkit.vision", *words, secrets={URL: url})  # rtsp://name:password@…
        threading.Thread(target=self._read, args=(self._process,), name="vision", daemon=True).start()

    def order(self, order: Mapping[str, object]) -> None:
        """Say something to the process (see ``labkit.vision.orders``); one that has ended hears nothing, ``on_exit`` tells."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError, ValueError):  # ValueError: the reader closes it in this moment
            process.stdin.write(json.dumps(order, separators=(",", ":")).encode() + b"\n")
            process.stdin.flush()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def close(self) -> None:
        """Close its standard input, which ends it; a process that hangs is killed."""
        process = self._process
        if process is None or process.stdin is None:
            return
        # A broken pipe: it has ended already, which is what is wanted.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(END_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while line := process.stdout.readline(MAX_LINE_BYTES):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                self._on_refused(f"no JSON: {error}")
                continue
            if isinstance(value, dict):
                self._on_line(value)
            else:
                self._on_refused("no JSON object")
        process.stdout.close()
        code = process.wait()
        if process.stdin:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        self._on_exit(code)
