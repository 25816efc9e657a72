"""A camera's worker: what lab.yaml tells it to look for is what it gives, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit.errors import BadDocument
from labkit.gateway import face
from labkit.gateway.camera import Camera
from labkit.gateway.mailbox import EndOrder
from labkit.lab import Lab, load_lab
from labkit.model import MAIN_NODE
from labkit.simulate.clips import make_face_clip
from tests.effort import PATIENCE_S
from tests.labkit.benchtop import Notices

WAIT_S = PATIENCE_S


def lab_with(folder: Path, more: str) -> Lab:
    file = folder / "lab.yaml"
    camera = f'{{id: cam-1, profile: generic-camera, url: "file://{folder}/clip.avi"{more}}}'
    file.write_text(f"name: gw-x\nroom: r\ndevices:\n  - {camera}\n")
    return load_lab(file)


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Callable[[str], Notices]]:
    """Starts a camera on a clip in which a face comes and goes."""
    workers: list[Camera] = []

    def start(more: str) -> Notices:
        make_face_clip(tmp_path / "clip.avi", seconds=2, fps=10, pattern=(1, 0))
        device, notices = lab_with(tmp_path, more).devices[0], Notices()
        worker = Camera(device, notices)
        node = face.kit_device(device, "gw-x", 1).node(MAIN_NODE)
        assert node
        worker.serve(node.properties)
        worker.start()
        workers.append(worker)
        return notices

    yield start
    for worker in workers:
        worker.mailbox.put(EndOrder())
        worker.join(PATIENCE_S)


def value(notices: Notices, name: str) -> bytes | None:
    return notices.values.get(f"homie/5/cam-1/main/{name}")


def until(notices: Notices, condition: Callable[[], bool]) -> None:
    with notices.changed:
        assert notices.changed.wait_for(condition, WAIT_S), notices.values


def test_a_camera_that_looks_for_motion_tells_motion_alone(camera: Callable[[str], Notices]) -> None:
    notices = camera(", fps: 10, look: [motion], share: 0.5")
    seen: set[bool] = set()

    def both() -> bool:
        told = value(notices, "motion")
        seen.update([] if told is None else [float(told) > 0])
        return seen == {True, False}

    until(notices, both)
    assert value(notices, "stale") == b"false"
    assert value(notices, "faces") is None
    assert value(notices, "hands") is None


@pytest.mark.parametrize(
    ("more", "told"),
    [("", {"faces", "hands"}), (", look: [pose]", {"poses"}), (", look: [motion, faces]", {"faces", "motion"})],
)
def test_a_camera_describes_only_what_it_gives(tmp_path: Path, more: str, told: set[str]) -> None:
    node = face.kit_device(lab_with(tmp_path, more).devices[0], "gw-x", 1).node(MAIN_NODE)
    assert node
    assert {item.id for item in node.properties} == told | {
        "frames",
        "fps",
        "stale",
        "watched",
        "recording",
        "landmarks",
    }


def test_without_look_it_is_faces_and_hands(tmp_path: Path, camera: Callable[[str], Notices]) -> None:
    device = lab_with(tmp_path, "").devices[0]
    assert (device.look, device.share, device.fps) == (("faces", "hands"), 1.0, 8.0)
    notices = camera("")
    until(notices, lambda: value(notices, "faces") == b"1")
    assert value(notices, "poses") is None


@pytest.mark.parametrize(
    "more", [", look: [names]", ", look: []", ", share: 0", ", share: 2", ", look: [faces, faces]"]
)
def test_a_wrong_choice_is_named(tmp_path: Path, more: str) -> None:
    with pytest.raises(BadDocument) as caught:
        lab_with(tmp_path, more)
    assert caught.value.faults[0].place.line == 4
