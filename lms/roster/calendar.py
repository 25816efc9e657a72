"""The school calendar (校历) as plain facts: school days, weeks, which weekday's timetable a day follows; pure, definitions B1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml


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
    """A term's calendar: first and last day, the entries on days that depart (the last one that concerns a grade holds), the flagged weeks."""

    start: date
    end: date
    days: Mapping[date, tuple[DayFact, ...]] = field(default_factory=dict)
    flagged: Mapping[date, tuple[FlagFact, ...]] = field(default_factory=dict)


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
    weekday = day.weekday() if day.weekday() < 5 else None
    for fact in calendar.days.get(day, ()):
        if fact.grades is None or (grade is not None and grade in fact.grades):
            usual = fact.follows if fact.follows is not None else (day.weekday() if day.weekday() < 5 else None)
            weekday = usual if fact.is_school else None
    return weekday


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


@dataclass(frozen=True)
class NationalTable:
    """Holidays and 调休 days of a year; ``state``: announced (已公布) | estimated (预估); ``source``: the notice, or how it was reckoned."""

    year: int
    state: str
    source: str
    days: tuple[NationalDay, ...]


def national_table(year: int, state: str, source: str, table: Mapping[str, Any]) -> NationalTable:
    """The table of a year from ``holidays`` [{name, from, to}] and ``workdays`` [{name, day, follows}]; dates as date or ISO text."""
    days = [
        NationalDay(day, False, None, period["name"], state)
        for period in table["holidays"]
        for day in days_between(_date(period["from"]), _date(period["to"]))
    ]
    days += [NationalDay(_date(one["day"]), True, one["follows"], one["name"], state) for one in table["workdays"]]
    return NationalTable(year, state, source, tuple(sorted(days, key=lambda each: each.day)))


def _date(value: date | str) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


@lru_cache(maxsize=16)
def bundled_table(year: int) -> NationalTable:
    """The table of a year from ``national/<year>.yaml``; a year without one gets its fixed holidays as estimated (预估).

    Never fails: a calendar must not break because a notice is not out yet.
    """
    file = resources.files(__package__).joinpath("national", f"{year}.yaml")
    if not file.is_file():
        return national_table(year, "estimated", "按《全国年节及纪念日放假办法》的固定日期推算", _fixed_holidays(year))
    entry = yaml.safe_load(file.read_text("utf-8"))
    return national_table(year, entry["state"], entry["source"], entry)


def national_days(year: int) -> tuple[NationalDay, ...]:
    """Days of the bundled table of a year."""
    return bundled_table(year).days


def _fixed_holidays(year: int) -> dict[str, Any]:
    return {
        "holidays": [
            {"name": "元旦", "from": f"{year}-01-01", "to": f"{year}-01-01"},
            {"name": "劳动节", "from": f"{year}-05-01", "to": f"{year}-05-02"},
            {"name": "国庆节", "from": f"{year}-10-01", "to": f"{year}-10-03"},
        ],
        "workdays": [],
    }


def lost_or_won(days: Iterable[NationalDay], first: date, last: date) -> list[NationalDay]:
    """Days from ``first`` to ``last`` that change a term: weekend holidays are left out, since no lesson is lost on them."""
    return [each for each in days if first <= each.day <= last and (each.is_school or each.day.weekday() < 5)]


def national_days_between(first: date, last: date) -> list[NationalDay]:
    """Days of the bundled tables from ``first`` to ``last`` that change a term."""
    return lost_or_won([each for year in range(first.year, last.year + 1) for each in national_days(year)], first, last)
