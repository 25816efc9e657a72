"""Boards with topics that only their profile knows: SIoT's ``project/device`` (掌控板 mPython, micro:bit), QoS 0; pure.

A form's href is ``topic:<topic>[#/json/pointer][?on=…&off=…]``. On one SIoT topic both sides write, so the gateway hears its own
orders again: a value there says what was last said, by whomever, and is no sign of life. SIoT's web page puts ``->`` before what it sends.
"""

from __future__ import annotations

from labkit import homie
from labkit.boards import TOPIC_HREF, Space
from labkit.codecs.channel import Channel, Path, Template, bounds, number
from labkit.codecs.foreign import MAX_VALUE_BYTES, Described, News, Refused, Send, StateTold, Valued, retained_order
from labkit.errors import Malformed
from labkit.model import Affordance, Datatype, Form, Profile, Property, State, Value

QOS = 0
SIOT_WEB = b"->"
_TYPES = {
    "boolean": Datatype.BOOLEAN,
    "integer": Datatype.INTEGER,
    "number": Datatype.FLOAT,
    "string": Datatype.STRING,
}
_WORDS = {
    **dict.fromkeys(("on", "ON", "On", "true", "True", "1", "开"), True),
    **dict.fromkeys(("off", "OFF", "Off", "false", "False", "0", "关"), False),
}


class RawBoard:
    """Reads and writes the topics that the profile names."""

    def __init__(self, profile: Profile, space: Space) -> None:
        self._space = space
        self._channels = {
            item.id: channel for item in profile.properties.values() if (channel := _channel(item, space)) is not None
        }
        self._by_topic: dict[str, list[Channel]] = {}
        for channel in self._channels.values():
            for topic in channel.topics:
                self._by_topic.setdefault(topic, []).append(channel)
        self._described = False
        self._alive = False

    def filters(self) -> tuple[tuple[str, int], ...]:
        """The topics of the profile's forms."""
        commands = (c.command_topic for c in self._channels.values() if c.command_topic)
        return tuple((topic, QOS) for topic in dict.fromkeys((*self._by_topic, *commands)))

    def hear(self, topic: str, payload: bytes, retained: bool) -> list[News]:
        """A value; a retained one is old, and on a topic that carries orders it is one that must go."""
        if retained:
            return retained_order(topic) if payload and self._space.is_told(topic) else []
        channels = self._by_topic.get(topic, [])
        if not channels or not payload:
            return []
        if len(payload) > MAX_VALUE_BYTES:
            return [Refused.of(Malformed("内容太长", "the payload is too long"), topic)]
        news: list[News] = []
        if not self._alive and not self._space.is_told(topic):
            self._alive = True
            news.append(StateTold(State.READY))
        for channel in channels:
            try:
                value = _read(channel, payload)
            except Malformed as error:
                news.append(Refused.of(error, topic))
            else:
                news += [] if value is None else [Valued(channel.property.id, value)]
        return news

    def settle(self) -> list[News]:
        """What it has is known from the profile, once and for all."""
        if self._described:
            return []
        self._described = True
        return [Described(tuple(channel.property for channel in self._channels.values()))]

    def order(self, property_id: str, value: Value) -> tuple[Send, ...]:
        """The order, QoS 0 as these boards use it; raises Malformed."""
        channel = self._channels.get(property_id)
        if channel is None:
            raise Malformed(f"没有 {property_id}", f"there is no {property_id}")
        return (Send(channel.command_topic, channel.write(value), QOS),)


def _read(channel: Channel, payload: bytes) -> Value | None:
    if payload.startswith(SIOT_WEB):
        payload = payload[len(SIOT_WEB) :]
    if channel.property.datatype is Datatype.BOOLEAN and (channel.on, channel.off) == ("on", "off"):
        raw = channel.template.find(payload)
        word = str(raw).strip()
        if word not in _WORDS:
            raise Malformed("应为 on 或 off", f"{word[:40]!r} is neither on nor off")
        return _WORDS[word]
    return channel.read(payload)


def _channel(item: Affordance, space: Space) -> Channel | None:
    reads, writes = item.form("readproperty", "observeproperty"), item.form("writeproperty")
    read, write = _parts(reads, space), _parts(writes, space)
    if read is None and write is None:
        return None
    shown = Property(
        homie.property_id(item.id),
        Datatype.ENUM if item.enum else _TYPES[item.type],
        item.title.zh,
        item.unit,
        _format(item),
        settable=write is not None,
    )
    on, off = (read or write or _NONE)[2]
    told_on, told_off = (write or _NONE)[2]
    return Channel(
        item.id,
        shown,
        (read[0],) if read else (),
        Template((read or _NONE)[1]),
        on,
        off,
        write[0] if write else "",
        told_on,
        told_off,
    )


_Parts = tuple[str, Path | None, tuple[str, str]]
_NONE: _Parts = ("", None, ("on", "off"))


def _parts(form: Form | None, space: Space) -> _Parts | None:
    """Topic, place in its JSON, and a boolean's words."""
    match = TOPIC_HREF.fullmatch(form.href) if form else None
    if match is None:
        return None
    path = tuple(int(step) if step.isdigit() else step for step in match[2][2:].split("/")) if match[2] else None
    return space.fill(match[1]), path, (match[3] or "on", match[4] or "off")


def _format(item: Affordance) -> str:
    if item.enum:
        return ",".join(item.enum)
    if item.type not in ("integer", "number") or (item.minimum is None and item.maximum is None):
        return ""
    if item.minimum is not None and item.maximum is not None:
        return bounds(item.minimum, item.maximum)
    return ":".join("" if edge is None else number(edge) for edge in (item.minimum, item.maximum))
