"""The plaintext SDK of DJI's RoboMaster EP: commands that end in ``;`` and carry a number, answers that repeat it.

Command ``chassis speed x 0.2 y 0 z -30 seq 1000001;`` (m/s, degrees a second, clockwise positive), answer ``ok seq 1000001;`` or
``error … seq 1000001;``; a query ``robot battery ? seq 1000002;`` is answered with its words and the number. Nothing is obeyed before
``command;``. Pushes come by UDP: ``chassis push attitude 0.1 1 3 ; status 1 0 0 …;``.
Source: DJI RoboMaster Developer Guide, plaintext protocol (`robomaster-dev.readthedocs.io`, text_sdk/protocol_api).

**Numbers.** All have seven digits, so that an answer is complete with its number even where the robot leaves the ``;`` out, and an
answer cut off in the middle of its number is no answer. The guard numbers its stops from 5,000,000, this codec its commands below.

**Proving a stop.** Each stop has a number of its own; only the ``ok`` with a number of the stop that was asked for proves it. An
``ok`` of an earlier stop or of a drive proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from labkit.codecs.events import Ack, Event, Noise, Reported, StopProved
from labkit.codecs.kit_end import Heard
from labkit.codecs.scale import reading
from labkit.codecs.text_sdk import TextCodec, TextEnd, answered, wire_text
from labkit.model import Action, Affordance, Form, Profile, Value

FIRST, GUARD_FIRST, LAST = 1_000_000, 5_000_000, 9_999_999
MAX_BUFFER = 4096
MAX_ASKED = 64
_END = re.compile(rb"seq \d{7}(?!\d)|[;\r\n]")
_NUMBERED = re.compile(r"(?:(.*\S)\s+)?seq (\d{7})")


class RobomasterCodec(TextCodec):
    """One TCP connection to a RoboMaster EP."""

    numbers_from = GUARD_FIRST

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        super().__init__(profile, parameters)
        self._buffer = b""
        self._next = FIRST
        self._asked: dict[int, tuple[Affordance, Form] | None] = {}
        self._stops: range | None = None
        self._stop_parts = 1
        self._acks: dict[int, int] = {}
        self._pushed = {(h.words, h.word or 0): (item, form) for item, form, h in self._forms.pushed()}

    def stop(self, action: Action, resync: int) -> tuple[bytes, ...]:
        """The SDK mode and the stop, in one write; the guard puts a fresh number for ``{n}`` each time it is sent."""
        commands = [command for _, command in self._forms.act(action)]
        self._stop_parts = len(commands)
        return (b"command;" + b"".join(command.encode() + b" seq {n};" for command in commands),)

    def expect_stop(self, first: int = 0, count: int = 0, again: bool = False) -> None:
        """From now on an ``ok`` with one of ``count`` numbers from ``first`` proves the stop."""
        self._stops = range(first, first + count)
        if not again:
            self._acks.clear()

    def feed(self, data: bytes) -> list[Event]:
        """Decode what has come; a damaged answer ends with the next ``;`` or number."""
        self._buffer += data
        events: list[Event] = []
        while match := _END.search(self._buffer):
            frame, self._buffer = self._buffer[: match.end()], self._buffer[match.end() :]
            events += self._meaning(frame)
        if len(self._buffer) > MAX_BUFFER:
            events.append(Noise(self._buffer[:64], "an answer without an end"))
            self._buffer = b""
        return events

    def push(self, datagram: bytes) -> list[Event]:
        """What the robot tells by itself: ``<part> push <attribute> <words>``; a ``;`` goes on to the next attribute."""
        events: list[Event] = []
        part = ""
        for piece in datagram[:MAX_BUFFER].decode("ascii", "replace").split(";"):
            words = piece.split()
            if len(words) > 2 and words[1] == "push":
                part, words = words[0], words[2:]
            if len(words) < 2 or not part:
                continue
            for number, word in enumerate(words[1:]):
                known = self._pushed.get((f"{part} {words[0]}", number))
                if known:
                    events.append(_number(*known, word))
        return events

    def _send(self, command: str, asked: tuple[Affordance, Form] | None = None) -> bytes:
        number = self._next
        self._next = FIRST if number + 1 == GUARD_FIRST else number + 1
        self._asked[number] = asked
        while len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        return f"{command} seq {number};".encode()

    def _meaning(self, frame: bytes) -> list[Event]:
        text = frame.decode("ascii", "replace").strip("; \r\n\t")
        if not text:
            return []
        match = _NUMBERED.fullmatch(text)
        if match is None:
            return [Ack()] if text == "ok" else [Noise(frame, "an answer without a number")]
        answer, number = match[1] or "", int(match[2])
        if number >= GUARD_FIRST:
            return self._stopped(frame, answer, number)
        if number not in self._asked:
            return [Noise(frame, f"an answer with the number {number} that nobody asked for")]
        asked = self._asked.pop(number)
        if asked is not None:
            return [answered(*asked, answer)]
        return [Ack()] if answer == "ok" else [Noise(frame, f"the robot refused a command: {answer[:40]}")]

    def _stopped(self, frame: bytes, answer: str, number: int) -> list[Event]:
        if answer != "ok":
            return [Noise(frame, f"the robot refused a stop: {answer[:40]}")]
        if self._stops is None or number not in self._stops:
            return [Ack()]
        self._acks[number] = self._acks.get(number, 0) + 1
        if self._acks[number] < self._stop_parts:
            return [Ack()]
        self._stops = None
        return [StopProved()]


def _number(affordance: Affordance, form: Form, word: str) -> Reported | Noise:
    try:
        value = float(word)
    except ValueError:
        return Noise(word.encode("ascii", "replace"), f"{affordance.id} was pushed as text")
    return reading(affordance, form, value, word.encode())


class RobomasterEnd(TextEnd):
    """The robot's end of one stream."""

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        super().__init__(profile, parameters)
        self._buffer = b""

    def hear(self, data: bytes) -> list[Heard]:
        """Commands end in ``;`` and may carry a number, which the answer repeats."""
        *commands, self._buffer = (self._buffer + data)[-MAX_BUFFER:].split(b";")
        return [one for raw in commands for one in self._command(" ".join(raw.decode("ascii", "replace").split()))]

    def push(self, values: Mapping[str, Value], speed_mps: float) -> bytes:
        """``chassis push attitude 0 0 1.5;status 1;``: all attributes of a part behind its name."""
        parts: dict[str, dict[str, list[str]]] = {}
        for item, form, href in self._forms.pushed():
            part, _, attribute = href.words.partition(" ")
            words = parts.setdefault(part, {}).setdefault(attribute, [])
            words += ["0"] * ((href.word or 0) + 1 - len(words))
            words[href.word or 0] = wire_text(form, values[item.id])
        lines = [(part, name, words) for part, attributes in parts.items() for name, words in attributes.items()]
        return "".join(f"{part} push {name} {' '.join(words)};" for part, name, words in lines).encode()

    def _command(self, text: str) -> list[Heard]:
        command, mark, number = text.partition(" seq ")
        return self.meaning(command, lambda words: f"{words}{mark}{number};".encode("ascii", "replace"))


CODECS = {"robomaster": RobomasterCodec}
KITS = {"robomaster": RobomasterEnd}
