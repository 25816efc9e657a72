"""What leaves the camera's process shows no face, to an eye or to a detector."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from labkit.simulate.clips import face_picture
from labkit.vision.blur import COLUMNS, REMEMBERED_S, FaceBlur, pixelated
from labkit.vision.counts import Detections, Face, face
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


class TestFaceBlur:
    """The mode that hides boxes only is for recordings of a lesson; when it is unsure it hides all."""

    def test_faces_are_hidden_and_the_wall_stays(self, detector: Detector) -> None:
        picture = face_picture(2)
        faces = detector.look(picture).faces
        before = picture.copy()
        shown = FaceBlur().hide(picture, faces, 0.0)
        assert (picture == before).all()
        assert not detector.look(shown).faces
        assert (shown[:, 310:330] == picture[:, 310:330]).mean() > 0.5
        assert not (shown == pixelated(picture)).all()

    def test_nobody_looked_or_none_found_hides_all(self) -> None:
        picture = face_picture(1)
        for faces in (None, ()):
            assert (FaceBlur().hide(picture, faces, 0.0) == pixelated(picture)).all()

    def test_a_face_that_is_missed_hides_all_for_a_while(self) -> None:
        picture, blur = face_picture(2), FaceBlur()
        two = (Face(0.1, 0.2, 0.2, 0.4), Face(0.6, 0.2, 0.2, 0.4))
        assert not (blur.hide(picture, two, 0.0) == pixelated(picture)).all()
        assert (blur.hide(picture, two[:1], 1.0) == pixelated(picture)).all()
        assert (blur.hide(picture, two[:1], REMEMBERED_S) == pixelated(picture)).all()
        assert not (blur.hide(picture, two[:1], REMEMBERED_S + 1.1) == pixelated(picture)).all()
