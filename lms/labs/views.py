"""Devices of the rooms (设备)."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.blueprints import BlueprintSetupState
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.auth import current_school_id, require
from lms.core.db import db
from lms.core.jobs import every
from lms.core.menu import Entry, offer
from lms.labs import service
from lms.roster.models import Room

bp = Blueprint("labs", __name__, template_folder="templates")
STATES = {
    "ready": (_l("正常"), "green"),
    "init": (_l("正在连接"), "yellow"),
    "sleeping": (_l("休眠"), "secondary"),
    "disconnected": (_l("已断开"), "secondary"),
    "lost": (_l("失去联系"), "red"),
}


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(state.app, Entry("labs.devices", _l("设备"), "robot", ("teacher", "school_admin"), 40))


def _forget() -> None:
    service.forget_old(clock.now())


every(59, "forget-labs", _forget)


@bp.get("/devices")
@require("teacher", "school_admin")
def devices() -> str:
    """Every kit and camera by room, with its state and last sign of life."""
    rooms = list(db.session.scalars(select(Room).where(Room.school_id == current_school_id()).order_by(Room.code)))
    return render_template(
        "labs/devices.html", rooms=[(room, service.devices_in(room.id)) for room in rooms], states=STATES, now=clock.now()
    )
