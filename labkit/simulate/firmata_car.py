"""An Arduino Uno with StandardFirmata 2.5 on a two-wheel car or a servo arm: bytes in, bytes out.

Pins and channels are those of the profile's parameters; analogue readings are the profile's scale run backwards. Like the
real firmware it has no deadman, leaves its outputs as they are when the port closes, and a command byte inside a message
ends the damaged one. Source: firmata/protocol `protocol.md` 2.7 and firmata/arduino StandardFirmata 2.5.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from labkit.lab import LabDevice
from labkit.model import Drive
from labkit.simulate.body import Body
from labkit.simulate.faults import Faults, FaultyLine

NAME, MAJOR, MINOR = "StandardFirmata.ino", 2, 5
PINS, FIRST_ANALOG, CHANNELS = 20, 14, 6
INPUT, OUTPUT, ANALOG, PWM, SERVO, I2C, PULLUP = 0, 1, 2, 3, 4, 6, 11
PWM_PINS = (3, 5, 6, 9, 10, 11)
MAX_SYSEX = 64
BOOT_S = 1.5
DEFAULT_SAMPLING_MS = 19
_ARGUMENTS = {0xC0: 1, 0xD0: 1, 0x90: 2, 0xE0: 2, 0xF4: 2, 0xF5: 2}
_ANALOG_HREF = re.compile(r"firmata:analog/(\{\w+\}|\d+)$")
_DIGITAL_HREF = re.compile(r"firmata:digital/(.+)$")
_MOTOR_HREF = re.compile(r"firmata:motor/([^/]+)/([^/?]+)$")


NO_WHEELS = Drive("none", 1.0, 1.0)


class FirmataBoard:
    """One Uno; `feed` is its serial line, `tick` its sampling."""

    def __init__(self, device: LabDevice, body: Body, faults: Faults, seed: int, now: float) -> None:
        self._drive: Drive = device.profile.drive or NO_WHEELS
        self._body, self._faults = body, faults
        self._line = FaultyLine(faults, seed)
        self._random = random.Random(f"firmata {seed}")
        self._wiring = Wiring(device)
        self._ticked = self._sample_at = self._boots_at = now
        self._hello_due = True
        self._reset()

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take bytes from the PC; the replies, one by one."""
        if now < self._boots_at:
            return []
        replies: list[bytes] = []
        for byte in self._line.to_kit(data):
            replies += self._collect(byte, now)
        return self._through(replies)

    def tick(self, now: float) -> list[bytes]:
        """Let time pass: reports that are due; a brown-out restarts the board with all outputs low."""
        self._body.advance(now)
        passed, self._ticked = now - self._ticked, now
        if now < self._boots_at:
            return []
        replies: list[bytes] = []
        if self._hello_due:
            self._hello_due = False
            replies += [self._version(), self._firmware()]
        if self._body.moving and self._faults.brown_out_s and self._random.random() < passed / self._faults.brown_out_s:
            self._reset()
            self._sample_at = self._boots_at = now + BOOT_S
            self._body.run(0.0, 0.0, now, "brown-out")
            return []
        if now >= self._sample_at and self._reported:
            self._sample_at = max(self._sample_at + self._sampling_s, now)
            replies += [self._analog_report(channel, now) for channel in sorted(self._reported)]
        for port in sorted(self._reported_ports):
            replies += self._digital_report(port, now, force=False)
        return self._through(replies)

    def angle(self, pin: int) -> int | None:
        """Where the servo on a pin is told to stand; None when it is not attached or was never told."""
        return self._angles.get(pin)

    def _through(self, replies: list[bytes]) -> list[bytes]:
        return [cut for reply in replies if (cut := self._line.from_kit(reply))]

    def _reset(self) -> None:
        self._modes = {pin: ANALOG if pin >= FIRST_ANALOG else OUTPUT for pin in range(2, PINS)}
        self._values = dict.fromkeys(range(PINS), 0)
        self._angles: dict[int, int] = {}
        self._buffer = bytearray()
        self._reported: set[int] = set()
        self._reported_ports: dict[int, int] = {}
        self._sampling_s = DEFAULT_SAMPLING_MS / 1000
        self._hello_due = True

    # ---- the parser -----------------------------------------------------------------------------------------------

    def _collect(self, byte: int, now: float) -> list[bytes]:
        buffer = self._buffer
        if buffer and buffer[0] == 0xF0:
            if byte == 0xF7:
                message = bytes(buffer[1:])
                buffer.clear()
                return self._sysex(message, now)
            if byte < 0x80:
                if len(buffer) <= MAX_SYSEX:
                    buffer.append(byte)
                return []
        if byte >= 0x80:
            buffer[:] = bytes([byte])
            if byte == 0xF9:
                buffer.clear()
                return [self._version()]
            if byte == 0xFF:
                buffer.clear()
                self._system_reset(now)
            elif byte != 0xF0 and self._needs(byte) == 0:
                buffer.clear()
            return []
        if not buffer:
            return []
        buffer.append(byte)
        if len(buffer) <= self._needs(buffer[0]):
            return []
        message = bytes(buffer)
        buffer.clear()
        return self._command(message, now)

    @staticmethod
    def _needs(command: int) -> int:
        return _ARGUMENTS.get(command if command >= 0xF0 else command & 0xF0, 0)

    def _command(self, message: bytes, now: float) -> list[bytes]:
        command, low = message[0], message[0] & 0x0F
        if command == 0xF4:
            return self._set_mode(message[1], message[2], now)
        if command == 0xF5:
            self._put(message[1], message[2] & 1, now)
            return []
        kind = command & 0xF0
        if kind == 0x90:
            bits = message[1] | message[2] << 7
            for bit in range(8):
                pin = low * 8 + bit
                if self._modes.get(pin) == OUTPUT:
                    self._values[pin] = bits >> bit & 1
            self._turn_wheels(now)
        elif kind == 0xE0:
            self._analog_write(low, message[1] | message[2] << 7, now)
        elif kind == 0xC0 and low < CHANNELS:
            (self._reported.add if message[1] else self._reported.discard)(low)
            return [self._analog_report(low, now)] if message[1] else []
        elif kind == 0xD0 and low < 3:
            if message[1]:
                self._reported_ports.setdefault(low, -1)
                return self._digital_report(low, now, force=True)
            self._reported_ports.pop(low, None)
        return []

    def _sysex(self, message: bytes, now: float) -> list[bytes]:
        if not message:
            return []
        kind, data = message[0], message[1:]
        if kind == 0x79 and not data:
            return [self._firmware()]
        if kind == 0x6B:
            return [b"\xf0\x6c" + b"".join(_capabilities(pin) + b"\x7f" for pin in range(PINS)) + b"\xf7"]
        if kind == 0x69:
            return [
                b"\xf0\x6a" + bytes(pin - FIRST_ANALOG if pin >= FIRST_ANALOG else 127 for pin in range(PINS)) + b"\xf7"
            ]
        if kind == 0x6D and data and data[0] < PINS:
            return [self._pin_state(data[0])]
        if kind == 0x7A and len(data) >= 2:
            self._sampling_s = max(1, data[0] | data[1] << 7) / 1000
            self._sample_at = now
        if kind == 0x6F and len(data) > 1:
            self._analog_write(data[0], sum(part << 7 * n for n, part in enumerate(data[1:])), now)
        return []

    # ---- pins -----------------------------------------------------------------------------------------------------

    def _set_mode(self, pin: int, mode: int, now: float) -> list[bytes]:
        capable = _capabilities(pin)
        if pin not in self._modes or (mode not in capable[::2]):
            return [b"\xf0\x71" + _text("Unknown pin mode") + b"\xf7"]
        self._modes[pin], self._values[pin] = mode, 0
        self._turn_wheels(now)
        return []

    def _put(self, pin: int, value: int, now: float) -> None:
        if self._modes.get(pin) == OUTPUT:
            self._values[pin] = value
            self._turn_wheels(now)

    def _analog_write(self, pin: int, value: int, now: float) -> None:
        if self._modes.get(pin) in (PWM, SERVO):
            self._values[pin] = value
            if self._modes[pin] == SERVO:
                self._angles[pin] = value
            self._turn_wheels(now)

    def _system_reset(self, now: float) -> None:
        """As release 2.5 does: PWM ends, digital outputs keep their level, reports end."""
        for pin, mode in self._modes.items():
            if mode in (PWM, SERVO):
                self._values[pin] = 0
            self._modes[pin] = ANALOG if pin >= FIRST_ANALOG else OUTPUT
        self._reported.clear()
        self._reported_ports.clear()
        self._turn_wheels(now)

    def _turn_wheels(self, now: float) -> None:
        self._body.run(self._speed(self._drive.left), self._speed(self._drive.right), now, "pins")

    def _speed(self, motor: str) -> float:
        if motor not in self._wiring.motors:
            return 0.0
        pwm, direction = self._wiring.motors[motor]
        power = min(255, self._values[pwm]) if self._modes.get(pwm) == PWM else 0
        forward = -1 if self._values[direction] and self._modes.get(direction) == OUTPUT else 1
        turned = -forward if motor in self._drive.invert else forward
        return turned * power / self._drive.max_pwm * self._drive.max_mps

    def _pin_state(self, pin: int) -> bytes:
        value = self._values[pin]
        parts = bytearray([value & 0x7F])
        while value > 0x7F:
            value >>= 7
            parts.append(value & 0x7F)
        return bytes([0xF0, 0x6E, pin, self._modes.get(pin, 127)]) + bytes(parts) + b"\xf7"

    # ---- what it says ---------------------------------------------------------------------------------------------

    def _version(self) -> bytes:
        return bytes([0xF9, MAJOR, MINOR])

    def _firmware(self) -> bytes:
        name, major, minor = NAME, MAJOR, MINOR
        if match := re.fullmatch(r"(.+) (\d{1,2})\.(\d{1,2})", self._faults.firmware):
            name, major, minor = match[1], int(match[2]), int(match[3])
        return bytes([0xF0, 0x79, major, minor]) + _text(name) + b"\xf7"

    def _analog_report(self, channel: int, now: float) -> bytes:
        raw = self._wiring.raw(channel, self._body, now)
        return bytes([0xE0 | channel, raw & 0x7F, raw >> 7])

    def _digital_report(self, port: int, now: float, force: bool) -> list[bytes]:
        bits = 0
        for pin, level in self._wiring.levels(self._body, now).items():
            if pin // 8 == port and self._modes.get(pin) in (INPUT, PULLUP) and level:
                bits |= 1 << pin % 8
        if bits == self._reported_ports[port] and not force:
            return []
        self._reported_ports[port] = bits
        return [bytes([0x90 | port, bits & 0x7F, bits >> 7])]


class Wiring:
    """Which pin is what, read from the profile's hrefs and parameters."""

    def __init__(self, device: LabDevice) -> None:
        self.motors: dict[str, tuple[int, int]] = {}
        self._analog: dict[int, tuple[str, float, float]] = {}
        self._line_pins: tuple[int, ...] = ()
        for item in device.profile.properties.values():
            for form in item.forms:
                if match := _MOTOR_HREF.match(form.href):
                    self.motors[item.id] = (_pin(match[1], device.parameters), _pin(match[2], device.parameters))
                elif match := _ANALOG_HREF.match(form.href):
                    self._analog[_pin(match[1], device.parameters)] = (item.id, form.factor, form.offset)
                elif match := _DIGITAL_HREF.match(form.href):
                    self._line_pins = tuple(_pin(part, device.parameters) for part in match[1].split("/"))

    def raw(self, channel: int, body: Body, now: float) -> int:
        """What the 10-bit converter gives on a channel; 0 where nothing is connected."""
        if channel not in self._analog:
            return 0
        name, factor, offset = self._analog[channel]
        return max(0, min(1023, round((body.sense(name, now) - offset) / factor)))

    def levels(self, body: Body, now: float) -> dict[int, bool]:
        """The level at each line sensor's pin: the first pin is the left one, high = white."""
        if not self._line_pins:
            return {}
        seen = int(body.sense("line", now))
        return dict(zip(self._line_pins, (bool(seen & 2), bool(seen & 1)), strict=False))


def _pin(text: str, parameters: Mapping[str, int]) -> int:
    return parameters[text[1:-1]] if text.startswith("{") else int(text)


def _capabilities(pin: int) -> bytes:
    """Pairs of mode and resolution, as an Uno answers."""
    if not 2 <= pin < PINS:
        return b""
    pairs = [INPUT, 1, PULLUP, 1, OUTPUT, 1]
    if pin >= FIRST_ANALOG:
        pairs += [ANALOG, 10]
    if pin in PWM_PINS:
        pairs += [PWM, 8]
    if pin < FIRST_ANALOG:
        pairs += [SERVO, 14]
    if pin >= PINS - 2:
        pairs += [I2C, 1]
    return bytes(pairs)


def _text(text: str) -> bytes:
    return b"".join(bytes([ord(letter) & 0x7F, ord(letter) >> 7]) for letter in text)
