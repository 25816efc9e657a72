"""A Word file as a form (Word 表样): its places, and filling them while fonts, lines and merged cells stay (python-docx)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from io import BytesIO
from typing import Any

from lms.programmes.originals.rules import BLANK, TICKED, Grid, Preview, Repeat, Spot, Write, boxes, pieces

MOST_ROWS = 400


def read_word(data: bytes) -> Preview:
    """Its paragraphs and tables in order."""
    found: list[Spot | Grid] = []
    paragraphs = tables = 0
    for block in _blocks(data):
        if hasattr(block, "runs"):
            paragraphs += 1
            found.append(Spot(f"paragraph {paragraphs}", block.text))
        else:
            tables += 1
            found.append(Grid(f"表 {tables}", _grid(block, tables)))
    return tuple(found)


def _blocks(source: Any) -> list[Any]:
    from docx import Document

    document = Document(BytesIO(source)) if isinstance(source, bytes) else source
    return list(document.iter_inner_content())


def _grid(table: Any, number: int) -> tuple[tuple[Spot, ...], ...]:
    rows = []
    lines = [_cells(row) for row in table._tbl.tr_lst[:MOST_ROWS]]
    for place, line in enumerate(lines):
        spots = []
        for cell, (tc, column) in enumerate(line, 1):
            if tc.vMerge == "continue":
                continue
            down = 1
            while place + down < len(lines) and any(
                one.vMerge == "continue" and at == column for one, at in lines[place + down]
            ):
                down += 1
            at = f"table {number} row {place + 1} cell {cell}"
            spots.append(Spot(at, _text(tc), tc.grid_span, down if tc.vMerge == "restart" else 1))
        rows.append(tuple(spots))
    return tuple(rows)


def _cells(row: Any) -> list[tuple[Any, int]]:
    column, found = row.grid_before, []
    for tc in row.tc_lst:
        found.append((tc, column))
        column += tc.grid_span
    return found


def _text(tc: Any) -> str:
    return "\n".join(one.text for one in tc.p_lst)


def fill_word(data: bytes, single: Sequence[Write], repeats: Sequence[Repeat]) -> bytes:
    """The file with its places filled; raises KeyError naming a place that it does not have."""
    from docx import Document

    document = Document(BytesIO(data))
    places = _places(document)
    for write in single:
        if write.at not in places:
            raise KeyError(write.at)
    for repeat in repeats:
        for at in repeat.rows[0] if repeat.rows else ():
            if at not in places:
                raise KeyError(at)
    for write in single:
        element = places[write.at]
        for piece in pieces("\n".join(_said(one) for one in _paragraphs(element)), write):
            _write(element, piece)
    for repeat in repeats:
        _repeat(places, repeat)
    stream = BytesIO()
    document.save(stream)
    return stream.getvalue()


def _places(document: Any) -> dict[str, Any]:
    """Elements by place, found before anything moves: a w:p, or a w:tc."""
    found: dict[str, Any] = {}
    paragraphs = tables = 0
    for block in _blocks(document):
        if hasattr(block, "runs"):
            paragraphs += 1
            found[f"paragraph {paragraphs}"] = block._p
            continue
        tables += 1
        for row, tr in enumerate(block._tbl.tr_lst, 1):
            found |= {f"table {tables} row {row} cell {cell}": tc for cell, tc in enumerate(tr.tc_lst, 1)}
    return found


def _paragraphs(element: Any) -> list[Any]:
    from docx.text.paragraph import Paragraph

    whole: Any = Paragraph
    return [whole(one, None) for one in (element.p_lst if hasattr(element, "p_lst") else [element])]


def _write(element: Any, write: Write) -> None:
    paragraphs = _paragraphs(element)
    if write.put == "tick" and write.ticks is not None:
        for paragraph in paragraphs:
            for place in boxes(_said(paragraph), *write.ticks):
                _splice(paragraph, place, place + 1, TICKED)
    elif write.put.startswith("blank"):
        _into_blank(paragraphs, int(write.put.split()[1]), write.text)
    elif write.put == "after":
        last = next((one for one in reversed(paragraphs) if one.text.strip()), paragraphs[-1])
        length = len(_said(last))
        if last.runs:
            _splice(last, len(_said(last).rstrip("_＿ \u3000\u00a0")), length, write.text)
        else:
            _fill(last, write.text)
    else:
        for spare in paragraphs[1:]:
            spare._p.getparent().remove(spare._p)
        _fill(paragraphs[0], write.text)


def _fill(paragraph: Any, text: str) -> None:
    """Replace the text, a paragraph a line, each with the format of the first."""
    lines = text.split("\n")
    for run in paragraph.runs[1:]:
        run._r.getparent().remove(run._r)
    if not paragraph.runs:
        mark = paragraph._p.pPr.find(_tag("w:rPr")) if paragraph._p.pPr is not None else None
        run = paragraph.add_run("")
        if mark is not None:
            run._r.insert(0, deepcopy(mark))
    after = paragraph._p
    for line in lines[1:]:
        copy = deepcopy(paragraph._p)
        after.addnext(copy)
        after = copy
        _paragraphs(copy)[0].runs[0].text = line
    paragraph.runs[0].text = lines[0]


def _tag(name: str) -> str:
    from docx.oxml.ns import qn

    return qn(name)


def _into_blank(paragraphs: Sequence[Any], number: int, text: str) -> None:
    left = number
    for paragraph in paragraphs:
        for found in BLANK.finditer(_said(paragraph)):
            left -= 1
            if left == 0:
                _splice(paragraph, *_underlined(paragraph, found.start(), found.end()), text)
                return
    _write(paragraphs[-1]._p, Write("", "after", text))


def _underlined(paragraph: Any, start: int, end: int) -> tuple[int, int]:
    """Of a blank that goes on beyond the line to write on, the underlined piece."""
    at, lines = 0, []
    for run in paragraph.runs:
        low, high = max(start, at), min(end, at + len(run.text))
        if low < high and run.underline:
            lines.append((low, high))
        at += len(run.text)
    return lines[0] if lines else (start, end)


def _said(paragraph: Any) -> str:
    return "".join(run.text for run in paragraph.runs)


def _splice(paragraph: Any, start: int, end: int, text: str) -> None:
    """Put ``text`` where the characters ``start`` to ``end`` stand; only the runs that hold them are touched."""
    at, given = 0, text
    for run in list(paragraph.runs):
        own = run.text
        low, high = max(start - at, 0), min(end - at, len(own))
        if low < high or (start == end == at + len(own) and own):
            run.text = own[:low] + given + own[max(high, low) :]
            given = ""
        at += len(own)
    if given:
        last = paragraph.runs[-1] if paragraph.runs else None
        added = paragraph.add_run(given)
        if last is not None and last._r.rPr is not None:
            added._r.insert(0, deepcopy(last._r.rPr))


def _repeat(places: dict[str, Any], repeat: Repeat) -> None:
    """The template row filled once a row: empty rows of the same shape below it are used up first, then it is copied."""
    if not repeat.rows:
        return
    cells = {at: places[at] for at in repeat.rows[0]}
    template = next(iter(cells.values())).getparent()
    index = {at: template.tc_lst.index(tc) for at, tc in cells.items()}
    pattern, row = deepcopy(template), template
    for number, texts in enumerate(repeat.rows):
        if number:
            following = row.getnext()
            if following is not None and _is_spare(following, pattern):
                row = following
            else:
                copy = deepcopy(pattern)
                for one in copy.iter(_tag("w:p")):  # ids of paragraphs are unique
                    for name in [key for key in one.attrib if key.endswith("}paraId")]:
                        del one.attrib[name]
                row.addnext(copy)
                row = copy
        for at, text in texts.items():
            _write(row.tc_lst[index[at]], Write(at, "fill", text))


def _is_spare(row: Any, pattern: Any) -> bool:
    return (
        row.tag == pattern.tag
        and [one.grid_span for one in row.tc_lst] == [one.grid_span for one in pattern.tc_lst]
        and not any(_text(one).strip() for one in row.tc_lst)
    )
