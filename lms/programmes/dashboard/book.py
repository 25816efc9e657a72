"""The dashboard as an Excel workbook (导出): a sheet for each chart, and what came line by line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

from flask_babel import gettext as _
from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from lms.programmes.dashboard.rules import OUTCOMES, SHOWS, Aim, Bar, Fact, Row, Unit, tiles
from lms.roster.intake.books import put


def workbook_of(
    title: str,
    funnel: Sequence[Bar],
    aims: Sequence[Aim],
    units: Sequence[Unit],
    facts: Sequence[Fact],
    tables: tuple[Sequence[Row], Sequence[Row]],
    weeks: Sequence[Bar],
) -> bytes:
    """The workbook's bytes; ``title`` stands above every sheet."""
    book = Workbook()
    book.remove(book.worksheets[0])
    _sheet(book, _("进度"), title, [_("环节"), _("份数")], [[str(one.name), one.number] for one in funnel])
    head = [_("通知"), _("目标"), _("目标数"), _("单位"), _("期限"), _("现有"), _("依据")]
    rows = [
        [
            one.programme,
            one.name,
            one.number,
            one.unit,
            one.by,
            _("系统不计") if one.actual is None else one.actual,
            one.clause,
        ]
        for one in aims
    ]
    _sheet(book, _("目标"), title, head, rows)
    _sheet(book, _("各地"), title, [_("上级"), _("单位"), *map(str, SHOWS.values())], _places(units, facts))
    heads = [_("学段、城乡"), *map(str, OUTCOMES.values()), _("合计")]
    _sheet(
        book, _("学段与城乡"), title, heads, [[one.name, *one.numbers, one.total] for table in tables for one in table]
    )
    _sheet(book, _("每周提交"), title, [_("周一"), _("份数")], [[one.key, one.number] for one in weeks])
    head = [_("申报单位"), _("通知"), _("类别"), _("批次"), _("状态"), _("城乡"), _("首次提交")]
    lines = [
        [
            one.applicant,
            one.programme,
            one.kind_name,
            one.batch_name,
            one.status_name,
            one.locality,
            one.submitted_on.isoformat() if one.submitted_on else "",
        ]
        for one in facts
        if one.came
    ]
    _sheet(book, _("收到的申报"), title, head, lines)
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def _places(units: Sequence[Unit], facts: Sequence[Fact]) -> list[list[Any]]:
    by_show = [tiles(units, facts, show) for show in SHOWS]
    rows: list[list[Any]] = [
        [unit.group, unit.name, *(found[place].number for found, _rest in by_show)] for place, unit in enumerate(units)
    ]
    return [*rows, ["", _("本单位和直属"), *(rest for _found, rest in by_show)]]


def _sheet(book: Workbook, name: str, title: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    sheet = book.create_sheet(name)
    put(sheet, 1, 1, title)
    widths = [len(one) * 2 + 4 for one in head]
    for column, text in enumerate(head, 1):
        put(sheet, 2, column, text).font = Font(bold=True)
    for number, row in enumerate(rows, 3):
        for column, value in enumerate(row, 1):
            put(sheet, number, column, value)
            widths[column - 1] = min(48, max(widths[column - 1], len(str(value)) * 2 + 2))
    for column, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.freeze_panes = "A3"
