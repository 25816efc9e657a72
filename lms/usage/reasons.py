"""Why something counts or not: a stable code and a sentence (理由); pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


def N_(text: str) -> str:
    """Mark a sentence for the catalogue; pages translate it when they speak."""
    return text


@dataclass(frozen=True)
class Reason:
    """A reason code with its Chinese sentence: ``template`` holds ``%(name)s`` places, ``facts`` fills them."""

    code: str
    template: str
    facts: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return self.template % dict(self.facts)


def reason(code: str, template: str, **facts: Any) -> Reason:
    """A :class:`Reason` with its facts by name."""
    return Reason(code, template, tuple(facts.items()))
