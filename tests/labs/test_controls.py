"""What a teacher may let a kit do on its page: take off with enough battery and a clear room, land, poses; checks are no stops."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.labs import checking, rules, service
from lms.labs.intake import Intake
from lms.labs.models import StopEvent
from lms.teaching import board
from tests.factories import sign_in, token
from tests.labs.test_device_pages import add, sent
from tests.teaching.scene import Scene, browser, make_scene

WELL: dict[str, Any] = {"main/battery": "80", "main/height": "0"}
FLIGHT = "homie/5/bot-32/main/flight/set"


@pytest.fixture
def scene(app: Flask) -> Scene:
    return make_scene()


@pytest.fixture
def teacher(app: Flask, scene: Scene) -> FlaskClient:
    client = browser(app)
    sign_in(client, scene.teacher)
    return client


def act(client: FlaskClient, device: Any, **form: str) -> int:
    data = {"csrf_token": token(client, "/devices"), **form}
    return client.post(f"/labs/devices/{device.id}/act", data=data).status_code


@pytest.mark.parametrize(
    ("state", "alert", "battery", "height", "code"),
    [
        ("ready", "", 30, 0, ""),
        ("ready", "", 30, None, ""),
        ("ready", "", 29, 0, "battery"),
        ("ready", "", None, 0, "battery-unknown"),
        ("ready", "", 90, 80, "flying"),
        ("ready", "固件不对", 90, 0, "not-ready"),
        ("lost", "", 90, 0, "not-ready"),
    ],
)
def test_when_a_drone_may_take_off(state: str, alert: str, battery: float | None, height: float | None, code: str) -> None:
    assert rules.take_off_hindrance(state, alert, battery, height, 30) == code


def test_a_drone_takes_off_when_the_room_is_clear_only(scene: Scene, teacher: FlaskClient) -> None:
    drone = add(scene, "32", profile="ryze-tello-tt", values=WELL, seen_at=clock.now())
    page = teacher.get("/labs/device/lab1/32").text
    for words in ("起飞", "降落", "人都离开 2 米", "红色按钮对它的意思：马上停住、悬停，然后就地降落", "它会从空中掉下来"):
        assert words in page, words
    assert act(teacher, drone, do="takeoff") == 422
    assert sent(FLIGHT) == []
    assert act(teacher, drone, do="takeoff", clear="yes") == 302
    assert act(teacher, drone, do="land") == 302
    assert act(teacher, drone, do="cut") == 302
    assert sent(FLIGHT) == ["takeoff", "land", "emergency"]
    for wrong in ("up", ""):
        assert act(teacher, drone, do=wrong) == 422


@pytest.mark.parametrize(
    ("values", "words"), [({**WELL, "main/battery": "12"}, "电量不够起飞"), ({"main/height": "0"}, "还不知道它的电量"), ({**WELL, "main/height": "90"}, "已经在空中")]
)
def test_a_drone_that_should_not_take_off_says_why(scene: Scene, teacher: FlaskClient, values: dict[str, str], words: str) -> None:
    drone = add(scene, "32", profile="ryze-tello-tt", values=values, seen_at=clock.now())
    assert words in teacher.get("/labs/device/lab1/32").text
    assert act(teacher, drone, do="takeoff", clear="yes") == 409
    assert act(teacher, drone, do="land") == 302
    assert sent(FLIGHT) == ["land"]


def test_an_arm_has_poses_and_nothing_that_drives(scene: Scene, teacher: FlaskClient) -> None:
    arm = add(scene, "41", profile="arduino-firmata-arm", seen_at=clock.now())
    car = add(scene, "07", profile="makeblock-mbot")
    page = teacher.get("/labs/device/lab1/41").text
    assert "收回" in page and "张开夹爪" in page and "起飞" not in page and "断电手臂会落下" in page
    assert act(teacher, arm, pose="home") == 302
    assert sent("homie/5/bot-41/main/pose/set") == ["home"]
    assert (act(teacher, arm, pose="nowhere"), act(teacher, arm, do="takeoff", clear="yes"), act(teacher, car, pose="home")) == (422, 422, 422)
    assert "姿势" not in teacher.get("/labs/device/lab1/07").text
    assert (service.drives("arduino-firmata-arm"), service.drives("makeblock-mbot"), service.drives("their-own")) == (False, True, True)
    shown = {row["sticker"]: row["acts"] for row in board.console_state(scene.open())["devices"]}
    assert shown == {"41": True, "07": False}


def test_another_schools_teacher_presses_nothing(app: Flask, scene: Scene) -> None:
    drone = add(scene, "32", profile="ryze-tello-tt", values=WELL, seen_at=clock.now())
    other = browser(app)
    sign_in(other, make_scene().teacher)
    assert act(other, drone, do="land") == 404
    assert sent(FLIGHT) == []


def test_a_lab_check_is_no_stop_in_any_record(scene: Scene) -> None:
    add(scene, "07")
    run = checking.begin(scene.actor, scene.room)
    lesson = scene.open()
    intake = Intake(scene.school.id)
    intake.take(f"zhike/room/{scene.room.code}/lesson", f'{{"lesson": "{lesson.id}", "state": "running"}}'.encode(), retained=True, at=None)
    for stop in (run, "check-of-a-command-line", "pressed-by-somebody"):
        body = f'{{"id": "{stop}", "confirmed": ["bot-07"], "unconfirmed": []}}'
        intake.take(f"zhike/room/{scene.room.code}/stopped", body.encode(), retained=False, at=clock.now() - timedelta(minutes=1))
    intake.store(clock.now())
    db.session.commit()
    assert checking.result(scene.room, run).proved == 1
    assert [event.stop_id for event in service.stop_events(lesson.id)] == ["pressed-by-somebody"]
    assert set(db.session.scalars(select(StopEvent.stop_id))) == {run, "pressed-by-somebody"}
    service.forget_old(clock.now() + timedelta(days=2))
    assert set(db.session.scalars(select(StopEvent.stop_id))) == {"pressed-by-somebody"}
    assert '"by":"lab-check"' in sent(f"zhike/room/{scene.room.code}/stop")[0]
