"""Makeblock's serial protocol ``FF 55`` (mBot, Orion): requests out, replies and acknowledgements in.

Request ``FF 55 len idx action device …`` (len counts from idx; action 1 GET, 2 RUN, 4 RESET, 5 START). Reply to GET
``FF 55 idx type data 0D 0A`` with type 1 byte, 2 float32, 3 short (sent as 4 bytes), 4 string (length, text), 5 double (4 bytes
on AVR). RUN, RESET and START answer ``FF 55 0D 0A`` without an index. No checksum. Numbers are little-endian.
Source: Makeblock mBot firmware 06.01, ``mbot_firmware.ino``.

**Proving a stop.** An acknowledgement does not say what it acknowledges, but the kit works strictly in order. The stop is
therefore put between two reads of the firmware version with reserved indices: an acknowledgement between their replies can
only belong to the stop.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

from labkit.codecs.events import Ack, Event, Noise, Reported, StopProved
from labkit.codecs.scale import checked, reading
from labkit.errors import Malformed
from labkit.model import Action, Affordance, Form, Profile

HEAD = b"\xff\x55"
TAIL = b"\r\n"
READ_VERSION = b"\x01\x00"
INDEX_BEFORE_STOP = 0xF0
INDEX_AFTER_STOP = 0xF1
_POLL_INDICES = tuple(i for i in range(1, 200) if i != 0x0D)
_MAX_TEXT = 64
_PACK = {"u8": "<B", "i8": "<b", "u16": "<H", "i16": "<h", "f32": "<f"}
_FIELD = re.compile(r"\{([a-z][a-z0-9_]*):(\w+)\}")


class MakeblockCodec:
    """One connection to a kit with Makeblock's factory firmware.

    Hrefs: ``frame:`` and bytes in hex from ``action`` on, or ``{name:type}`` with type u8, i8, u16, i16, f32, where ``name`` is
    a parameter of the profile or the property that is written.
    """

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        self._parameters = parameters
        self._buffer = bytearray()
        self._asked: dict[int, tuple[Affordance, Form]] = {}
        self._turn = 0
        self._acks_in_stop: int | None = None

    def check(self, form: Form, own: str = "") -> None:
        """Raise Malformed when the href is no frame, names what is neither a parameter nor the property itself (``own``),
        or is longer than the kit's buffer.
        """
        body = self._body(form.href, {own: 0})
        if body[0] not in (1, 2, 4, 5):
            raise Malformed(
                f"{form.href}：动作应为 01、02、04 或 05，现为 {body[0]:02x}",
                f"{form.href}: the action should be 01, 02, 04 or 05",
            )
        if body[0] == 1 and not form.reply:
            raise Malformed(f"{form.href}：读取需要 x-reply", f"{form.href}: a read needs x-reply")

    def opening(self) -> bytes:
        """Nothing: the firmware is ready once its boot loader has gone."""
        return b""

    def write(self, affordance: Affordance, value: float) -> bytes:
        """A RUN frame that sets the property; its acknowledgement follows."""
        form = affordance.form("writeproperty")
        if form is None:
            raise Malformed(f"{affordance.id} 不能写", f"{affordance.id} cannot be written")
        return _frame(0, self._body(form.href, {affordance.id: checked(affordance, value)}))

    def read(self, affordance: Affordance) -> bytes:
        """A GET frame with a fresh index; the reply's index names the property."""
        form = affordance.form("readproperty")
        if form is None:
            return b""
        index = _POLL_INDICES[self._turn % len(_POLL_INDICES)]
        self._turn += 1
        self._asked[index] = (affordance, form)
        return _frame(index, self._body(form.href, {}))

    def act(self, action: Action) -> tuple[tuple[int, bytes], ...]:
        """The action's frames with their delays in ms."""
        return tuple((form.after_ms, _frame(0, self._body(form.href, {}))) for form in action.forms)

    def stop(self, action: Action, resync: int) -> tuple[bytes, ...]:
        """Zeros that end any half-received frame, then the stop between two reads that prove it."""
        frames = b"".join(data for _, data in self.act(action))
        proof = _frame(INDEX_BEFORE_STOP, READ_VERSION) + frames + _frame(INDEX_AFTER_STOP, READ_VERSION)
        return (bytes(resync), proof) if resync else (proof,)

    def expect_stop(self) -> None:
        """A stop is on its way: only acknowledgements between its own two reads count."""
        self._acks_in_stop = None

    def feed(self, data: bytes) -> list[Event]:
        """Decode what has come; a damaged frame costs its first byte and the search goes on behind it."""
        self._buffer += data
        events: list[Event] = []
        while True:
            self._skip_to_head(events)
            size = self._size()
            if size == 0:
                return events
            if size < 0 or self._buffer[size - 2 : size] != TAIL:
                events.append(Noise(bytes(self._buffer[:1]), "a reply without its end 0D 0A"))
                del self._buffer[:1]
                continue
            frame = bytes(self._buffer[:size])
            del self._buffer[:size]
            events.extend(self._meaning(frame))

    def _skip_to_head(self, events: list[Event]) -> None:
        at = self._buffer.find(HEAD)
        if at < 0:
            at = len(self._buffer) - (1 if self._buffer.endswith(HEAD[:1]) else 0)
        if at > 0:
            events.append(Noise(bytes(self._buffer[:at]), "bytes outside a frame"))
            del self._buffer[:at]

    def _size(self) -> int:
        """Length of the frame at the buffer's start; 0 = not all there yet, -1 = no frame."""
        have = len(self._buffer)
        if have < 4:
            return 0
        if self._buffer[2:4] == TAIL:
            return 4
        kind = self._buffer[3]
        if kind == 4:
            if have < 5:
                return 0
            if self._buffer[4] > _MAX_TEXT:
                return -1
            size = 5 + self._buffer[4] + 2
        elif kind == 1:
            size = 4 + 1 + 2
        elif kind in (2, 3, 5):
            size = 4 + 4 + 2
        else:
            return -1
        return size if have >= size else 0

    def _meaning(self, frame: bytes) -> list[Event]:
        if len(frame) == 4:
            if self._acks_in_stop is not None:
                self._acks_in_stop += 1
            return [Ack()]
        index, value = frame[2], _value(frame)
        if index == INDEX_BEFORE_STOP:
            self._acks_in_stop = 0
            return []
        if index == INDEX_AFTER_STOP:
            proved = bool(self._acks_in_stop)
            self._acks_in_stop = None
            return [StopProved()] if proved else []
        asked = self._asked.pop(index, None)
        if asked is None:
            return [Noise(frame, f"a reply with the index {index} that nobody asked for")]
        affordance, form = asked
        if isinstance(value, str):
            return (
                [Reported(affordance.id, value)]
                if form.reply == "str"
                else [Noise(frame, f"{affordance.id} answered with text")]
            )
        if form.reply == "str":
            return [Noise(frame, f"{affordance.id} answered with a number")]
        return [reading(affordance, form, value, frame)]

    def _body(self, href: str, values: Mapping[str, float]) -> bytes:
        scheme, _, rest = href.partition(":")
        if scheme != "frame":
            raise Malformed(f"{href} 应以 frame: 开头", f"{href} should begin with frame:")
        body = b"".join(self._token(href, token, values) for token in rest.split())
        if not 1 <= len(body) <= 48:
            raise Malformed(f"{href} 应为 1 到 48 字节", f"{href} should have 1 to 48 bytes")
        return body

    def _token(self, href: str, token: str, values: Mapping[str, float]) -> bytes:
        if re.fullmatch(r"[0-9a-fA-F]{2}", token):
            return bytes.fromhex(token)
        field = _FIELD.fullmatch(token)
        if field is None or field[2] not in _PACK:
            raise Malformed(
                f"{href}：{token} 既不是两位十六进制，也不是 {{名:类型}}",
                f"{href}: {token} is neither a hex byte nor {{name:type}}",
            )
        value = values.get(field[1], self._parameters.get(field[1]))
        if value is None:
            raise Malformed(f"{href}：没有 {field[1]} 的值", f"{href}: no value for {field[1]}")
        try:
            return struct.pack(_PACK[field[2]], value if field[2] == "f32" else round(value))
        except (struct.error, OverflowError, ValueError) as error:
            raise Malformed(
                f"{field[1]} = {value} 放不进 {field[2]}", f"{field[1]} = {value} does not fit {field[2]}"
            ) from error


def _frame(index: int, body: bytes) -> bytes:
    return HEAD + bytes([len(body) + 1, index]) + body


def _value(frame: bytes) -> float | str:
    kind, data = frame[3], frame[4:-2]
    if kind == 1:
        return float(data[0])
    if kind == 4:
        return data[1:].decode("ascii", errors="replace")
    if kind == 3:
        return float(struct.unpack_from("<h", data)[0])
    return float(struct.unpack("<f", data)[0])


CODECS = {"makeblock_ff55": MakeblockCodec}
