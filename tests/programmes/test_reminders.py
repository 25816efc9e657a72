"""Reminders come a week and a day before, once, and stop when the thing is done."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Flask
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.notices.models import Notice
from lms.programmes import reminders, service, workflow
from tests.programmes import places as make


def test_told_twice_and_ended_by_submitting(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin, officer = make.person(tree["school"]), make.person(tree["county"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")  # due 2026-12-30
    make.fill_in(admin, found)
    assert reminders.remind(clock.now()) == 0
    fixed_clock.at = datetime(2026, 12, 24, 1, tzinfo=UTC)
    assert (reminders.remind(clock.now()), reminders.remind(clock.now())) == (1, 0)
    fixed_clock.at = datetime(2026, 12, 30, 1, tzinfo=UTC)
    assert reminders.remind(clock.now()) == 1
    mine = select(Notice).where(Notice.account_id == admin.id)
    assert [row.due_on and row.due_on.isoformat() for row in db.session.scalars(mine)] == ["2026-12-30"] * 2
    workflow.submit(admin, found.id)
    assert all(row.ended_at for row in db.session.scalars(mine))
    assert reminders.remind(clock.now()) == 1  # now the office has to act
    assert db.session.scalars(select(Notice).where(Notice.account_id == officer.id, Notice.due_on.is_not(None))).one()
    workflow.act(officer, found.id, "recommend")
    assert all(row.ended_at for row in db.session.scalars(select(Notice).where(Notice.account_id == officer.id)))
