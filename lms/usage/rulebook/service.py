"""Verbs of the rule book: which numbers hold for a school on a day, and how an office changes them (规则参数)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may, roles_of
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, InstanceState, Organisation
from lms.roster.models import School, Term
from lms.usage import policies
from lms.usage.judging.facts import Facts
from lms.usage.judging.gathering import facts_of, term_for
from lms.usage.judging.packs import Policy, Values, problems
from lms.usage.judging.verdicts import SchoolResult
from lms.usage.rulebook.models import RuleVersion

ZONE = "Asia/Shanghai"
TRIED_SCHOOLS = 200
AI_SUBJECTS = ("人工智能", "人工智能通识", "人工智能通识教育", "人工智能教育")  # lessons that count for the year's class hours without a unit


# --- which numbers hold


def rules_for(school_id: uuid.UUID, on: date, counts: str | None = None) -> tuple[Policy, ...]:
    """Every rule (``counts`` as in :func:`lms.usage.policies.rules`) with the numbers that hold for the school on a day.

    The nearest office above the school that owns the rule and has set them by then decides; else the pack's own.
    """
    ruling = _in_force(school_id, on)
    return tuple(_dressed(one, ruling.get(one.name)) for one in policies.rules(counts))


def policy_for(school_id: uuid.UUID, rule: str, on: date, counts: str | None = None) -> Policy:
    """One of :func:`rules_for`, also for an office: its own numbers, else those of the nearest above; raises NotFound (``rule``)."""
    base = policies.policy(rule, counts)
    return _dressed(base, _in_force(school_id, on).get(base.name))


def policy_at(rule: str, version: str) -> Policy:
    """The rule with the numbers of the version that a verdict names; raises NotFound (``rule-version``)."""
    base = policies.policy(rule)
    if version == base.version:
        return base
    row = db.session.scalar(select(RuleVersion).where(RuleVersion.rule == base.name, RuleVersion.version == version))
    if row is None:
        raise NotFound("rule-version", _l("没有规则 %(rule)s 的版本 %(version)s。", rule=rule, version=version))
    return _dressed(base, row)


def _in_force(school_id: uuid.UUID, on: date) -> dict[str, RuleVersion]:
    school = db.session.get_one(Organisation, school_id)
    above = [uuid.UUID(part) for part in school.path.split("/") if part]
    query = (
        select(RuleVersion, Organisation.path)
        .join(Organisation, Organisation.id == RuleVersion.organisation_id)
        .where(RuleVersion.organisation_id.in_(above), RuleVersion.valid_from <= on)
        .order_by(func.length(Organisation.path), RuleVersion.valid_from, RuleVersion.number)
    )
    return {
        row.rule: row for row, _ in db.session.execute(query)
    }  # the nearest office and its newest numbers come last


def _dressed(base: Policy, row: RuleVersion | None) -> Policy:
    """The rule with a version's numbers; a number that the pack has since got keeps its own value, one it lost is left out."""
    if row is None:
        return base
    values = {
        part: {name: row.values.get(part, {}).get(name, value) for name, value in held.items()}
        for part, held in base.values().items()
    }
    return base.with_values(values, row.version)


# --- facts for every kind of rule


def facts_for(school_id: uuid.UUID, rule: Policy, as_of: date, course: str | None = None) -> Facts:
    """Facts of the school in the shape that the rule reads: its term, or the terms of its school year so far and to come."""
    facts = facts_of(school_id, as_of, course)
    if rule.facts == "year-hours":
        return _year(school_id, facts, as_of)
    if rule.facts == "subject-hours":
        taught = tuple(sorted({row.subject for row in facts.lessons if row.subject}))
        return replace(facts, course="", subjects=subjects_of(school_id), subjects_taught=taught)
    return facts


def subjects_of(school_id: uuid.UUID) -> tuple[str, ...]:
    """Subjects that the school has chosen for class-hour rules (优势学科, B6)."""
    held = db.session.get(InstanceState, f"subjects/{school_id}")
    return tuple(held.value.split("\n")) if held is not None and held.value else ()


def choose_subjects(actor: Account, school_id: uuid.UUID, subjects: Sequence[str]) -> None:
    """Choose them; the school's admin does."""
    if not may(actor, ("school_admin",), school_id):
        raise NotAllowed("choose-subjects", _l("只有学校管理员可以选定学科。"), clause="B6")
    with write():
        row = db.session.get(InstanceState, f"subjects/{school_id}") or InstanceState(key=f"subjects/{school_id}")
        row.value = "\n".join(dict.fromkeys(name.strip() for name in subjects if name.strip()))
        db.session.add(row)
        audit(actor, "choose-subjects", "school", school_id, school_id=school_id, count=len(subjects))


def _year(school_id: uuid.UUID, facts: Facts, as_of: date) -> Facts:
    now = term_for(school_id, as_of)
    query = select(Term).where(Term.school_id == school_id, Term.school_year == now.school_year)
    terms = db.session.scalars(query.order_by(Term.starts_on)).all()
    each = [facts if term.id == now.id else facts_of(school_id, term.ends_on, facts.course) for term in terms]
    return replace(
        facts,
        subjects=AI_SUBJECTS,
        term_start=terms[0].starts_on,
        term_end=terms[0].ends_on,
        later_terms=tuple((term.starts_on, term.ends_on) for term in terms[1:]),
        days=tuple(day for one in each for day in one.days),
        flags=tuple(flag for one in each for flag in one.flags),
        lessons=tuple(row for one in each for row in one.lessons),
    )


def judge(school_id: uuid.UUID, rule: str, as_of: date, course: str | None = None) -> SchoolResult:
    """The school under ``rule`` at the end of ``as_of`` with the numbers that hold then; after the term, those of its last day.

    Raises NotFound (``rule``), Refused (``no-term``, ``no-stage``).
    """
    facts = facts_for(school_id, policies.policy(rule), as_of, course)
    return policies.evaluate(facts, policy_for(school_id, rule, facts.judged_on))


# --- the office


def office_of(actor: Account, rule: Policy) -> Organisation | None:
    """The office for which the person may change the rule's numbers: an officer's, at a level that owns the pack; never a school."""
    for grant in roles_of(actor):
        if grant.role == "officer" and grant.organisation.level in rule.owners:
            return grant.organisation
    return None


def history(office: Organisation, rule: str) -> list[RuleVersion]:
    """Versions that the office made of a rule, newest first."""
    query = select(RuleVersion).where(RuleVersion.organisation_id == office.id, RuleVersion.rule == rule)
    return list(db.session.scalars(query.order_by(RuleVersion.number.desc())))


def set_values(actor: Account, rule: Policy, values: Values, valid_from: date, reason: str) -> RuleVersion:
    """New numbers for the schools below the office from a day on, today at the earliest: what was judged keeps its version.

    Raises NotAllowed, Invalid naming the parameter, Refused where nothing changes.
    """
    office = _need_office(actor, rule)
    checked(rule, values)
    if not reason.strip():
        raise Invalid("reason", _l("请写明修改的理由和依据的文件。"), where="reason", clause="B0")
    if valid_from < clock.local_date(clock.now(), ZONE):
        raise Invalid("valid-from", _l("生效日期不能早于今天：已作出的判定不追溯。"), where="valid_from", clause="B0")
    with write():
        made = history(office, rule.name)
        if values == policy_for(office.id, rule.name, valid_from).values():
            raise Refused("nothing-changed", _l("与当天生效的参数相同，没有可保存的改动。"))
        number = made[0].number + 1 if made else 1
        row = RuleVersion(
            id=new_id(),
            organisation_id=office.id,
            rule=rule.name,
            number=number,
            version=f"{rule.version}+{_code(office)}.{number}",
            values={part: dict(held) for part, held in values.items()},
            valid_from=valid_from,
            reason=reason.strip(),
            entered_by=actor.id,
        )
        db.session.add(row)
        audit(actor, "set-rule-values", "rule", rule.name, row.reason, version=row.version, valid_from=str(valid_from))
    return row


def checked(rule: Policy, values: Any) -> None:
    """Raise Invalid naming the first parameter that cannot be."""
    for place, text in problems(type(rule.parameters), values):
        raise Invalid("rule-parameter", f"{place}：{text}", where=place, clause=rule.clause)


def _need_office(actor: Account, rule: Policy) -> Organisation:
    office = office_of(actor, rule)
    if office is None:
        raise NotAllowed(
            "rule-owner",
            _l("只有发布这条规则的主管部门可以修改参数。"),
            remedy=_l("请向主管部门反映。"),
            clause="B0",
        )
    return office


def _code(office: Organisation) -> str:
    return re.sub(r"[^0-9A-Za-z-]", "", office.code) or f"{office.level}-{office.id.hex[-8:]}"


# --- trying numbers before they hold


@dataclass(frozen=True)
class Line:
    """A class (or subject) whose verdict or requirement would change; verdicts as codes, ``""`` where there was none."""

    name: str
    before: str
    required_before: int
    after: str
    required_after: int


@dataclass(frozen=True)
class Trial:
    """One school with other numbers: its verdict before and after, and what changes."""

    school: str
    before: str
    after: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Trials:
    """The schools of an office with other numbers; ``schools``: how many were judged, ``skipped``: had no term or stage, or were too many."""

    schools: int
    skipped: int
    changed: tuple[Trial, ...]

    @property
    def classes(self) -> int:
        """Classes (or subjects) whose verdict changes."""
        return sum(line.before != line.after for one in self.changed for line in one.lines)


def try_values(actor: Account, rule: Policy, values: Values, as_of: date) -> Trials:
    """What other numbers would change on a day, school by school; nothing is stored."""
    office = _need_office(actor, rule)
    checked(rule, values)
    tried = rule.with_values(values, f"{rule.version}+try")
    query = (
        select(School).join(Organisation, Organisation.id == School.id).where(Organisation.path.startswith(office.path))
    )
    schools = list(db.session.scalars(query.order_by(Organisation.name)))
    judged, changed = 0, []
    for school in schools[:TRIED_SCHOOLS]:
        try:
            facts = facts_for(school.id, rule, as_of)
        except Refused:
            continue
        judged += 1
        before = policies.evaluate(facts, policy_for(school.id, rule.name, facts.judged_on))
        after = policies.evaluate(facts, tried)
        lines = tuple(_lines(before, after))
        if lines or before.verdict != after.verdict:
            changed.append(Trial(school.organisation.name, before.verdict, after.verdict, lines))
    return Trials(judged, len(schools) - judged, tuple(changed))


def _lines(before: SchoolResult, after: SchoolResult) -> list[Line]:
    """Classes or subjects whose verdict or requirement is another one now; verdicts that change come first."""
    old = {one.cohort.id: (one.verdict, one.required) for one in before.classes} | {
        one.key: (one.verdict, one.required) for one in before.units
    }
    new = [(one.cohort.id, one.cohort.name or one.cohort.id, one.verdict, one.required) for one in after.classes]
    new += [(one.key, one.name, one.verdict, one.required) for one in after.units]
    found = [
        Line(name, *_told(old.get(key)), verdict, required)
        for key, name, verdict, required in new
        if old.get(key) != (verdict, required)
    ]
    return sorted(found, key=lambda line: line.before == line.after)


def _told(known: tuple[str, int] | None) -> tuple[str, int]:
    return known if known is not None else ("", 0)


def today() -> date:
    """The office's day."""
    return clock.local_date(clock.now(), ZONE)


def values_of(form: Mapping[str, str], rule: Policy) -> dict[str, dict[str, Any]]:
    """Values from a form with fields ``section.name``; what is no number stays text, so that :func:`checked` names it."""
    found: dict[str, dict[str, Any]] = {}
    for part, held in rule.values().items():
        for name, value in held.items():
            text = form.get(f"{part}.{name}", "").strip()
            given: Any = text
            if isinstance(value, bool):
                given = text == "yes"
            elif isinstance(value, int) and re.fullmatch(r"\d{1,9}", text, re.ASCII):
                given = int(text)
            found.setdefault(part, {})[name] = given
    return found
