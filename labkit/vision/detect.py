"""MediaPipe finds faces and hands in a picture; its models come with the library, nothing is downloaded."""

from __future__ import annotations

import os

# Said before the import: the library reports its inner workings on stderr otherwise.
os.environ.setdefault("GLOG_minloglevel", "3")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import mediapipe as mp
import numpy as np

from labkit.vision.counts import Detections, face, hand
from labkit.vision.source import Picture

MAX_HANDS = 6


class Detector:
    """Faces within about two metres (short-range model) and up to 6 hands; one core does about 35 pictures a second."""

    def __init__(self, width: int = 640, min_confidence: float = 0.5) -> None:
        self._width = width
        self._faces = mp.solutions.face_detection.FaceDetection(
            model_selection=0, min_detection_confidence=min_confidence
        )
        self._hands = mp.solutions.hands.Hands(
            max_num_hands=MAX_HANDS, model_complexity=0, min_detection_confidence=min_confidence
        )

    def look(self, picture: Picture) -> Detections:
        """Detect in `picture` (height × width × 3, uint8, BGR); larger ones are scaled down to the width given at the start."""
        height, width = picture.shape[:2]
        if width > self._width:
            size = (self._width, max(1, round(height * self._width / width)))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        rgb.flags.writeable = False
        boxes = [one.location_data.relative_bounding_box for one in self._faces.process(rgb).detections or ()]
        found = self._hands.process(rgb).multi_hand_landmarks or ()
        return Detections(
            faces=tuple(face(box.xmin, box.ymin, box.width, box.height) for box in boxes),
            hands=tuple(hand((point.x, point.y) for point in one.landmark) for one in found),
        )

    def close(self) -> None:
        """Free the models."""
        self._faces.close()
        self._hands.close()
