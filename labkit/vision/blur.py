"""Faces made unrecognisable before a picture may go anywhere (打码); pure."""

from __future__ import annotations

import cv2
import numpy as np

from labkit.vision.counts import Face
from labkit.vision.source import Picture

# A picture this many squares wide tells that somebody sits there, not who. With 20 and more the detector still finds faces in it.
COLUMNS = 12
FACE_COLUMNS = 4
# Detectors draw a box from brow to chin; hair, ears and chin belong to a face too.
MARGIN = 0.5
REMEMBERED_S = 3.0


def pixelated(picture: Picture, columns: int = COLUMNS) -> Picture:
    """The whole picture (height × width × 3, uint8, BGR) as squares, ``columns`` of them side by side; the same size as before."""
    height, width = picture.shape[:2]
    rows = max(1, round(columns * height / width))
    small = cv2.resize(picture, (min(columns, width), min(rows, height)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


class FaceBlur:
    """Hides the faces that were found; the whole picture whenever the detector may have missed one.

    It is unsure where nobody looked for faces, where it finds none, and while it finds fewer than in the last 3 s.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def hide(self, picture: Picture, faces: tuple[Face, ...] | None, now: float) -> Picture:
        """The picture with hidden faces; ``now`` is monotonic seconds. The picture given stays as it is."""
        found = len(faces or ())
        self._seen = [(at, count) for at, count in self._seen if now - at <= REMEMBERED_S] + [(now, found)]
        if not faces or found < max(count for _, count in self._seen):
            return pixelated(picture)
        shown = picture.copy()
        height, width = picture.shape[:2]
        for one in faces:
            aside, above = one.width * MARGIN, one.height * MARGIN
            left, right = max(0.0, one.x - aside), min(1.0, one.x + one.width + aside)
            top, bottom = max(0.0, one.y - above), min(1.0, one.y + one.height + above)
            rows = slice(int(top * height), int(np.ceil(bottom * height)))
            columns = slice(int(left * width), int(np.ceil(right * width)))
            shown[rows, columns] = pixelated(picture[rows, columns], FACE_COLUMNS)
        return shown
