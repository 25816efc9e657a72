"""Firmata 2 (StandardFirmata 2.3 and later): pins of an Arduino as properties.

Commands have their top bit set, data bytes have not, so a damaged message ends at the next command byte.
``90+port l m`` digital port · ``E0+n l m`` analogue report or PWM/servo write · ``C0+channel on`` and ``D0+port on`` reports ·
``F4 pin mode`` · ``F9 major minor`` · ``FF`` reset · sysex ``F0 id … F7``: 79 firmware, 6B/6C capabilities, 69/6A analogue
mapping, 6D/6E pin state, 7A sampling interval, 6F extended analogue. Source: firmata/protocol, ``protocol.md`` 2.7.

**Proving a stop.** After the zeros each motor pin is asked for its state (6D); the board answers in order, so a reply 6E
with value 0 for every motor pin says that the stop arrived.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labkit.codecs.events import Event, Noise, Reported, Restarted, StopProved
from labkit.codecs.scale import checked, reading
from labkit.errors import Malformed
from labkit.model import Action, Affordance, Form, Profile

DIGITAL, REPORT_ANALOG, REPORT_DIGITAL, ANALOG = 0x90, 0xC0, 0xD0, 0xE0
SYSEX, PIN_MODE, SYSEX_END, VERSION, RESET = 0xF0, 0xF4, 0xF7, 0xF9, 0xFF
FIRMWARE, CAPABILITIES, CAPABILITIES_REPLY, MAPPING, MAPPING_REPLY = 0x79, 0x6B, 0x6C, 0x69, 0x6A
PIN_STATE, PIN_STATE_REPLY, SAMPLING, EXTENDED_ANALOG, TEXT = 0x6D, 0x6E, 0x7A, 0x6F, 0x71
INPUT, OUTPUT, ANALOG_INPUT, PWM, SERVO = 0, 1, 2, 3, 4
MODE_NAMES = {INPUT: "input", OUTPUT: "output", ANALOG_INPUT: "analog", PWM: "pwm", SERVO: "servo"}
_MAX_SYSEX = 4096
_NOT_MAPPED = 127
_HREF = re.compile(r"firmata:(motor|servo|hold|analog|digital|out|firmware)((?:/\d+)*)(?:\?value=(-?\d+))?")
_PIN_COUNT = {
    "motor": (2,),
    "servo": (1,),
    "hold": tuple(range(1, 9)),
    "analog": (1,),
    "digital": (1, 2, 3, 4),
    "out": (1,),
    "firmware": (0,),
}


@dataclass(frozen=True)
class Target:
    """A parsed href: ``motor/<pwm pin>/<direction pin>``, ``servo/<pin>``, ``hold/<pin>…`` (servos that stay), ``out/<pin>``, ``analog/<channel>``,
    ``digital/<pin>…`` (highest bit first), ``firmware``; ``value`` of ``?value=``.
    """

    kind: str
    pins: tuple[int, ...]
    value: int | None


class FirmataCodec:
    """One connection to a board with StandardFirmata."""

    def __init__(self, profile: Profile, parameters: Mapping[str, int]) -> None:
        self._profile = profile
        self._parameters = parameters
        self._buffer = bytearray()
        self._outputs: dict[int, int] = {}
        self._inputs: dict[int, int] = {}
        self._unproved: set[int] = set()
        self._version_asked = False

    def check(self, form: Form, own: str = "") -> None:
        """Raise Malformed when the href is none of Target's kinds or a pin is not 0..127."""
        self._target(form)

    def opening(self) -> bytes:
        """Queries, pin modes, sampling interval and reports of all that the profile uses."""
        self._version_asked = True
        self._outputs.clear()
        out = bytearray(
            [VERSION, SYSEX, FIRMWARE, SYSEX_END, SYSEX, CAPABILITIES, SYSEX_END, SYSEX, MAPPING, SYSEX_END]
        )
        for pin, mode in sorted(self._modes().items()):
            out += bytes([PIN_MODE, pin, mode])
        fastest = max((rate.report_hz for rate in self._profile.rates.values()), default=0.0) or 10.0
        out += bytes([SYSEX, SAMPLING, *_two(int(1000 / fastest)), SYSEX_END])
        for target in self._targets():
            if target.kind == "analog":
                out += bytes([REPORT_ANALOG | target.pins[0], 1])
        for port in sorted({pin // 8 for target in self._targets() if target.kind == "digital" for pin in target.pins}):
            out += bytes([REPORT_DIGITAL | port, 1])
        return bytes(out)

    def write(self, affordance: Affordance, value: float) -> bytes:
        """PWM, servo or digital output; motor: sign to the direction pin, magnitude (0..255) to the PWM pin."""
        form = affordance.form("writeproperty")
        if form is None:
            raise Malformed(f"{affordance.id} 不能写", f"{affordance.id} cannot be written")
        return self._put(self._target(form), round(checked(affordance, value)))

    def read(self, affordance: Affordance) -> bytes:
        """Only the firmware is asked for; everything else is reported."""
        form = affordance.form("readproperty")
        if form is None or self._target(form).kind != "firmware":
            return b""
        return bytes([SYSEX, FIRMWARE, SYSEX_END])

    def act(self, action: Action) -> tuple[tuple[int, bytes], ...]:
        """The action's forms, each with ``?value=``."""
        steps = []
        for form in action.forms:
            target = self._target(form)
            steps.append((form.after_ms, self._put(target, target.value or 0)))
        return tuple(steps)

    def stop(self, action: Action, resync: int) -> tuple[bytes, ...]:
        """The stop's zeros, then a question for the state of each motor pin and each held servo."""
        zeros = b"".join(data for _, data in self.act(action))
        questions = b"".join(bytes([SYSEX, PIN_STATE, pin, SYSEX_END]) for pin in self._stopped_pins())
        return (bytes(resync) + zeros + questions,)

    def expect_stop(self) -> None:
        """A stop is on its way: every motor pin has to prove it anew."""
        self._unproved = set(self._stopped_pins())

    def feed(self, data: bytes) -> list[Event]:
        """Decode what has come; a command byte inside a message ends the damaged one and starts the next."""
        events: list[Event] = []
        for byte in data:
            self._take(byte, events)
        return events

    def _take(self, byte: int, events: list[Event]) -> None:
        buffer = self._buffer
        if not buffer:
            if byte >= 0x80:
                buffer.append(byte)
                self._alone(events)
            else:
                events.append(Noise(bytes([byte]), "a data byte outside a message"))
            return
        if byte == SYSEX_END and buffer[0] == SYSEX:
            message = bytes(buffer[1:])
            buffer.clear()
            events.extend(self._sysex(message))
        elif byte >= 0x80:
            events.append(Noise(bytes(buffer), "a message cut off by the next command"))
            buffer[:] = bytes([byte])
            self._alone(events)
        else:
            buffer.append(byte)
            if buffer[0] == SYSEX:
                if len(buffer) > _MAX_SYSEX:
                    events.append(Noise(bytes(buffer[:16]), "a sysex message without its end"))
                    buffer.clear()
            elif len(buffer) == 3:
                message = bytes(buffer)
                buffer.clear()
                events.extend(self._short(message))

    def _alone(self, events: list[Event]) -> None:
        """A board sends only these commands; any other command byte stands alone and means nothing."""
        first = self._buffer[0]
        if not (first & 0xF0 in (DIGITAL, ANALOG) or first in (SYSEX, VERSION)):
            events.append(Noise(bytes(self._buffer), "a command that boards do not send"))
            self._buffer.clear()

    def _short(self, message: bytes) -> list[Event]:
        command, value = message[0], message[1] | message[2] << 7
        if command == VERSION:
            asked, self._version_asked = self._version_asked, False
            return [] if asked else [Restarted()]
        if command & 0xF0 == ANALOG:
            return self._report("analog", lambda target: target.pins[0] == command & 0x0F, value, message)
        port = command & 0x0F
        self._inputs[port] = value
        events: list[Event] = []
        for affordance, form, target in self._watched("digital"):
            if any(pin // 8 == port for pin in target.pins):
                bits = 0
                for pin in target.pins:
                    bits = bits << 1 | self._inputs.get(pin // 8, 0) >> pin % 8 & 1
                events.append(reading(affordance, form, bits, message))
        return events

    def _report(self, kind: str, fits: Callable[[Target], bool], value: float, message: bytes) -> list[Event]:
        return [reading(a, form, value, message) for a, form, target in self._watched(kind) if fits(target)]

    def _sysex(self, message: bytes) -> list[Event]:
        if not message:
            return [Noise(b"", "an empty sysex message")]
        kind, data = message[0], message[1:]
        if kind == FIRMWARE and len(data) >= 2:
            text = f"{_text(data[2:])} {data[0]}.{data[1]}"
            return [Reported(a.id, text) for a, _, _ in self._watched("firmware")]
        if kind == CAPABILITIES_REPLY:
            return self._missing(data)
        if kind == MAPPING_REPLY:
            return self._unmapped(data)
        if kind == PIN_STATE_REPLY and len(data) >= 3:
            return self._pin_state(data[0], sum(part << 7 * i for i, part in enumerate(data[2:])))
        if kind == TEXT:
            return [Noise(message, f"the board says: {_text(data)}")]
        return [Noise(message, f"a sysex message {kind:02X} that cannot be used")]

    def _pin_state(self, pin: int, state: int) -> list[Event]:
        if pin not in self._unproved:
            return []
        if state != 0 and pin in self._motor_pins():
            return [Noise(bytes([pin]), f"pin {pin} still gives {state} after a stop")]
        self._unproved.discard(pin)
        return [] if self._unproved else [StopProved()]

    def _missing(self, data: bytes) -> list[Event]:
        pins: list[set[int]] = [set()]
        pairs = iter(data)
        for mode in pairs:
            if mode == _NOT_MAPPED:
                pins.append(set())
            else:
                pins[-1].add(mode)
                next(pairs, None)
        lacking = [(p, m) for p, m in sorted(self._modes().items()) if p >= len(pins) - 1 or m not in pins[p]]
        return [Noise(bytes([p, m]), f"the board's pin {p} has no mode {MODE_NAMES[m]}") for p, m in lacking]

    def _unmapped(self, data: bytes) -> list[Event]:
        channels = {channel for channel in data if channel != _NOT_MAPPED}
        wanted = sorted(target.pins[0] for target in self._targets() if target.kind == "analog")
        return [Noise(bytes([c]), f"the board has no analogue channel {c}") for c in wanted if c not in channels]

    def _put(self, target: Target, value: int) -> bytes:
        if target.kind == "motor":
            pwm, direction = target.pins
            return self._digital(direction, value < 0) + _analog(pwm, min(abs(value), 255))
        if target.kind == "servo":
            return _analog(target.pins[0], min(max(value, 0), 180))
        if target.kind == "out":
            return self._digital(target.pins[0], value != 0)
        if target.kind == "hold":
            return b""
        raise Malformed(f"firmata:{target.kind} 不能写", f"firmata:{target.kind} cannot be written")

    def _digital(self, pin: int, on: bool) -> bytes:
        port, bit = pin // 8, 1 << pin % 8
        state = self._outputs.get(port, 0) & ~bit | (bit if on else 0)
        self._outputs[port] = state
        return bytes([DIGITAL | port, *_two(state)])

    def _modes(self) -> dict[int, int]:
        modes: dict[int, int] = {}
        for target in self._targets():
            if target.kind == "motor":
                modes |= {target.pins[0]: PWM, target.pins[1]: OUTPUT}
            elif target.kind == "servo":
                modes[target.pins[0]] = SERVO
            elif target.kind == "out":
                modes[target.pins[0]] = OUTPUT
            elif target.kind == "digital":
                modes |= dict.fromkeys(target.pins, INPUT)
        return modes

    def _motor_pins(self) -> list[int]:
        return sorted({target.pins[0] for target in self._targets() if target.kind == "motor"})

    def _stopped_pins(self) -> list[int]:
        """Motors, and the servos that a stop holds: where a servo is told to stand is where it stays."""
        held = {pin for target in self._targets() if target.kind == "hold" for pin in target.pins}
        return sorted(held | set(self._motor_pins()))

    def _targets(self) -> list[Target]:
        properties, actions = self._profile.properties.values(), self._profile.actions.values()
        forms = [form for item in properties for form in item.forms] + [form for item in actions for form in item.forms]
        return [self._target(form) for form in forms]

    def _watched(self, kind: str) -> list[tuple[Affordance, Form, Target]]:
        found = []
        for affordance in self._profile.properties.values():
            for form in affordance.forms:
                target = self._target(form)
                if target.kind == kind:
                    found.append((affordance, form, target))
        return found

    def _target(self, form: Form) -> Target:
        def known(match: re.Match[str]) -> str:
            if match[1] not in self._parameters:
                raise Malformed(f"{form.href}：没有参数 {match[1]}", f"{form.href}: there is no parameter {match[1]}")
            return str(self._parameters[match[1]])

        match = _HREF.fullmatch(re.sub(r"\{([a-z0-9_]+)\}", known, form.href))
        if match is None:
            raise Malformed(f"{form.href} 不是 firmata 地址", f"{form.href} is not a firmata href")
        pins = tuple(int(p) for p in match[2].split("/")[1:])
        if len(pins) not in _PIN_COUNT[match[1]] or any(pin > 127 for pin in pins):
            raise Malformed(
                f"{form.href} 的引脚数或引脚号不对", f"{form.href} has a wrong number of pins or a pin above 127"
            )
        return Target(match[1], pins, None if match[3] is None else int(match[3]))


def _analog(pin: int, value: int) -> bytes:
    if pin < 16:
        return bytes([ANALOG | pin, *_two(value)])
    return bytes([SYSEX, EXTENDED_ANALOG, pin, *_two(value), SYSEX_END])


def _two(value: int) -> tuple[int, int]:
    return value & 0x7F, value >> 7 & 0x7F


def _text(data: bytes) -> str:
    return "".join(chr(low | high << 7) for low, high in zip(data[::2], data[1::2], strict=False))


CODECS = {"firmata": FirmataCodec}
