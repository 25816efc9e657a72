"""Preview and recording through a real gateway and broker: on request, for a while, with a sign; nothing is written without a policy."""

from __future__ import annotations

import base64
import errno
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from labkit.camera_orders import order_topic, preview_topic
from labkit.errors import Malformed
from labkit.gateway.board import Board
from labkit.gateway.camera import Camera
from labkit.gateway.mailbox import Told
from labkit.gateway.recordings import DELETED, ENDED, Recordings, list_topic
from labkit.lab import load_lab
from labkit.links import Message, VisionProcess
from labkit.recording import NotPermitted, read_permit
from labkit.simulate.clips import make_face_clip
from tests.labkit.brokers import RunningBroker
from tests.labkit.gateway.conftest import rigs_on
from tests.labkit.gateway.rig import ROOM, Rig, new_person
from tests.labkit.vision.test_orders import permit_json

PICTURES = preview_topic(ROOM, "cam-1")
LIST = list_topic("gw-lab1")


@pytest.fixture(scope="module")
def lab(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A camera that may record and one whose lab file does not say so."""
    folder = tmp_path_factory.mktemp("cameras")
    clip = make_face_clip(folder / "clip.avi", seconds=2, fps=10, pattern=(1,)).as_uri()
    cameras = [
        f'{{id: cam-1, profile: generic-camera, url: "{clip}", look: [faces], fps: 8, record: true}}',
        f'{{id: cam-2, profile: generic-camera, url: "{clip}", look: [motion], fps: 1}}',
    ]
    with rigs_on(broker, folder) as make:
        rig = make(*cameras)
        rig.serve()
        for camera in ("cam-1", "cam-2"):
            rig.until(f"homie/5/{camera}/$state", b"ready")
        yield rig


def ask(rig: Rig, what: str, camera: str = "cam-1", retain: bool = False, **order: Any) -> None:
    rig.console.publish(order_topic(ROOM, camera, what), json.dumps(order), retain=retain)


def soon(seconds: float = 30) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def pictures(rig: Rig) -> list[Any]:
    return [m for m in list(rig.console.messages) if m.topic == PICTURES]


def told(rig: Rig, number: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [e for e in json.loads(rig.last(LIST) or b"[]") if e["id"] == number]
    return found[-1] if found else {}


def files(rig: Rig) -> list[str]:
    return sorted(file.name for file in (rig.folder / "recordings").glob("*.avi"))


def test_a_preview_comes_for_as_long_as_asked_and_everybody_sees_the_sign(lab: Rig) -> None:
    assert lab.value("watched", "cam-1") == b"false"
    assert not pictures(lab)
    ask(lab, "preview", until=soon(3))
    lab.wait(lambda: len(pictures(lab)) >= 2, "no pictures")
    messages = [m.topic for m in list(lab.console.messages)]
    assert messages.index(PICTURES) > max(
        i
        for i, m in enumerate(list(lab.console.messages))
        if m.topic.endswith("cam-1/main/watched") and m.payload == b"true"
    )
    data = base64.b64decode(json.loads(pictures(lab)[0].payload)["jpeg"])
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (240, 320, 3)
    lab.until("homie/5/cam-1/main/watched", b"false")
    before = len(pictures(lab))
    frames = int(lab.value("frames", "cam-1") or 0)
    lab.wait(lambda: int(lab.value("frames", "cam-1") or 0) > frames + 12, "the camera goes on")
    assert len(pictures(lab)) == before <= 8
    late = new_person(lab, "late")
    late.subscribe(PICTURES, LIST)
    late.wait(lambda: bool(late.messages), "the broker keeps the list")
    assert {message.topic for message in late.messages} == {LIST}, "and no picture"


@pytest.mark.parametrize("until", [-1.0, None])
def test_an_order_that_comes_late_or_says_no_end_shows_nothing(lab: Rig, until: float | None) -> None:
    before = len(pictures(lab))
    ask(lab, "preview", **({"until": soon(until)} if until is not None else {}))
    frames = int(lab.value("frames", "cam-1") or 0)
    lab.wait(lambda: int(lab.value("frames", "cam-1") or 0) > frames + 8, "the camera goes on")
    assert len(pictures(lab)) == before
    assert lab.value("watched", "cam-1") == b"false"


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("cam-1", {}, "no_policy"),
    ("cam-1", {"permit": permit_json(datetime.now(UTC), countersigned_by="account-1")}, "one_person"),
    ("cam-1", {"permit": permit_json(datetime.now(UTC), room="lab2")}, "room"),
    ("cam-1", {"permit": permit_json(datetime.now(UTC) - timedelta(days=3))}, "time"),
    ("cam-1", {"permit": permit_json(datetime.now(UTC), retention_days=31)}, "retention"),
    ("cam-2", {"permit": permit_json(datetime.now(UTC))}, "off"),
]


@pytest.mark.parametrize(("camera", "order", "code"), REFUSALS)
def test_recording_is_refused_with_the_reason_and_no_file_appears(
    lab: Rig, camera: str, order: dict[str, Any], code: str
) -> None:
    number = f"0000-{code}-{camera}".replace("_", "-").encode().hex()[:32]
    ask(lab, "record", camera, id=number, until=soon(), **order)
    lab.wait(lambda: told(lab, number).get("state") == "refused", "no refusal")
    found = told(lab, number)
    assert found["code"] == code
    assert found["zh"]
    assert files(lab) == []
    assert lab.value("recording", camera) == b"false"


def test_with_a_policy_it_records_tells_the_room_and_is_deleted(lab: Rig) -> None:
    number, now = "11111111-aaaa", datetime.now(UTC)
    ask(lab, "record", id=number, until=soon(), permit=permit_json(now))
    lab.until("homie/5/cam-1/main/recording", b"true")
    ask(lab, "record", id="22222222-bbbb", until=soon(), permit=permit_json(now))
    lab.wait(lambda: told(lab, "22222222-bbbb").get("code") == "busy", "two at once")
    frames = int(lab.value("frames", "cam-1") or 0)
    lab.wait(lambda: int(lab.value("frames", "cam-1") or 0) > frames + 6, "frames")
    ask(lab, "record", id=number, stop=True)
    lab.until("homie/5/cam-1/main/recording", b"false")
    assert told(lab, number)["state"] == "ended"
    assert files(lab) == [f"{number}.avi"]
    kept = datetime.fromisoformat(told(lab, number)["delete_at"]) - now
    assert timedelta(days=7) <= kept < timedelta(days=7, minutes=1)
    assert "permit" not in told(lab, number)
    ask(lab, "record", id=number, erase=True)
    lab.wait(lambda: told(lab, number)["state"] == "deleted", "not erased")
    assert files(lab) == []
    journal = [
        json.loads(line) for line in (lab.folder / "recordings" / "journal.jsonl").read_text("utf-8").splitlines()
    ]
    steps = [line["state"] for line in journal if line["id"] == number]
    assert steps == ["recording", "ended", "deleted"]
    assert journal[-1]["permit"]["countersigned_by"] == "account-2"


class Shown(Board):
    """The newest list of recordings."""

    def __init__(self) -> None:
        super().__init__()
        self.list: list[dict[str, Any]] = []

    def put(self, topic: str, payload: bytes) -> None:
        self.list = json.loads(payload)


class TestRecordings:
    """What lies on the gateway's disk, without a gateway."""

    now = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)

    def begun(self, folder: Path, number: str = "abcdef12", days: int = 3) -> tuple[Recordings, Path]:
        kept = Recordings(folder, "gw-x", Shown())
        file = kept.begin(number, "cam-1", "lab1", read_permit(permit_json(self.now, retention_days=days)), self.now)
        file.write_bytes(b"RIFF")
        return kept, file

    def test_a_file_goes_when_its_days_are_over(self, tmp_path: Path) -> None:
        kept, file = self.begun(tmp_path)
        kept.ended("abcdef12", self.now)
        kept.sweep(self.now + timedelta(days=3, seconds=-1))
        assert file.exists()
        kept.sweep(self.now + timedelta(days=3))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.jsonl"]

    def test_a_gateway_that_was_off_deletes_at_its_start(self, tmp_path: Path) -> None:
        _, file = self.begun(tmp_path)
        board = Shown()
        later = Recordings(tmp_path, "gw-x", board)
        later.sweep(self.now)
        assert board.list[0]["state"] == ENDED, "nobody writes it any more"
        later.sweep(self.now + timedelta(days=4))
        assert not file.exists()
        assert board.list[0]["state"] == DELETED

    def test_a_file_that_nobody_allowed_is_deleted(self, tmp_path: Path) -> None:
        kept, file = self.begun(tmp_path)
        stray = tmp_path / "stray.avi"
        stray.write_bytes(b"RIFF")
        kept.sweep(self.now)
        assert file.exists()
        assert not stray.exists()

    def test_a_recording_whose_policy_cannot_be_read_goes(self, tmp_path: Path) -> None:
        _, file = self.begun(tmp_path)
        file.with_suffix(".json").write_text("{half")
        Recordings(tmp_path, "gw-x", Shown()).sweep(self.now)
        assert not file.exists()

    @pytest.mark.parametrize("number", ["../../etc/x", "", "abcdef12", "ABCDEF12"])
    def test_a_wrong_or_used_number_is_refused(self, tmp_path: Path, number: str) -> None:
        kept, _ = self.begun(tmp_path)
        with pytest.raises(NotPermitted):
            kept.begin(number, "cam-1", "lab1", read_permit(permit_json(self.now)), self.now)


@pytest.mark.parametrize(
    ("room", "retained", "body"),
    [
        ("lab1", True, {"until": "2026-11-24T02:00:30+00:00"}),
        ("lab2", False, {"until": "2026-11-24T02:00:30+00:00"}),
        ("lab1", False, {"until": "2026-11-24T02:00:30"}),
    ],
)
def test_a_wrong_order_is_no_order(tmp_path: Path, room: str, retained: bool, body: dict[str, str]) -> None:
    """A retained order would start the camera again after each reconnect."""
    file = tmp_path / "lab.yaml"
    file.write_text(
        'name: gw-x\nroom: lab1\ndevices:\n  - {id: cam-1, profile: generic-camera, url: "file:///x.avi"}\n'
    )
    camera = Camera(load_lab(file).devices[0], Shown())
    with pytest.raises(Malformed):
        camera.ordered(room, "preview", Message("", json.dumps(body).encode(), retained), TestRecordings.now)
    assert camera.mailbox.get(0) is None


class Deaf:
    """A vision process that takes orders and says nothing."""

    pid = None

    def __init__(self) -> None:
        self.orders: list[Any] = []

    def order(self, order: Any) -> None:
        self.orders.append(order)


class TestOrders:
    """Orders to record, without a gateway and without a camera."""

    number = "abcdef12"

    def camera(self, folder: Path, recordings: Path) -> tuple[Camera, Shown, Recordings]:
        file = folder / "lab.yaml"
        url = '{id: cam-1, profile: generic-camera, record: true, url: "file:///x.avi"}'
        file.write_text(f"name: gw-x\nroom: lab1\ndevices:\n  - {url}\n")
        board = Shown()
        kept = Recordings(recordings, "gw-x", board)
        camera = Camera(load_lab(file).devices[0], board, kept)
        camera._vision, camera._stale = cast(VisionProcess, Deaf()), False
        return camera, board, kept

    def ask(self, camera: Camera, **order: Any) -> None:
        """As the router and the worker do it."""
        body = json.dumps({"id": self.number, **order}).encode()
        camera.ordered("lab1", "record", Message("", body, False), datetime.now(UTC))
        item = camera.mailbox.get(0)
        assert item
        camera.handle(item)

    def record(self, camera: Camera) -> None:
        self.ask(camera, until=soon(), permit=permit_json(datetime.now(UTC)))

    def test_an_order_that_comes_twice_is_one_order(self, tmp_path: Path) -> None:
        """MQTT may deliver it twice: the sign stays on and the file stays, for the camera records."""
        camera, board, kept = self.camera(tmp_path, tmp_path / "recordings")
        self.record(camera)
        file = tmp_path / "recordings" / f"{self.number}.avi"
        file.write_bytes(b"RIFF")
        self.record(camera)
        assert (camera._recording, board.list[0]["state"], file.exists()) == (self.number, "recording", True)
        kept.ended(self.number, datetime.now(UTC))
        camera._recording = ""
        self.record(camera)
        assert (board.list[0]["state"], file.exists()) == (ENDED, True)

    def test_what_is_recorded_when_its_policy_is_withdrawn_is_deleted(self, tmp_path: Path) -> None:
        camera, board, _ = self.camera(tmp_path, tmp_path / "recordings")
        self.record(camera)
        file = tmp_path / "recordings" / f"{self.number}.avi"
        file.write_bytes(b"RIFF")
        self.ask(camera, stop=True)
        self.ask(camera, erase=True)
        camera.handle(Told({"recording": self.number, "state": "ended"}, camera._vision))
        assert (board.list[0]["state"], file.exists()) == (DELETED, False)

    def test_a_disk_that_takes_nothing_ends_no_worker(self, tmp_path: Path) -> None:
        (tmp_path / "recordings").write_text("in the way")
        camera, board, _ = self.camera(tmp_path, tmp_path / "recordings")
        self.record(camera)
        assert (board.list[0]["state"], board.list[0]["code"]) == ("refused", "disk")
        assert camera._recording == ""

    def test_a_disk_that_is_full_at_the_end_ends_no_worker(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        camera, board, _ = self.camera(tmp_path, tmp_path / "recordings")
        self.record(camera)

        def full(*_: object, **__: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_text", full)
        camera.handle(Told({"recording": self.number, "state": "ended"}, camera._vision))
        assert (board.list[0]["state"], camera._recording) == (ENDED, "")

    def test_a_file_that_cannot_be_deleted_ends_no_gateway(self, tmp_path: Path) -> None:
        (tmp_path / "stray.avi").mkdir()
        Recordings(tmp_path, "gw-x", Shown()).sweep(datetime.now(UTC))
