"""Verbs on the school calendar: entries on days and weeks, which are withdrawn and never deleted (校历登记), definitions B1."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account
from lms.roster.access import need_admin
from lms.roster.calendar import (
    Calendar,
    DayFact,
    FlagFact,
    NationalDay,
    NationalTable,
    bundled_table,
    days_between,
    lost_or_won,
    monday_of,
    national_table,
)
from lms.roster.models import CalendarDay, FlaggedWeek, NationalYear, Term

Entry = TypeVar("Entry", CalendarDay, FlaggedWeek)
LONGEST_DAYS = 60


def entries_between(school_id: uuid.UUID, first: date, last: date, *, withdrawn: bool = False) -> list[CalendarDay]:
    """Entries on days, national ones first, then in the order of their entry; ``withdrawn``: those taken back too."""
    query = select(CalendarDay).where(
        CalendarDay.school_id == school_id, CalendarDay.day >= first, CalendarDay.day <= last
    )
    if not withdrawn:
        query = query.where(CalendarDay.withdrawn_at.is_(None))
    found = db.session.scalars(query.order_by(CalendarDay.day, CalendarDay.entered_at, CalendarDay.id))
    return sorted(found, key=lambda row: (row.day, row.source != "national"))


def flags_between(school_id: uuid.UUID, first: date, last: date, *, withdrawn: bool = False) -> list[FlaggedWeek]:
    """Flags of the weeks that touch [first, last], by week, then in the order of their entry."""
    query = select(FlaggedWeek).where(
        FlaggedWeek.school_id == school_id, FlaggedWeek.monday >= monday_of(first), FlaggedWeek.monday <= last
    )
    if not withdrawn:
        query = query.where(FlaggedWeek.withdrawn_at.is_(None))
    return list(db.session.scalars(query.order_by(FlaggedWeek.monday, FlaggedWeek.entered_at, FlaggedWeek.id)))


def school_calendar(school_id: uuid.UUID, term: Term) -> Calendar:
    """The term's calendar as plain facts, see :mod:`lms.roster.calendar`."""
    days: dict[date, tuple[DayFact, ...]] = {}
    for row in entries_between(school_id, term.starts_on, term.ends_on):
        days[row.day] = (*days.get(row.day, ()), _day_fact(row))
    flagged: dict[date, tuple[FlagFact, ...]] = {}
    for flag in flags_between(school_id, term.starts_on, term.ends_on):
        fact = FlagFact(flag.reason, flag.entered_at, flag.countersigned_at, _grades(flag.grades))
        flagged[flag.monday] = (*flagged.get(flag.monday, ()), fact)
    return Calendar(term.starts_on, term.ends_on, days, flagged)


def _day_fact(row: CalendarDay) -> DayFact:
    return DayFact(
        is_school=row.is_school,
        follows=row.follows,
        source=row.source,
        entered=row.entered_at,
        countersigned=row.countersigned_at,
        grades=_grades(row.grades),
        reason=row.reason,
        state=row.state,
    )


def _grades(grades: Iterable[int] | None) -> tuple[int, ...] | None:
    return tuple(grades) if grades is not None else None


def set_day(
    actor: Account | None,
    school_id: uuid.UUID,
    day: date,
    *,
    is_school: bool,
    reason: str,
    follows: int | None = None,
    grades: Sequence[int] | None = None,
) -> CalendarDay:
    """Enter a closure (停课) or a 调休 day; the newest entry that stands holds, and its entry time counts (B1).

    An entry that says the same as one that stands gives that one back, so that its time is not lost.
    """
    need_admin(actor, school_id)
    if not reason.strip():
        raise Invalid("day-reason", _l("请写明原因，例如“运动会”。"), where="reason")
    if follows is not None and not 0 <= follows <= 6:
        raise Invalid("day-follows", _l("请选择按周几上课。"), where="follows")
    if is_school and day.weekday() >= 5 and follows is None:
        raise Invalid("day-follows", _l("周末上课要写明按周几的课表上课。"), where="follows", clause="B1")
    wanted = {"is_school": is_school, "follows": follows if is_school else None, "reason": reason.strip()[:60]}
    with write():
        standing = [row for row in entries_between(school_id, day, day) if row.source == "school"]
        row = _same(standing[-1:], {**wanted, "grades": sorted(set(grades)) if grades else None})
        if row is None:
            row = CalendarDay(id=new_id(), school_id=school_id, day=day, source="school", state="announced", **wanted)
            row.grades = sorted(set(grades)) if grades else None
            row.entered_at, row.entered_by = clock.now(), actor.id if actor else None
            db.session.add(row)
            db.session.flush()
            facts = {"day": day.isoformat(), "is_school": is_school}
            audit(actor, "set-day", "calendar_day", row.id, reason=row.reason, school_id=school_id, **facts)
    return row


def _same(rows: Sequence[Entry], wanted: Mapping[str, Any]) -> Entry | None:
    return next((row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())), None)


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
) -> list[CalendarDay]:
    """Enter several days in a row alike; ordinary weekends among closed days are left as they are."""
    if not 0 <= (last - first).days <= LONGEST_DAYS:
        raise Invalid("day-span", _l("结束日期应在开始日期之后，最多 60 天。"), where="until")
    made = []
    with write():
        for day in days_between(first, last):
            if first != last and not is_school and day.weekday() >= 5 and not entries_between(school_id, day, day):
                continue
            made.append(
                set_day(actor, school_id, day, is_school=is_school, reason=reason, follows=follows, grades=grades)
            )
    return made


def flag_week(
    actor: Account | None, school_id: uuid.UUID, monday: date, reason: str, grades: Sequence[int] | None = None
) -> FlaggedWeek:
    """Declare a week not effective (考试、军训、复习). It counts by itself only if entered before its Monday (B1)."""
    need_admin(actor, school_id)
    if not reason.strip():
        raise Invalid("flag-reason", _l("请写明原因，例如“期末考试”。"), where="reason")
    monday = monday_of(monday)
    wanted = {"reason": reason.strip()[:60], "grades": sorted(set(grades)) if grades else None}
    with write():
        row = _same(flags_between(school_id, monday, monday), wanted)
        if row is None:
            row = FlaggedWeek(id=new_id(), school_id=school_id, monday=monday, **wanted)
            row.entered_at, row.entered_by = clock.now(), actor.id if actor else None
            db.session.add(row)
            db.session.flush()
            audit(
                actor, "flag-week", "flagged_week", row.id, reason=row.reason, school_id=school_id, monday=str(monday)
            )
    return row


def withdraw(actor: Account | None, row: Entry) -> Entry:
    """Take an entry back (撤销): it stays, with who and when; days of the national table cannot be taken back."""
    need_admin(actor, row.school_id)
    if isinstance(row, CalendarDay) and row.source == "national":
        raise Refused(
            "national-day",
            _l("国家节假日不能撤销。"),
            remedy=_l("如学校当天上课，请登记“上课”；国家通知有变动，请改“国家节假日表”。"),
            clause="B1",
        )
    with write():
        if row.withdrawn_at is None:
            row.withdrawn_at, row.withdrawn_by = clock.now(), actor.id if actor else None
            audit(actor, "withdraw-entry", row.__tablename__, row.id, row.reason, school_id=row.school_id)
    return row


def table_of(school_id: uuid.UUID, year: int) -> NationalTable:
    """The national table of a year as it stands for the school: its own from the notice, else the bundled one."""
    row = own_table(school_id, year)
    if row is None:
        return bundled_table(year)
    bundled = bundled_table(year)
    if bundled.state == "announced" and row.state == "estimated":
        return bundled
    return national_table(year, row.state, row.notice, row.table)


def own_table(school_id: uuid.UUID, year: int) -> NationalYear | None:
    """The newest table that the school entered for a year."""
    query = select(NationalYear).where(NationalYear.school_id == school_id, NationalYear.year == year)
    return db.session.scalar(query.order_by(NationalYear.entered_at.desc(), NationalYear.id.desc()).limit(1))


def set_table(
    actor: Account, school_id: uuid.UUID, year: int, state: str, notice: str, table: Mapping[str, Any]
) -> NationalYear:
    """Enter the year's national table from the notice, and put it on the calendar of every term that it touches."""
    need_admin(actor, school_id)
    if state not in ("announced", "estimated") or not 2000 <= year <= 2100:
        raise Invalid("national-state", _l("请选择年份，以及“已公布”或“预估”。"), where="state")
    if state == "announced" and not notice.strip():
        raise Invalid("national-notice", _l("请写明国务院办公厅通知的名称或文号。"), where="notice")
    with write():
        row = NationalYear(
            id=new_id(), school_id=school_id, year=year, state=state, notice=notice.strip()[:120], table=dict(table)
        )
        row.entered_at, row.entered_by = clock.now(), actor.id
        db.session.add(row)
        db.session.flush()
        terms = db.session.scalars(select(Term).where(Term.school_id == school_id)).all()
        for term in terms:
            apply_national_days(school_id, term.starts_on, term.ends_on)
        audit(
            actor,
            "set-national-table",
            "national_year",
            row.id,
            row.notice,
            school_id=school_id,
            year=year,
            state=state,
        )
    return row


def apply_national_days(school_id: uuid.UUID, first: date, last: date) -> int:
    """Bring the calendar to the national tables as they stand; entries that they no longer hold are withdrawn, the school's own stay.

    Returns how many entries were written. A day of the school's own table bears who entered it and when, so that a day
    entered afterwards is judged as a closure of the school (B1).
    """
    now = clock.now()
    with write():
        standing = {row.day: row for row in entries_between(school_id, first, last) if row.source == "national"}
        wanted = _national(school_id, first, last)
        for day, row in standing.items():
            held = wanted.get(day)
            if held is None or (row.is_school, row.follows, row.reason) != _says(held[0]):
                row.withdrawn_at = now
            else:
                row.state = held[0].state
                del wanted[day]
        for national, entered_by in wanted.values():
            is_school, follows, reason = _says(national)
            row = CalendarDay(id=new_id(), school_id=school_id, day=national.day, source="national", entered_at=now)
            row.is_school, row.follows, row.reason, row.state = is_school, follows, reason, national.state
            row.entered_by = entered_by
            db.session.add(row)
        db.session.flush()
    return len(wanted)


def _says(day: NationalDay) -> tuple[bool, int | None, str]:
    return day.is_school, day.follows, day.reason[:60]


def _national(school_id: uuid.UUID, first: date, last: date) -> dict[date, tuple[NationalDay, uuid.UUID | None]]:
    """National days as they stand, each with the account that entered it where the bundled table does not hold it."""
    found: dict[date, tuple[NationalDay, uuid.UUID | None]] = {}
    for year in range(first.year, last.year + 1):
        own = own_table(school_id, year)
        bundled = {(each.day, each.is_school) for each in bundled_table(year).days}
        for each in lost_or_won(table_of(school_id, year).days, first, last):
            known = (each.day, each.is_school) in bundled or own is None
            found[each.day] = (each, None if known or own is None else own.entered_by)
    return found
