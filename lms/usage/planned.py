"""The timetable as lessons (计划): the same rules run over slots that are still to come, or over a whole term before it begins (B2)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import date, timedelta

from lms.core import clock
from lms.roster import service as roster
from lms.roster.rules import ai_subjects
from lms.usage.judging.facts import Facts, TaughtLesson
from lms.usage.judging.forecast import with_plan
from lms.usage.judging.gathering import facts_of, term_for

PLAN_UNIT = "计划"


def plan_facts(
    school_id: uuid.UUID, as_of: date, course: str | None = None, subjects: Collection[str] | None = None
) -> Facts:
    """The term of ``as_of`` as its timetable has it, judged on its last day: for applications, and before anything was taught."""
    facts = facts_of(school_id, as_of, course)
    planned = planned_lessons(school_id, facts, facts.term_start, facts.term_end, subjects)
    return replace(facts, lessons=tuple(planned), as_of=facts.term_end, basis="plan")


def foreseen_facts(
    school_id: uuid.UUID, as_of: date, course: str | None = None, subjects: Collection[str] | None = None
) -> Facts:
    """What was taught by ``as_of``, and the timetable from the day after: where the term ends if every slot is kept."""
    facts = facts_of(school_id, as_of, course)
    return with_plan(facts, planned_lessons(school_id, facts, as_of + timedelta(days=1), facts.term_end, subjects))


def subjects_of(facts: Facts, host_subject: str = "") -> frozenset[str]:
    """Subjects under which the school teaches the course: 人工智能, its AI 课所在学科, and those of its lessons that name units of it."""
    return ai_subjects(host_subject) | {
        row.subject for row in facts.lessons if row.course == facts.course and row.subject
    }


def planned_lessons(
    school_id: uuid.UUID, facts: Facts, first: date, last: date, subjects: Collection[str] | None = None
) -> Iterable[TaughtLesson]:
    """One lesson for the slots of a class on a day in these subjects (default :func:`subjects_of`): a double period is one of two hours.

    Everybody is taken to come, and a unit of the course to be taught.
    """
    term = term_for(school_id, facts.term_end)
    school = roster.school_of(school_id)
    wanted = frozenset(subjects) if subjects is not None else subjects_of(facts, school.host_subject)
    sizes = {one.id: max(1, one.roster) for one in facts.classes}
    runs: dict[tuple[str, date, str], list[roster.DaySlot]] = {}
    for slot in roster.slots_between(school_id, term, max(first, facts.term_start), min(last, facts.term_end)):
        if slot.subject in wanted and str(slot.class_id) in sizes:
            day = clock.local_date(slot.starts, school.zone)
            runs.setdefault((str(slot.class_id), day, slot.subject), []).append(slot)
    for (class_id, day, subject), slots in runs.items():
        yield TaughtLesson(
            id=f"{slots[0].slot_id}/{day.isoformat()}",
            class_id=class_id,
            date=day,
            minutes=sum((slot.ends - slot.starts).total_seconds() / 60 for slot in slots),
            present=sizes[class_id],
            roster=sizes[class_id],
            class_hours=len(slots),
            course=facts.course,
            units=(PLAN_UNIT,),
            subject=subject,
            teacher_registered=True,
            sitting=f"{slots[0].teacher_id}/{slots[0].starts.isoformat()}",
        )
