"""The page of the lab check (课前检查), and the word that a board is the device it seems to be."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import current_account, current_school_id, require
from lms.core.web import ok
from lms.labs import checking, kits
from lms.labs.models import Device
from lms.roster.access import get_row
from lms.roster.models import Room

bp = Blueprint("checks", __name__)
STAFF = ("teacher", "school_admin")


@bp.get("/labs/check/<room_code>")
@require(*STAFF)
def page(room_code: str) -> str:
    """What is to fix in a room, by seat and sticker; ``?run=`` names a check that was begun. Loads itself anew until it is done."""
    room = kits.room_by_code(current_school_id(), room_code)
    run = request.args.get("run", "")
    return render_template(
        "labs/check.html",
        room=room,
        run=run,
        found=checking.result(room, run),
        used=checking.in_use(room),
        vitals=checking.vitals(room),
        states=kits.STATES,
    )


@bp.post("/labs/check/<room_code>")
@require(*STAFF)
def begin(room_code: str) -> BaseResponse:
    """Begin a check: robots that nobody uses prove a stop."""
    room = kits.room_by_code(current_school_id(), room_code)
    return redirect(url_for("labs.checks.page", room_code=room.code, run=checking.begin(current_account(), room)))


@bp.get("/api/labs/rooms/<uuid:room_id>/check")
@require(*STAFF)
def api_result(room_id: uuid.UUID) -> Response:
    """The same as JSON: {"done", "devices", "proved", "lines": [{"where", "text", "urgent", "device"}]}."""
    found = checking.result(get_row(Room, room_id, current_school_id()), request.args.get("run", ""))
    lines: list[dict[str, Any]] = [vars(line) for line in found.lines]
    return ok(done=found.done, devices=found.devices, proved=found.proved, lines=lines)


@bp.post("/labs/devices/<uuid:device_id>/confirm")
@require(*STAFF)
def confirm(device_id: uuid.UUID) -> BaseResponse:
    """The board that is plugged in is this device."""
    device = get_row(Device, device_id, current_school_id())
    checking.confirm(current_account(), device)
    room = get_row(Room, device.room_id, current_school_id()) if device.room_id else None
    return redirect(url_for("labs.checks.page", room_code=room.code) if room else url_for("labs.devices"))
