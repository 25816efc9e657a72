"""The tab of PCs and the grid of screens in a real browser, with broker, bridge and a pupil's page that says who looks."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import make_server

from lms.config import Settings
from lms.core.db import db, write
from lms.core.sessions import PLAIN
from lms.labs.bridge import admin_password_file
from lms.labs.veyon import service
from lms.teaching import service as teaching
from lms.teaching.models import LessonSession
from tests.effort import PATIENCE_S
from tests.factories import PASSWORD, make_admin, sign_in, token
from tests.labs import veyon_fake
from tests.labs.test_bridge import Broker, bridged, until
from tests.labs.veyon_fake import KEY, FakePc, FakeVeyon, serving
from tests.ports import free_port
from tests.teaching.scene import Scene, account_of, browser, make_scene

SHOTS = os.environ.get("ZHIKE_SHOTS", "")
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a WebSocket port of this test's own."""
    return replace(settings, mqtt_ws_port=free_port())


@pytest.fixture
def chrome() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(PATIENCE_S)


def picture() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (400, 225), (30, 120, 180)).save(made, "JPEG")
    return made.getvalue()


def signed_in(chrome: Browser, url: str, username: str, then: str) -> Page:
    page = chrome.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN", timezone_id="Asia/Shanghai").new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(f"{url}/sign-in?next={then}")
    page.fill("[name=username]", username)
    page.fill("[name=password]", PASSWORD)
    page.click("form.card button[type=submit]")
    page.wait_for_url(f"**{then}")
    return page


def shot(page: Page, name: str) -> None:
    """For a person to look at, both sizes; only where a folder is named."""
    if SHOTS:
        for width, height in ((1366, 768), (1920, 1080)):
            page.set_viewport_size({"width": width, "height": height})
            page.screenshot(path=f"{SHOTS}/{name}_{width}.png")
        page.set_viewport_size({"width": 1366, "height": 768})


def connected(scene: Scene, fake: FakeVeyon) -> None:
    admin = account_of(make_admin(scene.school, "admin-1"))
    service.connect(admin, scene.room, fake.url, "key", "lab", KEY, "")
    service.set_pcs(admin, scene.room, {str(seat.id): (f"10.0.0.{at}", "") for at, seat in enumerate(scene.seats)})


def console(chrome: Browser, url: str, scene: Scene, lesson: LessonSession) -> Page:
    page = signed_in(chrome, url, account_of(scene.teacher).username, "/today")
    page.goto(f"{url}/console/{lesson.id}")
    page.wait_for_selector("html[data-ready=console]")
    page.get_by_role("tab", name="电脑").click()
    return page


@pytest.fixture
def broker(app: Flask, tmp_path: Path) -> Iterator[Broker]:
    settings = app.config["ZHIKE"]
    made = Broker(tmp_path / "broker", "embedded", admin_password_file(settings.data_dir), settings.mqtt_ws_port)
    made.start()
    yield made
    made.kill()


def test_a_teacher_locks_looks_and_takes_back(app: Flask, url: str, chrome: Browser, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(veyon_fake, "JPEG", picture())
    scene = make_scene(pupils=40, seats=40)
    pcs = {f"10.0.0.{at}": FakePc(on=at not in (6, 17)) for at in range(40)}
    with serving(FakeVeyon(pcs)) as fake, bridged(app, scene.school.id, broker):
        connected(scene, fake)
        lesson = scene.open()
        page = console(chrome, url, scene, lesson)
        page.locator("[data-pc]").nth(2).click()
        expect(page.locator("#pc-who")).to_have_text("选中的 1 台")
        page.locator("[data-pc-do=lock]").click()
        expect(page.locator("#pc-now")).to_contain_text("1 台都好了")
        assert [address for address, pc in pcs.items() if pc.locked] == ["10.0.0.2"]
        page.locator("[data-pc-do=lock]").click()
        expect(page.locator("#pc-now.is-bad")).to_contain_text("38 台好了，2 台没有")
        expect(page.locator("#pc-problems")).to_contain_text("07 18没有回答")
        expect(page.locator(".pc-seat.is-locked")).to_have_count(38)
        shot(page, "locked")

        page.locator("[data-pc-do=unlock]").click()
        expect(page.locator(".pc-seat.is-locked")).to_have_count(0)
        page.locator("[data-pc-do=shut-down]").click()
        expect(page.locator("#pc-ask")).to_contain_text("关机 40 台电脑")
        shot(page, "ask")
        page.click("#pc-ask-yes")
        expect(page.locator("#pc-now-text")).to_contain_text("秒后关机 40 台电脑")
        page.click("#pc-undo")
        expect(page.locator("#pc-now")).to_contain_text("已撤销")

        page.click("#pc-look")
        expect(page.locator(".pc-shot[data-seen]")).to_have_count(38)
        expect(page.locator(".pc-shot em:visible")).to_have_count(2)
        expect(page.locator("#screens-note")).to_be_hidden()
        expect(page.locator("#stop")).to_be_visible()
        shot(page, "screens")
        page.locator(".pc-shot").first.click()
        expect(page.locator(".pc-shot.is-large")).to_have_count(1)
        shot(page, "large")
        assert until(lambda: service.watch_end(lesson.school_id, lesson.id))
        page.keyboard.press("Escape")
        expect(page.locator("#screens")).to_be_hidden()
        until(lambda: service.watch_end(lesson.school_id, lesson.id) is None)
        assert not any("ScreenLock" in entry for pc in pcs.values() for entry in pc.did)
    db.session.rollback()


def test_the_administrator_sets_it_up_and_tests_it(app: Flask, url: str, chrome: Browser, broker: Broker) -> None:
    scene = make_scene(pupils=6, seats=6)
    make_admin(scene.school, "admin-1")
    with serving(FakeVeyon({"10.0.0.1": FakePc(), "10.0.0.2": FakePc(key_name="other")})) as fake, bridged(app, scene.school.id, broker):
        page = signed_in(chrome, url, "admin-1", f"/school/rooms/{scene.room.id}")
        page.get_by_role("link", name="Veyon 设置").click()
        page.fill("#url", "http://192.168.1.5:11080")
        page.fill("#name", "lab")
        page.fill("#secret", KEY)
        page.locator("form", has=page.locator("#url")).get_by_role("button", name="保存").click()
        expect(page.get_by_role("alert")).to_contain_text("明文传送")
        shot(page, "settings_wrong")
        page.fill("#url", fake.url)
        page.fill("#secret", KEY)
        page.locator("form", has=page.locator("#url")).get_by_role("button", name="保存").click()
        expect(page.get_by_text("Veyon 设置已保存")).to_be_visible()
        page.get_by_label("座位 01 的地址").fill("10.0.0.1")
        page.get_by_label("座位 02 的地址").fill("10.0.0.2")
        page.get_by_label("座位 01 的 MAC 地址").fill("001A2B3C4D5E")
        page.locator("form", has=page.get_by_label("座位 01 的地址")).get_by_role("button", name="保存").click()
        expect(page.get_by_label("座位 01 的 MAC 地址")).to_have_value("00:1a:2b:3c:4d:5e")
        page.get_by_role("button", name="测试连接").click()
        page.fill("#name", "typed meanwhile")
        expect(page.locator("#verdict")).to_have_text("1 / 6 台电脑能管理。")
        expect(page.locator("#test")).to_contain_text("电脑不认这把密钥或密码")
        expect(page.locator("#name")).to_have_value("typed meanwhile")
        shot(page, "settings")


def test_a_pupil_sees_that_somebody_looks(app: Flask, url: str, chrome: Browser) -> None:
    scene = make_scene()
    nobody = FakeVeyon({})
    nobody.url = "http://127.0.0.1:9"
    connected(scene, nobody)
    lesson = scene.open()
    with write():
        teaching.seat_pupil(account_of(scene.pupils[0]), scene.seats[0], lesson)
    db.session.rollback()
    serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]  # Flask's own cookie sessions
    cookie = serializer.dumps({"_user_id": account_of(scene.pupils[0]).get_id(), "_fresh": True})
    context = chrome.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN")
    context.add_cookies([{"name": PLAIN, "value": cookie, "url": url}])
    page = context.new_page()
    page.goto(f"{url}/lesson")
    expect(page.locator("#lamp")).to_contain_text("离线轮询")
    expect(page.locator("#watched")).to_be_hidden()

    teacher = browser(app)
    sign_in(teacher, scene.teacher)
    for on in (True, False):
        teacher.post(f"/api/lessons/{lesson.id}/pcs/watch", json={"on": on}, headers={"X-CSRFToken": token(teacher, "/today")})
        if on:
            expect(page.locator("#watched")).to_be_visible()
            expect(page.locator("#watched")).to_contain_text("老师正在看大家的屏幕")
            shot(page, "pupil")
            page.reload()
            expect(page.locator("#watched")).to_be_visible()
    expect(page.locator("#watched")).to_be_hidden()
