"""Who teaches what by the timetable, and after admission by the lessons (授课教师、开课计划), GS-15, GS-33, B7."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import NotFound, Refused
from lms.core.stages import STAGE_NAMES
from lms.programmes.dates import ZONE
from lms.programmes.measures import Teacher
from lms.roster import service as roster
from lms.roster.models import Person, School, SchoolStage, TimetableSlot
from lms.roster.rules import ai_subjects
from lms.usage.judging.gathering import term_for
from lms.usage.models import UsageRecord
from lms.usage.rulebook import service as rulebook

RULE = "fortnightly"


def today() -> date:
    """The day in Shanghai."""
    return clock.now().astimezone(ZONE).date()


def admitted(school_id: uuid.UUID, stages: Collection[str] = ()) -> bool:
    """Whether the stages that take part (or those given) are all in the pilot by now (试点确认)."""
    rows = db.session.scalars(
        select(SchoolStage).where(SchoolStage.school_id == school_id, SchoolStage.participates.is_(True))
    ).all()
    wanted = [row for row in rows if not stages or row.stage in stages]
    return bool(wanted) and all(row.admitted_on is not None and row.admitted_on <= today() for row in wanted)


def teachers_of(school_id: uuid.UUID, name: str) -> list[Teacher]:
    """Teachers of the 开课计划: those whom this term's timetable has for the subject; after admission those of counted lessons (B7)."""
    pairs = (
        _taught(school_id) if admitted(school_id) else {(one.teacher_id, one.class_id) for one in slots_of(school_id)}
    )
    if not pairs:
        return []
    people = {
        row.id: row
        for row in db.session.scalars(select(Person).where(Person.id.in_({teacher for teacher, _class in pairs})))
    }
    stages = {row.id: row.stage for row in roster.classes_of(school_id)}
    found = {
        Teacher(people[teacher].name, stages[cohort], name, people[teacher].title)
        for teacher, cohort in pairs
        if teacher in people and cohort in stages
    }
    return sorted(found, key=lambda one: (one.stage, one.name))


def _taught(school_id: uuid.UUID) -> set[tuple[uuid.UUID, uuid.UUID]]:
    try:
        result = rulebook.judge(school_id, RULE, today())
    except (Refused, NotFound):
        return set()
    counted = [uuid.UUID(one.lesson.id) for cohort in result.classes for one in cohort.lessons if one.counts]
    rows = db.session.execute(
        select(UsageRecord.teacher_id, UsageRecord.class_id).where(
            UsageRecord.school_id == school_id, UsageRecord.id.in_(counted)
        )
    )
    return {(teacher, cohort) for teacher, cohort in rows}


def slots_of(school_id: uuid.UUID) -> list[TimetableSlot]:
    """This term's weekly slots of 人工智能 or of the school's AI 课所在学科; none where there is no school or term."""
    school = db.session.get(School, school_id)
    if school is None:
        return []
    try:
        term = term_for(school_id, today())
    except Refused:
        return []
    query = select(TimetableSlot).where(
        TimetableSlot.school_id == school_id,
        TimetableSlot.term_id == term.id,
        TimetableSlot.subject.in_(ai_subjects(school.host_subject)),
    )
    return list(db.session.scalars(query))


def lesson_plan(school_id: uuid.UUID, stages: Collection[str] = ()) -> list[dict[str, Any]]:
    """Rows of a 开课计划 from the timetable: stage, class, pupils, hours, teachers (GS-33); of these stages, or of all."""
    slots = slots_of(school_id)
    if not slots:
        return []
    school, day = roster.school_of(school_id), today()
    people = {
        row.id: row.name
        for row in db.session.scalars(select(Person).where(Person.id.in_({slot.teacher_id for slot in slots})))
    }
    rows = []
    for cohort in roster.classes_of(school_id):
        own = [slot for slot in slots if slot.class_id == cohort.id]
        if own and (not stages or cohort.stage in stages):
            rows.append(
                {
                    "stage": STAGE_NAMES.get(cohort.stage, cohort.stage),
                    "class": roster.class_name(cohort, school, day),
                    "pupils": str(len(roster.roster_of(cohort.id, day))),
                    "hours": hours_told(own),
                    "name": "、".join(sorted({people.get(slot.teacher_id, "") for slot in own})),
                }
            )
    return rows


def hours_told(slots: Sequence[TimetableSlot]) -> str:
    """“每周 1 课时，每两周 1 课时”."""
    weekly = sum(slot.weeks == "all" for slot in slots)
    other = len(slots) - weekly
    return "，".join(filter(None, (f"每周 {weekly} 课时" if weekly else "", f"每两周 {other} 课时" if other else "")))
