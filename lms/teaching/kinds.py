"""What kind of lesson it is: made up for a cancelled slot, in parts, with other classes, online (补课、分次、合班、线上), definitions B2a."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account
from lms.core.stages import grade_of
from lms.roster import service as roster
from lms.roster.calendar import days_between, followed_weekday, week_fits, week_number
from lms.roster.models import School, SchoolClass, SlotMove, Term
from lms.teaching import rules
from lms.teaching.access import note_event, school_of, stage_of, steered, today_of
from lms.teaching.models import LessonSession
from lms.usage.models import VOID, UsageRecord

AHEAD = timedelta(days=14)
PARTS_WITHIN = timedelta(days=7)
ENOUGH_PERCENT = 75
DIVISIONS = {
    "halves-2": _l("半班教学，分 2 组"),
    "halves-3": _l("分组教学，分 3 组"),
    "shorts-2": _l("短课，分 2 次"),
    "shorts-3": _l("短课，分 3 次"),
}


@dataclass(frozen=True)
class Cancelled:
    """A slot of the timetable that was not taught. ``link`` "<day>/<slot id>"; ``why``: closed | called-off | missed | too-short."""

    link: str
    day: date
    ordinal: int
    subject: str
    why: str
    reason: str


@dataclass(frozen=True)
class FirstPart:
    """A lesson in parts that waits for its next part (``number``)."""

    lesson_id: uuid.UUID
    title: str
    day: date
    kind: str
    number: int
    parts: int


@dataclass(frozen=True)
class Wishes:
    """What the teacher chose: a kind of rules.KINDS, the cancelled slot, the division ("halves-2") or the first part's id, other
    classes; ``aborted``: it was broken off (中止)."""

    kind: str = "regular"
    makeup_of: str = ""
    division: str = ""
    continues: uuid.UUID | None = None
    joined: tuple[uuid.UUID, ...] = ()
    aborted: bool = False


def cancelled_slots(cohort: SchoolClass, today: date) -> list[Cancelled]:
    """Slots of the running term that were cancelled or missed and are not made up yet, newest first; those called off up to two weeks ahead."""
    school = school_of(cohort.school_id)
    term = roster.term_on(school.id, today)
    if term is None:
        return []
    taken, short = _taught(cohort, term, school)
    used = _made_up(cohort, term)
    calendar = roster.school_calendar(school.id, term)
    weekly = roster.week_slots(school.id, term.id, class_id=cohort.id)
    query = select(SlotMove).where(SlotMove.school_id == school.id, SlotMove.slot_id.in_([slot.id for slot in weekly]))
    moves = {(move.slot_id, move.day): move for move in db.session.scalars(query)}
    found = []
    for day in days_between(term.starts_on, min(today + AHEAD, term.ends_on)):
        grade = grade_of(cohort.stage, cohort.entry_year, day, school.system)
        taught_as = followed_weekday(calendar, day, grade)
        closed = [fact for fact in calendar.days.get(day, ()) if not fact.is_school and fact.source == "school"]
        planned = taught_as if taught_as is not None else (day.weekday() if closed and day.weekday() < 5 else None)
        for slot in weekly:
            link, move = f"{day.isoformat()}/{slot.id}", moves.get((slot.id, day))
            if slot.weekday != planned or not week_fits(slot.weeks, week_number(term.starts_on, day)) or link in used:
                continue
            if move is not None and move.to_day is not None:
                continue
            why = _why_not(move, taught_as is None, (slot.id, day), taken, short, day < today)
            if why:
                reason = move.reason if move is not None else "；".join(fact.reason for fact in closed)
                found.append(Cancelled(link, day, slot.ordinal, slot.subject, why, reason))
    return sorted(found, key=lambda one: (one.day, one.ordinal), reverse=True)


def _why_not(
    move: SlotMove | None,
    closed: bool,
    slot: tuple[uuid.UUID, date],
    taken: set[tuple[uuid.UUID, date]],
    short: set[tuple[uuid.UUID, date]],
    over: bool,
) -> str:
    if slot in short:
        return "too-short"
    if slot in taken:
        return ""
    if move is not None:
        return "called-off"
    if closed:
        return "closed"
    return "missed" if over else ""


def _taught(
    cohort: SchoolClass, term: Term, school: School
) -> tuple[set[tuple[uuid.UUID, date]], set[tuple[uuid.UUID, date]]]:
    """Slots and days that have a lesson, and those whose lesson was too short to count."""
    first = term.starts_on
    query = select(LessonSession).where(
        LessonSession.school_id == school.id, LessonSession.class_id == cohort.id, LessonSession.slot_id.is_not(None)
    )
    minutes = {
        row.lesson_id: row.minutes
        for row in db.session.scalars(
            select(UsageRecord).where(
                UsageRecord.school_id == school.id, UsageRecord.class_id == cohort.id, UsageRecord.lesson_on >= first
            )
        )
    }
    hour = stage_of(school.id, cohort.stage)[0]
    taken, short = set(), set()
    for lesson in db.session.scalars(query):
        if lesson.slot_id is None:
            continue
        key = (lesson.slot_id, clock.local_date(lesson.started_at, school.zone))
        taken.add(key)
        if lesson.id in minutes and minutes[lesson.id] * 100 < ENOUGH_PERCENT * hour:
            short.add(key)
    return taken, short


def _made_up(cohort: SchoolClass, term: Term) -> set[str]:
    lessons = select(LessonSession.makeup_of).where(
        LessonSession.school_id == cohort.school_id, LessonSession.class_id == cohort.id, LessonSession.makeup_of != ""
    )
    replaced = select(UsageRecord.corrects_id).where(UsageRecord.corrects_id.is_not(None))
    records = select(UsageRecord.makeup_of).where(
        UsageRecord.school_id == cohort.school_id,
        UsageRecord.class_id == cohort.id,
        UsageRecord.makeup_of.is_not(None),
        UsageRecord.lesson_on >= term.starts_on,
        UsageRecord.kind != VOID,
        UsageRecord.id.not_in(replaced),
    )
    return {link for link in [*db.session.scalars(lessons), *db.session.scalars(records)] if link}


def waiting_parts(cohort: SchoolClass, today: date) -> list[FirstPart]:
    """Lessons in parts that wait for a further part, of the last seven days."""
    zone = school_of(cohort.school_id).zone
    query = select(LessonSession).where(
        LessonSession.school_id == cohort.school_id,
        LessonSession.class_id == cohort.id,
        LessonSession.started_at >= clock.now() - PARTS_WITHIN - timedelta(days=1),
    )
    lessons = [one for one in db.session.scalars(query.order_by(LessonSession.started_at.desc())) if one.part_of]
    held: dict[str, int] = {}
    for one in lessons:
        held[(one.part_of or {})["lesson"]] = held.get((one.part_of or {})["lesson"], 0) + 1
    found = []
    for one in lessons:
        part, day = one.part_of or {}, clock.local_date(one.started_at, zone)
        number = held.get(str(one.id), 0) + 1
        if part["lesson"] == str(one.id) and number <= part["parts"] and today - day <= PARTS_WITHIN:
            found.append(FirstPart(one.id, one.title, day, part["kind"], number, part["parts"]))
    return found


def settle(lesson: LessonSession, cohort: SchoolClass, wishes: Wishes) -> None:
    """Write the teacher's choice into the lesson; joins the open write.

    Raises Invalid for a choice that cannot be: a make-up without its cancelled slot of the term, a part of another lesson or unit,
    a combined lesson without a second class.
    """
    if wishes.kind not in rules.KINDS:
        raise Invalid("kind", _l("没有这种课型。"), where=wishes.kind)
    lesson.kind = wishes.kind
    lesson.makeup_of = _checked_makeup(lesson, cohort, wishes)
    lesson.part_of = _checked_part(lesson, cohort, wishes)
    joined = [one for one in dict.fromkeys(wishes.joined) if one != cohort.id]
    if wishes.kind == "combined" and not joined:
        raise Invalid("combined", _l("合班课请至少选一个别的班。"), where="joined", clause="B2a")
    if joined and wishes.kind != "combined":
        raise Invalid("combined", _l("和别的班一起上，课型要选“合班”。"), where="kind", clause="B2a")
    known = {one.id for one in roster.classes_of(cohort.school_id)}
    if not set(joined) <= known:
        raise Invalid("combined", _l("本校没有这个班级。"), where="joined")
    lesson.joined = [str(one) for one in joined]


def _checked_makeup(lesson: LessonSession, cohort: SchoolClass, wishes: Wishes) -> str:
    if wishes.kind != "makeup":
        return ""
    if wishes.makeup_of and wishes.makeup_of == lesson.makeup_of:
        return lesson.makeup_of
    options = {one.link for one in cancelled_slots(cohort, today_of(school_of(cohort.school_id)))}
    if wishes.makeup_of not in options:
        raise Invalid(
            "makeup-of",
            _l("补课要选它补的是本学期哪一节停掉的课。"),
            remedy=_l("列表里没有时，请教务在课表里登记停课或调课，或改选“常规课”。"),
            where="makeup_of",
            clause="B2a",
        )
    return wishes.makeup_of


def _checked_part(lesson: LessonSession, cohort: SchoolClass, wishes: Wishes) -> dict[str, object] | None:
    if wishes.continues is not None:
        if lesson.part_of and lesson.part_of["lesson"] == str(wishes.continues):
            return lesson.part_of
        today = today_of(school_of(cohort.school_id))
        first = next((one for one in waiting_parts(cohort, today) if one.lesson_id == wishes.continues), None)
        if first is None or first.lesson_id == lesson.id:
            raise Invalid("part-of", _l("要接着上的那一课已经上完，或已过了 7 天。"), where="continues", clause="B2a")
        return {"lesson": str(first.lesson_id), "kind": first.kind, "parts": first.parts}
    if not wishes.division:
        return None
    kind, _dash, parts = wishes.division.partition("-")
    if wishes.division not in DIVISIONS:
        raise Invalid("part-of", _l("没有这种分次上课的方式。"), where="division")
    return {"lesson": str(lesson.id), "kind": kind, "parts": int(parts)}


def change(actor: Account, lesson: LessonSession, wishes: Wishes) -> LessonSession:
    """Change what kind of lesson it is, until its record is written; the classes that take part are fixed when it starts."""
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        if not rules.allowed("mark", lesson.state):
            raise Refused(
                "lesson-recorded",
                _l("这节课的使用记录已经写入。"),
                remedy=_l("请在使用记录页提出更正，由另一人确认。"),
                clause="B10.5",
            )
        cohort = db.session.get_one(SchoolClass, lesson.class_id)
        joined = tuple(uuid.UUID(one) for one in lesson.joined)
        kept = dataclasses.replace(wishes, joined=joined)
        if joined and wishes.kind != "combined":
            raise Refused("combined", _l("这节课有几个班一起上，课型只能是“合班”。"), clause="B2a")
        settle(lesson, cohort, kept)
        if lesson.state == "ended" and wishes.aborted != (lesson.end_reason == "aborted"):
            lesson.end_reason = "aborted" if wishes.aborted else "teacher"
        note_event(lesson, "kind", actor, clock.now(), to=lesson.kind, makeup_of=lesson.makeup_of, part=lesson.part_of)
        audit(actor, "lesson-kind", "lesson", lesson.id, school_id=lesson.school_id, to=lesson.kind)
    return lesson


def division_of(lesson: LessonSession) -> str:
    """The division that the lesson began, as the form has it; empty for a whole lesson and for a further part."""
    part = lesson.part_of
    return f"{part['kind']}-{part['parts']}" if part and part["lesson"] == str(lesson.id) else ""


def pupils_by_class(lesson: LessonSession, people: Iterable[uuid.UUID], on: date) -> dict[uuid.UUID, set[uuid.UUID]]:
    """Which of the pupils in the register belong to which class of the lesson; those of no class count for its own."""
    left = set(people)
    found: dict[uuid.UUID, set[uuid.UUID]] = {}
    for class_id in lesson.classes[1:]:
        members = {pupil.person_id for pupil in roster.roster_of(class_id, on)} & left
        found[class_id] = members
        left -= members
    return {lesson.class_id: left, **found}


def subjects_of(school_id: uuid.UUID, taught: Sequence[str]) -> list[str]:
    """Subjects to offer for an open lesson: the teacher's own first, then the usual ones."""
    usual = ("人工智能", "信息科技", "科学", "综合实践活动", "语文", "数学", "英语", "道德与法治", "物理", "化学", "生物学", "历史", "地理", "音乐", "美术", "体育与健康", "劳动")  # fmt: skip
    return list(dict.fromkeys([*taught, *usual]))
