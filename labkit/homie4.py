"""Homie 4 (and 3.0.1, whose topics are the same): the topics of one board ↔ properties; pure.

Source: the Homie convention 4.0.0: ``homie/<device>/$homie|$name|$state|$nodes``, ``<node>/$properties``,
``<node>/<property>/$datatype|$format|$unit|$settable|$retained|$name``, values, and ``…/set``.
Differences to Homie 5: a color has no prefix; the state ``alert`` is a ready board with an alarm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labkit import homie
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
from labkit.errors import Malformed
from labkit.model import Datatype, Property, State, Value

_VERSION = re.compile(r"(3\.0(\.\d+)?|4\.\d+(\.\d+)?)")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_NODES = 32
ALERT = "alert"


@dataclass(frozen=True)
class Part:
    """Where a property stands on the wire, and what it is in Homie 5's words."""

    node: str
    id: str
    property: Property


class Homie4Board:
    """Reads and writes one Homie 4 device; retained topics may come in any order."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._heard: dict[str, str] = {}
        self._values: dict[str, bytes] = {}
        self._parts: dict[str, Part] = {}
        self._fresh: set[str] = set()
        self._changed = False
        self._full = False

    def filters(self) -> tuple[tuple[str, int], ...]:
        """Everything below the device."""
        return ((f"homie/{self._device}/#", 1),)

    def hear(self, topic: str, payload: bytes, retained: bool) -> list[News]:
        """Keep an attribute or a value; a state is news at once."""
        head, _, path = topic.partition(f"homie/{self._device}/")
        if head or not path:
            return []
        levels = path.split("/")
        if levels[-1] == "set" and len(levels) == 3:
            return retained_order(topic) if retained and payload else []
        if len(payload) > MAX_VALUE_BYTES:
            return [Refused.of(Malformed("内容太长", "the payload is too long"), topic)]
        if levels[-1].startswith("$") and "$" not in "".join(levels[:-1]):
            return self._attribute(path, payload, topic)
        if len(levels) == 2 and not levels[0].startswith("$"):
            return self._value(path, payload, topic)
        return []

    def settle(self) -> list[News]:
        """Describe anew when an attribute has changed, then the values that are waiting."""
        news: list[News] = []
        if self._changed:
            self._changed = False
            news += self._describe()
            self._fresh = set(self._values)
        for path in sorted(self._fresh):
            news += self._read(path)
        self._fresh.clear()
        return news

    def order(self, property_id: str, value: Value) -> tuple[Send, ...]:
        """``homie/<device>/<node>/<property>/set``, QoS 1; raises Malformed when it is not settable or does not fit."""
        part = self._parts.get(property_id)
        if part is None or not part.property.settable:
            raise Malformed(f"{property_id} 不能设置", f"{property_id} cannot be set")
        payload = homie.encode(part.property, value)
        if part.property.datatype is Datatype.COLOR:
            payload = payload.partition(b",")[2]
        return (Send(f"homie/{self._device}/{part.node}/{part.id}/set", payload),)

    def _attribute(self, path: str, payload: bytes, topic: str) -> list[News]:
        text = payload.decode("utf-8", "replace").strip("\x00")
        if path == "$state":
            return self._state(text, topic)
        if path.startswith(("$stats", "$fw", "$localip", "$mac")):
            return []
        if len(self._heard) >= MAX_TOPICS and path not in self._heard:
            return self._too_much(topic)
        if self._heard.get(path) != text:
            self._heard[path] = text
            self._changed = True
        return []

    def _state(self, text: str, topic: str) -> list[News]:
        if text == ALERT:
            return [StateTold(State.READY, alarm=True)]
        if text not in set(State):
            return [Refused.of(Malformed("不认识的 $state", f"unknown $state {text[:40]!r}"), topic)]
        return [StateTold(State(text))]

    def _value(self, path: str, payload: bytes, topic: str) -> list[News]:
        if len(self._values) >= MAX_TOPICS and path not in self._values:
            return self._too_much(topic)
        self._values[path] = payload
        self._fresh.add(path)
        return []

    def _too_much(self, topic: str) -> list[News]:
        if self._full:
            return []
        self._full = True
        return [Refused.of(Malformed("主题太多", f"more than {MAX_TOPICS} topics"), topic)]

    def _describe(self) -> list[News]:
        news: list[News] = []
        self._parts.clear()
        version = self._heard.get("$homie", "")
        if not version:
            return news
        if not _VERSION.fullmatch(version):
            return [Refused.of(Malformed("不是 Homie 4", f"not Homie 4: $homie is {version[:20]!r}"))]
        nodes = _names(self._heard.get("$nodes", ""))
        if len(nodes) > MAX_NODES:
            news.append(Refused.of(Malformed("节点太多", f"more than {MAX_NODES} nodes"), "$nodes"))
        for node in nodes[:MAX_NODES]:
            for name in _names(self._heard.get(f"{node}/$properties", "")):
                try:
                    self._add(node, name)
                except (Malformed, ValueError) as error:
                    reason = error if isinstance(error, Malformed) else Malformed("数据类型不认识", "unknown datatype")
                    news.append(Refused.of(reason, f"{node}/{name}"[:100]))
        shown = tuple(part.property for part in self._parts.values())
        news.append(Described(shown, self._heard.get("$name", "")[:80]))
        return news

    def _add(self, node: str, name: str) -> None:
        if not _ID.fullmatch(node) or not _ID.fullmatch(name):
            raise Malformed("不是 Homie 4 的名字", "no id of Homie 4")
        if len(self._parts) >= MAX_PROPERTIES:
            raise Malformed("属性太多", f"more than {MAX_PROPERTIES} properties")
        own_id = property_id(node, name)
        if own_id in self._parts:
            raise Malformed("名字重复", "a name given twice")
        about = f"{node}/{name}/"
        datatype = self._heard.get(f"{about}$datatype", "")
        if not datatype:
            return  # not heard yet
        item = Property(
            id=own_id,
            datatype=Datatype(datatype),
            name=self._heard.get(f"{about}$name", name)[:80],
            unit=self._heard.get(f"{about}$unit", "")[:12],
            format=self._heard.get(f"{about}$format", "")[:400],
            settable=self._heard.get(f"{about}$settable") == "true",
            retained=self._heard.get(f"{about}$retained") != "false",
        )
        if item.datatype is Datatype.JSON or (item.datatype is Datatype.COLOR and item.format not in ("rgb", "hsv")):
            raise Malformed("数据类型或格式不对", "no datatype or format of Homie 4")
        homie.check_format(item)
        self._parts[own_id] = Part(node, name, item)

    def _read(self, path: str) -> list[News]:
        node, _, name = path.partition("/")
        part = self._parts.get(property_id(node, name))
        payload = self._values[path]
        if part is None or (part.node, part.id) != (node, name) or not payload:
            return []
        item = part.property
        if item.datatype is Datatype.COLOR:
            payload = f"{item.format},".encode() + payload
        if not item.retained:
            del self._values[path]  # an event must not come again with the next description
        try:
            return [Valued(item.id, homie.decode(item, payload))]
        except Malformed as error:
            return [Refused.of(error, path)]


def property_id(node: str, name: str) -> str:
    """The id under which a property is shown: ``node-property``."""
    return f"{node}-{name}"


def _names(text: str) -> list[str]:
    """``a,b,c`` without repetitions; an array node of Homie 3 (``c[]``) is left out."""
    return list(dict.fromkeys(name for name in text[:4096].split(",") if name and not name.endswith("[]")))
