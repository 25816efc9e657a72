"""Counting as Word's 字数 does (B8): Han and full-width characters one each, a run of Latin letters and digits one, no spaces; pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

# Characters that Word counts one by one beside those that are East Asian wide: quotation marks, dashes and dots as Chinese sets them.
_LIKE_WIDE = frozenset("“”‘’…—·‖′″℃№①②③④⑤⑥⑦⑧⑨⑩")


def counts_alone(character: str) -> bool:
    """Whether the character is one 字 by itself: Han, kana, full-width punctuation, full-width letters."""
    return character in _LIKE_WIDE or unicodedata.east_asian_width(character) in "WF"


def words(text: str) -> int:
    """Word's 字数 of a text."""
    found, in_run = 0, False
    for character in text:
        if character.isspace() or character in "\u200b\ufeff":
            in_run = False
        elif counts_alone(character):
            found, in_run = found + 1, False
        elif not unicodedata.combining(character):
            found, in_run = found + (not in_run), True
    return found


def characters(text: str) -> int:
    """Word's 字符数（不计空格）."""
    return sum(not one.isspace() for one in text)


def words_in(value: Any) -> int:
    """字数 of a part's value: text, fields, rows of a table (cells count), answers, choices."""
    if isinstance(value, str):
        return words(value)
    if isinstance(value, Mapping):
        return sum(words_in(one) for one in value.values())
    if isinstance(value, Sequence):
        return sum(words_in(one) for one in value)
    return words(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def standing(count: int, most: int) -> str:
    """``over`` above the limit, ``near`` from 95 % of it, else ``fine``."""
    return "over" if count > most else "near" if count * 100 >= most * 95 else "fine"
