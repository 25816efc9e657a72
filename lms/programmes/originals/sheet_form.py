"""An Excel file as a form (Excel 表样): its cells, and filling them while formats, widths and merged cells stay (openpyxl)."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from io import BytesIO
from typing import Any

from lms.programmes.originals.rules import TICKED, Grid, Preview, Repeat, Spot, Write, boxes, pieces, written

MOST_ROWS, MOST_COLUMNS = 300, 60


class NoRoom(ValueError):
    """Rows cannot be added to the sheet without breaking it; the text says why."""


def read_sheets(data: bytes) -> Preview:
    """A grid a sheet; hidden sheets are left out."""
    return tuple(_grid(sheet) for sheet in _book(data).worksheets if sheet.sheet_state == "visible")


def _book(data: bytes) -> Any:
    from openpyxl import load_workbook

    return load_workbook(BytesIO(data), rich_text=True)


def _grid(sheet: Any) -> Grid:
    spans = {(one.min_row, one.min_col): (one.size["columns"], one.size["rows"]) for one in sheet.merged_cells.ranges}
    covered = {cell for one in sheet.merged_cells.ranges for cell in one.cells if cell != (one.min_row, one.min_col)}
    rows = []
    for number in range(1, min(sheet.max_row, MOST_ROWS) + 1):
        spots = []
        for column in range(1, min(sheet.max_column, MOST_COLUMNS) + 1):
            if (number, column) not in covered:
                cell = sheet.cell(number, column)
                across, down = spans.get((number, column), (1, 1))
                spots.append(Spot(f"{sheet.title}!{cell.coordinate}", _said(cell), across, down))
        rows.append(tuple(spots))
    return Grid(sheet.title, tuple(rows))


def _said(cell: Any) -> str:
    return "" if cell.value is None else str(cell.value)


def fill_sheets(data: bytes, single: Sequence[Write], repeats: Sequence[Repeat]) -> bytes:
    """The file with its cells filled; raises KeyError naming a cell that it does not have, NoRoom where rows cannot be added."""
    book = _book(data)
    for write in single:
        cell = _cell(book, write.at)
        if write.put == "tick" and write.ticks is not None:
            signs = list(_said(cell))
            for place in boxes(_said(cell), *write.ticks):
                signs[place] = TICKED
            _set(cell, "".join(signs))
        else:
            for piece in pieces(_said(cell), write):
                _set(cell, written(_said(cell), piece.put, piece.text))
    done = [(_cell(book, next(iter(one.rows[0]))), one) for one in repeats if one.rows]
    for first, repeat in sorted(done, key=lambda pair: -pair[0].row):  # from below: what moves is filled already
        _repeat(book, first.parent, first.row, repeat)
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def _cell(book: Any, at: str) -> Any:
    name, _mark, place = at.rpartition("!")
    if name not in book.sheetnames:
        raise KeyError(at)
    cell = book[name][place]
    if not hasattr(cell, "_style") or type(cell).__name__ == "MergedCell":
        raise KeyError(at)
    return cell


def _set(cell: Any, text: str) -> None:
    cell.value = text
    if text:
        cell.data_type = "s"  # a telephone stays text, "=…" never begins a formula
    if "\n" in text:
        alignment = copy(cell.alignment)
        alignment.wrap_text = True
        cell.alignment = alignment


def _repeat(book: Any, sheet: Any, row: int, repeat: Repeat) -> None:
    columns = {at: _cell(book, at).column for at in repeat.rows[0]}
    spare = 0
    while (
        spare < len(repeat.rows) - 1
        and row + spare + 1 <= sheet.max_row
        and _is_spare(sheet, row + spare + 1, list(columns.values()))
    ):
        spare += 1
    missing = len(repeat.rows) - 1 - spare
    if missing:
        _add_rows(book, sheet, row, row + spare, missing)
    for number, texts in enumerate(repeat.rows):
        for at, text in texts.items():
            _set(sheet.cell(row + number, columns[at]), text)


def _is_spare(sheet: Any, row: int, columns: Sequence[int]) -> bool:
    cells = [sheet.cell(row, column) for column in columns]
    return all(type(one).__name__ != "MergedCell" for one in cells) and all(
        sheet.cell(row, column).value is None for column in range(1, sheet.max_column + 1)
    )


def _add_rows(book: Any, sheet: Any, pattern: int, after: int, count: int) -> None:
    """Room for ``count`` rows below ``after``, formatted as the row ``pattern``."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.cell_range import CellRange

    last = sheet.max_row
    if last > after:
        _need_movable(book, sheet, after)
        sheet.move_range(f"A{after + 1}:{get_column_letter(sheet.max_column)}{last}", rows=count)
        for one in list(sheet.merged_cells.ranges):
            if one.min_row > after:
                one.shift(row_shift=count)
        for number in sorted((one for one in sheet.row_dimensions if one > after), reverse=True):
            height = sheet.row_dimensions[number].height
            sheet.row_dimensions[number + count].height = height
            sheet.row_dimensions[number].height = None
    merged = [(one.min_col, one.max_col) for one in sheet.merged_cells.ranges if one.min_row == one.max_row == pattern]
    for number in range(after + 1, after + count + 1):
        for column in range(1, sheet.max_column + 1):
            sheet.cell(number, column)._style = copy(sheet.cell(pattern, column)._style)
        for low, high in merged:
            sheet.merge_cells(CellRange(min_row=number, max_row=number, min_col=low, max_col=high).coord)
        sheet.row_dimensions[number].height = sheet.row_dimensions[pattern].height


def _need_movable(book: Any, sheet: Any, after: int) -> None:
    if any(one.min_row <= after < one.max_row for one in sheet.merged_cells.ranges):
        raise NoRoom("合并的单元格跨过要加的行")
    if sheet.tables or any(
        cell.data_type == "f" for each in book.worksheets for row in each.iter_rows() for cell in row
    ):
        raise NoRoom("工作簿里有公式或“表格”对象，加行会使引用错位")
    ranges = [*sheet.conditional_formatting, *sheet.data_validations.dataValidation]
    if any(part.max_row > after for one in ranges for part in one.sqref.ranges):
        raise NoRoom("下面的行有条件格式或数据有效性，加行会使它们错位")
