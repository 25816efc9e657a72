"""Plausibility flags: pure functions with cases, each beside an innocent neighbour that must not be flagged."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from lms.usage.evidence.lesson_facts import ArtefactFact, LessonFacts, SeatFact, WitnessFact
from lms.usage.evidence.plausibility import Entry, lesson_flags, school_flags

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
END = START + timedelta(minutes=40)


def lesson(**more: Any) -> LessonFacts:
    one = uuid.UUID(int=1)
    values: dict[str, Any] = {
        "school_id": one, "lesson_id": one, "class_id": one, "teacher_id": one, "room_id": one, "lesson_on": START.date(), "started_at": START, "ended_at": END,
        "minutes": 40, "class_hours": 1, "kind": "regular", "subject": "人工智能", "units": (), "roster": 40, "present": 40, "on_leave": 0,
        "slot_start": START, "slot_end": END, "modality": "terminals",
    }  # fmt: skip
    return LessonFacts(**(values | more))


def seats(count: int, *, address: str = "", uniform: bool = False) -> tuple[SeatFact, ...]:
    def drift(number: int) -> timedelta:
        return timedelta() if uniform else timedelta(seconds=number * 1.7)

    return tuple(SeatFact(address or f"a{n}", 80 if uniform else 80 - n % 5, START + drift(n), END - drift(n)) for n in range(count))


def works(count: int, *, size: int, same: bool, seconds: float) -> tuple[ArtefactFact, ...]:
    return tuple(
        ArtefactFact(uuid.UUID(int=n), uuid.UUID(int=n), hashlib.sha256(b"x" if same else bytes([n])).hexdigest(), size, START + timedelta(seconds=600 + n * seconds))
        for n in range(count)
    )


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "an ordinary lesson": ({"seats": seats(40), "artefacts": works(40, size=900, same=False, seconds=3)}, {}, []),
    "one address for the room": ({"seats": seats(40, address="x")}, {}, ["one-address"]),
    "four seats behind one switch": ({"seats": seats(4, address="x")}, {}, []),
    "a few of many share one": ({"seats": (*seats(6, address="x"), *seats(30))}, {}, []),
    "long works alike": ({"artefacts": works(5, size=900, same=True, seconds=60)}, {}, ["alike"]),
    "short right answers alike": ({"artefacts": works(40, size=60, same=True, seconds=9)}, {}, []),
    "short answers all at once": ({"artefacts": works(40, size=60, same=True, seconds=0.1)}, {}, ["alike"]),
    "one pupil sends again and again": (
        {"artefacts": tuple(ArtefactFact(uuid.UUID(int=n), uuid.UUID(int=7), "00", 900, START) for n in range(9))}, {}, [],
    ),
    "heartbeats without variance": ({"seats": seats(40, uniform=True)}, {}, ["uniform-beats"]),
    "two quiet terminals": ({"seats": seats(2, uniform=True)}, {}, []),
    "a teacher who had left": ({}, {"teacher_left": True}, ["teacher-away"]),
    "recorded before it ended": ({}, {"recorded_at": END - timedelta(minutes=1)}, ["clock-jump"]),
    "witnesses of another hour": ({"witnesses": (WitnessFact("submissions", "", 3, START - timedelta(hours=2), END),)}, {}, ["outside-lesson"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_flags_of_a_lesson(case: str) -> None:
    facts, more, expected = CASES[case]
    recorded_at = more.pop("recorded_at", END + timedelta(minutes=10))
    found = lesson_flags(lesson(**facts), recorded_at, **more)
    assert [one.code for one in found] == expected
    assert all(str(one) for one in found)


def entry(key: str, teacher: str = "t", cohort: str = "c", room: str = "r", start: int = 0, **more: Any) -> Entry:
    began = START + timedelta(minutes=start)
    return Entry(key, teacher, cohort, room, began, began + timedelta(minutes=40), more.pop("entered", began + timedelta(minutes=50)), **more)


TOGETHER: dict[str, tuple[list[Entry], list[str]]] = {
    "one after the other": ([entry("1"), entry("2", cohort="d", start=40)], []),
    "a teacher in two rooms": ([entry("1"), entry("2", cohort="d", room="s", start=10)], ["two-rooms-teacher"]),
    "a class in two lessons": ([entry("1"), entry("2", teacher="u", room="s", start=10)], ["two-rooms-class"]),
    "two classes in a room": ([entry("1"), entry("2", teacher="u", cohort="d", start=39)], ["one-room-twice"]),
    "a combined lesson": ([entry("1", kind="combined"), entry("2", cohort="d", kind="combined")], []),
    "entries pile up": ([entry(str(n), start=n * 50, late=True, entered=datetime(2027, 1, 21, 3, n, tzinfo=UTC)) for n in range(12)], ["burst"]),
    "entries spread out": ([entry(str(n), start=n * 50, late=True, entered=START + timedelta(days=n * 5)) for n in range(12)], []),
    "automatic ones may pile up": ([entry(str(n), start=n * 50, entered=datetime(2027, 1, 21, 3, n, tzinfo=UTC)) for n in range(12)], []),
}


@pytest.mark.parametrize("case", TOGETHER)
def test_flags_over_lessons(case: str) -> None:
    entries, expected = TOGETHER[case]
    assert [one.code for one in school_flags(entries, (date(2027, 1, 22),))] == expected
