"""Excel of the selection (表格): sheets with notes, head and rows written; cells read back as text, whole and untruncated."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from lms.roster.intake.sheets import read_sheets


class Workbook:
    """A workbook in the making; text never begins a formula."""

    def __init__(self) -> None:
        from openpyxl import Workbook as make  # 25 MiB that only an export needs

        self._book = make()
        self._book.remove(self._book.worksheets[0])

    def sheet(
        self,
        name: str,
        title: str,
        notes: Sequence[str],
        head: Sequence[str],
        rows: Sequence[Sequence[Any]],
        widths: Sequence[float],
    ) -> None:
        """A sheet: title, notes a line each, head, rows; ``widths`` in characters."""
        from openpyxl.styles import Alignment, Border, Font, Side

        made = self._book.create_sheet(name[:31])
        made.append([title])
        made.merge_cells(start_row=1, start_column=1, end_row=1, end_column=len(head))
        made["A1"].font, made["A1"].alignment = Font(name="黑体", size=16), Alignment(horizontal="center")
        for note in notes:
            made.append([note])
        made.append(list(head))
        top, side = made.max_row, Side(style="thin")
        for row in rows:
            made.append(list(row))
        for cells in made.iter_rows(min_row=top, max_row=made.max_row, max_col=len(head)):
            for cell in cells:
                cell.border, cell.alignment = (
                    Border(side, side, side, side),
                    Alignment(wrap_text=True, vertical="center"),
                )
                cell.font = Font(name="黑体" if cell.row == top else "宋体", size=11)
                if isinstance(cell.value, str):
                    cell.data_type, cell.number_format = "s", "@"
        for place, width in enumerate(widths, 1):
            made.column_dimensions[made.cell(top, place).column_letter].width = width
        made.freeze_panes = made.cell(top + 1, 1)
        made.page_setup.orientation, made.page_setup.paperSize, made.page_setup.fitToWidth = "landscape", 9, 1
        made.page_setup.fitToHeight = 0
        made.sheet_properties.pageSetUpPr.fitToPage = True
        made.print_title_rows = f"{top}:{top}"

    def saved(self) -> bytes:
        """Its bytes."""
        stream = BytesIO()
        self._book.save(stream)
        return stream.getvalue()


def rows_of(data: bytes, file_name: str) -> list[tuple[str, list[list[str]]]]:
    """Sheets as (title, rows of text). Raises Invalid as the roster's intake does: no Excel, encrypted, packed too large."""
    found = read_sheets(data, file_name)
    if data[:4] != b"PK\x03\x04":
        return [(sheet.name, [[cell.text for cell in row.cells] for row in sheet.rows]) for sheet in found]
    from openpyxl import load_workbook

    book = load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
    try:
        return [
            (sheet.title, [[_text(value) for value in row] for row in sheet.iter_rows(values_only=True, max_col=60)])
            for sheet in book.worksheets
        ]
    finally:
        book.close()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace("\r\n", "\n").replace("_x000D_", "")
