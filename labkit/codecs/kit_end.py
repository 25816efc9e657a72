"""The other end of a protocol: what a kit hears and answers, so that a profile can run backwards as a simulator; pure.

A codec's file may hold, beside its codec, a class that takes the PC's bytes and says what they ask for. It needs no motors and
no sensors: ``labkit.simulate.backwards`` has those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from labkit.model import Affordance, Form, Profile, Value

_FIELD = re.compile(r"\\\{([a-z][a-z0-9_]*)(?::\w+)?\\\}")
_NUMBER = r"(-?\d+(?:\.\d+)?)"


@dataclass(frozen=True)
class Wanted:
    """The PC asks for a property; ``answer`` makes the kit's reply of its value."""

    property: str
    answer: Callable[[Value], bytes]


@dataclass(frozen=True)
class Written:
    """The PC sets a property; ``answer`` is the kit's reply, empty where it says nothing."""

    property: str
    value: float
    answer: bytes = b""


@dataclass(frozen=True)
class Acted:
    """The PC sends one step of an action of the profile."""

    action: str
    answer: bytes = b""


@dataclass(frozen=True)
class Said:
    """The kit answers something that is neither property nor action."""

    answer: bytes


Heard = Wanted | Written | Acted | Said


class KitEnd(Protocol):
    """What a kit's firmware makes of its line; made anew when the kit restarts."""

    def hear(self, data: bytes) -> list[Heard]:
        """Take bytes from the PC; damaged frames are skipped as the kit does it, never an exception."""


class Phrases:
    """A profile's hrefs read backwards, for protocols that send them as text: which property or action a text means.

    ``{name}`` stands for a number: a parameter's own value, else the value that is written.
    """

    def __init__(self, profile: Profile, parameters: Mapping[str, int], scheme: str) -> None:
        self._scheme, self._parameters = scheme + ":", parameters
        self._reads = {self._filled(form): item.id for item, form in _forms(profile) if "readproperty" in form.op}
        self._writes = [(self._pattern(form), item.id) for item, form in _forms(profile) if "writeproperty" in form.op]
        self._acts = {self._filled(form): item.id for item in profile.actions.values() for form in item.forms}

    def reads(self, text: str) -> str:
        """The property that a text asks for, or ""."""
        return self._reads.get(text, "")

    def acts(self, text: str) -> str:
        """The action that a text is a step of, or ""."""
        return self._acts.get(text, "")

    def writes(self, text: str) -> tuple[str, float] | None:
        """The property that a text sets, and its value."""
        for pattern, name in self._writes:
            match = pattern.fullmatch(text)
            if match:
                return name, float(match[1])
        return None

    def _filled(self, form: Form) -> str:
        text = form.href.removeprefix(self._scheme)
        for name, value in self._parameters.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    def _pattern(self, form: Form) -> re.Pattern[str]:
        return re.compile(_FIELD.sub(lambda _: _NUMBER, re.escape(self._filled(form)), count=1))


def _forms(profile: Profile) -> list[tuple[Affordance, Form]]:
    return [(item, form) for item in profile.properties.values() for form in item.forms]
