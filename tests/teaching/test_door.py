"""The pupils' door: whose names a seat shows, how a pupil comes in, what a wrong PIN does."""

from __future__ import annotations

from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select

from lms.core.clock import FixedClock
from lms.core.db import db, write
from lms.core.models import Account, AuditEntry, Lockout
from lms.roster import service as roster
from lms.teaching import service
from lms.teaching.models import RegisterEntry
from tests.factories import PIN, make_class, make_pupils, make_room, make_school, make_teacher, sign_in, token
from tests.teaching.scene import Scene, account_of, browser, come_in, door, make_scene, seat_client, send


@pytest.fixture
def scene(app: Flask, fixed_clock: FixedClock) -> Scene:
    """A school on Tuesday 24 November 2026, 10:05."""
    return make_scene()


@pytest.fixture
def seat(app: Flask, scene: Scene) -> FlaskClient:
    """A browser enrolled at seat 01."""
    return seat_client(app, scene, scene.seats[0])


def names(client: FlaskClient) -> list[str]:
    return [name["name"] for name in door(client)["names"]]


def test_a_computer_that_is_not_enrolled_asks_for_the_code(app: Flask, scene: Scene) -> None:
    client = browser(app)
    scene.open()
    page = client.get("/seat").text
    assert "登记码" in page
    assert scene.pupils[0].name not in page
    assert door(client)["state"] == "not-enrolled"
    wrong = client.post("/seat/enrol", data={"code": "000000", "csrf_token": token(client, "/seat")})
    assert wrong.status_code == 422
    assert "登记码不对" in wrong.text
    refused = come_in(client, scene.pupils[0].id)
    assert (refused.status_code, refused.get_json()["code"]) == (404, "not-enrolled")


def test_names_only_for_the_class_now_starting(app: Flask, scene: Scene, seat: FlaskClient, fixed_clock: FixedClock) -> None:
    slot = scene.day_slot(scene.slot(4))
    fixed_clock.at = slot.starts - timedelta(minutes=11)
    assert (door(seat)["state"], names(seat)) == ("empty", [])
    assert "等待上课" in seat.get("/seat").text
    fixed_clock.at = slot.starts - timedelta(minutes=10)
    assert door(seat)["state"] == "starting"
    assert names(seat) == [pupil.name for pupil in scene.pupils]
    fixed_clock.at = slot.ends
    assert names(seat) == []


def test_names_never_show_in_another_room_or_school(app: Flask, scene: Scene) -> None:
    lab2, seats2 = make_room(scene.school, "lab2")
    elsewhere = seat_client(app, scene, seats2[0])
    scene.open()
    assert names(elsewhere) == []
    other = make_school("另一所学校")
    _room, foreign_seats = make_room(other, "lab1")
    foreign = Scene(other, scene.cohort, [], make_teacher(other), lab2, foreign_seats, scene.package)
    assert names(seat_client(app, foreign, foreign_seats[0])) == []
    refused = come_in(elsewhere, scene.pupils[0].id)
    assert (refused.status_code, refused.get_json()["code"]) == (404, "not-here")


def test_only_the_running_class_is_shown_while_another_is_due(app: Flask, scene: Scene, seat: FlaskClient, fixed_clock: FixedClock) -> None:
    second = make_class(scene.school, number=2)
    others = make_pupils(scene.school, second, 2)
    with write():
        for person in others:
            person.name = f"二班{person.name}"
    slot = scene.day_slot(scene.slot(4, cohort=second))
    fixed_clock.at = slot.starts - timedelta(minutes=5)
    lesson = scene.open()
    assert names(seat) == [pupil.name for pupil in scene.pupils]
    assert come_in(seat, others[0].id).status_code == 404
    service.end_lesson(scene.actor, lesson)
    assert names(seat) == [person.name for person in others]


def test_names_leave_the_door_when_the_lesson_ends(scene: Scene, seat: FlaskClient, fixed_clock: FixedClock) -> None:
    slot = scene.day_slot(scene.slot(4))
    fixed_clock.at = slot.starts + timedelta(minutes=1)
    lesson = scene.open(slot=slot)
    assert len(names(seat)) == 6
    fixed_clock.at += timedelta(minutes=30)
    service.end_lesson(scene.actor, lesson)
    assert names(seat) == []
    assert seat.get("/seat/state").get_json()["version"].startswith("empty")


def test_two_taps_and_a_pin(scene: Scene, seat: FlaskClient) -> None:
    lesson = scene.open()
    pupil = scene.pupils[2]
    answer = come_in(seat, pupil.id)
    assert answer.status_code == 200
    assert answer.get_json()["next"] == "/lesson"
    entry = db.session.scalars(select(RegisterEntry).where(RegisterEntry.person_id == pupil.id)).one()
    assert (entry.status, entry.seat_id) == ("terminal", scene.seats[0].id)
    assert service.seated(account_of(pupil)) is not None
    assert seat.get("/seat").status_code == 302  # who sits here already goes to the lesson
    entered = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "sign-in", AuditEntry.object_kind == "seat")).one()
    assert entered.detail == {"lesson": str(lesson.id)}


def test_the_door_works_without_javascript(scene: Scene, seat: FlaskClient) -> None:
    scene.open()
    pupil = scene.pupils[0]
    page = seat.get(f"/seat?who={pupil.id}")
    assert pupil.name in page.text
    wrong = seat.post("/seat/sign-in", data={"person": pupil.id, "pin": "0000", "csrf_token": token(seat, "/seat")})
    assert wrong.status_code == 422
    assert "密码不对" in wrong.text
    right = seat.post("/seat/sign-in", data={"person": pupil.id, "pin": PIN, "csrf_token": token(seat, "/seat")})
    assert (right.status_code, right.headers["Location"]) == (302, "/lesson")


def test_a_form_without_the_token_is_refused(scene: Scene, seat: FlaskClient) -> None:
    scene.open()
    answer = seat.post("/seat/sign-in", json={"person": str(scene.pupils[0].id), "pin": PIN})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "csrf")


def test_five_wrong_pins_lock_account_and_seat_until_the_teacher_unlocks(app: Flask, scene: Scene, seat: FlaskClient) -> None:
    lesson = scene.open()
    pupil, friend = scene.pupils[:2]
    csrf = door(seat)["csrf_token"]
    codes = [come_in(seat, pupil.id, "0000", csrf).status_code for _turn in range(5)]
    assert codes == [422] * 5
    assert come_in(seat, pupil.id, PIN, csrf).status_code == 429
    assert come_in(seat, friend.id, PIN, csrf).status_code == 429  # this seat is locked for everyone
    elsewhere = seat_client(app, scene, scene.seats[1])
    assert come_in(elsewhere, pupil.id).status_code == 429  # this account everywhere
    assert come_in(elsewhere, friend.id).status_code == 200  # others at other seats are not
    state = service.console_state(lesson)
    assert (state["counts"]["locked"], state["locked_seats"]) == (1, [str(scene.seats[0].id)])
    teacher = browser(app)
    sign_in(teacher, scene.teacher)
    assert send(teacher, token(teacher, "/today"), lesson, "unlock", person=str(pupil.id)).status_code == 200
    assert come_in(seat, pupil.id, PIN, csrf).status_code == 200
    assert db.session.scalars(select(Lockout)).all() == []
    failures = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "sign-in-failed")).all()
    assert len(failures) == 5


def test_a_right_pin_clears_earlier_failures(scene: Scene, seat: FlaskClient) -> None:
    scene.open()
    csrf = door(seat)["csrf_token"]
    for _turn in range(4):
        come_in(seat, scene.pupils[0].id, "0000", csrf)
    assert come_in(seat, scene.pupils[0].id, PIN, csrf).status_code == 200
    assert db.session.scalars(select(Lockout)).all() == []


def test_coming_in_before_the_bell_then_into_the_lesson(scene: Scene, seat: FlaskClient, fixed_clock: FixedClock) -> None:
    slot = scene.day_slot(scene.slot(4))
    fixed_clock.at = slot.starts - timedelta(minutes=6)
    assert come_in(seat, scene.pupils[0].id).get_json()["next"] == "/seat"
    assert "等老师开始上课" in seat.get("/seat").text
    scene.open(slot=slot)
    assert 'id="enter"' in seat.get("/seat").text
    entered = seat.post("/seat/enter", data={"csrf_token": token(seat, "/seat")})
    assert entered.headers["Location"] == "/lesson"
    assert service.seated(account_of(scene.pupils[0])) is not None


def test_the_next_classes_pupil_does_not_inherit_the_browser(scene: Scene, seat: FlaskClient) -> None:
    lesson = scene.open()
    come_in(seat, scene.pupils[0].id)
    service.end_lesson(scene.actor, lesson)
    second = make_class(scene.school, number=2)
    others = make_pupils(scene.school, second, 2)
    service.open_lesson(account_of(make_teacher(scene.school, second)), second.id, scene.room.id, None, "")
    assert account_of(scene.pupils[0]).epoch == 1  # the record is written: every cookie of the lesson died
    entered = seat.post("/seat/enter", data={"csrf_token": token(seat, "/seat")})
    assert entered.headers["Location"] == "/seat"
    assert names(seat) == [person.name for person in others]


def test_a_pupil_who_moves_is_signed_out_at_the_old_seat(app: Flask, scene: Scene, seat: FlaskClient) -> None:
    scene.open()
    come_in(seat, scene.pupils[0].id)
    other = seat_client(app, scene, scene.seats[4])
    assert come_in(other, scene.pupils[0].id).status_code == 200
    assert other.get("/seat").status_code == 302
    assert seat.get("/seat").status_code == 200
    assert seat.get("/api/lesson/state").status_code == 401


def test_an_inactive_account_and_a_teacher_stay_outside(scene: Scene, seat: FlaskClient) -> None:
    scene.open()
    with write():
        account_of(scene.pupils[0]).active = False
    assert come_in(seat, scene.pupils[0].id).status_code == 404
    assert come_in(seat, scene.teacher.id).status_code == 404


def test_picture_pins_open_the_door(scene: Scene, seat: FlaskClient) -> None:
    with write():
        scene.cohort.pin_style = "pictures"
    row = roster.set_pin(scene.actor, scene.pupils[0])
    scene.open()
    assert [name["pictures"] for name in door(seat)["names"]] == [True, False, False, False, False, False]
    assert come_in(seat, scene.pupils[0].id, row).status_code == 200


def test_a_revoked_seat_is_no_door_any_more(scene: Scene, seat: FlaskClient) -> None:
    scene.open()
    roster.revoke_seat(scene.actor, scene.seats[0])
    assert door(seat)["state"] == "not-enrolled"


def test_the_seats_cookie_is_signed_and_out_of_reach_of_scripts(app: Flask, scene: Scene) -> None:
    code = roster.issue_enrol_code(scene.actor, scene.seats[0])
    client = browser(app)
    made = client.post("/seat/enrol", data={"code": code, "csrf_token": token(client, "/seat")})
    cookie = SimpleCookie(next(value for value in made.headers.getlist("Set-Cookie") if value.startswith("zhike_seat")))["zhike_seat"]
    assert cookie["httponly"]
    forged = browser(app)
    forged.set_cookie("zhike_seat", cookie.value[:-2] + ("AA" if not cookie.value.endswith("AA") else "BB"))
    assert door(forged)["state"] == "not-enrolled"


def test_signing_in_takes_few_queries(app: Flask, scene: Scene, seat: FlaskClient) -> None:
    scene.open()
    csrf = door(seat)["csrf_token"]
    seen: list[str] = []
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    answer = come_in(seat, scene.pupils[0].id, PIN, csrf)
    event.remove(db.engine, "before_cursor_execute", note)
    assert answer.status_code == 200
    assert len([one for one in seen if not one.startswith(("BEGIN", "PRAGMA"))]) <= 12, seen
    assert db.session.get(Account, scene.pupils[0].account_id) is not None
