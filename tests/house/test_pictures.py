"""Pictures of cameras: one module may write them, one may make one for sending."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.house.test_rules import OURS, ROOT, sources

RECORDER = "labkit/vision/record.py"
SCANS = "lms/programmes/sealing/reading.py"
PREVIEW = "labkit/vision/preview.py"
CLIPS = "labkit/simulate/clips.py"  # draws a clip for simulated cameras from a photograph; sees no camera
WRITING = re.compile(r"\b(VideoWriter|imwrite|imwritemulti|tofile|imsave|write_videofile|VideoSink)\b")


def names(path: Path) -> set[str]:
    """Identifiers of a module, not its comments and sentences."""
    tree = ast.parse(path.read_text("utf-8"))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
    }


def modules_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        str(path.relative_to(ROOT)) for path in sources(*OURS) if any(pattern.fullmatch(name) for name in names(path))
    ]


def test_one_module_alone_writes_frames() -> None:
    assert modules_with(WRITING) == [SCANS, CLIPS, RECORDER]
    assert names(ROOT / SCANS) & {"VideoCapture", "VideoWriter", "imencode"} == set()  # papers from files, no camera


def test_one_module_alone_makes_a_picture_to_send() -> None:
    assert modules_with(re.compile("imencode|to_jpeg|tobytes")) == [PREVIEW]
    text = (ROOT / PREVIEW).read_text("utf-8")
    assert text.count("imencode(") == 1
    assert 'imencode(".jpg", drawn(' in text


def test_the_cameras_process_opens_no_file_for_writing() -> None:
    opening = re.compile(r"write_text|write_bytes|open|dump|save|savez|mkstemp|NamedTemporaryFile")
    found = [name for name in modules_with(opening) if name.startswith("labkit/vision/")]
    assert found == ["labkit/vision/source.py"]
    assert names(ROOT / "labkit/vision/source.py") & {"write_text", "write_bytes", "dump"} == set()


def test_only_with_a_permit_is_there_a_recorder() -> None:
    users = [
        path.relative_to(ROOT).as_posix()
        for path in sources(*OURS)
        if "Recorder(" in path.read_text("utf-8") and "vision" in path.parts
    ]
    assert users == ["labkit/vision/orders.py"]
    text = (ROOT / RECORDER).read_text("utf-8")
    begin = text.index("def __init__")
    assert text[begin:].split("\n")[1].strip() == "allowed(permit, room, now)", "the first thing it does"
