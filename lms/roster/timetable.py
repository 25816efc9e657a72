"""Verbs on the timetable: weekly slots and what they make of a day (课表)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account
from lms.core.stages import grade_of
from lms.roster.access import need_admin, school_of
from lms.roster.calendar import days_between, followed_weekday, week_fits, week_number
from lms.roster.entries import school_calendar
from lms.roster.models import Period, Person, Room, SchoolClass, SlotMove, Term, TimetableSlot
from lms.roster.school import term_on

WEEKS = ("all", "odd", "even")
WEEKDAYS = (_l("周一"), _l("周二"), _l("周三"), _l("周四"), _l("周五"), _l("周六"), _l("周日"))


@dataclass(frozen=True)
class DaySlot:
    """A slot as it falls on a day; ``starts`` and ``ends`` are aware UTC. ``move_id``: the swap (调课) that put it there."""

    slot_id: uuid.UUID
    class_id: uuid.UUID
    teacher_id: uuid.UUID
    room_id: uuid.UUID | None
    subject: str
    ordinal: int
    starts: datetime
    ends: datetime
    move_id: uuid.UUID | None = None


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
    if (
        wanted.id == other.id
        or not together
        or not (wanted.starts_at < other.ends_at and other.starts_at < wanted.ends_at)
    ):
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
    odd and even weeks counted from the term's first week, swaps (调课) taken from and put on their days."""
    term = term_on(school_id, day)
    if term is None:
        return []
    return slots_between(school_id, term, day, day, teacher_id=teacher_id, room_id=room_id, class_id=class_id)


def slots_between(
    school_id: uuid.UUID,
    term: Term,
    first: date,
    last: date,
    *,
    teacher_id: uuid.UUID | None = None,
    room_id: uuid.UUID | None = None,
    class_id: uuid.UUID | None = None,
) -> list[DaySlot]:
    """:func:`slots_on` for every day from ``first`` to ``last`` of a term, by start; as many reads as for one day."""
    school = school_of(school_id)
    calendar, zone = school_calendar(school_id, term), ZoneInfo(school.zone)
    moves = _moves_between(school_id, first, last)
    away = {(move.slot_id, move.day) for move in moves}
    query = (
        select(TimetableSlot, Period, SchoolClass.stage, SchoolClass.entry_year)
        .join(Period, Period.id == TimetableSlot.period_id)
        .join(SchoolClass, SchoolClass.id == TimetableSlot.class_id)
        .where(TimetableSlot.school_id == school_id, TimetableSlot.term_id == term.id)
    )
    wanted = {
        name: value
        for name, value in (("teacher_id", teacher_id), ("room_id", room_id), ("class_id", class_id))
        if value is not None
    }
    plan = db.session.execute(
        query.where(*(getattr(TimetableSlot, name) == value for name, value in wanted.items()))
    ).all()
    found = []
    for day in days_between(first, last):
        number = week_number(term.starts_on, day)
        for slot, period, stage, entry_year in plan:
            weekday = followed_weekday(calendar, day, grade_of(stage, entry_year, day, school.system))
            if (slot.id, day) not in away and slot.weekday == weekday and week_fits(slot.weeks, number):
                found.append(_on(slot, period, day, zone, slot.teacher_id, slot.room_id))
    for move in moves:
        if move.to_day is not None and first <= move.to_day <= last and move.to_period_id is not None:
            slot, period = (
                db.session.get_one(TimetableSlot, move.slot_id),
                db.session.get_one(Period, move.to_period_id),
            )
            found.append(_on(slot, period, move.to_day, zone, move.teacher_id, move.room_id, move.id))
    kept = [one for one in found if all(getattr(one, name) == value for name, value in wanted.items())]
    return sorted(kept, key=lambda each: (each.starts, each.ordinal))


def _on(
    slot: TimetableSlot,
    period: Period,
    day: date,
    zone: ZoneInfo,
    teacher_id: uuid.UUID,
    room_id: uuid.UUID | None,
    move_id: uuid.UUID | None = None,
) -> DaySlot:
    starts, ends = (datetime.combine(day, at, zone).astimezone(UTC) for at in (period.starts_at, period.ends_at))
    return DaySlot(slot.id, slot.class_id, teacher_id, room_id, slot.subject, period.ordinal, starts, ends, move_id)


def moves_of(school_id: uuid.UUID, day: date) -> list[SlotMove]:
    """Swaps that take a lesson from a day or put one on it, in the order of their entry."""
    return _moves_between(school_id, day, day)


def _moves_between(school_id: uuid.UUID, first: date, last: date) -> list[SlotMove]:
    touched = or_(SlotMove.day.between(first, last), SlotMove.to_day.between(first, last))
    query = select(SlotMove).where(SlotMove.school_id == school_id, touched)
    return list(db.session.scalars(query.order_by(SlotMove.entered_at, SlotMove.id)))


def moves_between(term: Term) -> list[SlotMove]:
    """Swaps of the term, newest day first."""
    query = select(SlotMove).where(SlotMove.school_id == term.school_id, SlotMove.day.between(term.starts_on, term.ends_on))
    return list(db.session.scalars(query.order_by(SlotMove.day.desc())))


def move_slot(
    actor: Account | None,
    slot: TimetableSlot,
    day: date,
    to_day: date | None,
    ordinal: int | None,
    reason: str,
    *,
    teacher: Person | None = None,
    room: Room | None = None,
) -> SlotMove:
    """Move a lesson of one day to another time, or call it off (``to_day`` None); 调课.

    Raises Invalid where the slot is not held on ``day`` or the new time is none, Refused where class, teacher or room is taken then.
    """
    need_admin(actor, slot.school_id)
    if not reason.strip():
        raise Invalid("move-reason", _l("请写明调课的原因。"), where="reason")
    with write():
        row = db.session.scalar(
            select(SlotMove).where(
                SlotMove.school_id == slot.school_id, SlotMove.slot_id == slot.id, SlotMove.day == day
            )
        )
        if row is None and slot.id not in {one.slot_id for one in slots_on(slot.school_id, day) if one.move_id is None}:
            raise Invalid("move-day", _l("课表上 %(day)s 没有这节课。", day=day.isoformat()), where="day")
        period = _period_for(slot, to_day, ordinal)
        row = row or SlotMove(id=new_id(), school_id=slot.school_id, slot_id=slot.id, day=day)
        row.teacher_id, row.room_id = teacher.id if teacher else slot.teacher_id, room.id if room else slot.room_id
        row.to_day, row.to_period_id, row.reason = to_day, period.id if period else None, reason.strip()[:60]
        row.entered_at, row.entered_by = clock.now(), actor.id if actor else None
        if to_day is not None and period is not None:
            _refuse_taken(slot, row, to_day, period)
        db.session.add(row)
        audit(
            actor,
            "move-slot",
            "timetable_slot",
            slot.id,
            row.reason,
            school_id=slot.school_id,
            day=day.isoformat(),
            to=to_day.isoformat() if to_day else "",
        )
    return row


def add_lesson(
    actor: Account | None,
    slot: TimetableSlot,
    day: date,
    ordinal: int,
    reason: str,
    *,
    teacher: Person | None = None,
    room: Room | None = None,
) -> SlotMove:
    """Hold the lesson of a weekly slot once more, on a day when the timetable has it not (加课).

    Raises Invalid where the day has it already, Refused where class, teacher or room is taken then. :func:`undo_move` takes it back.
    """
    need_admin(actor, slot.school_id)
    with write():
        if any(one.slot_id == slot.id for one in slots_on(slot.school_id, day)):
            raise Invalid("lesson-there", _l("课表上 %(day)s 已经有这节课。", day=day.isoformat()), where="day")
        period = _period_for(slot, day, ordinal)
        assert period is not None
        row = SlotMove(
            id=new_id(), school_id=slot.school_id, slot_id=slot.id, day=day, to_day=day, to_period_id=period.id,
            teacher_id=teacher.id if teacher else slot.teacher_id, room_id=room.id if room else slot.room_id,
            reason=reason.strip()[:60], entered_at=clock.now(), entered_by=actor.id if actor else None,
        )  # fmt: skip
        _refuse_taken(slot, row, day, period)
        db.session.add(row)
        audit(
            actor,
            "add-lesson",
            "timetable_slot",
            slot.id,
            row.reason,
            school_id=slot.school_id,
            day=day.isoformat(),
        )
    return row


def _period_for(slot: TimetableSlot, to_day: date | None, ordinal: int | None) -> Period | None:
    if to_day is None:
        return None
    if term_on(slot.school_id, to_day) is None:
        raise Invalid("move-term", _l("%(day)s 不在学期之内。", day=to_day.isoformat()), where="to_day")
    cohort = db.session.get_one(SchoolClass, slot.class_id)
    wanted = select(Period).where(
        Period.school_id == slot.school_id, Period.stage == cohort.stage, Period.ordinal == ordinal
    )
    period = db.session.scalar(wanted)
    if period is None:
        raise Invalid("slot-period", _l("这个学段没有第 %(n)s 节。", n=ordinal or 0), where="ordinal")
    return period


def _refuse_taken(slot: TimetableSlot, move: SlotMove, to_day: date, period: Period) -> None:
    wanted = WeekSlot(
        slot.id,
        slot.class_id,
        move.teacher_id,
        move.room_id,
        0,
        "all",
        period.ordinal,
        period.starts_at,
        period.ends_at,
    )
    zone = ZoneInfo(school_of(slot.school_id).zone)
    others = [
        WeekSlot(
            one.move_id or one.slot_id, one.class_id, one.teacher_id, one.room_id, 0, "all", one.ordinal,
            one.starts.astimezone(zone).time(), one.ends.astimezone(zone).time(),
        )
        for one in slots_on(slot.school_id, to_day)
        if one.move_id != move.id and (one.slot_id != slot.id or to_day != move.day)
    ]  # fmt: skip
    refuse_clash(wanted, others)


def undo_move(actor: Account | None, move: SlotMove) -> None:
    """Take a swap back: the lesson stands where the timetable has it."""
    need_admin(actor, move.school_id)
    with write():
        audit(actor, "undo-move", "timetable_slot", move.slot_id, school_id=move.school_id, day=move.day.isoformat())
        db.session.delete(move)


def week_slots(
    school_id: uuid.UUID,
    term_id: uuid.UUID,
    *,
    class_id: uuid.UUID | None = None,
    room_id: uuid.UUID | None = None,
    teacher_id: uuid.UUID | None = None,
) -> list[WeekSlot]:
    """The weekly plan of a term, of one class, room or teacher where asked."""
    query = (
        select(TimetableSlot, Period)
        .join(Period, Period.id == TimetableSlot.period_id)
        .where(TimetableSlot.school_id == school_id, TimetableSlot.term_id == term_id)
        .order_by(TimetableSlot.weekday, Period.ordinal)
    )
    for column, wanted in (
        (TimetableSlot.teacher_id, teacher_id),
        (TimetableSlot.room_id, room_id),
        (TimetableSlot.class_id, class_id),
    ):
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
            select(Period).where(
                Period.school_id == term.school_id, Period.stage == cohort.stage, Period.ordinal == ordinal
            )
        )
        if period is None:
            raise Invalid(
                "slot-period",
                _l("这个学段没有第 %(n)s 节。", n=ordinal),
                remedy=_l("请先在“概况”页设置作息时间。"),
                where="ordinal",
            )
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
            raise Refused(
                f"slot-{why}",
                titles[why],
                remedy=_l("请换一个时间、教师或教室，或先删除原来的课。"),
                slot=str(other.id),
            )


def remove_slot(actor: Account | None, slot: TimetableSlot) -> None:
    """Take a slot off the timetable."""
    need_admin(actor, slot.school_id)
    with write():
        audit(actor, "remove-slot", "timetable_slot", slot.id, school_id=slot.school_id)
        db.session.delete(slot)
