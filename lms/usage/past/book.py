"""Past lessons from Excel: the template and its rows (补录表格)."""

from __future__ import annotations

from lms.roster.intake.books import empty_list
from lms.roster.intake.lists import SAMPLE_MARK, entries
from lms.usage.past.planned import COLUMNS, DIVISIONS, NAMES, NEEDED, Row

_SAMPLE = (
    ("2026-09-08", "五年级1班", "第3节", "", "40", "1", "人工智能", f"机器怎样看世界（{SAMPLE_MARK}）", "", "王老师", "40", "1", "38", "常规课"),
    ("2026-09-15", "五年级1班", "", "10:05", "40", "1", "人工智能", f"补上周的课（{SAMPLE_MARK}）", "", "王老师", "40", "0", "40", "补课", "2026-09-11"),
)  # fmt: skip
_HINTS = (
    "日期、班级、任课教师、实到必填；节次和开始时间填一个。",
    "应到填名册人数；不填按系统里当天的名单算。",
    "教材的课：填教材目录里的编号或课名；不填就不计入课程要求。",
    "课型：常规课、补课、合班课、代课、线上课、社团或课后服务、考试。补课要填“补哪天的课”。",
    f"分次：{'、'.join(DIVISIONS)}；第二部分起填“第一部分日期”。",
    "补录的记录证据等级为 C，来源标为手工。",
)


def template() -> bytes:
    """An empty list with the right headers, two sample lines and a sheet that explains the columns; all cells as text."""
    return empty_list("补录", COLUMNS, _SAMPLE, [26 if name in ("课题", "教材的课") else 13 for name in COLUMNS], NEEDED, _HINTS)


def read_book(data: bytes, file_name: str) -> list[Row]:
    """Rows of an uploaded workbook by column. Raises Invalid for what is no Excel file, or holds no such list."""
    return [Row(one.where, {name: one.cell(name).text for name in one.columns}) for one in entries(data, file_name, COLUMNS, NAMES, NEEDED)]
