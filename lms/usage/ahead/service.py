"""Free slots of a class that would count, and putting a lesson there (补课时间), definitions B2d."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import NotFound, Refused
from lms.core.models import Account
from lms.roster import service as roster
from lms.roster.calendar import followed_weekday
from lms.roster.models import School, SchoolClass, SlotMove, TimetableSlot
from lms.usage.board import advice
from lms.usage.judging.facts import Facts
from lms.usage.judging.forecast import FreeSlot, Repair, repairing
from lms.usage.judging.gathering import term_for
from lms.usage.judging.packs import Policy
from lms.usage.judging.standings import standings
from lms.usage.reasons import Reason
from lms.usage.rulebook.service import policy_for

HORIZON = timedelta(days=42)
SHOWN = 8
A_DAY = 2
HINTED, BEHIND, HINTS = "fortnightly", ("not-met", "met-approximately"), 2


def slot_of(school: School, class_id: uuid.UUID, day: date) -> TimetableSlot | None:
    """The weekly slot whose lesson would be held once more: the class's own of this term, the first in the week."""
    term = term_for(school.id, day)
    query = select(TimetableSlot).where(
        TimetableSlot.school_id == school.id, TimetableSlot.class_id == class_id, TimetableSlot.term_id == term.id
    )
    return db.session.scalar(query.order_by(TimetableSlot.weekday, TimetableSlot.id).limit(1))


def repairs_for(facts: Facts, rule: Policy, class_id: uuid.UUID) -> tuple[Repair, ...]:
    """The next free periods in which a lesson of the class would count, at most eight and two a day; none without a weekly slot."""
    school = roster.school_of(uuid.UUID(facts.school.id))
    cohort = db.session.get(SchoolClass, class_id)
    if cohort is None or cohort.school_id != school.id:
        raise NotFound("class", _l("本校没有这个班级。"))
    slot = slot_of(school, class_id, facts.as_of)
    if slot is None:
        return ()
    found: list[Repair] = []
    for one in repairing(facts, rule, str(class_id), _free(school, cohort, slot, facts)):
        if sum(other.slot.day == one.slot.day for other in found) < A_DAY:
            found.append(one)
    return tuple(found[:SHOWN])


@dataclass(frozen=True)
class Hint:
    """What a teacher is told of a class that is behind: the advice of the class page, and the next days with a free period that makes up for it."""

    advice: Reason
    repairs: tuple[Repair, ...]


def hints_for(school_id: uuid.UUID, class_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Hint]:
    """Hints for those of the classes that are behind by the fortnightly rule today (B2d); none before the school has a term."""
    today = roster.today_of(roster.school_of(school_id))
    try:
        result = standings(school_id, today)[HINTED]
    except Refused:
        return {}
    rule = policy_for(school_id, HINTED, result.facts.judged_on)
    found = {}
    for one in result.classes:
        class_id = uuid.UUID(one.cohort.id)
        if class_id in class_ids and one.outlook.needed and one.verdict in BEHIND:
            by_day = {each.slot.day: each for each in reversed(repairs_for(result.facts, rule, class_id))}
            found[class_id] = Hint(advice(one), tuple(by_day[day] for day in sorted(by_day)[:HINTS]))
    return found


def _free(school: School, cohort: SchoolClass, slot: TimetableSlot, facts: Facts) -> Iterable[FreeSlot]:
    """Periods of the coming six weeks in which the timetable has neither the class, nor its teacher, nor its room."""
    zone = ZoneInfo(school.zone)
    term = term_for(school.id, facts.as_of)
    calendar = roster.school_calendar(school.id, term)
    periods = roster.periods_of(school.id, cohort.stage)
    grade = next(one.grade for one in facts.classes if one.id == str(cohort.id))
    today = clock.local_date(clock.now(), school.zone)
    day = max(facts.as_of, today)
    last = min(day + HORIZON, term.ends_on)
    planned: dict[date, list[roster.DaySlot]] = defaultdict(list)
    for one in roster.slots_between(school.id, term, day, last):
        planned[clock.local_date(one.starts, school.zone)].append(one)
    while (day := day + timedelta(days=1)) <= last:
        if followed_weekday(calendar, day, grade) is None:
            continue
        taken = planned[day]
        if any(one.slot_id == slot.id for one in taken):
            continue  # it is held that day anyway
        for period in periods:
            clash = any(
                one.starts.astimezone(zone).time() < period.ends_at
                and period.starts_at < one.ends.astimezone(zone).time()
                and (
                    one.class_id == cohort.id
                    or one.teacher_id == slot.teacher_id
                    or (slot.room_id and one.room_id == slot.room_id)
                )
                for one in taken
            )
            if not clash:
                yield FreeSlot(
                    day, period.ordinal, period.starts_at, period.ends_at, str(slot.teacher_id), str(slot.room_id or "")
                )


def arrange(actor: Account, class_id: uuid.UUID, day: date, ordinal: int) -> SlotMove:
    """Put a lesson of the class there: it stands in the timetable and in the chain of evidence before its bell (one click)."""
    school = roster.school_of(actor.organisation_id)
    cohort = db.session.get(SchoolClass, class_id)
    if cohort is None or cohort.school_id != school.id:
        raise NotFound("class", _l("没有这个班级。"))
    slot = slot_of(school, class_id, day)
    if slot is None:
        raise Refused("no-slot", _l("课表里没有这个班的课。"), remedy=_l("请先在“学校”的课表页给这个班排课。"))
    return roster.add_lesson(actor, slot, day, ordinal, _("补足开课次数"))


def take_back(actor: Account, move_id: uuid.UUID) -> SlotMove:
    """Undo :func:`arrange`; refused once the lesson has begun."""
    move = db.session.get(SlotMove, move_id)
    if move is None or move.school_id != actor.organisation_id:
        raise NotFound("move", _l("没有这次调课。"))
    if move.to_day is not None and move.to_day < clock.local_date(clock.now(), roster.school_of(move.school_id).zone):
        raise Refused("move-over", _l("这节课的日子已经过去，不能撤回。"))
    roster.undo_move(actor, move)
    return move
