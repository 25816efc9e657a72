"""From a raw number on the wire to a reading in the property's unit, or the reason why it is none."""

from __future__ import annotations

import math

from labkit.codecs.events import Noise, Reported
from labkit.errors import Malformed
from labkit.model import Affordance, Form


def reading(affordance: Affordance, form: Form, raw: float, data: bytes) -> Reported | Noise:
    """``raw * factor + offset``, rounded; NaN, infinity and values out of the property's range are Noise.

    A scaled (analogue) value is held to its range instead: a battery a little above full reads 100.
    """
    if not math.isfinite(raw):
        return Noise(data, f"{affordance.id} is not a number")
    value = raw * form.factor + form.offset
    low = -math.inf if affordance.minimum is None else affordance.minimum
    high = math.inf if affordance.maximum is None else affordance.maximum
    if form.factor != 1.0 or form.offset != 0.0:
        value = min(max(value, low), high)
    elif not low <= value <= high:
        return Noise(data, f"{affordance.id} = {value:g} is outside {low:g}..{high:g}")
    if form.round is not None:
        value = round(value, form.round)
    return Reported(affordance.id, int(value) if affordance.type == "integer" else value)


def checked(affordance: Affordance, value: float) -> float:
    """A value to be written; raises Malformed for NaN, infinity and what is outside minimum and maximum."""
    low = -math.inf if affordance.minimum is None else affordance.minimum
    high = math.inf if affordance.maximum is None else affordance.maximum
    if not math.isfinite(value) or not low <= value <= high:
        raise Malformed(
            f"{affordance.title.zh} 的值 {value} 不在 {low:g} 到 {high:g} 之间",
            f"{affordance.id}: {value} is outside {low:g}..{high:g}",
        )
    return value
