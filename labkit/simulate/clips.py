"""Camera clips for simulated classrooms: a real photograph of a face that comes and goes.

The photograph (Grace Hopper, public domain) comes with matplotlib, which MediaPipe brings along; none is shipped here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib import cbook

from labkit.errors import LabkitError

Picture = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 640, 480
WALL_BGR = (208, 214, 218)


def face_picture(count: int) -> Picture:
    """A grey wall (480 × 640 × 3, uint8, BGR) with the photograph on it `count` times (0–4) side by side."""
    if not 0 <= count <= 4:
        raise ValueError(f"0 to 4 faces, not {count}")
    picture = np.full((HEIGHT, WIDTH, 3), WALL_BGR, dtype=np.uint8)
    if count == 0:
        return picture
    photo = cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    if photo is None:
        raise LabkitError("no_photo", "matplotlib 的示例照片读不出来", "matplotlib's sample photograph cannot be read")
    slot = WIDTH // count
    scale = min(slot / photo.shape[1], HEIGHT / photo.shape[0])
    small = cv2.resize(photo, (int(photo.shape[1] * scale), int(photo.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    top = (HEIGHT - small.shape[0]) // 2
    for place in range(count):
        left = place * slot + (slot - small.shape[1]) // 2
        picture[top : top + small.shape[0], left : left + small.shape[1]] = small
    return picture


def make_face_clip(path: Path, seconds: float = 8.0, fps: float = 10.0, pattern: Sequence[int] = (1, 0, 1, 0)) -> Path:
    """Write an MJPG .avi of `seconds` whose parts of equal length show as many faces as `pattern` says; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise LabkitError("clip", f"写不了视频文件 {path}", f"cannot write the clip {path}")
    pictures = {count: face_picture(count) for count in set(pattern)}
    total = max(len(pattern), round(seconds * fps))
    for number in range(total):
        writer.write(pictures[pattern[number * len(pattern) // total]])
    writer.release()
    return path


def main(arguments: list[str] | None = None) -> int:
    """`python -m labkit.simulate.clips --out clip.avi [--seconds 8] [--fps 10] [--pattern 1,0,1,0]`."""
    parser = argparse.ArgumentParser(prog="python -m labkit.simulate.clips", description="制作模拟摄像头的视频")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--pattern", default="1,0,1,0", help="各段里的人脸数")
    options = parser.parse_args(arguments)
    pattern = tuple(int(part) for part in options.pattern.split(","))
    draft = options.out.with_name(f".{options.out.stem}.new.avi")
    make_face_clip(draft, options.seconds, options.fps, pattern).replace(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
