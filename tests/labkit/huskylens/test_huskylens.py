"""HuskyLens: its samples, damage on the line, the simulated camera, and the sensor's worker with a real guard."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import yamlfile
from labkit.codecs import Event, Noise, Reported
from labkit.codecs.huskylens import ARROW, BLOCK, INFO, OK, HuskylensCodec, frame
from labkit.errors import Malformed
from labkit.gateway.mailbox import SetOrder
from labkit.gateway.serial_sensor import SerialSensor
from labkit.profiles import load_profile, profiles_dir
from labkit.simulate.faults import Faults, read_faults
from labkit.simulate.huskylens import Huskylens
from tests.labkit.benchtop import Bench, lab_of

PROFILE = load_profile(profiles_dir() / "dfrobot-huskylens")
REPLIES = frame(INFO, bytes([2, 0, 1, 0, 9, 0, 0, 0, 0, 0])) + frame(BLOCK, bytes([10, 0, 20, 0, 30, 0, 40, 0, 1, 0]))
REPLIES += frame(ARROW, bytes([1, 0, 2, 0, 3, 0, 4, 0, 0, 0]))
SEEN = {
    "blocks": [{"x": 10, "y": 20, "width": 30, "height": 40, "id": 1}],
    "arrows": [{"x": 1, "y": 2, "to_x": 3, "to_y": 4, "id": 0}],
}


def codec() -> HuskylensCodec:
    return HuskylensCodec(PROFILE, PROFILE.parameters)


def given_by(events: list[Event]) -> dict[str, object]:
    return {e.property: e.value for e in events if isinstance(e, Reported)}


def rows() -> list[dict[str, object]]:
    data = yamlfile.read(Path(PROFILE.folder) / "samples" / "exchanges.yaml").data
    assert isinstance(data, dict)
    return list(data["exchanges"])


def sent(one: HuskylensCodec, row: dict[str, object]) -> bytes:
    do = row["do"]
    assert isinstance(do, dict)
    if "read" in do:
        return one.read(PROFILE.properties[do["read"]])
    return b"".join(one.write(PROFILE.properties[name], value) for name, value in do["write"].items())


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row["title"]))
def test_the_samples_are_what_the_codec_says_and_the_camera_answers(tmp_path: Path, row: dict[str, object]) -> None:
    one = codec()
    data = sent(one, row)
    assert data.hex(" ") == row["sends"]
    camera = Huskylens(lab_of(tmp_path, PROFILE.id).devices[0], Faults(), 1, 0.0)
    live = given_by(one.feed(b"".join(camera.feed(data, 1.0))))
    gives = row.get("gives", {})
    assert isinstance(gives, dict)
    assert set(live) == set(gives)
    other = codec()
    sent(other, row)
    events = other.feed(bytes.fromhex(str(row["answers"])))
    assert given_by(events) == gives
    assert [type(e).__name__ for e in events if not isinstance(e, Reported)] == row.get("tells", [])


@given(st.lists(st.integers(0, 60), max_size=8))
def test_replies_in_pieces_of_any_size(cuts: list[int]) -> None:
    one, at = codec(), 0
    found: dict[str, object] = {}
    for size in [*cuts, len(REPLIES)]:
        found |= given_by(one.feed(REPLIES[at : at + size]))
        at += size
    assert found == {"count": 2, "learned": 1, "frame": 9, "objects": SEEN}


@given(st.binary(max_size=80), st.integers(0, len(REPLIES)))
def test_after_any_noise_and_any_truncation_a_later_answer_is_right(noise: bytes, kept: int) -> None:
    one = codec()
    one.feed(noise + REPLIES[:kept])
    for _ in range(3):  # a length byte of noise can swallow a frame, not three
        events = one.feed(REPLIES)
    assert given_by(events)["objects"] == SEEN


@given(st.binary(max_size=400))
def test_noise_never_raises_and_never_gives_what_no_camera_can_see(noise: bytes) -> None:
    one = codec()
    for event in one.feed(noise) + one.feed(REPLIES):
        if isinstance(event, Reported) and event.property == "objects":
            assert isinstance(event.value, dict)
            boxes = event.value["blocks"]
            assert isinstance(boxes, list)
            assert all(0 <= box["x"] <= 320 and 0 <= box["y"] <= 240 for box in boxes)


def test_a_wrong_sum_and_an_unknown_algorithm_are_refused() -> None:
    bad = bytearray(frame(OK))
    bad[-1] ^= 1
    assert all(isinstance(event, Noise) for event in codec().feed(bytes(bad)))
    with pytest.raises(Malformed):
        codec().write(PROFILE.properties["algorithm"], 7)
    with pytest.raises(Malformed):
        codec().write(PROFILE.properties["objects"], 0)


class HuskyBench(Bench):
    def __init__(self, folder: Path, **faults: object) -> None:
        lab = lab_of(folder, PROFILE.id)
        self.camera = Huskylens(lab.devices[0], read_faults("kit-1", faults), 1, time.monotonic())
        super().__init__(folder, lab, self.camera, SerialSensor)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[HuskyBench]:
    one = HuskyBench(tmp_path)
    yield one
    one.close()


def test_the_sensor_is_probed_polled_and_its_algorithm_set(bench: HuskyBench) -> None:
    bench.ready()
    bench.until(lambda: bench.value("objects") is not None)
    assert json.loads(bench.value("objects") or b"{}")["blocks"]
    bench.worker.mailbox.put(SetOrder("algorithm", b"line-tracking"))
    bench.until(lambda: bool(json.loads(bench.value("objects") or b"{}").get("arrows")))
    assert bench.camera.algorithm == 3
    bench.worker.mailbox.put(SetOrder("algorithm", b"mind-reading"))
    bench.worker.mailbox.put(SetOrder("count", b"3"))
    bench.worker.mailbox.put(SetOrder("algorithm", b"face-recognition"))
    bench.until(lambda: bench.value("algorithm") == b"face-recognition")
    assert bench.worker.is_alive()


def test_a_noisy_line_costs_readings_not_the_sensor(tmp_path: Path) -> None:
    bench = HuskyBench(tmp_path, noise=0.3, truncate=0.2, lose=0.02)
    try:
        bench.ready()
        first = bench.value("frame")
        bench.until(lambda: bench.value("frame") not in (None, first))
        assert bench.worker.is_alive()
    finally:
        bench.close()
