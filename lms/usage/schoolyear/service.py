"""Verbs on the school year: withdraw, countersign, import (校历登记与会签). Every change enters the evidence chain, see :mod:`lms.usage.evidence.plans`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import roles_of
from lms.core.db import db, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.core.stages import first_grade, last_grade
from lms.roster import service as roster
from lms.roster.models import CalendarDay, FlaggedWeek, School, Term
from lms.usage.evidence.grades import Sealed
from lms.usage.evidence.ledger import append_event
from lms.usage.judging.calendar import CalendarParameters
from lms.usage.judging.facts import Facts, SchoolFact
from lms.usage.judging.gathering import day_facts, flag_facts
from lms.usage.reasons import Reason
from lms.usage.rulebook import service as rulebook
from lms.usage.schoolyear import rules
from lms.usage.schoolyear.planned import Planned, judge, says

Entry = CalendarDay | FlaggedWeek
RULE = "fortnightly"


def parameters(school_id: uuid.UUID, on: date) -> CalendarParameters:
    """B1 with the numbers that hold for the school."""
    found: CalendarParameters = rulebook.policy_for(school_id, RULE, on).parameters.calendar
    return found


def grades_of(school: School) -> list[int]:
    """Grades of the declared stages; all of a primary school's where none is declared."""
    stages = [row.stage for row in roster.stages_of(school.id)] or ["primary"]
    found = {n for one in stages for n in range(first_grade(one, school.system), last_grade(one, school.system) + 1)}
    return sorted(found)


def facts_of(school: School, term: Term) -> Facts:
    """The calendar of a term as facts, without classes and lessons."""
    stages = tuple(row.stage for row in roster.stages_of(school.id))
    return Facts(
        as_of=roster.today_of(school),
        course="",
        school=SchoolFact(str(school.id), stages, school.system, school.zone),
        term_start=term.starts_on,
        term_end=term.ends_on,
        days=tuple(day_facts(school, term)),
        flags=tuple(flag_facts(school, term)),
    )


def withdraw(actor: Account, school_id: uuid.UUID, entry_id: uuid.UUID) -> None:
    """Take an entry back; the entry, who and when stay."""
    row = entry_of(school_id, entry_id)
    if isinstance(row, CalendarDay):
        roster.withdraw(actor, row)
    else:
        roster.withdraw(actor, row)


def entry_of(school_id: uuid.UUID, entry_id: uuid.UUID) -> Entry:
    """An entry of the school; NotFound where it is none."""
    row: Entry | None = db.session.get(CalendarDay, entry_id) or db.session.get(FlaggedWeek, entry_id)
    if row is None or row.school_id != school_id:
        raise NotFound("calendar-entry", _l("校历上没有这一条。"), remedy=_l("请刷新校历页。"))
    return row


@dataclass(frozen=True)
class Pending:
    """An entry that counts only with the county's countersignature, and why."""

    row: Entry
    why: Reason


def pending_of(school: School, term: Term) -> list[Pending]:
    """Entries of a term that wait for the county; declined ones are not asked again."""
    wanted = rules.needs_county(facts_of(school, term), grades_of(school), parameters(school.id, term.ends_on))
    found = []
    rows: list[Entry] = [
        *roster.entries_between(school.id, term.starts_on, term.ends_on),
        *roster.flags_between(school.id, term.starts_on, term.ends_on),
    ]
    for row in rows:
        why = wanted.get(key_of(row, school.zone))
        if why is not None and row.declined_at is None and row.countersigned_at is None:
            found.append(Pending(row, why))
    return found


def key_of(row: Entry, zone: str) -> str:
    """The key under which the rules know an entry."""
    kind, when = ("day", row.day) if isinstance(row, CalendarDay) else ("week", row.monday)
    grades = ",".join(str(grade) for grade in sorted(row.grades)) if row.grades is not None else "*"
    return f"{kind}/{when.isoformat()}/{grades}/{clock.local_date(row.entered_at, zone)}/{row.reason}"


def schools_under(officer: Account) -> list[School]:
    """Schools of the officer's area (区县), by name; a school's own account is no officer over it."""
    paths = [
        grant.organisation.path
        for grant in roles_of(officer)
        if grant.role == "officer" and grant.organisation.level != "school"
    ]
    query = select(School).join(Organisation, Organisation.id == School.id).order_by(Organisation.name)
    return [
        school for school in db.session.scalars(query) if any(school.organisation.path.startswith(p) for p in paths)
    ]


def decide(officer: Account, entry_ids: Iterable[uuid.UUID], *, agreed: bool) -> int:
    """The county countersigns entries (会签), or declines them; each school's chain gets the link. Returns how many changed.

    Raises NotAllowed where a school is not in the officer's area, Refused for an entry that has been withdrawn.
    """
    mine = {school.id for school in schools_under(officer)}
    count = 0
    with write():
        by_school: dict[uuid.UUID, list[Entry]] = {}
        for entry_id in dict.fromkeys(entry_ids):
            row: Entry | None = db.session.get(CalendarDay, entry_id) or db.session.get(FlaggedWeek, entry_id)
            if row is None or row.school_id not in mine:
                raise NotAllowed("not-your-area", _l("这所学校不在您的辖区。"), clause="B1")
            if row.withdrawn_at is not None:
                raise Refused("entry-withdrawn", _l("学校已撤销这一条。"), remedy=_l("请刷新页面。"))
            if row.countersigned_at is None and not (row.declined_at is not None and not agreed):
                by_school.setdefault(row.school_id, []).append(row)
        for school_id, rows in by_school.items():
            for row in rows:
                row.countersigned_by = officer.id
                row.countersigned_at, row.declined_at = (clock.now(), None) if agreed else (None, clock.now())
                count += 1
            action = "calendar-countersigned" if agreed else "calendar-declined"
            audit(officer, action, "school", school_id, school_id=school_id, entries=len(rows))
            signed = Sealed("signed/1", {"account": str(officer.id)})
            append_event(school_id, action, {"entries": sorted(str(row.id) for row in rows)}, [signed], clock.now())
    return count


def judged(school: School, term: Term, rows: Sequence[Planned]) -> list[Planned]:
    """Rows of a file with their verdicts against the term and what is on the calendar."""
    standing = _standing(school, term)
    found: list[Planned] = []
    for row in rows:
        verdict = judge(row, term.starts_on, term.ends_on, standing)
        if verdict.state == "new" and says(verdict) in {says(other) for other in found if other.state == "new"}:
            verdict = verdict.skipped("double", "与前面一行重复，未导入")
        found.append(verdict)
    return found


def _standing(school: School, term: Term) -> set[tuple[Any, ...]]:
    """What the calendar says, day by day and for every run of days that say the same."""
    found: set[tuple[Any, ...]] = set()
    runs: dict[tuple[Any, ...], list[date]] = {}
    for row in roster.entries_between(school.id, term.starts_on, term.ends_on):
        grades = tuple(row.grades) if row.grades is not None else None
        kind = "school" if row.is_school else "closed"
        runs.setdefault((kind, row.follows if row.is_school else None, grades, row.reason), []).append(row.day)
    for (kind, follows, grades, reason), days in runs.items():
        for first in days:
            found |= {(kind, first, last, follows, grades, reason) for last in days if _covered(first, last, set(days))}
    for flag in roster.flags_between(school.id, term.starts_on, term.ends_on):
        grades = tuple(flag.grades) if flag.grades is not None else None
        for span in range(7):
            last = flag.monday + timedelta(days=span)
            found.add(("flag", flag.monday, last, None, grades, flag.reason))
    return found


def _covered(first: date, last: date, days: set[date]) -> bool:
    """Whether every day of a span is held, ordinary weekends aside."""
    span = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return bool(span) and all(day in days or day.weekday() >= 5 for day in span)


def enter_rows(actor: Account, school: School, term: Term, rows: Sequence[Planned]) -> int:
    """Enter the new rows of a file, all or none; rows that are known already change nothing. Returns how many were entered."""
    verdicts = judged(school, term, rows)
    if any(row.state == "bad" for row in verdicts):
        raise Invalid("calendar-rows", _l("有几行不能导入。"), remedy=_l("请改好文件后重新上传。"))
    count = 0
    with write():
        for row in verdicts:
            if row.state != "new" or row.first is None or row.last is None:
                continue
            count += 1
            if row.kind == "flag":
                monday = row.first - timedelta(days=row.first.weekday())
                while monday <= row.last:
                    roster.flag_week(actor, school.id, monday, row.reason, row.grades)
                    monday += timedelta(days=7)
                continue
            first, last = max(row.first, term.starts_on), min(row.last, term.ends_on)
            is_school = row.kind == "school"
            roster.set_days(
                actor,
                school.id,
                first,
                last,
                is_school=is_school,
                reason=row.reason,
                follows=row.follows,
                grades=row.grades,
            )
    return count
