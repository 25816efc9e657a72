"""The models of the browser's camera, taken from the installed MediaPipe wheel: ``python models.py FOLDER``.

``face.tflite`` (BlazeFace, short range) and ``hand.task``, a zip of the palm and hand models under the names that tasks-vision wants.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

FACE = "face_detection/face_detection_short_range.tflite"
HAND = {
    "hand_detector.tflite": "palm_detection/palm_detection_full.tflite",
    "hand_landmarks_detector.tflite": "hand_landmark/hand_landmark_full.tflite",
}


def main(folder: Path) -> None:
    """Write both models; raises FileNotFoundError where the wheel carries none (MediaPipe 0.10.30 and later)."""
    spec = find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("MediaPipe is not installed: make install")
    modules = Path(spec.origin).parent / "modules"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "face.tflite").write_bytes((modules / FACE).read_bytes())
    with ZipFile(folder / "hand.task", "w", ZIP_STORED) as task:
        for name, source in HAND.items():
            task.write(modules / source, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
