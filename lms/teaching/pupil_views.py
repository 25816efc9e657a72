"""Pages of the pupil in a lesson, and what the page asks of the server (学生课堂页)."""

from __future__ import annotations

import json
import uuid
from functools import lru_cache
from typing import Any, NoReturn

from flask import Response, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import lazy_gettext as _l
from flask_login import current_user, logout_user
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from lms.activities import fields
from lms.activities import service as activities
from lms.activities.kinds import KINDS
from lms.activities.models import Attempt
from lms.activities.texts import browser_texts
from lms.core import clock
from lms.core.auth import current_account, require
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.courses import service as courses
from lms.courses.rules import Activity
from lms.labs import service as labs
from lms.roster.models import Room, Seat
from lms.teaching import groups, register
from lms.teaching.access import found_lesson
from lms.teaching.blueprint import bp
from lms.teaching.desk import Desk, desk_of, kits_of, mates_of, state_of, working_desk

MAX_BODY = 300_000


@bp.get("/lesson")
@require("student")
def lesson() -> BaseResponse | str:
    """The lesson that the pupil sits in, at the teacher's step; a thank-you once it has ended."""
    desk = desk_of(current_account())
    if desk is None:
        return render_template("teaching/pupil_waiting.html")
    if not desk.live:
        return render_template("teaching/pupil_thanks.html", desk=desk, data=_boot(desk))
    return render_template("teaching/pupil_lesson.html", desk=desk, data=_boot(desk), texts=_texts(str(get_locale())), **_step(desk))


@bp.get("/lesson/thanks")
def thanks() -> str:
    """After the lesson: nobody is signed in any more."""
    if current_user.is_authenticated and current_account().kind == "student":
        logout_user()
    return render_template("teaching/pupil_thanks.html", desk=None, data=None)


@lru_cache(maxsize=8)
def _texts(locale: str) -> Markup:
    return _script_json(browser_texts())


def _script_json(value: Any) -> Markup:
    """JSON that may stand inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _boot(desk: Desk) -> dict[str, Any]:
    """Who and where, for the page's scripts: ids and labels, no name."""
    return {**state_of(desk), "person": str(desk.person_id), "terminal": desk.terminal, "seat": desk.seat_label, "room": desk.room_code}


def _step(desk: Desk) -> dict[str, Any]:
    """Variables of the step's template."""
    steps = courses.steps_of(courses.lesson_of(desk.package_id, desk.lesson_slug), desk.configuration) if desk.package_id else ()
    step = steps[min(desk.step, len(steps) - 1)] if steps else None
    page = work = None
    data: dict[str, Any] = {"step": desk.step, "step_version": desk.steps_pushed, "activity": None}
    if step is not None and step.activity_id and desk.package_id:
        page = activities.activity_page(desk.package_id, desk.lesson_slug, step.activity_id)
        last = activities.last_work(desk.context, step.activity_id)
        work = activities.shown_answer(last) if last is not None else None
        data["activity"] = page
        data["draft"] = activities.draft_of(desk.context, step.activity_id)
        data["work"] = {**_reply(last), "answer": last.answer} if last is not None else None
        if page["kind"] in ("robot", "camera"):
            data["kits"] = [kit.__dict__ for kit in kits_of(desk)]
            data["mates"] = mates_of(desk)
    return {"steps": steps, "step": step, "page": page, "work": work, "step_data": _script_json(data), "attempt_id": new_id()}


@bp.get("/api/lesson/step")
@require("student")
def lesson_step() -> Response:
    """The step to show now as a fragment, for a page that is already open."""
    desk = working_desk(current_account())
    found = _step(desk) if desk.live else None
    html = render_template("teaching/pupil_step.html", desk=desk, **found) if found else ""
    return _json({"state": state_of(desk), "html": html, "token": generate_csrf()})


@bp.get("/api/lesson/state")
@require("student")
def lesson_now() -> Response:
    """What the lesson topic says, for pages without MQTT; asked every three seconds."""
    desk = desk_of(current_account())
    if desk is None:
        return _json({"lesson": None, "state": "ended", "step": 0, "step_version": 0, "rev": 0})
    return _json(state_of(desk))


@bp.get("/api/lesson/token")
@require("student")
def lesson_token() -> Response:
    """A fresh CSRF token for a page whose own one has lapsed."""
    return _json({"token": generate_csrf()})


@bp.post("/api/lesson/help")
@require("student")
def lesson_help() -> Response:
    """Raise or lower the hand (举手): ``{"on": true}``."""
    wanted = _body({"on"}).get("on")
    if not isinstance(wanted, bool):
        raise Invalid("help", _l("这里应该是“是”或“否”。"), where="on")
    if register.ask_help(current_account(), wanted) is None:
        _no_lesson()
    return _json({"help": wanted})


@bp.post("/lesson/help")
@require("student")
def lesson_help_form() -> BaseResponse:
    """Raise or lower the hand without JavaScript."""
    register.ask_help(current_account(), request.form.get("on") == "1")
    return redirect(url_for("teaching.lesson"))


@bp.post("/api/lesson/heartbeat")
@require("student")
def lesson_heartbeat() -> Response:
    """A sign of life where MQTT is blocked: ``{"step", "visible", "secure"}``; answers like the lesson's state."""
    body = _body({"step", "visible", "secure"})
    account = current_account()
    desk = desk_of(account)
    if desk is None:
        _no_lesson()
    step = body.get("step")
    if desk.live and desk.seat_id is not None:
        labs.note_heartbeat(
            desk.school_id,
            desk.seat_id,
            account.id,
            desk.lesson_id,
            step if isinstance(step, int) and 0 <= step < 1000 else desk.step,
            body.get("visible") is not False,
            body.get("secure") is True and request.is_secure,
            clock.now(),
        )
    return _json(state_of(desk))


@bp.get("/api/lesson/connection")
@require("student")
def lesson_connection() -> Response:
    """Short-lived broker access of this terminal, the devices that it may read, and who is in its group.

    ``{"username", "password", "client_id", "ws_path", "ws_port", "wss_port", "ready", "terminal", "room", "robots", "cameras", "mates",
    "agent"}``; ``agent``: this PC's agent, not the page, speaks for the terminal's ``$state`` and ``$description``
    """
    desk = working_desk(current_account())
    seat = db.session.get(Seat, desk.seat_id) if desk.seat_id else None
    room = db.session.get(Room, desk.room_id) if desk.room_id else None
    if seat is None or room is None or not desk.live:
        raise Refused("no-terminal", _l("这个座位没有终端连接。"), remedy=_l("页面会改用定时查询，照常上课。"))
    labs.note_address(desk.school_id, seat.id, desk.lesson_id, request.remote_addr or "", request.is_secure)
    kits = [kit.__dict__ for kit in kits_of(desk)]
    robots = [kit for kit in kits if kit["kind"] == "robot"]
    credential = labs.terminal_credential(seat, room, desk.lesson_id, [kit["id"] for kit in robots])
    return _json(
        {
            "username": credential.username,
            "password": credential.password,
            "client_id": credential.client_id,
            "ws_path": credential.ws_path,
            "ws_port": credential.ws_port,
            "wss_port": credential.wss_port,
            "ready": credential.ready,
            "terminal": seat.terminal,
            "room": room.code,
            "robots": robots,
            "cameras": [kit for kit in kits if kit["kind"] == "camera"],
            "mates": mates_of(desk),
            "agent": labs.has_agent(seat),
        }
    )


@bp.post("/api/lesson/wheel")
@require("student")
def lesson_wheel() -> Response:
    """Hand the wheel to a member of the group: ``{"person": id}``; only who drives now, or anyone while nobody at a terminal does."""
    account = current_account()
    target = _uuid(_body({"person"}).get("person"), "person")
    desk = working_desk(account)
    if not desk.live or desk.group_no is None:
        raise Refused("no-group", _l("你还没有分到小组。"), remedy=_l("请等老师分组。"))
    with write():
        running = found_lesson(desk.lesson_id, lock=True)
        group = groups.group_of(running, desk.group_no)
        here = {mate["person"] for mate in mates_of(desk)}
        if group.driver_id not in (None, desk.person_id) and str(group.driver_id) in here:
            raise Refused("not-driver", _l("现在由别的同学驾驶。"), remedy=_l("请他点“交方向盘”，或请老师换人。"))
        if str(target) not in here:
            raise Refused("not-in-group", _l("只能交给同组、坐在终端前的同学。"))
        groups.hand_wheel(account, running, desk.group_no, target)
    return _json({"driver": str(target)})


@bp.post("/api/lesson/stop")
@require("student")
def lesson_stop() -> Response:
    """Stop the group's robot where the page cannot reach the broker: ``{"id": uuid}``; anyone of the group, whoever drives."""
    stop_id = _uuid(_body({"id"}).get("id"), "id")
    account = current_account()
    desk = working_desk(account)
    names = [kit.id for kit in kits_of(desk) if kit.kind == "robot"]
    room = db.session.get(Room, desk.room_id) if desk.room_id else None
    if room is None or not names:
        raise Refused("no-robot", _l("你的小组没有小车。"), remedy=_l("要停别的小车，请马上叫老师。"))
    held = [device for device in labs.devices_in(room.id) if device.homie_id in names]
    return _json({"stop": labs.stop_room(account, room, desk.lesson_id, str(stop_id), held).stop_id})


@bp.get("/api/lesson/stop/<uuid:stop_id>")
@require("student")
def lesson_stop_report(stop_id: uuid.UUID) -> Response:
    """What a stop reached, of the group's robot only."""
    names = {kit.id for kit in kits_of(working_desk(current_account())) if kit.kind == "robot"}
    found = labs.stop_report(str(stop_id))
    confirmed = [name for name in found["confirmed"] if name in names]
    return _json({**found, "confirmed": confirmed, "unconfirmed": [one for one in found["unconfirmed"] if one.get("device") in names]})


@bp.get("/api/lesson/work/<activity_id>")
@require("student")
def lesson_work(activity_id: str) -> Response:
    """The pupil's newest answer with its explanations, as a fragment."""
    last = activities.last_work(working_desk(current_account()).context, activity_id)
    if last is None:
        raise NotFound("work", _l("还没有交过。"))
    return _json({"html": render_template("activities/reply.html", work=activities.shown_answer(last))})


@bp.get("/api/lesson/observe")
@require("student")
def lesson_observe() -> Response:
    """Count of a recorded situation of a camera experiment, once the pupil's prediction stands: ``?activity=…&recorded=…``."""
    desk = working_desk(current_account())
    activity = _activity(desk, request.args.get("activity", ""))
    kind = KINDS[activity.kind]
    if not hasattr(kind, "observed"):
        raise NotFound("observe", _l("这个活动没有课前记录。"))
    return _json({"observed": kind.observed(activity, request.args.get("recorded", ""))})


@bp.post("/api/attempts")
@require("student")
def attempts() -> Response:
    """Save an answer: ``{"id": uuid, "activity", "answer", "lesson"?}``; the same id again is the same answer.

    The answer is on disk before this replies ``{"saved": true, "id", "score", "max_score", "correct", "feedback", "done", "shown"}``.
    """
    body = _body({"id", "activity", "answer", "lesson"})
    account = current_account()
    desk = working_desk(account, _uuid(body["lesson"], "lesson") if body.get("lesson") else None)
    return _json({"saved": True, **_reply(_save(desk, activities.attempt_id_of(body.get("id")), body.get("activity"), body.get("answer")))})


def _save(desk: Desk, attempt_id: uuid.UUID, activity_id: Any, answer: Any) -> Attempt:
    activity = _activity(desk, activity_id)
    attempt = activities.save_attempt(desk.context, attempt_id, activity, answer, late=not desk.live)
    if activity.id not in desk.done and attempt.done:
        register.note_done(desk.lesson_id, desk.person_id, activity.id)
    return attempt


def _activity(desk: Desk, activity_id: Any) -> Activity:
    if desk.package_id is None or not isinstance(activity_id, str):
        raise NotFound("activity", _l("这节课里没有这个活动。"), where="activity")
    return activities.activity_of(courses.lesson_of(desk.package_id, desk.lesson_slug), activity_id)


def _reply(attempt: Attempt) -> dict[str, Any]:
    """What the pupil's page is told of a saved answer; now the explanations may follow."""
    grading = attempt.grading
    return {
        "id": str(attempt.id),
        "score": attempt.score,
        "max_score": attempt.max_score,
        "correct": grading["correct"],
        "feedback": grading["feedback"],
        "done": attempt.done,
        "shown": activities.shown_answer(attempt)["shown"],
    }


@bp.post("/lesson/answer")
@require("student")
def lesson_answer() -> BaseResponse:
    """An answer by plain form, for pages without JavaScript; leads back to the lesson."""
    desk = working_desk(current_account())
    activity = _activity(desk, request.form.get("activity"))
    answer = KINDS[activity.kind].read_form(activity, request.form.to_dict(flat=False))
    _save(desk, activities.attempt_id_of(request.form.get("id")), activity.id, answer)
    return redirect(url_for("teaching.lesson"))


@bp.put("/api/drafts/<activity_id>")
@require("student")
def draft(activity_id: str) -> Response:
    """Keep unsent work: ``{"content": {…}, "version": int, "lesson"?}`` → ``{"version"}``; 409 carries the newer one."""
    body = _body({"content", "version", "lesson"})
    version = body.get("version", 0)
    if not isinstance(version, int) or isinstance(version, bool):
        raise Invalid("version", _l("这里应该填整数。"), where="version")
    desk = working_desk(current_account(), _uuid(body["lesson"], "lesson") if body.get("lesson") else None)
    kept = activities.save_draft(desk.context, _activity(desk, activity_id).id, fields.record(body.get("content"), "content"), version)
    return _json({"version": kept.version})


def _json(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str), mimetype="application/json")


def _body(known: set[str]) -> dict[str, Any]:
    """The request's JSON object with no unknown keys; NaN, Infinity and broken JSON are refused."""
    raw = request.get_data(cache=False)
    if len(raw) > MAX_BODY:
        raise Invalid("too-big", _l("内容太长了。"), remedy=_l("请写短一些再提交。"), where="body")
    try:
        found = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Invalid("json", _l("收到的内容读不懂。"), remedy=_l("请刷新页面后再提交。"), where="body") from None
    if not isinstance(found, dict):
        raise Invalid("json", _l("收到的内容读不懂。"), where="body")
    for key in found:
        if key not in known:
            raise Invalid("unknown-field", _l("有不认识的内容。"), where=key[:60])
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _uuid(value: Any, where: str) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise Invalid("id", _l("编号不对。"), where=where) from None


def _no_lesson() -> NoReturn:
    raise Refused("no-lesson", _l("现在没有正在上的课。"), remedy=_l("请告诉老师。"))
