"""What may leave the camera's process: how many faces and hands, and where, as rounded fractions of the picture. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

HAND_POINTS = 21
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
class Detections:
    """What one frame shows."""

    faces: tuple[Face, ...] = ()
    hands: tuple[Hand, ...] = ()


def _fraction(value: float) -> float:
    return round(min(max(float(value), 0.0), 1.0), DECIMALS)


def face(x: float, y: float, width: float, height: float) -> Face:
    """A box cut to the picture: detectors put parts of a face outside it."""
    left, top = _fraction(x), _fraction(y)
    return Face(left, top, round(_fraction(x + width) - left, DECIMALS), round(_fraction(y + height) - top, DECIMALS))


def hand(points: Iterable[tuple[float, float]]) -> Hand:
    """A hand of 21 points cut to the picture; raises ValueError for another number of points."""
    cut = tuple((_fraction(x), _fraction(y)) for x, y in points)
    if len(cut) != HAND_POINTS:
        raise ValueError(f"a hand has {HAND_POINTS} points, not {len(cut)}")
    return Hand(cut)


def counts(detections: Detections) -> tuple[int, int]:
    """Faces and hands."""
    return len(detections.faces), len(detections.hands)


def to_json(detections: Detections, frame: int, fps: float, at: datetime) -> dict[str, Any]:
    """One line of output; `frame` counts the frames looked at since the start, `fps` is the measured rate, `at` is aware."""
    faces, hands = counts(detections)
    return {
        "frame": frame,
        "faces": faces,
        "hands": hands,
        "fps": round(fps, 1),
        "at": at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "landmarks": {
            "faces": [[one.x, one.y, one.width, one.height] for one in detections.faces],
            "hands": [[list(point) for point in one.points] for one in detections.hands],
        },
    }
