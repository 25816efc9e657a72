"""Excel of a document's tables (汇总表的 Excel): a sheet each, as the form prints it, on one A4 page across."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask_babel import lazy_gettext as _l

from lms.core.errors import Refused
from lms.programmes.layout import Paper, Table
from lms.programmes.words import counts_alone

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

MM_A_CHARACTER = 1.9  # of 五号 in a column
LINE_POINTS = 15
_NAMES = str.maketrans(":\\/?*[]", "_______")


def as_xlsx(made: Paper) -> bytes:
    """A sheet for each table, named by its heading: title, head, columns verbatim, rows, note, foot; a cell never begins a formula."""
    from openpyxl import Workbook

    if not made.tables:
        raise Refused("no-table", _l("这份文件里没有表格。"))
    book = Workbook()
    book.remove(book.active)  # type: ignore[arg-type]  # a new book has one
    head = [one.text for one in made.blocks if one.kind in ("mark", "cover", "head")]
    foot = [one.text for one in made.blocks if one.kind == "foot"]
    for number, table in enumerate(made.tables, 1):
        sheet = book.create_sheet((table.title or f"表{number}").translate(_NAMES)[:31])
        titles = [table.title] if len(made.tables) > 1 else []
        _fill(sheet, made.title, [*head, *titles], table, [*_notes(made, table), *foot])
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def _notes(made: Paper, table: Table) -> list[str]:
    """What stands below a table before the next block."""
    place = next(number for number, one in enumerate(made.blocks) if one.table is table)
    found = []
    for one in made.blocks[place + 1 :]:
        if one.kind != "note":
            break
        found.append(one.text)
    return found


def _fill(sheet: Worksheet, title: str, above: Sequence[str], table: Table, below: Sequence[str]) -> None:
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.properties import PageSetupProperties

    widths = [max(8.0, width / MM_A_CHARACTER) for width in table.widths]
    for place, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(place)].width = width
    _across(sheet, title, widths, "方正小标宋简体", 18)
    for text in above:
        _across(sheet, text, widths)
    first = sheet.max_row + 1
    for row in (table.columns, *table.rows):
        _row(sheet, row, widths, "黑体" if sheet.max_row < first else "仿宋_GB2312")
    for text in below:
        _across(sheet, text, widths)
    sheet.freeze_panes = f"A{first + 1}"
    sheet.print_title_rows = f"{first}:{first}"
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", 9  # A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.print_options.horizontalCentered = True


def _row(sheet: Worksheet, texts: Sequence[str], widths: Sequence[float], face: str) -> None:
    from openpyxl.styles import Alignment, Border, Font, Side

    side = Side(style="thin")
    number = sheet.max_row + 1
    for place, text in enumerate(texts, 1):
        cell: Any = sheet.cell(number, place, text)
        cell.border, cell.alignment = Border(side, side, side, side), Alignment(wrap_text=True, vertical="center")
        cell.number_format, cell.data_type = "@", "s"  # a telephone stays text, "=…" never begins a formula
        cell.font = Font(name=face, size=10.5)
    lines = max(_lines(text, width) for text, width in zip(texts, widths, strict=True))
    sheet.row_dimensions[number].height = LINE_POINTS * lines + 5


def _across(
    sheet: Worksheet, text: str, widths: Sequence[float], face: str = "仿宋_GB2312", size: float = 10.5
) -> None:
    """A line over all columns: the title in the middle, others from the left."""
    from openpyxl.styles import Alignment, Font

    number = 1 if sheet["A1"].value is None else sheet.max_row + 1
    cell: Any = sheet.cell(number, 1, text)
    cell.data_type, cell.font = "s", Font(name=face, size=size)
    cell.alignment = Alignment(horizontal="center" if size > 12 else "left", vertical="center", wrap_text=True)
    if len(widths) > 1:
        sheet.merge_cells(start_row=number, start_column=1, end_row=number, end_column=len(widths))
    sheet.row_dimensions[number].height = 1.6 * size * _lines(text, sum(widths) * 10.5 / size) + 3


def _lines(text: str, width: float) -> int:
    """Lines that a text takes in a column of so many half-width characters."""
    return sum(
        -(-max(1, sum(2 if counts_alone(one) else 1 for one in line)) // max(1, int(width) - 1))
        for line in text.split("\n")
    )
