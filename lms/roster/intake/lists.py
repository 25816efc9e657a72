"""Lists with one row of headers (简单表格): found in an uploaded workbook by their columns, and given out empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid
from lms.roster.intake.cells import EMPTY, Cell, Row
from lms.roster.intake.sheets import read_sheets

SAMPLE_MARK = "示例，请删除"
HEADER_WITHIN = 20


@dataclass(frozen=True)
class Entry:
    """A row below the headers; ``columns``: index by column name."""

    sheet: str
    row: Row
    columns: Mapping[str, int]

    @property
    def where(self) -> str:
        """Where it stands, for people."""
        return f"“{self.sheet}”第 {self.row.number} 行"

    def cell(self, name: str) -> Cell:
        """The cell of a column; empty where the list has no such column."""
        index = self.columns.get(name)
        return self.row.cells[index] if index is not None and index < len(self.row.cells) else EMPTY


def entries(data: bytes, file_name: str, columns: Sequence[str], names: Mapping[str, str], needed: Sequence[str]) -> list[Entry]:
    """Rows of every sheet that has the ``needed`` columns, but samples and rows without any of ``columns``; ``names``: other words for a column.

    Raises Invalid for what is no Excel file (:func:`read_sheets`), or has no sheet with the needed columns.
    """
    found: list[Entry] = []
    understood = False
    for sheet in read_sheets(data, file_name):
        header = _header(sheet.rows, columns, names, needed)
        if header is None:
            continue
        understood = True
        at, places = header
        below = [Entry(sheet.name, row, places) for row in sheet.rows[at + 1 :]]
        for entry in below:
            cells = [entry.cell(name) for name in places]
            if any(cell.kind != "empty" for cell in cells) and not any(SAMPLE_MARK in cell.text for cell in cells):
                found.append(entry)
    if not understood:
        raise Invalid(
            "list-columns",
            _l("没有找到“%(columns)s”这几列。", columns="、".join(needed)),
            remedy=_l("请下载模板，把内容填在模板里再上传。"),
            where=file_name,
        )
    return found


def _header(rows: Sequence[Row], columns: Sequence[str], names: Mapping[str, str], needed: Sequence[str]) -> tuple[int, dict[str, int]] | None:
    for at, row in enumerate(rows[:HEADER_WITHIN]):
        places: dict[str, int] = {}
        for index, cell in enumerate(row.cells):
            name = names.get(cell.text.strip(), cell.text.strip())
            if name in columns:
                places.setdefault(name, index)
        if set(needed) <= set(places):
            return at, places
    return None
