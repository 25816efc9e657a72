"""Any kit whose codec's file holds the kit's end of the line: the profile run backwards, with wheels on the table or without.

A property that the body can feel (``range``, ``line``, ``light``, ``battery``, ``yaw``, ``moving``, ``standing``) is felt; what was
written is kept and read back; a text is what the profile's samples say, the firmware one that its pattern accepts; any other number
swings slowly between its limits, seeded.
Like the real kits it has no deadman: what was set last goes on until it is told otherwise or a brown-out restarts it.
"""

from __future__ import annotations

import math
import random
import re
from typing import cast

from labkit import codecs, samples
from labkit.codecs.kit_end import Acted, Heard, KitEnd, Wanted, Written
from labkit.codecs.text_sdk import TextEnd
from labkit.lab import LabDevice
from labkit.model import Affordance, Value
from labkit.simulate.body import Body
from labkit.simulate.faults import Faults, FaultyLine

BOOT_S = 1.2
SWING_S = 20.0
PUSH_S = 0.2
_CAN_FEEL = ("range", "line", "light", "battery")


class Backwards:
    """One kit; ``feed`` is its serial line, ``body`` None for a kit without wheels. Raises ValueError when its codec has no kit's end."""

    def __init__(self, device: LabDevice, body: Body | None, faults: Faults, seed: int, now: float) -> None:
        self._device, self._body, self._faults = device, body, faults
        self._line = FaultyLine(faults, seed)
        self._random = random.Random(f"backwards {seed}")
        self._phase = self._random.uniform(0, math.tau)
        self._end = self._boot()
        self._ticked = self._boots_at = now
        self._lacks = faults.lacks.split()
        self._samples = samples.given(device.profile)
        self.written: dict[str, float | str] = {}
        self.blinks = 0
        self.restarted = False

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take bytes from the PC; the replies, one by one."""
        if now < self._boots_at:
            return []
        replies = (self._do(heard, now) for heard in self._end.hear(self._line.to_kit(data)))
        return [cut for reply in replies if (cut := self._line.from_kit(reply))]

    def tick(self, now: float) -> list[bytes]:
        """Let time pass; a brown-out restarts the kit, which drops the motors and is deaf while it boots."""
        passed, self._ticked = now - self._ticked, now
        if self._body is None:
            return []
        self._body.advance(now)
        if self._body.moving and self._faults.brown_out_s and self._random.random() < passed / self._faults.brown_out_s:
            self._boots_at, self._end = now + BOOT_S, self._boot()
            self.written.clear()
            self._body.run(0.0, 0.0, now, "brown-out")
            self.restarted = True
        return []

    def _boot(self) -> KitEnd:
        profile = self._device.profile
        end = codecs.kit_end(profile.transport.codec, profile, self._device.parameters)
        if end is None:
            raise ValueError(f"{profile.transport.codec} has no kit's end")
        return end

    def _do(self, heard: Heard, now: float) -> bytes:
        if isinstance(heard, Wanted):
            if heard.property in self._lacks:
                return heard.refusal
            return heard.answer(self._value(self._device.profile.properties[heard.property], now))
        if isinstance(heard, Written):
            self.written[heard.property] = heard.value
            self._turn(now, heard.property)
        elif isinstance(heard, Acted):
            self._act(heard.action, now)
        return heard.answer

    def _act(self, action: str, now: float) -> None:
        safety = self._device.profile.safety
        if safety and action == safety.stop:
            self.written.clear()
            self._turn(now, "stop")
        elif action == "identify":
            self.blinks += 1

    def _turn(self, now: float, why: str) -> None:
        """Bring the wheels to what was written."""
        drive = self._device.profile.drive
        if drive is None or self._body is None:
            return
        if drive.model == "twist":
            self._body.twist(self._number(drive.linear), self._number(drive.angular), now, why)
            return
        left, right = (self._speed(wheel) for wheel in (drive.left, drive.right))
        self._body.run(left, right, now, why)

    def _speed(self, wheel: str) -> float:
        drive = self._device.profile.drive
        assert drive
        power = self._number(wheel)
        return (-power if wheel in drive.invert else power) / drive.max_pwm * drive.max_mps

    def _number(self, name: str) -> float:
        value = self.written.get(name, 0.0)
        return 0.0 if isinstance(value, str) else value

    def _value(self, item: Affordance, now: float) -> Value:
        if item.id == self._device.profile.match.probe:
            told = str(self._samples.get(item.id, ""))
            fits = told and re.search(self._device.pattern, told)
            return self._faults.firmware or (told if fits else _fitting(self._device.pattern))
        if item.id in self.written:
            return self.written[item.id]
        if self._body and item.id in _CAN_FEEL:
            return _held(item, self._body.sense(item.id, now))
        if self._body and item.id in ("moving", "standing"):
            so = self._body.moving == (item.id == "moving")
            return so if item.type == "boolean" else int(so)
        if self._body and item.id == "yaw":
            return _held(item, -math.degrees(self._body.pose.heading))  # clockwise positive, as such kits have it
        if item.type == "boolean":
            return False
        if item.type not in ("integer", "number"):
            return item.enum[0] if item.enum else str(self._samples.get(item.id, ""))
        low = 0.0 if item.minimum is None else item.minimum
        high = low + 100.0 if item.maximum is None else item.maximum
        return _held(item, (low + high) / 2 + (high - low) / 4 * math.sin(now / SWING_S + self._phase))


class TextBackwards(Backwards):
    """The same over TCP or UDP: it tells what its profile says it pushes, and a stream that ends leaves the wheels as they are."""

    def __init__(self, device: LabDevice, body: Body | None, faults: Faults, seed: int, now: float) -> None:
        super().__init__(device, body, faults, seed, now)
        self._push_at = now
        self._pushing = False

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take what came from the PC; a whole datagram or piece of the stream may be lost (fault ``drop``)."""
        return [] if self._random.random() < self._faults.drop else super().feed(data, now)

    def pushes(self, now: float) -> list[bytes]:
        """What it tells by itself, five times a second once it listens and its ``opening`` (where it has one) was heard."""
        end = cast(TextEnd, self._end)
        told = [item for item in self._device.profile.properties.values() if item.form("observeproperty")]
        greeted = self._pushing or "opening" not in self._device.profile.actions
        if not (told and end.listening and greeted) or now < self._push_at or now < self._boots_at or self._faults.deaf:
            return []
        self._push_at = now + PUSH_S
        speed = abs(self._body.left_mps + self._body.right_mps) / 2 if self._body else 0.0
        return [end.push({item.id: self._value(item, now) for item in told}, speed)]

    def hung_up(self, _now: float) -> None:
        """The stream is over: it listens no more until it is greeted anew."""
        self._end, self._pushing = self._boot(), False

    def _act(self, action: str, now: float) -> None:
        if action == "opening":
            self._pushing = True
        super()._act(action, now)


def _held(item: Affordance, value: float) -> Value:
    low = -math.inf if item.minimum is None else item.minimum
    high = math.inf if item.maximum is None else item.maximum
    held = min(max(value, low), high)
    return round(held) if item.type == "integer" else round(held, 2)


def _fitting(pattern: str) -> str:
    """A version that a probe's pattern accepts: the pattern's own literal text, else digits behind it; "" when neither fits."""
    literal = re.sub(r"\\(.)", r"\1", pattern.removeprefix("^").removesuffix("$"))
    return next((text for text in (literal, literal + "001", "1.0.0") if re.search(pattern, text)), "")
