"""MQTT 3.1.1 packets that a broker receives and sends: bytes ↔ frozen values, no I/O (OASIS mqtt-v3.1.1, chapters 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from labkit.broker.errors import MalformedPacket

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14

ACCEPTED, BAD_PROTOCOL, BAD_IDENTIFIER, NOT_AUTHORIZED = 0, 1, 2, 5
SUBSCRIPTION_REFUSED = 0x80

# Section 2.2.2: the flags that each packet must carry; PUBLISH alone is free.
_FLAGS = {
    CONNECT: 0,
    PUBACK: 0,
    PUBREC: 0,
    PUBREL: 2,
    PUBCOMP: 0,
    SUBSCRIBE: 2,
    UNSUBSCRIBE: 2,
    PINGREQ: 0,
    DISCONNECT: 0,
}


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for a client that vanishes."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Connect:
    """A client's first packet; `level` is 4 for MQTT 3.1.1, `keep_alive_s` 0 means none."""

    level: int
    client_id: str
    username: str | None
    password: bytes | None
    clean: bool
    keep_alive_s: int
    will: Will | None


@dataclass(frozen=True, slots=True)
class Publish:
    """A message; `packet_id` is 0 at QoS 0."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int = 0
    dup: bool = False


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Filters with the QoS asked for each."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Filters to forget."""

    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ack:
    """PUBACK, PUBREC, PUBREL or PUBCOMP, by `kind`."""

    kind: int
    packet_id: int


@dataclass(frozen=True, slots=True)
class Ping:
    """PINGREQ."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A farewell: no last will is due."""


Packet = Connect | Publish | Subscribe | Unsubscribe | Ack | Ping | Disconnect


class _Body:
    """A packet's bytes read from front to back; running short is a malformed packet."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise MalformedPacket("报文内容比声明的长度短", "the packet is shorter than it says")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def number(self, size: int = 2) -> int:
        return int.from_bytes(self.take(size), "big")

    def packet_id(self) -> int:
        value = self.number()
        if value == 0:
            raise MalformedPacket("报文编号为 0", "packet identifier 0")
        return value

    def binary(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        try:
            value = self.binary().decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedPacket("报文中的文字不是 UTF-8", "text that is not UTF-8") from error
        if "\0" in value:
            raise MalformedPacket("报文中的文字含有空字符", "text with a NUL")
        return value

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def more(self) -> bool:
        return self._at < len(self._data)


class Decoder:
    """Collects the bytes of one connection and gives out whole packets; bytes may arrive in any pieces."""

    def __init__(self, max_packet_bytes: int) -> None:
        self._buffer = bytearray()
        self._max = max_packet_bytes

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield the packets that `data` completes, in order; raises MalformedPacket, after which the connection is useless."""
        self._buffer += data
        while (frame := self._next_frame()) is not None:
            head, body = frame
            yield _decode(head >> 4, head & 0x0F, _Body(body))

    def _next_frame(self) -> tuple[int, bytes] | None:
        length, shift, at = 0, 0, 1
        while True:
            if at >= len(self._buffer):
                return None
            byte = self._buffer[at]
            length |= (byte & 0x7F) << shift
            at += 1
            if not byte & 0x80:
                break
            shift += 7
            if shift > 21:
                raise MalformedPacket("报文长度字段超过四个字节", "length field longer than four bytes")
        if at + length > self._max:
            raise MalformedPacket(
                f"报文长 {at + length} 字节，上限为 {self._max} 字节", f"{at + length} bytes, {self._max} allowed"
            )
        if len(self._buffer) < at + length:
            return None
        head, body = self._buffer[0], bytes(self._buffer[at : at + length])
        del self._buffer[: at + length]
        return head, body


def _decode(kind: int, flags: int, body: _Body) -> Packet:
    if kind != PUBLISH and _FLAGS.get(kind) != flags:
        raise MalformedPacket(
            f"类型 {kind} 的报文标志位 {flags:#x} 不合规", f"flags {flags:#x} on a packet of type {kind}"
        )
    packet: Packet
    if kind == PUBLISH:
        packet = _decode_publish(flags, body)
    elif kind == CONNECT:
        packet = _decode_connect(body)
    elif kind == SUBSCRIBE:
        packet = _decode_subscribe(body)
    elif kind == UNSUBSCRIBE:
        packet = _decode_unsubscribe(body)
    elif kind == PINGREQ:
        packet = Ping()
    elif kind == DISCONNECT:
        packet = Disconnect()
    else:
        packet = Ack(kind, body.packet_id())
    if body.more():
        raise MalformedPacket("报文末尾有多余的字节", "bytes left over at the end")
    return packet


def _decode_connect(body: _Body) -> Connect:
    name, level, flags, keep_alive_s = body.text(), body.number(1), body.number(1), body.number()
    if name not in ("MQTT", "MQIsdp"):
        raise MalformedPacket("首个报文不是 MQTT 连接请求", "the first packet is no MQTT CONNECT")
    if name != "MQTT" or level != 4:
        # Another version's payload looks different: enough is known to say so politely.
        body.rest()
        return Connect(level if level != 4 else 3, "", None, None, True, keep_alive_s, None)
    if flags & 0x01:
        raise MalformedPacket("连接请求的保留位不为 0", "reserved flag set in CONNECT")
    client_id = body.text()
    will_qos, will_retain = flags >> 3 & 3, bool(flags & 0x20)
    will = Will(body.text(), body.binary(), will_qos, will_retain) if flags & 0x04 else None
    if will_qos == 3 or (will is None and (will_qos or will_retain)):
        raise MalformedPacket("遗嘱的标志位不合规", "will flags that contradict each other")
    username = body.text() if flags & 0x80 else None
    if flags & 0x40 and username is None:
        raise MalformedPacket("连接请求有密码而没有用户名", "a password without a user name")
    password = body.binary() if flags & 0x40 else None
    return Connect(level, client_id, username, password, bool(flags & 0x02), keep_alive_s, will)


def _decode_publish(flags: int, body: _Body) -> Publish:
    qos = flags >> 1 & 3
    if qos == 3:
        raise MalformedPacket("消息的 QoS 为 3", "QoS 3")
    topic = body.text()
    packet_id = body.packet_id() if qos else 0
    return Publish(topic, body.rest(), qos, bool(flags & 1), packet_id, bool(flags & 8))


def _decode_subscribe(body: _Body) -> Subscribe:
    packet_id, filters = body.packet_id(), []
    while body.more():
        pattern, qos = body.text(), body.number(1)
        if qos > 2:
            raise MalformedPacket("订阅请求的 QoS 不合规", "QoS above 2 in SUBSCRIBE")
        filters.append((pattern, qos))
    if not filters:
        raise MalformedPacket("订阅请求没有主题", "SUBSCRIBE without a filter")
    return Subscribe(packet_id, tuple(filters))


def _decode_unsubscribe(body: _Body) -> Unsubscribe:
    packet_id, filters = body.packet_id(), []
    while body.more():
        filters.append(body.text())
    if not filters:
        raise MalformedPacket("退订请求没有主题", "UNSUBSCRIBE without a filter")
    return Unsubscribe(packet_id, tuple(filters))


def encode_connack(code: int) -> bytes:
    """CONNACK with `code`; session-present is always 0, because sessions are not kept."""
    return bytes((CONNACK << 4, 2, 0, code))


def encode_publish(message: Publish) -> bytes:
    """PUBLISH as it goes to a subscriber."""
    topic = message.topic.encode()
    identifier = message.packet_id.to_bytes(2, "big") if message.qos else b""
    flags = message.qos << 1 | int(message.retain) | (8 if message.dup else 0)
    return _frame(PUBLISH << 4 | flags, len(topic).to_bytes(2, "big") + topic + identifier + message.payload)


def encode_suback(packet_id: int, codes: Sequence[int]) -> bytes:
    """SUBACK: a granted QoS or 0x80 for each filter asked."""
    return _frame(SUBACK << 4, packet_id.to_bytes(2, "big") + bytes(codes))


def encode_ack(kind: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK."""
    return bytes((kind << 4 | (2 if kind == PUBREL else 0), 2)) + packet_id.to_bytes(2, "big")


def encode_pingresp() -> bytes:
    """PINGRESP."""
    return bytes((PINGRESP << 4, 0))


def _frame(head: int, body: bytes) -> bytes:
    size, length = bytearray(), len(body)
    while True:
        length, digit = divmod(length, 128)
        size.append(digit | (0x80 if length else 0))
        if not length:
            return bytes((head,)) + bytes(size) + body
