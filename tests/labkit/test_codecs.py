"""Both wire protocols: what is written, what is read, and that damage never costs more than the damaged frame."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import codecs
from labkit.codecs import Ack, Event, Noise, Reported, Restarted, StopProved
from labkit.codecs.firmata import FirmataCodec
from labkit.codecs.makeblock import MakeblockCodec
from labkit.errors import Malformed
from labkit.model import Form, Profile
from labkit.profiles import load_profiles

PROFILES: Mapping[str, Profile] = load_profiles()
MBOT, UNO = PROFILES["makeblock-mbot"], PROFILES["arduino-firmata-car"]


def mbot() -> MakeblockCodec:
    return MakeblockCodec(MBOT, MBOT.parameters)


def uno() -> FirmataCodec:
    return FirmataCodec(UNO, UNO.parameters)


def meaning(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Noise)]


def float_reply(index: int, value: float) -> bytes:
    return b"\xff\x55" + bytes([index, 2]) + struct.pack("<f", value) + b"\r\n"


def version_reply(index: int) -> bytes:
    return b"\xff\x55" + bytes([index, 4, 9]) + b"06.01.009\r\n"


@given(st.lists(st.integers(0, 30), max_size=6))
def test_makeblock_replies_in_pieces_of_any_size(cuts: list[int]) -> None:
    codec = mbot()
    codec.read(MBOT.properties["range"])
    codec.read(MBOT.properties["firmware"])
    stream = float_reply(1, 12.5) + b"\xff\x55\r\n" + version_reply(2)
    events: list[Event] = []
    at = 0
    for size in [*cuts, len(stream)]:
        events += codec.feed(stream[at : at + size])
        at += size
    assert events == [Reported("range", 12.5), Ack(), Reported("firmware", "06.01.009")]


@given(st.binary(max_size=60), st.integers(0, 9))
def test_makeblock_finds_the_next_frame_after_any_noise(noise: bytes, kept: int) -> None:
    codec = mbot()
    codec.read(MBOT.properties["range"])
    codec.feed(noise)
    codec.feed(float_reply(77, 1.0)[:kept])
    # Damage can pretend to be a text of up to 64 bytes; what it held up is read again once that much has come.
    events = codec.feed(float_reply(1, 12.5)) + codec.feed(b"\xff\x55\r\n" * 20)
    assert Reported("range", 12.5) in events


@given(st.integers(1, 9))
def test_makeblock_loses_only_the_truncated_reply(cut: int) -> None:
    codec = mbot()
    for _ in range(3):
        codec.read(MBOT.properties["range"])
    first, second, third = (float_reply(i, 10.0 * i) for i in (1, 2, 3))
    events = meaning(codec.feed(first + second[:cut] + third))
    assert events[0] == Reported("range", 10.0)
    assert events[-1] == Reported("range", 30.0)


@given(st.lists(st.binary(max_size=40)))
def test_no_bytes_break_a_codec_or_its_memory(chunks: list[bytes]) -> None:
    for codec in (mbot(), uno()):
        for chunk in chunks:
            codec.feed(chunk)
        assert len(codec._buffer) <= sum(map(len, chunks)) + 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 401.0, 3e38])
def test_makeblock_refuses_impossible_readings(value: float) -> None:
    codec = mbot()
    codec.read(MBOT.properties["range"])
    (event,) = codec.feed(float_reply(1, value))
    assert isinstance(event, Noise)


def test_makeblock_refuses_replies_nobody_asked_for_and_of_the_wrong_kind() -> None:
    codec = mbot()
    assert isinstance(codec.feed(float_reply(9, 1.0))[0], Noise)
    codec.read(MBOT.properties["range"])
    assert isinstance(codec.feed(version_reply(1))[0], Noise)
    codec.read(MBOT.properties["firmware"])
    assert isinstance(codec.feed(float_reply(2, 1.0))[0], Noise)
    assert isinstance(codec.feed(float_reply(2, 1.0))[0], Noise)


def test_makeblock_takes_only_an_acknowledgement_between_its_two_reads_as_proof() -> None:
    ack = b"\xff\x55\r\n"
    before, after = version_reply(0xF0), version_reply(0xF1)
    assert StopProved() in mbot().feed(before + ack + ack + after)
    for stream in (ack + before + after, before + after + ack, ack + after, before + ack, ack * 5):
        assert StopProved() not in mbot().feed(stream)


def test_makeblock_short_and_byte_and_double() -> None:
    codec = mbot()
    for _ in range(3):
        codec.read(MBOT.properties["light"])
    stream = b"\xff\x55\x01\x01\x07\r\n" + b"\xff\x55\x02\x03\xe8\x03\x00\x00\r\n"
    stream += b"\xff\x55\x03\x05" + struct.pack("<f", 3.0) + b"\r\n"
    assert codec.feed(stream) == [Reported("light", 7.0), Reported("light", 1000.0), Reported("light", 3.0)]


@pytest.mark.parametrize(
    "href",
    [
        "frame:",
        "frame:zz",
        "frame:07 00",
        "frame:02 0a {speed:i16}x",
        "frame:02 {left:i99}",
        "homie:a/b",
        "frame:" + "02 " * 60,
    ],
)
def test_makeblock_hrefs_are_checked(href: str) -> None:
    with pytest.raises(Malformed):
        mbot().check(Form(href))


def test_a_read_without_its_type_is_refused() -> None:
    with pytest.raises(Malformed):
        mbot().check(Form("frame:01 01 03"))


@pytest.mark.parametrize("value", [-256, 256, float("nan"), float("inf"), 1e300])
def test_writes_out_of_range_are_refused(value: float) -> None:
    for codec, profile in ((mbot(), MBOT), (uno(), UNO)):
        with pytest.raises(Malformed):
            codec.write(profile.properties["left"], value)


@given(st.integers(-255, 255))
def test_motor_values_on_the_wire(value: int) -> None:
    assert mbot().write(MBOT.properties["left"], value) == b"\xff\x55\x06\x00\x02\x0a\x09" + struct.pack("<h", value)
    data = uno().write(UNO.properties["right"], value)
    assert data[:1] == b"\x90"
    assert bool(data[2] & 1) is (value < 0)  # pin 7 is bit 7 of port 0: the eighth bit travels in the second byte
    assert data[3] == 0xE6
    assert data[4] | data[5] << 7 == abs(value)


def test_firmata_directions_of_both_wheels_do_not_disturb_each_other() -> None:
    codec = uno()
    codec.write(UNO.properties["left"], -10)
    data = codec.write(UNO.properties["right"], -10)
    assert data[1] | data[2] << 7 == 1 << 4 | 1 << 7
    data = codec.write(UNO.properties["left"], 10)
    assert data[1] | data[2] << 7 == 1 << 7


def analog(channel: int, raw: int) -> bytes:
    return bytes([0xE0 | channel, raw & 0x7F, raw >> 7])


@given(st.binary(max_size=60))
def test_firmata_finds_the_next_message_after_any_noise(noise: bytes) -> None:
    codec = uno()
    codec.feed(noise)
    codec.feed(b"\xf7")
    assert codec.feed(analog(1, 300))[-1] == Reported("light", 300)


@given(st.integers(1, 2))
def test_firmata_loses_only_the_truncated_message(cut: int) -> None:
    events = uno().feed(analog(1, 100) + analog(1, 200)[:cut] + analog(1, 300))
    assert meaning(events) == [Reported("light", 100), Reported("light", 300)]
    assert len(events) == 3


def test_firmata_scales_and_holds_to_the_range() -> None:
    codec = uno()
    assert codec.feed(analog(0, 100)) == [Reported("range", 127.0)]
    assert codec.feed(analog(2, 0)) == [Reported("battery", 0)]
    assert codec.feed(analog(2, 1023)) == [Reported("battery", 100)]
    assert codec.feed(analog(2, 757)) == [Reported("battery", 50)]


def test_firmata_line_sensors_left_is_two() -> None:
    assert uno().feed(b"\x91\x01\x00") == [Reported("line", 2)]
    assert uno().feed(b"\x91\x04\x00") == [Reported("line", 1)]
    assert uno().feed(b"\x91\x05\x00") == [Reported("line", 3)]


def test_firmata_proves_a_stop_by_the_state_of_every_motor_pin() -> None:
    codec = uno()
    codec.expect_stop()
    assert codec.feed(b"\xf0\x6e\x05\x03\x00\xf7") == []
    assert codec.feed(b"\xf0\x6e\x06\x03\x00\xf7") == [StopProved()]
    assert codec.feed(b"\xf0\x6e\x06\x03\x00\xf7") == []
    codec.expect_stop()
    assert isinstance(codec.feed(b"\xf0\x6e\x05\x03\x7f\x01\xf7")[0], Noise)
    assert codec.feed(b"\xf0\x6e\x06\x03\x00\xf7") == []


def test_firmata_notices_a_restart() -> None:
    codec = uno()
    codec.opening()
    assert codec.feed(b"\xf9\x02\x05") == []
    assert codec.feed(b"\xf9\x02\x05") == [Restarted()]


def test_firmata_firmware_and_missing_modes() -> None:
    codec = uno()
    name = b"".join(bytes([letter, 0]) for letter in b"StandardFirmata.ino")
    assert codec.feed(b"\xf0\x79\x02\x05" + name + b"\xf7") == [Reported("firmware", "StandardFirmata.ino 2.5")]
    only_inputs = b"\xf0\x6c" + b"\x00\x01\x7f" * 20 + b"\xf7"
    reasons = [event.reason for event in codec.feed(only_inputs) if isinstance(event, Noise)]
    assert "the board's pin 5 has no mode pwm" in reasons
    no_channels = b"\xf0\x6a" + b"\x7f" * 20 + b"\xf7"
    assert "no analogue channel 0" in str(codec.feed(no_channels)[0])


@pytest.mark.parametrize(
    "href", ["firmata:", "firmata:motor/5", "firmata:analog/200", "firmata:analog/{nothing}", "frame:02"]
)
def test_firmata_hrefs_are_checked(href: str) -> None:
    with pytest.raises(Malformed):
        uno().check(Form(href))


@pytest.mark.parametrize("profile", [p for p in PROFILES.values() if p.transport.codec and p.safety])
def test_a_stop_is_ready_before_anything_was_received(profile: Profile) -> None:
    codec = codecs.create(profile.transport.codec, profile)
    safety = profile.safety
    assert safety
    chunks = codec.stop(profile.actions[safety.stop], safety.resync_before_stop)
    assert sum(map(len, chunks)) > 4
    assert len(chunks[0]) >= safety.resync_before_stop
