"""What a staff password must be (口令规则); pure. GB/T 22239 (等保二级): length, kinds of characters, not the user's name."""

from __future__ import annotations

from typing import Final, Literal

Weakness = Literal["short", "simple", "name", "common"]

MIN_LENGTH: Final = 8
LONG_ENOUGH: Final = 14  # a passphrase needs no mixture
MIN_KINDS: Final = 3
COMMON: Final = (
    "password",
    "qwerty",
    "asdfgh",
    "admin",
    "letmein",
    "abc123",
    "123456",
    "111111",
    "666666",
    "888888",
    "iloveyou",
    "woaini",
)


def kinds(password: str) -> int:
    """How many of lower case, upper case, digits and the rest occur."""
    tests = (
        str.islower,
        str.isupper,
        str.isdigit,
        lambda sign: not (sign.islower() or sign.isupper() or sign.isdigit()),
    )
    return sum(any(test(sign) for sign in password) for test in tests)


def weaknesses(password: str, username: str) -> list[Weakness]:
    """Why a password is refused; empty for a good one.

    At least 8 characters of 3 kinds, or 14 of any; neither the user's name nor mainly a common word.
    """
    found: list[Weakness] = []
    lower = password.lower()
    if len(password) < MIN_LENGTH:
        found.append("short")
    if kinds(password) < MIN_KINDS and len(password) < LONG_ENOUGH:
        found.append("simple")
    if username and username.lower() in lower:
        found.append("name")
    if any(word in lower and len(password) < len(word) + 5 for word in COMMON) or len(set(lower)) < 4:
        found.append("common")
    return found
