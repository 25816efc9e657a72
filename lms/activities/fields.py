"""Read one field of settings or of an answer, or refuse it with its name (字段校验); pure.

Every function takes ``where``, the path of the field ("answers.q1"), and raises Invalid with it.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid

MAX_DEPTH = 8
MAX_ITEMS = 4000
MAX_CHARS = 60_000


def bad(where: str, message: Any, code: str = "answer") -> Invalid:
    """The refusal of one field."""
    return Invalid(code, message, where=where, remedy=_l("请检查后再提交；已经写的内容还在页面上。"))


def record(value: Any, where: str, known: Collection[str] | None = None) -> dict[str, Any]:
    """An object; keys outside ``known`` are refused."""
    if not isinstance(value, dict):
        raise bad(where, _l("这里应该是一组键和值。"))
    unknown = sorted(str(key) for key in value if known is not None and key not in known)
    if unknown:
        raise bad(f"{where}.{unknown[0][:60]}".lstrip("."), _l("有不认识的内容。"))
    return value


def listed(value: Any, where: str, *, least: int = 0, most: int = 100) -> list[Any]:
    """A list of ``least`` to ``most`` items."""
    if not isinstance(value, list):
        raise bad(where, _l("这里应该是一个列表。"))
    if not least <= len(value) <= most:
        raise bad(where, _l("这里应该有 %(least)d 到 %(most)d 项。", least=least, most=most))
    return value


def text(value: Any, where: str, *, least: int = 0, most: int = 4000) -> str:
    """A string of ``least`` to ``most`` characters."""
    if not isinstance(value, str):
        raise bad(where, _l("这里应该是文字。"))
    if len(value) > most:
        raise bad(where, _l("文字太长，最多 %(most)d 个字。", most=most))
    if len(value.strip()) < least:
        raise bad(where, _l("文字太短，至少 %(least)d 个字。", least=least))
    return value


def number(value: Any, where: str, *, least: float = -1e12, most: float = 1e12) -> float:
    """A finite number in a range; a string of digits counts, full-width ones too."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(normal(value))
        except ValueError:
            raise bad(where, _l("这里应该填数字。")) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(where, _l("这里应该填数字。"))
    if isinstance(value, float) and not math.isfinite(value):
        raise bad(where, _l("这里应该填数字。"))
    if not least <= value <= most:
        raise bad(where, _l("数字超出了范围。"))
    return float(value)


def whole(value: Any, where: str, *, least: int = 0, most: int = 1_000_000) -> int:
    """A whole number in a range."""
    found = number(value, where, least=least, most=most)
    if found != int(found):
        raise bad(where, _l("这里应该填整数。"))
    return int(found)


def truth(value: Any, where: str) -> bool:
    """True or false, nothing that only looks like it."""
    if not isinstance(value, bool):
        raise bad(where, _l("这里应该是“是”或“否”。"))
    return value


def one_of(value: Any, where: str, options: Collection[str]) -> str:
    """One of the words given."""
    if not isinstance(value, str) or value not in options:
        raise bad(where, _l("这里只能是：%(options)s。", options="、".join(options)))
    return value


def normal(value: str) -> str:
    """Text for comparison: full-width and half-width are one, no blanks, no letter case."""
    return "".join(unicodedata.normalize("NFKC", value).split()).casefold()


def plain(value: Any, where: str = "", depth: int = 0) -> int:
    """Refuse what no database can keep or no pupil writes: NaN, infinity, NUL, lone surrogates, deep or huge values.

    Returns the number of values seen.
    """
    if depth > MAX_DEPTH:
        raise bad(where, _l("内容嵌套太深。"))
    if isinstance(value, str):
        _plain_text(value, where)
        return 1
    if isinstance(value, float) and not math.isfinite(value):
        raise bad(where, _l("这里应该填数字。"))
    if isinstance(value, int) and abs(value) > 10**15:
        raise bad(where, _l("数字超出了范围。"))
    seen = 1
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            if isinstance(key, str):
                _plain_text(key, where, 120)
            seen += plain(item, f"{where}.{str(key)[:40]}".lstrip("."), depth + 1)
            if seen > MAX_ITEMS:
                raise bad(where, _l("内容太多。"))
    elif not (value is None or isinstance(value, bool | int | float)):
        raise bad(where, _l("有不认识的内容。"))
    return seen


def _plain_text(value: str, where: str, most: int = MAX_CHARS) -> None:
    if len(value) > most:
        raise bad(where, _l("文字太长，最多 %(most)d 个字。", most=most))
    if "\x00" in value or (not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value)):
        raise bad(where, _l("文字里有不能保存的符号。"))
