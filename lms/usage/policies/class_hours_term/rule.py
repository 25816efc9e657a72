"""每学期每学科不少于10课时: distinct class hours of smart-classroom lessons a chosen subject and term; definitions B6.

Counting unit: a subject of the school (with ``per_class``: a subject of a class). School: met when every unit is met, the worst else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from lms.usage.judging.facts import ClassFact, Facts, TaughtLesson
from lms.usage.judging.hours import classes_standing, cumulative, distinct_hours
from lms.usage.judging.lessons import Asks, JudgedLesson, LessonParameters, judge_lessons
from lms.usage.judging.packs import Policy, choice, switch, whole
from lms.usage.judging.verdicts import SchoolResult, UnitResult, worst
from lms.usage.reasons import N_, Reason, reason

EVIDENCE = {"A": N_("A 级"), "B": N_("B 级及以上"), "C": N_("不限")}

TITLE = N_("每学期每学科课时")


@dataclass(frozen=True)
class SubjectParameters:
    """B6 as data."""

    label: ClassVar[str] = N_("学科课时")
    class_hours: int = whole(N_("每学期每学科至少几课时"), 1, 400)
    least_evidence: str = choice(N_("智慧课堂证据至少几级"), EVIDENCE)
    all_subjects: bool = switch(N_("按全部学科判定（否则只按所选学科）"))
    per_class: bool = switch(N_("按班级判定（否则全校合计）"))


@dataclass(frozen=True)
class Parameters:
    """The pack's parameters, see rule.yaml."""

    lessons: LessonParameters
    subjects: SubjectParameters


def judge(facts: Facts, policy: Policy) -> SchoolResult:
    """The school of ``facts``: every subject asked about."""
    own: SubjectParameters = policy.parameters.subjects
    units = tuple(
        _unit(facts, policy, subject, group) for subject in _subjects(facts, own) for group in _groups(facts, policy)
    )
    verdict = worst(unit.verdict for unit in units)
    return SchoolResult(
        policy.name, policy.version, policy.clause, facts, verdict, verdict, units=units, why=_why(units, own)
    )


def _why(units: tuple[UnitResult, ...], own: SubjectParameters) -> Reason:
    if not units:
        return reason("no-subject", N_("还没有选定学科，或没有可判定的班级"))
    met = sum(unit.verdict == "met" for unit in units)
    text = (
        N_("%(units)s 项之中 %(met)s 项满 %(hours)s 课时（按班级）")
        if own.per_class
        else N_("%(units)s 个学科之中 %(met)s 个满 %(hours)s 课时")
    )
    return reason("subjects", text, units=len(units), met=met, hours=own.class_hours)


def _subjects(facts: Facts, own: SubjectParameters) -> list[str]:
    if not own.all_subjects:
        return list(facts.subjects)
    taught = facts.subjects_taught or tuple(sorted({row.subject for row in facts.lessons if row.subject}))
    return list(dict.fromkeys((*facts.subjects, *taught)))


def _groups(facts: Facts, policy: Policy) -> Iterable[tuple[ClassFact, ...]]:
    """Classes that are judged together: each alone, or the whole school, the closed ones with it since their hours were taught."""
    if policy.parameters.subjects.per_class:
        return [(one,) for one in classes_standing(facts, policy.parameters.lessons)]
    return [tuple(one for one in facts.classes if one.stage in facts.school.stages)]


def _unit(facts: Facts, policy: Policy, subject: str, group: tuple[ClassFact, ...]) -> UnitResult:
    own: SubjectParameters = policy.parameters.subjects
    asks = Asks(partial(_refuses, subject, own.least_evidence), once_a_day=False)
    found: list[JudgedLesson] = []
    for cohort in group:
        rows = judge_lessons(facts, cohort, facts.term_start, facts.term_end, policy.parameters.lessons, asks)
        found += [one for one in rows if one.lesson.subject == subject]
    found.sort(key=lambda one: (one.lesson.date, one.lesson.class_id))
    counted = distinct_hours(found)
    verdict, why, deadline = cumulative(facts, own.class_hours, counted)
    key, name = subject, subject
    if own.per_class:
        key, name = f"{subject}/{group[0].id}", f"{subject} {group[0].name or group[0].id}"
    return UnitResult(
        key, name, verdict, why, own.class_hours, counted, sum(one.hours for one in found), tuple(found), deadline
    )


def _refuses(subject: str, least: str, facts: Facts, row: TaughtLesson) -> Reason | None:
    if row.subject != subject:
        return reason("subject", N_("不是%(subject)s课"), subject=subject)
    if (row.evidence or "C") > least:
        return reason(
            "evidence",
            N_("没有智慧课堂证据（%(grade)s 级，要求 %(least)s 级）"),
            grade=row.evidence or "C",
            least=least,
        )
    return None
