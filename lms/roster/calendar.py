"""The school calendar (校历) as plain facts: school days, weeks, which weekday's timetable a day follows; pure, definitions B1."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class DayFact:
    """A day that departs from Monday–Friday.

    ``follows``: 0–6, the weekday whose timetable a 调休 day follows; None on a school day at the weekend = not declared, so it
    does not count yet. ``grades``: None for all.
    """

    is_school: bool
    follows: int | None = None
    source: str = "national"
    entered: datetime | None = None
    countersigned: datetime | None = None
    grades: tuple[int, ...] | None = None
    reason: str = ""
    state: str = "announced"


@dataclass(frozen=True)
class FlagFact:
    """A week that the school declares not effective (非教学周)."""

    reason: str
    entered: datetime | None = None
    countersigned: datetime | None = None
    grades: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Calendar:
    """A term's calendar: first and last day, the days that depart, the flagged weeks by their Monday."""

    start: date
    end: date
    days: Mapping[date, DayFact] = field(default_factory=dict)
    flagged: Mapping[date, FlagFact] = field(default_factory=dict)


@dataclass(frozen=True)
class NationalDay:
    """A day of the national table: holiday or 调休 working day; ``state``: announced | estimated."""

    day: date
    is_school: bool
    follows: int | None
    reason: str
    state: str


def monday_of(day: date) -> date:
    """Monday of the day's week."""
    return day - timedelta(days=day.weekday())


def days_between(first: date, last: date) -> Iterator[date]:
    """Every day from ``first`` to ``last``, both included."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)


def week_number(calendar_start: date, day: date) -> int:
    """Number of the day's week in the term; the week of the first day is 1 (odd)."""
    return (monday_of(day) - monday_of(calendar_start)).days // 7 + 1


def followed_weekday(calendar: Calendar, day: date, grade: int | None = None) -> int | None:
    """Weekday (0–6) whose timetable is taught on ``day`` for ``grade``; None where there is no school.

    ``grade`` None asks for the school as a whole: a closure of some grades only is then no closure.
    """
    if not calendar.start <= day <= calendar.end:
        return None
    fact = calendar.days.get(day)
    if fact is not None and (fact.grades is None or (grade is not None and grade in fact.grades)):
        if not fact.is_school:
            return None
        return fact.follows if fact.follows is not None else (day.weekday() if day.weekday() < 5 else None)
    return day.weekday() if day.weekday() < 5 else None


def is_school_day(calendar: Calendar, day: date, grade: int | None = None) -> bool:
    """Whether lessons are taught on ``day`` for ``grade`` (教学日)."""
    return followed_weekday(calendar, day, grade) is not None


def weeks_of(calendar: Calendar) -> list[date]:
    """Mondays of the weeks that the term touches."""
    first, last = monday_of(calendar.start), monday_of(calendar.end)
    return [first + timedelta(days=7 * index) for index in range((last - first).days // 7 + 1)]


def school_days_in_week(calendar: Calendar, monday: date, grade: int | None = None) -> int:
    """How many school days a Monday–Sunday week has for ``grade``."""
    return sum(is_school_day(calendar, day, grade) for day in days_between(monday, monday + timedelta(days=6)))


def week_fits(weeks: str, number: int) -> bool:
    """Whether a slot taught in ``all``, ``odd`` or ``even`` weeks is taught in week ``number`` (单双周)."""
    return weeks == "all" or (weeks == "odd") == (number % 2 == 1)


def default_term(school_year: int, ordinal: int) -> tuple[date, date]:
    """First and last day that a new term is offered with; the school changes them (1 September … 22 January; 22 February … 9 July)."""
    if ordinal == 1:
        return date(school_year, 9, 1), date(school_year + 1, 1, 22)
    return date(school_year + 1, 2, 22), date(school_year + 1, 7, 9)


@lru_cache(maxsize=16)
def national_days(year: int) -> tuple[NationalDay, ...]:
    """Holidays and 调休 days of a year from the bundled table; a year without one gets its fixed holidays as estimated (预估).

    Never fails: a calendar must not break because a notice is not out yet.
    """
    table = json.loads(resources.files(__package__).joinpath("national_days.json").read_text("utf-8"))
    entry = table["years"].get(str(year)) or _fixed_holidays(year)
    found = [
        NationalDay(day, False, None, period["name"], entry["state"])
        for period in entry["off"]
        for day in days_between(date.fromisoformat(period["from"]), date.fromisoformat(period["to"]))
    ]
    found += [NationalDay(date.fromisoformat(work["day"]), True, work["follows"], work["name"], entry["state"]) for work in entry["on"]]
    return tuple(sorted(found, key=lambda each: each.day))


def _fixed_holidays(year: int) -> dict[str, Any]:
    return {
        "state": "estimated",
        "off": [
            {"name": "元旦", "from": f"{year}-01-01", "to": f"{year}-01-01"},
            {"name": "劳动节", "from": f"{year}-05-01", "to": f"{year}-05-02"},
            {"name": "国庆节", "from": f"{year}-10-01", "to": f"{year}-10-03"},
        ],
        "on": [],
    }


def national_days_between(first: date, last: date) -> list[NationalDay]:
    """Days of the national table from ``first`` to ``last``; weekend holidays are left out, since no lesson is lost on them."""
    found = [each for year in range(first.year, last.year + 1) for each in national_days(year)]
    return [each for each in found if first <= each.day <= last and (each.is_school or each.day.weekday() < 5)]
