"""The console, the door and the projector in a real browser, over a real server, with and without a real broker."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from flask import Flask
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Route, expect, sync_playwright
from werkzeug.serving import BaseWSGIServer, make_server

from lms.config import Settings
from lms.core import clock
from lms.core.db import db, write
from lms.labs import service as labs
from lms.labs.bridge import Bridge, admin_password_file
from lms.teaching import service
from lms.teaching.models import LessonSession
from tests.effort import PATIENCE_S
from tests.factories import PASSWORD, PIN
from tests.labs.test_bridge import Broker, until
from tests.ports import free_port
from tests.teaching.scene import Scene, account_of, add_robots, make_scene, seat_client

STATIC = Path(__file__).parents[2] / "lms" / "static"
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a WebSocket port of this test's own."""
    return replace(settings, mqtt_ws_port=free_port())


@dataclass
class Site:
    """A running school with a browser."""

    app: Flask
    scene: Scene
    server: BaseWSGIServer
    chrome: Chromium

    @property
    def url(self) -> str:
        """Address of the web process."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def visitor(self, **options: Any) -> BrowserContext:
        """A browser of someone else; any error of a script fails the test at the next look."""
        context = self.chrome.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN", timezone_id="Asia/Shanghai", **options)
        context.set_default_timeout(WAIT_MS)
        return context

    def teacher(self) -> Page:
        """The teacher, signed in, before today's lessons."""
        page = self.visitor().new_page()
        page.goto(f"{self.url}/sign-in?next=/today")
        page.fill("[name=username]", account_of(self.scene.teacher).username)
        page.fill("[name=password]", PASSWORD)
        page.click("form.card button[type=submit]")
        page.wait_for_url("**/today")
        return page

    def console(self, lesson: LessonSession, page: Page | None = None) -> Page:
        """The teacher at the lesson's console."""
        page = page or self.teacher()
        page.goto(f"{self.url}/console/{lesson.id}")
        page.wait_for_selector("html[data-ready=console]")
        return page

    def seat(self, number: int) -> Page:
        """The browser of an enrolled seat at the door."""
        cookie = seat_client(self.app, self.scene, self.scene.seats[number]).get_cookie("zhike_seat")
        assert cookie is not None
        context = self.visitor()
        context.add_cookies([{"name": "zhike_seat", "value": cookie.value, "url": self.url}])
        page = context.new_page()
        page.goto(f"{self.url}/seat")
        page.wait_for_selector("html[data-ready=door]")
        return page


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chromium]:
    """Debian's Chromium."""
    assert (STATIC / "vendor" / "mqtt" / "mqtt.esm.js").is_file(), "run `make assets` first"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site(app: Flask, chrome: Chromium) -> Iterator[Site]:
    """A school, its server, a browser."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(app, make_scene(pupils=8, seats=8), server, chrome)
    for context in chrome.contexts:
        context.close()
    server.shutdown()
    thread.join(PATIENCE_S)


def seat_cell(page: Page, site: Site, number: int) -> Any:
    return page.locator(f'.c-seat[data-seat="{site.scene.seats[number].id}"]')


def test_a_lesson_from_the_first_click_to_the_last(site: Site) -> None:
    teacher = site.teacher()
    teacher.click(".is-adhoc button[type=submit]")
    teacher.wait_for_selector("html[data-ready=console]")
    expect(teacher.locator("#count-roster")).to_have_text("8")
    expect(teacher.locator("#link")).to_have_attribute("data-mode", "poll")

    pupil, name = site.seat(2), site.scene.pupils[4].name
    began = time.monotonic()
    pupil.click(f"#names >> text={name}")
    for digit in PIN:
        pupil.click(f'#digits [data-key="{digit}"]')
    pupil.wait_for_url("**/lesson")
    assert time.monotonic() - began < 10

    cell = seat_cell(teacher, site, 2)
    expect(cell.locator(".c-pupil.is-here")).to_contain_text(name)
    expect(teacher.locator("#count-present")).to_have_text("1")

    service.ask_help(account_of(site.scene.pupils[4]), True)
    expect(cell.locator(".c-pupil.is-help")).to_be_visible()
    expect(teacher.locator(".c-help-chip")).to_contain_text(name)
    assert teacher.title().startswith("(1)")
    teacher.click(".c-help-chip")
    teacher.click("#pupil-helped")
    expect(teacher.locator(".c-help-chip")).to_have_count(0)

    teacher.keyboard.press("ArrowRight")
    expect(teacher.locator("#step-head")).to_contain_text("2/")
    teacher.click("#pause")
    expect(teacher.locator("#resume")).to_be_visible()
    teacher.click("#resume")

    teacher.click("[aria-controls=tab-register]")
    teacher.locator(".c-line").nth(0).locator(".c-mark.is-late").click()
    expect(teacher.locator(".c-line").nth(0).locator(".c-mark.is-late")).to_have_attribute("aria-pressed", "true")
    teacher.locator(".c-line").nth(1).locator(".c-mark").first.focus()
    teacher.keyboard.press("3")
    expect(teacher.locator(".c-line").nth(1).locator(".c-mark.is-leave")).to_have_attribute("aria-pressed", "true")
    teacher.click("#mark-rest")
    expect(teacher.locator("#count-present")).to_have_text("7")

    teacher.click("#end")
    teacher.click("#end-yes")
    expect(teacher.locator("#banner-ended")).to_be_visible()
    expect(teacher.locator("#next")).to_be_disabled()
    teacher.click("#reopen")
    expect(teacher.locator("#banner-ended")).to_be_hidden()
    expect(teacher.locator("#next")).to_be_enabled()


def test_a_waiting_seat_moves_on_by_itself(site: Site) -> None:
    pupil = site.seat(0)
    expect(pupil.locator("h1")).to_have_text("等待上课")
    site.scene.open()
    expect(pupil.locator("#names a")).to_have_count(8)
    pupil.click("#names a >> nth=0")
    pupil.keyboard.type("0000")
    expect(pupil.locator("#error")).to_contain_text("密码不对")
    pupil.keyboard.type(PIN)
    pupil.wait_for_url("**/lesson")


def test_a_room_without_terminals_has_a_roster_grid(site: Site) -> None:
    lesson = service.open_lesson(site.scene.actor, site.scene.cohort.id, None, site.scene.package.id, "01-see")
    page = site.console(lesson)
    expect(page.locator("#map.is-roster .c-pupil.is-absent")).to_have_count(8)
    expect(page.locator("#stop")).to_be_hidden()
    page.click("#map .c-pupil >> nth=3")
    page.click("#pupil-marks .is-hand")
    expect(page.locator("#map .c-pupil.is-hand")).to_have_count(1)


def test_a_second_device_takes_over_and_the_first_is_told(site: Site) -> None:
    lesson = site.scene.open()
    first = site.console(lesson)
    expect(first.locator("#banner-other")).to_be_hidden()
    second = site.console(lesson)
    expect(second.locator("#banner-other")).to_be_visible()
    expect(second.locator("#end")).to_be_disabled()
    second.click("#take-over")
    expect(second.locator("#banner-other")).to_be_hidden()
    expect(first.locator("#banner-other")).to_be_visible()
    second.click("#next")
    expect(first.locator("#step-head")).to_contain_text("2/")


def test_an_action_survives_a_hiccup_of_the_network(site: Site) -> None:
    lesson = site.scene.open()
    page = site.console(lesson)
    failures = iter([True, True])

    def stumble(route: Route) -> None:
        if next(failures, False):
            route.abort()
        else:
            route.continue_()

    page.route("**/step", stumble)
    page.click("#next")
    expect(page.locator("#step-head")).to_contain_text("2/")
    expect(page.locator(".c-toast-error")).to_have_count(0)
    page.route("**/api/**", lambda route: route.abort())
    expect(page.locator("#banner-web")).to_be_visible()
    page.unroute("**/api/**")
    expect(page.locator("#banner-web")).to_be_hidden()


def test_without_a_broker_the_stop_button_says_use_the_switch(site: Site) -> None:
    add_robots(site.scene)
    page = site.console(site.scene.open())
    page.click("#stop")
    expect(page.locator("#stop-panel")).to_contain_text("关小车电源开关")
    expect(page.locator("#stop-list li")).to_have_count(2)


def test_projector_follows_the_console_without_names(site: Site) -> None:
    lesson = site.scene.open()
    console = site.console(lesson)
    with console.context.expect_page() as opened:
        console.click("#open-projector")
    projector = opened.value
    projector.wait_for_selector("html[data-ready=projector]")
    steps = service.steps_of(lesson)
    expect(projector.locator("h1")).to_have_text(steps[0].title)
    console.click("#next")
    expect(projector.locator("h1")).to_have_text(steps[1].title, timeout=5000)
    console.click("#show-results")
    expect(projector.locator("#results")).to_have_attribute("aria-pressed", "true")
    expect(projector.locator(".p-results")).to_be_visible()
    assert not [pupil.name for pupil in site.scene.pupils if pupil.name in projector.content()]
    console.click("#pause")
    expect(projector.locator(".p-body.is-paused")).to_be_visible()


def test_pages_pass_the_accessibility_checker(site: Site) -> None:
    lesson = site.scene.open()
    axe = (STATIC / "vendor" / "axe" / "axe.min.js").read_text("utf-8")
    teacher = site.console(lesson)
    door = site.seat(0)
    door.click("#names a >> nth=0")
    found = {}
    for name, page in (("console", teacher), ("door", door)):
        page.evaluate(axe)
        result = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa']})")
        found[name] = [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in result["violations"]]
    teacher.goto(f"{site.url}/today")
    teacher.evaluate(axe)
    result = teacher.evaluate("axe.run(document.querySelector('main'), {runOnly: ['wcag2a', 'wcag2aa']})")
    found["today"] = [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in result["violations"]]
    assert found == {"console": [], "door": [], "today": []}


class Gateway:
    """A gateway that answers stops: the first robot confirms, the second does so only while ``all_well``."""

    def __init__(self, port: int, credential: labs.Credential) -> None:
        self.all_well = True
        self.stops: list[str] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=credential.client_id, protocol=mqtt.MQTTv311)
        self.client.username_pw_set(credential.username, credential.password)
        self.ready = threading.Event()
        self.client.on_connect = lambda client, *_rest: client.subscribe("zhike/room/lab1/stop", qos=1)
        self.client.on_subscribe = lambda *_rest: self.ready.set()
        self.client.on_message = self._hear
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(PATIENCE_S)

    def _hear(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        stop = json.loads(message.payload)
        if stop["id"] in self.stops:
            return
        self.stops.append(stop["id"])
        left = [] if self.all_well else [{"device": "mbot-2", "sticker": "02", "reason": "没有应答"}]
        confirmed = ["mbot-1", "mbot-2"][: 2 - len(left)]
        report = {"id": stop["id"], "confirmed": confirmed, "unconfirmed": left, "at": clock.now().isoformat()}
        client.publish("zhike/room/lab1/stopped", json.dumps(report), qos=1)

    def say(self, topic: str, text: str) -> None:
        """Publish as a terminal or robot would."""
        self.client.publish(topic, text, qos=1, retain=True).wait_for_publish(5)

    def close(self) -> None:
        """Leave."""
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def lab(site: Site, tmp_path: Path) -> Iterator[Gateway]:
    """A broker, the bridge and a gateway for the site."""
    settings: Settings = site.app.config["ZHIKE"]
    broker = Broker(tmp_path / "broker", "embedded", admin_password_file(settings.data_dir), settings.mqtt_ws_port)
    broker.start()
    bridge = Bridge(site.app, site.scene.school.id, "127.0.0.1", broker.config.tcp_port)
    thread = threading.Thread(target=bridge.run)
    thread.start()
    credential = labs.gateway_credential(site.scene.school.id, "gw-test")
    until(lambda: labs.gateway_credential(site.scene.school.id, "gw-test").ready)
    gateway = Gateway(broker.config.tcp_port, credential)
    yield gateway
    gateway.close()
    bridge.stop()
    thread.join(PATIENCE_S)
    broker.kill()


def wait_for(check: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Until ``check`` holds."""
    pause = threading.Event()
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "nothing came"
        pause.wait(0.05)


def test_with_a_broker_the_map_is_live_and_stop_needs_no_web(site: Site, lab: Gateway) -> None:
    add_robots(site.scene)
    lesson = site.scene.open()
    page = site.console(lesson)
    expect(page.locator("#link")).to_have_attribute("data-mode", "live")
    service_seat(site, lesson, 0)
    terminal = site.scene.seats[0].terminal
    cell = seat_cell(page, site, 0)
    expect(cell.locator(".c-pupil.is-here")).to_be_visible()
    for name, value in (("lesson", str(lesson.id)), ("step", "0"), ("visible", "false"), ("heartbeat", clock.now().isoformat())):
        lab.say(f"homie/5/{terminal}/terminal/{name}", value)
    expect(cell.locator(".c-pupil.is-hidden")).to_be_visible()

    page.click("#stop")
    expect(page.locator("#stop-panel.c-stop-good")).to_contain_text("2 台小车都已停住")
    assert len(lab.stops) == 1  # the web's copy carries the same id
    page.click("#stop-close")

    lab.all_well = False
    page.route("**/api/**", lambda route: route.abort())  # the web is dead
    page.keyboard.press("s")
    expect(page.locator("#stop-panel.c-stop-bad")).to_contain_text("请拿起 02 号小车")
    wait_for(lambda: len(lab.stops) == 2)


def service_seat(site: Site, lesson: LessonSession, number: int) -> None:
    """A pupil sits down."""
    with write():
        service.seat_pupil(account_of(site.scene.pupils[number]), site.scene.seats[number], lesson)
    db.session.rollback()
