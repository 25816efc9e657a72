"""One board that describes itself in Home Assistant's or Tasmota's words: its topics ↔ properties; pure."""

from __future__ import annotations

from dataclasses import replace

from labkit.boards import Space
from labkit.codecs import ha, tasmota
from labkit.codecs.channel import Channel, slug
from labkit.codecs.foreign import (
    MAX_PROPERTIES,
    MAX_TOPICS,
    MAX_VALUE_BYTES,
    Described,
    News,
    Refused,
    Send,
    StateTold,
    Valued,
    retained_order,
)
from labkit.codecs.ha import Announced
from labkit.errors import Malformed
from labkit.model import State, Value


class HaBoard:
    """Reads and writes one board; discovery and values may come in any order, and discovery may be taken back."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._announced: dict[str, Announced] = {}
        self._values: dict[str, bytes] = {}
        self._fresh: set[str] = set()
        self._channels: dict[str, Channel] = {}
        self._there: dict[str, bool] = {}
        self._state: State | None = None
        self._changed = False
        self._full = False

    def filters(self) -> tuple[tuple[str, int], ...]:
        """The board's own topics, with those on which orders are left."""
        own = (*self._space.discovery, *self._space.writes, *self._space.reads)
        return tuple((topic, 1) for topic in dict.fromkeys(own))

    def hear(self, topic: str, payload: bytes, retained: bool) -> list[News]:
        """Keep a description or a value."""
        if self._space.is_told(topic):
            return retained_order(topic) if retained and payload else []
        if self._space.announces(topic):
            return self._announce(topic, payload)
        if not self._space.tells(topic):
            return []
        if len(payload) > MAX_VALUE_BYTES:
            return [Refused.of(Malformed("内容太长", "the payload is too long"), topic)]
        if topic not in self._values and len(self._values) >= MAX_TOPICS:
            return self._too_much(topic)
        self._values[topic] = payload
        self._fresh.add(topic)
        return []

    def settle(self) -> list[News]:
        """Describe anew when something was announced, then availability, then values."""
        news: list[News] = []
        if not self._changed and not self._fresh:
            return news
        if self._changed:
            self._changed = False
            news += self._describe()
            self._fresh = set(self._values)
        news += self._look()
        for topic in sorted(self._fresh):
            for channel in self._channels.values():
                if topic in channel.topics:
                    news += self._read(channel, topic)
        self._fresh.clear()
        return news

    def order(self, property_id: str, value: Value) -> tuple[Send, ...]:
        """The command, QoS 1; raises Malformed."""
        channel = self._channels.get(property_id)
        if channel is None:
            raise Malformed(f"没有 {property_id}", f"there is no {property_id}")
        payload = channel.write(value)
        if not self._space.is_told(channel.command_topic):
            raise Malformed("指令主题不属于这块板卡", "the command topic is not this board's")
        return (Send(channel.command_topic, payload),)

    def keys(self) -> dict[str, str]:
        """``component/object_id`` of every property, by its id: what a profile's ``ha:`` names."""
        return {own_id: channel.key for own_id, channel in self._channels.items()}

    def _announce(self, topic: str, payload: bytes) -> list[News]:
        if not payload:
            self._changed = self._announced.pop(topic, None) is not None or self._changed
            return []
        if topic not in self._announced and len(self._announced) >= MAX_PROPERTIES:
            return self._too_much(topic)
        read = tasmota.read_config if tasmota.is_native(topic) else ha.read_config
        try:
            announced = read(topic, payload, self._space)
        except Malformed as error:
            return [Refused.of(error, topic)]
        self._announced[topic] = announced
        self._changed = True
        return [Refused.of(error, f"{topic} {part}") for part, error in announced.refused]

    def _too_much(self, topic: str) -> list[News]:
        if self._full:
            return []
        self._full = True
        return [Refused.of(Malformed("主题太多", f"more than {MAX_TOPICS} topics"), topic)]

    def _describe(self) -> list[News]:
        news: list[News] = []
        self._channels.clear()
        names = []
        for topic, announced in sorted(self._announced.items()):
            names.append(announced.name)
            for channel in announced.channels:
                try:
                    self._add(channel)
                except Malformed as error:
                    news.append(Refused.of(error, topic))
        shown = tuple(channel.property for channel in self._channels.values())
        news.append(Described(shown, next(filter(None, names), "")))
        return news

    def _add(self, channel: Channel) -> None:
        own_id = channel.property.id
        if own_id in self._channels:
            own_id = slug(channel.key)
        if own_id in self._channels:
            raise Malformed(f"{own_id} 重复", f"{own_id} is given twice")
        if len(self._channels) >= MAX_PROPERTIES:
            raise Malformed("属性太多", f"more than {MAX_PROPERTIES} properties")
        self._channels[own_id] = replace(channel, property=replace(channel.property, id=own_id))

    def _look(self) -> list[News]:
        """Whether the board is there: all of its availability topics must say so (or any, where it says that any will do)."""
        told = [(a, one) for _, one in sorted(self._announced.items()) for a in one.availability]
        seen = {(a.topic, a.template): a.read(self._values[a.topic]) for a, _ in told if a.topic in self._values}
        words = [word for word in seen.values() if word is not None]
        if told:
            enough = any(words) if all(one.any_is_enough for _, one in told) else all(words)
            state = None if not words else State.READY if enough else State.LOST
        else:
            state = State.READY if self._announced else None
        if state is None or state is self._state:
            return []
        self._state = state
        return [StateTold(state)]

    def _read(self, channel: Channel, topic: str) -> list[News]:
        try:
            value = channel.read(self._values[topic])
        except Malformed as error:
            return [Refused.of(error, topic)]
        return [] if value is None else [Valued(channel.property.id, value)]
