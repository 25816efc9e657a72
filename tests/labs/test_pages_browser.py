"""A device's page, the arena and the stop button in a real browser, with real processes behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright

from lms.config import Settings
from lms.core.db import db, new_id, write
from lms.courses import service as courses
from lms.labs import service
from lms.labs.models import Device, StopEvent
from lms.teaching import service as teaching
from tests.factories import PIN
from tests.labs.site import Site, opened
from tests.labs.test_bridge import Peer, until
from tests.ports import free_port
from tests.teaching.scene import make_scene, seat_client

STATIC = Path(__file__).parents[2] / "lms" / "static"
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a WebSocket port of this test's own."""
    return replace(settings, mqtt_ws_port=free_port())


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site(app: Flask, chrome: Browser, tmp_path: Path) -> Iterator[Site]:
    """A school with two simulated robots."""
    folder = tmp_path / "run"
    folder.mkdir()
    with opened(app, make_scene(pupils=2, seats=2), chrome, folder) as made:
        yield made


def drive(site: Site, robot: str) -> Peer:
    """Somebody trusted drives a robot as long as it lasts."""
    peer = Peer(site.broker.config.tcp_port, service.gateway_credential(site.scene.school.id, "gw-test"), "zhike/#")
    peer.say(f"homie/5/{robot}/main/linear-x/set", "0.1")
    until(lambda: any(change["left"] > 0 for change in site.motors(robot)))
    return peer


def live(page: Page) -> None:
    expect(page.locator("#link")).to_have_attribute("data-mode", "live")


def faults_of(page: Page) -> list[str]:
    page.evaluate((STATIC / "vendor" / "axe" / "axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa']})")
    return [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found["violations"]]


def test_a_device_is_found_read_and_stopped_without_the_web(site: Site) -> None:
    page = site.teacher()
    expect(page.locator(".l-kit")).to_have_count(2)
    assert faults_of(page) == []
    page.click(".l-kit >> text=07")
    page.wait_for_selector("html[data-ready=device]")
    live(page)
    expect(page.locator("#state")).to_have_text("正常")
    expect(page.locator("[data-reading=battery]")).not_to_be_empty()
    page.click("#identify")
    expect(page.locator("#identify-said")).to_contain_text("正在闪灯：07")
    assert faults_of(page) == []

    page.goto(f"{site.url}/labs/arena/lab1")
    page.wait_for_selector("html[data-ready=arena]")
    live(page)
    expect(page.locator("#note")).to_be_hidden()
    mbot = page.locator(".a-robot", has_text="01")
    expect(mbot).to_contain_text("x 50")
    drive(site, "mbot-1").end()
    expect(mbot).not_to_contain_text("x 50")
    assert faults_of(page) == []

    site.stop_web()
    peer = drive(site, "car-1")
    page.keyboard.press("s")
    expect(page.locator("#stop-panel.c-stop-good")).to_contain_text("2 台小车都已停住")
    until(lambda: not site.motors("car-1")[-1]["left"])
    stopped = [json.loads(text) for topic, text in peer.got if topic == "zhike/room/lab1/stopped"]
    assert sorted(stopped[-1]["confirmed"]) == ["car-1", "mbot-1"]
    peer.end()

    site.end("gateway")
    page.click("#stop-again")
    bad = page.locator("#stop-panel.c-stop-bad")
    expect(bad).to_contain_text("网关没有回答")
    expect(bad).to_contain_text("请拿起 07 号小车")


def test_without_the_broker_the_stop_goes_by_the_web(site: Site) -> None:
    page = site.teacher()
    page.route_web_socket("**", lambda socket: socket.close())
    page.goto(f"{site.url}/labs/device/lab1/01")
    page.wait_for_selector("html[data-ready=device]")
    expect(page.locator("#link")).to_have_attribute("data-mode", "poll")
    before = len(site.motors("mbot-1"))
    drive(site, "mbot-1").end()
    page.click("#stop")
    expect(page.locator("#stop-panel.c-stop-good")).to_contain_text("2 台小车都已停住")
    assert not site.motors("mbot-1")[-1]["left"]
    assert len(site.motors("mbot-1")) > before


def at_the_robot(site: Site, *, broker: bool = True) -> Page:
    """A pupil alone in a group that holds mbot-1, at the activity that drives it; with or without a way to the broker."""
    scene = site.scene
    lesson = teaching.open_lesson(scene.actor, scene.cohort.id, scene.room.id, scene.package.id, "04-act")
    cookie = seat_client(site.app, scene, scene.seats[0]).get_cookie("zhike_seat")
    assert cookie is not None
    context = site.chrome.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN")
    context.set_default_timeout(WAIT_MS)
    context.add_cookies([{"name": "zhike_seat", "value": cookie.value, "url": site.url}])
    page = context.new_page()
    if not broker:
        page.route_web_socket("**", lambda socket: socket.close())
    page.goto(f"{site.url}/seat")
    page.wait_for_selector("html[data-ready=door]")
    page.click(f"#names >> text={scene.pupils[0].name}")
    for digit in PIN:
        page.click(f'#digits [data-key="{digit}"]')
    page.wait_for_url("**/lesson")
    db.session.rollback()
    teaching.make_groups(scene.actor, lesson, 2)
    robot = db.session.query(Device).filter_by(homie_id="mbot-1").one()
    teaching.assign_robot(scene.actor, lesson, 1, robot)
    steps = courses.steps_of(courses.lesson_of(scene.package.id, "04-act"), lesson.configuration)
    teaching.push_step(scene.actor, lesson, next(step.index for step in steps if step.activity_id == "stop-wall"))
    db.session.rollback()
    return page


def test_a_pupil_sees_the_groups_robot_and_stops_it(site: Site) -> None:
    page = at_the_robot(site)
    expect(page.locator(".wheel-line")).to_have_text("现在由你驾驶")
    expect(page.locator("canvas.table-view")).to_be_visible()
    drive_on = "window.hold = setInterval(() => window.zhike.page.terminal.wish({linear_x: 0.1, angular_z: 0, ms: 400}), 150)"
    page.evaluate(drive_on)
    until(lambda: site.motors("mbot-1")[-1]["left"] > 0)
    page.evaluate("clearInterval(window.hold)")
    page.keyboard.press("Escape")
    expect(page.locator(".stop-said[data-kind=good]")).to_have_text("01 号小车停住了。")
    assert site.motors("mbot-1")[-1]["left"] == 0

    page.route("**/api/**", lambda route: route.abort())  # the web is dead
    page.click(".big-stop")
    expect(page.locator(".stop-said[data-kind=good]")).to_be_visible()
    page.unroute("**/api/**")
    site.end("gateway")
    page.click(".big-stop")
    expect(page.locator(".stop-said[data-kind=bad]")).to_have_text("请拿起 01 号小车！")


def test_a_pupil_without_the_broker_stops_by_the_web(site: Site) -> None:
    page = at_the_robot(site, broker=False)
    expect(page.locator(".robot-stop")).to_be_visible()
    drive(site, "mbot-1").end()
    page.click(".big-stop")
    expect(page.locator(".stop-said[data-kind=good]")).to_be_visible()
    assert site.motors("mbot-1")[-1]["left"] == 0
    db.session.rollback()
    event = db.session.query(StopEvent).one()
    assert event.confirmed == ["mbot-1"]  # the other group's robot was left alone


def test_a_robot_that_no_gateway_knows_is_to_be_lifted(site: Site) -> None:
    facts = {"kind": "robot", "title": "小车 09", "sticker": "09", "state": "ready", "values": {}}
    with write():
        db.session.add(Device(id=new_id(), school_id=site.scene.school.id, homie_id="bot-9", room_id=site.scene.room.id, **facts))
    page = site.teacher()
    page.goto(f"{site.url}/labs/device/lab1/01")
    live(page)
    page.click("#stop")
    expect(page.locator("#stop-panel.c-stop-bad li")).to_have_text(["请拿起 09 号小车它的网关没有回答"])
    page.goto(f"{site.url}/labs/arena/lab1")
    live(page)
    expect(page.locator("#note")).to_be_hidden()
    site.end("simulator")
    expect(page.locator("#note")).to_contain_text("画面停住了")
