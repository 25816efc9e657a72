"""An expert scores in a real browser: by keyboard, saved by itself, a wrong number named; the officer ticks all and copies the reminder."""

from __future__ import annotations

from flask import Flask
from playwright.sync_api import Page, expect

from lms.core import clock
from lms.core.db import db
from lms.programmes.selection import service
from tests.programmes import places as make
from tests.programmes.test_selection import Scene
from tests.programmes.test_writing_browser import enter


def test_scores_by_keyboard_and_the_committee_page(app: Flask, address: str, page: Page, fixed_clock: clock.FixedClock) -> None:
    scene = Scene(make.tree())
    service.assign(scene.officer, scene.panel.id, scene.found[1].id, scene.experts[0].id)
    review = scene.review(1, 0).id
    account = scene.account(scene.experts[0])
    enter(page, address, account)
    expect(page.locator("h1")).to_contain_text("评审任务")  # an expert lands where the work is
    page.click("text=乙市二小")
    expect(page.locator("[name='score.base']")).to_be_focused()
    for points in ("25", "20", "29.5", "15", "10"):
        page.keyboard.type(points)
        page.keyboard.press("Enter")
    expect(page.locator("#sum")).to_have_text("99.5")
    expect(page.locator("#comment")).to_be_focused()
    page.keyboard.type("方案可行")
    expect(page.locator("#saved")).to_have_text("已自动保存", timeout=60_000)
    db.session.rollback()
    db.session.expire_all()
    kept = scene.review(1, 0)
    assert (kept.scores["plan"], kept.comment, kept.state) == (29.5, "方案可行", "open")
    page.fill("[name='score.base']", "26")
    expect(page.locator("#saved")).to_contain_text("0 到 25", timeout=60_000)
    expect(page.locator("#sum")).to_have_text("–")
    page.fill("[name='score.base']", "24")
    page.click("text=提交评分")
    expect(page.locator(".alert-success")).to_contain_text("98.5")
    db.session.rollback()
    db.session.expire_all()
    assert scene.review(1, 0).id == review and scene.review(1, 0).state == "handed"
    page.context.clear_cookies()
    enter(page, address, scene.officer)
    page.goto(f"{address}/programmes/selection/panels/{scene.panel.id}/ranking")
    page.check("[data-choose-all]")
    assert page.locator("[name='chosen']:checked").count() == 3
    page.goto(f"{address}/programmes/selection/missing/hunan-baixiao/school/2026")
    page.click("[data-copy]")
    expect(page.locator("[data-copy]")).to_have_text("已复制")
