"""What the console's script asks of the room's PCs through Veyon (电脑：锁屏、看屏幕、开关机): JSON in, JSON out, nothing waits for a PC."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, request
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core.auth import current_account, require
from lms.core.db import db, write
from lms.core.errors import Invalid, Refused
from lms.core.web import ok
from lms.labs.veyon import service as pcs
from lms.labs.veyon.rules import ACTIONS, POWER
from lms.roster.models import Room
from lms.teaching import api, rules
from lms.teaching.access import steered
from lms.teaching.blueprint import bp
from lms.teaching.models import LessonSession
from lms.teaching.publishing import publish, room_of

BASE = f"{api.BASE}/pcs"


def _place(lesson_id: uuid.UUID) -> tuple[LessonSession, Room]:
    lesson = steered(current_account(), lesson_id)
    room = room_of(lesson)
    if room is None:
        raise Refused("no-room", _l("这节课没有教室，没有可管理的电脑。"))
    return lesson, room


def _steers(lesson: LessonSession) -> None:
    if api.controller_of(lesson) == "other":
        raise Refused("taken-over", _l("这节课正由另一台设备控制。"), remedy=_l("请先点“由本机控制”。"))


def _needs_live(lesson: LessonSession) -> None:
    if lesson.state not in rules.LIVE:
        raise Refused("lesson-state", _l("已经下课，不能再锁屏或看屏幕。"))


def _taken(lesson: LessonSession) -> bool:
    """Whether another lesson runs in the room by now: its PCs are not to be touched from here."""
    query = select(LessonSession.id).where(
        LessonSession.school_id == lesson.school_id, LessonSession.room_id == lesson.room_id, LessonSession.state.in_(rules.LIVE), LessonSession.id != lesson.id
    )
    return db.session.scalar(query.limit(1)) is not None


def _body() -> dict[str, Any]:
    found = request.get_json(silent=True)
    if not isinstance(found, dict):
        raise Invalid("json", _l("请求格式不对。"), remedy=_l("请刷新页面后再试。"))
    return found


@bp.get(BASE)
@require("teacher", "school_admin")
def api_pcs(lesson_id: uuid.UUID) -> Response:
    """Seats, what was ordered in this lesson and what came of it."""
    lesson, room = _place(lesson_id)
    return ok(**pcs.room_state(room, lesson.id))


@bp.post(BASE)
@require("teacher", "school_admin")
def api_pc_order(lesson_id: uuid.UUID) -> Response:
    """Order: {"action": lock | unlock | restart | shut-down | wake, "seats": [ids]}; no seats = all. PCs may still be switched off after the lesson."""
    lesson, room = _place(lesson_id)
    _steers(lesson)
    body = _body()
    action, seats = body.get("action"), body.get("seats", [])
    if action not in ACTIONS or not isinstance(seats, list) or not all(isinstance(seat, str) for seat in seats):
        raise Invalid("action", _l("请求格式不对。"), where="action")
    if action not in (*POWER, "wake", "unlock"):
        _needs_live(lesson)
    if _taken(lesson):
        raise Refused("room-taken", _l("教室里正在上另一节课。"), remedy=_l("请在那节课的控制台操作。"))
    made = pcs.order(current_account(), room, str(action), seats, lesson.id)
    return ok(order=str(made.id), **pcs.room_state(room, lesson.id))


@bp.post(f"{BASE}/undo")
@require("teacher", "school_admin")
def api_pc_undo(lesson_id: uuid.UUID) -> Response:
    """Take back an order that still waits: {"order": id}."""
    lesson, room = _place(lesson_id)
    try:
        order_id = uuid.UUID(str(_body().get("order")))
    except ValueError:
        raise Invalid("id", _l("请求格式不对。"), where="order") from None
    pcs.take_back(current_account(), room, order_id)
    return ok(**pcs.room_state(room, lesson.id))


@bp.post(f"{BASE}/watch")
@require("teacher", "school_admin")
def api_pc_watch(lesson_id: uuid.UUID) -> Response:
    """Begin, renew or end a look at the screens: {"on": bool}. The terminals show that somebody looks; the look ends by itself after 30 s."""
    lesson, room = _place(lesson_id)
    on = _body().get("on") is True
    if on:
        _needs_live(lesson)
    with write():
        until = pcs.watch(current_account(), room, lesson.id, on)
        publish(lesson)
    return ok(until=until.isoformat(timespec="milliseconds") if until else None, **pcs.room_state(room, lesson.id))
