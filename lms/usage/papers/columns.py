"""The columns of the sheets, once for paper, Excel, CSV and JSON (栏目); pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from lms.usage.papers.sheets import Kind, Line


@dataclass(frozen=True)
class Column:
    """One column: ``key`` in JSON, ``title`` on paper, ``width`` in mm on an A4 sheet lying down, ``text`` of a line."""

    key: str
    title: Any
    width: int
    text: Callable[[Line], Any]
    number: bool = False


def _counts(line: Line) -> str:
    if line.counts is None:
        return "—"
    return str(_("计") if line.counts else _("不计"))


def _state(line: Line) -> str:
    if not line.devices:
        return "—"
    return str(_("%(count)s 台停止未确认", count=line.unproved) if line.unproved else _("正常"))


_WHEN = (
    Column("date", _l("日期"), 20, lambda line: line.day.isoformat()),
    Column("weekday", _l("星期"), 11, lambda line: _(line.weekday)),
    Column("time", _l("起止时间"), 23, lambda line: f"{line.begins:%H:%M}–{line.ends:%H:%M}"),
    Column("class", _l("班级"), 24, lambda line: line.class_name),
)
COLUMNS: Mapping[Kind, tuple[Column, ...]] = {
    "ledger": (
        *_WHEN,
        Column("topic", _l("课题（册、课）"), 54, lambda line: line.topic),
        Column("kind", _l("课型"), 14, lambda line: _(line.kind)),
        Column("class_hours", _l("课时"), 11, lambda line: line.hours, number=True),
        Column("expected", _l("应到"), 11, lambda line: line.expected, number=True),
        Column("present", _l("实到"), 11, lambda line: line.present, number=True),
        Column("teacher", _l("授课教师"), 20, lambda line: line.teacher),
        Column("room", _l("地点"), 22, lambda line: line.room or _("教室")),
        Column("counts", _l("计次"), 11, _counts),
        Column("evidence", _l("证据"), 11, lambda line: line.evidence),
        Column("signature", _l("教师签字"), 22, lambda line: ""),
    ),
    "lab-log": (
        *_WHEN,
        Column("room", _l("实验室"), 24, lambda line: line.room),
        Column("subject", _l("学科"), 18, lambda line: line.subject),
        Column("topic", _l("实验内容"), 50, lambda line: line.topic),
        Column("present", _l("人数"), 11, lambda line: line.present, number=True),
        Column("devices", _l("使用设备（台）"), 17, lambda line: line.devices, number=True),
        Column("state", _l("设备情况"), 24, _state),
        Column("teacher", _l("指导教师"), 20, lambda line: line.teacher),
        Column("signature", _l("教师签字"), 22, lambda line: ""),
    ),
}
