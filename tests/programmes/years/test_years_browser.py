"""In a real browser: every page of the years after, as school and as office, accessible, within the screen, without an error; a case is written and selected."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from flask import Flask
from playwright.sync_api import Page

from lms.core import clock
from lms.core.db import db
from lms.core.models import Account
from lms.programmes import workflow
from lms.programmes.years import cases, inspections, norms
from lms.programmes.years.models import LessonCase
from lms.roster.models import School
from tests.factories import make_class, make_pupils
from tests.house.test_pages import violations, watch
from tests.programmes import places as make
from tests.programmes.test_writing_browser import enter
from tests.programmes.years.test_norms import TEXT
from tests.programmes.years.test_years import SEED, granted

Y = "/programmes/years"
Places = tuple[Account, Account, list[str], list[str]]


@pytest.fixture
def places(app: Flask, fixed_clock: clock.FixedClock) -> Places:
    """A school under two notices with a case, a norm, an inspection and an order; the pages of the school and of the office."""
    tree = make.tree()
    admin, officer = make.person(tree["school"]), make.person(tree["province"])
    henan, hunan = granted(tree, admin, "henan-experiment"), granted(tree, admin, "hunan-baixiao")
    workflow.climb(officer, hunan.id, "running", "进入实施推进")
    school = db.session.get_one(School, tree["school"].id)
    cohort = make_class(school)
    make_pupils(school, cohort, 3)
    norms.publish(admin, TEXT, "")
    norms.save_risk(admin, 2026, norms.RiskGiven("机器人伤人", 1, 3, "限速", "管理员", None))
    row = inspections.announce(
        officer, "henan-experiment", "school", 1, "place", "当日双色球开奖号码", date(2026, 11, 25)
    )
    fixed_clock.at = datetime(2026, 11, 25, 2, tzinfo=UTC)
    inspections.draw(officer, row.id, SEED)
    visit = inspections.visits_of(row)[0][0]
    inspections.order(officer, henan.id, "没有开课", date(2026, 12, 25))
    both = [f"{Y}/", f"{Y}/{henan.id}", f"{Y}/{hunan.id}", f"{Y}/cases", f"{Y}/events", f"{Y}/inspections/{row.id}"]
    own = [
        f"{Y}/{hunan.id}/reports/self-assessment/2027", f"{Y}/cases/new/{hunan.id}", f"{Y}/norm", f"{Y}/norm/classes/{cohort.id}",
        f"{Y}/norm/classes/{cohort.id}?sheet=1", f"{Y}/norm/risks", f"{Y}/norm/risks?year=2025", f"/programmes/{hunan.id}", "/programmes/",
    ]  # fmt: skip
    return admin, officer, both + own, [*both, f"{Y}/inspections", f"{Y}/inspections/visits/{visit.id}"]


def test_every_page_as_school_and_as_office(address: str, page: Page, places: Places) -> None:
    admin, officer, of_school, of_office = places
    faults = watch(page, address)
    for account, paths in ((admin, of_school), (officer, of_office)):
        page.context.clear_cookies()
        enter(page, address, account)
        for path in paths:
            answer = page.goto(address + path)
            assert answer is not None and answer.status == 200, path
            faults += violations(page)
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                faults.append(f"{path}: wider than the screen")
    assert "\n".join(faults) == ""


def test_a_case_is_written_handed_in_and_selected(address: str, page: Page, places: Places) -> None:
    admin, officer, of_school, _of_office = places
    enter(page, address, admin)
    page.goto(address + next(one for one in of_school if "/cases/new/" in one))
    page.fill("[name=title]", "用数据看生活")
    page.fill("[name=subject]", "数学")
    page.fill("[name=grade]", "5")
    page.fill("[name=summary]", "学生采集家庭用水数据，用决策树分类并验证，讨论偏差。")
    page.click("button.btn-primary >> text=保存")
    page.click("button >> text=提交评审")
    page.wait_for_selector("text=待评审")
    page.context.clear_cookies()
    enter(page, address, officer)
    page.goto(f"{address}{Y}/cases?words=决策树")
    page.click("text=用数据看生活")
    page.fill("[name=remark]", "可推广")
    page.click("button >> text=入选精品")
    page.wait_for_selector(".badge >> text=入选精品")
    db.session.rollback()
    assert db.session.query(LessonCase).one().status == "selected"
    assert cases.case_counts("hunan-baixiao", officer.organisation_id)[0].selected == 1
