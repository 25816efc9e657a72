"""Facts of one school and term that the counting rules judge (事实); plain and frozen, the same from a file and from the database.

Shape: ``schemas/<name>.json``, named by each rule. Nothing here decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any, Literal

from lms.core.stages import CLASS_HOUR_MINUTES
from lms.usage.evidence.lesson_facts import ArtefactFact, DeviceFact, LessonFacts, WitnessFact
from lms.usage.reasons import Reason

__all__ = [
    "ArtefactFact",
    "ClassFact",
    "DayFact",
    "DeviceFact",
    "Facts",
    "FlagFact",
    "LessonFacts",
    "PartOf",
    "SchoolFact",
    "TaughtLesson",
    "WitnessFact",
]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Basis = Literal["record", "plan"]


@dataclass(frozen=True)
class DayFact:
    """A day that departs from Monday–Friday (B1): holiday, closure or 调休 day; ``grades`` None = all; ``follows`` 0–6."""

    day: date
    is_school: bool
    source: str = "school"
    follows: int | None = None
    entered: date | None = None
    countersigned: bool = False
    grades: frozenset[int] | None = None
    reason: str = ""


@dataclass(frozen=True)
class FlagFact:
    """A week that the school declares not effective (非教学周, B1), named by its Monday; ``grades`` None = all."""

    monday: date
    reason: str
    entered: date | None = None
    countersigned: bool = False
    grades: frozenset[int] | None = None


@dataclass(frozen=True)
class ClassFact:
    """A class (班级) in the grade of the day of judgement; ``created`` = 分班 date, ``admitted`` = pilot admission."""

    id: str
    stage: str
    grade: int
    roster: int
    number: int = 1
    type: str = "administrative"
    regular_slot: bool = True
    created: date | None = None
    closed: date | None = None
    admitted: date | None = None
    name: str = ""


@dataclass(frozen=True)
class PartOf:
    """This row is one of ``parts`` parts of the lesson ``lesson``: half classes (``halves``) or short sessions (``shorts``)."""

    lesson: str
    kind: str
    parts: int


@dataclass(frozen=True)
class TaughtLesson:
    """One lesson of one class as the register holds it; ``minutes`` inside the slot, ``roster`` None = the class's.

    ``roster`` is the whole class's also for a half. ``sitting``: what classes taught together share (合班), None = the id.
    """

    id: str
    class_id: str
    date: date
    minutes: float
    present: int
    leave: int = 0
    roster: int | None = None
    class_hours: int = 1
    kind: str = "regular"
    course: str | None = None
    units: tuple[str, ...] = ()
    subject: str = ""
    teacher_registered: bool = False
    evidence: str | None = None
    makeup_of: str | None = None
    part_of: PartOf | None = None
    sitting: str | None = None


@dataclass(frozen=True)
class SchoolFact:
    """The school: declared stages, 学制, minutes of a class hour by stage (default 40/45/45, B2a)."""

    id: str
    stages: tuple[str, ...]
    system: str = "6-3"
    zone: str = "Asia/Shanghai"
    class_hours: tuple[tuple[str, int], ...] = ()

    def class_hour(self, stage: str) -> int:
        """Minutes of a class hour of ``stage``."""
        return dict(self.class_hours).get(stage, CLASS_HOUR_MINUTES[stage])


@dataclass(frozen=True)
class Facts:
    """Everything a rule needs: one school, one term (or the terms of a school year), judged at the end of ``as_of``.

    ``subjects``: those that the rule asks about; ``subjects_taught``: all of the school's. ``later_terms``: (first, last day) of the
    terms that follow the first one in the school year, for rules that judge the year. ``remarks``: changes of the window that do not count.
    """

    as_of: date
    course: str
    school: SchoolFact
    term_start: date
    term_end: date
    days: tuple[DayFact, ...] = ()
    flags: tuple[FlagFact, ...] = ()
    classes: tuple[ClassFact, ...] = ()
    lessons: tuple[TaughtLesson, ...] = ()
    basis: Basis = "record"
    subjects: tuple[str, ...] = ()
    subjects_taught: tuple[str, ...] = ()
    later_terms: tuple[tuple[date, date], ...] = ()
    remarks: tuple[Reason, ...] = ()

    @property
    def judged_on(self) -> date:
        """min(as_of, window end): the day on which classes must exist (B2c)."""
        return min(self.as_of, self.period_end)

    @property
    def terms(self) -> tuple[tuple[date, date], ...]:
        """First and last day of every term, in order."""
        return ((self.term_start, self.term_end), *self.later_terms)

    @property
    def period_end(self) -> date:
        """Last day of the last term."""
        return self.terms[-1][1]

    def term_of(self, day: date) -> tuple[date, date] | None:
        """The term that ``day`` lies in."""
        return next((term for term in self.terms if term[0] <= day <= term[1]), None)

    def day_of(self, lesson_id: str) -> date | None:
        """Day of a lesson of these facts."""
        return self._days.get(lesson_id)

    def at(self, as_of: date) -> Facts:
        """The same facts judged on another day."""
        return replace(self, as_of=as_of)

    def without_flags(self) -> Facts:
        """The same facts with no week flagged (B1: both verdicts are printed)."""
        return replace(self, flags=())

    def lessons_of(self, class_id: str) -> tuple[TaughtLesson, ...]:
        """Rows of one class in the order given."""
        return self._by_class.get(class_id, ())

    @cached_property
    def _by_class(self) -> dict[str, tuple[TaughtLesson, ...]]:
        found: dict[str, list[TaughtLesson]] = {}
        for row in self.lessons:
            found.setdefault(row.class_id, []).append(row)
        return {class_id: tuple(rows) for class_id, rows in found.items()}

    @cached_property
    def _days(self) -> dict[str, date]:
        return {row.id: row.date for row in self.lessons}


def to_json(facts: Facts) -> dict[str, Any]:
    """The facts in the shape of the schema that their rule names."""
    terms = [{"start": start.isoformat(), "end": end.isoformat()} for start, end in facts.terms]
    named: dict[str, Any] = {"course": facts.course, "subjects": list(facts.subjects), "subjects_taught": list(facts.subjects_taught)}
    return {
        "as_of": facts.as_of.isoformat(),
        **{name: value for name, value in named.items() if value},
        "basis": facts.basis,
        "school": {
            "id": facts.school.id,
            "stages": list(facts.school.stages),
            "system": facts.school.system,
            "zone": facts.school.zone,
            "class_hour_minutes": {stage: facts.school.class_hour(stage) for stage in facts.school.stages},
        },
        **({"terms": terms} if facts.later_terms else {"term": terms[0]}),
        "days": _grouped([(fact.day, _day_json(fact)) for fact in facts.days]),
        "weeks_flagged": _grouped([(fact.monday, _flag_json(fact)) for fact in facts.flags]),
        "classes": [_class_json(cohort) for cohort in facts.classes],
        "lessons": [_lesson_json(row) for row in facts.lessons],
    }


def _grouped(pairs: list[tuple[date, dict[str, Any]]]) -> dict[str, Any]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for day, fact in pairs:
        grouped.setdefault(day.isoformat(), []).append(fact)
    return {day: entries[0] if len(entries) == 1 else entries for day, entries in grouped.items()}


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _day_json(fact: DayFact) -> dict[str, Any]:
    return {
        "school": fact.is_school,
        "follows": WEEKDAYS[fact.follows] if fact.follows is not None else None,
        "source": fact.source,
        "entered": _iso(fact.entered),
        "countersigned": fact.countersigned,
        "reason": fact.reason,
        "grades": sorted(fact.grades) if fact.grades is not None else None,
    }


def _flag_json(fact: FlagFact) -> dict[str, Any]:
    return {
        "reason": fact.reason,
        "entered": _iso(fact.entered),
        "countersigned": fact.countersigned,
        "grades": sorted(fact.grades) if fact.grades is not None else None,
    }


def _class_json(cohort: ClassFact) -> dict[str, Any]:
    return {
        "id": cohort.id,
        "stage": cohort.stage,
        "grade": cohort.grade,
        "number": cohort.number,
        "name": cohort.name,
        "type": cohort.type,
        "regular_slot": cohort.regular_slot,
        "created": _iso(cohort.created),
        "closed": _iso(cohort.closed),
        "admitted": _iso(cohort.admitted),
        "roster": cohort.roster,
    }


def _lesson_json(row: TaughtLesson) -> dict[str, Any]:
    part = row.part_of
    return {
        "id": row.id,
        "class": row.class_id,
        "date": row.date.isoformat(),
        "minutes": row.minutes,
        "present": row.present,
        "leave": row.leave,
        "roster": row.roster,
        "class_hours": row.class_hours,
        "kind": row.kind,
        "course": row.course,
        "unit": (row.units[0] if len(row.units) == 1 else list(row.units)) if row.units else None,
        "subject": row.subject,
        "teacher_registered": row.teacher_registered,
        "evidence": row.evidence,
        "makeup_of": row.makeup_of,
        "part_of": {"lesson": part.lesson, "kind": part.kind, "parts": part.parts} if part else None,
        "sitting": row.sitting,
    }
