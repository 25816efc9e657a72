"""In a real browser: the live 字数 is what the server counts, what is written saves itself, a conflict is shown for the person to decide."""

from __future__ import annotations

from flask import Flask
from playwright.sync_api import Page, Route, expect

from lms.core import clock
from lms.core.db import db
from lms.core.models import Account
from lms.programmes import service
from lms.programmes.words import words
from tests.factories import PASSWORD
from tests.programmes import places as make

TEXTS = (
    "人工智能AI课程，2022年 3.5% Wi-Fi6",
    "“百校千课”——好ＡＢ𠮷……",
    "a,b c\n\n１２3　四 é e\u0301 ①㎡「」【】～·",
    "https://a.cn/?q=1，见附件",
    "　\t",
    "한글かなカナㄅ",
)


def enter(page: Page, address: str, account: Account) -> None:
    page.goto(f"{address}/sign-in")
    page.fill("[name=username]", account.username)
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url(lambda url: "sign-in" not in url)


def test_count_autosave_and_conflict(app: Flask, address: str, page: Page, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin, other = make.person(tree["school"]), make.person(tree["school"], name="乙老师")
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    key = "application.conditions"
    enter(page, address, admin)
    page.goto(f"{address}/programmes/{found.id}/parts/{key}")
    for text in TEXTS:
        page.fill("#value", text)
        assert int(page.inner_text("#count b")) == words(text), text
    page.fill("#value", "字" * 1001)
    expect(page.locator("#count")).to_have_class("count-over")
    page.fill("#value", "我写的")
    expect(page.locator("#saved")).to_have_text("已自动保存")
    db.session.rollback()
    row = service.parts_of(found)[key]
    assert row.value["value"] == "我写的"
    service.save_part(other, found.id, key, "别人写的", row.edition)
    page.fill("#value", "我又写了")
    expect(page.locator("#clash")).to_contain_text("别人写的")
    page.click("[data-keep-mine]")
    expect(page.locator("#saved")).to_have_text("已自动保存")
    db.session.rollback()
    assert [edit.value["value"] for edit, _name in service.history_of(admin, found.id, key)][:3] == [
        "我又写了",
        "别人写的",
        "我写的",
    ]
    service.save_part(other, found.id, key, "别人再写", 3)
    page.fill("#value", "我再写")
    expect(page.locator("#clash")).to_contain_text("别人再写")
    page.click("[data-merge]")
    expect(page.locator(".theirs")).to_contain_text("别人再写")
    expect(page.locator("#value")).to_have_value("我再写")
    page.fill("#value", "别人再写，我再写")
    expect(page.locator("#saved")).to_have_text("已自动保存")
    db.session.rollback()
    assert service.history_of(admin, found.id, key)[0][0].value["value"] == "别人再写，我再写"


def test_what_is_typed_while_a_slow_save_is_under_way_is_saved_after_it(
    app: Flask, address: str, page: Page, fixed_clock: clock.FixedClock
) -> None:
    tree = make.tree()
    admin = make.person(tree["school"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    enter(page, address, admin)
    part = f"{address}/programmes/{found.id}/parts/application.conditions"
    page.goto(part)
    held: list[Route] = []
    page.route(part, lambda route: route.continue_() if held else held.append(route))
    with page.expect_request(part):
        page.fill("#value", "先写的")
    page.fill("#value", "先写的，后来又写")
    page.wait_for_timeout(2000)  # the second save is due, the first one not back
    with page.expect_response(lambda answer: "后来又写" in (answer.request.post_data or "")):
        held[0].continue_()
    expect(page.locator("#saved")).to_have_text("已自动保存")
    db.session.rollback()
    assert service.content_of(found)["application.conditions"] == "先写的，后来又写"


def test_rows_are_added_and_saved(app: Flask, address: str, page: Page, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin = make.person(tree["school"])
    found = service.begin(admin, "smart-training", "school", "2026")
    enter(page, address, admin)
    page.goto(f"{address}/programmes/{found.id}/parts/school.operators")
    page.fill("[name='value.0.name']", "张三")
    page.click("[data-add-row]")
    page.fill("[name='value.1.name']", "李四")
    page.click("button.btn-primary >> text=保存")
    page.wait_for_load_state()
    db.session.rollback()
    assert [one["name"] for one in service.content_of(found)["school.operators"]] == ["张三", "李四"]
