"""The newest frame wins, and a camera that gives none is told: whatever it hangs on, a USB cable, a network or a file."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from labkit.vision.source import CameraError, LatestFrame, Picture, Source
from tests.effort import PATIENCE_S

URLS = ("v4l2:///dev/video0", "rtsp://camera.test/live", "file:///clip.avi")


class HandFed(Source):
    """A camera whose driver gives what the test puts in, blocks while there is nothing, and ends at None."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.opened = self.reads = self.fed = 0
        self._given: queue.Queue[Picture | None] = queue.Queue()
        self._changed = threading.Condition()

    def open(self) -> None:
        self.opened += 1

    def read(self) -> Picture | None:
        with self._changed:
            self.reads += 1
            self._changed.notify_all()
        return self._given.get()

    def put(self, *numbers: int) -> None:
        """Frames whose every pixel is their number; returns when the reader has taken them all and asks for more."""
        for number in numbers:
            self.fed += 1
            self._given.put(np.full((4, 4, 3), number, dtype=np.uint8))
        with self._changed:
            assert self._changed.wait_for(lambda: self.reads > self.fed, PATIENCE_S)

    def break_off(self) -> None:
        """The camera gives no more until it is opened again."""
        self.fed += 1
        self._given.put(None)


@pytest.fixture(params=URLS)
def camera(request: pytest.FixtureRequest) -> HandFed:
    return HandFed(request.param)


@pytest.fixture
def frames(camera: HandFed) -> Iterator[LatestFrame]:
    one = LatestFrame(camera, stale_after_s=0.3)
    yield one
    one._stop.set()
    camera.break_off()
    one.close()


def test_the_newest_frame_wins(camera: HandFed, frames: LatestFrame) -> None:
    camera.put(*range(1, 41))
    newest = frames.take(threading.Event())
    assert newest is not None
    assert newest[0, 0, 0] == 40, "39 waited and are gone"
    camera.put(41)
    again = frames.take(threading.Event())
    assert again is not None
    assert again[0, 0, 0] == 41


def test_a_camera_that_hangs_is_stale_each_time_it_is_asked(camera: HandFed, frames: LatestFrame) -> None:
    camera.put(1)
    frames.take(threading.Event())
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(CameraError) as caught:
            frames.take(threading.Event())
        assert caught.value.code == "camera_stale"
        assert 0.2 < time.monotonic() - began < 2
    camera.put(2)
    back = frames.take(threading.Event())
    assert back is not None


def test_one_that_breaks_off_is_told_and_opened_again(camera: HandFed, frames: LatestFrame) -> None:
    camera.put(1)
    frames.take(threading.Event())
    camera.break_off()
    with pytest.raises(CameraError) as caught:
        frames.take(threading.Event())
    assert caught.value.code == "camera_stale"
    camera.put(2)
    assert camera.opened == 2


def test_who_waits_is_woken_at_the_end(camera: HandFed, frames: LatestFrame) -> None:
    stop = threading.Event()
    threading.Timer(0.05, lambda: (stop.set(), frames.wake())).start()
    assert frames.take(stop) is None
