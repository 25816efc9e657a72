"""Ryze Tello's text SDK (2.0 and 3.0): one command a datagram, answers ``ok``, ``error …`` or a value, without any number.

``command`` enters the SDK mode; ``rc a b c d`` (-100..100: right, forward, up, clockwise) is never answered and holds until the next;
``stop`` hovers, ``land`` lands, ``emergency`` cuts the motors. About ten times a second the drone sends its state to our UDP port:
``mid:-1;…;pitch:0;roll:0;yaw:0;vgx:0;vgy:0;vgz:0;templ:60;temph:63;tof:10;h:0;bat:87;…;``.
Source: Tello SDK 2.0 User Guide (2018), Tello SDK 3.0 User Guide (2021).

**Proving a stop.** An ``ok`` belongs to nobody, so it proves nothing alone. A stop is proved when the drone has answered at all
after the stop, and then tells twice in a row that it neither moves sideways (``vgx``, ``vgy`` at most 1) nor turns. It may still be sinking:
the stop ends in a landing, and ``height`` shows when it is over.

In bytes to the drone each line is one datagram.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from labkit.codecs.events import Ack, Event, Noise, StopProved
from labkit.codecs.kit_end import Heard
from labkit.codecs.scale import reading
from labkit.codecs.text_sdk import TextCodec, TextEnd, answered, refused, wire_text
from labkit.model import Action, Affordance, Form, Profile, Value

STILL_SPEED = 1
STILL_TIMES = 2
STILL_TURN = 2
MAX_DATAGRAM = 1518
_PAIR = re.compile(r"([a-z][a-z0-9]*):(-?\d+(?:\.\d+)?)")


class TelloCodec(TextCodec):
    """One drone."""

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        super().__init__(profile, parameters)
        self._pending: tuple[Affordance, Form] | None = None
        self._stopping = False
        self._answered = False
        self._still = 0
        self._yaw = 0.0
        self._pushed = {href.words: (item, form) for item, form, href in self._forms.pushed()}

    def _send(self, command: str, asked: tuple[Affordance, Form] | None = None) -> bytes:
        if asked:
            self._pending = asked
        return command.encode() + b"\n"

    def stop(self, action: Action, resync: int) -> tuple[bytes, ...]:
        """All commands of the stop in one chunk."""
        return (b"".join(self._send(command) for _, command in self._forms.act(action)),)

    def expect_stop(self, first: int = 0, count: int = 0, again: bool = False) -> None:
        """A stop is being sent: what the drone says from now on may prove it."""
        if again and self._stopping:
            return
        self._stopping, self._answered, self._still = True, False, 0

    def feed(self, data: bytes) -> list[Event]:
        """Take one datagram from the command port."""
        text = data[:MAX_DATAGRAM].decode("ascii", "replace").strip("\0 \r\n\t")
        if text.lower() == "ok":
            self._answered = self._stopping
            return [Ack()]
        if self._stopping and refused(text):
            # On the ground, or busy: it has heard us, and its state tells whether it moves.
            self._answered = True
            return [Ack()]
        pending = self._pending
        if pending is None:
            why = "the drone refused a command" if refused(text) else "an answer that nobody asked for"
            return [Noise(data[:64], f"{why}: {text[:40]}")]
        probe = self._profile.match
        if pending[0].id != probe.probe and re.search(probe.pattern, text):
            return [Noise(data[:64], "a late answer to the probe")]
        event = answered(*pending, text)
        if not isinstance(event, Noise):
            self._pending = None
        return [event]

    def push(self, datagram: bytes) -> list[Event]:
        """Take one state datagram; a value counts only with its ``;`` behind it."""
        state: dict[str, float] = {}
        for piece in datagram[:MAX_DATAGRAM].decode("ascii", "replace").split(";")[:-1]:
            match = _PAIR.fullmatch(piece.strip())
            if match:
                state[match[1]] = float(match[2])
        if not state:
            return [Noise(datagram[:64], "no state")]
        events: list[Event] = [
            reading(item, form, state[key], datagram[:64]) for key, (item, form) in self._pushed.items() if key in state
        ]
        if self._answered and "vgx" in state and "vgy" in state:
            still = max(abs(state["vgx"]), abs(state["vgy"])) <= STILL_SPEED
            yaw = state.get("yaw", 0.0)
            turned, self._yaw = abs((yaw - self._yaw + 180) % 360 - 180), yaw
            self._still = 0 if not still else 1 if turned > STILL_TURN else self._still + 1
            if self._still >= STILL_TIMES:
                self._stopping = self._answered = False
                events.append(StopProved())
        return events


class TelloEnd(TextEnd):
    """The kit's end of one socket."""

    def hear(self, data: bytes) -> list[Heard]:
        """One command a datagram, answered by bare words."""
        return self.meaning(" ".join(data.decode("ascii", "replace").split()), str.encode)

    def push(self, values: Mapping[str, Value], speed_mps: float) -> bytes:
        """Its state; ``vgx`` in 0.1 m/s says whether it moves."""
        state = {"vgx": f"{round(speed_mps * 10)}", "vgy": "0", "vgz": "0"}
        state |= {href.words: wire_text(form, values[item.id]) for item, form, href in self._forms.pushed()}
        return ("".join(f"{key}:{word};" for key, word in state.items()) + "\r\n").encode()


CODECS = {"tello": TelloCodec}
KITS = {"tello": TelloEnd}
