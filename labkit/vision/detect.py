"""Faces, hands and a pose by MediaPipe, motion by the difference of two pictures; nothing is downloaded.

MediaPipe's models come with the library. What is not looked for is not loaded and costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

# Said before the import: the library reports its inner workings on stderr otherwise.
os.environ.setdefault("GLOG_minloglevel", "3")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import mediapipe as mp
import numpy as np

from labkit.vision.counts import DEFAULT_LOOKS, Detections, Motion, face, hand, motion, pose
from labkit.vision.source import Picture

MAX_HANDS = 6
# Motion is looked for in a small grey picture: noise of a cheap camera vanishes in it, a waving hand does not.
MOTION_WIDTH, MOTION_BLUR, MOTION_STEP, MOTION_LEAST = 160, 5, 18, 0.002


class Detector:
    """What `looks` names: `faces` within about two metres (short-range model), up to 6 `hands`, the `pose` of one person, `motion`.

    One core does about 35 pictures a second with faces and hands, and about 10 with the pose.
    """

    def __init__(self, width: int = 640, min_confidence: float = 0.5, looks: Sequence[str] = DEFAULT_LOOKS) -> None:
        self._width = width
        known = mp.solutions
        least = {"min_detection_confidence": min_confidence}
        self._faces = known.face_detection.FaceDetection(model_selection=0, **least) if "faces" in looks else None
        self._hands = (
            known.hands.Hands(max_num_hands=MAX_HANDS, model_complexity=0, **least) if "hands" in looks else None
        )
        # Complexity 1 is the one whose model comes with the library.
        self._pose = known.pose.Pose(model_complexity=1, **least) if "pose" in looks else None
        self._change = Change() if "motion" in looks else None

    def fitting(self, picture: Picture) -> Picture:
        """The picture scaled down to the width given at the start, if it is wider."""
        return _no_wider(picture, self._width)

    def look(self, picture: Picture) -> Detections:
        """Detect in `picture` (height × width × 3, uint8, BGR); larger ones are scaled down to the width given at the start."""
        picture = _no_wider(picture, self._width)
        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        rgb.flags.writeable = False
        faces = hands = poses = None
        if self._faces:
            boxes = [one.location_data.relative_bounding_box for one in self._faces.process(rgb).detections or ()]
            faces = tuple(face(box.xmin, box.ymin, box.width, box.height) for box in boxes)
        if self._hands:
            found = self._hands.process(rgb).multi_hand_landmarks or ()
            hands = tuple(hand((point.x, point.y) for point in one.landmark) for one in found)
        if self._pose:
            body = self._pose.process(rgb).pose_landmarks
            poses = (pose((point.x, point.y) for point in body.landmark),) if body else ()
        return Detections(faces, hands, poses, self._change.since(picture) if self._change else None)

    def close(self) -> None:
        """Free the models."""
        for model in (self._faces, self._hands, self._pose):
            if model:
                model.close()


class Change:
    """What has changed from one picture to the next, whatever it is: no model, no objects."""

    def __init__(self) -> None:
        self._before: Picture | None = None

    def since(self, picture: Picture) -> Motion:
        """The motion since the last picture; none for the first one and after a change of size."""
        grey = cv2.cvtColor(_no_wider(picture, MOTION_WIDTH), cv2.COLOR_BGR2GRAY)
        now = np.asarray(cv2.GaussianBlur(grey, (MOTION_BLUR, MOTION_BLUR), 0), dtype=np.uint8)
        before, self._before = self._before, now
        if before is None or before.shape != now.shape:
            return motion(0.0)
        changed = cv2.absdiff(now, before) > MOTION_STEP
        amount = float(changed.mean())
        if amount < MOTION_LEAST:
            return motion(0.0)
        rows, columns = np.nonzero(changed)
        return motion(amount, (float(columns.mean()) / now.shape[1], float(rows.mean()) / now.shape[0]))


def _no_wider(picture: Picture, most: int) -> Picture:
    height, width = picture.shape[:2]
    if width <= most:
        return picture
    size = (most, max(1, round(height * most / width)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
