"""Wire protocols of serial kits: bytes ↔ values, pure; one file a protocol, chosen by the profile's ``codec``.

A codec belongs to one connection: it numbers its requests and keeps the half-received frame. It does no I/O and
reads no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from labkit.codecs.events import Ack, Entered, Event, Lacking, Noise, Raised, Reported, Restarted, StopProved
from labkit.codecs.firmata import FirmataCodec
from labkit.codecs.huskylens import HuskylensCodec
from labkit.codecs.makeblock import MakeblockCodec
from labkit.codecs.raw_repl import RawReplCodec
from labkit.codecs.robomaster import RobomasterCodec
from labkit.codecs.tello import TelloCodec
from labkit.codecs.text_sdk import TextCodec
from labkit.model import Action, Affordance, Form, Profile

__all__ = [
    "Ack",
    "Codec",
    "Entered",
    "Event",
    "Lacking",
    "Noise",
    "Raised",
    "Reported",
    "Restarted",
    "StopProved",
    "create",
    "names",
]


class Codec(Protocol):
    """What every wire protocol offers."""

    def check(self, form: Form, own: str = "") -> None:
        """Raise Malformed when a form's href is not one of this protocol; ``own`` is the property that it belongs to."""

    def opening(self) -> bytes:
        """What sets the kit up after the port has opened: pin modes, reports."""

    def write(self, affordance: Affordance, value: float) -> bytes:
        """Set a property; raises Malformed when the value does not fit the wire."""

    def read(self, affordance: Affordance) -> bytes:
        """Ask for a property; empty where the kit reports by itself."""

    def act(self, action: Action) -> tuple[tuple[int, bytes], ...]:
        """An action's bytes as ``(after_ms, bytes)`` in order."""

    def stop(self, action: Action, resync: int) -> tuple[bytes, ...]:
        """The chunks of a stop, in order: resynchronisation, the action, and what makes the kit prove it."""

    def expect_stop(self) -> None:
        """A stop is being sent: from now on look for its proof."""

    def feed(self, data: bytes) -> list[Event]:
        """Take received bytes, give what they mean; damaged frames become Noise, never an exception."""


_CODECS: Mapping[
    str, type[MakeblockCodec] | type[FirmataCodec] | type[TextCodec] | type[RawReplCodec] | type[HuskylensCodec]
] = {
    "makeblock_ff55": MakeblockCodec,
    "firmata": FirmataCodec,
    "robomaster": RobomasterCodec,
    "tello": TelloCodec,
    "raw_repl": RawReplCodec,
    "huskylens": HuskylensCodec,
}


def names() -> tuple[str, ...]:
    """The names that a profile may use."""
    return tuple(_CODECS)


def create(name: str, profile: Profile, parameters: Mapping[str, int] | None = None) -> Codec:
    """A codec for one connection; ``parameters`` (ports, pins) override the profile's."""
    return _CODECS[name](profile, profile.parameters if parameters is None else parameters)
