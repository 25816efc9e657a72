"""Homie 5: topic tree ↔ model, both ways; no I/O.

Source: the Homie convention 5.0: ids hold ``a-z``, ``0-9`` and ``-`` only. Profiles name quantities as ROS 2 does
(``linear_x``); `property_id` gives the name on the wire (``linear-x``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TypeGuard

from labkit.errors import Malformed
from labkit.model import MAIN_NODE, Datatype, Device, Node, Property, State, Value

DOMAIN = "homie"
BASE = f"{DOMAIN}/5"
EMPTY_STRING = b"\x00"
MAX_DESCRIPTION_BYTES = 256 * 1024
MAX_PAYLOAD_BYTES = 64 * 1024
_ID = re.compile(r"[a-z0-9-]+")
_INTEGER = re.compile(r"-?[0-9]+")
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE]-?[0-9]+)?")
_DURATION = re.compile(r"PT(?=.)(\d+H)?(\d+M)?(\d+S)?")
_COLOR_RANGES = {"rgb": (255, 255, 255), "hsv": (360, 100, 100), "xyz": (1, 1)}


# A room has a few hundred topics, and each comes ten times a second.
cache_of_topics = lru_cache(maxsize=4096)


class Part(StrEnum):
    """What a Homie topic is about."""

    STATE = "$state"
    DESCRIPTION = "$description"
    LOG = "$log"
    ALERT = "$alert"
    VALUE = "value"
    SET = "set"
    TARGET = "$target"
    BROADCAST = "$broadcast"


@dataclass(frozen=True)
class Address:
    """A parsed topic: ``item`` is the alert's id, the log's level or the broadcast's subtopic."""

    part: Part
    device: str = ""
    node: str = ""
    property: str = ""
    item: str = ""

    def topic(self) -> str:
        """The topic that this address stands for."""
        base = f"{BASE}/{self.device}"
        if self.part is Part.BROADCAST:
            return f"{BASE}/$broadcast/{self.item}"
        if self.part in (Part.STATE, Part.DESCRIPTION):
            return f"{base}/{self.part.value}"
        if self.part in (Part.LOG, Part.ALERT):
            return f"{base}/{self.part.value}/{self.item}"
        tail = "" if self.part is Part.VALUE else f"/{self.part.value}"
        return f"{base}/{self.node}/{self.property}{tail}"


def is_id(text: str) -> bool:
    """Whether a text may be a device, node or property id."""
    return _ID.fullmatch(text) is not None


def property_id(name: str) -> str:
    """A profile's property name as Homie id: ``linear_x`` → ``linear-x``; an id stays as it is."""
    return name.replace("_", "-")


@cache_of_topics
def parse_topic(topic: str) -> Address:
    """Read a topic below ``homie/5/``; raises Malformed with the part that is wrong."""
    levels = topic.split("/")
    if levels[:2] != [DOMAIN, "5"] or len(levels) < 4:
        raise Malformed(f"{topic[:80]} 不是 Homie 5 主题", f"{topic[:80]} is not a Homie 5 topic")
    device, rest = levels[2], levels[3:]
    if device == Part.BROADCAST.value:
        if all(_ID.fullmatch(level) for level in rest):
            return Address(Part.BROADCAST, item="/".join(rest))
    elif _ID.fullmatch(device):
        address = _device_topic(device, rest)
        if address:
            return address
    raise Malformed(f"{topic[:80]} 的层级不合 Homie 5", f"{topic[:80]} has levels that Homie 5 does not know")


def _device_topic(device: str, rest: list[str]) -> Address | None:
    first = rest[0]
    if len(rest) == 1 and first in (Part.STATE.value, Part.DESCRIPTION.value):
        return Address(Part(first), device)
    if len(rest) == 2 and first in (Part.ALERT.value, Part.LOG.value) and _ID.fullmatch(rest[1]):
        return Address(Part(first), device, item=rest[1])
    if len(rest) in (2, 3) and _ID.fullmatch(first) and _ID.fullmatch(rest[1]):
        part = Part.VALUE if len(rest) == 2 else {"set": Part.SET, "$target": Part.TARGET}.get(rest[2])
        return Address(part, device, first, rest[1]) if part else None
    return None


def state_topic(device: str) -> str:
    """``homie/5/<device>/$state``."""
    return Address(Part.STATE, device).topic()


def description_topic(device: str) -> str:
    """``homie/5/<device>/$description``."""
    return Address(Part.DESCRIPTION, device).topic()


def alert_topic(device: str, alert: str) -> str:
    """``homie/5/<device>/$alert/<alert>``."""
    return Address(Part.ALERT, device, item=alert).topic()


@cache_of_topics
def value_topic(device: str, property_id: str, node: str = MAIN_NODE) -> str:
    """``homie/5/<device>/<node>/<property>``."""
    return Address(Part.VALUE, device, node, property_id).topic()


@cache_of_topics
def set_topic(device: str, property_id: str, node: str = MAIN_NODE) -> str:
    """``homie/5/<device>/<node>/<property>/set``."""
    return Address(Part.SET, device, node, property_id).topic()


def parse_state(payload: bytes) -> State:
    """A ``$state`` payload; raises Malformed for anything but the five states."""
    try:
        return State(_text(payload))
    except ValueError as error:
        raise Malformed("不认识的 $state", f"unknown $state {payload[:40]!r}") from error


def effective_state(own: State, root: State | None) -> State:
    """A child of a lost root is lost, whatever its own topic says."""
    return State.LOST if root is State.LOST else own


def describe(device: Device) -> bytes:
    """The ``$description`` document."""
    document: dict[str, object] = {"homie": "5.0", "version": device.version, "name": device.name or device.id}
    if device.type:
        document["type"] = device.type
    document["nodes"] = {node.id: _describe_node(node) for node in device.nodes}
    if device.children:
        document["children"] = list(device.children)
    if device.root:
        document["root"] = device.root
    if device.parent:
        document["parent"] = device.parent
    if device.extensions:
        document["extensions"] = list(device.extensions)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _describe_node(node: Node) -> dict[str, object]:
    out: dict[str, object] = {"name": node.name or node.id}
    if node.type:
        out["type"] = node.type
    out["properties"] = {item.id: _describe_property(item) for item in node.properties}
    return out


def _describe_property(item: Property) -> dict[str, object]:
    out: dict[str, object] = {"name": item.name or item.id, "datatype": item.datatype.value}
    if item.format:
        out["format"] = item.format
    if item.unit:
        out["unit"] = item.unit
    if item.settable:
        out["settable"] = True
    if not item.retained:
        out["retained"] = False
    return out


def parse_description(device_id: str, payload: bytes) -> Device:
    """Read a ``$description``; unknown fields are ignored, an illegal node or property is left out (as Homie asks).

    Raises Malformed when it is no JSON object, larger than 256 KiB, or not of Homie 5.
    """
    if len(payload) > MAX_DESCRIPTION_BYTES:
        raise Malformed("$description 太大", "the $description is too large")
    document = parse_json_object(payload)
    if not re.fullmatch(r"5\.\d+", str(document.get("homie", ""))):
        raise Malformed("不是 Homie 5 的 $description", "not a $description of Homie 5")
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise Malformed("$description 缺 version", "the $description has no version")
    return Device(
        id=device_id,
        name=_string(document.get("name"), device_id),
        type=_string(document.get("type"), ""),
        nodes=tuple(
            _parse_node(key, value) for key, value in _mapping(document.get("nodes")).items() if _usable(key, value)
        ),
        children=tuple(c for c in _strings(document.get("children")) if _ID.fullmatch(c)),
        root=_string(document.get("root"), "") or None,
        parent=_string(document.get("parent"), "") or _string(document.get("root"), "") or None,
        version=version,
        extensions=_strings(document.get("extensions")),
    )


def _usable(key: str, value: object) -> bool:
    return _ID.fullmatch(key) is not None and isinstance(value, dict)


def _parse_node(node_id: str, value: object) -> Node:
    data = _mapping(value)
    items = (_parse_property(key, item) for key, item in _mapping(data.get("properties")).items())
    return Node(
        node_id,
        _string(data.get("name"), node_id),
        _string(data.get("type"), ""),
        tuple(item for item in items if item),
    )


def _parse_property(property_id: str, value: object) -> Property | None:
    data = _mapping(value)
    try:
        item = Property(
            id=property_id,
            datatype=Datatype(_string(data.get("datatype"), "")),
            name=_string(data.get("name"), property_id),
            unit=_string(data.get("unit"), ""),
            format=_string(data.get("format"), ""),
            settable=data.get("settable") is True,
            retained=data.get("retained") is not False,
        )
        if not _ID.fullmatch(property_id):
            return None
        check_format(item)
    except ValueError:
        return None
    except Malformed:
        return None
    return item


def check_format(item: Property) -> None:
    """Raise Malformed when ``format`` does not fit the datatype."""
    if item.datatype in (Datatype.INTEGER, Datatype.FLOAT) and item.format:
        _bounds(item)
    elif item.datatype is Datatype.ENUM:
        choices = item.format.split(",")
        if not item.format or "" in choices or len(set(choices)) != len(choices):
            raise Malformed(f"{item.id} 的枚举格式不对", f"{item.id}: the enum's format is wrong")
    elif item.datatype is Datatype.COLOR and not set(item.format.split(",")) <= set(_COLOR_RANGES):
        raise Malformed(f"{item.id} 的颜色格式不对", f"{item.id}: the color's format is wrong")


def encode(item: Property, value: Value) -> bytes:
    """A value as Homie payload; raises Malformed when the property cannot hold it."""
    kind = item.datatype
    if kind is Datatype.BOOLEAN and isinstance(value, bool):
        return b"true" if value else b"false"
    if kind is Datatype.INTEGER and isinstance(value, int) and not isinstance(value, bool):
        payload = str(value).encode()
    elif kind is Datatype.FLOAT and _is_number(value):
        payload = repr(float(value)).replace("e+", "e").encode()
    elif kind is Datatype.JSON and isinstance(value, (dict, list)):
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except ValueError as error:
            raise Malformed(f"{item.id} 含有非数", f"{item.id} holds NaN or infinity") from error
    elif isinstance(value, str) and kind not in (Datatype.BOOLEAN, Datatype.INTEGER, Datatype.FLOAT, Datatype.JSON):
        payload = value.encode() if value else EMPTY_STRING
    else:
        raise Malformed(f"{item.id} 放不下 {value!r}", f"{item.id} ({kind.value}) cannot hold {value!r}")
    decode(item, payload)
    return payload


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def decode(item: Property, payload: bytes) -> Value:
    """A payload as the property's datatype, within its format; raises Malformed with the reason."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Malformed(f"{item.id} 的内容太长", f"{item.id}: the payload is too long")
    return _DECODERS[item.datatype](item, _text(payload))


def _decode_string(item: Property, text: str) -> Value:
    if text == "":
        raise Malformed(f"{item.id} 是空的", f"{item.id}: an empty payload is no value")
    return "" if text == "\x00" else text


def _decode_integer(item: Property, text: str) -> Value:
    if not _INTEGER.fullmatch(text) or len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise Malformed(f"{item.id} 应为整数", f"{item.id}: {text[:40]!r} is not a 64-bit integer")
    return int(_stepped(item, int(text)))


def _decode_float(item: Property, text: str) -> Value:
    value = float(text) if len(text) <= 400 and _FLOAT.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise Malformed(f"{item.id} 应为数", f"{item.id}: {text[:40]!r} is not a finite number")
    return float(_stepped(item, value))


def _decode_boolean(item: Property, text: str) -> Value:
    if text not in ("true", "false"):
        raise Malformed(f"{item.id} 应为 true 或 false", f"{item.id}: {text[:40]!r} is neither true nor false")
    return text == "true"


def _decode_enum(item: Property, text: str) -> Value:
    if text not in item.format.split(",") or not text:
        raise Malformed(f"{item.id} 只能是 {item.format}", f"{item.id}: {text[:40]!r} is none of {item.format}")
    return text


def _decode_color(item: Property, text: str) -> Value:
    kind, *numbers = text.split(",")
    limits = _COLOR_RANGES.get(kind, ()) if kind in item.format.split(",") else ()
    fits = len(numbers) == len(limits) > 0 and all(
        _FLOAT.fullmatch(n) and 0 <= float(n) <= top for n, top in zip(numbers, limits, strict=True)
    )
    if not fits:
        raise Malformed(f"{item.id} 不是颜色", f"{item.id}: {text[:40]!r} is not a color of {item.format}")
    return text


def _decode_datetime(item: Property, text: str) -> Value:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(f"{item.id} 应为 ISO 8601 时间", f"{item.id}: {text[:40]!r} is not an ISO 8601 time") from error
    return text


def _decode_duration(item: Property, text: str) -> Value:
    if not _DURATION.fullmatch(text):
        raise Malformed(f"{item.id} 应为 ISO 8601 时长", f"{item.id}: {text[:40]!r} is not an ISO 8601 duration")
    return text


def _decode_json(item: Property, text: str) -> Value:
    value = _json(text.encode())
    if isinstance(value, list):
        return list(value)
    if isinstance(value, dict):
        return dict(value)
    raise Malformed(f"{item.id} 应为 JSON 对象或列表", f"{item.id} is neither a JSON object nor an array")


_DECODERS: Mapping[Datatype, Callable[[Property, str], Value]] = {
    Datatype.STRING: _decode_string,
    Datatype.INTEGER: _decode_integer,
    Datatype.FLOAT: _decode_float,
    Datatype.BOOLEAN: _decode_boolean,
    Datatype.ENUM: _decode_enum,
    Datatype.COLOR: _decode_color,
    Datatype.DATETIME: _decode_datetime,
    Datatype.DURATION: _decode_duration,
    Datatype.JSON: _decode_json,
}


def _stepped(item: Property, value: float) -> float:
    """Round to the format's step, then check its minimum and maximum."""
    if not item.format:
        return value
    low, high, step = _bounds(item)
    if step is not None:
        base = low if low is not None else high if high is not None else 0
        value = base + math.floor((value - base) / step + 0.5) * step
    if (low is not None and value < low) or (high is not None and value > high):
        raise Malformed(f"{item.id} 应在 {item.format} 之内", f"{item.id}: {value:g} is outside {item.format}")
    return value


def _bounds(item: Property) -> tuple[float | None, float | None, float | None]:
    pattern, convert = (_INTEGER, int) if item.datatype is Datatype.INTEGER else (_FLOAT, float)
    parts = item.format.split(":")
    if not 2 <= len(parts) <= 3 or any(part and not pattern.fullmatch(part) for part in parts):
        raise Malformed(
            f"{item.id} 的格式 {item.format[:40]} 不对", f"{item.id}: the format {item.format[:40]} is wrong"
        )
    low, high = (convert(part) if part else None for part in parts[:2])
    step = convert(parts[2]) if len(parts) == 3 and parts[2] else None
    if (step is not None and step <= 0) or (low is not None and high is not None and low > high):
        raise Malformed(
            f"{item.id} 的格式 {item.format[:40]} 不对", f"{item.id}: the format {item.format[:40]} is wrong"
        )
    return low, high, step


def parse_json_object(payload: bytes) -> dict[str, object]:
    """A JSON object without NaN or infinity; raises Malformed."""
    value = _json(payload)
    if not isinstance(value, dict):
        raise Malformed("应为 JSON 对象", "should be a JSON object")
    return value


def _json(payload: bytes) -> object:
    def refuse(constant: str) -> float:
        raise Malformed(f"JSON 里有 {constant}", f"the JSON holds {constant}")

    try:
        return json.loads(payload.decode("utf-8"), parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise Malformed("不是 UTF-8", "not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise Malformed("不是 JSON", f"not JSON: {error}") from error


def _text(payload: bytes) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("不是 UTF-8 文本", "not UTF-8 text") from error


def _string(value: object, default: str) -> str:
    return value if isinstance(value, str) and value else default


def _strings(value: object) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
