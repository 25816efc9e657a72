"""Buttons of a device's page that let it do something: take off, land, cut the motors, go to a pose."""

from __future__ import annotations

import uuid

from flask import Blueprint, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import current_account, current_school_id, require
from lms.core.db import db
from lms.labs import controls
from lms.labs.models import Device
from lms.roster.access import get_row
from lms.roster.models import Room

bp = Blueprint("controls", __name__)
STAFF = ("teacher", "school_admin")


@bp.post("/labs/devices/<uuid:device_id>/act")
@require(*STAFF)
def act(device_id: uuid.UUID) -> BaseResponse:
    """Form: ``do`` takeoff (with ``clear``) | land | cut, or ``pose``; back to the device's page."""
    device = get_row(Device, device_id, current_school_id())
    if "pose" in request.form:
        controls.pose(current_account(), device, request.form["pose"])
        flash(_("已发出。它会慢慢转过去；要停请按红色按钮。"))
    else:
        what = request.form.get("do", "")
        controls.fly(current_account(), device, what, clear=request.form.get("clear") == "yes")
        said = {
            controls.TAKE_OFF: _("已发出起飞。"),
            controls.LAND: _("已发出降落。"),
            controls.CUT: _("已发出切断电机，它会掉下来。"),
        }
        flash(said[what])
    room = db.session.get(Room, device.room_id) if device.room_id else None
    if room is None:
        return redirect(url_for("labs.devices"))
    return redirect(url_for("labs.device", room_code=room.code, number=device.sticker or device.homie_id))
