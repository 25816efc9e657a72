"""From classes to the school (B2c): every class, grade and declared stage, with and without flagged weeks; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from lms.usage.judging.calendar import GradeCalendar, grade_calendar
from lms.usage.judging.facts import Facts
from lms.usage.judging.lessons import is_class
from lms.usage.judging.packs import Policy
from lms.usage.judging.verdicts import ClassResult, SchoolResult, StageResult, exists_on, judge_stage, school_verdict
from lms.usage.judging.windows import Window, window_of

JudgeClass = Callable[[Window, Any], ClassResult]


def judge_school(facts: Facts, rule: Policy, judge_class: JudgeClass) -> SchoolResult:
    """Verdict of the school; the parameters of ``rule`` have the sections ``calendar``, ``lessons`` and ``spread``."""
    parameters = rule.parameters
    calendars = _calendars(facts, parameters)
    windows = [window_of(facts, one, calendars[one.grade], parameters.lessons) for one in facts.classes]
    with_flags = tuple(judge_class(window, parameters) for window in windows)
    bare = with_flags
    if facts.flags:
        plain = _calendars(facts.without_flags(), parameters)
        bare = tuple(judge_class(one.over(plain[one.cohort.grade]), parameters) for one in windows)
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


def _calendars(facts: Facts, parameters: Any) -> dict[int, GradeCalendar]:
    grades = sorted({one.grade for one in facts.classes})
    return {grade: grade_calendar(facts, grade, parameters.calendar) for grade in grades}


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
