"""Places of a file and what is bound to them (表样绑定); pure.

A place is ``paragraph 3``, ``table 2 row 3 cell 2`` (Word, all from 1) or ``Sheet1!B3`` (Excel). A binding says which field of the form stands
there and how: ``fill`` the place, write ``after`` its text, into its ``blank 1``, or ``tick`` its boxes. A column of a table is bound in one
row, which is repeated for every row that was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lms.programmes.layout import Filler, cover_value

BLANK = re.compile(r"[_＿]{2,}|[ \u3000\u00a0]{2,}")
BOXES = "□☐○"
TICKED = "☑"
NAMES = {
    "applicant": "申报单位名称",
    "office": "上级部门名称",
    "province": "省",
    "city": "市",
    "county": "县",
    "year": "年份",
}
_AT_WORD = re.compile(r"paragraph (\d+)|table (\d+) row (\d+) cell (\d+)")
_AT_SHEET = re.compile(r"(.{1,31})!([A-Z]{1,3})([1-9]\d{0,6})")
_DAY = re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})日")
_PUT = re.compile(r"fill|after|tick|blank [1-9]\d?")


@dataclass(frozen=True)
class Spot:
    """A place that can be bound: its address, what stands in it, how many cells it spans."""

    at: str
    text: str
    across: int = 1
    down: int = 1

    @property
    def blanks(self) -> int:
        """How many blanks it has to be written into."""
        return len(BLANK.findall(self.text))

    @property
    def put(self) -> str:
        """How a field is most likely written here."""
        if any(box in self.text for box in BOXES):
            return "tick"
        if self.blanks and self.text.strip():
            return "blank 1"
        return "after" if self.text.strip() else "fill"


@dataclass(frozen=True)
class Grid:
    """A table or a sheet of the file, row by row; cells that a merged one covers are left out."""

    name: str
    rows: tuple[tuple[Spot, ...], ...]


Preview = tuple[Spot | Grid, ...]


@dataclass(frozen=True)
class Target:
    """A field that may be bound: its key, what it is called, which part it belongs to, whether it comes once a row."""

    field: str
    name: str
    part: str
    repeats: bool = False


@dataclass(frozen=True)
class Write:
    """A text for a place; ``ticks``: (chosen, all) of check boxes."""

    at: str
    put: str
    text: str
    ticks: tuple[tuple[str, ...], tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Repeat:
    """Rows for a row of a table: what each cell of the template row gets, by its address, one mapping a row."""

    rows: tuple[dict[str, str], ...]


def places_in(preview: Preview) -> dict[str, Spot]:
    """Every place of a file by its address."""
    spots = [one for one in preview if isinstance(one, Spot)]
    spots += [spot for one in preview if isinstance(one, Grid) for row in one.rows for spot in row]
    return {one.at: one for one in spots}


def row_of(at: str) -> str:
    """The row that a place lies in, ``""`` for a paragraph."""
    word, sheet = _AT_WORD.fullmatch(at), _AT_SHEET.fullmatch(at)
    if word and word[2]:
        return f"table {word[2]} row {word[3]}"
    return f"{sheet[1]}!{sheet[3]}" if sheet else ""


def targets(form: Mapping[str, Any], criteria: Mapping[str, str]) -> list[Target]:
    """Everything of a form that can be written into a file."""
    name = form["form"]
    found = [Target(f"name.{key}", label, "单位") for key, label in NAMES.items()]
    for which, title in (("cover", "封面"), ("foot", "表尾")):
        found += [
            Target(f"{name}.{which}.{one['id']}", one["label"], title)
            for one in form.get(which, ())
            if not one.get("by_hand")
        ]
    for part in form["parts"]:
        key, title = f"{name}.{part['id']}", part["heading"] or part["id"]
        if part["type"] == "table":
            found.append(Target(f"{key}.#", "序号", title, True))
            found += [Target(f"{key}.{one['id']}", one["label"] or one["id"], title, True) for one in part["columns"]]
        elif part["type"] == "fields":
            found += [
                Target(f"{key}.{one['id']}", one["label"], title) for one in part["fields"] if not one.get("by_hand")
            ]
        elif part["type"] == "answers":
            found += [Target(f"{key}.{one}", f"{one} {criteria.get(one, '')}"[:40], title) for one in part["criteria"]]
        else:
            found.append(Target(key, title, title))
    return found


def faults(
    bindings: Sequence[Mapping[str, str]], form: Mapping[str, Any], criteria: Mapping[str, str]
) -> Iterator[tuple[int, str]]:
    """Number (from 0) and cause of each binding that cannot be."""
    known = {one.field: one for one in targets(form, criteria)}
    seen: set[tuple[str, str]] = set()
    rows: dict[str, str] = {}
    for number, one in enumerate(bindings):
        at, field, put = one["at"], one["field"], one.get("put", "fill")
        if not (_AT_WORD.fullmatch(at) or _AT_SHEET.fullmatch(at)):
            yield number, f"位置“{at}”写法不对，应如 paragraph 3、table 2 row 3 cell 2 或 Sheet1!B3"
        if field not in known:
            yield number, f"表单里没有“{field}”这一项"
            continue
        if not _PUT.fullmatch(put):
            yield number, f"put 应为 fill、after、tick 或 blank 1，现在是 {put}"
        if (at, put) in seen:
            yield number, f"“{at}”绑定了两次"
        seen.add((at, put))
        if known[field].repeats:
            part, row = field.rpartition(".")[0], row_of(at)
            if not row:
                yield number, f"“{field}”是表的一列，只能绑定在表格的一行里"
            elif rows.setdefault(row, part) != part:
                yield number, f"同一行里绑定了两张表：{rows[row]} 和 {part}"


def writes(
    bindings: Sequence[Mapping[str, str]], form: Mapping[str, Any], filler: Filler, choices: Mapping[str, Sequence[str]]
) -> tuple[list[Write], list[Repeat]]:
    """What goes where: single places, and rows to repeat."""
    parts = {part["id"]: part for part in form["parts"]}
    single: list[Write] = []
    rows: dict[str, dict[str, str]] = {}
    for one in bindings:
        key, at = one["field"].split("."), one["at"]
        part = parts.get(key[1]) if key[0] != "name" else None
        if part is not None and part["type"] == "table":
            rows.setdefault(row_of(at), {})[at] = one["field"]
            continue
        single.append(_single(one, part, form, filler, choices))
    single.sort(key=lambda one: one.put, reverse=True)  # the last blank of a place first: the others keep their numbers
    return single, [_repeat(cells, parts, filler) for cells in rows.values()]


def pieces(standing: str, write: Write) -> list[Write]:
    """The write as it is, or a day for “__年__月__日” as three, the last blank first; ``standing``: what stands in the place."""
    day = _DAY.fullmatch(write.text)
    if day is None or not write.put.startswith("blank"):
        return [write]
    first = int(write.put.split()[1])
    blanks = list(BLANK.finditer(standing))[first - 1 : first + 2]
    if [standing[one.end() : one.end() + 1] for one in blanks] != ["年", "月", "日"]:
        return [write]
    return [Write(write.at, f"blank {first + place}", day[place + 1]) for place in (2, 1, 0)]


def _single(
    one: Mapping[str, str],
    part: Mapping[str, Any] | None,
    form: Mapping[str, Any],
    filler: Filler,
    choices: Mapping[str, Sequence[str]],
) -> Write:
    at, put, key = one["at"], one.get("put", "fill"), one["field"].split(".")
    if key[0] == "name":
        return Write(at, put, filler.names.get(key[1], ""))
    value = filler.content.get(".".join(key[:2]))
    if part is None:
        field = next(row for row in form[key[1]] if row["id"] == key[2])
        return Write(at, put, cover_value(field, value or {}, filler))
    if part["type"] == "fields":
        field = next(row for row in part["fields"] if row["id"] == key[2])
        return Write(at, put, cover_value(field, value or {}, filler))
    if part["type"] == "answers":
        return Write(at, put, str((value or {}).get(".".join(key[2:]), "")))
    if part["type"] == "choices":
        return Write(at, put, "、".join(value or ()), (tuple(value or ()), tuple(choices.get(part["choices"], ()))))
    return Write(at, put, str(value or ""))


def _repeat(cells: Mapping[str, str], parts: Mapping[str, Mapping[str, Any]], filler: Filler) -> Repeat:
    form, name, _column = next(iter(cells.values())).split(".", 2)
    key = f"{form}.{name}"
    given = (filler.collected.get(key) if "collect" in parts[name] else filler.content.get(key)) or ()
    columns = {at: field.split(".", 2)[2] for at, field in cells.items()}
    return Repeat(
        tuple(
            {at: str(number) if column == "#" else str(row.get(column, "")) for at, column in columns.items()}
            for number, row in enumerate(given, 1)
        )
    )


def written(old: str, put: str, text: str) -> str:
    """A text after writing into it; for cells without runs."""
    if put == "after":
        return old.rstrip("_＿ \u3000\u00a0") + text
    if put.startswith("blank"):
        found = list(BLANK.finditer(old))[int(put.split()[1]) - 1 :][:1]
        return old[: found[0].start()] + text + old[found[0].end() :] if found else old + text
    return text


def boxes(text: str, chosen: Sequence[str], every: Sequence[str]) -> list[int]:
    """Where in ``text`` a box stands before something chosen; the longest choice that fits is meant."""
    found = []
    for place, sign in enumerate(text):
        if sign in BOXES:
            rest = text[place + 1 :].lstrip(" \u3000")
            meant = max((one for one in every if rest.startswith(one)), key=len, default="")
            if meant and meant in chosen:
                found.append(place)
    return found
