"""Verbs on the school itself: set it up, its stages and terms (建校、学段、学期)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, time
from itertools import pairwise

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account, Organisation
from lms.core.stages import CLASS_HOUR_MINUTES, SCHOOL_TYPES, STAGES
from lms.roster.access import get_row, need_admin, school_of
from lms.roster.entries import apply_national_days
from lms.roster.models import Period, School, SchoolClass, SchoolStage, Term
from lms.roster.rules import AI_SUBJECT, CLASS_STYLES

LOCALITIES = ("城区", "镇区", "乡村")
SYSTEMS = ("6-3", "5-4")


def _organisation_above(above: Sequence[tuple[str, str]]) -> Organisation:
    parent: Organisation | None = None
    for level, name in (("nation", "全国"), *above):
        found = db.session.scalar(
            select(Organisation).where(
                Organisation.level == level, Organisation.name == name, Organisation.parent_id == (parent.id if parent else None)
            )
        )
        if found is None:
            found = Organisation(id=new_id(), parent_id=parent.id if parent else None, level=level, name=name, path="")
            found.path = f"{parent.path if parent else ''}{found.id.hex}/"
            db.session.add(found)
            db.session.flush()
        parent = found
    assert parent is not None
    return parent


def create_school(
    actor: Account | None,
    name: str,
    school_type: str,
    *,
    code: str = "",
    above: Sequence[tuple[str, str]] = (),
    locality: str = "城区",
    system: str = "6-3",
    class_style: str = "grade",
    zone: str = "Asia/Shanghai",
) -> School:
    """Found a school (建校) below the organisations ``above``, e.g. ``(("county", "示范区"),)``; they are made where missing."""
    _check_profile(name, school_type, locality, system, class_style)
    with write():
        parent = _organisation_above(above)
        organisation = Organisation(id=new_id(), parent_id=parent.id, level="school", name=name.strip(), code=code.strip(), path="")
        organisation.path = f"{parent.path}{organisation.id.hex}/"
        db.session.add(organisation)
        db.session.flush()
        school = School(
            id=organisation.id, school_type=school_type, locality=locality, system=system, class_style=class_style, zone=zone, organisation=organisation
        )
        db.session.add(school)
        db.session.flush()
        audit(actor, "create-school", "school", school.id, school_id=school.id)
    return school


def _check_profile(name: str, school_type: str, locality: str, system: str, class_style: str) -> None:
    if not name.strip():
        raise Invalid("school-name", _l("请填写学校名称。"), where="name")
    for value, allowed, where in (
        (school_type, tuple(SCHOOL_TYPES), "school_type"),
        (locality, LOCALITIES, "locality"),
        (system, SYSTEMS, "system"),
        (class_style, CLASS_STYLES, "class_style"),
    ):
        if value not in allowed:
            raise Invalid("choice", _l("请从列表中选择：%(choices)s。", choices="、".join(allowed)), where=where)


def change_school(
    actor: Account | None, school_id: uuid.UUID, *, name: str, code: str, school_type: str, locality: str, system: str, class_style: str, host_subject: str = ""
) -> School:
    """Change the school's profile; the system only while there are no classes, since it decides what grade a cohort is in."""
    _check_profile(name, school_type, locality, system, class_style)
    need_admin(actor, school_id)
    with write():
        school = school_of(school_id)
        if system != school.system and db.session.scalar(select(SchoolClass.id).where(SchoolClass.school_id == school_id).limit(1)):
            raise Refused("system-fixed", _l("已经有班级，不能再改学制。"), remedy=_l("学制决定班级在几年级；确需更改，请联系系统管理员。"))
        school.organisation.name = name.strip()
        school.organisation.code = code.strip()
        school.school_type, school.locality, school.class_style = school_type, locality, class_style
        school.system = system
        host = host_subject.strip()[:32]
        school.host_subject = "" if host == AI_SUBJECT else host
        audit(actor, "change-school", "school", school_id, school_id=school_id)
    return school


def stages_of(school_id: uuid.UUID) -> list[SchoolStage]:
    """Declared stages, lowest first."""
    found = db.session.scalars(select(SchoolStage).where(SchoolStage.school_id == school_id)).all()
    return sorted(found, key=lambda stage: STAGES.index(stage.stage))


def add_stage(
    actor: Account | None,
    school_id: uuid.UUID,
    stage: str,
    *,
    solution_config: int = 1,
    class_hour_minutes: int = 0,
    participates: bool = True,
    admitted_on: date | None = None,
    training_until: date | None = None,
) -> SchoolStage:
    """Declare a stage (学段) with configuration 一/二/三 (GS-34..38), or change it; a new one gets eight periods a day."""
    need_admin(actor, school_id)
    if stage not in STAGES:
        raise Invalid("stage", _l("学段只能是小学、初中或高中。"), where="stage")
    if solution_config not in (1, 2, 3):
        raise Invalid("solution-config", _l("配置只能是一、二或三。"), where="solution_config", clause="GS-35")
    minutes = class_hour_minutes or CLASS_HOUR_MINUTES[stage]
    if not 20 <= minutes <= 90:
        raise Invalid("class-hour", _l("一课时应在 20 到 90 分钟之间。"), where="class_hour_minutes")
    with write():
        row = db.session.scalar(select(SchoolStage).where(SchoolStage.school_id == school_id, SchoolStage.stage == stage))
        if row is None:
            row = SchoolStage(id=new_id(), school_id=school_id, stage=stage)
            db.session.add(row)
        row.class_hour_minutes, row.solution_config, row.participates = minutes, solution_config, participates
        row.admitted_on, row.training_until = admitted_on, training_until
        db.session.flush()
        if not db.session.scalar(select(Period.id).where(Period.school_id == school_id, Period.stage == stage).limit(1)):
            db.session.add_all(default_periods(school_id, stage, minutes))
        audit(actor, "set-stage", "school_stage", row.id, school_id=school_id, stage=stage, configuration=solution_config)
    return row


def default_periods(school_id: uuid.UUID, stage: str, minutes: int) -> list[Period]:
    """Four periods from 8:00 and four from 14:00, ten minutes apart, twenty after the second (大课间)."""
    made, at = [], 8 * 60
    for ordinal in range(1, 9):
        if ordinal == 5:
            at = 14 * 60
        end = at + minutes
        made.append(
            Period(school_id=school_id, stage=stage, ordinal=ordinal, starts_at=time(at // 60, at % 60), ends_at=time(end // 60, end % 60))
        )
        at = end + (20 if ordinal == 2 else 10)
    return made


def periods_of(school_id: uuid.UUID, stage: str | None = None) -> list[Period]:
    """Periods of the day (节次), by stage and number."""
    query = select(Period).where(Period.school_id == school_id).order_by(Period.stage, Period.ordinal)
    return list(db.session.scalars(query.where(Period.stage == stage) if stage else query))


def set_periods(actor: Account | None, school_id: uuid.UUID, stage: str, wanted: Sequence[tuple[int, time, time]]) -> None:
    """Set the times of periods (number, start, end) together; refused where two of the stage's day would overlap."""
    need_admin(actor, school_id)
    for ordinal, starts_at, ends_at in wanted:
        if not 1 <= ordinal <= 12:
            raise Invalid("period-number", _l("节次应在 1 到 12 之间。"), where="ordinal")
        if ends_at <= starts_at:
            raise Invalid("period-times", _l("第 %(n)s 节的下课时间要晚于上课时间。", n=ordinal), where=f"ends-{ordinal}")
    with write():
        periods = {period.ordinal: period for period in periods_of(school_id, stage)}
        for ordinal, starts_at, ends_at in wanted:
            period = periods.setdefault(ordinal, Period(id=new_id(), school_id=school_id, stage=stage, ordinal=ordinal))
            period.starts_at, period.ends_at = starts_at, ends_at
        in_order = sorted(periods.values(), key=lambda each: each.starts_at)
        for one, after in pairwise(in_order):
            if after.starts_at < one.ends_at:
                raise Invalid(
                    "period-overlap",
                    _l("第 %(a)s 节与第 %(b)s 节的时间重叠。", a=one.ordinal, b=after.ordinal),
                    where=f"starts-{after.ordinal}",
                )
        db.session.add_all(periods.values())
        audit(actor, "set-periods", "school", school_id, school_id=school_id, stage=stage)


def terms_of(school_id: uuid.UUID) -> list[Term]:
    """Terms, newest first."""
    return list(db.session.scalars(select(Term).where(Term.school_id == school_id).order_by(Term.starts_on.desc())))


def term_on(school_id: uuid.UUID, day: date) -> Term | None:
    """The term that a day lies in."""
    return db.session.scalar(select(Term).where(Term.school_id == school_id, Term.starts_on <= day, Term.ends_on >= day))


def add_term(actor: Account | None, school_id: uuid.UUID, school_year: int, ordinal: int, starts_on: date, ends_on: date) -> Term:
    """Open a term (学期), or move its ends, and put the national holidays and 调休 days that lie in it on the calendar."""
    need_admin(actor, school_id)
    if ordinal not in (1, 2) or not 2000 <= school_year <= 2100:
        raise Invalid("term", _l("请选择学年和学期。"), where="ordinal")
    if not 28 <= (ends_on - starts_on).days <= 250:
        raise Invalid("term-length", _l("学期长度应在 4 周到 36 周之间，请检查起止日期。"), where="ends_on")
    with write():
        terms = terms_of(school_id)
        row = next((term for term in terms if (term.school_year, term.ordinal) == (school_year, ordinal)), None)
        for term in terms:
            if term is not row and starts_on <= term.ends_on and term.starts_on <= ends_on:
                raise Refused(
                    "term-overlap", _l("与另一个学期（%(start)s 至 %(end)s）重叠。", start=term.starts_on, end=term.ends_on), remedy=_l("请先修改那个学期的起止日期。")
                )
        if row is None:
            row = Term(id=new_id(), school_id=school_id, school_year=school_year, ordinal=ordinal)
            db.session.add(row)
        row.starts_on, row.ends_on = starts_on, ends_on
        db.session.flush()
        added = apply_national_days(school_id, starts_on, ends_on)
        audit(actor, "set-term", "term", row.id, school_id=school_id, national_days=added)
    return row


def term_of(school_id: uuid.UUID, term_id: uuid.UUID) -> Term:
    """A term of this school by id."""
    return get_row(Term, term_id, school_id)
