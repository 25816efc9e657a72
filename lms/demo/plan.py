"""Dates and bells of the demo school: today is a school day of week ten, and a lesson is on now (演示校历); pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WEEKS_BEFORE = 9
WEEKS_AFTER = 9
ALREADY_MINUTES = 32  # of the lesson have passed when the demo joins it: enough for the lesson to count (B2a)
STILL_MINUTES = 38
BREAK_MINUTES = 10
PERIODS = 8
ZONES = ("Asia/Shanghai", "Asia/Dubai")


@dataclass(frozen=True)
class DemoCalendar:
    """First and last day of the term; ``make_up``: today, where it is a weekend day, follows this weekday 0–4 (调休), else None."""

    starts_on: date
    ends_on: date
    today: date
    make_up: int | None

    @property
    def weekday(self) -> int:
        """Weekday whose timetable today follows."""
        return self.today.weekday() if self.make_up is None else self.make_up


def demo_zone(now: datetime) -> str:
    """The school's zone: Shanghai, but Dubai around Shanghai's midnight, so that the lesson lies inside one day."""
    hour = now.astimezone(ZoneInfo(ZONES[0])).hour
    return ZONES[0] if 1 <= hour < 22 else ZONES[1]


def demo_calendar(today: date) -> DemoCalendar:
    """A term whose tenth week holds ``today``."""
    monday = today - timedelta(days=today.weekday())
    return DemoCalendar(
        monday - timedelta(weeks=WEEKS_BEFORE),
        monday + timedelta(weeks=WEEKS_AFTER, days=4),
        today,
        None if today.weekday() < 5 else today.weekday() - 4,
    )


@dataclass(frozen=True)
class Bell:
    """A period: ordinal from 1, local start and end."""

    ordinal: int
    starts_at: time
    ends_at: time


def demo_bells(now: datetime, minutes: int, *, extra_minutes: int = 0) -> tuple[list[Bell], Bell]:
    """Periods of the day and the one that runs at local ``now``: it began 32 minutes ago and goes on for 38 (+ extra) more.

    The others have ``minutes`` each; all lie inside the day.
    """
    at = now.hour * 60 + now.minute
    start, end = max(0, at - ALREADY_MINUTES), min(24 * 60 - 1, at + STILL_MINUTES + extra_minutes)
    spans = [(start, end)]
    stride = BREAK_MINUTES + minutes

    def before(most: int) -> None:
        while len(spans) < most and spans[0][0] >= stride:
            spans.insert(0, (spans[0][0] - stride, spans[0][0] - BREAK_MINUTES))

    before(4)
    while len(spans) < PERIODS and spans[-1][1] + stride < 24 * 60:
        spans.append((spans[-1][1] + BREAK_MINUTES, spans[-1][1] + stride))
    before(PERIODS)
    running = spans.index((start, end)) + 1
    bells = [Bell(ordinal, _time(first), _time(last)) for ordinal, (first, last) in enumerate(spans, 1)]
    return bells, bells[running - 1]


def taught_weeks(index: int) -> tuple[int, ...]:
    """Weeks 1–9 in which the demo's class ``index`` had its lesson: most regularly, one late starter, one a lesson short."""
    patterns = (
        (1, 3, 5, 7, 9),
        (2, 4, 6, 8, 9),
        (1, 3, 4, 6, 8, 9),
        (1, 2, 5, 7, 9),
        (1, 3, 5, 7, 9),
        (1, 3, 6, 8, 9),
        (2, 4, 5, 7, 9),
        (2, 3, 5, 8, 9),
        (1, 3, 5, 7, 9),
        (5, 6, 7, 8, 9),
        (2, 4, 6, 8),
        (1, 4, 6, 8, 9),
    )
    return patterns[index % len(patterns)]


def _time(minute: int) -> time:
    return time(minute // 60, minute % 60)
