"""The school calendar from Excel: the template and its rows (校历表格)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from lms.roster.intake.books import empty_list
from lms.roster.intake.lists import SAMPLE_MARK, Entry, entries
from lms.usage.reasons import N_
from lms.usage.schoolyear.planned import KINDS, Planned, date_of, follows_of, grades_of, kind_of

COLUMNS = ("日期", "到", "类别", "按周几的课表", "年级", "原因")
NEEDED = ("日期", "类别", "原因")
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
    ("2026-11-12", "2026-11-13", "放假停课", "", "全校", f"秋季运动会（{SAMPLE_MARK}）"),
    ("2026-11-14", "", "调休上课", "周四", "", f"补运动会（{SAMPLE_MARK}）"),
    ("2027-01-11", "2027-01-15", "非教学周", "", "五年级、六年级", f"期末考试（{SAMPLE_MARK}）"),
)


def template() -> bytes:
    """An empty list with the right headers and three sample lines, all cells as text."""
    return empty_list("校历", COLUMNS, _SAMPLE, (13, 13, 12, 14, 22, 34), NEEDED)


def read_book(data: bytes, file_name: str, start: date, end: date, every: Sequence[int]) -> list[Planned]:
    """Rows of an uploaded workbook, each with what is wrong with it; ``start``–``end``: the term that dates without a year lie in.

    Raises Invalid for what is no Excel file, or holds no list of the template's columns.
    """
    return [_planned(entry, start, end, every) for entry in entries(data, file_name, COLUMNS, _NAMES, NEEDED)]


def _planned(entry: Entry, start: date, end: date, every: Sequence[int]) -> Planned:
    cell = entry.cell
    planned = Planned(entry.where, _kind(cell("类别").text), None, None, cell("原因").text[:60])
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
    return Planned(entry.where, planned.kind, first, last, planned.reason, follows, grades)


def _kind(text: str) -> str:
    named = {name: kind for kind, name in KINDS.items()}
    return named.get(text.strip()) or kind_of(text)
