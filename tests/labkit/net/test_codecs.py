"""The text codecs under noise: they find back, prove nothing that was not said, and give no value outside its limits."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.codecs import Ack, Noise, Reported, StopProved
from labkit.codecs.events import Event, Lacking
from labkit.codecs.robomaster import FIRST, GUARD_FIRST, MAX_ASKED, MAX_BUFFER, RobomasterCodec
from labkit.codecs.tello import TelloCodec
from labkit.codecs.text_sdk import Href, TextCodec
from labkit.errors import Malformed
from labkit.model import Profile
from labkit.profiles import load_profiles

CALM = settings(deadline=None)  # a busy machine is no fault of a codec
PROFILES = load_profiles()
EP, TELLO = PROFILES["dji-robomaster-ep"], PROFILES["ryze-tello-tt"]
STATE = b"pitch:0;roll:0;yaw:%d;vgx:%d;vgy:%d;vgz:0;temph:60;h:%d;bat:%d;\r\n"
# Noise that looks like the real thing is worse than noise.
PIECES = st.sampled_from(
    [b"ok", b"error", b" seq ", b"1000000", b"5000000", b";", b"\r\n", b"command", b"chassis push ", b"status 1", b"h:", b"vgx:0;",
     b"vgy:0;", b"bat:", b"-", b"999999999999", b"nan", b"inf", b"1e999", b"\xff", b"\0"]
)  # fmt: skip
NOISE = st.lists(st.one_of(PIECES, st.binary(max_size=12)), max_size=12).map(b"".join)
SPEEDS = st.one_of(st.floats(), st.floats(-5, 5))


def ep() -> RobomasterCodec:
    return RobomasterCodec(EP, EP.parameters)


def tello() -> TelloCodec:
    return TelloCodec(TELLO, TELLO.parameters)


def within(profile: Profile, events: list[Event]) -> None:
    """Every reading is what its property may be."""
    for event in events:
        if isinstance(event, Reported):
            item = profile.properties[event.property]
            if item.type in ("number", "integer"):
                assert isinstance(event.value, (int, float))
                assert math.isfinite(event.value)
                assert item.minimum is None or event.value >= item.minimum
                assert item.maximum is None or event.value <= item.maximum


def asked_battery(codec: RobomasterCodec) -> int:
    """Ask for the battery; the question's number."""
    match = re.fullmatch(rb"robot battery \? seq (\d{7});", codec.read(EP.properties["battery"]))
    assert match
    return int(match[1])


@CALM
@given(NOISE, st.sampled_from([b";", b"\r\n"]), st.integers(0, 100))
def test_robomaster_finds_back_behind_any_noise(noise: bytes, end: bytes, percent: int) -> None:
    codec = ep()
    number = asked_battery(codec)
    within(EP, codec.feed(noise.replace(b"%d" % number, b"") + end))
    assert codec.feed(b"%d seq %d;" % (percent, number)) == [Reported("battery", percent)]


@CALM
@given(st.integers(0, 100), st.data())
def test_robomaster_finds_back_after_any_truncation(percent: int, data: st.DataObject) -> None:
    codec = ep()
    first, second = asked_battery(codec), asked_battery(codec)
    answer = b"%d seq %d;" % (percent, first)
    cut = data.draw(st.integers(0, len(answer)))
    events = codec.feed(answer[:cut])
    # Cut inside its number an answer is no answer; what follows directly is spoilt with it, what follows a ; is not.
    assert events in ([], [Reported("battery", percent)])
    assert (events != []) is (cut >= len(answer) - 1)
    assert codec.feed(b";%d seq %d;" % (percent, second))[-1] == Reported("battery", percent)


@CALM
@given(st.lists(st.integers(0, 100), min_size=1, max_size=6), st.data())
def test_robomaster_does_not_care_how_the_stream_is_cut(values: list[int], data: st.DataObject) -> None:
    codec = ep()
    stream = b"".join(b"%d seq %d;" % (value, asked_battery(codec)) for value in values)
    events = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        events += codec.feed(stream[:size])
        stream = stream[size:]
    assert events == [Reported("battery", value) for value in values]


@CALM
@given(st.lists(NOISE, max_size=8))
def test_robomaster_takes_anything(chunks: list[bytes]) -> None:
    codec = ep()
    codec.read(EP.properties["firmware"])
    codec.drive(0.1, 0.1)
    for chunk in chunks:
        within(EP, codec.feed(chunk))
        within(EP, codec.push(chunk))


def test_robomaster_forgets_what_has_no_end_and_what_is_never_answered() -> None:
    codec = ep()
    events = codec.feed(b"x" * (MAX_BUFFER + 1))
    assert [type(e) for e in events] == [Noise]
    number = asked_battery(codec)
    for _ in range(MAX_ASKED):
        codec.drive(0.1, 0.0)
    assert [type(e) for e in codec.feed(b"50 seq %d;" % number)] == [Noise]


@CALM
@given(NOISE, st.integers(0, 40), st.integers(1, 10))
def test_robomaster_proves_only_the_stop_that_was_asked_for(noise: bytes, ahead: int, count: int) -> None:
    codec = ep()
    first = GUARD_FIRST + 20
    codec.expect_stop(first, count)
    spoilt = re.sub(rb"seq \d{7}", b"", noise)
    assert StopProved() not in codec.feed(spoilt + b";")
    assert StopProved() not in codec.feed(b"error seq %d;" % first + b"not ok seq %d;" % first)
    number = GUARD_FIRST + ahead
    mine = first <= number < first + count
    assert codec.feed(b"ok seq %d;" % number) == [StopProved() if mine else Ack()]
    # Once is enough, and the second ok says nothing new.
    assert codec.feed(b"ok seq %d;" % number) == [Ack()]


def test_an_ok_of_a_drive_is_no_proof_and_numbers_begin_again() -> None:
    codec = ep()
    codec.expect_stop(GUARD_FIRST, 3)
    sent = codec.drive(0.1, 0.0)
    assert codec.feed(b"ok" + sent[sent.index(b" seq") :]) == [Ack()]
    codec._next = GUARD_FIRST - 1
    assert codec.drive(0.1, 0.0).endswith(b" seq %d;" % (GUARD_FIRST - 1))
    assert codec.drive(0.1, 0.0).endswith(b" seq %d;" % FIRST)


@CALM
@given(SPEEDS, SPEEDS)
def test_what_is_driven_stays_within_the_profile(linear: float, angular: float) -> None:
    for codec, pattern, most in (
        (ep(), rb"chassis speed x (\S+) y 0 z (\S+) seq \d{7};", (1.0, 172.0)),
        (tello(), rb"rc 0 (\S+) 0 (\S+)\n", (50.0, 69.0)),
    ):
        assert isinstance(codec, TextCodec)
        try:
            sent = codec.drive(linear, angular)
        except Malformed:
            assert not (abs(linear) <= 0.5 and abs(angular) <= 1.2)
            continue
        match = re.fullmatch(pattern, sent)
        assert match, sent
        forward, clockwise = float(match[1]), float(match[2])
        assert abs(forward) <= most[0]
        assert abs(clockwise) <= most[1]
        assert forward * linear >= 0
        assert clockwise * angular <= 0


@CALM
@given(st.lists(NOISE, max_size=8), st.integers(0, 100), st.integers(-180, 180))
def test_tello_finds_back_with_the_next_datagram(chunks: list[bytes], battery: int, yaw: int) -> None:
    codec = tello()
    codec.read(TELLO.properties["firmware"])
    for chunk in chunks:
        within(TELLO, codec.feed(chunk))
        within(TELLO, codec.push(chunk))
    told = codec.push(STATE % (yaw, 0, 0, 80, battery))
    assert Reported("battery", battery) in told
    assert Reported("yaw", yaw) in told
    codec.read(TELLO.properties["firmware"])
    assert codec.feed(b"30\r\n") == [Reported("firmware", "30")]


@CALM
@given(st.integers(0, 60))
def test_tello_believes_no_value_that_was_cut_off(cut: int) -> None:
    codec = tello()
    state = STATE % (123, 0, 0, 80, 87)
    whole = {e for e in codec.push(state) if isinstance(e, Reported)}
    part = {e for e in codec.push(state[:cut]) if isinstance(e, Reported)}
    assert part <= whole


@pytest.mark.parametrize("answer", [b"ok", b"error Motor stop", b"error"])
def test_tello_proves_a_stop_by_an_answer_and_two_still_states(answer: bytes) -> None:
    codec = tello()
    still, fast = STATE % (0, 0, 1, 80, 50), STATE % (0, 7, 0, 80, 50)
    codec.feed(b"ok")
    codec.expect_stop()
    # States alone prove nothing, however still: they may be older than the stop.
    for _ in range(5):
        assert StopProved() not in codec.push(still)
    assert codec.feed(answer) == [Ack()]
    assert StopProved() not in codec.push(fast)
    assert StopProved() not in codec.push(still)
    assert StopProved() not in codec.push(fast)
    codec.expect_stop(again=True)
    assert StopProved() not in codec.push(still)
    assert StopProved() in codec.push(still)
    assert StopProved() not in codec.push(still)


def test_a_tello_that_turns_does_not_stand() -> None:
    codec = tello()
    codec.expect_stop()
    codec.feed(b"ok")
    for turn in range(160, 400, 7):
        yaw = (turn + 180) % 360 - 180
        assert StopProved() not in codec.push(STATE % (yaw, 0, 0, 80, 50))
    assert StopProved() in codec.push(STATE % (yaw + 1, 0, 0, 80, 50))


def test_a_late_answer_to_the_probe_is_no_controller() -> None:
    codec = tello()
    codec.read(TELLO.properties["controller"])
    assert [type(e) for e in codec.feed(b"30")] == [Noise]
    assert codec.feed(b"unknown command: EXT version?") == [Lacking("controller", "unknown command: EXT version?")]


@pytest.mark.parametrize(
    "href",
    ["text:", "text: a", "text:a  b", "text:a;b", "text:a\nb", "frame:01", "text:a#x", "text:a b ", "text:" + "a" * 130, "push:ä"],
)  # fmt: skip
def test_hrefs_that_are_none(href: str) -> None:
    with pytest.raises(Malformed):
        Href.read(href)


@CALM
@given(st.text(max_size=20))
def test_only_words_of_the_list_become_commands(word: str) -> None:
    flight = TELLO.properties["flight"]
    if word in flight.enum:
        assert tello().write(flight, word) == word.encode() + b"\n"
        return
    with pytest.raises(Malformed):
        tello().write(flight, word)
