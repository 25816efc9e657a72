"""The pupils' door (学生入座): an enrolled seat shows the names of the class now starting, and no others."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, logout_user
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import begin, current_account
from lms.core.db import db
from lms.core.errors import Invalid, NotFound, ZhikeError
from lms.core.web import ok, wants_json
from lms.roster import service as roster
from lms.roster.models import Room, SchoolClass, Seat
from lms.roster.rules import PICTURE_NAMES
from lms.teaching import door
from lms.teaching.access import school_of, today_of
from lms.teaching.blueprint import bp
from lms.teaching.models import LessonSession
from lms.teaching.register import seated


def _seat() -> Seat:
    seat = roster.seat_of_request()
    if seat is None:
        raise NotFound("not-enrolled", _l("这台电脑还没有登记座位。"), remedy=_l("请老师输入座位登记码。"))
    return seat


def _class_name(doorway: door.Doorway) -> str:
    if doorway.class_id is None:
        return ""
    cohort = db.session.get_one(SchoolClass, doorway.class_id)
    school = school_of(cohort.school_id)
    return roster.class_name(cohort, school, today_of(school))


@bp.get("/seat")
def seat() -> BaseResponse | str:
    """The door: names of the class now starting, a waiting page, or the enrolment of this computer."""
    here = roster.seat_of_request()
    if here is None:
        if wants_json():
            return ok(state="not-enrolled", version="not-enrolled", csrf_token=generate_csrf())
        return render_template("teaching/enrol.html", error=None, code=request.args.get("code", "")[:12])
    place = _place_of_pupil(here)
    if place is not None:
        return ok(state="seated", next=place, csrf_token=generate_csrf()) if wants_json() else redirect(place)
    doorway = door.doorway(here.school_id, here.room_id)
    if wants_json():
        return ok(**_facts(here, doorway), csrf_token=generate_csrf())
    chosen = request.args.get("who", "")
    return _page(here, doorway, chosen)


def _place_of_pupil(here: Seat) -> str | None:
    """Where a pupil who already sits here belongs."""
    if not current_user.is_authenticated or current_account().kind != "student":
        return None
    place = seated(current_account())
    return url_for("teaching.lesson") if place is not None and place.entry.seat_id == here.id else None


def _facts(here: Seat, doorway: door.Doorway) -> dict[str, Any]:
    return {
        "state": doorway.state,
        "version": doorway.version,
        "seat": here.label,
        "terminal": here.terminal,
        "lesson": str(doorway.lesson.id) if doorway.lesson is not None else None,
        "class": _class_name(doorway),
        "names": [
            {"person": str(name.person_id), "roll": name.roll_no, "name": name.name, "here": name.here, "pictures": name.pictures}
            for name in door.names(doorway)
        ],
    }


def _page(here: Seat, doorway: door.Doorway, chosen: str, error: ZhikeError | None = None) -> str:
    names = door.names(doorway)
    waiting = _waiting_pupil(doorway, names)
    return render_template(
        "teaching/seat.html",
        seat=here,
        room=db.session.get(Room, here.room_id),
        door=doorway,
        names=names,
        class_name=_class_name(doorway),
        chosen=next((name for name in names if str(name.person_id) == chosen), None),
        waiting=waiting,
        error=error,
        pictures=PICTURE_NAMES,
        pin_length=door.PIN_LENGTH,
        pictures_length=door.PICTURES_LENGTH,
        staff=current_user.is_authenticated and current_account().kind == "staff",
        texts={
            "offline": _("连不上服务器，正在重试…"),
            "wrong": _("密码不对，再试一次。"),
            "wait": _("请稍等…"),
        },
    )


def _waiting_pupil(doorway: door.Doorway, names: list[door.Name]) -> str:
    """Name of the signed-in pupil of this class who came before the teacher opened the lesson."""
    if not current_user.is_authenticated or current_account().kind != "student" or doorway.class_id is None:
        return ""
    person = roster.person_of(current_account().id)
    return next((name.name for name in names if person is not None and name.person_id == person.id), "")


@bp.get("/seat/state")
def seat_state() -> Response:
    """What the waiting page polls: a version that changes when the page must."""
    here = roster.seat_of_request()
    if here is None:
        return ok(version="not-enrolled")
    return ok(version=door.doorway(here.school_id, here.room_id).version)


@bp.post("/seat/enrol")
def enrol() -> BaseResponse | str | tuple[str, int]:
    """Make this computer a seat's terminal by the teacher's code."""
    code = str((request.get_json(silent=True) or {}).get("code", "")) if request.is_json else request.form.get("code", "")
    try:
        made, secret = roster.enrol_seat(code)
    except ZhikeError as error:
        if wants_json():
            raise
        return render_template("teaching/enrol.html", error=error, code=""), error.status
    response = make_response(ok(seat=made.label, terminal=made.terminal) if wants_json() else redirect(url_for("teaching.seat")))
    response.set_cookie(
        roster.SEAT_COOKIE, roster.seat_cookie(made, secret), max_age=400 * 86400, httponly=True, samesite="Lax", secure=request.is_secure
    )
    return response


@bp.post("/seat/sign-in")
def seat_sign_in() -> BaseResponse | str | tuple[str, int]:
    """A pupil comes in: ``person`` and ``pin`` (digits, or pictures as ``a-b-c``)."""
    here = _seat()
    given = request.get_json(silent=True) if request.is_json else request.form
    person_text, pin = str((given or {}).get("person", "")), str((given or {}).get("pin", ""))
    try:
        person_id = uuid.UUID(person_text)
    except ValueError:
        raise Invalid("person", _l("请先点自己的名字。"), where="person") from None
    try:
        account, doorway = door.come_in(here, person_id, pin[:40])
    except ZhikeError as error:
        if wants_json() or error.status == 404:
            raise
        return _page(here, door.doorway(here.school_id, here.room_id), person_text, error), error.status
    begin(account)
    target = url_for("teaching.lesson" if doorway.state == "lesson" else "teaching.seat")
    if wants_json():
        return ok(state=doorway.state, next=target, lesson=str(doorway.lesson_id) if doorway.lesson_id is not None else None, csrf_token=generate_csrf())
    return redirect(target)


@bp.post("/seat/enter")
def enter() -> BaseResponse:
    """A pupil who signed in before the bell enters the lesson that has now started; no second PIN."""
    here = _seat()
    doorway = door.doorway(here.school_id, here.room_id)
    entered = doorway.lesson is not None and current_user.is_authenticated and _enter(here, doorway.lesson)
    target = url_for("teaching.lesson" if entered else "teaching.seat")
    return ok(state="seated" if entered else doorway.state, next=target) if wants_json() else redirect(target)


def _enter(here: Seat, lesson: LessonSession) -> bool:
    account = current_account()
    if account.kind != "student":
        return False
    try:
        door.take_seat(account, here, lesson)
    except NotFound:  # a pupil of another class stayed signed in at this computer
        logout_user()
        return False
    begin(account)
    return True


@bp.post("/seat/leave")
def leave_seat() -> BaseResponse:
    """Sign the pupil out at this computer (换人); the register keeps its word."""
    logout_user()
    return ok(next=url_for("teaching.seat")) if wants_json() else redirect(url_for("teaching.seat"))
