"""DFRobot HuskyLens (first generation): what the camera recognises, at 9600 baud.

Frame ``55 AA 11 len command data sum``, the sum of all bytes before it, low byte only. Requests 20 all, 2C knock, 2D algorithm;
replies 29 info (count, learned, frame number, 4 bytes reserved), then one 2A block or 2B arrow each, 2E OK. Numbers are little-endian
16 bit; the picture is 320 × 240. Source: HuskyLens/HUSKYLENSArduino, ``HUSKYLENS Protocol.md``.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping

from labkit.codecs.events import Ack, Event, Noise, Reported
from labkit.codecs.scale import checked
from labkit.errors import Malformed
from labkit.model import Action, Affordance, Form, Profile

HEAD = b"\x55\xaa\x11"
REQUEST, KNOCK, ALGORITHM = 0x20, 0x2C, 0x2D
INFO, BLOCK, ARROW, OK = 0x29, 0x2A, 0x2B, 0x2E
WIDTH, HEIGHT = 320, 240
MODEL = "HUSKYLENS"
MAX_OBJECTS = 64
KINDS = ("knock", "objects", "count", "learned", "frame", "algorithm")
_DATA = {INFO: 10, BLOCK: 10, ARROW: 10, OK: 0}
_FIVE = struct.Struct("<hhhhh")
_MAX_WAITING = 8


def frame(command: int, data: bytes = b"") -> bytes:
    """One frame with its sum."""
    body = HEAD + bytes([len(data), command]) + data
    return body + bytes([sum(body) & 0xFF])


class HuskylensCodec:
    """One connection to a camera.

    Hrefs: ``husky:knock`` (reads "HUSKYLENS" from whatever answers the knock), ``husky:objects`` (JSON: ``blocks`` with x, y, width,
    height, id and ``arrows`` with x, y, to_x, to_y, id; pixels, origin top left; id 0 = not learned), ``husky:count``,
    ``husky:learned``, ``husky:frame`` (told together with the objects), ``husky:algorithm`` (written: the number of the enum's word).
    """

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        self._names = {
            form.href.partition(":")[2]: item.id for item in profile.properties.values() for form in item.forms
        }
        self._buffer = bytearray()
        self._asked: deque[str] = deque(maxlen=_MAX_WAITING)
        self._missing = 0
        self._blocks: list[dict[str, int]] = []
        self._arrows: list[dict[str, int]] = []

    def check(self, form: Form, own: str = "") -> None:
        """Raise Malformed when the href is none of KINDS."""
        scheme, _, kind = form.href.partition(":")
        if scheme != "husky" or kind not in KINDS:
            known = "、".join(KINDS)
            raise Malformed(
                f"{form.href} 应为 husky: 加 {known} 之一", f"{form.href} should be husky: and one of {known}"
            )

    def opening(self) -> bytes:
        """Nothing: the camera only answers."""
        return b""

    def write(self, affordance: Affordance, value: float) -> bytes:
        """Choose the algorithm; ``value`` is the index of the enum's word. Raises Malformed for any other."""
        form = affordance.form("writeproperty")
        if form is None:
            raise Malformed(f"{affordance.id} 不能写", f"{affordance.id} cannot be written")
        number = round(checked(affordance, value))
        if not 0 <= number < max(1, len(affordance.enum)):
            raise Malformed(f"{affordance.id} 没有第 {number} 项", f"{affordance.id} has no choice {number}")
        self._asked.append("algorithm")
        return frame(ALGORITHM, struct.pack("<H", number))

    def read(self, affordance: Affordance) -> bytes:
        """Knock, or ask for all objects; what comes together with the objects is not asked for."""
        form = affordance.form("readproperty")
        kind = form.href.partition(":")[2] if form else ""
        if kind == "knock":
            self._asked.append(kind)
            return frame(KNOCK)
        return frame(REQUEST) if kind == "objects" else b""

    def act(self, action: Action) -> tuple[tuple[int, bytes], ...]:
        """The camera has no actions."""
        return ()

    def stop(self, action: Action, resync: int) -> tuple[bytes, ...]:
        """It moves nothing."""
        return ()

    def expect_stop(self) -> None:
        """It moves nothing."""

    def feed(self, data: bytes) -> list[Event]:
        """Decode what has come; a damaged frame costs its first byte and the search goes on behind it."""
        self._buffer += data
        events: list[Event] = []
        while True:
            self._skip_to_head(events)
            if len(self._buffer) < 5:
                return events
            size, command = self._buffer[3], self._buffer[4]
            if _DATA.get(command) != size:
                self._drop(events, "no reply of the camera")
            elif len(self._buffer) < 6 + size:
                return events
            elif sum(self._buffer[: 5 + size]) & 0xFF != self._buffer[5 + size]:
                self._drop(events, "a reply with a wrong sum")
            else:
                body = bytes(self._buffer[5 : 5 + size])
                del self._buffer[: 6 + size]
                events.extend(self._meaning(command, body))

    def _skip_to_head(self, events: list[Event]) -> None:
        at = self._buffer.find(HEAD)
        if at < 0:
            kept = next((n for n in (2, 1) if self._buffer.endswith(HEAD[:n])), 0)
            at = len(self._buffer) - kept
        if at > 0:
            events.append(Noise(bytes(self._buffer[:at]), "bytes outside a frame"))
            del self._buffer[:at]

    def _drop(self, events: list[Event], reason: str) -> None:
        events.append(Noise(bytes(self._buffer[:6]), reason))
        del self._buffer[:1]

    def _meaning(self, command: int, body: bytes) -> list[Event]:
        if command == OK:
            asked = self._asked.popleft() if self._asked else ""
            return [Reported(self._names["knock"], MODEL)] if asked == "knock" and "knock" in self._names else [Ack()]
        numbers = _FIVE.unpack(body)
        if command == INFO:
            return self._info(numbers)
        if self._missing == 0:
            return [Noise(body, "an object that was not announced")]
        x, y, width, height, number = numbers
        if not (0 <= x <= WIDTH and 0 <= y <= HEIGHT and 0 <= width <= WIDTH and 0 <= height <= HEIGHT and number >= 0):
            return [Noise(body, "an object outside the picture")]
        names = ("x", "y", "width", "height", "id") if command == BLOCK else ("x", "y", "to_x", "to_y", "id")
        (self._blocks if command == BLOCK else self._arrows).append(dict(zip(names, numbers, strict=True)))
        self._missing -= 1
        return self._objects() if self._missing == 0 else []

    def _info(self, numbers: tuple[int, ...]) -> list[Event]:
        events: list[Event] = []
        if self._missing:
            events.append(Noise(b"", f"{self._missing} announced objects did not come"))
        self._blocks, self._arrows = [], []
        count, learned, number = (value & 0xFFFF for value in numbers[:3])
        if count > MAX_OBJECTS:
            self._missing = 0
            return [*events, Noise(b"", f"{count} objects are announced")]
        self._missing = count
        told = {"count": count, "learned": learned, "frame": number}
        events += [Reported(self._names[kind], value) for kind, value in told.items() if kind in self._names]
        return events + (self._objects() if count == 0 else [])

    def _objects(self) -> list[Event]:
        if "objects" not in self._names:
            return []
        return [Reported(self._names["objects"], {"blocks": list(self._blocks), "arrows": list(self._arrows)})]


CODECS = {"huskylens": HuskylensCodec}
