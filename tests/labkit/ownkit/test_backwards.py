"""Kits that are simulated by their codec's own kit end: damage on the line, limits, the samples answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import codecs, samples, yamlfile
from labkit.codecs import Codec, KitEnd, Reported, StopProved
from labkit.codecs.kit_end import Acted, Written
from labkit.errors import LabkitError, Malformed
from labkit.lab import load_lab
from labkit.links import BrokerAddress
from labkit.model import Form
from labkit.profiles import load_profile, profiles_dir
from labkit.simulate import Fleet
from labkit.simulate.backwards import Backwards
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults, read_faults
from labkit.simulate.physics import Pose, school_table
from tests.labkit.benchtop import lab_of

PROFILE = load_profile(profiles_dir() / "makeblock-mbot2")
STOP = PROFILE.actions["stop"]
DRIVE = PROFILE.drive
assert DRIVE and PROFILE.safety
RESYNC = PROFILE.safety.resync_before_stop


def codec() -> Codec:
    return codecs.create(PROFILE.transport.codec, PROFILE)


def kit() -> KitEnd:
    end = codecs.kit_end(PROFILE.transport.codec, PROFILE, PROFILE.parameters)
    assert end
    return end


@given(st.binary(max_size=300), st.integers(0, 60))
def test_whatever_came_before_three_stops_stop_it(noise: bytes, kept: int) -> None:
    end, one = kit(), codec()
    end.hear(noise + one.write(PROFILE.properties["left"], 90)[:kept])
    heard = [item for _ in range(3) for item in end.hear(b"".join(one.stop(STOP, RESYNC)))]
    stops = [item for item in heard if item in (Acted("stop", item.answer),)]
    assert stops
    one.expect_stop()
    assert [type(event) for event in one.feed(stops[-1].answer)] == [StopProved]
    assert not [event for event in one.feed(stops[-1].answer) if isinstance(event, StopProved)], "proved once"


@given(st.binary(max_size=300), st.lists(st.integers(0, 40), max_size=6))
def test_noise_never_raises_and_a_later_answer_is_read_in_any_pieces(noise: bytes, cuts: list[int]) -> None:
    end, one = kit(), codec()
    one.feed(noise)
    found: dict[str, object] = {}
    for _ in range(12):  # a length in the noise may swallow as much as a frame can hold
        (asked,) = end.hear(one.read(PROFILE.properties["range"]))
        answer, at = asked.answer(87.5), 0  # type: ignore[operator]  # a read is Wanted, and its answer a function
        for size in [*cuts, len(answer)]:
            found |= {e.property: e.value for e in one.feed(answer[at : at + size]) if isinstance(e, Reported)}
            at += size
    assert found["range"] == 87.5


@given(st.floats(), st.sampled_from(["left", "right"]))
def test_no_wheel_is_ever_told_more_than_its_limits(power: float, wheel: str) -> None:
    one = codec()
    try:
        data = one.write(PROFILE.properties[wheel], power)
    except Malformed:
        assert not -100 <= power <= 100
        return
    (heard,) = kit().hear(data)
    assert isinstance(heard, Written)
    assert heard.property == wheel
    assert heard.value == round(power)


@pytest.mark.parametrize(
    ("href", "reply"),
    [("frame:01", ""), ("script:", ""), ("script:f({nobody})", ""), ("script:f()", "u8"), ("script:" + "f" * 201, "")],
)
def test_hrefs_are_checked(href: str, reply: str) -> None:
    with pytest.raises(Malformed):
        codec().check(Form(href, ("readproperty",) if reply else (), reply))


@pytest.fixture
def motors(tmp_path: Path) -> Iterator[MotorLog]:
    log = MotorLog(tmp_path / "log")
    yield log
    log.close()


def simulated(tmp_path: Path, motors: MotorLog, faults: Faults) -> tuple[Backwards, Body]:
    device = lab_of(tmp_path, PROFILE.id).devices[0]
    assert DRIVE
    body = Body(school_table(), Pose(1.0, 1.0, 0.0), DRIVE, 1, motors, 0.0)
    return Backwards(device, body, faults, 1, 0.0), body


def test_the_simulated_kit_answers_the_samples(tmp_path: Path, motors: MotorLog) -> None:
    board, body = simulated(tmp_path, motors, Faults())
    data = yamlfile.read(Path(PROFILE.folder) / samples.FILE).data
    assert isinstance(data, dict)
    assert data["exchanges"]
    for row in data["exchanges"]:
        one = codec()
        one.expect_stop()
        events = one.feed(b"".join(board.feed(samples.sends(one, PROFILE, row), 1.0)))
        assert {e.property for e in events if isinstance(e, Reported)} == set(row.get("gives", {}))
        assert [type(e).__name__ for e in events if not isinstance(e, Reported)] == row.get("tells", [])
    assert not body.moving


def test_it_drives_on_until_told_and_a_brown_out_makes_it_deaf_and_still(tmp_path: Path, motors: MotorLog) -> None:
    board, body = simulated(tmp_path, motors, read_faults("kit-1", {"brown_out_s": 0.001}))
    one = codec()
    board.feed(one.write(PROFILE.properties["left"], 50) + one.write(PROFILE.properties["right"], -50), 0.0)
    assert (body.left_mps, body.right_mps) == (0.2, 0.2)
    board.tick(1.0)
    assert not body.moving
    ask = one.read(PROFILE.properties["firmware"])
    assert board.feed(ask, 1.5) == []
    assert board.feed(ask, 2.5)


def test_a_firmware_that_is_told_in_the_lab_file_is_what_it_says(tmp_path: Path, motors: MotorLog) -> None:
    board, _ = simulated(tmp_path, motors, read_faults("kit-1", {"firmware": "43.00"}))
    one = codec()
    assert one.feed(b"".join(board.feed(one.read(PROFILE.properties["firmware"]), 0.0))) == [
        Reported("firmware", "43.00")
    ]


SENSOR = """
id: test-sensor
title: {zh: 测试传感器, en: test sensor}
properties:
  loud: {title: {zh: 响度, en: loudness}, type: integer, minimum: 0, maximum: 100, readOnly: true,
         forms: [{href: "script:cyberpi.get_loudness()", op: [readproperty], x-reply: f64, x-round: 0}]}
  firmware: {title: {zh: 固件版本, en: firmware}, type: string, readOnly: true,
             forms: [{href: "script:cyberpi.get_firmware_version()", op: [readproperty], x-reply: str}]}
x-lab:
  kind: sensor
  transport: {type: serial, codec: cyberpi, baud: 115200}
  match: {probe: {read: firmware, pattern: "^44"}}
  rates: {loud: {poll_hz: 5}}
"""


def test_a_sensor_without_wheels_is_simulated_too(tmp_path: Path) -> None:
    folder = tmp_path / "profiles" / "test-sensor"
    folder.mkdir(parents=True)
    (folder / "profile.yaml").write_text(SENSOR, encoding="utf-8")
    profile = load_profile(folder)
    file = tmp_path / "lab.yaml"
    file.write_text("name: gw-x\nroom: r\ndevices:\n  - {id: kit-1, profile: test-sensor, url: 'sim://pty'}\n")
    lab = load_lab(file, {profile.id: profile})
    board, one = Backwards(lab.devices[0], None, Faults(), 7, 0.0), codecs.create("cyberpi", profile)
    told = [
        event.value
        for second in range(0, 120, 5)
        for event in one.feed(b"".join(board.feed(one.read(profile.properties["loud"]), float(second))))
        if isinstance(event, Reported)
    ]
    assert len(told) == 24
    assert len(set(told)) > 5, "it swings"
    assert all(isinstance(value, int) and 0 <= value <= 100 for value in told)
    fleet = Fleet(lab, tmp_path / "run", BrokerAddress.parse("mqtt://127.0.0.1:1"))
    assert (tmp_path / "run" / "dev" / "kit-1").is_symlink()
    fleet.stop()
    fleet.run()
    assert not (tmp_path / "run" / "dev" / "kit-1").exists()


def test_a_codec_that_is_there_twice_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.codecs import huskylens

    codecs._named.cache_clear()
    monkeypatch.setattr(huskylens, "CODECS", {"firmata": huskylens.HuskylensCodec})
    try:
        with pytest.raises(LabkitError) as caught:
            codecs.names()
        assert caught.value.code == "codec_twice"
    finally:
        codecs._named.cache_clear()
