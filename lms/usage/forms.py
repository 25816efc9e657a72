"""The correction form: what is changed in a record (更正表单)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select

from lms.core.db import db
from lms.core.errors import Invalid
from lms.courses import service as courses
from lms.roster import service as roster
from lms.roster.models import Person
from lms.usage.judging.lessons import KIND_NAMES
from lms.usage.models import UsageRecord

NUMBERS = {"minutes": (0, 300), "present": (0, 500), "on_leave": (0, 500), "roster": (1, 500), "class_hours": (1, 2)}
DIVISIONS = {
    "halves-2": _l("半班教学，分 2 组"),
    "halves-3": _l("分组教学，分 3 组"),
    "shorts-2": _l("短课，分 2 次"),
    "shorts-3": _l("短课，分 3 次"),
}
PARTS_WITHIN = timedelta(days=7)


def changes_of(form: Mapping[str, str], record: UsageRecord) -> dict[str, Any]:
    """What the form changes in the record; raises Invalid naming the field that cannot be read, or that nothing was changed.

    A field that the form does not have is not changed. Days are ISO text, the teacher an id as text, as the proposal keeps them.
    """
    found: dict[str, Any] = {name: _number(form[name], name) for name in NUMBERS if name in form}
    register = {name: found.get(name, getattr(record, name)) for name in ("roster", "present", "on_leave")}
    if register["present"] + register["on_leave"] > register["roster"]:
        raise Invalid("correction-sum", _l("实到加请假超过了名册的 %(n)s 人。", n=register["roster"]), where="present")
    found["kind"] = form.get("kind", "")
    if found["kind"] not in KIND_NAMES:
        raise Invalid("lesson-kind", _l("不认识的课型 %(kind)s。", kind=found["kind"]), where="kind", clause="B2a")
    if "lesson_on" in form:
        found["lesson_on"] = _day(form["lesson_on"].strip(), record).isoformat()
    if "teacher_id" in form:
        found["teacher_id"] = _teacher(form["teacher_id"], record)
    if "subject" in form:
        found["subject"] = _subject(form["subject"])
    if "part" in form:
        found["part_of"] = _part(form["part"], record)
    if "makeup_on" in form:
        found["makeup_of"] = _makeup(form["makeup_on"].strip(), found["kind"], record)
    if "unit" in form:
        found["units"] = _units(form["unit"], record)
    changed = {name: value for name, value in found.items() if value != _plain(getattr(record, name))}
    if not changed:
        raise Invalid("nothing-changed", _l("没有改动任何内容。"), remedy=_l("请改正有误的数字后再提交。"))
    return changed


def _plain(value: Any) -> Any:
    """A column as the proposal keeps it."""
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value


def typed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a proposal keeps, as the columns want it."""
    readers: dict[str, Any] = {"teacher_id": uuid.UUID, "lesson_on": date.fromisoformat}
    return {name: readers[name](value) if name in readers else value for name, value in changes.items()}


def _number(text: str, name: str) -> int:
    lowest, highest = NUMBERS[name]
    text = text.strip()
    if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
        told = _l("请填写 %(lowest)s 到 %(highest)s 的整数。", lowest=lowest, highest=highest)
        raise Invalid("correction-number", told, where=name)
    return int(text)


def _day(text: str, record: UsageRecord) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("date", _l("日期应写成 2026-11-24 这样。"), where="lesson_on") from error
    if day > roster.today_of(roster.school_of(record.school_id)):
        raise Invalid("date-ahead", _l("上课日期不能在今天之后。"), where="lesson_on", clause="B10")
    if day != record.lesson_on and roster.term_on(record.school_id, day) is None:
        raise Invalid("date-term", _l("这一天不在学校的任何学期里。"), remedy=_l("请核对日期，或先在“校历”中填写学期。"), where="lesson_on")
    return day


def teachers_for(record: UsageRecord) -> list[tuple[str, str]]:
    """(id, name) of the staff who may have taught on the day of the record, by name."""
    query = select(Person.id, Person.name).where(
        Person.school_id == record.school_id,
        Person.kind == "staff",
        or_(Person.left_on.is_(None), Person.left_on >= record.lesson_on, Person.id == record.teacher_id),
    )
    return [(str(row[0]), row[1]) for row in db.session.execute(query.order_by(Person.name))]


def _teacher(text: str, record: UsageRecord) -> str:
    if text not in dict(teachers_for(record)):
        raise Invalid("teacher", _l("请从名单里选择本校的老师。"), where="teacher_id", clause="B2a")
    return text


def _subject(text: str) -> str:
    if not 0 < len(text.strip()) <= 32:
        raise Invalid("subject", _l("请填写学科，最多 32 个字。"), where="subject")
    return text.strip()


def parts_for(record: UsageRecord) -> list[tuple[str, Any]]:
    """Choices of 分次: begin a division here, or be the next part of a lesson that the class began within seven days."""
    near = (record.lesson_on - PARTS_WITHIN, record.lesson_on + PARTS_WITHIN)
    query = select(UsageRecord).where(
        UsageRecord.school_id == record.school_id,
        UsageRecord.class_id == record.class_id,
        UsageRecord.lesson_on.between(*near),
        UsageRecord.id != record.id,
    )
    begun: dict[str, Any] = {}
    for other in db.session.scalars(query.order_by(UsageRecord.lesson_on)):
        if other.part_of:
            way = f"{other.part_of['kind']}-{other.part_of['parts']}"
            told = _l("与 %(day)s 的课合为一课（%(way)s）", day=other.lesson_on, way=DIVISIONS.get(way, way))
            begun.setdefault(f"with:{way}:{other.part_of['lesson']}", told)
    return [*DIVISIONS.items(), *begun.items()]


def part_value(record: UsageRecord) -> str:
    """The choice that the record has now; empty for a whole lesson."""
    part = record.part_of
    return f"with:{part['kind']}-{part['parts']}:{part['lesson']}" if part else ""


def _part(text: str, record: UsageRecord) -> dict[str, Any] | None:
    if not text:
        return None
    if text == part_value(record):
        return record.part_of
    if text not in dict(parts_for(record)):
        raise Invalid("part-of", _l("没有这种分次上课的方式。"), where="part", clause="B2a")
    way = text.removeprefix("with:").partition(":")
    kind, _dash, parts = way[0].partition("-")
    return {"lesson": way[2] or str(record.lesson_id or record.id), "kind": kind, "parts": int(parts)}


def _makeup(text: str, kind: str, record: UsageRecord) -> str | None:
    """The link to the cancelled slot; one that stands with the same day is kept."""
    if kind != "makeup":
        return None
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise Invalid("makeup-of", _l("补课要写明补的是哪一天停掉的课。"), where="makeup_on", clause="B2a")
    held = record.makeup_of or ""
    return held if held.startswith(text) else f"{date.fromisoformat(text).isoformat()}/paper"


def _units(unit: str, record: UsageRecord) -> list[str]:
    if not unit:
        return []
    if unit in record.units:
        return list(record.units)
    if unit not in {f"{one.course}:{one.code}" for one in courses.units(record.school_id)}:
        raise Invalid("unit", _l("学校的教材目录里没有这一课。"), where=unit, clause="B2a")
    return [unit]
