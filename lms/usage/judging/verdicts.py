"""Verdicts of classes, stages and the school (判定), definitions B0 and B2c; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Literal

from lms.core.stages import STAGE_NAMES
from lms.usage.judging.calendar import Week
from lms.usage.judging.facts import ClassFact, Facts
from lms.usage.judging.lessons import JudgedLesson
from lms.usage.judging.packs import whole
from lms.usage.reasons import N_, Reason, reason

Verdict = Literal["met", "met-approximately", "not-assessable", "not-met", "structurally-impossible"]
WORST_LAST: tuple[Verdict, ...] = ("met", "met-approximately", "not-assessable", "not-met", "structurally-impossible")
VERDICT_NAMES: dict[Verdict, str] = {
    "met": N_("达标"),
    "met-approximately": N_("基本达标"),
    "not-assessable": N_("暂不能判定"),
    "not-met": N_("未达标"),
    "structurally-impossible": N_("结构上不可能"),
}

BASIS_NAMES = {"record": N_("记录"), "plan": N_("计划")}


@dataclass(frozen=True)
class SpreadParameters:
    """B2c as data: grades that must take part, classes of each."""

    label: ClassVar[str] = N_("学校与学段")
    grades: int = whole(N_("每学段至少几个年级"), 1, 6)
    classes_per_grade: int = whole(N_("每年级至少几个班"), 1, 20)


@dataclass(frozen=True)
class Span:
    """A block of weeks or a month (计数段): what it asks, what it holds, what counts of it."""

    name: str
    weeks: tuple[date, ...]
    required: int
    raw: int
    counted: int
    judged: bool


@dataclass(frozen=True)
class Outlook:
    """B2d: what still has to happen for ``met`` at the end of the window.

    ``latest``: the day by which each missing lesson must have been taught, ascending; shorter than ``needed`` where ``out_of_reach``.
    ``places``: lessons that can still count towards it; what they exceed ``needed`` by may be missed, in months in the tightest one.
    """

    required: int
    counted: int
    effective_weeks: int
    needed: int
    latest: tuple[date, ...]
    out_of_reach: bool
    places: int = 0


@dataclass(frozen=True)
class ClassResult:
    """The verdict of one class with everything behind it (B0)."""

    cohort: ClassFact
    verdict: Verdict
    reason: Reason
    start: date
    end: date
    effective: tuple[date, ...]
    required: int
    counted: int
    raw: int
    longest_gap: int
    lessons: tuple[JudgedLesson, ...]
    spans: tuple[Span, ...]
    weeks: tuple[Week, ...]
    outlook: Outlook
    capped: frozenset[str] = frozenset()
    without_flags: Verdict = "not-assessable"

    @property
    def regularity(self) -> str:
        """Regularity (常态化) in words: good ≤ 3, warn 4, bad ≥ 5 (B2 step 5)."""
        return "good" if self.longest_gap <= 3 else "warn" if self.longest_gap == 4 else "bad"


@dataclass(frozen=True)
class UnitResult:
    """One counting unit of a rule that adds up over its period: a subject, a class, the school's lessons.

    ``raw``: class hours or lessons found before anything was taken off; ``needed``: what is still missing, to be done by ``deadline``
    (None where the period is over or nothing is missing); ``shares``: numbers behind it, by name.
    """

    key: str
    name: str
    verdict: Verdict
    reason: Reason
    required: int
    counted: int
    raw: int
    lessons: tuple[JudgedLesson, ...] = ()
    deadline: date | None = None
    shares: tuple[tuple[str, int], ...] = ()

    @property
    def needed(self) -> int:
        """What is missing."""
        return max(0, self.required - self.counted)

    def to_json(self) -> dict[str, Any]:
        """One unit of the output."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "why": str(self.reason),
            "code": self.reason.code,
            "required": self.required,
            "counted": self.counted,
            "raw": self.raw,
            "needed": self.needed,
            "deadline": self.deadline.isoformat() if self.deadline else None,
            "shares": dict(self.shares),
            "lessons": [_lesson_json(one) | {"class": one.lesson.class_id, "class_hours": one.hours} for one in self.lessons],
        }


@dataclass(frozen=True)
class GradeResult:
    """A grade of a stage: how many classes exist, can be assessed, are met, are at least approximately met."""

    stage: str
    grade: int
    classes: int
    assessable: int
    met: int
    approximately: int


@dataclass(frozen=True)
class StageResult:
    """Verdict of a declared stage with its grades."""

    stage: str
    verdict: Verdict
    reason: Reason
    grades: tuple[GradeResult, ...]


@dataclass(frozen=True)
class SchoolResult:
    """Verdict of a school under one rule and version.

    Rules that count 1次 fill ``stages`` and ``classes``; the others fill ``units`` and ``why``.
    """

    rule: str
    version: str
    clause: str
    facts: Facts
    verdict: Verdict
    verdict_without_flags: Verdict
    stages: tuple[StageResult, ...] = ()
    classes: tuple[ClassResult, ...] = ()
    units: tuple[UnitResult, ...] = ()
    why: Reason | None = None
    refused_closures: Mapping[int, tuple[Reason, ...]] = field(default_factory=dict)

    @property
    def reason(self) -> Reason:
        """Why, in one sentence: that of the stage which decides, or the rule's own."""
        return self.why if self.why is not None else next(one.reason for one in self.stages if one.verdict == self.verdict)

    def to_json(self) -> dict[str, Any]:
        """Output of the engine, the same for the command line and the pages."""
        head = {
            "rule": self.rule,
            "version": self.version,
            "clause": self.clause,
            "basis": self.facts.basis,
            "label": BASIS_NAMES[self.facts.basis],
            "as_of": self.facts.as_of.isoformat(),
            "course": self.facts.course or None,
            "verdict": self.verdict,
            "verdict_without_flags": self.verdict_without_flags,
            "why": str(self.reason),
            "code": self.reason.code,
        }
        if not self.stages:
            return head | {"units": {one.key: one.to_json() for one in self.units}}
        return head | {
            "stages": {one.stage: {"verdict": one.verdict, "why": str(one.reason), "code": one.reason.code} for one in self.stages},
            "grades": {str(grade.grade): _grade_json(grade) for one in self.stages for grade in one.grades},
            "classes": {one.cohort.id: class_json(one) for one in self.classes},
            "closures_not_counted": {str(grade): [str(why) for why in reasons] for grade, reasons in self.refused_closures.items() if reasons},
        }


def _grade_json(grade: GradeResult) -> dict[str, Any]:
    names = ("stage", "classes", "assessable", "met", "approximately")
    return {name: getattr(grade, name) for name in names}


def class_json(result: ClassResult) -> dict[str, Any]:
    """One class of the output."""
    outlook = result.outlook
    return {
        "verdict": result.verdict,
        "verdict_without_flags": result.without_flags,
        "why": str(result.reason),
        "code": result.reason.code,
        "window": [result.start.isoformat(), result.end.isoformat()],
        "effective_weeks": len(result.effective),
        "required": result.required,
        "counted": result.counted,
        "raw": result.raw,
        "longest_gap": result.longest_gap,
        "regularity": result.regularity,
        "lessons": [_lesson_json(one, result.capped) for one in result.lessons],
        "spans": [
            {"name": span.name, "required": span.required, "raw": span.raw, "counted": span.counted, "judged": span.judged} for span in result.spans
        ],
        "needed": outlook.needed,
        "latest_dates": [day.isoformat() for day in outlook.latest],
        "out_of_reach": outlook.out_of_reach,
        "places_left": outlook.places,
        "required_at_end": outlook.required,
        "effective_weeks_at_end": outlook.effective_weeks,
    }


def _lesson_json(one: JudgedLesson, capped: frozenset[str] = frozenset()) -> dict[str, Any]:
    return {
        "id": one.lesson.id,
        "date": one.lesson.date.isoformat(),
        "counts": one.counts,
        "why": str(one.reason),
        "code": one.reason.code,
        "remarks": [remark.code for remark in one.remarks],
        "capped": one.lesson.id in capped,
    }


def school_verdict(stages: Sequence[StageResult]) -> Verdict:
    """The worst verdict over the declared stages (B2c)."""
    return worst(one.verdict for one in stages)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of them, ``not-assessable`` of none."""
    return max(verdicts, key=WORST_LAST.index, default="not-assessable")


def judge_stage(stage: str, verdicts: Sequence[tuple[ClassFact, Verdict]], parameters: SpreadParameters) -> StageResult:
    """B2c for one declared stage over its classes that exist on the day of judgement."""
    grades = []
    for grade in sorted({cohort.grade for cohort, _ in verdicts}):
        held = [verdict for cohort, verdict in verdicts if cohort.grade == grade]
        met = held.count("met")
        grades.append(
            GradeResult(stage, grade, len(held), len(held) - held.count("not-assessable"), met, met + held.count("met-approximately"))
        )
    verdict, why = _stage_verdict(stage, grades, parameters)
    return StageResult(stage, verdict, why, tuple(grades))


def _stage_verdict(stage: str, grades: Sequence[GradeResult], parameters: SpreadParameters) -> tuple[Verdict, Reason]:
    facts = {"stage": STAGE_NAMES[stage], "grades": parameters.grades, "classes": parameters.classes_per_grade}

    def enough(name: str) -> bool:
        held = [grade for grade in grades if getattr(grade, name) >= parameters.classes_per_grade]
        return len(held) >= parameters.grades

    if not enough("classes"):
        text = N_("%(stage)s没有 %(grades)s 个年级各有 %(classes)s 个班，怎样开课都无法满足")
        return "structurally-impossible", reason("too-few-classes", text, **facts)
    if not enough("assessable"):
        text = N_("%(stage)s还没有 %(grades)s 个年级各 %(classes)s 个班满足判定所需的教学周数")
        return "not-assessable", reason("too-early", text, **facts)
    if enough("met"):
        return "met", reason("spread-met", N_("%(stage)s有 %(grades)s 个以上年级、每年级 %(classes)s 个以上班级达标"), **facts)
    if enough("approximately"):
        text = N_("%(stage)s连同基本达标的班级，有 %(grades)s 个以上年级、每年级 %(classes)s 个以上班级")
        return "met-approximately", reason("spread-approximately", text, **facts)
    return "not-met", reason("spread-not-met", N_("%(stage)s达标班级不足 %(grades)s 个年级、每年级 %(classes)s 个班"), **facts)


def exists_on(cohort: ClassFact, day: date) -> bool:
    """Whether the class exists on ``day``."""
    return (cohort.created is None or cohort.created <= day) and (cohort.closed is None or cohort.closed > day)
