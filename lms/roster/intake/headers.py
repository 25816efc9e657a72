"""Which column is what (表头): the header row below a merged title, and the many names of one column; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lms.roster.intake.cells import EMPTY, Cell, Row, Sheet
from lms.roster.rules import ClassNameError, parse_class_name, squeeze

SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("姓名", "学生姓名", "名字", "学生", "学生名字", "教师姓名", "老师姓名"),
    "student_no": ("学号", "学生学号", "学生编号", "校内学号", "学校学号", "编号"),
    "class": ("班级", "班别", "班号", "班", "所在班级", "行政班", "行政班级", "班级名称", "所属班级", "就读班级", "现班级"),
    "grade": ("年级", "所在年级", "年级名称", "就读年级", "年段"),
    "sex": ("性别", "学生性别"),
    "roll_no": ("座号", "班内序号", "班序号", "班内学号", "座位号"),
    "registry_no": ("学籍号", "全国学籍号", "学籍编号", "国网学籍号"),
    "id_card": ("身份证号", "身份证号码", "身份证", "身份证件号", "证件号码", "居民身份证号", "公民身份号码"),
    "guardian": ("监护人姓名", "监护人", "家长姓名", "家长", "成员1姓名", "联系人"),
    "guardian_phone": ("监护人手机", "监护人电话", "监护人手机号", "监护人联系方式", "家长手机", "家长电话", "家长手机号", "联系电话", "手机", "手机号", "电话", "联系方式"),
    "relation": ("与学生关系", "关系", "监护人关系", "与监护人关系"),
    "staff_no": ("工号", "教工号", "职工号", "教师编号", "教职工号", "教师工号"),
    "classes": ("任教班级", "任课班级", "授课班级", "所教班级", "任教班"),
    "subject": ("学科", "任教学科", "科目", "课程", "任课学科", "课程名称", "任教科目"),
    "title": ("职称", "专业技术职务"),
    "weekday": ("星期", "周几", "上课星期", "星期几", "礼拜"),
    "period": ("节次", "节", "第几节", "课节", "上课节次"),
    "weeks": ("单双周", "周次类型", "单/双周", "周次"),
    "teacher": ("教师", "任课教师", "授课教师", "老师", "上课教师", "任课老师"),
    "room": ("教室", "上课地点", "地点", "上课教室", "场地"),
    "note": ("备注", "说明"),
    "problem": ("问题", "结果"),
    "serial": ("序号", "序", "no", "no."),
}
FIELDS_OF: Final[dict[str, tuple[str, ...]]] = {
    "pupils": ("name", "student_no", "class", "grade", "sex", "roll_no", "registry_no", "guardian", "guardian_phone", "relation"),
    "staff": ("name", "staff_no", "classes", "subject", "sex", "title"),
    "slots": ("class", "grade", "weekday", "period", "weeks", "subject", "teacher", "staff_no", "room"),
}
"""Columns that each kind of list reads; every other column is left unread and is said to be so. ID card numbers are never among them."""

TITLES: Final[dict[str, str]] = {field: names[0] for field, names in SYNONYMS.items()}
HEADER_SEARCH_ROWS: Final = 20
_FOOT = re.compile(r"^(合计|总计|共计|小计|制表|填表|说明|注[:：]|备注[:：]|审核|班主任签)")
_BY_NAME: Final = {squeeze(name).lower(): field for field, names in SYNONYMS.items() for name in names}


@dataclass(frozen=True)
class Column:
    """A column that is read: where it stands (from 0), what it is, what the sheet calls it."""

    index: int
    field: str
    title: str


@dataclass(frozen=True)
class Line:
    """A data row by field."""

    sheet: str
    row: int
    cells: dict[str, Cell]

    def get(self, field: str) -> Cell:
        """The cell of a field; empty where the sheet has no such column."""
        return self.cells.get(field, EMPTY)


@dataclass(frozen=True)
class Table:
    """A sheet that was understood: its columns and data rows; ``unread`` are titles of columns that are left out.

    ``double`` names a column that occurs twice, ``skipped_rows`` are repeated headers and footers.
    """

    sheet: str
    header_row: int
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    unread: tuple[str, ...]
    id_cards: bool
    double: str
    skipped_rows: tuple[int, ...]


def field_of(title: str) -> str | None:
    """What a column title means: 姓 名, *姓名, 班级（必填） and the like; None where it means nothing to us."""
    plain = re.sub(r"\([^)]*\)|\[[^\]]*\]|[*:：★、#]", "", squeeze(title)).lower()
    return _BY_NAME.get(plain)


def kind_of(fields: set[str]) -> str | None:
    """Which list a header is of: ``slots``, ``staff`` or ``pupils``; None for none."""
    if {"weekday", "period"} <= fields:
        return "slots"
    if "name" in fields and ("staff_no" in fields or "classes" in fields or ("subject" in fields and "student_no" not in fields)):
        return "staff"
    if "name" in fields and fields & {"class", "grade", "student_no"}:
        return "pupils"
    return None


def find_header(rows: Sequence[Row]) -> tuple[int, list[str | None]] | None:
    """Index of the header row among the first twenty and the field of each of its columns; None where no row looks like one."""
    best: tuple[int, int, list[str | None]] | None = None
    for index, row in enumerate(rows[:HEADER_SEARCH_ROWS]):
        fields = [field_of(cell.text) if cell.kind == "text" else None for cell in row.cells]
        known = len({field for field in fields if field})
        if known >= 2 and (best is None or known > best[0]):
            best = (known, index, fields)
    return (best[1], best[2]) if best else None


def understand(sheet: Sheet, kind: str, system: str = "6-3") -> Table | None:
    """The sheet as a table of ``kind`` (pupils | staff | slots); None where it is no such list.

    Where a pupils' list has no class column, the class comes from the sheet's name or the title above the header (五年级1班名单).
    """
    header = find_header(sheet.rows)
    if header is None:
        return None
    at, fields = header
    if kind_of({field for field in fields if field}) != kind:
        return None
    wanted = FIELDS_OF[kind]
    columns, seen, double = [], set(), ""
    for index, field in enumerate(fields):
        title = sheet.rows[at].cells[index].text
        if field in wanted:
            if field in seen:
                double = title
            seen.add(field)
            columns.append(Column(index, str(field), title))
    implied = None
    if kind == "pupils" and "class" not in seen:
        implied = _implied_class([sheet.name, *(cell.text for row in sheet.rows[:at] for cell in row.cells)], system)
        if implied:
            columns.append(Column(len(fields), "class", "班级"))
    lines, skipped = [], []
    for row in sheet.rows[at + 1 :]:
        cells = {column.field: row.cells[column.index] for column in columns if column.index < min(len(row.cells), len(fields)) and row.cells[column.index].kind != "empty"}
        if _is_furniture(row, cells, fields):
            skipped.append(row.number)
        elif cells:
            if implied:
                cells["class"] = Cell(implied, "text")
            lines.append(Line(sheet.name, row.number, cells))
    unread = tuple(
        cell.text
        for cell, field in zip(sheet.rows[at].cells, fields, strict=False)
        if cell.text and field not in wanted and field not in ("problem", "serial")
    )
    return Table(sheet.name, sheet.rows[at].number, tuple(columns), tuple(lines), unread, "id_card" in fields, double, tuple(skipped))


def _is_furniture(row: Row, cells: dict[str, Cell], fields: Sequence[str | None]) -> bool:
    """A repeated header, or a footer such as 合计: 40人."""
    repeated = sum(field_of(cell.text) is not None and field_of(cell.text) == field for cell, field in zip(row.cells, fields, strict=False))
    first = next((cell.text for cell in row.cells if cell.kind != "empty"), "")
    return repeated >= 2 or bool(_FOOT.match(squeeze(first)))


def _implied_class(texts: Sequence[str], system: str) -> str | None:
    for text in texts:
        plain = re.sub(r"(学生|花|点)?(名单|名册|花名册|信息表|登记表|一览表).*$", "", squeeze(text))
        found = re.search(r"((?:小学|初中|高中|初|高)?[0-9一二三四五六七八九十]{1,4}(?:年级|级)?\(?[0-9一二三四五六七八九十]{1,3}\)?班)", plain)
        for candidate in (plain, found[1] if found else ""):
            try:
                parse_class_name(candidate, system)
            except ClassNameError:
                continue
            return candidate
    return None
