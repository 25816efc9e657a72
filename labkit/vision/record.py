"""Recording (录像): the one module that writes frames, and only with the school's permit, as squares, for a limited time."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import cv2

from labkit.errors import LabkitError
from labkit.recording import Permit, allowed, last_moment
from labkit.vision.blur import pixelated
from labkit.vision.source import Picture

MOST_REPEATS = 40


class Recorder:
    """Writes one MJPG .avi while its permit holds; raises NotPermitted where it does not cover the room at this moment."""

    def __init__(self, file: Path, fps: float, permit: Permit, room: str, until: datetime, now: datetime) -> None:
        allowed(permit, room, now)
        self.until = last_moment(permit, until, now)
        self._file, self._fps, self._began, self._written = file, fps, now, 0
        self._writer: cv2.VideoWriter | None = None

    def write(self, picture: Picture, now: datetime) -> bool:
        """Write one frame; False once the time is over, and nothing is written then. Raises LabkitError where the disk takes none."""
        if now >= self.until:
            return False
        elapsed_s = (now - self._began).total_seconds()
        hidden = pixelated(picture)
        writer = self._writer or self._open(picture)
        # As many frames as the time needs, so that the file plays at the speed of life.
        for _ in range(min(MOST_REPEATS, max(0, round(elapsed_s * self._fps) + 1 - self._written))):
            writer.write(hidden)
            self._written += 1
        return True

    def close(self) -> None:
        """Finish the file."""
        if self._writer:
            self._writer.release()

    def _open(self, picture: Picture) -> cv2.VideoWriter:
        height, width = picture.shape[:2]
        self._file.touch(mode=0o600)
        os.chmod(self._file, 0o600)
        self._writer = cv2.VideoWriter(str(self._file), cv2.VideoWriter.fourcc(*"MJPG"), self._fps, (width, height))
        if not self._writer.isOpened():
            raise LabkitError("disk", f"写不了录像文件 {self._file}", f"cannot write the recording {self._file}")
        return self._writer
