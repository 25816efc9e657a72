"""The term on one sheet: weeks × days as every grade lives them, what counts and why not (校历表), definitions B1; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from lms.roster.rules import grade_name
from lms.usage.judging.calendar import CalendarParameters, GradeCalendar, closure_refused, grade_calendar, monday_of
from lms.usage.judging.facts import DayFact, Facts, FlagFact
from lms.usage.reasons import Reason

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Mark:
    """An entry on a day as the sheet shows it; ``refused``: why a closure does not count, None where it does."""

    fact: DayFact
    grades: str
    refused: Reason | None = None


@dataclass(frozen=True)
class Cell:
    """A day. ``kind``: out | weekend | school | holiday | closed | refused | swap | partial."""

    day: date
    kind: str
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class FlagMark:
    """A flagged week as judged for some grades."""

    fact: FlagFact
    grades: str
    counts: bool
    reason: Reason


@dataclass(frozen=True)
class Standing:
    """What a week is for some grades: its number among their effective weeks (None where it is not one) and its school days."""

    grades: str
    number: int | None
    school_days: int


@dataclass(frozen=True)
class WeekLine:
    """A line of the sheet; ``number``: the week of the term, from 1."""

    number: int
    monday: date
    cells: tuple[Cell, ...]
    flags: tuple[FlagMark, ...]
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class TermSheet:
    """The term; ``effective``: effective weeks by grades in words, those of equal number together."""

    lines: tuple[WeekLine, ...]
    effective: tuple[tuple[str, int], ...]


def grades_text(grades: Iterable[int], every: Sequence[int]) -> str:
    """Grades in words, neighbours together (五、六年级; 一至四年级); empty where they are all of ``every``."""
    held = sorted(set(grades))
    if set(every) <= set(held):
        return ""
    runs: list[list[int]] = []
    for grade in held:
        if runs and runs[-1][-1] == grade - 1 and (grade >= 10) == (runs[-1][-1] >= 10):
            runs[-1].append(grade)
        else:
            runs.append([grade])
    return "、".join(_run_text(run) for run in runs)


def _run_text(run: Sequence[int]) -> str:
    first, last = grade_name(run[0]), grade_name(run[-1])
    if len(run) == 1:
        return first
    return first.removesuffix("年级") + ("、" if len(run) == 2 else "至") + last


def term_sheet(facts: Facts, grades: Sequence[int], parameters: CalendarParameters) -> TermSheet:
    """The sheet of the term of ``facts`` for ``grades`` (all of the school's, or one)."""
    calendars = {grade: grade_calendar(facts, grade, parameters) for grade in grades}
    numbers = {grade: _numbers(calendar) for grade, calendar in calendars.items()}
    lines: list[WeekLine] = []
    monday = monday_of(facts.term_start)
    while monday <= facts.term_end:
        lines.append(
            WeekLine(
                number=len(lines) + 1,
                monday=monday,
                cells=tuple(
                    _cell(facts, monday + timedelta(days=offset), grades, calendars, parameters) for offset in range(7)
                ),
                flags=tuple(_flags(facts, monday, grades, calendars)),
                standings=tuple(_standings(monday, grades, calendars, numbers)),
            )
        )
        monday += WEEK
    totals = {grade: len(numbers[grade]) for grade in grades}
    return TermSheet(tuple(lines), tuple(_together(totals, grades)))


def _numbers(calendar: GradeCalendar) -> dict[date, int]:
    weeks = [week.monday for week in calendar.weeks(calendar.start, calendar.end) if calendar.is_effective(week)]
    return {monday: number for number, monday in enumerate(weeks, 1)}


def _together(values: dict[int, int], every: Sequence[int]) -> list[tuple[str, int]]:
    by_value: dict[int, list[int]] = {}
    for grade, value in values.items():
        by_value.setdefault(value, []).append(grade)
    return [(grades_text(held, every), value) for value, held in by_value.items()]


def _standings(
    monday: date, grades: Sequence[int], calendars: dict[int, GradeCalendar], numbers: dict[int, dict[date, int]]
) -> Iterable[Standing]:
    held: dict[tuple[int | None, int], list[int]] = {}
    for grade in grades:
        days = sum(monday <= day < monday + WEEK for day in calendars[grade].days)
        held.setdefault((numbers[grade].get(monday), days), []).append(grade)
    for (number, days), concerned in held.items():
        yield Standing(grades_text(concerned, grades), number, days)


def _cell(
    facts: Facts,
    day: date,
    grades: Sequence[int],
    calendars: dict[int, GradeCalendar],
    parameters: CalendarParameters,
) -> Cell:
    if not facts.term_start <= day <= facts.term_end:
        return Cell(day, "out")
    marks = tuple(
        Mark(
            fact, grades_text(fact.grades, grades) if fact.grades is not None else "", closure_refused(fact, parameters)
        )
        for fact in facts.days
        if fact.day == day and (fact.grades is None or not fact.grades.isdisjoint(grades))
    )
    at_school = [grade for grade in grades if day in calendars[grade].days]
    return Cell(day, _kind(day, marks, len(at_school), len(grades)), marks)


def _kind(day: date, marks: Sequence[Mark], at_school: int, all_grades: int) -> str:
    if 0 < at_school < all_grades:
        return "partial"
    if at_school:
        if any(mark.refused for mark in marks):
            return "refused"
        return "swap" if any(mark.fact.is_school for mark in marks) else "school"
    if any(mark.fact.source == "national" and not mark.fact.is_school for mark in marks):
        return "holiday"
    return "closed" if marks else "weekend" if day.weekday() >= 5 else "closed"


def _flags(
    facts: Facts, monday: date, grades: Sequence[int], calendars: dict[int, GradeCalendar]
) -> Iterable[FlagMark]:
    held: dict[tuple[FlagFact, Reason], list[int]] = {}
    for grade in grades:
        flag = calendars[grade].flag_of.get(monday)
        if flag is not None:
            held.setdefault((flag.fact, flag.reason), []).append(grade)
    for (fact, why), concerned in held.items():
        counts = calendars[concerned[0]].flag_of[monday].counts
        yield FlagMark(fact, grades_text(concerned, grades), counts, why)


def needs_county(facts: Facts, grades: Sequence[int], parameters: CalendarParameters) -> dict[str, Reason]:
    """Entries that do not count without the county's countersignature: their key (see :func:`key_of`) and why."""
    found: dict[str, Reason] = {}
    for fact in facts.days:
        why = closure_refused(fact, parameters)
        if why is not None:
            found[key_of(fact)] = why
    for grade in grades:
        for _monday, flag in grade_calendar(facts, grade, parameters).flags:
            if not flag.counts:
                found.setdefault(key_of(flag.fact), flag.reason)
    return found


def key_of(fact: DayFact | FlagFact) -> str:
    """What an entry says, as a key: equal entries need one signature."""
    when = fact.day if isinstance(fact, DayFact) else fact.monday
    kind = "day" if isinstance(fact, DayFact) else "week"
    grades = ",".join(str(grade) for grade in sorted(fact.grades)) if fact.grades is not None else "*"
    return f"{kind}/{when.isoformat()}/{grades}/{fact.entered}/{fact.reason}"
