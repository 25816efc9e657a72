"""Wire protocols of serial kits: bytes ↔ values, pure; one file a protocol, chosen by the profile's ``codec``.

A codec belongs to one connection: it numbers its requests and keeps the half-received frame. It does no I/O and
reads no clock.

A file of this folder is found by what it names: ``CODECS`` (name → class, made from the profile and its parameters) and, for
kits without a simulator of their own, ``KITS`` (name → the kit's end of the same line, see ``labkit.codecs.kit_end``).
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, cast

from labkit.codecs.events import Ack, Entered, Event, Lacking, Noise, Raised, Reported, Restarted, StopProved
from labkit.codecs.kit_end import KitEnd
from labkit.errors import LabkitError
from labkit.model import Action, Affordance, Form, Profile

__all__ = [
    "Ack",
    "Codec",
    "Entered",
    "Event",
    "KitEnd",
    "Lacking",
    "Noise",
    "Raised",
    "Reported",
    "Restarted",
    "StopProved",
    "create",
    "kit_end",
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


Maker = Callable[[Profile, Mapping[str, int]], Any]


@functools.cache
def _named(table: str) -> Mapping[str, Maker]:
    """What the files of this folder name in one of their tables; the same name twice stops the start."""
    found: dict[str, Maker] = {}
    for item in pkgutil.iter_modules(__path__):
        own: Mapping[str, Maker] = getattr(importlib.import_module(f"{__name__}.{item.name}"), table, {})
        for name in own.keys() & found.keys():
            raise LabkitError(
                "codec_twice", f"编解码器 {name} 出现了两次", f"the codec {name} is there twice: {item.name}.py"
            )
        found |= own
    return MappingProxyType(found)


def names() -> tuple[str, ...]:
    """The names that a profile may use."""
    return tuple(_named("CODECS"))


def create(name: str, profile: Profile, parameters: Mapping[str, int] | None = None) -> Codec:
    """A codec for one connection; ``parameters`` (ports, pins) override the profile's."""
    return cast(Codec, _named("CODECS")[name](profile, profile.parameters if parameters is None else parameters))


def kit_end(name: str, profile: Profile, parameters: Mapping[str, int]) -> KitEnd | None:
    """The kit's end of a codec, for its simulator; None where the codec's file has none."""
    maker = _named("KITS").get(name)
    return cast(KitEnd, maker(profile, parameters)) if maker else None
