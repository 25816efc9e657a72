"""Kept results are never older than what they rest on, whoever wrote it and however."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import insert, update

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.models import Account
from lms.roster import service as roster
from lms.roster.models import Enrollment, SchoolClass
from lms.usage import policies, service
from lms.usage.judging.gathering import facts_of, set_course
from lms.usage.judging.standings import standings
from lms.usage.models import UsageRecord
from lms.usage.rulebook.service import rules_for
from tests.factories import make_class, make_pupils
from tests.usage.makers import at, closed_lesson
from tests.usage.test_views import Campus

TODAY = date(2026, 11, 24)
Change = Callable[[Campus], object]


@pytest.fixture
def campus(app: Flask, fixed_clock: clock.FixedClock) -> Campus:
    return Campus(fixed_clock)


def account(campus: Campus) -> Account:
    found = db.session.get(Account, campus.admin.account_id)
    assert found
    return found


def one_lesson(campus: Campus) -> object:
    return service.record_lesson(closed_lesson(campus.classes[2], campus.teacher, campus.pupils, TODAY), None)


def one_correction(campus: Campus) -> object:
    teacher = db.session.get(Account, campus.teacher.account_id)
    assert teacher
    return service.correct_record(account(campus), teacher, campus.records[0].id, {"present": 0}, "点错")


def many_records_at_once(campus: Campus) -> None:
    start = at(TODAY)
    row = {column.name: getattr(campus.records[0], column.key) for column in UsageRecord.__table__.columns}
    row |= {
        "id": new_id(),
        "lesson_id": new_id(),
        "class_id": campus.classes[3].id,
        "lesson_on": TODAY,
        "started_at": start,
        "ended_at": start,
        "event_seq": -1,
    }
    with write() as session:
        session.execute(insert(UsageRecord), [row])


def a_class_grows(campus: Campus) -> None:
    make_pupils(campus.school, campus.classes[1], 2)


def pupils_leave_at_once(campus: Campus) -> None:
    with write() as session:
        session.execute(
            update(Enrollment).where(Enrollment.class_id == campus.classes[0].id).values(ends_on=date(2026, 9, 2))
        )


def a_class_ends(campus: Campus) -> None:
    with write():
        db.session.get_one(SchoolClass, campus.classes[1].id).closed_on = date(2026, 10, 1)


def a_stage_is_admitted_later(campus: Campus) -> None:
    roster.add_stage(account(campus), campus.school.id, "primary", admitted_on=date(2026, 11, 1))


CHANGES: dict[str, Change] = {
    "a lesson": one_lesson,
    "a correction": one_correction,
    "records in bulk": many_records_at_once,
    "a class": lambda campus: make_class(campus.school, "primary", 6, 3),
    "pupils": a_class_grows,
    "pupils leave in bulk": pupils_leave_at_once,
    "a class ends": a_class_ends,
    "admission": a_stage_is_admitted_later,
    "a closure": lambda campus: roster.set_day(
        account(campus), campus.school.id, date(2026, 11, 20), is_school=False, reason="雪"
    ),
    "a flagged week": lambda campus: roster.flag_week(
        account(campus), campus.school.id, date(2026, 11, 30), "期末复习"
    ),
    "the course": lambda campus: set_course(account(campus), campus.school.id, "other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_kept_is_what_the_engine_says_now(campus: Campus, change: str) -> None:
    before = standings(campus.school.id, TODAY)
    assert standings(campus.school.id, TODAY) is before, "nothing changed: worked out once"
    CHANGES[change](campus)
    facts = facts_of(campus.school.id, TODAY)
    fresh = {rule.name: policies.evaluate(facts, rule) for rule in rules_for(campus.school.id, TODAY, "lessons")}
    after = standings(campus.school.id, TODAY)
    assert after == fresh
    assert after != before, f"{change} changes nothing: the case proves nothing"


def _broken_off(campus: Campus) -> None:
    with write():
        one_lesson(campus)
        raise ZeroDivisionError


def test_what_was_rolled_back_changes_nothing(campus: Campus) -> None:
    before = standings(campus.school.id, TODAY)
    with pytest.raises(ZeroDivisionError):
        _broken_off(campus)
    assert standings(campus.school.id, TODAY) is before


def test_another_school_does_not_disturb(campus: Campus, fixed_clock: clock.FixedClock) -> None:
    other = Campus(fixed_clock)
    before = standings(campus.school.id, TODAY)
    one_lesson(other)
    assert standings(campus.school.id, TODAY) is before
