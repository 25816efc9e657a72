"""Adding up class hours over a period (课时): what the class-hour rules share; pure.

A class hour counts once for the school however many classes sat in it, a double lesson (连堂) as many as its minutes hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from lms.usage.judging.facts import ClassFact, Facts
from lms.usage.judging.lessons import JudgedLesson, LessonParameters, is_class
from lms.usage.judging.verdicts import Verdict, exists_on
from lms.usage.reasons import N_, Reason, reason

ONE_DAY = timedelta(days=1)


def cumulative(facts: Facts, required: int, counted: int) -> tuple[Verdict, Reason, date | None]:
    """Verdict, reason and deadline of a number that is added up until the period ends: nothing is lost before that."""
    told = {"required": required, "counted": counted}
    if counted >= required:
        return "met", reason("hours-met", N_("要求 %(required)s 课时，已计 %(counted)s 课时"), **told), None
    if facts.as_of < facts.period_end:
        text = N_("要求 %(required)s 课时，已计 %(counted)s 课时，到 %(end)s 还可以上")
        return "not-assessable", reason("hours-open", text, end=facts.period_end.isoformat(), **told), facts.period_end
    return "not-met", reason("hours-short", N_("要求 %(required)s 课时，只计 %(counted)s 课时"), **told), None


def classes_standing(facts: Facts, parameters: LessonParameters) -> tuple[ClassFact, ...]:
    """Classes of the declared stages that exist on the day of judgement (B2c)."""
    return tuple(
        one
        for one in facts.classes
        if one.stage in facts.school.stages and exists_on(one, facts.judged_on) and is_class(one, parameters)
    )


def distinct_hours(lessons: Iterable[JudgedLesson]) -> int:
    """Class hours of the lessons that count, those taught to several classes together once."""
    held: dict[str, int] = {}
    for one in lessons:
        if one.counts:
            key = one.lesson.sitting or one.lesson.id
            held[key] = max(held.get(key, 0), one.hours)
    return sum(held.values())


def days_in_terms(facts: Facts, start: date) -> int:
    """Days of the terms from ``start`` on."""
    return sum(max(0, (end - max(first, start)).days + 1) for first, end in facts.terms)
