"""A network camera that is not ours: GStreamer's RTSP server, read by the profile of any camera."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import pytest

from labkit.profiles import load_profiles
from labkit.simulate.clips import make_face_clip
from tests.conformance import debian
from tests.effort import PATIENCE_S
from tests.labkit.gateway.rig import Rig
from tests.ports import free_ports

SERVER = Path(__file__).with_name("rtsp_server.py")
STALE_AFTER_S = load_profiles()["generic-camera"].stale_after_s


class Camera:
    """An RTSP server that can be killed and started again at the same address."""

    def __init__(self, clip: Path) -> None:
        self._python = debian.rtsp_python()
        (self._port,) = free_ports(1)
        self._clip = clip
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"rtsp://127.0.0.1:{self._port}/camera"

    def start(self) -> None:
        """Start it and wait until it takes guests."""
        self._process = subprocess.Popen([self._python, SERVER, str(self._port), self._clip], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.stdout is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    """A camera before which a face comes and goes every 2 s."""
    one = Camera(make_face_clip(tmp_path / "clip.avi", seconds=24, fps=10, pattern=(1, 0) * 6))
    try:
        one.start()
        yield one
    finally:
        one.kill()


def counts(lab: Rig, name: str) -> list[int]:
    """All counts published so far."""
    return [int(m.payload) for m in list(lab.console.messages) if m.topic == f"homie/5/cam-1/main/{name}" and m.payload]


def test_counts_follow_the_stream_and_a_dead_camera_is_told(make_lab: Callable[..., Rig], camera: Camera) -> None:
    lab = make_lab(f'{{id: cam-1, profile: generic-camera, sticker: "C1", url: "{camera.url}"}}')
    lab.serve()
    lab.until("homie/5/cam-1/$state", b"ready")
    lab.until("homie/5/cam-1/main/stale", b"false")
    lab.wait(lambda: len([k for k, _ in groupby(counts(lab, "faces"))]) >= 4, "the count does not follow")
    assert [count for count, _ in groupby(counts(lab, "faces"))][:4] == [1, 0, 1, 0]
    frames = counts(lab, "frames")
    assert frames == sorted(frames)
    assert frames[-1] > 10

    killed = time.monotonic()
    camera.kill()
    lab.until("homie/5/cam-1/main/stale", b"true")
    assert time.monotonic() - killed >= STALE_AFTER_S / 2, "a picture of half the time is not old"
    lab.wait(lambda: bool(lab.last("homie/5/cam-1/$alert/stale")), "nobody is told")
    before = counts(lab, "frames")[-1]

    camera.start()
    lab.until("homie/5/cam-1/main/stale", b"false")
    lab.until("homie/5/cam-1/$alert/stale", b"")
    lab.until("homie/5/cam-1/$state", b"ready")
    lab.wait(lambda: counts(lab, "frames")[-1] > before, "no frames after the camera came back")
