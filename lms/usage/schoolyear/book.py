"""The school calendar from Excel: the template and its rows (校历表格)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date

from flask_babel import lazy_gettext as _l
from openpyxl import Workbook

from lms.core.errors import Invalid
from lms.roster.intake.books import put
from lms.roster.intake.cells import EMPTY, Cell, Row
from lms.roster.intake.sheets import read_sheets
from lms.usage.reasons import N_
from lms.usage.schoolyear.planned import KINDS, Planned, date_of, follows_of, grades_of, kind_of

COLUMNS = ("日期", "到", "类别", "按周几的课表", "年级", "原因")
_NAMES = {
    "开始日期": "日期",
    "起": "日期",
    "结束日期": "到",
    "止": "到",
    "类型": "类别",
    "按周几": "按周几的课表",
    "事由": "原因",
}
_SAMPLE = (
    ("2026-11-12", "2026-11-13", "放假停课", "", "全校", "秋季运动会（示例，请删除）"),
    ("2026-11-14", "", "调休上课", "周四", "", "补运动会（示例，请删除）"),
    ("2027-01-11", "2027-01-15", "非教学周", "", "五年级、六年级", "期末考试（示例，请删除）"),
)
SAMPLE_MARK = "示例，请删除"


def template() -> bytes:
    """An empty list with the right headers and three sample lines, all cells as text."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "校历"
    for at, line in enumerate((COLUMNS, *_SAMPLE), 1):
        for column, value in enumerate(line, 1):
            put(sheet, at, column, value)
    for letter, width in zip("ABCDEF", (13, 13, 12, 14, 22, 34), strict=True):
        sheet.column_dimensions[letter].width = width
    sheet.freeze_panes = "A2"
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def read_book(data: bytes, file_name: str, start: date, end: date, every: Sequence[int]) -> list[Planned]:
    """Rows of an uploaded workbook, each with what is wrong with it; ``start``–``end``: the term that dates without a year lie in.

    Raises Invalid for what is no Excel file, or holds no list of the template's columns.
    """
    found: list[Planned] = []
    understood = False
    for sheet in read_sheets(data, file_name):
        header = _header(sheet.rows)
        if header is None:
            continue
        understood = True
        at, columns = header
        for row in sheet.rows[at + 1 :]:
            planned = _planned(sheet.name, row, columns, start, end, every)
            if planned is not None:
                found.append(planned)
    if not understood:
        raise Invalid(
            "calendar-columns",
            _l("没有找到“日期、类别、原因”这几列。"),
            remedy=_l("请下载模板，把内容填在模板里再上传。"),
            where=file_name,
        )
    return found


def _header(rows: Sequence[Row]) -> tuple[int, dict[str, int]] | None:
    for at, row in enumerate(rows[:20]):
        texts = {_NAMES.get(cell.text.strip(), cell.text.strip()): index for index, cell in enumerate(row.cells)}
        columns = {name: texts[name] for name in COLUMNS if name in texts}
        if {"日期", "类别", "原因"} <= set(columns):
            return at, columns
    return None


def _planned(
    sheet: str, row: Row, columns: dict[str, int], start: date, end: date, every: Sequence[int]
) -> Planned | None:
    def cell(name: str) -> Cell:
        index = columns.get(name)
        return row.cells[index] if index is not None and index < len(row.cells) else EMPTY

    if all(cell(name).kind == "empty" for name in COLUMNS) or SAMPLE_MARK in cell("原因").text:
        return None
    where = f"“{sheet}”第 {row.number} 行"
    planned = Planned(where, _kind(cell("类别").text), None, None, cell("原因").text[:60])
    for name in COLUMNS:
        if cell(name).kind in ("formula", "error"):
            return planned.bad("cell", N_("“%(column)s”一列是公式或错误值，请改成普通文字"), column=name)
    try:
        first = date_of(cell("日期").text, start, end)
        last = date_of(cell("到").text, start, end) if cell("到").text else first
    except ValueError:
        text = N_("“%(column)s”一列的日期看不懂：%(text)s；请写成 2026-11-03 这样")
        return planned.bad("date", text, column="日期/到", text=f"{cell('日期').text} {cell('到').text}".strip())
    follows = follows_of(cell("按周几的课表").text)
    if cell("按周几的课表").text and follows is None:
        text = N_("“%(column)s”一列应写周一到周日：%(text)s")
        return planned.bad("follows", text, column="按周几的课表", text=cell("按周几的课表").text)
    try:
        grades = grades_of(cell("年级").text, every)
    except ValueError as error:
        return planned.bad(
            "grades", N_("“%(column)s”一列里没有本校的这个年级：%(text)s"), column="年级", text=str(error)
        )
    return Planned(where, planned.kind, first, last, planned.reason, follows, grades)


def _kind(text: str) -> str:
    named = {name: kind for kind, name in KINDS.items()}
    return named.get(text.strip()) or kind_of(text)
