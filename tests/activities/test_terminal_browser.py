"""The page as an MQTT terminal on a real broker: presence, the teacher's step at once, the wheel, wishes, a broker that dies."""

from __future__ import annotations

import dataclasses
import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from flask import Flask
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, Page, expect

from labkit.broker import find_mosquitto
from lms.core import clock
from lms.core.db import db, write
from lms.labs.models import Device, RoomPc
from lms.roster.models import Seat
from lms.teaching import groups
from lms.teaching.models import LessonSession
from lms.teaching.publishing import lesson_state
from tests.activities.lessons import STEPS, Taught, teach
from tests.activities.test_page_browser import Served, chromium, open_page, ready
from tests.effort import PATIENCE_S
from tests.ports import free_ports

__all__ = ["chromium"]
ROOM = "zhike/room/lab1"
WAIT_S = PATIENCE_S
pytestmark = pytest.mark.skipif(find_mosquitto() is None, reason="no Mosquitto on this machine; the embedded broker is tested end to end")


class Lab:
    """Mosquitto with a WebSocket door, and a client that plays bridge, gateway and robot."""

    def __init__(self, folder: Path) -> None:
        self.tcp, self.web = free_ports(2)
        self.conf = folder / "mosquitto.conf"
        self.conf.write_text(f"listener {self.tcp} 127.0.0.1\nlistener {self.web} 127.0.0.1\nprotocol websockets\nallow_anonymous true\n", "ascii")
        self.heard: queue.Queue[tuple[str, str]] = queue.Queue()
        self.connected = threading.Event()
        self.start()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=True)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._greet
        self.client.on_message = lambda client, data, message: self.heard.put((message.topic, message.payload.decode()))
        self.client.connect_async("127.0.0.1", self.tcp)
        self.client.loop_start()
        assert self.connected.wait(WAIT_S)

    def _greet(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe("homie/5/t-lab1-01/#")
        self.connected.set()

    def start(self) -> None:
        found = find_mosquitto()
        assert found is not None
        self.process = subprocess.Popen([str(found.program), "-c", str(self.conf)], stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)

    def close(self) -> None:
        self.client.loop_stop()
        self.kill()

    def say(self, topic: str, payload: Any, *, retain: bool = True) -> None:
        self.client.publish(topic, payload if isinstance(payload, str) else json.dumps(payload), qos=1, retain=retain).wait_for_publish(WAIT_S)

    def hear(self, page: Page, topic: str, wanted: str = "") -> str:
        """The next message of a topic that contains ``wanted``; the page goes on meanwhile."""
        for _ in range(200):
            while not self.heard.empty():
                found, text = self.heard.get()
                if found == f"homie/5/t-lab1-01/{topic}" and wanted in text:
                    return text
            page.wait_for_timeout(50)
        raise AssertionError(f"{topic} {wanted} was not published")


@pytest.fixture
def lab(app: Flask, tmp_path: Path) -> Iterator[Lab]:
    found = Lab(tmp_path)
    app.config["ZHIKE"] = dataclasses.replace(app.config["ZHIKE"], mqtt_ws_port=found.web)
    yield found
    found.close()


@pytest.fixture
def taught(app: Flask, tmp_path: Path) -> Taught:
    found = teach(tmp_path)
    with write():
        robot = Device(school_id=found.school.id, homie_id="car-1", room_id=found.room.id, kind="robot", title="一号车", sticker="1", state="ready")
        db.session.add_all([robot, Device(school_id=found.school.id, homie_id="cam-1", room_id=found.room.id, kind="camera", title="前摄像头", state="ready")])
    lesson = db.session.get_one(LessonSession, found.lesson.id)
    groups.make_groups(found.teacher, lesson, 3)
    groups.assign_robot(found.teacher, lesson, 1, robot)
    return found


@pytest.fixture
def page(chromium: Browser, app: Flask, lab: Lab, taught: Taught) -> Iterator[Page]:
    db.session.rollback()
    served = Served(app)
    found = open_page(chromium, served, taught)
    expect(found.locator("#lamp")).to_have_attribute("data-lamp", "online")
    yield found
    found.context.close()
    served.stop()


def push(lab: Lab, taught: Taught, name: str) -> None:
    """The teacher's step, as the bridge publishes it."""
    taught.push(name)
    lab.say(f"{ROOM}/lesson", lesson_state(db.session.get_one(LessonSession, taught.lesson.id)))
    db.session.rollback()


def lease(holder: str) -> dict[str, Any]:
    return {"device": "car-1", "holder": holder, "holders": ["t-lab1-01", "t-lab1-02", "t-lab1-03"], "lesson": "x", "until": "2099-01-01T00:00:00Z", "max_linear": 0.2, "max_angular": 1.5}


def test_the_page_is_a_homie_device_and_follows_at_once(page: Page, lab: Lab, taught: Taught) -> None:
    described = json.loads(lab.hear(page, "$description"))
    assert (described["homie"], set(described["nodes"])) == ("5.0", {"terminal", "wish"})
    assert lab.hear(page, "terminal/seat") == "01"
    assert lab.hear(page, "$state", "ready") == "ready"
    first = lab.hear(page, "terminal/heartbeat")
    push(lab, taught, "quiz")
    expect(page.locator(".activity")).to_contain_text("摄像头给机器的是什么")
    assert lab.hear(page, "terminal/step") == str(STEPS.index("quiz"))
    assert lab.hear(page, "terminal/heartbeat") > first
    page.get_by_role("button", name="我需要帮助").click()
    assert lab.hear(page, "terminal/needs-help", "true")


@pytest.mark.parametrize("kits", [["car"], []])
def test_on_a_pc_with_kits_the_root_device_is_the_agents(chromium: Browser, app: Flask, lab: Lab, taught: Taught, kits: list[str]) -> None:
    """There the page writes its own nodes; `$description` (with the PC's kits) and `$state: ready` are not its to say, its end is."""
    with write():
        at = db.session.get_one(Seat, taught.seats[0].id)
        db.session.add(RoomPc(school_id=at.school_id, room_id=at.room_id, seat_id=at.id, marks=["mac:52:54:00:00:00:01"], code="K7P3", kits=kits, seen_at=clock.now()))
    db.session.rollback()
    served = Served(app)
    page = open_page(chromium, served, taught)
    said: set[tuple[str, str]] = set()
    while not any(topic == "terminal/heartbeat" for topic, _text in said):
        page.wait_for_timeout(50)
        while not lab.heard.empty():
            topic, text = lab.heard.get()
            said.add((topic.removeprefix("homie/5/t-lab1-01/"), text))
    page.context.close()
    served.stop()
    assert any(topic == "$description" for topic, _text in said) is not bool(kits)
    assert (("$state", "ready") in said) is not bool(kits)


def test_only_who_holds_the_wheel_drives(page: Page, lab: Lab, taught: Taught) -> None:
    push(lab, taught, "stop")
    ready(page)
    for name, value in (("$state", "ready"), ("main/range", "57.5")):
        lab.say(f"homie/5/car-1/{name}", value)
    lab.say(f"{ROOM}/lease/car-1", lease("t-lab1-02"))
    page.get_by_role("tab", name="用按钮").click()
    expect(page.locator(".wheel")).to_contain_text("现在由 02 号驾驶")
    expect(page.locator(".sensors")).to_contain_text("57.5")
    forward = page.get_by_role("button", name="前进")
    expect(forward).to_be_disabled()
    lab.say(f"{ROOM}/lease/car-1", lease("t-lab1-01"))
    expect(page.locator(".wheel")).to_contain_text("现在由你驾驶")
    forward.scroll_into_view_if_needed()
    forward.hover()
    page.mouse.down()
    wishes = [json.loads(lab.hear(page, "wish/drive")) for _ in range(3)]
    assert [wish["seq"] for wish in wishes] == [1, 2, 3]
    assert {(wish["linear_x"], wish["angular_z"], wish["ms"] <= 500) for wish in wishes} == {(0.2, 0, True)}
    page.mouse.up()
    assert json.loads(lab.hear(page, "wish/drive", "stop"))["stop"] is True
    page.locator(".wheel-pass button", has_text="02").click()
    db.session.rollback()
    page.wait_for_timeout(500)
    group = groups.group_of(db.session.get_one(LessonSession, taught.lesson.id), 1)
    assert group.driver_id == taught.pupils[1].id


def test_a_program_drives_the_real_robot_by_wishes(page: Page, lab: Lab, taught: Taught) -> None:
    push(lab, taught, "stop")
    ready(page)
    lab.say("homie/5/car-1/main/range", "15")
    lab.say(f"{ROOM}/lease/car-1", lease("t-lab1-01"))
    expect(page.locator(".run")).to_be_enabled()
    page.evaluate("window.zhike.page.activity.program = 'robot.forward(0.5, 0.5)\\nrobot.left(30)\\nlast = robot.range()\\nprint(last)'")
    page.locator(".run").click()
    assert json.loads(lab.hear(page, "wish/drive"))["linear_x"] == 0.2, "capped by the lease"
    assert json.loads(lab.hear(page, "wish/drive", '"angular_z":1.5'))
    assert lab.hear(page, "wish/drive", "stop")
    expect(page.locator(".console")).to_contain_text("15")
    expect(page.locator(".goal")).to_have_attribute("data-reached", "true")


def test_the_camera_gives_a_number(page: Page, lab: Lab, taught: Taught) -> None:
    push(lab, taught, "faces")
    ready(page)
    for name, value in (("$state", "ready"), ("main/stale", "false"), ("main/faces", "3")):
        lab.say(f"homie/5/cam-1/{name}", value)
    expect(page.locator(".camera-status")).to_contain_text("摄像头在线")
    page.get_by_label("第 1 次预测").fill("2")
    page.get_by_role("button", name="取结果").first.click()
    expect(page.locator(".observed")).to_have_text("3")


def test_everybody_sees_that_somebody_looks_through_a_camera(page: Page, lab: Lab) -> None:
    sign = page.locator("#camera-sign")
    expect(sign).to_be_hidden()
    lab.say("homie/5/cam-1/main/watched", "true")
    expect(sign).to_have_text("老师正在看“前摄像头”的模糊画面：只有方块，不保存。")
    lab.say("homie/5/cam-1/main/recording", "true")
    expect(sign).to_contain_text("“前摄像头”正在录像")
    for name in ("watched", "recording"):
        lab.say(f"homie/5/cam-1/main/{name}", "false")
    expect(sign).to_be_hidden()


def test_a_dead_broker_means_polling_and_its_return_says_all_anew(page: Page, lab: Lab, taught: Taught) -> None:
    lab.hear(page, "$state", "ready")
    lab.connected.clear()
    lab.kill()
    expect(page.locator("#lamp")).to_have_attribute("data-lamp", "polling")
    taught.push("quiz")
    db.session.rollback()
    expect(page.locator(".activity")).to_contain_text("摄像头给机器的是什么")
    lab.start()
    expect(page.locator("#lamp")).to_have_attribute("data-lamp", "online")
    assert lab.connected.wait(WAIT_S)
    assert lab.hear(page, "terminal/step") == str(STEPS.index("quiz"))
    assert lab.hear(page, "$state", "ready")
