"""What a person wrote, brought into the shape of its part (填写内容): nothing unknown is kept, nothing known is lost; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST, MOST_ROWS, CELL = 20_000, 300, 500
_PHONE = re.compile(r"[0-9+()\-\s转]{5,24}")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def empty(part: Mapping[str, Any]) -> Any:
    """The value of a part in which nothing was written."""
    return {"text": "", "fields": {}, "table": [], "answers": {}, "choices": []}[part["type"]]


def clean(part: Mapping[str, Any], raw: Any, choices: Sequence[str] = ()) -> Any:
    """``raw`` in the shape of the part; raises ValueError with a sentence where it is no such thing."""
    kind = part["type"]
    if kind == "text":
        return _text(raw, LONGEST)
    if kind == "fields":
        return _mapping(raw, [one["id"] for one in part["fields"] if not one.get("by_hand")], CELL)
    if kind == "answers":
        return _mapping(raw, part["criteria"], LONGEST)
    if kind == "choices":
        if not isinstance(raw, list) or any(one not in choices for one in raw):
            raise ValueError("有不在选项里的内容")
        return [one for one in choices if one in raw]
    if not isinstance(raw, list) or len(raw) > MOST_ROWS:
        raise ValueError(f"表格最多 {MOST_ROWS} 行")
    rows = [_mapping(row, [one["id"] for one in part["columns"]], CELL) for row in raw]
    return [row for row in rows if any(row.values())]


def faults(part: Mapping[str, Any], value: Any, choices: Mapping[str, Sequence[str]]) -> list[str]:
    """What is written but cannot be right: a telephone, an address, a day, a choice. It is kept, and must be put right before submitting."""
    if part["type"] == "fields":
        return _faults(part["fields"], value or {}, "", choices)
    if part["type"] == "table":
        return [
            one
            for number, row in enumerate(value or [], 1)
            for one in _faults(part["columns"], row, f"第 {number} 行", choices)
        ]
    return []


def _faults(
    fields: Sequence[Mapping[str, Any]], row: Mapping[str, Any], where: str, choices: Mapping[str, Sequence[str]]
) -> list[str]:
    found = []
    for one in fields:
        text = str(row.get(one["id"], "")).strip()
        wrong = {"phone": not _PHONE.fullmatch(text), "email": not _MAIL.fullmatch(text), "date": not _DAY.fullmatch(text),
                 "number": not text.replace(".", "", 1).isdigit(), "choice": text not in choices.get(one.get("choices", ""), ())}  # fmt: skip
        if text and wrong.get(one.get("type", ""), False):
            found.append(f"{where}{one['label']}“{text[:30]}”写得不对")
    return found


def _text(raw: Any, longest: int) -> str:
    if not isinstance(raw, str):
        raise ValueError("应为文字")
    text = raw.replace("\r\n", "\n").replace("\x00", "")
    if len(text) > longest:
        raise ValueError(f"文字超过 {longest} 个字符")
    return text


def _mapping(raw: Any, known: Sequence[str], longest: int) -> dict[str, str]:
    if not isinstance(raw, Mapping):
        raise ValueError("应为一组填写项")
    return {
        name: _text(str(raw[name]) if isinstance(raw[name], int | float) else raw[name], longest).strip()
        for name in known
        if name in raw and raw[name] is not None
    }


def of_form(part: Mapping[str, Any], form: Mapping[str, Any], lists: Mapping[str, Sequence[str]]) -> Any:
    """The value as a page without JavaScript sends it: ``value``, ``value.<field>``, ``value.<row>.<column>``."""
    kind = part["type"]
    if kind == "text":
        return form.get("value", "")
    if kind == "choices":
        return list(lists.get("value", ()))
    if kind in ("fields", "answers"):
        names = part["criteria"] if kind == "answers" else [one["id"] for one in part["fields"]]
        return {name: form.get(f"value.{name}", "") for name in names}
    numbers = sorted({int(key.split(".")[1]) for key in form if re.fullmatch(r"value\.\d+\.[A-Za-z0-9-]+", key)})
    return [{one["id"]: form.get(f"value.{number}.{one['id']}", "") for one in part["columns"]} for number in numbers]
