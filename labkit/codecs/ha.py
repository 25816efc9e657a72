"""Home Assistant MQTT discovery (ESPHome, Tasmota, Zigbee2MQTT): what a board says of itself → channels; pure.

Source: home-assistant.io/integrations/mqtt, «MQTT discovery»: ``<prefix>/<component>/[<node_id>/]<object_id>/config`` with a JSON
object, abbreviated or not, ``~`` as base topic; ``<prefix>/device/<id>/config`` holds several ``components``.
The text comes from strangers: it is read within limits, its templates are never run, and it may name no topic that is not the
board's own, for the gateway may write where the board itself may not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from labkit import homie
from labkit.boards import COMPONENTS, Space
from labkit.broker.topics import is_topic
from labkit.codecs.channel import Availability, Channel, Template, Wire, as_text, bounds, slug, whole
from labkit.errors import Malformed
from labkit.model import Datatype, Property

MAX_CONFIG_BYTES = 16 * 1024
MAX_COMPONENTS = 64
MAX_NUMBER = 1e9
_TOPIC = re.compile(r"[^/]+/([a-z_]+)/(?:([A-Za-z0-9_-]{1,64})/)?([A-Za-z0-9_-]{1,80})/config")
_SHORT = {
    "avty": "availability", "avty_t": "availability_topic", "avty_tpl": "availability_template",
    "avty_mode": "availability_mode", "pl_avail": "payload_available", "pl_not_avail": "payload_not_available",
    "cmd_t": "command_topic", "cmd_tpl": "command_template", "stat_t": "state_topic", "val_tpl": "value_template",
    "stat_val_tpl": "state_value_template", "uniq_id": "unique_id", "obj_id": "object_id", "dev": "device",
    "dev_cla": "device_class", "unit_of_meas": "unit_of_measurement", "stat_cla": "state_class", "pl_on": "payload_on",
    "pl_off": "payload_off", "stat_on": "state_on", "stat_off": "state_off", "ops": "options", "t": "topic",
    "bri": "brightness", "bri_cmd_t": "brightness_command_topic", "bri_stat_t": "brightness_state_topic",
    "bri_scl": "brightness_scale", "bri_val_tpl": "brightness_value_template", "rgb_cmd_t": "rgb_command_topic",
    "rgb_cmd_tpl": "rgb_command_template", "rgb_stat_t": "rgb_state_topic", "rgb_val_tpl": "rgb_value_template",
    "sup_clrm": "supported_color_modes", "cmps": "components", "p": "platform", "ids": "identifiers",
}  # fmt: skip
_NUMERIC = frozenset(
    [
        "temperature",
        "humidity",
        "illuminance",
        "pressure",
        "battery",
        "voltage",
        "current",
        "power",
        "energy",
        "distance",
        "weight",
        "speed",
        "signal_strength",
        "moisture",
        "pm25",
        "pm10",
        "carbon_dioxide",
        "sound_pressure",
        "duration",
        "frequency",
    ]
)


@dataclass(frozen=True)
class Announced:
    """What one discovery message says: the board's name, its channels, its availabilities, and what was refused of it."""

    name: str = ""
    channels: tuple[Channel, ...] = ()
    availability: tuple[Availability, ...] = ()
    any_is_enough: bool = False
    refused: tuple[tuple[str, Malformed], ...] = ()


def read_topic(topic: str) -> tuple[str, str, str]:
    """Component, node id and object id of a discovery topic; raises Malformed."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise Malformed("不是发现主题", "no discovery topic")
    return match[1], match[2] or "", match[3]


def read_config(topic: str, payload: bytes, space: Space) -> Announced:
    """Read one discovery message for the board that owns ``space``; raises Malformed when nothing of it can be used."""
    if len(payload) > MAX_CONFIG_BYTES:
        raise Malformed("发现内容太大", f"a discovery message of more than {MAX_CONFIG_BYTES} bytes")
    component, _, object_id = read_topic(topic)
    document = expand(homie.parse_json_object(payload))
    owner = document.get("device")
    name = as_text(owner.get("name", "")) if isinstance(owner, dict) else ""
    channels: list[Channel] = []
    refused: list[tuple[str, Malformed]] = []
    for kind, own_id, entity in _entities(component, object_id, document):
        try:
            channels += _channels(kind, _shorter(own_id, space), entity, space)
        except Malformed as error:
            refused.append((f"{kind}/{own_id}", error))
    if not channels:
        raise refused[0][1] if refused else Malformed("没有可用的内容", "nothing that can be used")
    availability = tuple(_availability(document, space))
    any_is_enough = document.get("availability_mode") == "any"
    return Announced(name[:80], tuple(channels), availability, any_is_enough, tuple(refused))


def expand(document: Mapping[str, object]) -> dict[str, object]:
    """Write out abbreviations and the base topic ``~``, to the depth of components; raises Malformed for a base in a base."""
    base = document.get("~")
    if base is not None and (not isinstance(base, str) or "~" in base or not is_topic(base)):
        raise Malformed("~ 不是主题", "the base ~ is no topic, or names itself")
    return _expanded(document, base if isinstance(base, str) else None, 0)


def _expanded(document: Mapping[str, object], base: str | None, depth: int) -> dict[str, object]:
    out: dict[str, object] = {}
    for key, value in document.items():
        name = _SHORT.get(key, key)
        if name in out:
            raise Malformed(f"{key[:40]} 出现了两次", f"{key[:40]} is given twice")
        if isinstance(value, dict) and depth < 3:
            value = _expanded(value, base, depth + 1)
        elif isinstance(value, list) and depth < 3:
            value = [_expanded(v, base, depth + 1) if isinstance(v, dict) else v for v in value]
        elif isinstance(value, str) and base is not None and name.endswith("topic") and value:
            value = base + value[1:] if value[0] == "~" else value[:-1] + base if value[-1] == "~" else value
        out[name] = value
    return out


def _entities(
    component: str, object_id: str, document: dict[str, object]
) -> Iterator[tuple[str, str, dict[str, object]]]:
    if component != "device":
        yield component, object_id, document
        return
    parts = document.get("components")
    if not isinstance(parts, dict) or len(parts) > MAX_COMPONENTS:
        raise Malformed("components 不对", f"components should be an object of at most {MAX_COMPONENTS}")
    shared = {key: value for key, value in document.items() if key != "components"}
    for key, part in parts.items():
        if isinstance(part, dict):
            yield as_text(part.get("platform", "")), key, {**shared, **part}


def _shorter(object_id: str, space: Space) -> str:
    """The object id without the board's own name before it, which Tasmota and some ESPHome versions add."""
    for known in (value for _, value in space.fields):
        rest = object_id[len(known) + 1 :]
        if object_id.lower().startswith((known.lower() + "_", known.lower() + "-")) and rest:
            return rest
    return object_id


def _channels(kind: str, object_id: str, entity: Mapping[str, object], space: Space) -> list[Channel]:
    if kind not in COMPONENTS:
        raise Malformed(f"不使用 {kind[:40]} 类", f"the component {kind[:40]} is not used")
    own_id = slug(object_id)
    if not own_id:
        raise Malformed("名字里没有字母和数字", "a name without letters and digits")
    state = _own(entity, "state_topic", space.tells)
    command = _own(entity, "command_topic", space.is_told)
    if not state and not command:
        raise Malformed("没有主题", "it has neither a state nor a command topic")
    name = as_text(entity.get("name") or object_id)[:80]
    make = {
        "sensor": _sensor, "binary_sensor": _binary, "switch": _switch, "number": _number, "light": _light,
    }[kind]  # fmt: skip
    return make(f"{kind}/{object_id}", own_id, name, entity, _Topics(state, command, space))


@dataclass(frozen=True)
class _Topics:
    state: str
    command: str
    space: Space


def _sensor(key: str, own_id: str, name: str, entity: Mapping[str, object], at: _Topics) -> list[Channel]:
    unit, options = as_text(entity.get("unit_of_measurement") or "")[:12], entity.get("options")
    kind, form = Datatype.STRING, ""
    if isinstance(options, list) and 0 < len(options) <= 64 and all(isinstance(o, str) and o for o in options):
        kind, form = Datatype.ENUM, ",".join(str(option) for option in options)
    elif unit or entity.get("state_class") or entity.get("device_class") in _NUMERIC:
        kind = Datatype.FLOAT
    return [Channel(key, _checked(Property(own_id, kind, name, unit, form)), (at.state,), _template(entity))]


def _binary(key: str, own_id: str, name: str, entity: Mapping[str, object], at: _Topics) -> list[Channel]:
    on, off = _word(entity, "payload_on", "ON"), _word(entity, "payload_off", "OFF")
    return [Channel(key, Property(own_id, Datatype.BOOLEAN, name), (at.state,), _template(entity), on, off)]


def _switch(key: str, own_id: str, name: str, entity: Mapping[str, object], at: _Topics) -> list[Channel]:
    on, off = _word(entity, "payload_on", "ON"), _word(entity, "payload_off", "OFF")
    item = Property(own_id, Datatype.BOOLEAN, name, settable=_settable(entity, at))
    return [
        Channel(
            key, item, _some(at.state), _template(entity), _word(entity, "state_on", on), _word(entity, "state_off", off),
            at.command, on, off,
        )
    ]  # fmt: skip


def _number(key: str, own_id: str, name: str, entity: Mapping[str, object], at: _Topics) -> list[Channel]:
    low, high, step = (_finite(entity, k, d) for k, d in (("min", 1.0), ("max", 100.0), ("step", 1.0)))
    if low >= high or step <= 0:
        raise Malformed("min、max、step 不对", "min, max and step do not fit")
    kind = Datatype.INTEGER if whole((low, high, step)) else Datatype.FLOAT
    unit = as_text(entity.get("unit_of_measurement") or "")[:12]
    form = bounds(low, high, None if kind is Datatype.FLOAT else step)
    item = _checked(Property(own_id, kind, name, unit, form, settable=_settable(entity, at)))
    return [Channel(key, item, _some(at.state), _template(entity), command_topic=at.command)]


def _light(key: str, own_id: str, name: str, entity: Mapping[str, object], at: _Topics) -> list[Channel]:
    schema = entity.get("schema", "basic")
    if schema not in ("basic", "default", "json"):
        raise Malformed(f"不会用 {as_text(schema)[:20]} 灯", "a light of this schema is not used")
    scale = int(_finite(entity, "brightness_scale", 255))
    if not 1 <= scale <= 65535:
        raise Malformed("brightness_scale 不对", "brightness_scale does not fit")
    level = Property(f"{own_id}-brightness", Datatype.INTEGER, f"{name} 亮度", "", f"0:{scale}", _settable(entity, at))
    color = Property(f"{own_id}-color", Datatype.COLOR, f"{name} 颜色", "", "rgb", _settable(entity, at))
    if schema == "json":
        return _json_light(
            key, Property(own_id, Datatype.BOOLEAN, name, settable=bool(at.command)), level, color, entity, at
        )
    out = _switch(key, own_id, name, entity, at)
    for about, item in (("brightness", level), ("rgb", color)):
        state = _own(entity, f"{about}_state_topic", at.space.tells)
        command = _own(entity, f"{about}_command_topic", at.space.is_told)
        if (state or command) and f"{about}_command_template" not in entity:
            template = Template.parse(entity.get(f"{about}_value_template"))
            named = Property(item.id, item.datatype, item.name, "", item.format, bool(command))
            out.append(Channel(f"{key}-{about}", named, _some(state), template, command_topic=command))
    return out


def _json_light(
    key: str, switch: Property, level: Property, color: Property, entity: Mapping[str, object], at: _Topics
) -> list[Channel]:
    modes = entity.get("supported_color_modes")
    modes = [mode for mode in modes if isinstance(mode, str)] if isinstance(modes, list) else []
    topics = _some(at.state)
    out = [Channel(key, switch, topics, Template(("state",)), command_topic=at.command, wire=Wire.JSON_STATE)]
    if entity.get("brightness") is True or modes not in ([], ["onoff"]):
        bright = Template(("brightness",))
        out.append(
            Channel(f"{key}-brightness", level, topics, bright, command_topic=at.command, wire=Wire.JSON_BRIGHTNESS)
        )
    if any(mode in ("rgb", "rgbw", "rgbww") for mode in modes):
        paint = Template(("color",))
        out.append(Channel(f"{key}-rgb", color, topics, paint, command_topic=at.command, wire=Wire.JSON_COLOR))
    return out


def _availability(document: Mapping[str, object], space: Space) -> Iterator[Availability]:
    given = document.get("availability")
    rows: list[object] = given[:8] if isinstance(given, list) else [given] if isinstance(given, dict) else []
    if document.get("availability_topic"):
        rows.append(
            {
                **document,
                "topic": document["availability_topic"],
                "value_template": document.get("availability_template"),
            }
        )
    for row in rows:
        if isinstance(row, dict):
            topic = _own(row, "topic", space.tells)
            words = _word(row, "payload_available", "online"), _word(row, "payload_not_available", "offline")
            if topic:
                yield Availability(topic, _template(row), *words)


def _own(entity: Mapping[str, object], key: str, owns: object) -> str:
    """A topic of this board, "" when there is none; raises Malformed for wildcards and for anybody else's topic."""
    topic = entity.get(key)
    if topic in (None, ""):
        return ""
    if not isinstance(topic, str) or not is_topic(topic) or topic.startswith("$"):
        raise Malformed(f"{key} 不是主题", f"{key} is no topic: {as_text(topic)[:60]}")
    assert callable(owns)
    if not owns(topic):
        raise Malformed(f"{key} {topic[:80]} 不属于这块板卡", f"{key} {topic[:80]} is not this board's")
    return topic


def _some(topic: str) -> tuple[str, ...]:
    return (topic,) if topic else ()


def _template(entity: Mapping[str, object]) -> Template:
    return Template.parse(entity.get("value_template") or entity.get("state_value_template"))


def _settable(entity: Mapping[str, object], at: _Topics) -> bool:
    """Settable when there is a command topic and no template that would have to be run."""
    return bool(at.command) and not entity.get("command_template")


def _word(entity: Mapping[str, object], key: str, default: str) -> str:
    value = entity.get(key, default)
    if isinstance(value, (dict, list)) or value is None or len(as_text(value)) > 64:
        raise Malformed(f"{key} 不对", f"{key} is no word")
    return as_text(value)


def _finite(entity: Mapping[str, object], key: str, default: float) -> float:
    value = entity.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise Malformed(f"{key} 不是数", f"{key} is no number up to {MAX_NUMBER:g}")
    return float(value)


def _checked(item: Property) -> Property:
    homie.check_format(item)
    return item
