"""每学年不少于8课时（北京）、10课时（杭州）: class hours of AI lessons a class and school year.

Counting unit: a class. A class that begins during the year owes its share of the days of the terms, rounded up.
Stage: met when ``classes_percent`` of its classes are met; not-assessable while they still can be; a stage without classes is
structurally impossible. School: the worst of its declared stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lms.core.stages import STAGE_NAMES
from lms.usage.judging.facts import ClassFact, Facts, TaughtLesson
from lms.usage.judging.hours import classes_standing, cumulative, days_in_terms
from lms.usage.judging.lessons import Asks, LessonParameters, course_missing, judge_lessons
from lms.usage.judging.packs import Policy, whole
from lms.usage.judging.verdicts import SchoolResult, StageResult, UnitResult, Verdict, worst
from lms.usage.reasons import N_, Reason, reason

TITLE = N_("每班每学年课时")


@dataclass(frozen=True)
class YearParameters:
    """The clause as data."""

    label: ClassVar[str] = N_("学年课时")
    class_hours: int = whole(N_("每班每学年至少几课时"), 1, 400)
    classes_percent: int = whole(N_("至少百分之几的班达标，学段才达标"), 1, 100)


@dataclass(frozen=True)
class Parameters:
    """The pack's parameters, see rule.yaml."""

    lessons: LessonParameters
    year: YearParameters


def judge(facts: Facts, policy: Policy) -> SchoolResult:
    """The school of ``facts``: every class of its declared stages."""
    standing = classes_standing(facts, policy.parameters.lessons)
    units = {cohort.id: _unit(facts, policy, cohort) for cohort in standing}
    stages = [
        _stage(stage, [units[one.id].verdict for one in standing if one.stage == stage], policy.parameters.year)
        for stage in facts.school.stages
    ]
    verdict = worst(one.verdict for one in stages)
    why = next(one.reason for one in stages if one.verdict == verdict)
    return SchoolResult(
        policy.name, policy.version, policy.clause, facts, verdict, verdict, units=tuple(units.values()), why=why
    )


def _stage(stage: str, verdicts: list[Verdict], own: YearParameters) -> StageResult:
    met, still = verdicts.count("met"), verdicts.count("not-assessable")
    told = {"stage": STAGE_NAMES[stage], "classes": len(verdicts), "met": met, "hours": own.class_hours}
    if not verdicts:
        return StageResult(stage, "structurally-impossible", reason("no-class", N_("%(stage)s没有班级"), **told), ())
    wanted = -(-own.classes_percent * len(verdicts) // 100)
    verdict: Verdict = "met" if met >= wanted else "not-assessable" if met + still >= wanted else "not-met"
    text = N_("%(stage)s %(classes)s 个班之中 %(met)s 个已满要求的课时（整学年 %(hours)s 课时）")
    return StageResult(stage, verdict, reason("classes", text, **told), ())


def _unit(facts: Facts, policy: Policy, cohort: ClassFact) -> UnitResult:
    own: YearParameters = policy.parameters.year
    start = max(facts.term_start, cohort.created or facts.term_start)
    required = required_for(facts, cohort, own)
    lessons = judge_lessons(
        facts, cohort, start, facts.period_end, policy.parameters.lessons, Asks(_refuses, once_a_day=False)
    )
    counted = sum(one.hours for one in lessons)
    verdict, why, deadline = cumulative(facts, required, counted)
    return UnitResult(cohort.id, cohort.name or cohort.id, verdict, why, required, counted, counted, lessons, deadline)


def required_for(facts: Facts, cohort: ClassFact, own: YearParameters) -> int:
    """Class hours that the class owes: its share of the days of the terms, rounded up."""
    whole_year = days_in_terms(facts, facts.term_start)
    return -(
        -own.class_hours * days_in_terms(facts, max(facts.term_start, cohort.created or facts.term_start)) // whole_year
    )


def _refuses(facts: Facts, row: TaughtLesson) -> Reason | None:
    if row.subject in facts.subjects or (facts.course and course_missing(facts, row) is None):
        return None
    if facts.course:
        return course_missing(facts, row)
    return reason("subject", N_("不是%(subject)s课"), subject="、".join(facts.subjects))
