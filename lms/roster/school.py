"""Verbs on the school itself: set it up, its stages, terms and calendar (建校、学段、学期、校历)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, time
from itertools import pairwise

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account, Organisation
from lms.core.stages import CLASS_HOUR_MINUTES, SCHOOL_TYPES, STAGES
from lms.roster.access import get_row, need_admin, school_of
from lms.roster.calendar import Calendar, DayFact, FlagFact, days_between, monday_of, national_days_between
from lms.roster.models import CalendarDay, FlaggedWeek, Period, School, SchoolClass, SchoolStage, Term
from lms.roster.rules import CLASS_STYLES

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
    actor: Account | None, school_id: uuid.UUID, *, name: str, code: str, school_type: str, locality: str, system: str, class_style: str
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


def apply_national_days(school_id: uuid.UUID, first: date, last: date) -> int:
    """Put the bundled national table on the calendar; days that the school entered itself, and ended estimates, stay. Returns rows written."""
    rows = {day.day: day for day in _days(school_id, first, last)}
    now, count = clock.now(), 0
    with write():
        for national in national_days_between(first, last):
            row = rows.get(national.day)
            if row is not None and (row.source == "school" or row.state == "announced"):
                continue
            if row is None:
                row = CalendarDay(id=new_id(), school_id=school_id, day=national.day, source="national", entered_at=now)
                db.session.add(row)
            row.is_school, row.follows, row.reason, row.state = national.is_school, national.follows, national.reason, national.state
            count += 1
    return count


def _days(school_id: uuid.UUID, first: date, last: date) -> list[CalendarDay]:
    query = select(CalendarDay).where(CalendarDay.school_id == school_id, CalendarDay.day >= first, CalendarDay.day <= last)
    return list(db.session.scalars(query.order_by(CalendarDay.day)))


def school_calendar(school_id: uuid.UUID, term: Term) -> Calendar:
    """The term's calendar as plain facts, see :mod:`lms.roster.calendar`."""
    days = {
        row.day: DayFact(
            row.is_school,
            row.follows,
            row.source,
            row.entered_at,
            row.countersigned_at,
            tuple(row.grades) if row.grades is not None else None,
            row.reason,
            row.state,
        )
        for row in _days(school_id, term.starts_on, term.ends_on)
    }
    first, last = monday_of(term.starts_on), monday_of(term.ends_on)
    weeks = db.session.scalars(
        select(FlaggedWeek).where(FlaggedWeek.school_id == school_id, FlaggedWeek.monday >= first, FlaggedWeek.monday <= last)
    )
    flagged = {
        row.monday: FlagFact(row.reason, row.entered_at, row.countersigned_at, tuple(row.grades) if row.grades is not None else None)
        for row in weeks
    }
    return Calendar(term.starts_on, term.ends_on, days, flagged)


def set_day(
    actor: Account | None,
    school_id: uuid.UUID,
    day: date,
    *,
    is_school: bool,
    reason: str,
    follows: int | None = None,
    grades: Sequence[int] | None = None,
    national: bool = False,
) -> CalendarDay:
    """Enter a closure (停课) or a 调休 day; one row a day, the newest entry stands and its entry time counts (B1).

    ``national`` marks what a State Council notice says (announced), which needs no countersignature.
    """
    need_admin(actor, school_id)
    if not reason.strip():
        raise Invalid("day-reason", _l("请写明原因，例如“运动会”。"), where="reason")
    if follows is not None and not 0 <= follows <= 6:
        raise Invalid("day-follows", _l("请选择按周几上课。"), where="follows")
    if is_school and day.weekday() >= 5 and follows is None:
        raise Invalid("day-follows", _l("周末上课要写明按周几的课表上课。"), where="follows", clause="B1")
    with write():
        row = next(iter(_days(school_id, day, day)), None)
        if row is None:
            row = CalendarDay(id=new_id(), school_id=school_id, day=day)
            db.session.add(row)
        row.is_school, row.follows, row.reason = is_school, follows if is_school else None, reason.strip()[:60]
        row.source, row.state = ("national" if national else "school"), "announced"
        row.grades = sorted(set(grades)) if grades else None
        row.entered_at, row.countersigned_at = clock.now(), None
        audit(actor, "set-day", "calendar_day", row.id, reason=row.reason, school_id=school_id, day=day.isoformat(), is_school=is_school)
    return row


def set_days(
    actor: Account | None,
    school_id: uuid.UUID,
    first: date,
    last: date,
    *,
    is_school: bool,
    reason: str,
    follows: int | None = None,
    grades: Sequence[int] | None = None,
    national: bool = False,
) -> int:
    """Enter several days in a row alike; ordinary weekends among closed days are left as they are. Returns how many."""
    if not 0 <= (last - first).days <= 60:
        raise Invalid("day-span", _l("结束日期应在开始日期之后，最多 60 天。"), where="until")
    count = 0
    with write():
        for day in days_between(first, last):
            if first != last and not is_school and day.weekday() >= 5 and not _days(school_id, day, day):
                continue
            set_day(actor, school_id, day, is_school=is_school, reason=reason, follows=follows, grades=grades, national=national)
            count += 1
    return count


def clear_day(actor: Account | None, school_id: uuid.UUID, day: date) -> None:
    """Make a day ordinary again; the national table's entry comes back where there is one."""
    need_admin(actor, school_id)
    with write():
        for row in _days(school_id, day, day):
            db.session.delete(row)
            audit(actor, "clear-day", "calendar_day", row.id, school_id=school_id, day=day.isoformat(), was_national=row.source == "national")
            if row.source == "school":
                db.session.flush()
                apply_national_days(school_id, day, day)


def flag_week(actor: Account | None, school_id: uuid.UUID, monday: date, reason: str, grades: Sequence[int] | None = None) -> FlaggedWeek:
    """Declare a week not effective (考试、军训、复习). It counts by itself only if entered before its Monday (B1)."""
    need_admin(actor, school_id)
    if not reason.strip():
        raise Invalid("flag-reason", _l("请写明原因，例如“期末考试”。"), where="reason")
    monday = monday_of(monday)
    with write():
        row = db.session.scalar(select(FlaggedWeek).where(FlaggedWeek.school_id == school_id, FlaggedWeek.monday == monday))
        if row is None:
            row = FlaggedWeek(id=new_id(), school_id=school_id, monday=monday)
            db.session.add(row)
        row.reason, row.grades = reason.strip()[:60], sorted(set(grades)) if grades else None
        row.entered_at, row.countersigned_at = clock.now(), None
        audit(actor, "flag-week", "flagged_week", row.id, reason=row.reason, school_id=school_id, monday=monday.isoformat())
    return row


def unflag_week(actor: Account | None, school_id: uuid.UUID, monday: date) -> None:
    """Take a week's flag away."""
    need_admin(actor, school_id)
    with write():
        for row in db.session.scalars(select(FlaggedWeek).where(FlaggedWeek.school_id == school_id, FlaggedWeek.monday == monday_of(monday))):
            db.session.delete(row)
            audit(actor, "unflag-week", "flagged_week", row.id, school_id=school_id, monday=monday.isoformat())


def term_of(school_id: uuid.UUID, term_id: uuid.UUID) -> Term:
    """A term of this school by id."""
    return get_row(Term, term_id, school_id)
