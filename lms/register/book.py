"""The register as Excel lists: empty to fill in, filled to keep or hand in (导入模板、导出)."""

from __future__ import annotations

from collections.abc import Sequence

from lms.register.intake import LISTS, Judged, Line
from lms.register.rules import (
    ACHIEVEMENT_COLUMNS,
    ACHIEVEMENT_NEEDED,
    ACTIVITY_COLUMNS,
    ACTIVITY_NEEDED,
    AWARDS,
    CATEGORIES,
    KINDS,
    LEVELS,
    OTHER_NAMES,
    WHO,
)
from lms.register.service import AchievementLine, ActivityLine
from lms.roster.intake.books import empty_list, plain_list
from lms.roster.intake.lists import SAMPLE_MARK, entries

COLUMNS = {"activities": ACTIVITY_COLUMNS, "achievements": ACHIEVEMENT_COLUMNS}
NEEDED = {"activities": ACTIVITY_NEEDED, "achievements": ACHIEVEMENT_NEEDED}
_WIDE = {"主题": 34, "成果名称": 34, "类别": 26, "主办单位": 24, "颁发单位": 24, "参加人员": 30, "备注": 20, "问题": 50}
_SAMPLES = {
    "activities": (
        ("2026-10-20", "培训", "骨干教师专业知识与技能", f"人工智能课程教学（{SAMPLE_MARK}）", "市电教馆", "16", "2", "王老师", "", "2026-0187", ""),
        ("2026-11-03", "教研", "校本教研", f"机器怎样看世界 集体备课（{SAMPLE_MARK}）", "本校", "2", "", "王老师、李老师", "", "", ""),
    ),
    "achievements": (
        ("教师", "王老师", "精品课征集", f"基础教育精品课（{SAMPLE_MARK}）", "省级", "一等奖", "2025", "省教育厅", "", ""),
        ("学生", "", "信息素养提升实践活动", f"学生信息素养提升实践活动（{SAMPLE_MARK}）", "市级", "", "2026", "市电教馆", "12", ""),
    ),
}  # fmt: skip
_HINTS = {
    "activities": (
        "日期、类别、主题、学时必填（类型不填时按类别定）；一行一次活动，参加人员用顿号分开，也可以一人一行（同一天同一主题合为一次活动）。",
        *(f"{name}的类别：{'、'.join(CATEGORIES[kind])}" for kind, name in KINDS.items()),
        "学时、学分是每个人的；证书编号只在一行写一个人时填。",
        "其他人数：不是本单位的参加者有多少人，只填数，不写姓名。",
    ),
    "achievements": (
        "对象、类别、成果名称、级别、年份必填；对象是教师时填姓名，是学生时只填全校合计人次，不写学生姓名。",
        *(f"{name}的类别：{'、'.join(AWARDS[who])}" for who, name in WHO.items()),
        f"级别：{'、'.join(LEVELS)}。",
    ),
}


def template(kind: str) -> bytes:
    """An empty list with the right headers, two samples and a sheet that explains the columns."""
    columns = COLUMNS[kind]
    return empty_list(
        LISTS[kind], columns, _SAMPLES[kind], [_WIDE.get(name, 12) for name in columns], NEEDED[kind], _HINTS[kind]
    )


def read_book(kind: str, data: bytes, file_name: str) -> list[Line]:
    """Rows of an uploaded workbook; Invalid for what is no Excel file, or holds no such list."""
    found = entries(data, file_name, COLUMNS[kind], OTHER_NAMES, NEEDED[kind])
    return [Line(one.where, {name: one.cell(name).text for name in one.columns}) for one in found]


def activities_book(title: str, lines: Sequence[ActivityLine]) -> bytes:
    """The activities as a list that can be imported again."""
    return _book(LISTS["activities"], title, ACTIVITY_COLUMNS, [_activity(line) for line in lines])


def achievements_book(title: str, lines: Sequence[AchievementLine]) -> bytes:
    """The achievements as a list that can be imported again."""
    return _book(LISTS["achievements"], title, ACHIEVEMENT_COLUMNS, [_achievement(line) for line in lines])


def _activity(line: ActivityLine) -> list[str]:
    row = line.row
    certificate = next(iter(line.certificates.values()), "") if len(line.people) == 1 else ""
    return [
        row.held_on.isoformat(), KINDS[row.kind], row.category, row.topic, row.organiser, f"{row.hours:g}",
        f"{row.credit:g}" if row.credit else "", "、".join(one.name for one in line.people),
        str(row.others) if row.others else "", certificate, row.note,
    ]  # fmt: skip


def _achievement(line: AchievementLine) -> list[str]:
    row = line.row
    return [
        WHO[row.who], line.person.name if line.person else "", row.category, row.name, row.level, row.prize, str(row.year),
        row.issuer, str(row.number) if row.number else "", row.note,
    ]  # fmt: skip


def annotated(kind: str, judged: Sequence[Judged]) -> bytes:
    """The rows that were not taken, with a column 问题, to be put right and imported again."""
    columns = ("问题", "位置", *COLUMNS[kind])
    rows = [
        ["；".join(f"{one.column}{one.why}" for one in row.faults), row.line.where, *(row.line.texts.get(name, "") for name in COLUMNS[kind])]
        for row in judged
        if row.state == "bad"
    ]  # fmt: skip
    return _book(LISTS[kind], "", columns, rows)


def _book(sheet_name: str, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    return plain_list(sheet_name, columns, rows, [_WIDE.get(name, 12) for name in columns], title)
