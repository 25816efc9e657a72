"""What the console's scripts call (控制台接口): JSON in, JSON out; every call may be repeated."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, render_template, request, session
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.activities import service as activities
from lms.core.audit import audit
from lms.core.auth import current_account, require, unlock
from lms.core.db import db
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.web import ok
from lms.courses.service import MEDIA
from lms.labs import service as labs
from lms.labs.models import Device
from lms.roster import service as roster
from lms.roster.models import Person
from lms.teaching import board, groups, rules, service
from lms.teaching.access import steered, times_of
from lms.teaching.blueprint import bp
from lms.teaching.closing import events_of, gaps_of
from lms.teaching.models import LessonSession
from lms.teaching.publishing import room_of
from lms.teaching.register import entries_of, entry_of
from lms.usage import service as usage
from lms.usage.judging.lessons import JudgedLesson
from lms.usage.models import UsageRecord

STAFF = ("teacher", "school_admin")
BASE = "/api/lessons/<uuid:lesson_id>"
KEPT_TOKENS = 4


def _lesson(lesson_id: uuid.UUID) -> LessonSession:
    return steered(current_account(), lesson_id)


def _token(lesson: LessonSession) -> str:
    """This browser's controller token; a word that fits no lesson where it has none."""
    return str(session.get(f"steer:{lesson.id.hex}", "-"))


def take_wheel(lesson: LessonSession) -> None:
    """Steer the lesson from this browser; its cookie remembers the last few lessons only."""
    token = service.take_over(current_account(), lesson)
    old = [key for key in session if str(key).startswith("steer:") and key != f"steer:{lesson.id.hex}"]
    for key in sorted(old)[:-KEPT_TOKENS]:  # UUIDv7: by time
        session.pop(key)
    session[f"steer:{lesson.id.hex}"] = token


def controller_of(lesson: LessonSession) -> str:
    """Who steers, seen from this browser: ``mine`` | ``other`` | ``free``."""
    if not lesson.controller:
        return "free"
    return "mine" if _token(lesson) == lesson.controller else "other"


def _body() -> dict[str, Any]:
    data = request.get_json(silent=True)
    if not isinstance(data, dict):
        raise Invalid("json", _l("请求格式不对。"), remedy=_l("请刷新页面后再试。"))
    return data


def _id(data: dict[str, Any], key: str) -> uuid.UUID:
    try:
        return uuid.UUID(str(data[key]))
    except (KeyError, ValueError):
        raise Invalid("id", _l("请求格式不对。"), where=key) from None


def _number(data: dict[str, Any], key: str) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid("number", _l("请求格式不对。"), where=key)
    return value


def _state(lesson: LessonSession, **facts: Any) -> Response:
    return ok(**{**board.console_state(lesson), "controller": controller_of(lesson), **facts})


@bp.get(f"{BASE}/state")
@require(*STAFF)
def api_state(lesson_id: uuid.UUID) -> Response:
    """The console's state."""
    return _state(_lesson(lesson_id))


@bp.get(f"{BASE}/link")
@require(*STAFF)
def api_link(lesson_id: uuid.UUID) -> Response:
    """The console's broker credential; ``link`` null for a lesson without a room."""
    lesson = _lesson(lesson_id)
    room = room_of(lesson)
    if room is None:
        return ok(link=None)
    made = labs.console_credential(current_account(), room)
    fields = ("username", "password", "client_id", "ws_path", "ws_port", "wss_port", "room", "ready")
    return ok(link={field: getattr(made, field) for field in fields})


@bp.post(f"{BASE}/step")
@require(*STAFF)
def api_step(lesson_id: uuid.UUID) -> Response:
    """Push a step: {"step": index}."""
    lesson = _lesson(lesson_id)
    return _state(service.push_step(current_account(), lesson, _number(_body(), "step"), _token(lesson)))


@bp.post(f"{BASE}/pause")
@require(*STAFF)
def api_pause(lesson_id: uuid.UUID) -> Response:
    """Quiet all screens."""
    lesson = _lesson(lesson_id)
    return _state(service.pause(current_account(), lesson, _token(lesson)))


@bp.post(f"{BASE}/resume")
@require(*STAFF)
def api_resume(lesson_id: uuid.UUID) -> Response:
    """Give the screens back."""
    lesson = _lesson(lesson_id)
    return _state(service.resume(current_account(), lesson, _token(lesson)))


@bp.post(f"{BASE}/end")
@require(*STAFF)
def api_end(lesson_id: uuid.UUID) -> Response:
    """End the lesson."""
    lesson = _lesson(lesson_id)
    if lesson.state in rules.LIVE:
        service.check_controller(lesson, _token(lesson))
    return _state(service.end_lesson(current_account(), lesson))


@bp.post(f"{BASE}/close")
@require(*STAFF)
def api_close(lesson_id: uuid.UUID) -> Response:
    """Write the record of an ended lesson now, without waiting for the ten minutes."""
    lesson = _lesson(lesson_id)
    if lesson.state in rules.LIVE:
        raise Refused("lesson-running", _l("这节课还在上。"), remedy=_l("请先下课。"))
    service.close(lesson.id)
    return _state(_lesson(lesson_id))


@bp.post(f"{BASE}/reopen")
@require(*STAFF)
def api_reopen(lesson_id: uuid.UUID) -> Response:
    """Go on with an ended lesson."""
    return _state(service.reopen(current_account(), _lesson(lesson_id)))


@bp.post(f"{BASE}/take-over")
@require(*STAFF)
def api_take_over(lesson_id: uuid.UUID) -> Response:
    """Steer from this browser; {"if_free": true} only where nobody steers yet."""
    lesson = _lesson(lesson_id)
    if controller_of(lesson) == "other" and _body().get("if_free"):
        return _state(lesson)
    if controller_of(lesson) != "mine":
        take_wheel(lesson)
    return _state(_lesson(lesson_id))


@bp.post(f"{BASE}/register")
@require(*STAFF)
def api_register(lesson_id: uuid.UUID) -> Response:
    """Mark a pupil: {"person": id, "status": word}; or {"rest": word} for everyone still absent."""
    lesson, data = _lesson(lesson_id), _body()
    if "rest" in data:
        service.mark_rest(current_account(), lesson, str(data["rest"]))
    else:
        service.mark(current_account(), lesson, _id(data, "person"), str(data.get("status", "")))
    return _state(lesson)


@bp.post(f"{BASE}/hand")
@require(*STAFF)
def api_hand(lesson_id: uuid.UUID) -> Response:
    """The teacher has helped: {"person": id}."""
    lesson = _lesson(lesson_id)
    service.lower_hand(current_account(), lesson, _id(_body(), "person"))
    return _state(lesson)


@bp.post(f"{BASE}/groups")
@require(*STAFF)
def api_groups(lesson_id: uuid.UUID) -> Response:
    """Make groups: {"size": pupils}."""
    lesson = _lesson(lesson_id)
    service.make_groups(current_account(), lesson, _number(_body(), "size"))
    return _state(lesson)


@bp.post(f"{BASE}/robots")
@require(*STAFF)
def api_robots(lesson_id: uuid.UUID) -> Response:
    """Robots to groups: {"deal": true}, or {"group": n, "device": id | null}."""
    lesson, data = _lesson(lesson_id), _body()
    if data.get("deal"):
        return _state(lesson, dealt=groups.deal_robots(current_account(), lesson))
    device = _robot(lesson, _id(data, "device")) if data.get("device") else None
    service.assign_robot(current_account(), lesson, _number(data, "group"), device)
    return _state(lesson)


def _robot(lesson: LessonSession, device_id: uuid.UUID) -> Device:
    device = db.session.get(Device, device_id)
    if device is None or device.school_id != lesson.school_id:
        raise NotFound("device", _l("没有这台设备。"))
    return device


@bp.post(f"{BASE}/wheel")
@require(*STAFF)
def api_wheel(lesson_id: uuid.UUID) -> Response:
    """Pass the wheel: {"group": n, "person": id}."""
    lesson, data = _lesson(lesson_id), _body()
    service.pass_wheel(current_account(), lesson, _number(data, "group"), _id(data, "person"))
    return _state(lesson)


@bp.post(f"{BASE}/identify")
@require(*STAFF)
def api_identify(lesson_id: uuid.UUID) -> Response:
    """Let a robot blink: {"device": id}."""
    lesson = _lesson(lesson_id)
    device = _robot(lesson, _id(_body(), "device"))
    groups.identify(current_account(), lesson, device)
    return ok(device=device.homie_id)


@bp.post(f"{BASE}/stop")
@require(*STAFF)
def api_stop(lesson_id: uuid.UUID) -> Response:
    """Stop all robots: {"id": the id that the browser has already published}."""
    stop_id = str(_id(_body(), "id"))
    return ok(**service.stop_robots(current_account(), _lesson(lesson_id), stop_id))


@bp.get(f"{BASE}/stop/<uuid:stop_id>")
@require(*STAFF)
def api_stop_report(lesson_id: uuid.UUID, stop_id: uuid.UUID) -> Response:
    """What a stop reached, as the gateway reported it."""
    _lesson(lesson_id)
    return ok(**labs.stop_report(str(stop_id)))


def _person(lesson: LessonSession, person_id: uuid.UUID) -> Person:
    entry_of(lesson, person_id)
    return db.session.get_one(Person, person_id)


@bp.post(f"{BASE}/pin")
@require(*STAFF)
def api_pin(lesson_id: uuid.UUID) -> Response:
    """A new PIN for a pupil, shown once: {"person": id}."""
    lesson = _lesson(lesson_id)
    person = _person(lesson, _id(_body(), "person"))
    return ok(person=str(person.id), name=person.name, pin=roster.set_pin(current_account(), person))


@bp.post(f"{BASE}/unlock")
@require(*STAFF)
def api_unlock(lesson_id: uuid.UUID) -> Response:
    """Lift the lock of a pupil and of every seat of the room: {"person": id}; of the seats alone: {"seats": true}."""
    lesson, data = _lesson(lesson_id), _body()
    room = room_of(lesson)
    subjects = [f"seat:{seat.id}" for seat in roster.seats_of(room.id)] if room is not None else []
    if not data.get("seats"):
        subjects.insert(0, f"account:{_person(lesson, _id(data, 'person')).account_id}")
    if subjects:
        unlock(current_account(), *subjects)
    return _state(lesson)


@bp.get(f"{BASE}/pupils/<uuid:person_id>")
@require(*STAFF)
def api_pupil(lesson_id: uuid.UUID, person_id: uuid.UUID) -> Response:
    """A pupil's answers in this lesson as HTML; the look is noted in the journal."""
    lesson = _lesson(lesson_id)
    person = _person(lesson, person_id)
    mine = [one for one in activities.attempts(lesson.id, school_id=lesson.school_id) if one.person_id == person_id]
    newest = {attempt.activity: attempt for attempt in mine}
    audit(current_account(), "view-work", "person", person_id, lesson=str(lesson.id))
    shown = [activities.shown_answer(attempt) for attempt in newest.values()]
    media = {attempt.activity: MEDIA.format(hash=attempt.content_hash, lesson=attempt.activity.rpartition("/")[0]) for attempt in newest.values()}
    tries = {key: sum(1 for one in mine if one.activity == key) for key in newest}
    return ok(name=person.name, html=render_template("teaching/answers.html", shown=shown, tries=tries, media=media))


@bp.post(f"{BASE}/units")
@require(*STAFF)
def api_units(lesson_id: uuid.UUID) -> Response:
    """Name the units taught: {"units": ["course:code"]}."""
    wanted = _body().get("units")
    if not isinstance(wanted, list) or not all(isinstance(unit, str) for unit in wanted):
        raise Invalid("units", _l("请求格式不对。"), where="units")
    lesson = service.set_units(current_account(), _lesson(lesson_id), wanted)
    return ok(units=lesson.units)


@bp.post(f"{BASE}/note")
@require(*STAFF)
def api_note(lesson_id: uuid.UUID) -> Response:
    """Keep the teacher's note: {"note": text}."""
    lesson = service.set_note(current_account(), _lesson(lesson_id), str(_body().get("note", "")))
    return ok(note=lesson.note)


def record_of(lesson: LessonSession) -> UsageRecord | None:
    """The newest usage record of the lesson."""
    query = select(UsageRecord).where(
        UsageRecord.school_id == lesson.school_id,
        UsageRecord.lesson_id == lesson.id,
        UsageRecord.class_id == lesson.class_id,
    )
    return db.session.scalar(query.order_by(UsageRecord.id.desc()).limit(1))


def records_of(lesson: LessonSession) -> list[tuple[UsageRecord, JudgedLesson | None]]:
    """The newest record of every class in the lesson, each with whether it counts and why (None where no rule judges the class)."""
    query = select(UsageRecord).where(UsageRecord.school_id == lesson.school_id, UsageRecord.lesson_id == lesson.id)
    newest = {record.class_id: record for record in db.session.scalars(query.order_by(UsageRecord.event_seq))}
    return [(record, usage.judged(record)) for record in newest.values()]


def summary_of(lesson: LessonSession) -> dict[str, Any]:
    """Figures of a lesson for its summary page: minutes, register, work, devices, steps."""
    events = events_of(lesson)
    times = times_of(lesson)
    minutes = rules.minutes_taught(times, lesson.ended_at, gaps_of(events)) if lesson.ended_at is not None else None
    works = activities.artefacts(lesson.id, school_id=lesson.school_id)
    lines = labs.lesson_devices(lesson.id)
    devices = {device.id: device for device in db.session.scalars(select(Device).where(Device.id.in_([line.device_id for line in lines])))}
    return {
        "minutes": minutes,
        "class_hours": rules.class_hours(times, minutes) if minutes is not None else None,
        "register": rules.summary(entry.status for entry in entries_of(lesson)),
        "works": len(works),
        "workers": len({work.person_id for work in works}),
        "devices": [(devices[line.device_id], line) for line in lines],
        "events": events,
    }
