"""One quantity of a Home Assistant or Tasmota board: how it is read from a topic and written to one; pure.

Templates are read, never run: only ``{{ value }}`` and a path into ``value_json`` with filters that change no meaning
(``float``, ``int``, ``round(n)``, ``default(…)``, ``is_defined``) are known; everything else is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from labkit import homie
from labkit.errors import Malformed
from labkit.model import Datatype, Property, Value

MAX_TEXT = 255
MAX_DEPTH = 8
_STEP = r"\.[A-Za-z_]\w*|\[\s*'[^'\]]{1,64}'\s*\]|\[\s*\"[^\"\]]{1,64}\"\s*\]|\[\s*\d{1,3}\s*\]"
_FILTER = r"\|\s*(?:float|int|is_defined|round(?:\(\s*\d\s*\))?|default\([^()|]{0,40}\))\s*"
_TEMPLATE = re.compile(rf"\{{\{{-?\s*(?:value|value_json((?:{_STEP})*))\s*((?:{_FILTER})*)-?\}}\}}")
_STEPS = re.compile(_STEP)

Path = tuple[str | int, ...]


class Wire(StrEnum):
    """How a value is written."""

    PLAIN = "plain"
    JSON_STATE = "json state"
    JSON_BRIGHTNESS = "json brightness"
    JSON_COLOR = "json color"


@dataclass(frozen=True)
class Template:
    """Where in a payload the value stands: ``path`` into its JSON, or None = the whole payload as text."""

    path: Path | None = None

    @classmethod
    def parse(cls, text: object) -> Template:
        """Read a ``value_template``; raises Malformed when it is more than a path."""
        if text in (None, ""):
            return cls()
        match = _TEMPLATE.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= 400 else None
        if match is None:
            raise Malformed(
                f"模板 {str(text)[:60]} 不会读：只认 value_json 的路径",
                f"the template {str(text)[:60]} is more than a path into value_json",
            )
        if match[1] is None:
            return cls()
        steps = _STEPS.findall(match[1])
        if len(steps) > MAX_DEPTH:
            raise Malformed("模板太深", "the template reaches too deep")
        return cls(tuple(_step(step) for step in steps))

    def find(self, payload: bytes) -> object:
        """The value at that place; None when it is not there. Raises Malformed when the payload is not what it should be."""
        if self.path is None:
            try:
                return payload.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise Malformed("不是 UTF-8 文本", "not UTF-8 text") from error
        return follow(homie.parse_json_object(payload), self.path)


def _step(text: str) -> str | int:
    inner = text[1:] if text.startswith(".") else text[1:-1].strip()
    return int(inner) if inner.isdigit() else inner.strip("'\"")


def follow(value: object, path: Path) -> object:
    """The value at a path; None when it is not there."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def as_text(value: object) -> str:
    """A JSON scalar as the text that conventions compare: ``true``, ``21.5``, ``ON``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[: MAX_TEXT + 1]


@dataclass(frozen=True)
class Channel:
    """A property with its topics; ``key`` is ``component/object_id``, ``on`` and ``off`` are a boolean's words."""

    key: str
    property: Property
    topics: tuple[str, ...] = ()
    template: Template = Template()
    on: str = "ON"
    off: str = "OFF"
    command_topic: str = ""
    command_on: str = "ON"
    command_off: str = "OFF"
    wire: Wire = Wire.PLAIN

    def read(self, payload: bytes) -> Value | None:
        """The value that a payload holds, None when it does not speak of this property; raises Malformed."""
        raw = self.template.find(payload)
        if raw is None:
            return None
        kind = self.property.datatype
        if kind is Datatype.COLOR and isinstance(raw, dict):
            raw = ",".join(as_text(raw.get(part, "")) for part in "rgb")
        if isinstance(raw, (dict, list)):
            raise Malformed("应为单个值", "should be a single value")
        text = as_text(raw).strip()
        if len(text) > MAX_TEXT:
            raise Malformed("内容太长", "the payload is too long")
        if kind is Datatype.BOOLEAN:
            return self._switched(text)
        if kind is Datatype.INTEGER:
            number = homie.decode(Property(self.property.id, Datatype.FLOAT), text.encode())
            assert isinstance(number, float)
            text = str(round(number))
        elif kind is Datatype.COLOR:
            text = "rgb," + text
        return homie.decode(self.property, text.encode())

    def _switched(self, text: str) -> bool:
        if text not in (self.on, self.off):
            raise Malformed(
                f"应为 {self.on} 或 {self.off}", f"{text[:40]!r} is neither {self.on[:40]!r} nor {self.off[:40]!r}"
            )
        return text == self.on

    def write(self, value: Value) -> bytes:
        """The command's payload; raises Malformed when the property cannot be set or cannot hold the value."""
        if not self.command_topic or not self.property.settable:
            raise Malformed(f"{self.property.id} 不能设置", f"{self.property.id} cannot be set")
        payload = homie.encode(self.property, value)
        if isinstance(value, bool):
            word = self.command_on if value else self.command_off
            return _json({"state": word}) if self.wire is Wire.JSON_STATE else word.encode()
        if self.wire is Wire.JSON_BRIGHTNESS:
            return _json({"state": self.command_on, "brightness": value} if value else {"state": self.command_off})
        if self.property.datatype is Datatype.COLOR:
            numbers = [round(float(number)) for number in payload.decode().split(",")[1:]]
            if self.wire is Wire.JSON_COLOR:
                return _json({"state": self.command_on, "color": dict(zip("rgb", numbers, strict=True))})
            return ",".join(map(str, numbers)).encode()
        return payload


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Availability:
    """A topic that says whether the board is there."""

    topic: str
    template: Template
    available: str = "online"
    gone: str = "offline"

    def read(self, payload: bytes) -> bool | None:
        """Whether it is there; None for any other word."""
        try:
            text = as_text(self.template.find(payload))
        except Malformed:
            text = payload[:MAX_TEXT].decode("utf-8", "replace").strip()
        return {self.available: True, self.gone: False}.get(text)


def slug(text: str) -> str:
    """A Homie id from any name: ``a-z``, ``0-9`` and ``-``; "" when nothing is left."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))[:60].strip("-")


def bounds(low: float, high: float, step: float | None = None) -> str:
    """Homie's ``min:max[:step]``."""
    return ":".join(number(n) for n in (low, high, *(() if step is None else (step,))))


def number(value: float) -> str:
    """A number as Homie writes it: no ``+`` in the exponent."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value)).replace("e+", "e")


def whole(values: Sequence[float]) -> bool:
    """Whether all are whole numbers."""
    return all(float(v).is_integer() for v in values)
