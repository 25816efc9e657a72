"""School days and teaching weeks of a grade (有效教学周), definitions B1; pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import ClassVar

from lms.usage.judging.facts import DayFact, Facts, FlagFact
from lms.usage.judging.packs import whole
from lms.usage.reasons import N_, Reason, reason

WEEK = timedelta(days=7)
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class CalendarParameters:
    """B1 as data."""

    label: ClassVar[str] = N_("教学周")
    effective_week_days: int = whole(N_("当周至少几个上课日才算有效教学周"), 1, 5)
    closure_entry_days: int = whole(N_("停课须在当日之后几天内登记"), 0, 30)
    flags_without_countersign: int = whole(N_("每学期每年级未经区县确认的非教学周，最多扣除几周"), 0, 20)


@dataclass(frozen=True)
class Flag:
    """A flagged week as judged: whether the flag counts, and why (not)."""

    fact: FlagFact
    counts: bool
    reason: Reason


@dataclass(frozen=True)
class Week:
    """A Monday–Sunday week with this grade's school days inside the window asked for."""

    monday: date
    days: tuple[date, ...]
    flag: Flag | None = None

    @property
    def flagged(self) -> bool:
        """Whether a flag that counts makes the week not effective."""
        return self.flag is not None and self.flag.counts


@dataclass(frozen=True)
class GradeCalendar:
    """The term as one grade lives it: school days, flags as judged, and closures that do not count."""

    parameters: CalendarParameters
    start: date
    end: date
    days: tuple[date, ...]
    flags: tuple[tuple[date, Flag], ...]
    refused: tuple[Reason, ...]

    @cached_property
    def flag_of(self) -> dict[date, Flag]:
        """Flags by the week's Monday."""
        return dict(self.flags)

    def weeks(self, start: date, end: date) -> tuple[Week, ...]:
        """Every week that touches [start, end], with the school days inside it."""
        by_week: dict[date, list[date]] = {}
        monday = monday_of(start)
        while monday <= end:
            by_week[monday] = []
            monday += WEEK
        for day in self.days[bisect_left(self.days, start) : bisect_right(self.days, end)]:
            by_week[monday_of(day)].append(day)
        return tuple(Week(key, tuple(days), self.flag_of.get(key)) for key, days in by_week.items())

    def is_effective(self, week: Week) -> bool:
        """B1: enough school days and no flag that counts."""
        return len(week.days) >= self.parameters.effective_week_days and not week.flagged


def monday_of(day: date) -> date:
    """Monday of the week of ``day``."""
    return day - timedelta(days=day.weekday())


def grade_calendar(facts: Facts, grade: int, parameters: CalendarParameters) -> GradeCalendar:
    """The term of ``facts`` for ``grade``: Monday–Friday, less holidays and closures that count, plus 调休 days."""
    facts_of_day: dict[date, list[DayFact]] = {}
    for fact in facts.days:
        if fact.grades is None or grade in fact.grades:
            facts_of_day.setdefault(fact.day, []).append(fact)
    days = []
    refused = []
    day = facts.term_start
    while day <= facts.term_end:
        is_school = day.weekday() < 5
        for fact in sorted(
            facts_of_day.get(day, ()), key=lambda entry: entry.source != "national"
        ):  # the school's word comes last
            why = closure_refused(fact, parameters) or swap_refused(fact)
            if why is None:
                is_school = fact.is_school
            else:
                refused.append(why)
        if is_school:
            days.append(day)
        day += ONE_DAY
    return GradeCalendar(
        parameters,
        facts.term_start,
        facts.term_end,
        tuple(days),
        tuple(_judged_flags(facts, grade, parameters)),
        tuple(refused),
    )


def closure_refused(fact: DayFact, parameters: CalendarParameters) -> Reason | None:
    """Why a school's closure does not count: entered too late without the county's countersignature; None if it counts."""
    if fact.is_school or fact.source == "national" or fact.countersigned:
        return None
    if fact.entered is not None and fact.entered <= fact.day + timedelta(days=parameters.closure_entry_days):
        return None
    return reason(
        "closure-late",
        N_("%(day)s 停课登记晚于当日后 %(limit)s 天，且未经区县确认，仍按上课日计算"),
        day=fact.day.isoformat(),
        limit=parameters.closure_entry_days,
    )


def swap_refused(fact: DayFact) -> Reason | None:
    """Why a 调休 day of the national table does not count: the school has not declared it with the weekday that it follows."""
    if not fact.is_school or fact.source != "national" or fact.day.weekday() < 5 or fact.follows is not None:
        return None
    return reason(
        "swap-undeclared",
        N_("%(day)s 国家调休上班，学校没有登记按星期几的课表上课，不算上课日"),
        day=fact.day.isoformat(),
    )


def _judged_flags(facts: Facts, grade: int, parameters: CalendarParameters) -> list[tuple[date, Flag]]:
    first = monday_of(facts.term_start)
    concerned = [
        fact
        for fact in facts.flags
        if first <= fact.monday <= facts.term_end and (fact.grades is None or grade in fact.grades)
    ]
    best: dict[date, FlagFact] = {}
    for fact in concerned:  # of several entries for one week the strongest holds: countersigned, else the earliest
        held = best.get(fact.monday)
        if held is None or _strength(fact) < _strength(held):
            best[fact.monday] = fact
    judged = []
    used = 0
    for monday in sorted(best):
        fact = best[monday]
        if fact.countersigned:
            verdict = Flag(fact, True, reason("flag-countersigned", N_("%(why)s周，区县已确认"), why=fact.reason))
        elif fact.entered is None or fact.entered >= monday:
            verdict = Flag(
                fact,
                False,
                reason("flag-late", N_("%(why)s周在当周星期一或之后才登记，且未经区县确认，不予扣除"), why=fact.reason),
            )
        elif used >= parameters.flags_without_countersign:
            limit = parameters.flags_without_countersign
            text = N_("%(why)s周超出每学期每年级 %(limit)s 个未经区县确认的非教学周，不予扣除")
            verdict = Flag(fact, False, reason("flag-too-many", text, why=fact.reason, limit=limit))
        else:
            used += 1
            verdict = Flag(fact, True, reason("flag-in-time", N_("%(why)s周，提前登记"), why=fact.reason))
        judged.append((monday, verdict))
    return judged


def _strength(fact: FlagFact) -> tuple[bool, date]:
    return (not fact.countersigned, fact.entered or date.max)
