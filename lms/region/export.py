"""The officer's table as an Excel workbook (导出)."""

from __future__ import annotations

from datetime import date

from flask_babel import gettext as _
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from lms.region.questions import Asked, SchoolLine, Table
from lms.usage.judging.packs import Policy
from lms.usage.judging.verdicts import VERDICT_NAMES

WIDTHS = (30, 16, 14, 8, 8, 10, 10, 10, 10, 12, 12, 14)


def workbook_of(office: str, rule: Policy, asked: Asked, found: Table, today: date, *, simulated: bool) -> Workbook:
    """One sheet, one line a school, worst first."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(_("各校开课"))
    for column, width in zip("ABCDEFGHIJKL", WIDTHS, strict=True):
        sheet.column_dimensions[column].width = width
    sheet.freeze_panes = "A4"
    sheet.append(
        [f"{office} · {_(rule.title)} · {_('规则版本 %(version)s', version=rule.version)} · {today.isoformat()}"]
    )
    sheet.append([_("示范数据：数据与设备均为模拟，不作为开课证明。") if simulated else asked.term])
    head = [
        _("学校"),
        _("标识码"),
        _("判定"),
        _("班级"),
        _("达标"),
        _("基本达标"),
        _("未达标"),
        _("暂不能判定"),
        _("够不着"),
        _("截至"),
        _("上次上报"),
        _("备注"),
    ]
    cells = [WriteOnlyCell(sheet, value=text) for text in head]
    for cell in cells:
        cell.font = Font(bold=True)
    sheet.append(cells)
    for line in found.lines:
        sheet.append(_row(line))
    return book


def _row(line: SchoolLine) -> list[object]:
    verdict = _(VERDICT_NAMES[line.verdict]) if line.verdict in VERDICT_NAMES else _("没有数据")
    remarks = [_("%(months)s 个月没有上报", months=line.stale_months)] if line.stale_months else []
    remarks += [_("从未上报")] if line.handed is None else []
    remarks += [_("有缺口")] if line.gaps else []
    remarks += [_("被退回")] if line.refused else []
    counts = [line.classes, line.met, line.nearly, line.behind, line.waiting, line.out]
    days = [day.isoformat() if day else "" for day in (line.as_of, line.handed)]
    return [_text(line.name), _text(line.code), verdict, *counts, *days, "、".join(remarks)]


def _text(value: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in "=+-@" else value
