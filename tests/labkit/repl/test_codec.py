"""The raw REPL's codec: samples, pieces, damage on the line, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import yamlfile
from labkit.codecs import Ack, Entered, Event, Noise, Raised, Reported, Restarted, StopProved
from labkit.codecs.raw_repl import BANNER, MAX_COMMAND, MAX_PIECE, RawReplCodec
from labkit.errors import Malformed
from labkit.model import Form, Profile
from labkit.profiles import load_profile, profiles_dir
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults
from labkit.simulate.physics import Pose, school_table
from labkit.simulate.repl_board import ReplBoard
from tests.labkit.benchtop import lab_of
from tests.labkit.repl.conftest import BOARDS

PROFILES = {name: load_profile(profiles_dir() / name) for name in BOARDS}
MICROBIT = PROFILES["microbit-car"]
READING = b"OK=range 1160\r\n+\r\n\x04\x04>"
STOPPED = BANNER + b"OK! 0 0\r\n\x04\x04>"


def entered(profile: Profile = MICROBIT) -> RawReplCodec:
    one = RawReplCodec(profile, profile.parameters)
    assert one.feed(BANNER) == [Entered()]
    return one


def meant(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Noise)]


def rows(profile: Profile) -> list[dict[str, object]]:
    data = yamlfile.read(Path(profile.folder) / "samples" / "exchanges.yaml").data
    assert isinstance(data, dict)
    return list(data["exchanges"])


SAMPLES = [pytest.param(p, row, id=f"{p.id}-{row['title']}") for p in PROFILES.values() for row in rows(p)]


def sent(one: RawReplCodec, profile: Profile, row: dict[str, object]) -> bytes:
    do = row["do"]
    assert isinstance(do, dict)
    if "read" in do:
        return one.read(profile.properties[do["read"]])
    if "write" in do:
        return one.write_all({profile.properties[name]: value for name, value in do["write"].items()})
    assert profile.safety
    return b"".join(one.stop(profile.actions[profile.safety.stop], 0))


@pytest.mark.parametrize(("profile", "row"), SAMPLES)
def test_the_samples_are_what_the_codec_says(profile: Profile, row: dict[str, object]) -> None:
    one = entered(profile)
    assert sent(one, profile, row).hex(" ") == row["sends"]
    one.expect_stop()
    events = one.feed(bytes.fromhex(str(row["answers"])))
    assert {e.property: e.value for e in events if isinstance(e, Reported)} == row.get("gives", {})
    assert [type(e).__name__ for e in events if not isinstance(e, Reported)] == row.get("tells", [])


@pytest.mark.parametrize(("profile", "row"), SAMPLES)
def test_the_simulated_board_answers_the_samples(tmp_path: Path, profile: Profile, row: dict[str, object]) -> None:
    device = lab_of(tmp_path, profile.id).devices[0]
    assert profile.drive
    motors = MotorLog(tmp_path / "log")
    body = Body(school_table(), Pose(1.0, 1.0, 0.0), profile.drive, 1, motors, 0.0)
    board, one = ReplBoard(device, body, Faults(), 1, 0.0), RawReplCodec(profile, profile.parameters)
    now = 0.0

    def say(data: bytes) -> list[Event]:
        nonlocal now
        replies = board.feed(data, now + 0.01)
        for _ in range(5):
            now += 0.02
            replies += board.tick(now)
        return one.feed(b"".join(replies))

    say(one.opening())
    for piece in one.program():
        assert meant(say(piece)) == [Ack()]
    one.expect_stop()
    events = say(sent(one, profile, row))
    motors.close()
    gives, tells = row.get("gives", {}), row.get("tells", [])
    assert isinstance(gives, dict)
    assert isinstance(tells, list)
    assert set(gives) == {e.property for e in events if isinstance(e, Reported)}
    assert tells == [type(e).__name__ for e in meant(events) if not isinstance(e, Reported)]


@given(st.lists(st.integers(0, 40), max_size=8))
def test_answers_in_pieces_of_any_size(cuts: list[int]) -> None:
    one, stream, at = entered(), READING + STOPPED, 0
    one.expect_stop()
    events: list[Event] = []
    for size in [*cuts, len(stream)]:
        events += one.feed(stream[at : at + size])
        at += size
    assert events == [Reported("range", 20.0), Ack(), Entered(), StopProved(), Ack()]


@given(st.binary(max_size=300), st.integers(0, len(READING)), st.integers(0, len(STOPPED)))
def test_a_stop_is_proved_after_any_noise_and_any_truncation(noise: bytes, kept: int, half: int) -> None:
    one = entered()
    one.feed(noise + READING[:kept] + STOPPED[:half])
    one.expect_stop()
    events = one.feed(STOPPED)
    assert [e for e in events if isinstance(e, (Entered, StopProved))][-2:] == [Entered(), StopProved()]
    assert Reported("range", 20.0) in one.feed(READING)


@given(st.binary(max_size=600))
def test_noise_never_raises_and_never_gives_a_value_out_of_range(noise: bytes) -> None:
    one = RawReplCodec(MICROBIT, MICROBIT.parameters)
    for event in one.feed(noise) + one.feed(BANNER + b"OK" + noise) + one.feed(STOPPED):
        assert not isinstance(event, StopProved)  # none was sent
        if isinstance(event, Reported) and event.property == "range":
            assert isinstance(event.value, float)
            assert 0 <= event.value <= 400


@pytest.mark.parametrize("outputs", [b"! 0 12", b"!", b"! 0 x", b"! -0.0", b"! 1023 0"])
def test_a_board_whose_outputs_are_not_zero_has_not_stopped(outputs: bytes) -> None:
    one = entered()
    one.expect_stop()
    assert StopProved() not in one.feed(b"OK" + outputs + b"\r\n\x04\x04>")


def test_a_traceback_is_told_and_the_next_command_goes_on() -> None:
    one = entered()
    text = b'OK\x04Traceback (most recent call last):\r\n  File "<stdin>", line 1, in <module>\r\nOSError: 19\r\n\x04>'
    assert one.feed(text) == [Raised("OSError: 19"), Ack()]
    assert one.feed(READING) == [Reported("range", 20.0), Ack()]


@pytest.mark.parametrize(
    "greeting",
    [
        b"\r\nMicroPython v1.22.0 on 2024-01-05; ESP32\r\n>>> ",
        b"OK\r\nMPY: soft reboot\r\n",
        b"OK=ra\r\nMicroPython v1\r\n>>> ",
    ],
)
def test_the_boards_own_prompt_means_that_it_has_started_anew(greeting: bytes) -> None:
    one = entered()
    assert Restarted() in one.feed(greeting)
    assert not one.entered
    assert Entered() in one.feed(BANNER)


@pytest.mark.parametrize(
    "href",
    [
        "frame:01 02",
        "repl:",
        "repl: ",
        "repl:a({nothing})",
        "repl:转()",
        "repl:a(\x04)",
        "repl:" + "a" * MAX_COMMAND,
        "repl:a\n" + "b" * MAX_PIECE,
    ],
)
def test_an_href_that_is_no_command_is_refused(href: str) -> None:
    with pytest.raises(Malformed):
        RawReplCodec(MICROBIT, MICROBIT.parameters).check(Form(href), "left")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=BOARDS)
@given(st.floats() | st.integers(-10_000, 10_000))
def test_no_power_outside_the_limits_is_ever_written(profile: Profile, value: float) -> None:
    left = profile.properties["left"]
    assert left.minimum is not None and left.maximum is not None
    one = entered(profile)
    if left.minimum <= value <= left.maximum:
        assert len(one.write(left, value)) <= MAX_COMMAND
        assert str(round(value)).encode() in one.write(left, value)
    else:
        with pytest.raises(Malformed):
            one.write(left, value)
