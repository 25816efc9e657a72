"""The wire format: what paho writes is read, what is cut or scrambled is refused, never a crash."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.broker import packets
from labkit.broker.errors import MalformedPacket
from labkit.broker.packets import Decoder, Publish, encode_publish

publishes = st.builds(
    lambda topic, payload, qos, retain, packet_id: Publish(topic, payload, qos, retain, packet_id if qos else 0),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40),
    st.binary(max_size=300),
    st.integers(0, 2),
    st.booleans(),
    st.integers(1, 65535),
)


@given(st.lists(publishes, max_size=5), st.integers(1, 50))
def test_messages_survive_any_cutting(messages: list[Publish], piece: int) -> None:
    stream = b"".join(encode_publish(message) for message in messages)
    decoder = Decoder(100_000)
    found = [p for at in range(0, len(stream), piece) for p in decoder.feed(stream[at : at + piece])]
    assert found == messages


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_noise_is_refused_or_waited_for_and_nothing_else(pieces: list[bytes]) -> None:
    decoder = Decoder(4096)
    with contextlib.suppress(MalformedPacket):
        for piece in pieces:
            list(decoder.feed(piece))


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\xff\xff\xff\xff\x01",  # length of five bytes
        b"\x30\xff\xff\x7f",  # 2 MiB announced
        b"\x36\x05\x00\x01a\x00\x01",  # QoS 3
        b"\x32\x05\x00\x01a\x00\x00",  # packet identifier 0
        b"\x30\x03\x00\x09a",  # topic longer than the packet
        b"\x30\x04\x00\x02\xff\xfe",  # not UTF-8
        b"\x80\x06\x00\x01\x00\x01a\x00",  # SUBSCRIBE with wrong flags
        b"\x82\x02\x00\x01",  # SUBSCRIBE of nothing
        b"\xc0\x01x",  # PINGREQ with a body
        b"\x00\x00",
        b"\xf0\x00",
        b"\x20\x02\x00\x00",  # only a broker says CONNACK
        b"\x10\x0c\x00\x04MQTT\x04\x40\x00\x00\x00\x00",  # password without user name
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        list(Decoder(65536).feed(data))


def test_a_version_5_client_is_recognised() -> None:
    connect = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc"
    (packet,) = Decoder(1000).feed(connect)
    assert isinstance(packet, packets.Connect)
    assert packet.level == 5
