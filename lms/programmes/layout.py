"""A document of an application as blocks (版式): cover, sections, tables with the form's own columns; pure, the same for Word, PDF and Excel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

UNOFFICIAL = "非官方表样"
SIMULATED = "示范数据 · 模拟，不作为申报材料"
ANNEX = "附：申报条件与系统数据（不计入正文字数）"
TITLE, WIDE_TITLE = 20, 29  # characters of 二号 between the margins, upright and turned
_KIND_OF_PAPER = re.compile(r"(?:申报|推荐|自述|自查|汇总|联系)\w{1,6}$")
BlockKind = Literal[
    "mark", "title", "cover", "head", "issuer", "heading", "sub", "text", "table", "note", "break", "foot"
]


@dataclass(frozen=True)
class Table:
    """A table: its columns as the form names them (none: the first cell of each row is its head), rows of text, widths in mm."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """A block of the page."""

    kind: BlockKind
    text: str = ""
    table: Table | None = None


@dataclass(frozen=True)
class Paper:
    """A document: its title and blocks in order. ``wide``: landscape, as tables of many columns need."""

    title: str
    blocks: tuple[Block, ...]
    wide: bool = False

    @property
    def tables(self) -> list[Table]:
        """Its tables, in order."""
        return [one.table for one in self.blocks if one.table is not None]


@dataclass(frozen=True)
class Filler:
    """What fills a form: values by key, names (applicant, office), collected rows by key, criteria's texts and figures by id."""

    content: Mapping[str, Any]
    names: Mapping[str, str]
    collected: Mapping[str, Sequence[Mapping[str, str]]]
    criteria: Mapping[str, tuple[str, str]]
    simulated: bool = False


def lay_out(form: Mapping[str, Any], filler: Filler, choices: Mapping[str, Sequence[str]]) -> Paper:
    """The form filled in."""
    blocks: list[Block] = []
    if form.get("unofficial") or form.get("template"):  # the office's own file is the form, this is none
        blocks.append(Block("mark", UNOFFICIAL))
    if filler.simulated:
        blocks.append(Block("mark", SIMULATED))
    if form.get("attachment"):
        blocks.append(Block("heading", form["attachment"]))
    printed = [part for part in form["parts"] if not part.get("inner")]
    wide = any(len(one.get("columns", ())) > 6 for one in printed)
    blocks.append(Block("title", broken(form["title"], WIDE_TITLE if wide else TITLE)))
    one_page = bool(form.get("one_page"))
    blocks += _lines(form, "cover", filler, one_page)
    if form.get("footer"):
        blocks.append(Block("issuer", form["footer"]))
    alone = one_page and len(printed) == 1
    if form.get("cover") and not one_page:
        blocks.append(Block("break"))
    if form.get("rows"):
        blocks.append(Block("table", table=_as_rows(form, printed, filler, choices)))
    else:
        for part in printed:
            blocks += _part(form["form"], part, filler, choices)[alone:]  # the title of the sheet is the table's
    blocks += _lines(form, "foot", filler, one_page)
    if not form.get("rows"):
        blocks += _annex(printed, filler)
    return Paper(form["title"], tuple(blocks), wide)


def broken(title: str, most: int) -> str:
    """A title too long for one line, broken where its meaning allows (GB/T 9704-2012, 7.3.1): before the kind of paper that it is."""
    return title if len(title) <= most else _KIND_OF_PAPER.sub(r"\n\g<0>", title, count=1)


def _lines(form: Mapping[str, Any], which: Literal["cover", "foot"], filler: Filler, joined: bool) -> list[Block]:
    given = filler.content.get(f"{form['form']}.{which}") or {}
    lines = [f"{one['label']}：{cover_value(one, given, filler)}" for one in form.get(which, ())]
    if joined and lines:
        return [Block("foot" if which == "foot" else "head", "\u3000\u3000".join(lines))]
    return [Block(which, line) for line in lines]


def cover_value(field: Mapping[str, Any], given: Mapping[str, Any], filler: Filler) -> str:
    """What stands in a field: what was written, else the name it takes by itself; days in Chinese."""
    if field.get("by_hand"):
        return "_" * 20
    text = str(given.get(field["id"], "")) or filler.names.get(field.get("from", ""), "")
    return in_chinese(text) if field.get("type") == "date" else text


def in_chinese(day: str) -> str:
    """``2022-06-10`` as 2022年6月10日; an empty day leaves the form's blanks (HN-26)."""
    if len(day) != 10:
        return day or "____年__月__日"
    return f"{int(day[:4])}年{int(day[5:7])}月{int(day[8:])}日"


def _part(form: str, part: Mapping[str, Any], filler: Filler, choices: Mapping[str, Sequence[str]]) -> list[Block]:
    key = f"{form}.{part['id']}"
    value = filler.content.get(key)
    blocks = [Block("heading", part["heading"])] if part["heading"] else []
    if part["type"] == "text":
        blocks += [Block("text", line) for line in str(value or "").split("\n")]
    elif part["type"] == "answers":
        blocks += [
            Block("text", f"{number}. {(value or {}).get(name, '')}") for number, name in enumerate(part["criteria"], 1)
        ]
    elif part["type"] == "choices":
        blocks += [Block("text", line) for line in ticked(value or [], choices.get(part["choices"], ())).split("\n")]
    elif part["type"] == "fields":
        rows = tuple((one["label"], cover_value(one, value or {}, filler)) for one in part["fields"])
        blocks.append(Block("table", table=Table(part["heading"], ("项目", "内容"), rows, (50, 106))))
    else:
        blocks.append(Block("table", table=table_of(part, key, filler)))
    if part.get("note"):
        blocks.append(Block("note", f"注：{part['note']}"))
    return blocks


def _annex(parts: Sequence[Mapping[str, Any]], filler: Filler) -> list[Block]:
    """What each numbered answer answers to, and the system's figure: behind the sections, whose 字数 are the applicant's own (GS-31, GS-33)."""
    rows = [
        (f"{part['heading']} {number}", *filler.criteria.get(name, ("", "")))
        for part in parts
        if part["type"] == "answers"
        for number, name in enumerate(part["criteria"], 1)
    ]
    table = Table(ANNEX, ("作答", "申报条件", "系统数据"), tuple(rows), (36, 70, 50))
    return (
        [Block("heading", ANNEX), Block("note", table=table)] if rows else []
    )  # its figures move: what is sealed does not change with them


def ticked(chosen: Sequence[str], all_of: Sequence[str]) -> str:
    """Check boxes as the form prints them: □幼儿园 □小学 …; long ones a line each."""
    return ("\n" if any(len(one) > 10 for one in all_of) else " ").join(
        f"{'☑' if one in chosen else '□'}{one}" for one in all_of
    )


def _as_rows(
    form: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], filler: Filler, choices: Mapping[str, Sequence[str]]
) -> Table:
    rows = []
    for part in parts:
        value = filler.content.get(f"{form['form']}.{part['id']}")
        text = ticked(value or [], choices.get(part["choices"], ())) if part["type"] == "choices" else str(value or "")
        rows.append(("\n".join(filter(None, (part["heading"], part.get("printed", "")))), text))
    return Table(form["title"], (), tuple(rows), (30, 126))


def table_of(part: Mapping[str, Any], key: str, filler: Filler) -> Table:
    """The part's table with its columns verbatim and in order."""
    rows = filler.collected.get(key) if "collect" in part else filler.content.get(key)
    columns = part["columns"]
    filled = tuple(tuple(str(row.get(one["id"], "")) for one in columns) for row in rows or ())
    blank = (tuple("" for _one in columns),) * (0 if filled else 2)
    return Table(
        part["heading"],
        tuple(one["label"] for one in columns),
        filled or blank,
        tuple(one.get("wide", 156 // len(columns)) for one in columns),
    )
