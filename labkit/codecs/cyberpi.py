"""Makeblock CyberPi (mBot2): Python expressions in frames, their values back.

``F3 head len16 28 mode idx16 textlen16 text sum F4``, little-endian; head = F3 + both length bytes, sum = the bytes between
length and sum, each modulo 256. Mode 0 runs, 1 runs and answers ``{"ret": value}`` or ``{"err": …}`` under the same idx.
Source: PyPI ``makeblock`` 0.1.8, ``protocols/PackData.py`` and ``protocols/Protocols.py``.
"""

from __future__ import annotations

import ast
import json
import struct
from collections.abc import Mapping

from labkit.codecs.events import Ack, Event, Noise, Reported, StopProved
from labkit.codecs.kit_end import Acted, Heard, Phrases, Said, Wanted, Written
from labkit.codecs.scale import checked, reading
from labkit.errors import Malformed
from labkit.model import Action, Affordance, Form, Profile, Value

HEAD, TAIL, SCRIPT = 0xF3, 0xF4, 0x28
RUN, ASK = 0, 1
ONLINE = bytes.fromhex("f3 f6 03 00 0d 00 01 0e f4")
STOP_INDEX = 0xFFF0
MAX_BODY, MAX_TEXT = 256, 200


def frame(mode: int, index: int, text: str) -> bytes:
    """One frame with its two sums."""
    body = struct.pack("<BBHH", SCRIPT, mode, index, len(text.encode())) + text.encode()
    size = struct.pack("<H", len(body))
    return bytes([HEAD, (HEAD + sum(size)) & 0xFF]) + size + body + bytes([sum(body) & 0xFF, TAIL])


def take(buffer: bytearray) -> list[tuple[bytes, str]]:
    """Whole frames out of a buffer as ``(body, "")``, damage as ``(bytes, reason)``; half a frame stays in it."""
    found: list[tuple[bytes, str]] = []
    while buffer:
        at = buffer.find(HEAD)
        if at:
            skipped = len(buffer) if at < 0 else at
            found.append((bytes(buffer[:skipped]), "bytes outside a frame"))
            del buffer[:skipped]
            continue
        if len(buffer) < 4:
            break
        size = buffer[2] + 256 * buffer[3]
        if (HEAD + buffer[2] + buffer[3]) & 0xFF == buffer[1] and size <= MAX_BODY:
            if len(buffer) < size + 6:
                break
            body, end = bytes(buffer[4 : 4 + size]), bytes(buffer[4 + size : 6 + size])
            if end == bytes([sum(body) & 0xFF, TAIL]):
                found.append((body, ""))
                del buffer[: size + 6]
                continue
        found.append((bytes(buffer[:1]), "a frame with a wrong sum"))
        del buffer[:1]
    return found


def script(body: bytes) -> tuple[int, int, str] | None:
    """``(mode, idx, text)`` of a script frame's body; None for any other."""
    if len(body) < 6 or body[0] != SCRIPT:
        return None
    _, mode, index, size = struct.unpack_from("<BBHH", body)
    text = body[6:].decode("utf-8", "replace")
    return (mode, index, text) if size == len(body) - 6 <= MAX_TEXT else None


class CyberPiCodec:
    """One connection. Hrefs: ``script:`` and a Python expression; ``{name}`` is a parameter or the value that is written."""

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        self._parameters = parameters
        self._buffer = bytearray()
        self._asked: dict[int, tuple[Affordance, Form]] = {}
        self._turn = 0
        self._stopping = False

    def check(self, form: Form, own: str = "") -> None:
        """Raise Malformed when the href is no script or names what nobody knows."""
        self._text(form, {own: 0})
        if "readproperty" in form.op and form.reply not in ("f64", "str"):
            raise Malformed(
                f"{form.href}：读取需要 x-reply: f64 或 str", f"{form.href}: a read needs x-reply: f64 or str"
            )

    def opening(self) -> bytes:
        """Online mode: the board listens to us instead of running its own program."""
        return ONLINE

    def write(self, affordance: Affordance, value: float) -> bytes:
        """A script that sets the property; no answer is asked for."""
        form = affordance.form("writeproperty")
        if form is None:
            raise Malformed(f"{affordance.id} 不能写", f"{affordance.id} cannot be written")
        number = checked(affordance, value)
        exact = round(number) if affordance.type == "integer" else number
        return frame(RUN, 0, self._text(form, {affordance.id: exact}))

    def read(self, affordance: Affordance) -> bytes:
        """A script with a fresh idx; the answer's idx names the property."""
        form = affordance.form("readproperty")
        if form is None:
            return b""
        self._turn = self._turn % 999 + 1
        self._asked[self._turn] = (affordance, form)
        return frame(ASK, self._turn, self._text(form, {}))

    def act(self, action: Action) -> tuple[tuple[int, bytes], ...]:
        """One frame a step, with its delay in ms."""
        return tuple((form.after_ms, frame(RUN, 0, self._text(form, {}))) for form in action.forms)

    def stop(self, action: Action, resync: int) -> tuple[bytes, ...]:
        """Zeros that fill up a half-received frame, then the stop, which asks for its answer: that proves it."""
        frames = b"".join(frame(ASK, STOP_INDEX, self._text(form, {})) for form in action.forms)
        return (bytes(resync), frames) if resync else (frames,)

    def expect_stop(self) -> None:
        """A stop is on its way."""
        self._stopping = True

    def feed(self, data: bytes) -> list[Event]:
        """Decode what has come; never an exception."""
        self._buffer += data
        return [Noise(body, why) if why else self._meaning(body) for body, why in take(self._buffer)]

    def _meaning(self, body: bytes) -> Event:
        said = script(body)
        if said is None:
            return Ack()
        _, index, text = said
        answer = _value(text)
        if "ret" not in answer:
            return Noise(body, f"the board answered with an error: {text[:60]}")
        if index == STOP_INDEX:
            proved, self._stopping = self._stopping, False
            return StopProved() if proved else Ack()
        if index not in self._asked:
            return Noise(body, "an answer that nobody asked for")
        affordance, form = self._asked.pop(index)
        return _reported(affordance, form, answer["ret"], body)

    def _text(self, form: Form, values: Mapping[str, float]) -> str:
        scheme, _, text = form.href.partition(":")
        if scheme != "script" or not text.isascii():
            raise Malformed(
                f"{form.href} 应为 script: 加一行 Python", f"{form.href} should be script: and one line of Python"
            )
        for name, value in {**self._parameters, **values}.items():
            text = text.replace("{" + name + "}", f"{value:g}")
        if "{" in text or not 1 <= len(text) <= MAX_TEXT:
            raise Malformed(f"{form.href}：有不认识的名字，或太长", f"{form.href}: an unknown name, or too long")
        return text


def _value(text: str) -> dict[str, object]:
    """``{"ret": value}`` as JSON or as Python writes it; empty when it is neither."""
    try:
        answer = json.loads(text)
    except ValueError:
        try:
            answer = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return {}
    return answer if isinstance(answer, dict) else {}


def _reported(affordance: Affordance, form: Form, value: object, body: bytes) -> Event:
    if form.reply == "str" and isinstance(value, str):
        return Reported(affordance.id, value)
    if form.reply != "str" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return reading(affordance, form, value, body)
    return Noise(body, f"{affordance.id} answered with another type")


class CyberPiKit:
    """The board's end, for its simulator: expressions of the profile have a value, all others an error."""

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        self._phrases = Phrases(profile, parameters, "script")
        self._buffer = bytearray()

    def hear(self, data: bytes) -> list[Heard]:
        """What the frames ask for; the board skips damage as we do."""
        self._buffer += data
        bodies = [body for body, why in take(self._buffer) if not why]
        return [self._meaning(*said) for body in bodies if (said := script(body))]

    def _meaning(self, mode: int, index: int, text: str) -> Heard:
        def answer(value: Value | None) -> bytes:
            return frame(ASK, index, json.dumps({"ret": value})) if mode == ASK else b""

        wanted, written, acted = self._phrases.reads(text), self._phrases.writes(text), self._phrases.acts(text)
        if wanted:
            return Wanted(wanted, answer)
        if written:
            return Written(*written, answer(None))
        if acted:
            return Acted(acted, answer(None))
        return Said(frame(ASK, index, json.dumps({"err": "NameError"})) if mode == ASK else b"")


CODECS = {"cyberpi": CyberPiCodec}
KITS = {"cyberpi": CyberPiKit}
