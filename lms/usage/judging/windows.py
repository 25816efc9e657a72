"""The window of a class, its judged lessons and its gaps: what all counting rules share (B2); pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from lms.usage.judging.calendar import GradeCalendar, Week, monday_of
from lms.usage.judging.facts import ClassFact, Facts
from lms.usage.judging.lessons import JudgedLesson, LessonParameters, judge_lessons


@dataclass(frozen=True)
class Window:
    """A class in its window W: the weeks of W, and the rows of the class as judged at ``as_of``."""

    cohort: ClassFact
    as_of: date
    start: date
    end: date
    weeks: tuple[Week, ...]
    calendar: GradeCalendar
    lessons: tuple[JudgedLesson, ...]

    @cached_property
    def counted(self) -> tuple[JudgedLesson, ...]:
        """Lessons that are 1次 (B2 step 2), by date."""
        return tuple(one for one in self.lessons if one.counts)

    @cached_property
    def taken(self) -> frozenset[date]:
        """Days that have their counted lesson."""
        return frozenset(one.lesson.date for one in self.counted)

    def over(self, calendar: GradeCalendar) -> Window:
        """The same lessons in another calendar of the grade."""
        weeks = calendar.weeks(self.start, self.end) if self.start <= self.end else ()
        return replace(self, calendar=calendar, weeks=weeks)

    def effective(self, *, finished_at: date) -> tuple[Week, ...]:
        """Effective weeks with no school day inside W after ``finished_at`` (B2 step 1)."""
        return tuple(week for week in self.weeks if self.calendar.is_effective(week) and week.days[-1] <= finished_at)

    def longest_gap(self) -> int:
        """Longest run of finished effective weeks without a counted lesson (B2 step 5)."""
        taught = {monday_of(one.lesson.date) for one in self.counted}
        return longest_run(week.monday not in taught for week in self.effective(finished_at=self.as_of))


def window_of(facts: Facts, cohort: ClassFact, calendar: GradeCalendar, parameters: LessonParameters) -> Window:
    """W = from the later of term start, 分班 date and pilot admission to term end."""
    start = max(day for day in (facts.term_start, cohort.created, cohort.admitted) if day is not None)
    weeks = calendar.weeks(start, facts.term_end) if start <= facts.term_end else ()
    lessons = judge_lessons(facts, cohort, start, facts.term_end, parameters)
    return Window(cohort, facts.as_of, start, facts.term_end, weeks, calendar, lessons)


def longest_run(marks: Iterable[bool]) -> int:
    """Longest run of True."""
    longest = run = 0
    for mark in marks:
        run = run + 1 if mark else 0
        longest = max(longest, run)
    return longest


def latest_days(room: Sequence[tuple[Sequence[date], int]], needed: int) -> tuple[date, ...]:
    """The ``needed`` latest days on which lessons can still be taught, one a day, ascending.

    ``room``: for each block that is left its free days, latest first, and how many lessons it can still count. Shorter than ``needed`` where the blocks cannot hold them.
    """
    chosen: list[date] = []
    for days, places in reversed(room):
        take = min(places, needed - len(chosen), len(days))
        chosen.extend(days[:take])
    return tuple(sorted(chosen))


def free_days(weeks: Iterable[Week], window: Window) -> list[date]:
    """School days after ``as_of`` without a counted lesson, latest first."""
    return sorted(
        (day for week in weeks for day in week.days if day > window.as_of and day not in window.taken), reverse=True
    )
