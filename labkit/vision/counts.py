"""What may leave the camera's process: how many faces and hands, and where, as rounded fractions of the picture. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

HAND_POINTS, POSE_POINTS = 21, 33
URL = "LABKIT_CAMERA_URL"  # environment variable: the address of the camera, which may hold its password
DEFAULT_LOOKS = ("faces", "hands")
# What is looked for, and the field of a line that tells how much of it there is.
FIELDS = {"faces": "faces", "hands": "hands", "pose": "poses", "motion": "motion"}
LOOKS = tuple(FIELDS)
# Three decimals are a pixel or so at 640: enough to follow a hand, too coarse to tell whose it is.
DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Face:
    """A face's box: left, top, width, height, each 0–1 of the picture."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Hand:
    """A hand's 21 points (wrist, then four for each finger from thumb to little finger) as (x, y), each 0–1."""

    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Pose:
    """A body's 33 points in MediaPipe's order (nose 0, shoulders 11 and 12, wrists 15 and 16, hips 23 and 24, ankles 27 and 28) as
    (x, y), each 0–1.
    """

    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Motion:
    """How much of the picture changes, 0–1, and the middle (x, y) of what does; None where nothing moves."""

    amount: float
    middle: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Detections:
    """What one frame shows; None is what nobody looked for."""

    faces: tuple[Face, ...] | None = ()
    hands: tuple[Hand, ...] | None = ()
    poses: tuple[Pose, ...] | None = None
    motion: Motion | None = None


def _fraction(value: float) -> float:
    return round(min(max(float(value), 0.0), 1.0), DECIMALS)


def face(x: float, y: float, width: float, height: float) -> Face:
    """A box cut to the picture: detectors put parts of a face outside it."""
    left, top = _fraction(x), _fraction(y)
    return Face(left, top, round(_fraction(x + width) - left, DECIMALS), round(_fraction(y + height) - top, DECIMALS))


def hand(points: Iterable[tuple[float, float]]) -> Hand:
    """A hand of 21 points cut to the picture; raises ValueError for another number of points."""
    return Hand(_points("hand", HAND_POINTS, points))


def pose(points: Iterable[tuple[float, float]]) -> Pose:
    """A body of 33 points cut to the picture; raises ValueError for another number of points."""
    return Pose(_points("pose", POSE_POINTS, points))


def motion(amount: float, middle: tuple[float, float] | None = None) -> Motion:
    """Rounded, and cut to the picture."""
    return Motion(_fraction(amount), None if middle is None else (_fraction(middle[0]), _fraction(middle[1])))


def _points(what: str, number: int, points: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    cut = tuple((_fraction(x), _fraction(y)) for x, y in points)
    if len(cut) != number:
        raise ValueError(f"a {what} has {number} points, not {len(cut)}")
    return cut


def counts(detections: Detections) -> tuple[int, int]:
    """Faces and hands."""
    return len(detections.faces or ()), len(detections.hands or ())


def to_json(detections: Detections, frame: int, fps: float, at: datetime) -> dict[str, Any]:
    """One line of output; `frame` counts the frames looked at since the start, `fps` is the measured rate, `at` is aware.

    Only what was looked for is in it: `faces`, `hands` and `poses` are counts, `motion` the fraction that changes.
    """
    line: dict[str, Any] = {"frame": frame}
    landmarks: dict[str, Any] = {}
    if detections.faces is not None:
        line["faces"] = len(detections.faces)
        landmarks["faces"] = [[one.x, one.y, one.width, one.height] for one in detections.faces]
    for name, found in (("hands", detections.hands), ("poses", detections.poses)):
        if found is not None:
            line[name] = len(found)
            landmarks[name] = [[list(point) for point in one.points] for one in found]
    if detections.motion is not None:
        line["motion"] = detections.motion.amount
        landmarks["motion"] = list(detections.motion.middle or ())
    when = at.astimezone(UTC).isoformat(timespec="milliseconds")
    return line | {"fps": round(fps, 1), "at": when, "landmarks": landmarks}
