"""Our exported Word or Excel read back into the parts of a form (回读); pure: what is not of our layout is not guessed at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lms.programmes.layout import ANNEX

_ITEM = re.compile(r"\s*(\d{1,2})[.．、]\s?")
_TICKED = "☑■√✓✔☒"
_BLANK = re.compile(r"[ \t\u3000]+")
_DAY = re.compile(r"(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*日?")


@dataclass(frozen=True)
class Piece:
    """A paragraph (``text``) or a table (``rows``) of a file, in order."""

    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


def is_ours(form: Mapping[str, Any], pieces: Sequence[Piece]) -> bool:
    """Whether the file is an export of this form: its title stands in it."""
    title = _bare(form["title"])  # broken into lines by meaning, so that paragraphs are read together
    texts = [one.text for one in pieces[:20] if not one.rows] + [
        cell for one in pieces for row in one.rows[:1] for cell in row
    ]
    return title in _bare("".join(texts))


def read_form(
    form: Mapping[str, Any],
    pieces: Sequence[Piece],
    choices: Mapping[str, Sequence[str]],
    criteria: Mapping[str, str],
    names: Mapping[str, str],
) -> dict[str, Any]:
    """Part id → value as it stands in the file; parts that the file does not show are absent. ``criteria``: id → text as printed."""
    found: dict[str, Any] = {}
    ends = {_bare(ANNEX), *([_bare(form["append"]["heading"])] if "append" in form else [])}
    last = next((number for number, one in enumerate(pieces) if _bare(one.text) in ends), len(pieces))
    pieces = pieces[:last]  # what follows are figures, and the statements of others
    for which in ("cover", "foot"):
        fields = [one for one in form.get(which, ()) if not one.get("by_hand")]
        given = _lines(fields, pieces, names)
        if given:
            found[which] = given
    printed = [one for one in form["parts"] if not one.get("inner")]
    if form.get("rows"):
        heads = {_bare(row[0]): row[1] for one in pieces for row in one.rows if len(row) > 1}
        for part in printed:
            head = _bare("".join(filter(None, (part["heading"], part.get("printed", "")))))
            if head in heads:
                text = heads[head]
                found[part["id"]] = (
                    ticked_of(text, choices.get(part.get("choices", ""), ()))
                    if part["type"] == "choices"
                    else text.strip()
                )
        return found
    marks = {_bare(part["heading"]): part for part in printed if part["heading"]}
    section: Mapping[str, Any] | None = None
    sections: dict[str, list[Piece]] = {}
    for one in pieces:
        part = marks.pop(_bare(one.text), None) if one.text.strip() and not one.rows else None
        if part is not None:
            section = part
            sections[part["id"]] = []
        elif section is not None:
            sections[section["id"]].append(one)
    foot = {f"{one['label']}：" for one in form.get("foot", ())}
    for part in printed:
        if part["id"] in sections:
            body = [one for one in sections[part["id"]] if not any(one.text.strip().startswith(head) for head in foot)]
            value = _value(part, body, choices, criteria, names)
        else:
            named = [one for one in pieces if _bare(one.text) == _bare(part["heading"])]
            value = _table(part, named or pieces) if part["type"] == "table" and "collect" not in part else None
        if value is not None:
            found[part["id"]] = value
    return found


def _lines(fields: Sequence[Mapping[str, Any]], pieces: Sequence[Piece], names: Mapping[str, str]) -> dict[str, str]:
    found = {}
    lines = [one.text for one in pieces if one.text] + [
        row[0] for one in pieces for row in one.rows if row and not any(row[1:])
    ]
    for one in fields:
        head = f"{one['label']}："
        line = next((line.strip() for line in lines if line.strip().startswith(head)), None)
        if line is not None:
            text = _typed(one, line.removeprefix(head), names)
            if text:
                found[one["id"]] = text
    return found


def _typed(field: Mapping[str, Any], text: str, names: Mapping[str, str]) -> str:
    text = text.strip()
    if field.get("type") == "date":
        day = _DAY.search(text)
        return f"{int(day[1]):04}-{int(day[2]):02}-{int(day[3]):02}" if day else ""
    return "" if field.get("from") and text == names.get(field["from"], "") else text


def _value(
    part: Mapping[str, Any],
    body: Sequence[Piece],
    choices: Mapping[str, Sequence[str]],
    criteria: Mapping[str, str],
    names: Mapping[str, str],
) -> Any:
    kind = part["type"]
    note = f"注：{part['note']}" if part.get("note") else None
    lines = [one.text for one in body if not one.rows and one.text.strip() != note]
    if kind == "text":
        return "\n".join(lines).strip()
    if kind == "choices":
        return ticked_of("\n".join(lines), choices.get(part["choices"], ()))
    if kind == "answers":
        answers: dict[str, list[str]] = {}
        texts, here = {_bare(criteria.get(one, "")): one for one in part["criteria"]}, ""
        for line in lines:
            item = _ITEM.match(line)
            if item and int(item[1]) == len(answers) + 1 <= len(part["criteria"]):
                here = part["criteria"][len(answers)]
                answers[here] = [line[item.end() :]]
            elif _bare(line) in texts:
                here = texts[_bare(line)]
                answers[here] = []
            elif here and not line.startswith("系统数据："):
                answers[here].append(line)
        return {one: "\n".join(text).strip() for one, text in answers.items()}
    if kind == "fields":
        rows = {_bare(row[0]): row[1] for one in body for row in one.rows if len(row) > 1}
        return {
            one["id"]: _typed(one, rows[_bare(one["label"])], names)
            for one in part["fields"]
            if _bare(one["label"]) in rows
        }
    return None if "collect" in part else _table(part, body)


def _table(part: Mapping[str, Any], pieces: Sequence[Piece]) -> list[dict[str, str]] | None:
    labels = [_bare(one["label"]) for one in part["columns"]]
    for piece in pieces:
        for number, row in enumerate(piece.rows):
            if [_bare(one) for one in row[: len(labels)]] == labels and not any(row[len(labels) :]):
                rows = []
                for cells in piece.rows[number + 1 :]:
                    if len(labels) > 1 and "：" in cells[0] and not any(cells[1:]):
                        break  # 注：…, or a line of the foot
                    filled = {
                        one["id"]: cells[place].strip() if place < len(cells) else ""
                        for place, one in enumerate(part["columns"])
                    }
                    if any(filled.values()):
                        rows.append(filled)
                return rows
    return None


def ticked_of(text: str, all_of: Sequence[str]) -> list[str]:
    """Choices with a ticked box before them."""
    bare = _BLANK.sub("", text)
    found = []
    for one in sorted(all_of, key=len, reverse=True):
        mark = re.search(f"[{_TICKED}□]{re.escape(_BLANK.sub('', one))}", bare)
        if mark:
            if mark[0][0] in _TICKED:
                found.append(one)
            bare = bare[: mark.start()] + "\n" + bare[mark.end() :]
    return [one for one in all_of if one in found]


def _bare(text: str) -> str:
    return re.sub(r"\s+", "", text)
