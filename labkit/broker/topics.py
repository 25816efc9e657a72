"""MQTT 3.1.1 topic names and filters (section 4.7): validity, matching, and one filter covering another. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_BYTES = 1024
MAX_LEVELS = 32


def is_topic(topic: str) -> bool:
    """Whether `topic` may be published to: not empty, no wildcard, no NUL, at most 1024 bytes and 32 levels."""
    return _is_plain(topic) and "+" not in topic and "#" not in topic


def is_filter(pattern: str) -> bool:
    """Whether `pattern` may be subscribed to: `+` fills a level, `#` fills the last one."""
    if not _is_plain(pattern):
        return False
    levels = pattern.split("/")
    for place, level in enumerate(levels):
        if "#" in level and (level != "#" or place != len(levels) - 1):
            return False
        if "+" in level and level != "+":
            return False
    return True


def matches(pattern: str, topic: str) -> bool:
    """Whether a message on `topic` belongs to the filter `pattern`; wildcards never reach a first level with `$`."""
    if pattern == topic:
        return True
    if topic.startswith("$") and pattern[:1] in ("+", "#"):
        return False
    wanted, given = pattern.split("/"), topic.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(given) or level not in ("+", given[place]):
            return False
    return len(wanted) == len(given)


def covers(allowed: str, wanted: str) -> bool:
    """Whether every topic of the filter `wanted` is a topic of the filter `allowed`, so that `lab/+` never admits `lab/#`."""
    if allowed == wanted:
        return True
    if wanted.startswith("$") and allowed[:1] in ("+", "#"):
        return False
    outer, inner = allowed.split("/"), wanted.split("/")
    for place, level in enumerate(outer):
        if level == "#":
            return True
        if place >= len(inner) or inner[place] == "#":
            return False
        if level != "+" and level != inner[place]:
            return False
    return len(outer) == len(inner)


def _is_plain(text: str) -> bool:
    return (
        0 < len(text.encode("utf-8", "surrogatepass")) <= MAX_BYTES
        and "\0" not in text
        and text.count("/") < MAX_LEVELS
    )


class FilterTree(Generic[T]):
    """Which holders have subscribed to what: adds, removes and finds by topic without looking at every filter.

    A holder is any hashable; each keeps one number (the granted QoS, 0–2) a filter.
    """

    def __init__(self) -> None:
        self._children: dict[str, FilterTree[T]] = {}
        self._holders: dict[T, int] = {}

    def add(self, pattern: str, holder: T, qos: int) -> None:
        """Set the QoS that `holder` has on `pattern`; a second call replaces the first."""
        node = self
        for level in pattern.split("/"):
            node = node._children.setdefault(level, FilterTree())
        node._holders[holder] = qos

    def remove(self, pattern: str, holder: T) -> None:
        """Forget `holder` on `pattern`, and the branches that this leaves empty; unknown ones are no error."""
        path: list[tuple[FilterTree[T], str]] = []
        node = self
        for level in pattern.split("/"):
            child = node._children.get(level)
            if child is None:
                return
            path.append((node, level))
            node = child
        node._holders.pop(holder, None)
        for parent, level in reversed(path):
            child = parent._children[level]
            if child._holders or child._children:
                return
            del parent._children[level]

    def match(self, topic: str) -> dict[T, int]:
        """Every holder of a filter that matches `topic`, with the highest QoS among its filters."""
        found: dict[T, int] = {}
        for node in self._nodes(topic.split("/"), 0, not topic.startswith("$")):
            for holder, qos in node._holders.items():
                found[holder] = max(qos, found.get(holder, 0))
        return found

    def is_empty(self) -> bool:
        """Whether nobody has subscribed to anything."""
        return not self._children

    def _nodes(self, levels: list[str], place: int, wild: bool) -> Iterator[FilterTree[T]]:
        if wild and "#" in self._children:
            yield self._children["#"]
        if place == len(levels):
            yield self
            return
        literal = self._children.get(levels[place])
        if literal is not None:
            yield from literal._nodes(levels, place + 1, True)
        if wild and "+" in self._children:
            yield from self._children["+"]._nodes(levels, place + 1, True)
