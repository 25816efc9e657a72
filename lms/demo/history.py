"""The weeks before today (往周记录): lessons that the demo school has already taught, through the same recording as real ones."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from lms.core import clock
from lms.demo.plan import DemoCalendar, taught_weeks
from lms.roster import service as roster
from lms.roster.calendar import Calendar, is_school_day
from lms.roster.models import Person, Room, School, SchoolClass
from lms.usage import service as usage
from lms.usage.evidence.lesson_facts import ArtefactFact, DeviceFact, LessonFacts, WitnessFact

FIRST_BELL = time(10, 0)


@dataclass(frozen=True)
class Past:
    """One lesson of the past: class number in the demo's list, day."""

    index: int
    day: date


def past_lessons(plan: DemoCalendar, calendar: Calendar, grades: Sequence[int]) -> list[Past]:
    """When each class had its lessons, oldest first: in its week on its weekday, or the next school day of that week."""
    found = []
    for index, grade in enumerate(grades):
        for week in taught_weeks(index):
            monday = plan.starts_on + timedelta(weeks=week - 1)
            days = [monday + timedelta(days=(index + offset) % 5) for offset in range(5)]
            school_days = [day for day in days if is_school_day(calendar, day, grade) and day < plan.today]
            if school_days:
                found.append(Past(index, school_days[0]))
    return sorted(found, key=lambda one: (one.day, one.index))


def record_past(
    school: School, lessons: Sequence[Past], classes: Sequence[SchoolClass], teacher: Person, room: Room, units: dict[str, list[str]]
) -> Iterator[int]:
    """Record the lessons one by one with the clock of their day; yields how many are done. ``units``: units of each stage."""
    zone = ZoneInfo(school.zone)
    before = clock.get_clock()
    taught: dict[int, int] = {}
    try:
        for count, one in enumerate(lessons, 1):
            cohort = classes[one.index]
            number = taught[one.index] = taught.get(one.index, 0) + 1
            start = datetime.combine(one.day, FIRST_BELL, zone) + timedelta(minutes=7 * one.index)
            facts = _facts(school, cohort, teacher, room, start, units[cohort.stage][(number - 1) % len(units[cohort.stage])], one.index)
            clock.set_clock(clock.FixedClock(facts.ended_at + timedelta(minutes=10)))
            usage.record_lesson(facts, None)
            yield count
    finally:
        clock.set_clock(before)


@contextmanager
def before_term(plan: DemoCalendar, zone: str) -> Iterator[None]:
    """Enter calendar and timetable with the clock of the term's first morning, as a school does: they are committed before the lessons."""
    before = clock.get_clock()
    clock.set_clock(clock.FixedClock(datetime.combine(plan.starts_on, time(6), ZoneInfo(zone)).astimezone(UTC)))
    try:
        yield
    finally:
        clock.set_clock(before)


def _facts(school: School, cohort: SchoolClass, teacher: Person, room: Room, start: datetime, unit: str, index: int) -> LessonFacts:
    chance = random.Random(f"{cohort.id}{start}")
    minutes = 40 if cohort.stage == "primary" else 45
    pupils = roster.roster_of(cohort.id, start.date())
    status = {pupil.person_id: chance.choices(("terminal", "leave", "absent"), (95, 3, 2))[0] for pupil in pupils}
    end = start + timedelta(minutes=minutes)
    present = [person for person, word in status.items() if word == "terminal"]
    works = [
        ArtefactFact(uuid.uuid4(), person, hashlib.sha256(f"{person}{start}".encode()).hexdigest(), chance.randint(60, 900), end - timedelta(minutes=5))
        for person in present
    ]
    return LessonFacts(
        school_id=school.id,
        lesson_id=uuid.uuid4(),
        class_id=cohort.id,
        teacher_id=teacher.id,
        room_id=room.id,
        lesson_on=start.date(),
        started_at=start,
        ended_at=end,
        minutes=minutes,
        class_hours=1,
        kind="regular",
        subject="信息科技",
        units=(unit,),
        roster=len(pupils),
        present=len(present),
        on_leave=sum(1 for word in status.values() if word == "leave"),
        slot_start=start,
        slot_end=end,
        modality="terminals",
        title=f"示范课 {unit}",
        devices=tuple(DeviceFact(f"mbot-{number}", "makeblock-mbot", chance.randint(40, 200), True) for number in range(1, 5)),
        artefacts=tuple(works),
        register=tuple(status.items()),
        witnesses=(
            WitnessFact("teacher-sign-in", "console", 1, start, end),
            WitnessFact("seat-heartbeats", "seats", len(present) * minutes * 12, start, end),
            WitnessFact("submissions", "work", len(works), end - timedelta(minutes=5), end),
            WitnessFact("device-log", "mbot-1", 120, start, end),
        ),
        end_reason="teacher",
    )
