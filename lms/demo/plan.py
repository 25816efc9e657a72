"""Dates and bells of the demo school: today is a school day of week ten, and a lesson is on now (演示校历); pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

WEEKS_BEFORE = 9
WEEKS_AFTER = 9
PERIODS = 8
BREAK_MINUTES = 10
LATEST_BELL = 23 * 60 + 50


@dataclass(frozen=True)
class DemoCalendar:
    """First and last day of the term; ``make_up``: today, where it is a weekend day, and the weekday (0–6) that it follows (调休)."""

    starts_on: date
    ends_on: date
    today: date
    make_up: int | None

    @property
    def weekday(self) -> int:
        """Weekday whose timetable today follows."""
        return self.today.weekday() if self.make_up is None else self.make_up


def demo_calendar(today: date) -> DemoCalendar:
    """A term whose tenth week holds ``today``."""
    monday = today - timedelta(days=today.weekday())
    starts_on = monday - timedelta(weeks=WEEKS_BEFORE)
    return DemoCalendar(starts_on, monday + timedelta(weeks=WEEKS_AFTER, days=4), today, None if today.weekday() < 5 else today.weekday() - 4)


@dataclass(frozen=True)
class Bell:
    """A period: ordinal from 1, local start and end."""

    ordinal: int
    starts_at: time
    ends_at: time


def demo_bells(now: datetime, minutes: int) -> list[Bell]:
    """Periods of ``minutes`` each, one of which began within the last five minutes of local ``now``; all inside the day."""
    current = min((now.hour * 60 + now.minute) // 5 * 5, LATEST_BELL - minutes)
    stride = minutes + BREAK_MINUTES
    before = min(3, current // stride)
    starts = [current - stride * count for count in range(before, 0, -1)] + [current]
    while len(starts) < PERIODS and starts[-1] + stride + minutes <= LATEST_BELL:
        starts.append(starts[-1] + stride)
    return [Bell(ordinal, _time(start), _time(start + minutes)) for ordinal, start in enumerate(starts, 1)]


def current_bell(bells: list[Bell], now: datetime) -> Bell:
    """The period that runs at local ``now``, else the last one that began."""
    begun = [bell for bell in bells if bell.starts_at <= now.time().replace(tzinfo=None)]
    return begun[-1] if begun else bells[0]


def taught_weeks(index: int) -> tuple[int, ...]:
    """Weeks 1–9 in which the demo's class ``index`` had its lesson: most of them regularly, one late starter, one that stopped."""
    patterns = ((1, 3, 5, 7, 9), (2, 4, 6, 8), (1, 3, 4, 6, 8, 9), (1, 2, 5, 7, 9), (1, 3, 6, 9), (5, 6, 7, 8, 9), (1, 2), (2, 3, 5, 8, 9))
    return patterns[index % len(patterns)]


def _time(minute: int) -> time:
    return time(minute // 60, minute % 60)
