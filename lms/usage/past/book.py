"""Past lessons from Excel: the template and its rows (补录表格)."""

from __future__ import annotations

import io
from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from lms.core.errors import Invalid
from lms.roster.intake.books import put
from lms.roster.intake.cells import Row as SheetRow
from lms.roster.intake.sheets import read_sheets
from lms.usage.past.planned import COLUMNS, DIVISIONS, NAMES, NEEDED, Row

SAMPLE_MARK = "示例，请删除"
_SAMPLE = (
    ("2026-09-08", "五年级1班", "第3节", "", "40", "1", "人工智能", f"机器怎样看世界（{SAMPLE_MARK}）", "", "王老师", "40", "1", "38", "常规课"),
    ("2026-09-15", "五年级1班", "", "10:05", "40", "1", "人工智能", f"补上周的课（{SAMPLE_MARK}）", "", "王老师", "40", "0", "40", "补课", "2026-09-11"),
)  # fmt: skip
_HINTS = (
    ("日期、班级、任课教师、实到必填；节次和开始时间填一个。", ""),
    ("应到填名册人数；不填按系统里当天的名单算。", ""),
    ("教材的课：填教材目录里的编号或课名；不填就不计入课程要求。", ""),
    ("课型：常规课、补课、合班课、代课、线上课、社团或课后服务、考试。补课要填“补哪天的课”。", ""),
    (f"分次：{'、'.join(DIVISIONS)}；第二部分起填“第一部分日期”。", ""),
    ("补录的记录证据等级为 C，来源标为手工。", ""),
)


def template() -> bytes:
    """An empty list with the right headers, two sample lines and a sheet that explains the columns; all cells as text."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "补录"
    for at, line in enumerate((COLUMNS, *_SAMPLE), 1):
        for column, value in enumerate(line, 1):
            put(sheet, at, column, value)
    for index, name in enumerate(COLUMNS, 1):
        letter, head = get_column_letter(index), sheet.cell(row=1, column=index)
        head.font = Font(bold=True, color="C92A2A" if name in NEEDED else "000000")
        sheet.column_dimensions[letter].width = 26 if name in ("课题", "教材的课") else 13
        for row in range(len(_SAMPLE) + 2, 302):
            sheet.cell(row=row, column=index).number_format = "@"
    sheet.freeze_panes = "A2"
    hints = book.create_sheet("说明")
    for at, (text, _empty) in enumerate(_HINTS, 1):
        put(hints, at, 1, text)
    hints.column_dimensions["A"].width = 90
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def read_book(data: bytes, file_name: str) -> list[Row]:
    """Rows of an uploaded workbook by column. Raises Invalid for what is no Excel file, or holds no such list."""
    found: list[Row] = []
    understood = False
    for sheet in read_sheets(data, file_name):
        header = _header(sheet.rows)
        if header is None:
            continue
        understood = True
        at, columns = header
        for row in sheet.rows[at + 1 :]:
            texts = {name: row.cells[index].text for name, index in columns.items() if index < len(row.cells)}
            if any(texts.values()) and SAMPLE_MARK not in texts.get("课题", ""):
                found.append(Row(f"“{sheet.name}”第 {row.number} 行", texts))
    if not understood:
        raise Invalid(
            "past-columns",
            _l("没有找到“日期、班级、任课教师、实到”这几列。"),
            remedy=_l("请下载模板，把内容填在模板里再上传。"),
            where=file_name,
        )
    return found


def _header(rows: Sequence[SheetRow]) -> tuple[int, dict[str, int]] | None:
    for at, row in enumerate(rows[:20]):
        columns: dict[str, int] = {}
        for index, cell in enumerate(row.cells):
            name = NAMES.get(cell.text.strip(), cell.text.strip())
            if name in COLUMNS:
                columns.setdefault(name, index)
        if set(NEEDED) <= set(columns):
            return at, columns
    return None
