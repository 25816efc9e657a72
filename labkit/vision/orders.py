"""What the gateway asks of a camera's process, a JSON line each: a preview for some seconds, a recording (with its permit), or their end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labkit.errors import LabkitError
from labkit.recording import Permit, read_permit
from labkit.vision.counts import Detections
from labkit.vision.preview import EVERY_S, LONGEST_S, encoded
from labkit.vision.record import Recorder
from labkit.vision.source import Picture

Say = Callable[[Mapping[str, object]], None]


@dataclass(frozen=True)
class RecordWish:
    """A recording that the gateway has let in; the process checks the permit once more."""

    id: str
    file: Path
    room: str
    until: datetime
    permit: Permit


class Orders:
    """Thread-safe: `take` is called by the reader of standard input, `serve` by the watcher after each frame."""

    def __init__(self, say: Say, fps: float) -> None:
        self._say, self._fps = say, fps
        self._lock = threading.Lock()
        self._preview_until = self._preview_due = 0.0
        self._wish: RecordWish | None = None
        self._recorder: Recorder | None = None
        self._recording = ""

    def take(self, line: bytes) -> None:
        """One order: ``{"preview_s": 45}`` (0 ends it), ``{"record": {…}}``, ``{"record": null}``; a wrong one is answered by a refusal."""
        recording = ""
        try:
            order = json.loads(line)
            if not isinstance(order, dict):
                raise ValueError("no JSON object")
            if "preview_s" in order:
                seconds = min(max(float(order["preview_s"]), 0.0), LONGEST_S)
                with self._lock:
                    self._preview_until = time.monotonic() + seconds
            if "record" in order:
                wanted = order["record"]
                recording = str(wanted["id"]) if wanted else ""
                self._wanted(_wish(wanted) if wanted else None)
        except LabkitError as error:
            self._refused(recording, error)
        except (ValueError, TypeError, KeyError) as error:
            self._refused(recording, LabkitError("bad_order", f"命令读不懂：{error}", f"not an order: {error}"))

    def serve(self, picture: Picture, found: Detections) -> None:
        """Preview and record this frame, as far as it is asked for."""
        with self._lock:
            wish, until = self._wish, self._preview_until
        now = time.monotonic()
        if now < until and now >= self._preview_due:
            self._preview_due = now + EVERY_S
            self._say({"preview": encoded(picture, found), "at": _stamp()})
        if wish is None or wish.id != self._recording:
            self.end()
        if wish is not None:
            self._record(wish, picture)

    def idle(self) -> None:
        """No frame came: a recording whose time is over, or that is not wanted any more, ends all the same."""
        with self._lock:
            wish = self._wish
        if wish is None or datetime.now(UTC) >= wish.until:
            self._wanted(None)
            self.end()

    def end(self) -> None:
        """Finish a recording that runs."""
        if self._recorder:
            self._recorder.close()
            self._recorder = None
            self._say({"recording": self._recording, "state": "ended", "at": _stamp()})
        self._recording = ""

    def _wanted(self, wish: RecordWish | None) -> None:
        with self._lock:
            self._wish = wish

    def _record(self, wish: RecordWish, picture: Picture) -> None:
        now = datetime.now(UTC)
        try:
            if self._recorder is None:
                self._recording = wish.id
                self._recorder = Recorder(wish.file, self._fps, wish.permit, wish.room, wish.until, now)
                self._say({"recording": wish.id, "state": "recording", "at": _stamp()})
            if self._recorder.write(picture, now):
                return
            self._wanted(None)
            self.end()
        except LabkitError as error:
            self._wanted(None)
            self._recorder = None
            self._refused(wish.id, error)

    def _refused(self, recording: str, error: LabkitError) -> None:
        self._say(
            {
                "recording": recording,
                "state": "refused",
                "code": error.code,
                "message": error.zh,
                "message_en": error.en,
                "at": _stamp(),
            }
        )


def _wish(data: Mapping[str, object]) -> RecordWish:
    until = datetime.fromisoformat(str(data["until"]))
    return RecordWish(
        str(data["id"]), Path(str(data["file"])), str(data["room"]), until, read_permit(data.get("permit"))
    )


def _stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
