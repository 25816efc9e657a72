"""The camera's process on real clips, streams and broken ones."""

from __future__ import annotations

import http.server
import io
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import psutil
import pytest

from labkit.links import VisionProcess
from labkit.simulate.clips import face_picture, make_face_clip
from tests.effort import PATIENCE_S

WAIT_S = PATIENCE_S


class Watcher:
    """A running `python -m labkit.vision` and its lines."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labkit.vision", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(env or {})},
        )  # fmt: skip
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def until(self, fits: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """All lines up to the first one that fits."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + WAIT_S
        while not found or not fits(found[-1]):
            found.append(self.lines.get(timeout=max(0.1, deadline - time.monotonic())))
        return found

    def clear_away(self) -> None:
        """End it by force if it still runs, and close its pipes."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def end(self) -> int:
        """Close its standard input and return the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def watch() -> Iterator[Callable[..., Watcher]]:
    """Starts camera processes and ends them."""
    started: list[Watcher] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> Watcher:
        started.append(Watcher(*arguments, env=env))
        return started[-1]

    yield start
    for one in started:
        one.clear_away()


def test_the_count_follows_a_face_that_comes_and_goes(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    clip = make_face_clip(tmp_path / "clip.avi", seconds=4, fps=10, pattern=(1, 0, 1, 0))
    watcher = watch("--url", clip.as_uri(), "--fps", "10")
    lines = watcher.until(lambda line: line.get("frame") == 60)
    runs = [count for count, _ in groupby(line["faces"] for line in lines)]
    assert runs[:5] == [1, 0, 1, 0, 1]
    assert [line["frame"] for line in lines] == list(range(1, 61))
    seen = next(line for line in lines if line["faces"])
    ((x, y, width, height),) = seen["landmarks"]["faces"]
    assert 0 < x < x + width < 1
    assert 0 < y < y + height < 1
    assert 5 < lines[-1]["fps"] < 12
    assert watcher.end() == 0


def test_two_faces_are_two(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    clip = make_face_clip(tmp_path / "clip.avi", seconds=2, fps=10, pattern=(2,))
    lines = watch("--url", clip.as_uri(), "--fps", "10").until(lambda line: line.get("frame") == 5)
    assert {line["faces"] for line in lines} == {2}
    assert {line["hands"] for line in lines} == {0}


def test_a_picture_is_a_camera_that_stands_still(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    cv2.imwrite(str(tmp_path / "one.jpg"), face_picture(1))
    lines = watch("--url", (tmp_path / "one.jpg").as_uri(), "--fps", "5").until(lambda line: line.get("frame") == 4)
    assert [line["faces"] for line in lines] == [1] * 4


def test_a_missing_clip_is_said_and_found_once_it_is_there(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    clip = tmp_path / "later.avi"
    watcher = watch("--url", clip.as_uri(), "--fps", "10")
    (trouble,) = watcher.until(lambda line: "error" in line)
    assert trouble["error"] == "camera_open"
    assert "不存在" in trouble["message"]
    make_face_clip(tmp_path / "new.avi", seconds=1, fps=10, pattern=(1,)).rename(clip)
    assert watcher.until(lambda line: line.get("faces") == 1)


def test_a_file_that_is_no_clip_is_said(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    (tmp_path / "bad.avi").write_bytes(b"RIFF" + bytes(3000))
    (trouble,) = watch("--url", (tmp_path / "bad.avi").as_uri()).until(lambda line: "error" in line)
    assert trouble["error"] == "camera_open"


class _Stream(http.server.BaseHTTPRequestHandler):
    """An MJPEG camera that breaks off after so many frames."""

    frames = 12

    def do_GET(self) -> None:
        good, data = cv2.imencode(".jpg", face_picture(1))
        assert good
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        pause = threading.Event()
        for _ in range(self.frames):
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
            self.wfile.write(data.tobytes() + b"\r\n")
            pause.wait(0.05)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_an_mjpeg_stream_that_breaks_off_is_said_and_opened_again(watch: Callable[..., Watcher]) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        watcher = watch("--url", f"http://user:secret@127.0.0.1:{server.server_port}/cam.mjpg", "--fps", "20")
        lines = watcher.until(lambda line: "error" in line)
        assert lines[0]["faces"] == 1
        assert lines[-1]["error"] == "camera_stale"
        watcher.until(lambda line: line.get("faces") == 1)
        assert watcher.end() == 0
    finally:
        server.shutdown()
        server.server_close()
    watcher = watch("--url", f"http://user:secret@127.0.0.1:{server.server_port}/cam.mjpg")
    (trouble,) = watcher.until(lambda line: "error" in line)
    assert trouble["error"] == "camera_open"
    assert "secret" not in json.dumps(trouble)


@pytest.mark.parametrize("url", ["rtsp://127.0.0.1:1/live", "v4l2:///dev/video99", "http://127.0.0.1:1/x.mjpg"])
def test_a_camera_that_is_not_there_is_said(url: str, watch: Callable[..., Watcher]) -> None:
    watcher = watch("--url", url)
    (trouble,) = watcher.until(lambda line: "error" in line)
    assert trouble["error"] == "camera_open"
    assert watcher.end() == 0


@pytest.mark.parametrize("url", ["ftp://x/y", "file:clip.avi", "nonsense", "v4l2:video0"])
def test_an_unusable_url_ends_at_once(url: str, watch: Callable[..., Watcher]) -> None:
    watcher = watch("--url", url)
    assert watcher.process.wait(PATIENCE_S) == 2
    assert watcher.lines.get(timeout=PATIENCE_S)["error"] == "bad_url"


def test_without_the_vision_extra_it_says_so(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('no OpenCV here')\n")
    watcher = watch("--url", "file:///x.avi", env={"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])})
    assert watcher.process.wait(PATIENCE_S) == 3
    trouble = watcher.lines.get(timeout=PATIENCE_S)
    assert trouble["error"] == "no_vision"
    assert "zhike[vision]" in trouble["message"]


def test_it_stores_nothing(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    clip = make_face_clip(tmp_path / "clip.avi", seconds=1, fps=10, pattern=(1,))
    watcher = watch("--url", clip.as_uri(), "--fps", "10", env={"TMPDIR": str(tmp_path), "HOME": str(tmp_path)})
    watcher.until(lambda line: line.get("frame") == 5)
    written = [os.readlink(link) for link in Path(f"/proc/{watcher.process.pid}/fd").iterdir()]
    assert watcher.end() == 0
    assert sorted(path.name for path in tmp_path.rglob("*") if path.suffix in (".jpg", ".png", ".avi", ".mp4")) == [
        "clip.avi"
    ]
    assert not [name for name in written if name.startswith(str(tmp_path)) and name != str(clip)]


def test_motion_needs_no_model_and_sees_what_comes_and_goes(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    clip = make_face_clip(tmp_path / "clip.avi", seconds=4, fps=10, pattern=(1, 0, 1, 0))
    lines = watch("--url", clip.as_uri(), "--fps", "10", "--look", "motion").until(lambda line: line.get("frame") == 45)
    moved = [line for line in lines if line["motion"] > 0]
    assert 3 <= len(moved) <= 6, "the face came or went four times"
    assert all(not {"faces", "hands", "poses"} & set(line) for line in lines)
    x, y = moved[0]["landmarks"]["motion"]
    assert 0.3 < x < 0.7
    assert 0.2 < y < 0.8
    assert all(line["landmarks"]["motion"] == [] for line in lines if not line["motion"])


def test_a_persons_pose_is_33_points_with_the_nose_in_the_face(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    cv2.imwrite(str(tmp_path / "one.jpg"), face_picture(1))
    url = (tmp_path / "one.jpg").as_uri()
    line = watch("--url", url, "--fps", "5", "--look", "pose,faces").until(lambda line: line.get("poses") == 1)[-1]
    assert "hands" not in line
    (points,), ((x, y, width, height),) = line["landmarks"]["poses"], line["landmarks"]["faces"]
    assert len(points) == 33
    assert x < points[0][0] < x + width
    assert y < points[0][1] < y + height


def test_an_empty_wall_has_no_pose(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    cv2.imwrite(str(tmp_path / "wall.jpg"), face_picture(0))
    url = (tmp_path / "wall.jpg").as_uri()
    lines = watch("--url", url, "--fps", "5", "--look", "pose").until(lambda line: line.get("frame") == 3)
    assert [line["poses"] for line in lines] == [0, 0, 0]


def test_a_small_share_of_a_core_makes_a_camera_slower(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    clip = make_face_clip(tmp_path / "clip.avi", seconds=2, fps=20, pattern=(1,))
    words = ("--url", clip.as_uri(), "--fps", "20", "--look", "pose", "--share", "0.1")
    lines = watch(*words).until(lambda line: line.get("frame") == 6)
    assert lines[-1]["fps"] < 4, "a pose takes 25 ms and more: a tenth of a core is at most 4 a second"


def test_an_unknown_thing_to_look_for_is_refused(watch: Callable[..., Watcher]) -> None:
    watcher = watch("--url", "file:///x.jpg", "--look", "faces,names")
    assert watcher.process.wait(WAIT_S) == 2


def test_an_order_to_a_process_that_ends_in_this_moment_is_lost_quietly() -> None:
    """The reader's thread closes the pipe between the look at it and the write."""

    class Closing(io.BytesIO):
        closed = False  # type: ignore[assignment]

        def write(self, *_: object) -> int:
            raise ValueError("write to closed file")

    vision = VisionProcess(lambda _line: None, lambda _reason: None, lambda _code: None)
    vision._process = cast("subprocess.Popen[bytes]", SimpleNamespace(stdin=Closing()))
    vision.order({"preview_s": 1})


def test_the_cameras_password_is_in_no_list_of_processes(tmp_path: Path) -> None:
    news: queue.Queue[dict[str, object]] = queue.Queue()
    vision = VisionProcess(news.put, lambda _reason: None, lambda _code: None)
    vision.open("rtsp://name:secret@127.0.0.1:9/x", 5.0)
    try:
        assert vision.pid
        words = psutil.Process(vision.pid).cmdline()
        assert "labkit.vision" in words and "secret" not in " ".join(words)
        told = news.get(timeout=PATIENCE_S)
        assert "error" in told and "secret" not in str(told)  # it knows the address all the same, and keeps it to itself
    finally:
        vision.close()
