"""A coarse picture for the teacher (模糊预览): squares, and on them what the detectors found. The only picture that leaves the process."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from labkit.vision.blur import pixelated
from labkit.vision.counts import Detections
from labkit.vision.source import Picture

WIDTH = 320
QUALITY = 60
EVERY_S = 0.5
LONGEST_S = 60.0
FACE_BGR, POINT_BGR = (40, 160, 40), (200, 90, 20)


def drawn(picture: Picture, found: Detections) -> Picture:
    """The picture as squares, 320 wide, with boxes round the faces and dots on hands and bodies: what the machine sees."""
    height, width = picture.shape[:2]
    tall = max(1, round(WIDTH * height / width))
    # Squares first: nothing that is drawn or scaled later has seen the picture itself.
    coarse = cv2.resize(pixelated(picture), (WIDTH, tall), interpolation=cv2.INTER_NEAREST)
    for one in found.faces or ():
        corner = (round(one.x * WIDTH), round(one.y * tall))
        opposite = (round((one.x + one.width) * WIDTH), round((one.y + one.height) * tall))
        cv2.rectangle(coarse, corner, opposite, FACE_BGR, 2)
    for points in (one.points for many in (found.hands or (), found.poses or ()) for one in many):
        for x, y in points:
            cv2.circle(coarse, (round(x * WIDTH), round(y * tall)), 2, POINT_BGR, -1)
    return np.asarray(coarse, dtype=np.uint8)


def encoded(picture: Picture, found: Detections) -> str:
    """`drawn` as JPEG in base64; some 5 KB."""
    good, data = cv2.imencode(".jpg", drawn(picture, found), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert good
    return base64.b64encode(data.tobytes()).decode("ascii")
