"""What leaves the camera's process: rounded fractions and counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.vision.__main__ import Budget
from labkit.vision.counts import Detections, counts, face, hand, motion, pose, to_json

anything = st.floats(-2, 3)


@given(anything, anything, st.floats(0, 2), st.floats(0, 2))
def test_a_box_stays_within_the_picture(x: float, y: float, width: float, height: float) -> None:
    box = face(x, y, width, height)
    assert 0 <= box.x <= 1
    assert 0 <= box.y <= 1
    assert -1e-9 <= box.x + box.width <= 1 + 1e-9
    assert -1e-9 <= box.y + box.height <= 1 + 1e-9
    assert box.width >= 0
    assert box.height >= 0


def test_a_hand_has_21_points() -> None:
    with pytest.raises(ValueError, match="21"):
        hand([(0.1, 0.2)] * 20)


def test_a_line_holds_numbers_only_and_utc() -> None:
    found = Detections((face(0.12345, 0.2, 0.3, 0.4),), (hand([(0.5, 0.98765)] * 21),))
    at = datetime(2026, 11, 22, 10, 0, tzinfo=timezone(timedelta(hours=8)))
    line = to_json(found, 7, 7.96, at)
    assert counts(found) == (1, 1)
    assert json.loads(json.dumps(line)) == {
        "frame": 7,
        "faces": 1,
        "hands": 1,
        "fps": 8.0,
        "at": "2026-11-22T02:00:00.000+00:00",
        "landmarks": {"faces": [[0.123, 0.2, 0.3, 0.4]], "hands": [[[0.5, 0.988]] * 21]},
    }


def test_a_line_tells_only_what_was_looked_for() -> None:
    at = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    moving = to_json(Detections(None, None, None, motion(0.25, (0.5, 1.7))), 1, 8, at)
    assert (moving["motion"], moving["landmarks"]) == (0.25, {"motion": [0.5, 1.0]})
    assert not {"faces", "hands", "poses"} & set(moving)
    still = to_json(Detections(None, None, (), motion(0.0)), 1, 8, at)
    assert (still["poses"], still["motion"], still["landmarks"]) == (0, 0.0, {"poses": [], "motion": []})
    body = to_json(Detections(None, None, (pose([(-1, 0.12345)] * 33),)), 1, 8, at)
    assert (body["poses"], body["landmarks"]["poses"]) == (1, [[[0.0, 0.123]] * 33])
    with pytest.raises(ValueError, match="33"):
        pose([(0.1, 0.2)] * 21)


@pytest.mark.parametrize(
    ("fps", "share", "worked_s", "next_at"),
    [
        (10, 1.0, 0.02, 10.1),  # quick enough: the rate alone decides
        (10, 1.0, 0.3, 10.3),  # too slow for the rate: the next one at once
        (10, 0.5, 0.02, 10.1),  # 20 ms of work in 100 ms is less than half a core
        (10, 0.5, 0.2, 10.4),  # 200 ms of work, then 200 ms of rest
        (10, 0.1, 0.05, 10.5),
    ],
)
def test_a_cameras_budget(fps: float, share: float, worked_s: float, next_at: float) -> None:
    assert Budget(fps, share).next_at(10.0, 10.0, 10.0 + worked_s) == pytest.approx(next_at)
