"""Excel files that go out: the annotated copy of an import, empty templates, the roster (导出)."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from flask_babel import gettext as _
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet
from sqlalchemy import select

from lms.core.audit import audit
from lms.core.db import db
from lms.core.models import Account
from lms.roster.access import need_admin, school_of, today_of
from lms.roster.classes import class_name, classes_of, roster_of
from lms.roster.intake.headers import Table
from lms.roster.intake.pending import Pending
from lms.roster.intake.verdicts import Verdict
from lms.roster.intake.words import STATUS, line_of, reason_of, remedy_of
from lms.roster.models import Person, PersonAlias

RED = PatternFill("solid", fgColor="FFC9C9")
PALE = PatternFill("solid", fgColor="FFE3E3")
GREY = PatternFill("solid", fgColor="E9ECEF")
_SAMPLE: dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]] = {
    "pupils": (("学号", "姓名", "性别", "班级", "备注"), [("20220101", "张三", "男", "五年级1班", "示例，请删除"), ("20220102", "李四", "女", "五年级1班", "")]),
    "staff": (("工号", "姓名", "职称", "任教班级", "学科"), [("T001", "王老师", "一级教师", "五年级1班、五年级2班", "人工智能")]),
    "slots": (("班级", "星期", "节次", "单双周", "学科", "教师", "教室"), [("五年级1班", "周二", "第3节", "", "人工智能", "王老师", "lab1")]),
}


def put(sheet: Worksheet, row: int, column: int, value: Any) -> Any:
    """Write a value as text where it is text, never as a formula, so that numbers keep their zeros and nothing is executed."""
    cell: Any = sheet.cell(row=row, column=column)
    cell.value = value
    if isinstance(value, str):
        cell.data_type = "s"
        cell.number_format = "@"
    return cell


def _head(sheet: Worksheet, row: int, titles: Sequence[str], widths: Iterable[int] = ()) -> None:
    for index, title in enumerate(titles, 1):
        head = put(sheet, row, index, title)
        head.font, head.fill = Font(bold=True), GREY
    for index, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(index)].width = width
    sheet.freeze_panes = f"A{row + 1}"


def _bytes(book: Workbook) -> bytes:
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def annotated(pending: Pending, verdicts: Sequence[Verdict]) -> bytes:
    """The file as it was read, rows at their old numbers, problems in a red column 问题 in front and the cells concerned in red.

    It can be put right in place and imported again: the column 问题 is not read.
    """
    book = Workbook()
    book.remove(book.worksheets[0])
    by_place = {(verdict.sheet, verdict.row): verdict for verdict in verdicts}
    for table in pending.tables:
        _annotate(book.create_sheet(_sheet_name(table.sheet)), table, by_place)
    return _bytes(book)


def _sheet_name(name: str) -> str:
    return "".join("_" if char in "[]:*?/\\" else char for char in name)[:31] or "Sheet"


def _annotate(sheet: Worksheet, table: Table, by_place: dict[tuple[str, int], Verdict]) -> None:
    fields = [column.field for column in table.columns]
    _head(sheet, table.header_row, ["问题", _("结果"), *(column.title for column in table.columns)], (60, 8, *(16 for _field in fields)))
    for line in table.lines:
        verdict = by_place[line.sheet, line.row]
        told = [line_of(problem, line.row) for problem in verdict.problems]
        wrong = {problem.field for problem in verdict.problems}
        if told:
            note = put(sheet, line.row, 1, "\n".join(told))
            note.font, note.fill, note.alignment = Font(color="C92A2A", bold=True), PALE, Alignment(wrap_text=True, vertical="top")
        put(sheet, line.row, 2, str(STATUS[verdict.status]))
        for index, field in enumerate(fields, 3):
            shown = line.get(field)
            hidden = shown.kind == "refused" or field == "registry_no"
            written = put(sheet, line.row, index, _("（已隐去）") if hidden and shown.kind != "empty" else shown.text)
            if field in wrong:
                written.fill = RED


def problem_lines(verdicts: Sequence[Verdict], limit: int = 500) -> list[tuple[Verdict, list[tuple[str, str]]]]:
    """Rows with problems, each as pairs of what is wrong and what to do, at most ``limit`` rows."""
    found = [verdict for verdict in verdicts if verdict.problems]
    return [(verdict, [(reason_of(problem), remedy_of(problem)) for problem in verdict.problems]) for verdict in found[:limit]]


def template(kind: str) -> bytes:
    """An empty list of the roster with sample lines."""
    titles, rows = _SAMPLE[kind]
    return empty_list("Sheet", titles, rows, (16,) * len(titles))


def empty_list(title: str, columns: Sequence[str], samples: Sequence[Sequence[str]], widths: Sequence[int], needed: Sequence[str] = (), hints: Sequence[str] = ()) -> bytes:
    """A list to fill in: headers (``needed`` ones in red), sample lines, 300 lines of cells as text; ``hints`` on a sheet 说明."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = title
    _head(sheet, 1, columns, widths)
    for index, name in enumerate(columns, 1):
        if name in needed:
            sheet.cell(row=1, column=index).font = Font(bold=True, color="C92A2A")
        for at in range(len(samples) + 2, 302):
            sheet.cell(row=at, column=index).number_format = "@"
    for at, sample in enumerate(samples, 2):
        for index, value in enumerate(sample, 1):
            put(sheet, at, index, value)
    if hints:
        page = book.create_sheet("说明")
        page.column_dimensions["A"].width = 90
        for at, hint in enumerate(hints, 1):
            put(page, at, 1, hint)
    return _bytes(book)


def plain_list(sheet_name: str, columns: Sequence[str], rows: Iterable[Sequence[str]], widths: Iterable[int] = (), title: str = "") -> bytes:
    """A list that goes out: a title above it where there is one, headers, rows of texts that wrap."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = sheet_name
    top = 2 if title else 1
    if title:
        put(sheet, 1, 1, title).font = Font(bold=True, size=14)
    _head(sheet, top, columns, widths)
    for at, row in enumerate(rows, top + 1):
        for index, value in enumerate(row, 1):
            put(sheet, at, index, value).alignment = Alignment(wrap_text=True, vertical="top")
    return _bytes(book)


def roster_book(actor: Account, school_id: uuid.UUID) -> bytes:
    """The pupils' list of the school as it can be imported again, one sheet a class; the export is journalled."""
    need_admin(actor, school_id)
    school = school_of(school_id)
    today = today_of(school)
    aliases = select(PersonAlias.person_id, PersonAlias.value).where(PersonAlias.school_id == school_id, PersonAlias.scheme == "student_no")
    numbers = dict(db.session.execute(aliases).all())
    students = select(Person.id, Person.sex).where(Person.school_id == school_id, Person.kind == "student")
    sexes = dict(db.session.execute(students).all())
    book = Workbook()
    book.remove(book.worksheets[0])
    count = 0
    for cohort in classes_of(school_id):
        name = class_name(cohort, school, today)
        sheet = book.create_sheet(_sheet_name(name))
        _head(sheet, 1, ("学号", "姓名", "性别", "班级", "座号"), (16, 14, 6, 16, 6))
        for at, pupil in enumerate(roster_of(cohort.id, today), 2):
            count += 1
            values = (numbers.get(pupil.person_id, ""), pupil.name, sexes.get(pupil.person_id, ""), name, pupil.roll_no or None)
            for index, value in enumerate(values, 1):
                put(sheet, at, index, value)
    if not book.worksheets:
        _head(book.create_sheet("名单"), 1, ("学号", "姓名", "性别", "班级", "座号"))
    audit(actor, "export-roster", "school", school_id, school_id=school_id, pupils=count)
    return _bytes(book)
