"""What the conventions of boards that others made have in common: messages in, news and messages out; pure.

A dialect belongs to one board. It keeps what it has heard, within limits, does no I/O and reads no clock. Whatever it is
given, it never raises: what it cannot use becomes `Refused` with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from labkit.errors import LabkitError, Malformed
from labkit.model import Property, State, Title, Value

MAX_PROPERTIES = 96
MAX_TOPICS = 1200
MAX_VALUE_BYTES = 8 * 1024


@dataclass(frozen=True)
class Described:
    """What the board says that it has, anew as a whole; ids are the dialect's own."""

    properties: tuple[Property, ...]
    name: str = ""


@dataclass(frozen=True)
class Valued:
    """A value of a property that was described."""

    property: str
    value: Value


@dataclass(frozen=True)
class StateTold:
    """What the board, or its last will, says of itself."""

    state: State
    alarm: bool = False


@dataclass(frozen=True)
class Refused:
    """Something that is not taken over, and why."""

    reason: Title

    @classmethod
    def of(cls, error: LabkitError, where: str = "") -> Refused:
        """From an error, with the topic that it is about."""
        mark = f"{where[:120]}: " if where else ""
        return cls(Title(mark + error.zh, mark + error.en))


@dataclass(frozen=True)
class Leftover:
    """A retained order on one of the board's topics: it would be obeyed at every reconnect, so it must be taken away."""

    topic: str


News = Described | Valued | StateTold | Refused | Leftover


@dataclass(frozen=True)
class Send:
    """A message for the board, never retained."""

    topic: str
    payload: bytes
    qos: int = 1


class Dialect(Protocol):
    """One board's convention."""

    def filters(self) -> tuple[tuple[str, int], ...]:
        """What must be subscribed to: topic filter and QoS."""

    def hear(self, topic: str, payload: bytes, retained: bool) -> list[News]:
        """Take one message."""

    def settle(self) -> list[News]:
        """What follows from all that has been heard since the last call."""

    def order(self, property_id: str, value: Value) -> tuple[Send, ...]:
        """Set a property; raises Malformed when the board cannot be told so."""


def retained_order(topic: str) -> list[News]:
    """The answer to a retained order."""
    return [
        Refused.of(Malformed("保留的指令：已清除", "a retained order: taken away"), topic),
        Leftover(topic),
    ]
