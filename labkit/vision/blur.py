"""A picture made unrecognisable before it may go anywhere (打码): all of it, for a detector misses faces; pure."""

from __future__ import annotations

import cv2
import numpy as np

from labkit.vision.source import Picture

# A picture this many squares wide tells that somebody sits there, not who. With 20 and more the detector still finds faces in it.
COLUMNS = 12


def pixelated(picture: Picture, columns: int = COLUMNS) -> Picture:
    """The whole picture (height × width × 3, uint8, BGR) as squares, ``columns`` of them side by side; the same size as before."""
    height, width = picture.shape[:2]
    rows = max(1, round(columns * height / width))
    small = cv2.resize(picture, (min(columns, width), min(rows, height)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
