"""Verbs on the timetable: weekly slots and what they make of a day (课表)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account
from lms.core.stages import grade_of
from lms.roster.access import need_admin, school_of
from lms.roster.calendar import followed_weekday, week_fits, week_number
from lms.roster.models import Period, Person, Room, SchoolClass, Term, TimetableSlot
from lms.roster.school import school_calendar, term_on

WEEKS = ("all", "odd", "even")
WEEKDAYS = (_l("周一"), _l("周二"), _l("周三"), _l("周四"), _l("周五"), _l("周六"), _l("周日"))


@dataclass(frozen=True)
class DaySlot:
    """A slot as it falls on a day; ``starts`` and ``ends`` are aware UTC."""

    slot_id: uuid.UUID
    class_id: uuid.UUID
    teacher_id: uuid.UUID
    room_id: uuid.UUID | None
    subject: str
    ordinal: int
    starts: datetime
    ends: datetime


@dataclass(frozen=True)
class WeekSlot:
    """A slot of the weekly plan with the local times of its period; what clashes are judged on."""

    id: uuid.UUID
    class_id: uuid.UUID
    teacher_id: uuid.UUID
    room_id: uuid.UUID | None
    weekday: int
    weeks: str
    ordinal: int
    starts_at: time
    ends_at: time
    subject: str = ""


def clash(wanted: WeekSlot, other: WeekSlot) -> str:
    """Why two slots cannot both be: ``class``, ``teacher`` or ``room``; empty where they can."""
    together = wanted.weekday == other.weekday and (wanted.weeks == other.weeks or "all" in (wanted.weeks, other.weeks))
    if wanted.id == other.id or not together or not (wanted.starts_at < other.ends_at and other.starts_at < wanted.ends_at):
        return ""
    if wanted.class_id == other.class_id:
        return "class"
    if wanted.teacher_id == other.teacher_id:
        return "teacher"
    return "room" if wanted.room_id is not None and wanted.room_id == other.room_id else ""


def slots_on(
    school_id: uuid.UUID,
    day: date,
    *,
    teacher_id: uuid.UUID | None = None,
    room_id: uuid.UUID | None = None,
    class_id: uuid.UUID | None = None,
) -> list[DaySlot]:
    """Lessons that the timetable puts on a day, by start: holidays and closures taken out, 调休 days by the weekday they follow,
    odd and even weeks counted from the term's first week."""
    term = term_on(school_id, day)
    if term is None:
        return []
    school = school_of(school_id)
    calendar = school_calendar(school_id, term)
    query = (
        select(TimetableSlot, Period, SchoolClass.stage, SchoolClass.entry_year)
        .join(Period, Period.id == TimetableSlot.period_id)
        .join(SchoolClass, SchoolClass.id == TimetableSlot.class_id)
        .where(TimetableSlot.school_id == school_id, TimetableSlot.term_id == term.id)
    )
    for column, wanted in ((TimetableSlot.teacher_id, teacher_id), (TimetableSlot.room_id, room_id), (TimetableSlot.class_id, class_id)):
        if wanted is not None:
            query = query.where(column == wanted)
    number, zone = week_number(term.starts_on, day), ZoneInfo(school.zone)
    found = []
    for slot, period, stage, entry_year in db.session.execute(query):
        weekday = followed_weekday(calendar, day, grade_of(stage, entry_year, day, school.system))
        if slot.weekday != weekday or not week_fits(slot.weeks, number):
            continue
        starts, ends = (datetime.combine(day, at, zone).astimezone(UTC) for at in (period.starts_at, period.ends_at))
        found.append(DaySlot(slot.id, slot.class_id, slot.teacher_id, slot.room_id, slot.subject, period.ordinal, starts, ends))
    return sorted(found, key=lambda each: (each.starts, each.ordinal))


def week_slots(
    school_id: uuid.UUID, term_id: uuid.UUID, *, class_id: uuid.UUID | None = None, room_id: uuid.UUID | None = None, teacher_id: uuid.UUID | None = None
) -> list[WeekSlot]:
    """The weekly plan of a term, of one class, room or teacher where asked."""
    query = (
        select(TimetableSlot, Period)
        .join(Period, Period.id == TimetableSlot.period_id)
        .where(TimetableSlot.school_id == school_id, TimetableSlot.term_id == term_id)
        .order_by(TimetableSlot.weekday, Period.ordinal)
    )
    for column, wanted in ((TimetableSlot.teacher_id, teacher_id), (TimetableSlot.room_id, room_id), (TimetableSlot.class_id, class_id)):
        if wanted is not None:
            query = query.where(column == wanted)
    return [_week_slot(slot, period) for slot, period in db.session.execute(query)]


def _week_slot(slot: TimetableSlot, period: Period) -> WeekSlot:
    return WeekSlot(
        slot.id,
        slot.class_id,
        slot.teacher_id,
        slot.room_id,
        slot.weekday,
        slot.weeks,
        period.ordinal,
        period.starts_at,
        period.ends_at,
        slot.subject,
    )


def set_slot(
    actor: Account | None,
    term: Term,
    cohort: SchoolClass,
    teacher: Person,
    *,
    weekday: int,
    ordinal: int,
    subject: str,
    room: Room | None = None,
    weeks: str = "all",
    slot: TimetableSlot | None = None,
) -> TimetableSlot:
    """Enter a weekly slot, or change ``slot``; refused where class, teacher or room is taken at that time."""
    need_admin(actor, term.school_id)
    if not 0 <= weekday <= 6 or weeks not in WEEKS or not subject.strip():
        raise Invalid("slot", _l("请选择星期、周次和学科。"), where="weekday")
    owners = {cohort.school_id, teacher.school_id, *([room.school_id] if room else [])}
    if owners != {term.school_id} or teacher.kind != "staff":
        raise Invalid("slot-owner", _l("班级、教师和教室必须属于本校。"), where="class_id")
    with write():
        period = db.session.scalar(
            select(Period).where(Period.school_id == term.school_id, Period.stage == cohort.stage, Period.ordinal == ordinal)
        )
        if period is None:
            raise Invalid("slot-period", _l("这个学段没有第 %(n)s 节。", n=ordinal), remedy=_l("请先在“概况”页设置作息时间。"), where="ordinal")
        row = slot or TimetableSlot(id=new_id(), school_id=term.school_id, term_id=term.id)
        row.class_id, row.teacher_id, row.room_id = cohort.id, teacher.id, room.id if room else None
        row.period_id, row.weekday, row.subject, row.weeks = period.id, weekday, subject.strip()[:32], weeks
        with db.session.no_autoflush:
            refuse_clash(_week_slot(row, period), week_slots(term.school_id, term.id))
        db.session.add(row)
        audit(actor, "set-slot", "timetable_slot", row.id, school_id=term.school_id)
    return row


def refuse_clash(wanted: WeekSlot, others: list[WeekSlot]) -> None:
    """Raise Refused where ``wanted`` clashes with one of ``others``."""
    titles = {
        "class": _l("这个班这一节已经有课。"),
        "teacher": _l("这位教师这一节已经有课。"),
        "room": _l("这间教室这一节已经有课。"),
    }
    for other in others:
        why = clash(wanted, other)
        if why:
            raise Refused(f"slot-{why}", titles[why], remedy=_l("请换一个时间、教师或教室，或先删除原来的课。"), slot=str(other.id))


def remove_slot(actor: Account | None, slot: TimetableSlot) -> None:
    """Take a slot off the timetable."""
    need_admin(actor, slot.school_id)
    with write():
        audit(actor, "remove-slot", "timetable_slot", slot.id, school_id=slot.school_id)
        db.session.delete(slot)
