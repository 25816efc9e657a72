"""What the camera's process does when it is asked for a picture or a recording, and what it does not do without being asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labkit.recording import MAX_MINUTES, MAX_RETENTION_DAYS, NotPermitted, allowed, last_moment, read_permit
from labkit.simulate.clips import make_face_clip
from labkit.vision.blur import pixelated
from labkit.vision.detect import Detector
from labkit.vision.source import Picture
from tests.labkit.vision.test_process import Watcher, watch

__all__ = ["watch"]
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def permit_json(now: datetime = NOW, **changes: Any) -> dict[str, Any]:
    """A policy in order, but for ``changes``."""
    usual = {
        "id": "policy-1",
        "purpose": "课例研究",
        "room": "lab1",
        "begins": (now - timedelta(minutes=1)).isoformat(),
        "ends": (now + timedelta(hours=1)).isoformat(),
        "entered_by": "account-1",
        "countersigned_by": "account-2",
        "guardians_informed": (now - timedelta(days=3)).date().isoformat(),
        "retention_days": 7,
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"countersigned_by": "account-1"}, "one_person"),
        ({"countersigned_by": ""}, "no_policy"),
        ({"countersigned_by": None}, "no_policy"),
        ({"purpose": " "}, "no_policy"),
        ({"begins": "2026-11-24T02:00:00"}, "no_policy"),
        ({"retention_days": MAX_RETENTION_DAYS + 1}, "retention"),
        ({"retention_days": 0}, "retention"),
        ({"retention_days": True}, "no_policy"),
        ({"retention_days": "7"}, "no_policy"),
        ({"guardians_informed": "2026-11-25"}, "guardians"),
        ({"guardians_informed": None}, "no_policy"),
    ],
)
def test_a_policy_that_is_not_in_order_permits_nothing(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(NotPermitted) as caught:
        read_permit(permit_json(**changes))
    assert caught.value.code == code


@pytest.mark.parametrize("data", [None, "yes", [], {}])
def test_no_policy_permits_nothing(data: object) -> None:
    with pytest.raises(NotPermitted) as caught:
        read_permit(data)
    assert caught.value.code == "no_policy"


def test_a_policy_holds_for_its_room_and_time_only() -> None:
    permit = read_permit(permit_json())
    allowed(permit, "lab1", NOW)
    for room, now, code in (
        ("lab2", NOW, "room"),
        ("lab1", permit.ends, "time"),
        ("lab1", permit.begins - timedelta(seconds=1), "time"),
    ):
        with pytest.raises(NotPermitted) as caught:
            allowed(permit, room, now)
        assert caught.value.code == code
    day = NOW + timedelta(days=1)
    assert last_moment(permit, day, NOW) == permit.ends
    long = read_permit(permit_json(ends=day.isoformat()))
    assert last_moment(long, day, NOW) == NOW + timedelta(minutes=MAX_MINUTES)
    assert read_permit(permit.to_json()) == permit


def order(watcher: Watcher, **words: Any) -> None:
    """Say something to the process."""
    assert watcher.process.stdin is not None
    watcher.process.stdin.write(json.dumps(words).encode() + b"\n")
    watcher.process.stdin.flush()


def wish(file: Path, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    usual = {"id": "12345678", "file": str(file), "room": "lab1", "until": (now + timedelta(seconds=60)).isoformat()}
    return {**usual, "permit": permit_json(now), **changes}


@pytest.fixture
def watcher(tmp_path: Path, watch: Callable[..., Watcher]) -> Watcher:
    clip = make_face_clip(tmp_path / "clip.avi", seconds=2, fps=10, pattern=(1,))
    return watch("--url", clip.as_uri(), "--fps", "10", "--look", "faces")


def frames(file: Path) -> list[Picture]:
    capture = cv2.VideoCapture(str(file))
    found = []
    while True:
        good, picture = capture.read()
        if not good:
            capture.release()
            return found
        found.append(np.asarray(picture, dtype=np.uint8))


def test_a_picture_leaves_only_when_asked_for_and_in_squares(watcher: Watcher) -> None:
    before = watcher.until(lambda line: line.get("frame") == 8)
    assert not [line for line in before if "preview" in line]
    order(watcher, preview_s=30)
    line = watcher.until(lambda line: "preview" in line)[-1]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(line["preview"]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (240, 320, 3)
    assert not Detector(looks=("faces",)).look(np.asarray(picture, dtype=np.uint8)).faces
    lines = watcher.until(lambda line: "preview" in line)
    assert len([one for one in lines if "faces" in one]) >= 4, "twice a second, however many frames are looked at"
    order(watcher, preview_s=0)
    number = watcher.until(lambda line: "frame" in line)[-1]["frame"]
    after = watcher.until(lambda line: line.get("frame", 0) > number + 10)
    assert len([line for line in after if "preview" in line]) <= 1, "one that was on its way"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"permit": None}, "no_policy"),
        ({"room": "lab2"}, "room"),
        ({"permit": permit_json(NOW - timedelta(days=9))}, "time"),
        ({"until": "soon"}, "bad_order"),
    ],
)
def test_without_a_policy_the_process_writes_no_file(
    tmp_path: Path, watcher: Watcher, changes: dict[str, Any], code: str
) -> None:
    file = tmp_path / "rec" / "12345678.avi"
    file.parent.mkdir()
    order(watcher, record=wish(file, **changes))
    line = watcher.until(lambda line: "recording" in line)[-1]
    assert (line["state"], line["code"]) == ("refused", code)
    watcher.until(lambda line: "frame" in line)
    assert list(file.parent.iterdir()) == []


def test_with_a_policy_it_records_squares_until_told_to_end(tmp_path: Path, watcher: Watcher) -> None:
    file = tmp_path / "rec.avi"
    order(watcher, record=wish(file))
    assert watcher.until(lambda line: "recording" in line)[-1]["state"] == "recording"
    number = watcher.until(lambda line: "frame" in line)[-1]["frame"]
    watcher.until(lambda line: line.get("frame", 0) >= number + 12)
    order(watcher, record=None)
    assert watcher.until(lambda line: "recording" in line)[-1]["state"] == "ended"
    assert file.stat().st_mode & 0o077 == 0
    found = frames(file)
    assert len(found) >= 10
    detector = Detector(looks=("faces",))
    assert not [picture for picture in found if detector.look(picture).faces]
    changed = [np.abs(pixelated(picture).astype(int) - picture).mean() for picture in found]
    assert max(changed) < 3, "the whole picture is squares, but for what JPEG makes of their edges"


def test_a_recording_ends_by_itself(tmp_path: Path, watcher: Watcher) -> None:
    watcher.until(lambda line: "frame" in line)
    until = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    order(watcher, record=wish(tmp_path / "rec.avi", until=until))
    assert watcher.until(lambda line: line.get("state") == "ended")
    assert 5 <= len(frames(tmp_path / "rec.avi")) <= 14


def test_nonsense_is_answered_and_does_no_harm(watcher: Watcher) -> None:
    assert watcher.process.stdin is not None
    watcher.process.stdin.write(b'{nonsense\n[]\n{"record": 7}\n{"preview_s": "x"}\n')
    watcher.process.stdin.flush()
    for _ in range(4):
        assert watcher.until(lambda line: "recording" in line)[-1]["code"] == "bad_order"
    assert watcher.until(lambda line: line.get("faces") == 1)
