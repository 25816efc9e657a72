"""The register and the page 还差什么 in a real browser: entered by hand, taken over into a table, accessible, nothing from outside."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect, sync_playwright
from werkzeug.serving import make_server

from lms.core import clock
from lms.core.db import db
from lms.core.models import Account
from lms.programmes import service
from tests import factories
from tests.house.test_pages import sign_in, violations, watch


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN").new_page()
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def test_entered_and_taken_over(app: Flask, address: str, page: Page, fixed_clock: clock.FixedClock) -> None:
    school = factories.make_school()
    factories.make_teacher(school, factories.make_class(school), name="王老师")
    person = factories.make_admin(school)
    found = service.begin(db.session.get_one(Account, person.account_id), "hunan-baixiao", "school", "2026")
    application = found.id
    db.session.commit()
    faults = watch(page, address)
    sign_in(page, address, person)
    page.goto(f"{address}/register/activities/new")
    problems = violations(page)
    page.fill("[name=日期]", "2026-10-20")
    page.select_option("[name=类别]", "校本教研")
    page.fill("[name=主题]", "集体备课")
    page.fill("[name=学时]", "2")
    page.check("text=王老师")
    page.click("button >> text=保存")
    expect(page.locator("h1")).to_have_text("培训与教研")
    expect(page.locator(".register-table")).to_contain_text("集体备课")
    problems += violations(page)
    page.goto(f"{address}/register/achievements/new?who=teacher")
    problems += violations(page)
    page.select_option("[name=姓名]", "王老师")
    page.select_option("[name=类别]", "精品课征集")
    page.fill("[name=成果名称]", "基础教育精品课")
    page.select_option("[name=级别]", "省级")
    page.click("button >> text=保存")
    expect(page.locator("main")).to_contain_text("基础教育精品课")
    for path in ("/register/achievements", "/register/mine", "/register/import", f"/programmes/{application}/lacks"):
        page.goto(f"{address}{path}")
        problems += violations(page)
    page.goto(f"{address}/programmes/{application}/parts/application.teachers")
    page.click("button >> text=由研修与成果登记")
    expect(page.locator("[name='value.0.award']")).to_have_value("基础教育精品课")
    assert (faults, problems) == ([], [])


def test_what_was_typed_when_the_session_ended_is_sent_after_signing_in_again(app: Flask, address: str, page: Page) -> None:
    school = factories.make_school()
    factories.make_teacher(school, factories.make_class(school), name="王老师")
    person = factories.make_admin(school)
    account = db.session.get_one(Account, person.account_id)
    username = account.username
    sign_in(page, address, person)
    page.goto(f"{address}/register/activities/new")
    page.fill("[name=日期]", "2026-10-20")
    page.select_option("[name=类别]", "校本教研")
    page.fill("[name=主题]", "集体备课")
    page.fill("[name=学时]", "2")
    page.fill("[name=备注]", "第一段\n第二段" + "说课、磨课。" * 60)
    page.check("text=王老师")
    page.context.clear_cookies()  # twelve hours later
    page.click("button >> text=保存")
    expect(page.locator("h1")).to_contain_text("没有丢")
    expect(page.locator("textarea")).to_have_value("第一段\n第二段" + "说课、磨课。" * 60)
    problems = violations(page)
    with page.expect_popup() as opened:
        page.click("text=请登录")
    door = opened.value
    door.fill("[name=username]", username)
    door.fill("[name=password]", factories.PASSWORD)
    door.click("button[type=submit].btn-primary")
    door.wait_for_url(lambda url: "/sign-in" not in url)
    door.close()
    page.click("button >> text=继续")
    expect(page.locator("main")).to_contain_text("您已登录为教务主任")
    problems += violations(page)
    page.click("button >> text=再次提交")
    expect(page.locator(".register-table")).to_contain_text("集体备课")
    assert problems == []
