"""Pictures a second: the bare loop (``python -m labkit.bench.vision CLIP SECONDS`` prints its rate), and labkit's own process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from labkit.errors import LabkitError

CLIP_FPS = 90
WARM_UP_S = 2.0
START_S = 60.0


def make_clip(path: Path) -> bool:
    """A clip with a face; False where labkit is installed without vision."""
    words = ["--out", str(path), "--fps", str(CLIP_FPS), "--seconds", "4", "--pattern", "1,2,1"]
    made = subprocess.run(
        [sys.executable, "-m", "labkit.simulate.clips", *words], check=False, capture_output=True, timeout=START_S
    )
    return made.returncode == 0


def bare_rate(clip: Path, seconds: float) -> float:
    """Pictures a second of the bare loop, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "labkit.bench.vision", str(clip), str(seconds)],
        check=True, capture_output=True, text=True, timeout=START_S + seconds,
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def labkit_rate(clip: Path, seconds: float) -> float:
    """Pictures a second of ``python -m labkit.vision``, counted from its lines after 2 s."""
    words = ["--url", f"file://{clip}", "--fps", str(CLIP_FPS), "--look", "faces,hands"]
    with subprocess.Popen(
        [sys.executable, "-m", "labkit.vision", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        first, count = 0.0, 0
        for line in process.stdout:
            now = time.monotonic()
            if "error" in json.loads(line):
                process.kill()
                raise LabkitError("bench_broken", f"视觉进程：{line}", f"vision: {line}")
            first = first or now
            if now - first >= WARM_UP_S:
                count += 1
            if now - first >= WARM_UP_S + seconds:
                break
        process.kill()
    return count / (time.monotonic() - first - WARM_UP_S)


def _bare(clip: str, seconds: float) -> float:
    # Loads OpenCV first, as `labkit.vision.detect` does; the models and their settings are the same.
    import cv2
    import mediapipe as mp

    faces = mp.solutions.face_detection.FaceDetection(model_selection=0, min_detection_confidence=0.5)
    hands = mp.solutions.hands.Hands(max_num_hands=6, model_complexity=0, min_detection_confidence=0.5)
    capture = cv2.VideoCapture(clip)
    first = time.monotonic()
    count = 0
    while (now := time.monotonic()) < first + WARM_UP_S + seconds:
        good, frame = capture.read()
        if not good:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            continue
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        faces.process(rgb)
        hands.process(rgb)
        if now >= first + WARM_UP_S:
            count += 1
    return count / seconds


if __name__ == "__main__":
    print(_bare(sys.argv[1], float(sys.argv[2])))
