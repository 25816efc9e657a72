"""What a codec makes of received bytes."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.model import Value


@dataclass(frozen=True)
class Reported:
    """A property's value in the property's own unit."""

    property: str
    value: Value


@dataclass(frozen=True)
class Ack:
    """The kit carried out a command; not every protocol says which."""


@dataclass(frozen=True)
class StopProved:
    """The kit itself answered that a stop was carried out after everything sent before it."""


@dataclass(frozen=True)
class Restarted:
    """The kit has started anew (brown-out, reset button): pin modes and reports are gone, it must be set up again."""


@dataclass(frozen=True)
class Lacking:
    """The kit answered that it does not know this property: an add-on that is not there, an older firmware."""

    property: str
    answer: str


@dataclass(frozen=True)
class Noise:
    """Bytes that belong to no frame, or a frame that breaks its protocol; ``reason`` in English for the log."""

    data: bytes
    reason: str


@dataclass(frozen=True)
class Entered:
    """The board listens anew: whatever was sent before it is void."""


@dataclass(frozen=True)
class Raised:
    """The kit's own program ended with an exception; ``text`` is its last line, e.g. ``NameError: name 'a' isn't defined``."""

    text: str


Event = Reported | Lacking | Ack | StopProved | Restarted | Noise | Entered | Raised
