"""Compliance rules (规则包): one folder a rule with ``rule.yaml`` (version, clause, parameters), ``rule.py`` and ``cases.yaml``.

A folder that cannot be read stops the process with its name; nothing is skipped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module, resources
from typing import Any

import yaml

from lms.core.errors import NotFound
from lms.usage.calendar import CalendarParameters, GradeCalendar, grade_calendar
from lms.usage.facts import ClassFact, Facts
from lms.usage.lessons import LessonParameters, is_class
from lms.usage.verdicts import ClassResult, SchoolResult, SpreadParameters, exists_on, judge_stage, school_verdict

JudgeClass = Callable[[Facts, ClassFact, GradeCalendar, Any, LessonParameters], ClassResult]


@dataclass(frozen=True)
class Policy:
    """A rule with the data of its pack; ``own`` are the parameters that only this rule has."""

    name: str
    title: str
    version: str
    clause: str
    calendar: CalendarParameters
    lessons: LessonParameters
    spread: SpreadParameters
    own: Any
    judge_class: JudgeClass


def rules() -> tuple[Policy, ...]:
    """Every installed rule, by name."""
    return tuple(sorted(_policies().values(), key=lambda policy: policy.name))


def policy(name: str) -> Policy:
    """The rule ``name`` (hyphens or underscores); raises NotFound (``rule``) with the names that exist."""
    found = _policies().get(name.replace("_", "-"))
    if found is None:
        raise NotFound("rule", f"没有规则 {name}", remedy="可用规则：" + "、".join(sorted(_policies())), where=name)
    return found


@lru_cache(maxsize=1)
def _policies() -> dict[str, Policy]:
    found: dict[str, Policy] = {}
    for folder in sorted(resources.files("lms.usage.policies").iterdir(), key=lambda entry: entry.name):
        if not folder.is_dir() or folder.name.startswith("_"):
            continue
        one = read_policy(folder.name, folder.joinpath("rule.yaml").read_text("utf-8"))
        if one.name in found:
            raise ValueError(f"lms/usage/policies/{folder.name}/rule.yaml: rule {one.name} exists twice")
        found[one.name] = one
    return found


def read_policy(folder: str, text: str) -> Policy:
    """The pack of ``folder`` from its ``rule.yaml``; raises ValueError naming file and field."""
    where = f"lms/usage/policies/{folder}/rule.yaml"
    pack = yaml.safe_load(text)
    wanted = {"rule", "title", "version", "clause", "calendar", "lessons", "spread", "parameters"}
    if not isinstance(pack, dict) or set(pack) != wanted:
        raise ValueError(f"{where}: needs exactly the fields {', '.join(sorted(wanted))}")
    module = import_module(f"lms.usage.policies.{folder}.rule")
    return Policy(
        name=pack["rule"],
        title=pack["title"],
        version=pack["version"],
        clause=pack["clause"],
        calendar=_read(where, "calendar", CalendarParameters, pack["calendar"]),
        lessons=_read(where, "lessons", LessonParameters, pack["lessons"]),
        spread=_read(where, "spread", SpreadParameters, pack["spread"]),
        own=_read(where, "parameters", module.Parameters, pack["parameters"]),
        judge_class=module.judge_class,
    )


def _read(where: str, section: str, kind: type[Any], values: Mapping[str, Any]) -> Any:
    names = {entry.name for entry in dataclasses.fields(kind)}
    if set(values) != names:
        raise ValueError(f"{where}: {section} needs exactly {', '.join(sorted(names))}")
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"{where}: {section}.{name} must be a whole number, not {value!r}")
    return kind(**values)


def evaluate(facts: Facts, rule: Policy) -> SchoolResult:
    """Judge the school of ``facts`` under ``rule``: every class, grade, declared stage, with and without flags (B1–B2d)."""
    with_flags = _judge_classes(facts, rule)
    bare = _judge_classes(facts.without_flags(), rule) if facts.flags else with_flags
    classes = tuple(
        dataclasses.replace(one, without_flags=other.verdict) for one, other in zip(with_flags, bare, strict=True)
    )
    stages = _stages(facts, classes, rule)
    grades = sorted({cohort.grade for cohort in facts.classes})
    return SchoolResult(
        rule=rule.name,
        version=rule.version,
        clause=rule.clause,
        facts=facts,
        verdict=school_verdict(stages),
        verdict_without_flags=school_verdict(_stages(facts, bare, rule)),
        stages=stages,
        classes=classes,
        refused_closures={grade: grade_calendar(facts, grade, rule.calendar).refused for grade in grades},
    )


def _judge_classes(facts: Facts, rule: Policy) -> tuple[ClassResult, ...]:
    calendars: dict[int, GradeCalendar] = {}
    results = []
    for cohort in facts.classes:
        if cohort.grade not in calendars:
            calendars[cohort.grade] = grade_calendar(facts, cohort.grade, rule.calendar)
        results.append(rule.judge_class(facts, cohort, calendars[cohort.grade], rule.own, rule.lessons))
    return tuple(results)


def _stages(facts: Facts, results: tuple[ClassResult, ...], rule: Policy) -> tuple[Any, ...]:
    standing = [
        (one.cohort, one.verdict) for one in results if exists_on(one.cohort, facts.judged_on) and is_class(one.cohort, rule.lessons)
    ]
    return tuple(
        judge_stage(stage, [(cohort, verdict) for cohort, verdict in standing if cohort.stage == stage], rule.spread)
        for stage in facts.school.stages
    )
