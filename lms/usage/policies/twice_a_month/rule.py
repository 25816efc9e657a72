"""每月至少两次: each calendar month by its own number; definitions B2b and B2d."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from lms.usage.judging.calendar import CalendarParameters
from lms.usage.judging.facts import Facts
from lms.usage.judging.lessons import LessonParameters
from lms.usage.judging.packs import Policy, whole
from lms.usage.judging.schoolwide import judge_school
from lms.usage.judging.verdicts import ClassResult, Outlook, SchoolResult, Span, SpreadParameters, Verdict
from lms.usage.judging.windows import Window, free_days, latest_days
from lms.usage.reasons import N_, Reason, reason

TITLE = N_("每月至少两次")


@dataclass(frozen=True)
class MonthParameters:
    """B2b as data."""

    label: ClassVar[str] = N_("每月次数")
    full_month_days: int = whole(N_("当月上课日达到几天，按整月要求"), 1, 31)
    full_month_lessons: int = whole(N_("整月要求几次"), 1, 20)
    short_month_days: int = whole(N_("当月上课日达到几天而不足整月，按短月要求"), 1, 31)
    short_month_lessons: int = whole(N_("短月要求几次"), 0, 20)
    forgiven_months: int = whole(N_("最多几个月各少 1 次而总数够，为基本达标"), 0, 6)


@dataclass(frozen=True)
class Parameters:
    """The pack's parameters, see rule.yaml."""

    calendar: CalendarParameters
    lessons: LessonParameters
    spread: SpreadParameters
    months: MonthParameters


def judge(facts: Facts, policy: Policy) -> SchoolResult:
    """The school of ``facts``."""
    return judge_school(facts, policy, judge_class)


@dataclass(frozen=True)
class Month:
    """A calendar month of the window: school days in weeks that are not flagged, what they require, what was counted."""

    key: tuple[int, int]
    days: tuple[date, ...]
    required: int
    counted: int
    open: bool

    @property
    def name(self) -> str:
        """``YYYY-MM``."""
        return f"{self.key[0]:04d}-{self.key[1]:02d}"

    @property
    def judged(self) -> bool:
        """A month that still has a school day ahead is judged only once it has its number."""
        return not self.open or self.counted >= self.required

    @property
    def short(self) -> int:
        """Lessons missing."""
        return max(0, self.required - self.counted)


def judge_class(window: Window, parameters: Parameters) -> ClassResult:
    """Verdict of one class at ``window.as_of``."""
    own = parameters.months
    months = months_of(window, own)
    judged = [month for month in months if month.judged]
    required = sum(month.required for month in judged)
    counted = sum(month.counted for month in judged)
    verdict, why = verdict_of(judged, own)
    return ClassResult(
        cohort=window.cohort,
        verdict=verdict,
        reason=why,
        start=window.start,
        end=window.end,
        effective=tuple(week.monday for week in window.effective(finished_at=window.as_of)),
        required=required,
        counted=counted,
        raw=len(window.counted),
        longest_gap=window.longest_gap(),
        lessons=window.lessons,
        spans=tuple(
            Span(month.name, (), month.required, month.counted, month.counted, month.judged) for month in months
        ),
        weeks=window.weeks,
        outlook=outlook_of(window, months, own),
    )


def required_for(days: int, own: MonthParameters) -> int:
    """Lessons that a month with so many school days requires."""
    if days >= own.full_month_days:
        return own.full_month_lessons
    return own.short_month_lessons if days >= own.short_month_days else 0


def months_of(window: Window, own: MonthParameters) -> tuple[Month, ...]:
    """The months of W with their numbers."""
    if window.start > window.end:
        return ()
    days = [day for week in window.weeks if not week.flagged for day in week.days]
    taught = [one.lesson.date for one in window.counted]
    months = []
    year, month = window.start.year, window.start.month
    while (year, month) <= (window.end.year, window.end.month):
        key = (year, month)
        held = tuple(day for day in days if _month(day) == key)
        counted = sum(_month(day) == key for day in taught)
        months.append(Month(key, held, required_for(len(held), own), counted, any(day > window.as_of for day in held)))
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return tuple(months)


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month


def verdict_of(judged: Sequence[Month], own: MonthParameters) -> tuple[Verdict, Reason]:
    """B2b: every judged month has its number; or exactly one is short by one and the total is enough."""
    required = sum(month.required for month in judged)
    counted = sum(month.counted for month in judged)
    facts = {"required": required, "counted": counted}
    if required == 0:
        return "not-assessable", reason("no-month", N_("还没有可以判定的月份"))
    short = [month for month in judged if month.short]
    names = "、".join(month.name for month in short)
    if not short:
        return "met", reason("met", N_("已判定的各月共需 %(required)s 次，已上 %(counted)s 次，月月够数"), **facts)
    if len(short) <= own.forgiven_months and all(month.short == 1 for month in short) and counted >= required:
        text = N_("%(months)s 少 1 次，但总数 %(counted)s 次不少于 %(required)s 次")
        return "met-approximately", reason("one-short", text, months=names, **facts)
    return "not-met", reason(
        "not-met", N_("%(months)s 次数不够（共需 %(required)s 次，已上 %(counted)s 次）"), months=names, **facts
    )


def outlook_of(window: Window, months: Sequence[Month], own: MonthParameters) -> Outlook:
    """B2d: months still open can be filled; a month that is over and short puts ``met`` out of reach."""
    required = sum(month.required for month in months)
    needed = sum(month.short for month in months)
    room = [(_days_left(window, month), month.short) for month in months if month.short]
    latest = latest_days(room, needed)
    weeks = len(window.effective(finished_at=window.end))
    return Outlook(
        required,
        sum(min(month.counted, month.required) for month in months),
        weeks,
        needed,
        latest,
        len(latest) < needed,
        needed + min((len(days) - short for days, short in room), default=0),
    )


def _days_left(window: Window, month: Month) -> list[date]:
    """Free school days of the month, latest first; a lesson in a flagged week counts too."""
    return [day for day in free_days(window.weeks, window) if _month(day) == month.key]
