"""`python -m labkit.vision --url URL --fps N [--look faces,hands] [--share 1]`: one camera's counts and landmarks as JSON lines.

A line per frame looked at: `{"frame", "faces", "hands", "fps", "at", "landmarks": {"faces": [[x,y,w,h]], "hands":
[[[x,y] × 21]]}}`, fractions of the picture. `--look` chooses from faces, hands, pose (`"poses"`, landmarks `[[[x,y] × 33]]`) and motion
(`"motion"` 0–1, landmarks `[x,y]`, its middle, or `[]`); what is not looked for is not in the line.

The budget of a camera is `--fps` frames a second and `--share` of one core: after each frame it rests as long as that takes, and
then looks at the newest frame, never at one that waited. When the camera cannot be opened, breaks off or gives nothing new:
`{"error": "camera_open" | "camera_stale", "message": zh, "message_en": en, "at"}`, and on it goes with trying.
Its standard input takes orders (see `labkit.vision.orders`): a preview in squares, `{"preview": base64 JPEG, "at"}` twice a second and
never longer than a minute after each order; a recording, which needs a permit: `{"recording": id, "state", "code", "message"}`.
Without an order no picture leaves it and nothing is written. It ends when its standard input closes. Exit 0; 2 = unusable URL; 3 = installed
without vision.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

from labkit.errors import LabkitError
from labkit.vision.counts import DEFAULT_LOOKS, LOOKS, URL, to_json

if TYPE_CHECKING:
    from labkit.vision.detect import Detector
    from labkit.vision.orders import Orders
    from labkit.vision.source import LatestFrame

EXIT_URL, EXIT_NO_VISION = 2, 3
MAX_ORDER_BYTES = 64 * 1024
_MEASURED_S = 5.0
_printing = threading.Lock()


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and watch the camera."""
    parser = argparse.ArgumentParser(prog="python -m labkit.vision", description="摄像头：只输出人数、手数和关键点")
    known = os.environ.get(URL, "")
    parser.add_argument(
        "--url", default=known, required=not known, help=f"file:///… rtsp://… v4l2:///dev/video0 http://…; ${URL}"
    )
    parser.add_argument("--fps", type=float, default=8.0, help="每秒最多分析几帧（0.1–240）")
    parser.add_argument("--width", type=int, default=640, help="分析前缩小到的宽度（像素）")
    parser.add_argument("--stale-after", type=float, default=2.0, help="几秒没有新画面算中断")
    parser.add_argument("--look", type=_looks, default=DEFAULT_LOOKS, help=f"看什么，逗号分开：{','.join(LOOKS)}")
    parser.add_argument("--share", type=float, default=1.0, help="最多用一个处理器核的几成（0.05–1）")
    options = parser.parse_args(arguments)
    try:
        from labkit.vision.orders import Orders
        from labkit.vision.source import LatestFrame, Source

        if find_spec("mediapipe") is None:
            raise ImportError("no MediaPipe")
    except ImportError as error:
        return _no_vision(error)
    try:
        source = Source(options.url)
    except LabkitError as error:
        _fail(error.code, error.zh, error.en)
        return EXIT_URL
    stop = threading.Event()
    frames = LatestFrame(source, max(0.2, options.stale_after))
    fps = min(max(options.fps, 0.1), 240.0)
    orders = Orders(_print, fps)
    threading.Thread(target=_watch_stdin, args=(stop, frames, orders), daemon=True).start()
    try:
        with contextlib.suppress(BrokenPipeError):
            budget = Budget(fps, min(max(options.share, 0.05), 1.0))
            _watch(frames, lambda: _detector(min(max(options.width, 64), 1920), options.look), budget, orders, stop)
            orders.end()
    except ImportError as error:
        return _no_vision(error)
    frames.close()
    return 0


def _looks(text: str) -> tuple[str, ...]:
    """`faces,pose` as names; raises ArgumentTypeError for an unknown one."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names or any(name not in LOOKS for name in names):
        raise argparse.ArgumentTypeError(f"应为 {','.join(LOOKS)} 中的几个 / choose from them")
    return names


class Budget:
    """What a camera may cost: at most `fps` frames a second and `share` of one core (0–1]; times in monotonic seconds."""

    def __init__(self, fps: float, share: float) -> None:
        self._period_s, self._share = 1 / fps, share

    def next_at(self, due: float, began: float, ended: float) -> float:
        """When the next frame is looked at, after one that was due at `due` and was worked on from `began` to `ended`."""
        return max(due + self._period_s, began + (ended - began) / self._share)


def _watch(
    frames: LatestFrame, make_detector: Callable[[], Detector], budget: Budget, orders: Orders, stop: threading.Event
) -> None:
    detector: Detector | None = None
    seen: deque[float] = deque()
    number, due = 0, time.monotonic()
    while not stop.is_set():
        try:
            picture = frames.take(stop)
        except LabkitError as error:
            seen.clear()
            _fail(error.code, error.zh, error.en)
            orders.idle()
            continue
        if picture is None:
            return
        if detector is None:
            detector = make_detector()
        number += 1
        now = time.monotonic()
        seen.append(now)
        while now - seen[0] > _MEASURED_S:
            seen.popleft()
        rate = (len(seen) - 1) / (now - seen[0]) if len(seen) > 1 else 0.0
        picture = detector.fitting(picture)
        found = detector.look(picture)
        _print(to_json(found, number, rate, datetime.now(UTC)))
        orders.serve(picture, found)
        ended = time.monotonic()
        due = max(budget.next_at(due, now, ended), ended)
        stop.wait(due - time.monotonic())


def _detector(width: int, looks: tuple[str, ...]) -> Detector:
    """Loads the models, which takes a second or two: only a camera that has given a picture is worth it."""
    from labkit.vision.detect import Detector

    return Detector(width, looks=looks)


def _watch_stdin(stop: threading.Event, frames: LatestFrame, orders: Orders) -> None:
    while line := sys.stdin.buffer.readline(MAX_ORDER_BYTES):
        orders.take(line)
    stop.set()
    frames.wake()


def _no_vision(error: ImportError) -> int:
    _fail("no_vision", "没有安装视觉组件 zhike[vision]，请按安装说明运行：pip install --require-hashes -r requirements.lock", f"installed without vision: {error}")
    return EXIT_NO_VISION


def _fail(code: str, zh: str, en: str) -> None:
    _print({"error": code, "message": zh, "message_en": en, "at": datetime.now(UTC).isoformat(timespec="milliseconds")})


def _print(line: Mapping[str, object]) -> None:
    with _printing:
        print(json.dumps(line, ensure_ascii=False, separators=(",", ":")), flush=True)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # typed as TextIO; is a TextIOWrapper
    sys.exit(main())
