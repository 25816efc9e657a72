"""Tasmota's own discovery (since 9.3; what Home Assistant reads today): ``tasmota/discovery/<mac>/config`` and ``…/sensors``; pure.

``rl``: 1 = relay, 2 = light; ``ft`` and ``tp`` give the topics: ``cmnd/<t>/POWER1``, ``stat/<t>/RESULT``, ``tele/<t>/STATE``,
``tele/<t>/SENSOR``, last will ``tele/<t>/LWT``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labkit import homie
from labkit.boards import Space
from labkit.codecs.channel import Availability, Channel, Path, Template, as_text, slug
from labkit.codecs.ha import MAX_CONFIG_BYTES, Announced
from labkit.errors import Malformed
from labkit.model import Datatype, Property

MAX_RELAYS = 8
MAX_SENSORS = 48
RELAY = 1
_UNITS = {
    "Temperature": "°C", "Humidity": "%", "DewPoint": "°C", "Pressure": "hPa", "Illuminance": "lx", "Distance": "cm",
    "Voltage": "V", "Current": "A", "Power": "W", "Total": "kWh", "CarbonDioxide": "ppm", "Moisture": "%",
}  # fmt: skip


def is_native(topic: str) -> bool:
    """Whether a topic is of Tasmota's own discovery."""
    levels = topic.split("/")
    return levels[:2] == ["tasmota", "discovery"] and len(levels) == 4 and levels[3] in ("config", "sensors")


def read_config(topic: str, payload: bytes, space: Space) -> Announced:
    """Read one message; raises Malformed when it cannot be used or names topics that are not the board's."""
    if len(payload) > MAX_CONFIG_BYTES:
        raise Malformed("发现内容太大", f"a discovery message of more than {MAX_CONFIG_BYTES} bytes")
    document = homie.parse_json_object(payload)
    if topic.endswith("/sensors"):
        return _sensors(document, space)
    return _relays(document, space)


def _relays(document: Mapping[str, object], space: Space) -> Announced:
    kinds, prefixes, words = document.get("rl"), document.get("tp"), document.get("state")
    if not isinstance(kinds, list) or not _texts(prefixes, 3) or not _texts(words, 2):
        raise Malformed("rl、tp、state 不对", "rl, tp or state is not as Tasmota writes it")
    assert isinstance(prefixes, list)
    assert isinstance(words, list)
    full = document.get("ft")
    if not isinstance(full, str) or "%prefix%" not in full or "%topic%" not in full or len(full) > 100:
        raise Malformed("ft 不对", "ft lacks %prefix% or %topic%")
    command, state, tele = (
        full.replace("%prefix%", prefix).replace("%topic%", as_text(document.get("t", ""))) for prefix in prefixes[:3]
    )
    will = Availability(
        f"{tele}LWT", Template(), as_text(document.get("onln", "Online")), as_text(document.get("ofln", "Offline"))
    )
    relays = [number for number, kind in enumerate(kinds[:MAX_RELAYS], 1) if kind == RELAY]
    named = document.get("fn")
    channels = []
    for number in relays:
        power = "POWER" if len(relays) == 1 else f"POWER{number}"
        label = named[number - 1] if isinstance(named, list) and len(named) >= number else None
        channels.append(
            Channel(
                f"switch/{power}",
                Property(slug(power), Datatype.BOOLEAN, as_text(label or power)[:80], settable=True),
                (f"{state}RESULT", f"{tele}STATE"),
                Template((power,)),
                words[1], words[0], f"{command}{power}", words[1], words[0],
            )
        )  # fmt: skip
    for own in (will.topic, *(t for channel in channels for t in channel.topics)):
        if not space.tells(own):
            raise Malformed(f"{own[:80]} 不属于这块板卡", f"{own[:80]} is not this board's")
    for channel in channels:
        if not space.is_told(channel.command_topic):
            raise Malformed("指令主题不属于这块板卡", f"{channel.command_topic[:80]} is not this board's")
    return Announced(as_text(document.get("dn", ""))[:80], tuple(channels), (will,))


def _sensors(document: Mapping[str, object], space: Space) -> Announced:
    tree = document.get("sn")
    if not isinstance(tree, dict):
        raise Malformed("sn 不对", "sn is no object")
    topic = f"tele/{space.base}/SENSOR"
    if not space.tells(topic):
        raise Malformed(f"{topic} 不属于这块板卡", f"{topic} is not this board's")
    channels = []
    for path in list(_leaves(tree, ()))[:MAX_SENSORS]:
        name = "-".join(str(step) for step in path)
        own_id = slug(name)
        if own_id:
            item = Property(own_id, Datatype.FLOAT, name[:80], _UNITS.get(str(path[-1]).rstrip("0123456789"), ""))
            channels.append(Channel(f"sensor/{name.replace('-', '_')}", item, (topic,), Template(path)))
    return Announced("", tuple(channels))


def _leaves(tree: Mapping[str, object], above: Path) -> Iterator[Path]:
    for key, value in tree.items():
        if isinstance(value, dict) and len(above) < 3:
            yield from _leaves(value, (*above, key))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield (*above, key)


def _texts(value: object, count: int) -> bool:
    return isinstance(value, list) and len(value) >= count and all(isinstance(v, str) and v for v in value[:count])
