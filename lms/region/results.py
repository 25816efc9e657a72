"""What the office's rules engine finds, as rows for counting (判定结果): one row a class, one a class and week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from lms.usage import policies
from lms.usage.judging.calendar import monday_of
from lms.usage.judging.facts import Facts
from lms.usage.judging.packs import Policy
from lms.usage.judging.verdicts import ClassResult, SchoolResult, exists_on


def judged(facts: Facts, rules: Sequence[Policy]) -> list[SchoolResult]:
    """The school under the rules that count lessons, with the numbers that this office gives them."""
    return [policies.evaluate(facts, rule) for rule in rules]


def payload_of(result: SchoolResult) -> dict[str, Any]:
    """The school's verdict and its classes with their weeks, as :mod:`lms.region.counting` reads them.

    ``weeks``: [Monday, effective 0|1, required, counted, raw] of each week that has begun; their sums are the class's own numbers.
    """
    facts = result.facts
    classes = []
    for index, one in enumerate(result.classes):
        if exists_on(one.cohort, facts.judged_on):
            classes.append(_class_row(index, one, facts.as_of))
    return {
        "verdict": result.verdict,
        "without_flags": result.verdict_without_flags,
        "version": result.version,
        "as_of": facts.as_of.isoformat(),
        "term": facts.term_start.isoformat(),
        "classes": classes,
    }


def _class_row(index: int, one: ClassResult, as_of: date) -> dict[str, Any]:
    return {
        "index": index,
        "id": one.cohort.id,
        "stage": one.cohort.stage,
        "grade": one.cohort.grade,
        "number": one.cohort.number,
        "type": one.cohort.type,
        "verdict": one.verdict,
        "effective": len(one.effective),
        "required": one.required,
        "counted": one.counted,
        "raw": one.raw,
        "gap": one.longest_gap,
        "needed": one.outlook.needed,
        "out": one.outlook.out_of_reach,
        "weeks": week_rows(one, as_of),
    }


def week_rows(one: ClassResult, as_of: date) -> list[list[Any]]:
    """[Monday, effective, required, counted, raw] of each week until ``as_of``; what a span of weeks requires stands at its last week."""
    mondays = [week.monday for week in one.weeks if week.monday <= as_of]
    if not mondays:
        return []
    required: Counter[date] = Counter()
    for span in one.spans:
        if span.judged and span.required:
            required[max(span.weeks, default=mondays[-1])] += span.required
    required[mondays[-1]] += one.required - sum(required.values())  # whatever a rule asks beside its spans
    raw: Counter[date] = Counter()
    counted: Counter[date] = Counter()
    for lesson in one.lessons:
        if lesson.counts and lesson.lesson.date <= as_of:
            monday = min(max(monday_of(lesson.lesson.date), mondays[0]), mondays[-1])
            raw[monday] += 1
            counted[monday] += lesson.lesson.id not in one.capped
    counted[mondays[-1]] += max(0, one.counted - sum(counted.values()))
    for monday in reversed(mondays):  # a rule by months does not count the lessons of a month that is still open
        counted[monday] -= max(0, min(counted[monday], sum(counted.values()) - one.counted))
    effective = frozenset(one.effective)
    return [[day.isoformat(), int(day in effective), required[day], counted[day], raw[day]] for day in mondays]
