"""The one error tree of labkit; every error speaks Chinese first and names where it arose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class LabkitError(Exception):
    """What labkit refuses or cannot do.

    ``code`` is stable and machine-readable, ``zh`` and ``en`` say what happened and what to do next.
    """

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(f"{zh} ({en})")
        self.code = code
        self.zh = zh
        self.en = en

    def message(self, lang: str = "zh") -> str:
        """The text in ``zh`` or ``en``."""
        return self.en if lang.startswith("en") else self.zh


@dataclass(frozen=True)
class Place:
    """A line of a file, as ``path:line``; lines count from 1."""

    path: Path
    line: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong at one place of a file."""

    place: Place
    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.place}: {self.zh} ({self.en})"

    def message(self, lang: str = "zh") -> str:
        """``path:line: cause`` in ``zh`` or ``en``."""
        return f"{self.place}: {self.en if lang.startswith('en') else self.zh}"


class BadDocument(LabkitError):
    """A profile or a lab file does not hold what it must; carries every fault found, each with file and line."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(
            "bad_document",
            "\n".join(fault.message("zh") for fault in faults),
            "\n".join(fault.message("en") for fault in faults),
        )
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class Malformed(LabkitError):
    """Bytes or a payload that do not follow their protocol; the message says what was expected."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__("malformed", zh, en)


class LinkDown(LabkitError):
    """A port, a broker or a camera that cannot be reached now; trying again later is right."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__("link_down", zh, en)
