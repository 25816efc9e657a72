"""证据等级 A、B 不少于70%: share of the counted lessons whose evidence is grade A or B; definitions B10.5.

Counting unit: the school's counted lessons (1次, B2a) of all classes of its declared stages; a lesson without a grade is C.
Met from the share on; not-assessable below ``least_lessons`` counted lessons; judged at any day, since the share may fall again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lms.usage.judging.facts import Facts
from lms.usage.judging.lessons import JudgedLesson, LessonParameters, judge_lessons
from lms.usage.judging.packs import Policy, whole
from lms.usage.judging.verdicts import SchoolResult, UnitResult, Verdict
from lms.usage.reasons import N_, Reason, reason

TITLE = N_("A、B 级证据占比")


@dataclass(frozen=True)
class ShareParameters:
    """The share as data."""

    label: ClassVar[str] = N_("证据占比")
    share_percent: int = whole(N_("A、B 级证据至少占百分之几"), 1, 100)
    least_lessons: int = whole(N_("少于几次课暂不判定"), 1, 1000)


@dataclass(frozen=True)
class Parameters:
    """The pack's parameters, see rule.yaml."""

    lessons: LessonParameters
    share: ShareParameters


def judge(facts: Facts, policy: Policy) -> SchoolResult:
    """The school of ``facts``."""
    own: ShareParameters = policy.parameters.share
    rows: list[JudgedLesson] = []
    for cohort in facts.classes:
        if cohort.stage in facts.school.stages:
            start = max(day for day in (facts.term_start, cohort.created, cohort.admitted) if day is not None)
            rows += judge_lessons(facts, cohort, start, facts.term_end, policy.parameters.lessons)
    counted = [one for one in rows if one.counts]
    grades = [one.lesson.evidence or "C" for one in counted]
    good, total = len(grades) - grades.count("C"), len(grades)
    required = -(-own.share_percent * total // 100)
    verdict, why = _verdict(good, total, required, own)
    shares = tuple((grade, grades.count(grade)) for grade in "ABC")
    unit = UnitResult("school", facts.school.id, verdict, why, required, good, total, tuple(counted), None, shares)
    return SchoolResult(policy.name, policy.version, policy.clause, facts, verdict, verdict, units=(unit,), why=why)


def _verdict(good: int, total: int, required: int, own: ShareParameters) -> tuple[Verdict, Reason]:
    told = {"good": good, "total": total, "percent": own.share_percent, "share": 100 * good // total if total else 0}
    if total < own.least_lessons:
        text = N_("只有 %(total)s 次计入的课，满 %(least)s 次才判定")
        return "not-assessable", reason("too-few-lessons", text, least=own.least_lessons, **told)
    text = N_("计入的 %(total)s 次课之中，%(good)s 次有 A、B 级证据（%(share)s%%，要求 %(percent)s%%）")
    return ("met" if good >= required else "not-met"), reason("share", text, **told)
