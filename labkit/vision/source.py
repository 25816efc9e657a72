"""Where frames come from: opens a camera by URL and keeps only its newest frame.

`file:///clip.avi` (played in a loop at its own speed) or `file:///picture.jpg` · `rtsp://…` (over TCP) ·
`v4l2:///dev/video0` · `http://…` (MJPEG, or a picture that is fetched again and again).
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

# OpenCV reads this when it opens a stream: UDP would tear pictures on a school's Wi-Fi.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

import cv2
import numpy as np
import numpy.typing as npt

from labkit.errors import LabkitError

Picture = npt.NDArray[np.uint8]

SCHEMES = ("file", "rtsp", "v4l2", "http", "https")
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
TIMEOUT_MS = 5000


class CameraError(LabkitError):
    """A camera that cannot be opened or gives no frames; `code` is bad_url, camera_open or camera_stale."""


class Source:
    """Frames of one URL, one after the other; every method blocks and belongs to one thread."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url, self._scheme = url, parts.scheme
        self._path = unquote(parts.path)
        if parts.scheme not in SCHEMES or (parts.scheme in ("file", "v4l2") and not self._path.startswith("/")):
            names = "、".join(f"{name}://" for name in SCHEMES)
            raise CameraError(
                "bad_url", f"摄像头地址应以 {names} 开头，file 和 v4l2 之后是绝对路径", f"not a camera's URL: {url}"
            )
        self._capture: cv2.VideoCapture | None = None
        self._still: Picture | None = None
        self._frames_since_open = 0
        self.period_s = 0.0

    def open(self) -> None:
        """Open the camera; raises CameraError camera_open that says where to look."""
        self.close()
        self._frames_since_open = 0
        if self._scheme == "file" and Path(self._path).suffix.lower() in PICTURES:
            self._still, self.period_s = self._read_picture(), 0.2
            return
        capture = self._open_capture()
        if not capture.isOpened():
            capture.release()
            raise CameraError("camera_open", f"打不开摄像头：{self._hint()}", f"cannot open the camera {self._name()}")
        self._capture = capture
        if self._scheme == "file":
            rate = capture.get(cv2.CAP_PROP_FPS)
            self.period_s = 1 / rate if 0.5 <= rate <= 240 else 1 / 25

    def read(self) -> Picture | None:
        """The next frame (height × width × 3, uint8, BGR), or None when the camera gives no more; a file starts over."""
        if self._still is not None:
            return self._still
        if self._capture is None:
            return None
        good, frame = self._capture.read()
        if not good and self._frames_since_open and self._scheme == "file":
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            good, frame = self._capture.read()
        if not good and self._frames_since_open == 1 and self._scheme in ("http", "https"):
            self.open()
            self.period_s = 0.2
            good, frame = self._capture.read()
        if not good:
            return None
        self._frames_since_open += 1
        return np.asarray(frame, dtype=np.uint8)

    def close(self) -> None:
        """Let the camera go."""
        if self._capture is not None:
            self._capture.release()
        self._capture = self._still = None

    def _open_capture(self) -> cv2.VideoCapture:
        if self._scheme == "v4l2":
            capture = cv2.VideoCapture(self._path, cv2.CAP_V4L2)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            return capture
        if self._scheme == "file":
            return cv2.VideoCapture(self._path) if Path(self._path).is_file() else cv2.VideoCapture()
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
        return cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, limits)

    def _read_picture(self) -> Picture:
        picture = cv2.imread(self._path) if Path(self._path).is_file() else None
        if picture is None:
            raise CameraError("camera_open", f"打不开图片：{self._hint()}", f"cannot read the picture {self._name()}")
        return np.asarray(picture, dtype=np.uint8)

    def _name(self) -> str:
        """The URL without a password in it."""
        parts = urlsplit(self._url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def _hint(self) -> str:
        if self._scheme == "file":
            there = Path(self._path).is_file()
            return f"{self._path} {'不是能播放的文件' if there else '不存在'}"
        if self._scheme == "v4l2":
            there = Path(self._path).exists()
            return f"{self._path} {'被别的程序占用或没有权限' if there else '不存在，请检查 USB 线'}"
        return f"{self._name()} 没有应答，请检查电源、网络和地址"


class LatestFrame:
    """Reads a source in a thread of its own and keeps only the newest frame, so that a slow detector never lags behind.

    After an error it opens the camera again, waiting 0.5 s, then twice as long each time up to 30 s.
    """

    def __init__(self, source: Source, stale_after_s: float = 2.0) -> None:
        self._source, self._stale_after_s = source, stale_after_s
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._frame: Picture | None = None
        self._trouble: CameraError | None = None
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def take(self, stop: threading.Event) -> Picture | None:
        """Wait for a frame not taken before; None when `stop` is set.

        Raises CameraError once for each time the camera cannot be opened, breaks off, or has given nothing for
        `stale_after_s`; calling again goes on waiting.
        """
        with self._news:
            fresh = self._news.wait_for(
                lambda: self._frame is not None or self._trouble is not None or stop.is_set(), self._stale_after_s
            )
            if stop.is_set():
                return None
            frame, self._frame = self._frame, None
            trouble, self._trouble = self._trouble, None
        if frame is not None:
            return frame
        if trouble is not None:
            raise trouble
        assert not fresh
        raise CameraError(
            "camera_stale", f"摄像头 {self._stale_after_s:g} 秒没有新画面", "the camera gives no new frames"
        )

    def wake(self) -> None:
        """Make a waiting `take` look at its stop event."""
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """End the thread; a camera that is stuck in its driver is left to the end of the process."""
        self._stop.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            try:
                self._source.open()
                if self._follow():
                    pause_s = FIRST_PAUSE_S
                raise CameraError("camera_stale", "摄像头的画面中断了，正在重新连接", "the camera broke off")
            except CameraError as error:
                if not self._stop.is_set():
                    self._tell(None, error)
            self._source.close()
            self._stop.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _follow(self) -> bool:
        """Read until the camera ends; whether it gave anything."""
        due, any_frame = time.monotonic(), False
        while not self._stop.is_set():
            frame = self._source.read()
            if frame is None:
                return any_frame
            any_frame = True
            self._tell(frame, None)
            if self._source.period_s:
                due = max(due + self._source.period_s, time.monotonic() - 1.0)
                self._stop.wait(max(0.0, due - time.monotonic()))
        return any_frame

    def _tell(self, frame: Picture | None, trouble: CameraError | None) -> None:
        with self._news:
            self._frame, self._trouble = frame, trouble
            self._news.notify_all()
