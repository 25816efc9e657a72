"""Reminders come a week and a day before, once, and stop when the thing is done."""

from __future__ import annotations

from datetime import UTC, date, datetime

from flask import Flask
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.models import Account
from lms.notices.models import Notice
from lms.programmes import reminders, service, workflow
from lms.programmes.calendar.service import deadlines_of
from lms.programmes.selection import missing
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


def open_keys(account: Account) -> list[str]:
    query = select(Notice.key).where(Notice.account_id == account.id, Notice.ended_at.is_(None))
    return sorted(db.session.scalars(query.execution_options(populate_existing=True)))


def test_who_has_handed_in_is_missing_no_more(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)

    def urge() -> int:
        made = missing.overview(county, "hunan-baixiao", "school", "2026")
        return missing.remind(county, made, {tree["school"].id})

    assert (urge(), len(open_keys(admin)), urge(), len(open_keys(admin))) == (1, 1, 1, 1)  # once a day
    workflow.submit(admin, found.id)
    assert open_keys(admin) == []
    rows = deadlines_of(admin, date(2026, 11, 1), date(2027, 1, 30))
    assert [one for one in rows if one.kind == "notice" and (one.mine or not one.done)] == []
    workflow.act(county, found.id, "return", "请改")
    urge()
    assert len([one for one in open_keys(admin) if one.startswith("missing/")]) == 1  # on the same day, but it came back


def test_what_comes_back_is_reminded_of_anew(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    fixed_clock.at = datetime(2026, 12, 24, 1, tzinfo=UTC)
    assert reminders.remind(clock.now()) == 1
    workflow.submit(admin, found.id)
    workflow.act(county, found.id, "return", "请改")
    assert (reminders.remind(clock.now()), reminders.remind(clock.now())) == (1, 0)
    assert any("/due/" in one for one in open_keys(admin))
    workflow.submit(admin, found.id)
    assert not any("/due/" in one for one in open_keys(admin))
