"""Facts of a school from the database, in the shape that the rules read (汇集事实)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, or_, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.errors import Refused
from lms.core.models import Account, InstanceState
from lms.core.stages import STAGES, first_grade, grade_of, last_grade
from lms.roster import service as roster
from lms.roster.models import Enrollment, Person, School, SchoolClass, SchoolStage, Term
from lms.usage.evidence import windows
from lms.usage.evidence.anchors import Standing
from lms.usage.evidence.plans import closures_entered, windows_of
from lms.usage.judging.facts import ClassFact, DayFact, Facts, FlagFact, PartOf, SchoolFact, TaughtLesson
from lms.usage.models import VOID, UsageRecord

WEEK = timedelta(days=7)


def facts_of(school_id: uuid.UUID, as_of: date, course: str | None = None) -> Facts:
    """Facts of the term that ``as_of`` lies in (else of the last one before it), judged at the end of ``as_of``.

    ``course``: the catalogue that counts; default :func:`course_of`. Raises Refused (``no-term``, ``no-stage``).
    """
    school = roster.school_of(school_id)
    seen = windows_of(school)  # what bounds the window is not moved afterwards by changing a table
    term = span_of(term_for(school_id, as_of), seen)
    stages = _stages(school_id)
    wanted = course or course_of(school_id)
    judged_on = min(as_of, term.ends_on)
    facts = Facts(
        as_of=as_of,
        course=wanted,
        school=SchoolFact(
            id=str(school_id),
            stages=tuple(stage.stage for stage in stages),
            system=school.system,
            zone=school.zone,
            class_hours=tuple((stage.stage, stage.class_hour_minutes) for stage in stages),
        ),
        term_start=term.starts_on,
        term_end=term.ends_on,
        days=tuple(day_facts(school, term)),
        flags=tuple(flag_facts(school, term)),
        classes=tuple(_classes(school, stages, term, judged_on)),
        lessons=tuple(_lessons(school_id, term, wanted)),
    )
    return windows.judged_by(facts, seen)


class Span(NamedTuple):
    """First and last day of a term as they count."""

    starts_on: date
    ends_on: date


def span_of(term: Term, seen: windows.Rows) -> Span:
    """The term as the chain has it, the table's where it has not."""
    starts, ends = windows.days_of(seen, "term", windows.term_name(term.school_year, term.ordinal)) or (None, None)
    return Span(starts or term.starts_on, ends or term.ends_on)


def course_of(school_id: uuid.UUID) -> str:
    """The course whose units count for the school: its own setting, else ``ncet`` (``demo-ncet`` in a simulated database)."""
    held = db.session.get(InstanceState, f"course/{school_id}")
    if held is not None:
        return held.value
    return "demo-ncet" if current_app.config["ZHIKE"].origin == "simulated" else "ncet"


def set_course(actor: Account | None, school_id: uuid.UUID, course: str) -> None:
    """Choose the course whose units count."""
    with write():
        row = db.session.get(InstanceState, f"course/{school_id}") or InstanceState(key=f"course/{school_id}")
        row.value = course
        db.session.add(row)
        audit(actor, "set-course", "school", school_id, school_id=school_id, course=course)


def term_for(school_id: uuid.UUID, as_of: date) -> Term:
    """The term of ``as_of``, else the last before it, else the first; Refused (``no-term``) where there is none."""
    terms = db.session.scalars(select(Term).where(Term.school_id == school_id).order_by(Term.starts_on)).all()
    begun = [term for term in terms if term.starts_on <= as_of]
    if begun:
        return begun[-1]
    if terms:
        return terms[0]
    raise Refused("no-term", _l("学校还没有设置学期。"), remedy=_l("请在“校历”中填写学期的起止日期。"), clause="B1")


def _stages(school_id: uuid.UUID) -> list[SchoolStage]:
    """Declared stages that take part (GS-18: 参与试点的学段); all of them where none is marked."""
    rows = db.session.scalars(select(SchoolStage).where(SchoolStage.school_id == school_id)).all()
    chosen = [row for row in rows if row.participates] or list(rows)
    if not chosen:
        raise Refused("no-stage", _l("学校还没有设置学段。"), remedy=_l("请在“学校”中登记学段。"), clause="B2c")
    return sorted(chosen, key=lambda row: STAGES.index(row.stage))


def day_facts(school: School, term: Term | Span) -> Iterable[DayFact]:
    """Entries on days of the term that stand, national ones first."""
    seen = closures_entered(school.id)  # what the chain saw is not made earlier by changing a table
    for row in roster.entries_between(school.id, term.starts_on, term.ends_on):
        if row.is_school and row.day.weekday() >= 5 and row.follows is None:
            continue  # a 调休 day counts once the school has said which weekday it follows (B1)
        yield DayFact(
            day=row.day,
            is_school=row.is_school,
            source=row.source if row.entered_by is None else "school",  # a holiday entered here is judged as a closure
            follows=row.follows,
            entered=clock.local_date(max(row.entered_at, seen.get(str(row.id), row.entered_at)), school.zone),
            countersigned=row.countersigned_at is not None,
            grades=frozenset(row.grades) if row.grades is not None else None,
            reason=row.reason,
        )


def flag_facts(school: School, term: Term | Span) -> Iterable[FlagFact]:
    """Flagged weeks of the term that stand."""
    seen = closures_entered(school.id)
    for row in roster.flags_between(school.id, term.starts_on, term.ends_on):
        yield FlagFact(
            monday=row.monday,
            reason=row.reason,
            entered=clock.local_date(max(row.entered_at, seen.get(str(row.id), row.entered_at)), school.zone),
            countersigned=row.countersigned_at is not None,
            grades=frozenset(row.grades) if row.grades is not None else None,
        )


def _classes(school: School, stages: list[SchoolStage], term: Span, judged_on: date) -> Iterable[ClassFact]:
    sizes = _sizes(school.id, judged_on)
    admitted = {stage.stage: stage.admitted_on for stage in stages}
    query = select(SchoolClass).where(
        SchoolClass.school_id == school.id,
        SchoolClass.stage.in_(admitted),
        or_(SchoolClass.closed_on.is_(None), SchoolClass.closed_on > term.starts_on),
    )
    found = []
    for row in db.session.scalars(query):
        grade = grade_of(row.stage, row.entry_year, judged_on, school.system)
        if first_grade(row.stage, school.system) <= grade <= last_grade(row.stage, school.system):
            found.append((grade, row))
    for grade, row in sorted(found, key=lambda pair: (pair[0], pair[1].kind, pair[1].number)):
        yield ClassFact(
            id=str(row.id),
            stage=row.stage,
            grade=grade,
            roster=sizes.get(row.id, 0),
            number=row.number,
            type=row.kind,
            created=row.formed_on,
            closed=row.closed_on,
            admitted=admitted[row.stage],
            name=roster.class_name(row, school, judged_on),
        )


def _sizes(school_id: uuid.UUID, day: date) -> dict[uuid.UUID, int]:
    query = (
        select(Enrollment.class_id, func.count())
        .where(Enrollment.school_id == school_id, Enrollment.starts_on <= day, or_(Enrollment.ends_on.is_(None), Enrollment.ends_on >= day))
        .group_by(Enrollment.class_id)
    )
    return {row[0]: row[1] for row in db.session.execute(query)}


def _lessons(school_id: uuid.UUID, term: Span, course: str) -> Iterable[TaughtLesson]:
    people = db.session.execute(select(Person.id, Person.left_on).where(Person.school_id == school_id, Person.kind == "staff"))
    staff = {row[0]: row[1] for row in people}
    query = select(UsageRecord).where(
        UsageRecord.school_id == school_id, UsageRecord.lesson_on >= term.starts_on, UsageRecord.lesson_on <= term.ends_on
    )
    rows = db.session.scalars(query.order_by(UsageRecord.lesson_on, UsageRecord.event_seq)).all()
    replaced = set(db.session.scalars(select(UsageRecord.corrects_id).where(UsageRecord.school_id == school_id, UsageRecord.corrects_id.is_not(None))))
    standing = Standing(school_id, clock.now())
    for row in rows:
        if row.id in replaced or row.kind == VOID:
            continue
        taught = tuple(code for name, _, code in (unit.partition(":") for unit in row.units) if name == course)
        left = staff.get(row.teacher_id)
        yield TaughtLesson(
            id=str(row.id),
            class_id=str(row.class_id),
            date=row.lesson_on,
            minutes=row.minutes,
            present=row.present,
            leave=row.on_leave,
            roster=row.roster,
            class_hours=row.class_hours,
            kind=row.kind,
            course=course if taught else None,
            units=taught,
            subject=row.subject,
            teacher_registered=row.teacher_id in staff and (left is None or left >= row.lesson_on),
            evidence=standing.of(row)[0],
            makeup_of=row.makeup_of or None,
            sitting=row.detail.get("sitting") or (str(row.lesson_id) if row.lesson_id else None),
            part_of=PartOf(row.part_of["lesson"], row.part_of["kind"], row.part_of["parts"]) if row.part_of else None,
        )
