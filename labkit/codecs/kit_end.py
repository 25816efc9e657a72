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

_FIELD = re.compile(r"\{([a-z][a-z0-9_]*)(?::\w+)?\}")
_WORD = re.compile(r"#\d$")
_NUMBER = r"[+-]?\d{1,6}(?:\.\d{1,6})?"


@dataclass(frozen=True)
class Wanted:
    """The PC asks for a property; ``answer`` makes the kit's reply of its value, ``refusal`` is what one without it says."""

    property: str
    answer: Callable[[Value], bytes]
    refusal: bytes = b""


@dataclass(frozen=True)
class Written:
    """The PC sets a property; ``answer`` is the kit's reply, empty where it says nothing."""

    property: str
    value: float | str
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

    ``{name}`` stands for a parameter's own value, else for the value of the property of that name: a number, or one of its words.
    """

    def __init__(self, profile: Profile, parameters: Mapping[str, int], scheme: str) -> None:
        self._scheme, self._profile, self._parameters = scheme + ":", profile, parameters
        self._reads = {self._filled(form): item.id for item, form in _forms(profile) if "readproperty" in form.op}
        self._writes = [self._pattern(form, item) for item, form in _forms(profile) if "writeproperty" in form.op]
        self._acts = {self._filled(form): item.id for item in profile.actions.values() for form in item.forms}

    def reads(self, text: str) -> str:
        """The property that a text asks for, or ""."""
        return self._reads.get(text, "")

    def acts(self, text: str) -> str:
        """The action that a text is a step of, or ""."""
        return self._acts.get(text, "")

    def writes(self, text: str) -> tuple[str, float | str] | None:
        """The property that a text sets, and its value as the wire has it."""
        return next(iter(self.sets(text).items()), None)

    def sets(self, text: str) -> dict[str, float | str]:
        """All properties that a text sets at once (a drive has two speeds)."""
        for pattern in self._writes:
            match = pattern.fullmatch(text)
            if match:
                return {name: self._value(name, raw) for name, raw in match.groupdict().items()}
        return {}

    def _value(self, name: str, raw: str) -> float | str:
        return raw if self._profile.properties[name].enum else float(raw)

    def _filled(self, form: Form) -> str:
        text = _WORD.sub("", form.href.removeprefix(self._scheme))
        return _FIELD.sub(lambda field: str(self._parameters.get(field[1], field[0])), text)

    def _pattern(self, form: Form, own: Affordance) -> re.Pattern[str]:
        seen: set[str] = set()

        def group(field: re.Match[str]) -> str:
            item = self._profile.properties.get(field[1], own)
            if item.id in seen:
                return f"(?P={item.id})"
            seen.add(item.id)
            return f"(?P<{item.id}>{'|'.join(map(re.escape, item.enum)) or _NUMBER})"

        # Between the fields stands plain text.
        text, at, made = self._filled(form), 0, ""
        for field in _FIELD.finditer(text):
            made, at = made + re.escape(text[at : field.start()]) + group(field), field.end()
        return re.compile(made + re.escape(text[at:]))


def _forms(profile: Profile) -> list[tuple[Affordance, Form]]:
    return [(item, form) for item in profile.properties.values() for form in item.forms]
