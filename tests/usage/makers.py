"""Lesson facts as a closed lesson hands them down."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lms.core.db import new_id
from lms.roster.models import Person, SchoolClass
from lms.usage.judging.facts import ArtefactFact, DeviceFact, LessonFacts, WitnessFact


def at(day: date, hour: int = 2, minute: int = 0) -> datetime:
    """UTC time of a day; 02:00 UTC is ten o'clock in Shanghai."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def closed_lesson(cohort: SchoolClass, teacher: Person, pupils: list[Person], day: date, **more: Any) -> LessonFacts:
    """A lesson of 40 minutes that everybody attended, with all four witnesses."""
    start = at(day)
    end = start + timedelta(minutes=more.get("minutes", 40))
    lesson_id = more.pop("lesson_id", new_id())
    values: dict[str, Any] = {
        "school_id": cohort.school_id,
        "lesson_id": lesson_id,
        "class_id": cohort.id,
        "teacher_id": teacher.id,
        "room_id": None,
        "lesson_on": day,
        "started_at": start,
        "ended_at": end,
        "minutes": 40,
        "class_hours": 1,
        "kind": "regular",
        "subject": "人工智能",
        "units": ("ncet:五上-3",),
        "roster": len(pupils),
        "present": len(pupils),
        "on_leave": 0,
        "slot_start": start,
        "slot_end": end,
        "modality": "terminals",
        "title": "机器怎样看世界",
        "devices": (DeviceFact("mbot-1", "makeblock-mbot", 12, True),),
        "artefacts": tuple(
            ArtefactFact(new_id(), pupil.id, hashlib.sha256(pupil.id.bytes).hexdigest(), 120, start + timedelta(minutes=20)) for pupil in pupils
        ),
        "register": tuple((pupil.id, "terminal") for pupil in pupils),
        "witnesses": witnesses(start, end),
        "end_reason": "teacher",
    }
    return LessonFacts(**(values | more))


def witnesses(start: datetime, end: datetime, *kinds: str) -> tuple[WitnessFact, ...]:
    """One witness a kind; default all four."""
    chosen = kinds or ("teacher-sign-in", "seat-heartbeats", "submissions", "device-log")
    return tuple(WitnessFact(kind, str(uuid.UUID(int=number)), 30, start, end) for number, kind in enumerate(chosen, 1))
