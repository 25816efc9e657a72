"""What the province's schools have taught (演示开课情况): a few on this server with records on their chains, the others as if they handed up."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.stages import STAGES, entry_year_of, first_grade, school_year
from lms.demo.history import before_term
from lms.demo.places import TAUGHT
from lms.demo.plan import DemoCalendar
from lms.roster import rules as roster_rules
from lms.roster import service as roster
from lms.roster.models import Person, School, SchoolClass
from lms.usage import service as usage
from lms.usage.evidence.lesson_facts import LessonFacts
from lms.usage.judging.standings import standings

COURSE = "demo-ncet"
UNITS = 8
CLASSES = 4  # two grades of two


def record_usage(schools: Mapping[str, uuid.UUID], plan: DemoCalendar, zone: str) -> None:
    """Record the lessons of TAUGHT, each with the clock of its day; in one transaction."""
    before = clock.get_clock()
    with write():
        taught = []
        for name, patterns in TAUGHT.items():
            school = roster.school_of(schools[name])
            own = plan if patterns else replace(plan, starts_on=plan.starts_on - timedelta(weeks=1))
            with before_term(own, zone):
                classes, teacher = _people(school, own)
            for index, weeks in enumerate(patterns or [_just_short(school, own)] * CLASSES):
                for lesson, week in enumerate(weeks):
                    day = own.starts_on + timedelta(weeks=week - 1, days=index % 4)
                    if day < plan.today:
                        taught.append((day, index, school, classes[index], teacher, lesson))
        try:
            for day, index, school, cohort, teacher, lesson in sorted(taught, key=lambda one: one[:2]):
                facts = _facts(school, cohort, teacher, day, index, lesson)
                clock.set_clock(clock.FixedClock(facts.ended_at + timedelta(minutes=5)))
                usage.record_lesson(facts, None)
        finally:
            clock.set_clock(before)


def _just_short(school: School, plan: DemoCalendar) -> tuple[int, ...]:
    """Weeks of lessons that leave each class one short of what the fortnightly rule asks until today, with nothing in the running block.

    The term of this school began a week before the others', so that on every weekday the last block is over and the next one is open.
    """
    result = standings(school.id, plan.today)["fortnightly"].classes[0]
    weeks = [(monday - plan.starts_on).days // 7 + 1 for monday in result.effective]
    return tuple(weeks[::2][: result.required - 1])


def _people(school: School, plan: DemoCalendar) -> tuple[list[SchoolClass], Person]:
    """The term, classes 1 and 2 of two grades of the lowest stage, and who teaches them."""
    usage.set_course(None, school.id, COURSE)
    roster.add_term(None, school.id, school_year(plan.today), 1 if plan.today.month >= 8 or plan.today.month == 1 else 2, plan.starts_on, plan.ends_on)
    stage = min((row.stage for row in roster.stages_of(school.id)), key=STAGES.index)
    lowest = {"primary": 5}.get(stage, first_grade(stage))
    classes = [
        roster.create_class(
            None, school.id, roster_rules.Cohort(stage, entry_year_of(stage, lowest + index // 2, plan.today), index % 2 + 1), formed_on=plan.starts_on
        )
        for index in range(CLASSES)
    ]
    teacher = Person(id=new_id(), school_id=school.id, kind="staff", name="陈老师", title="一级教师")
    db.session.add(teacher)
    db.session.flush()
    return classes, teacher


def _facts(school: School, cohort: SchoolClass, teacher: Person, day: date, index: int, lesson: int) -> LessonFacts:
    start = datetime.combine(day, time(9 + index % 4, 0), ZoneInfo(school.zone))
    end = start + timedelta(minutes=40 if cohort.stage == "primary" else 45)
    return LessonFacts(
        school_id=school.id,
        lesson_id=new_id(),
        class_id=cohort.id,
        teacher_id=teacher.id,
        room_id=None,
        lesson_on=day,
        started_at=start,
        ended_at=end,
        minutes=40 if cohort.stage == "primary" else 45,
        class_hours=1,
        kind="regular",
        subject="信息科技",
        units=(f"{COURSE}:{lesson % UNITS + 1}",),
        roster=42,
        present=40,
        on_leave=2,
        slot_start=start,
        slot_end=end,
        modality="terminals",
        title="示范课",
        end_reason="teacher",
    )
