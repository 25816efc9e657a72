"""The compliance figures as an Excel workbook (导出): summary, classes, lessons; text cells, ready to print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask_babel import gettext as _
from openpyxl import Workbook
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from lms.core.stages import STAGE_NAMES
from lms.usage.board import advice
from lms.usage.judging.lessons import KIND_NAMES
from lms.usage.judging.verdicts import VERDICT_NAMES, ClassResult, SchoolResult
from lms.usage.policies import policy
from lms.usage.reasons import Reason

Say = Callable[[Reason], str]
_LINE = Side(style="thin", color="999999")
_GRID = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
_HEAD = PatternFill("solid", fgColor="E7F5F8")


def workbook_of(
    school: str, results: Sequence[SchoolResult], own: frozenset[str] | None, units: dict[str, str], say: Say, *, simulated: bool
) -> Workbook:
    """One sheet of verdicts by stage and rule, one of classes, one of lessons; ``own``: ids of the classes to show, None for all."""
    book = Workbook()
    book.remove(book.worksheets[0])
    shown = [[one for one in result.classes if own is None or one.cohort.id in own] for result in results]
    note = [_("示范数据：数据与设备均为模拟，不作为开课证明。")] if simulated else []
    first = results[0].facts
    title = [f"{school} · {_('开课合规')}", _("截至 %(day)s，课程 %(course)s", day=first.as_of.isoformat(), course=first.course), *note]
    if own is None:
        add_sheet(book, _("学段"), title, *_stage_rows(results, say), widths=(20, 10, 14, 14, 52, 10, 34))
    add_sheet(book, _("班级"), title, *_class_rows(results, shown, say), widths=(20, 10, 12, 14, 14, 8, 8, 8, 8, 8, 8, 24, 36))
    add_sheet(book, _("课次"), title, *_lesson_rows(shown[0], units, say), widths=(12, 12, 24, 10, 8, 8, 8, 8, 8, 44))
    return book


def _stage_rows(results: Sequence[SchoolResult], say: Say) -> tuple[list[str], list[list[Any]]]:
    head = [_("规则"), _("学段"), _("判定"), _("不扣非教学周"), _("理由"), _("版本"), _("依据")]
    rows = [
        [
            _(policy(result.rule).title),
            _(STAGE_NAMES[stage.stage]),
            _(VERDICT_NAMES[stage.verdict]),
            _(VERDICT_NAMES[result.verdict_without_flags]),
            say(stage.reason),
            result.version,
            result.clause,
        ]
        for result in results
        for stage in result.stages
    ]
    return head, rows


def _class_rows(results: Sequence[SchoolResult], shown: Sequence[Sequence[ClassResult]], say: Say) -> tuple[list[str], list[list[Any]]]:
    head = [
        _("规则"), _("学段"), _("班级"), _("判定"), _("不扣非教学周"), _("有效周"), _("应上"), _("已计"), _("实上"),
        _("最长间隔周"), _("还差"), _("最迟日期"), _("说明"),
    ]  # fmt: skip
    rows = [
        [
            _(policy(result.rule).title),
            _(STAGE_NAMES[one.cohort.stage]),
            one.cohort.name or one.cohort.id,
            _(VERDICT_NAMES[one.verdict]),
            _(VERDICT_NAMES[one.without_flags]),
            len(one.effective),
            one.required,
            one.counted,
            one.raw,
            one.longest_gap,
            one.outlook.needed,
            "、".join(day.isoformat() for day in one.outlook.latest),
            f"{say(one.reason)}；{say(advice(one))}",
        ]
        for result, classes in zip(results, shown, strict=True)
        for one in classes
    ]
    return head, rows


def _lesson_rows(classes: Sequence[ClassResult], units: dict[str, str], say: Say) -> tuple[list[str], list[list[Any]]]:
    head = [_("班级"), _("日期"), _("课目"), _("课型"), _("分钟"), _("应到"), _("实到"), _("证据"), _("计次"), _("说明")]
    rows = []
    for one in classes:
        for judged in one.lessons:
            row = judged.lesson
            roster = one.cohort.roster if row.roster is None else row.roster
            taught = "、".join(f"{code} {units.get(code, '')}".strip() for code in row.units)
            counts = _("计") if judged.counts else _("不计")
            kind = _(KIND_NAMES[row.kind])
            name = one.cohort.name or one.cohort.id
            rows.append(
                [name, row.date.isoformat(), taught, kind, row.minutes, roster - row.leave, row.present, row.evidence or "", counts, say(judged.reason)]
            )
    return head, rows


def add_sheet(book: Workbook, name: str, title: Sequence[str], head: Sequence[str], rows: Sequence[Sequence[Any]], *, widths: Sequence[int]) -> None:
    """Add a sheet with title lines, head and rows of text, frozen, filtered, set up for A4."""
    sheet: Worksheet = book.create_sheet(name)
    for line in title:
        sheet.append([line])
        sheet.merge_cells(start_row=sheet.max_row, end_row=sheet.max_row, start_column=1, end_column=len(head))
    sheet.cell(1, 1).font = Font(bold=True, size=14)
    top = len(title) + 1
    for number, row in enumerate([head, *rows], top):
        for column, value in enumerate(row, 1):
            _write(sheet.cell(number, column), str(value), head=number == top)
    for column, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.freeze_panes = f"A{top + 1}"
    sheet.auto_filter.ref = f"A{top}:{get_column_letter(len(head))}{sheet.max_row}"
    _print_setup(sheet, top)


def _write(cell: Any, text: str, *, head: bool) -> None:
    """A text cell, also where the text begins like a formula."""
    cell.value = text
    cell.data_type = "s"
    cell.number_format = "@"
    cell.border = _GRID
    cell.alignment = Alignment(vertical="center", wrap_text=True)
    if head:
        cell.font, cell.fill = Font(bold=True), _HEAD


def _print_setup(sheet: Worksheet, top: int) -> None:
    sheet.print_title_rows = f"{top}:{top}"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True  # type: ignore[union-attr]  # set by openpyxl's own default
    if sheet.oddFooter is not None:
        sheet.oddFooter.center.text = "&P / &N"
