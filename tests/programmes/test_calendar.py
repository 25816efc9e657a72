"""Every deadline stands in the calendar of whom it concerns, presses as it should, and stops when the thing is done."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import icalendar
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.models import Account, Organisation
from lms.notices import service as told
from lms.notices.models import Notice
from lms.programmes import notices, reminders, service, workflow
from lms.programmes.calendar.rules import Deadline, beside, month_of, near, urgency, weeks_of
from lms.programmes.calendar.service import deadlines_of
from lms.programmes.models import Application
from lms.programmes.selection.models import Panel, Publication
from lms.programmes.years import inspections
from tests import factories
from tests.programmes import places as make

TODAY = date(2026, 11, 24)
Tree = dict[str, Organisation]


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def door(app: Flask, account: Account) -> FlaskClient:
    client = app.test_client()
    data = {"username": account.username, "password": factories.PASSWORD, "csrf_token": factories.token(client)}
    assert client.post("/sign-in", data=data).status_code == 302
    return client


@pytest.mark.parametrize(
    ("days", "mine", "done", "how"),
    [(-1, True, False, "over"), (0, True, False, "now"), (3, True, False, "now"), (4, True, False, "soon"), (14, True, False, "soon"),
     (15, True, False, "later"), (-1, True, True, "done"), (2, False, False, "other")],
)  # fmt: skip
def test_how_it_presses(days: int, mine: bool, done: bool, how: str) -> None:
    one = Deadline("k", TODAY + timedelta(days=days), "hand-in", "t", mine=mine, done=done)
    assert urgency(one, TODAY) == how
    assert bool(near([one], TODAY)) is (mine and not done)


def test_months() -> None:
    weeks = weeks_of(date(2026, 12, 1))
    assert weeks[0][0] == date(2026, 11, 30) and all(week[0].weekday() == 0 and len(week) == 7 for week in weeks)
    assert (beside(date(2026, 12, 1), 1), beside(date(2026, 1, 1), -1)) == (date(2027, 1, 1), date(2025, 12, 1))
    assert month_of("", TODAY) == date(2026, 11, 1)
    with pytest.raises(ValueError, match="month"):
        month_of("2026-13", TODAY)


def of(account: Account, kind: str, slug: str = "hunan-baixiao") -> list[Deadline]:
    found = deadlines_of(account, TODAY - timedelta(days=60), TODAY + timedelta(days=400), slug)
    return [one for one in found if one.kind == kind]


def test_a_school_sees_its_day_and_the_ones_above(tree: Tree) -> None:
    admin, city = make.person(tree["school"]), make.person(tree["city"])
    notices.set_date(
        city, "hunan-baixiao", "2026", date(2026, 12, 1)
    )  # earlier than the province's, and for the county too
    [mine] = of(admin, "hand-in")
    assert (mine.day, mine.mine, mine.done, mine.link) == (date(2026, 12, 1), False, False, "/programmes/")
    assert not near(deadlines_of(admin, TODAY, date(2027, 1, 30)), TODAY)  # what nobody began presses nobody
    assert [(one.day.isoformat(), one.mine) for one in of(admin, "pass-on")] == [
        ("2026-12-01", False),
        ("2026-12-30", False),
    ]
    assert {one.day for one in of(admin, "phase")} == {date(2027, 8, 31), date(2027, 9, 1)}
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    assert of(admin, "hand-in")[0].link == f"/programmes/{found.id}" and of(admin, "hand-in")[0].mine
    workflow.submit(admin, found.id)
    assert of(admin, "hand-in")[0].done and not near(of(admin, "hand-in"), TODAY)
    assert [one.done for one in of(admin, "step")] == [True]


def test_an_office_sees_what_it_must_pass_on(tree: Tree) -> None:
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    assert [one.mine for one in of(county, "pass-on")] == [False, False]
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    assert not any(one.mine for one in of(county, "pass-on"))  # a draft is nobody else's matter
    workflow.submit(admin, found.id)
    assert any(one.mine and "1 份待办理" in one.title for one in of(county, "pass-on"))
    workflow.act(county, found.id, "recommend")
    assert not any(one.mine for one in of(county, "pass-on"))


def test_a_refusal_may_be_appealed_until_its_day_and_is_reminded(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    workflow.submit(admin, found.id)
    workflow.act(county, found.id, "refuse", "材料不实")
    [one] = of(admin, "appeal")
    assert (one.day, one.mine) == (date(2026, 12, 1), True)
    assert reminders.remind(clock.now()) == 1  # a week is left
    fixed_clock.at = datetime(2026, 11, 30, 3, tzinfo=UTC)
    assert (reminders.remind(clock.now()), reminders.remind(clock.now())) == (1, 0)
    workflow.appeal(admin, found.id, "附上原件")
    mine = db.session.scalars(select(Notice).where(Notice.account_id == admin.id)).all()
    assert mine and all(row.ended_at for row in mine)
    assert of(admin, "appeal") == []  # it lies with the county again


def granted(tree: Tree, *levels: str) -> tuple[Account, Application]:
    admin = make.person(tree["school"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    workflow.submit(admin, found.id)
    for level in levels:
        workflow.act(make.person(tree[level]), found.id, "recommend")
    return admin, found


def test_the_years_after_owe_reports_and_orders_to_put_right(tree: Tree) -> None:
    admin, found = granted(tree, "county", "city", "province")
    reports = of(admin, "report")
    assert reports and all(one.mine and one.link == f"/programmes/years/{found.id}" for one in reports)
    assert any(one.day == date(2027, 7, 15) and "项目进展" in one.title for one in reports)
    city = make.person(tree["city"])
    inspections.order(city, found.id, "没有开课", date(2026, 12, 24))
    order = [one for one in of(admin, "report") if one.day == date(2026, 12, 24)]
    assert [one.mine for one in order] == [True]
    [given] = of(city, "report")
    assert "丙县一小" in given.title and not given.mine  # the school has to act first
    assert of(make.person(tree["county"]), "report") == []


def test_a_publication_stands_with_the_office_and_those_below(tree: Tree) -> None:
    admin, found = granted(tree, "county")
    city = make.person(tree["city"])
    with write() as session:
        panel = Panel(id=new_id(), school_id=tree["city"].id, slug="hunan-baixiao", kind="school", batch="2026")
        session.add(panel)
        session.flush()
        session.add(
            Publication(
                id=new_id(), school_id=tree["city"].id, panel_id=panel.id, title="拟推荐名单", text="", starts_on=TODAY, ends_on=date(2026, 12, 1),
                contact="周", phone="1", rows=[{"application": str(found.id)}], made_by=city.id,
            )
        )  # fmt: skip
    for account in (admin, city, make.person(tree["county"])):
        assert [(one.day, one.programme) for one in of(account, "public")] == [(date(2026, 12, 1), "湖南省“百校千课”人工智能教育实验项目")]
    assert of(make.person(tree["province"]), "public") == of(make.person(tree["province-school"]), "public") == []


def test_what_was_told_with_a_day_stands_there_too(tree: Tree) -> None:
    admin = make.person(tree["school"])
    with write():
        told.tell(tree["school"].id, [admin.id], told.Matter("norm/1", "确认伦理规范", due_on=date(2026, 12, 2)))
    assert [(one.title, one.mine) for one in of(admin, "notice", "")] == [("确认伦理规范", True)]
    with write():
        told.end(tree["school"].id, "norm/1")
    assert [one.done for one in of(admin, "notice", "")] == [True]


def test_pages_and_file(app: Flask, tree: Tree) -> None:
    admin = make.person(tree["school"])
    service.begin(admin, "hunan-baixiao", "school", "2026")
    client = door(app, admin)
    page = client.get("/programmes/calendar?month=2026-12").text
    assert "实验校：本单位须报到丙县" in page and "near-later" in page
    only = client.get("/programmes/calendar?view=list&notice=ncet-pilot").text
    assert "试点校：本单位须报到丙县" in only and "实验校：" not in only
    for wrong in ("month=2026-13", "month=x", "view=x", "notice=x"):
        assert client.get(f"/programmes/calendar?{wrong}").status_code == 422
    assert "近期截止" in client.get("/programmes/").text
    data = client.get("/programmes/calendar/deadlines.ics").data
    events = icalendar.Calendar.from_ical(data).walk("VEVENT")
    days = {str(one["summary"]): one["dtstart"].dt for one in events}
    assert days["试点校：本单位须报到丙县（还没有开始）"] == date(2026, 12, 11)
    assert len({str(one["uid"]) for one in events}) == len(events)


def test_only_staff_opens_it(app: Flask, tree: Tree) -> None:
    for role in ("teacher", "school_admin"):
        assert door(app, make.person(tree["school"], role)).get("/programmes/calendar").status_code == 200
    for role in ("expert", "audit_admin"):
        client = door(app, make.person(tree["county"], role))
        assert {client.get(f"/programmes/calendar{end}").status_code for end in ("", "/deadlines.ics")} == {403}
    assert app.test_client().get("/programmes/calendar").status_code in (302, 401)
