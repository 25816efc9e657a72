"""Pages and calls of the teacher: today, console, projector, register, summary, and who may not."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core.clock import FixedClock
from lms.core.db import db, write
from lms.core.models import AuditEntry, OutboxMessage
from lms.courses import service as courses
from lms.labs.models import StopEvent
from lms.teaching import service
from lms.teaching.models import LessonSession
from lms.usage.models import UsageRecord
from tests.factories import PIN, make_admin, make_class, make_pupils, make_teacher, sign_in, token
from tests.teaching.scene import PACKAGE, Scene, account_of, add_robots, browser, come_in, make_scene, seat_client, send


@pytest.fixture
def scene(app: Flask, fixed_clock: FixedClock) -> Scene:
    """A school on Tuesday 24 November 2026, 10:05."""
    return make_scene()


@pytest.fixture
def teacher(app: Flask, scene: Scene) -> FlaskClient:
    """The teacher's browser."""
    client = browser(app)
    sign_in(client, scene.teacher)
    return client


def the_lesson() -> LessonSession:
    return db.session.scalars(select(LessonSession)).one()


def test_one_click_opens_the_slots_lesson(scene: Scene, teacher: FlaskClient, fixed_clock: FixedClock) -> None:
    slot = scene.day_slot(scene.slot(3))
    fixed_clock.at = slot.starts - timedelta(minutes=3)
    page = teacher.get("/today").text
    assert "五年级1班" in page
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page[page.index("is-first") :]))
    form["lesson"] = re.findall(r'<option value="([^"]+)" selected>', page[page.index("is-first") :])[0]
    form["room_id"] = str(scene.room.id)
    answer = teacher.post("/today/open", data=form)
    lesson = the_lesson()
    assert answer.headers["Location"] == f"/console/{lesson.id}"
    assert (lesson.slot_id, lesson.lesson_slug, lesson.title) == (slot.slot_id, "01-see", "机器的眼睛")
    assert [package.id for package in courses.pinned(scene.cohort.id)] == [scene.package.id]
    assert "回到课堂" in teacher.get("/today").text


def test_the_next_lesson_and_the_next_unit_are_suggested(scene: Scene, teacher: FlaskClient, fixed_clock: FixedClock) -> None:
    courses.install_folder(None, scene.school.id, PACKAGE.parent / "demo-catalogue")
    units = [unit for unit in courses.units(scene.school.id) if unit.volume == "五上"]
    first = f"{units[0].course}:{units[0].code}"
    page = teacher.get("/today").text
    assert f'<option value="{scene.package.id}/01-see" selected>' in page
    assert f'<option value="{first}" selected>' not in page  # the first unit is the teacher's own choice
    lesson = scene.open(units=[first])
    fixed_clock.at += timedelta(minutes=40)
    service.end_lesson(scene.actor, lesson)
    service.close(lesson.id)
    page = teacher.get("/today").text
    assert f'<option value="{scene.package.id}/02-data" selected>' in page
    assert f'<option value="{units[1].course}:{units[1].code}" selected>' in page
    assert "已结课" in page


def test_today_without_lessons_says_what_to_do(app: Flask, scene: Scene) -> None:
    client = browser(app)
    sign_in(client, make_teacher(scene.school))
    page = client.get("/today").text
    assert "今天课表上没有您的课" in page
    assert "您还没有任课班级" in page
    other = client.get("/today", query_string={"class": str(scene.cohort.id)}).text
    assert "代课" in other


def test_pages_are_closed_to_pupils_and_strangers(app: Flask, scene: Scene) -> None:
    lesson = scene.open()
    seat = seat_client(app, scene, scene.seats[0])
    come_in(seat, scene.pupils[0].id)
    stranger = browser(app)
    sign_in(stranger, make_teacher(scene.school))
    for path in (f"/console/{lesson.id}", f"/projector/{lesson.id}", f"/register/{lesson.id}", f"/lessons/{lesson.id}", f"/api/lessons/{lesson.id}/state"):
        assert seat.get(path).status_code == 403, path
        assert stranger.get(path).status_code == 403, path
        assert browser(app).get(path).status_code in (302, 401), path
    assert stranger.get(f"/console/{uuid.uuid4()}").status_code == 404


def test_an_opened_page_with_names_is_journalled_once_and_no_poll(scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    for path in (f"/console/{lesson.id}", f"/register/{lesson.id}", f"/api/lessons/{lesson.id}/state", f"/api/lessons/{lesson.id}/state"):
        assert teacher.get(path).status_code == 200
    rows = db.session.scalars(select(AuditEntry).where(AuditEntry.action.startswith("access:")).order_by(AuditEntry.at)).all()
    assert [(row.action, row.object_id, row.school_id) for row in rows] == [
        ("access:console", str(lesson.id), scene.school.id), ("access:lesson-register", str(lesson.id), scene.school.id)
    ]  # fmt: skip
    assert {row.detail["people"] for row in rows} == {len(scene.pupils)}


def test_console_calls(app: Flask, scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    csrf = token(teacher, "/today")
    assert teacher.get(f"/console/{lesson.id}").status_code == 200
    assert send(teacher, csrf, lesson, "take-over", if_free=True).get_json()["controller"] == "mine"
    state = send(teacher, csrf, lesson, "step", step=1).get_json()
    assert (state["lesson"]["step"], state["controller"]) == (1, "mine")
    assert send(teacher, csrf, lesson, "pause").get_json()["lesson"]["state"] == "paused"
    assert send(teacher, csrf, lesson, "resume").get_json()["lesson"]["state"] == "running"
    marked = send(teacher, csrf, lesson, "register", person=str(scene.pupils[0].id), status="leave").get_json()
    assert marked["counts"]["leave"] == 1
    assert send(teacher, csrf, lesson, "register", rest="hand").get_json()["counts"]["present"] == 5
    refused = send(teacher, csrf, lesson, "step", step="2")
    assert (refused.status_code, refused.get_json()["code"]) == (422, "number")
    assert teacher.post(f"/api/lessons/{lesson.id}/step", json={"step": 2}).status_code == 400  # no token
    ended = send(teacher, csrf, lesson, "end").get_json()
    assert ended["lesson"]["state"] == "ended"
    assert send(teacher, csrf, lesson, "step", step=2).status_code == 409
    assert send(teacher, csrf, lesson, "reopen").get_json()["lesson"]["state"] == "running"


def test_a_second_device_takes_over(app: Flask, scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    csrf = token(teacher, "/today")
    send(teacher, csrf, lesson, "take-over", if_free=True)
    tablet = browser(app)
    sign_in(tablet, scene.teacher)
    token2 = token(tablet, "/today")
    assert send(tablet, token2, lesson, "take-over", if_free=True).get_json()["controller"] == "other"
    refused = send(tablet, token2, lesson, "step", step=1)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "taken-over")
    assert send(tablet, token2, lesson, "take-over").get_json()["controller"] == "mine"
    assert send(teacher, csrf, lesson, "step", step=1).status_code == 409
    assert send(teacher, csrf, lesson, "end").status_code == 409
    assert send(teacher, csrf, lesson, "register", person=str(scene.pupils[0].id), status="hand").status_code == 200
    assert send(tablet, token2, lesson, "step", step=1).status_code == 200


def test_anyone_at_a_console_may_stop_the_robots(app: Flask, scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    add_robots(scene)
    csrf = token(teacher, "/today")
    stop_id = str(uuid.uuid4())
    for _turn in range(2):
        assert send(teacher, csrf, lesson, "stop", id=stop_id).get_json()["stop"] == stop_id
    event = db.session.scalars(select(StopEvent)).one()
    assert event.stop_id == stop_id
    topics = list(db.session.scalars(select(OutboxMessage.topic).where(OutboxMessage.topic.like("%/stop"))))
    assert topics == ["zhike/room/lab1/stop"]
    assert teacher.get(f"/api/lessons/{lesson.id}/stop/{stop_id}").get_json()["reported"] is False
    with write():
        event.confirmed, event.unconfirmed = ["mbot-1"], [{"device": "mbot-2", "sticker": "02", "reason": "no answer"}]
        event.reported_at = event.created_at
    assert teacher.get(f"/api/lessons/{lesson.id}/stop/{stop_id}").get_json()["unconfirmed"][0]["sticker"] == "02"


def test_console_link_gives_rights_to_one_room(scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    link = teacher.get(f"/api/lessons/{lesson.id}/link").get_json()["link"]
    assert link["room"] == "lab1"
    assert link["username"].startswith("console-")
    service.end_lesson(scene.actor, lesson)
    without = service.open_lesson(scene.actor, scene.cohort.id, None, scene.package.id, "01-see")
    assert teacher.get(f"/api/lessons/{without.id}/link").get_json()["link"] is None


def test_identify_blinks_only_robots_of_the_room(scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    robot = add_robots(scene)[0]
    csrf = token(teacher, "/today")
    assert send(teacher, csrf, lesson, "identify", device=str(robot.id)).status_code == 200
    sent = db.session.scalars(select(OutboxMessage).where(OutboxMessage.topic == "homie/5/mbot-1/main/identify/set")).one()
    assert (sent.payload, sent.retain) == ("identify", False)
    with write():
        robot.room_id = None
    assert send(teacher, csrf, lesson, "identify", device=str(robot.id)).status_code == 422


def test_a_new_pin_is_shown_once_and_works(app: Flask, scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    answer = send(teacher, token(teacher, "/today"), lesson, "pin", person=str(scene.pupils[0].id)).get_json()
    assert re.fullmatch(r"\d{4}", answer["pin"])
    seat = seat_client(app, scene, scene.seats[0])
    if answer["pin"] != PIN:
        assert come_in(seat, scene.pupils[0].id, PIN).status_code == 422
    assert come_in(seat, scene.pupils[0].id, answer["pin"]).status_code == 200


def test_a_look_at_a_pupils_work_is_noted(scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    seen = teacher.get(f"/api/lessons/{lesson.id}/pupils/{scene.pupils[0].id}").get_json()
    assert (seen["name"], "还没有提交" in seen["html"]) == (scene.pupils[0].name, True)
    looked = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "view-work")).one()
    assert looked.object_id == str(scene.pupils[0].id)
    other = make_pupils(scene.school, make_class(scene.school, number=2), 1)[0]
    assert teacher.get(f"/api/lessons/{lesson.id}/pupils/{other.id}").status_code == 404


def test_the_projector_shows_no_names(app: Flask, scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    with write():
        for pupil, seat in zip(scene.pupils, scene.seats, strict=True):
            service.seat_pupil(account_of(pupil), seat, lesson)
    pages = [f"/projector/{lesson.id}", f"/projector/{lesson.id}/screen", f"/projector/{lesson.id}/screen?results=1"]
    for step in range(len(service.steps_of(lesson))):
        service.push_step(scene.actor, lesson, step)
        for page in pages:
            text = teacher.get(page).text
            assert not [pupil.name for pupil in scene.pupils if pupil.name in text]
    assert service.steps_of(lesson)[-1].title in teacher.get(pages[1]).text
    service.pause(scene.actor, lesson)
    assert "请看老师" in teacher.get(pages[1]).text
    service.end_lesson(scene.actor, lesson)
    assert "下课了" in teacher.get(pages[1]).text


def test_register_and_summary_follow_the_lesson_to_its_record(scene: Scene, teacher: FlaskClient, fixed_clock: FixedClock) -> None:
    courses.install_folder(None, scene.school.id, PACKAGE.parent / "demo-catalogue")
    unit = courses.units(scene.school.id)[0]
    lesson = scene.open()
    fixed_clock.at += timedelta(minutes=40)
    service.end_lesson(scene.actor, lesson)
    assert 'id="register-lines"' in teacher.get(f"/register/{lesson.id}").text
    summary = teacher.get(f"/lessons/{lesson.id}").text
    assert "下课 10 分钟后写入" in summary
    form = {"unit": f"{unit.course}:{unit.code}", "csrf_token": token(teacher, "/today")}
    assert teacher.post(f"/lessons/{lesson.id}/units", data=form).status_code == 302
    fixed_clock.at += timedelta(minutes=10)
    service.close_due(fixed_clock.at)
    record = db.session.scalars(select(UsageRecord)).one()
    assert record.units == [form["unit"]]
    assert f"/usage/records/{record.id}" in teacher.get(f"/lessons/{lesson.id}").text
    closed = teacher.get(f"/register/{lesson.id}").text
    assert 'id="register-lines"' not in closed
    assert all(pupil.name in closed for pupil in scene.pupils)
    assert teacher.get(f"/console/{lesson.id}").headers["Location"] == f"/lessons/{lesson.id}"
    assert send(teacher, token(teacher, "/today"), lesson, "units", units=[]).status_code == 409


def test_reopening_from_the_page(scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    service.end_lesson(scene.actor, lesson)
    answer = teacher.post(f"/lessons/{lesson.id}/reopen", data={"csrf_token": token(teacher, "/today")})
    assert answer.headers["Location"] == f"/console/{lesson.id}"
    assert service.push_step(scene.actor, lesson, 1).step == 1


def test_the_record_is_written_at_once_on_the_teachers_word(scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    csrf = token(teacher, "/today")
    assert send(teacher, csrf, lesson, "close").status_code == 409  # it is still running
    service.end_lesson(scene.actor, lesson)
    for _ in range(2):  # pressed twice: one record
        assert send(teacher, csrf, lesson, "close").get_json()["lesson"]["state"] == "closed"
    assert db.session.scalars(select(UsageRecord)).one().lesson_id == lesson.id
    assert send(teacher, csrf, lesson, "reopen").status_code == 409


def test_the_admin_sees_the_schools_day(app: Flask, scene: Scene, fixed_clock: FixedClock) -> None:
    slot = scene.day_slot(scene.slot(3))
    fixed_clock.at = slot.starts
    client = browser(app)
    sign_in(client, make_admin(scene.school))
    page = client.get("/today").text
    assert "五年级1班" in page
    assert scene.teacher.name in page


def test_english_pages_render(scene: Scene, teacher: FlaskClient) -> None:
    lesson = scene.open()
    teacher.set_cookie("zhike_locale", "en")
    for path in ("/today", f"/console/{lesson.id}", f"/projector/{lesson.id}", f"/register/{lesson.id}", f"/lessons/{lesson.id}"):
        assert teacher.get(path).status_code == 200


def test_the_cookie_remembers_only_the_last_lessons(scene: Scene, teacher: FlaskClient) -> None:
    csrf = token(teacher, "/today")
    for _turn in range(7):
        lesson = service.open_lesson(scene.actor, scene.cohort.id, None, None, "", title="开放课")
        assert send(teacher, csrf, lesson, "take-over").get_json()["controller"] == "mine"
        service.end_lesson(scene.actor, lesson)
    with teacher.session_transaction() as session:
        assert len([key for key in session if key.startswith("steer:")]) == 5
