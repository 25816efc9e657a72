"""Pages of the room's PCs (学生电脑): staff bind them to seats; an agent says who it is; a PC's own page shows its code or opens its seat."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock
from lms.core.auth import current_account, current_school_id, may, require
from lms.core.errors import Invalid
from lms.core.jobs import every
from lms.core.web import csrf, ok
from lms.labs import kits, pcs
from lms.labs.models import RoomPc
from lms.roster import service as roster
from lms.roster.access import get_row
from lms.roster.models import Room, Seat

bp = Blueprint("pcs", __name__)
STAFF = ("teacher", "school_admin")
AGAIN_S = {"bound": 20, "waiting": 3, "clash": 10}

every(1, "end-orphan-agents", pcs.end_orphans)


@bp.post("/api/labs/agent/hello")
def hello() -> Response:
    """``{"secret", "marks": [], "run", "host", "kits": []}`` → where this PC stands, its page and, bound, its access to the broker."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise Invalid("body", _l("请求格式不对。"))
    facts = pcs.Facts(_words(body, "marks"), _word(body, "run"), _word(body, "host"), _words(body, "kits"))
    standing = pcs.hello(_word(body, "secret"), facts)
    pc = standing.pc
    found: dict[str, Any] = {"state": standing.state, "code": pc.code, "again_s": AGAIN_S[standing.state]}
    found["page"] = url_for("labs.pcs.own_page", ticket=pcs.ticket(pc), _external=True)
    found["full_screen"] = pc.leave_until is None or pc.leave_until < clock.now()
    if standing.seat is not None:
        found |= {"seat": standing.seat.label, "terminal": standing.seat.terminal, "room": standing.room.code}
    if standing.credential is not None:
        made = standing.credential
        found["broker"] = {"url": _broker(made.wss_port, made.ws_port, made.ws_path), "username": made.username, "password": made.password}
    return ok(**found)


csrf.exempt(hello)  # no session, no cookie: the room's secret is the right


def _broker(wss_port: int, ws_port: int, path: str) -> str:
    host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    return f"wss://{host}:{wss_port}{path}" if request.is_secure else f"ws://{host}:{ws_port}{path}"


def _word(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or len(value) > 200:
        raise Invalid(name, _l("请求格式不对。"), where=name)
    return value


def _words(body: dict[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name, [])
    if not isinstance(value, list) or len(value) > 32 or not all(isinstance(word, str) and len(word) < 80 for word in value):
        raise Invalid(name, _l("请求格式不对。"), where=name)
    return tuple(value)


@bp.get("/labs/pc/<ticket>")
def own_page(ticket: str) -> BaseResponse:
    """The PC's first page: into its seat, or its code until somebody has bound it; loads itself anew."""
    pc = pcs.by_ticket(ticket)
    seat = pcs.seat_of(pc)
    if seat is None or pcs.clashes(pc):
        clash = pcs.clashes(pc)
        page = make_response(render_template("labs/pc_waiting.html", pc=pc, clash=clash, room=get_row(Room, pc.room_id, pc.school_id)))
        page.headers["X-Pc-State"] = "clash" if clash else "waiting"
        return page
    response = make_response(redirect(url_for("teaching.seat")))
    response.set_cookie(
        roster.SEAT_COOKIE, pcs.cookie_of(pc, seat), max_age=400 * 86400, httponly=True, samesite="Lax", secure=request.is_secure
    )
    return response


@bp.get("/labs/pcs/<room_code>")
@require(*STAFF)
def page(room_code: str) -> str:
    """PCs of a room: who waits for a seat, who has one, what clashes; the image's secret."""
    return _page(kits.room_by_code(current_school_id(), room_code))


def _page(room: Room, secret: str = "") -> str:
    now = clock.now()
    seats = roster.seats_of(room.id)
    rows = []
    for pc in pcs.pcs_of(room):
        rows.append({"pc": pc, "seat": pcs.seat_of(pc), "clash": pcs.clashes(pc), "live": now - pc.seen_at < pcs.LIVE, "marks": [mark.removeprefix("mac:") for mark in pc.marks if mark.startswith("mac:")]})
    return render_template(
        "labs/pcs.html",
        room=room,
        rows=rows,
        seats=seats,
        image=pcs.image_of(room),
        secret=secret,
        suggested=pcs.suggestions(room),
        server=url_for("core.home", _external=True).rstrip("/"),
        is_admin=may(current_account(), ("school_admin",), room.school_id),
    )


@bp.post("/labs/pcs/<room_code>/image")
@require("school_admin")
def new_image(room_code: str) -> str:
    """A new secret, shown on this page only."""
    room = kits.room_by_code(current_school_id(), room_code)
    return _page(room, pcs.new_image(current_account(), room))


@bp.post("/labs/pcs/<room_code>/image/revoke")
@require("school_admin")
def revoke_image(room_code: str) -> BaseResponse:
    """End the secret."""
    room = kits.room_by_code(current_school_id(), room_code)
    pcs.revoke_image(current_account(), room)
    flash(_("教室口令已作废。"))
    return _back(room)


@bp.post("/labs/pcs/<room_code>/suggested")
@require(*STAFF)
def bind_suggested(room_code: str) -> BaseResponse:
    """Bind all PCs whose host name names a free seat."""
    room = kits.room_by_code(current_school_id(), room_code)
    flash(_("已绑定 %(n)s 台电脑。", n=pcs.bind_suggested(current_account(), room)))
    return _back(room)


@bp.post("/labs/pc/<uuid:pc_id>/bind")
@require(*STAFF)
def bind(pc_id: uuid.UUID) -> BaseResponse:
    """Bind one PC: ``seat``."""
    pc = get_row(RoomPc, pc_id, current_school_id())
    try:
        seat = get_row(Seat, uuid.UUID(request.form.get("seat", "")), current_school_id())
    except ValueError:
        raise Invalid("seat", _l("请选择座位。"), where="seat") from None
    pcs.bind(current_account(), pc, seat)
    flash(_("电脑 %(code)s 已绑定到座位 %(label)s。", code=pc.code, label=seat.label))
    return _back(get_row(Room, pc.room_id, current_school_id()))


@bp.post("/labs/pc/<uuid:pc_id>/<any(release, forget, leave):verb>")
@require(*STAFF)
def change(pc_id: uuid.UUID, verb: str) -> BaseResponse:
    """Take a PC's seat, strike it off, or let the technician out of the full screen."""
    pc = get_row(RoomPc, pc_id, current_school_id())
    room = get_row(Room, pc.room_id, current_school_id())
    {"release": pcs.release, "forget": pcs.forget, "leave": pcs.leave_full_screen}[verb](current_account(), pc)
    told = {"release": _("座位已收回。"), "forget": _("电脑已清除。"), "leave": _("这台电脑半小时内不进入全屏。")}
    flash(told[verb])
    return _back(room)


def _back(room: Room) -> BaseResponse:
    return redirect(url_for("labs.pcs.page", room_code=room.code))
