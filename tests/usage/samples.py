"""Small makers of facts: the national calendar of the school year 2026–27 and lessons that count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from lms.usage.judging.facts import ClassFact, DayFact, Facts, FlagFact, SchoolFact, TaughtLesson

TERM_START = date(2026, 9, 1)
TERM_END = date(2027, 1, 22)
YEAR_END = date(2026, 12, 31)


def day(text: str) -> date:
    """A day from ``MM-DD`` of the school year 2026–27, or a full date."""
    if len(text) == 10:
        return date.fromisoformat(text)
    month, number = (int(part) for part in text.split("-"))
    return date(2026 if month >= 8 else 2027, month, number)


def span(first: str, last: str) -> list[date]:
    start, end = day(first), day(last)
    return [start + timedelta(days=offset) for offset in range((end - start).days + 1)]


def national() -> list[DayFact]:
    """Autumn 2026 as announced (国务院办公厅 2025-11-04): holidays, and the two 调休 days as the school declares them."""
    off = [*span("09-25", "09-27"), *span("10-01", "10-07"), *span("01-01", "01-03")]
    return [
        *(DayFact(each, False, "national") for each in off),
        DayFact(day("09-20"), True, "school", follows=1),
        DayFact(day("10-10"), True, "school", follows=2),
    ]


def cohort(key: str = "c1", grade: int = 5, **more: Any) -> ClassFact:
    stage = "primary" if grade <= 6 else "junior" if grade <= 9 else "senior"
    values: dict[str, Any] = {"stage": stage, "grade": grade, "roster": 40, "created": TERM_START, "admitted": TERM_START}
    return ClassFact(id=key, **(values | more))


def lesson(on: date | str, class_id: str = "c1", **more: Any) -> TaughtLesson:
    """A lesson that counts, unless ``more`` spoils it."""
    taught = day(on) if isinstance(on, str) else on
    values: dict[str, Any] = {
        "id": f"{class_id}-{taught.isoformat()}",
        "minutes": 40 if more.get("stage") is None else 45,
        "present": 38,
        "leave": 1,
        "course": "ncet",
        "units": ("五上-3",),
        "subject": "信息科技",
        "teacher_registered": True,
        "evidence": "A",
    }
    return TaughtLesson(class_id=class_id, date=taught, **(values | more))


def school_facts(
    lessons: Iterable[TaughtLesson] = (),
    *,
    classes: Sequence[ClassFact] | None = None,
    as_of: date | str = YEAR_END,
    end: date = YEAR_END,
    start: date = TERM_START,
    days: Iterable[DayFact] | None = None,
    flags: Iterable[FlagFact] = (),
    stages: tuple[str, ...] = ("primary",),
    system: str = "6-3",
) -> Facts:
    """A primary school with one class in the autumn of 2026, the term ending on 31 December."""
    return Facts(
        as_of=day(as_of) if isinstance(as_of, str) else as_of,
        course="ncet",
        school=SchoolFact("s1", stages, system),
        term_start=start,
        term_end=end,
        days=tuple(national() if days is None else days),
        flags=tuple(flags),
        classes=tuple(classes) if classes is not None else (cohort(),),
        lessons=tuple(lessons),
    )


def weekly(weeks: Iterable[int], class_id: str = "c1", weekday: int = 1) -> list[TaughtLesson]:
    """One lesson in each of the weeks (1 = the week of 31 August), on ``weekday`` (0 = Monday)."""
    return [lesson(date(2026, 8, 31) + timedelta(weeks=number - 1, days=weekday), class_id) for number in weeks]
