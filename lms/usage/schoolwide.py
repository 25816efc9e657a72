"""From classes to the school (B2c): every class, grade and declared stage, with and without flagged weeks; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from lms.usage.calendar import GradeCalendar, grade_calendar
from lms.usage.facts import ClassFact, Facts
from lms.usage.lessons import is_class
from lms.usage.packs import Policy
from lms.usage.verdicts import ClassResult, SchoolResult, StageResult, exists_on, judge_stage, school_verdict

JudgeClass = Callable[[Facts, ClassFact, GradeCalendar, Any], ClassResult]


def judge_school(facts: Facts, rule: Policy, judge_class: JudgeClass) -> SchoolResult:
    """Verdict of the school; the parameters of ``rule`` have the sections ``calendar``, ``lessons`` and ``spread``."""
    calendars = {
        grade: grade_calendar(facts, grade, rule.parameters.calendar)
        for grade in sorted({one.grade for one in facts.classes})
    }
    with_flags = _judge_classes(facts, rule, judge_class, calendars)
    bare = with_flags
    if facts.flags:
        without = facts.without_flags()
        plain = {grade: grade_calendar(without, grade, rule.parameters.calendar) for grade in calendars}
        bare = _judge_classes(without, rule, judge_class, plain)
    classes = tuple(
        dataclasses.replace(one, without_flags=other.verdict) for one, other in zip(with_flags, bare, strict=True)
    )
    stages = _stages(facts, classes, rule)
    return SchoolResult(
        rule=rule.name,
        version=rule.version,
        clause=rule.clause,
        facts=facts,
        verdict=school_verdict(stages),
        verdict_without_flags=school_verdict(_stages(facts, bare, rule)),
        stages=stages,
        classes=classes,
        refused_closures={grade: calendar.refused for grade, calendar in calendars.items()},
    )


def _judge_classes(
    facts: Facts, rule: Policy, judge_class: JudgeClass, calendars: dict[int, GradeCalendar]
) -> tuple[ClassResult, ...]:
    return tuple(judge_class(facts, cohort, calendars[cohort.grade], rule.parameters) for cohort in facts.classes)


def _stages(facts: Facts, results: tuple[ClassResult, ...], rule: Policy) -> tuple[StageResult, ...]:
    parameters = rule.parameters
    standing = [
        (one.cohort, one.verdict)
        for one in results
        if exists_on(one.cohort, facts.judged_on) and is_class(one.cohort, parameters.lessons)
    ]
    return tuple(
        judge_stage(
            stage, [(cohort, verdict) for cohort, verdict in standing if cohort.stage == stage], parameters.spread
        )
        for stage in facts.school.stages
    )
