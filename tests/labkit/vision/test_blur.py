"""What leaves the camera's process shows no face, to an eye or to a detector."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from labkit.simulate.clips import face_picture
from labkit.vision.blur import COLUMNS, pixelated
from labkit.vision.counts import Detections, face
from labkit.vision.detect import Detector
from labkit.vision.preview import WIDTH, encoded
from labkit.vision.source import Picture


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(looks=("faces",), min_confidence=0.2)


def squares_across(picture: Picture) -> int:
    """How many different columns a picture has at most in a row of pixels."""
    return max(1 + int((np.diff(row.astype(int), axis=0) != 0).any(axis=1).sum()) for row in picture)


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (320, 240), (100, 700)])
def test_a_picture_becomes_squares(size: tuple[int, int]) -> None:
    picture = cv2.resize(face_picture(1), size)
    hidden = pixelated(np.asarray(picture, dtype=np.uint8))
    assert hidden.shape == picture.shape
    assert squares_across(hidden) <= COLUMNS


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_face_is_found_in_a_preview(count: int, detector: Detector) -> None:
    picture = face_picture(count)
    assert len(detector.look(picture).faces or ()) == count
    data = base64.b64decode(encoded(picture, Detections()))
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (240, WIDTH, 3)
    assert len(data) < 12_000
    assert not detector.look(np.asarray(shown, dtype=np.uint8)).faces


def test_a_preview_shows_what_was_found_on_the_squares() -> None:
    picture = face_picture(1)
    plain, boxed = (encoded(picture, Detections(faces)) for faces in ((), (face(0.3, 0.2, 0.3, 0.4),)))
    assert plain != boxed
