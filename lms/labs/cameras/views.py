"""Pages and calls of cameras (摄像头): the blurred preview, the permissions to record, the recordings."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from labkit.recording import MAX_MINUTES, MAX_RETENTION_DAYS
from lms.core import clock
from lms.core.auth import current_account, current_school_id, may, require
from lms.core.db import db
from lms.core.errors import Invalid
from lms.core.jobs import every
from lms.core.models import Account
from lms.core.web import ok
from lms.labs.cameras import service
from lms.labs.cameras.models import Recording, RecordingPolicy
from lms.labs.models import Device
from lms.roster.access import get_row, school_of
from lms.roster.models import Room

bp = Blueprint("cameras", __name__, template_folder="templates")
STAFF = ("teacher", "school_admin")
SIGNERS = ("school_admin", "sec_admin", "audit_admin")
CAMERA = "/api/labs/devices/<uuid:device_id>"
MINUTES = (5, 10, 20, 40, 90)
STATES = {
    "asked": (_l("等网关回答"), "yellow"),
    "recording": (_l("正在录"), "red"),
    "ended": (_l("已录完，在网关电脑上"), "blue"),
    "deleted": (_l("已删除"), "secondary"),
    "refused": (_l("没有录"), "orange"),
}

every(47, "forget-recordings", service.forget_old)


def panel(device: Device, room: Room) -> dict[str, Any]:
    """What a camera's page shows of preview and recording."""
    found = service.recordings(device.school_id, device.id)
    going = next(
        (made for made, _device in found if made.state in ("asked", "recording") and made.until > clock.now()), None
    )
    return {
        "policy": service.policy_now(room, clock.now()),
        "going": going,
        "minutes": [m for m in MINUTES if m <= MAX_MINUTES],
    }


def texts() -> dict[str, str]:
    """Words of the preview's script."""
    return {
        "preview_wait": _("正在打开……"),
        "preview_left": _("还有 {n} 秒自动关闭"),
        "preview_over": _("已关闭。要再看请再点一次；每次都记入访问记录。"),
        "preview_none": _("没有收到画面：看看摄像头和网关是否在线。"),
        "preview_offline": _("收不到实时消息，不能预览。请检查网络。"),
    }


@bp.post(f"{CAMERA}/preview")
@require(*STAFF)
def look(device_id: uuid.UUID) -> Response:
    """Ask for a blurred preview: {"seconds"}; ``{"off": true}`` ends it."""
    device = get_row(Device, device_id, current_school_id())
    if (request.get_json(silent=True) or {}).get("off") is True:
        service.look_away(current_account(), device)
        return ok(seconds=0)
    until = service.look(current_account(), device)
    return ok(seconds=round((until - clock.now()).total_seconds()))


@bp.post("/labs/cameras/<uuid:device_id>/record")
@require(*STAFF)
def record(device_id: uuid.UUID) -> BaseResponse:
    """Begin a recording of ``minutes``, where a permission is in force."""
    device = get_row(Device, device_id, current_school_id())
    try:
        minutes = int(request.form.get("minutes", ""))
    except ValueError:
        raise Invalid("minutes", _l("这里应该填整数。"), where="minutes") from None
    service.record(current_account(), device, minutes)
    flash(_("已通知网关开始录像；教室里的每一台终端都会看到“正在录像”。"))
    return _to_device(device)


@bp.post("/labs/recordings/<uuid:recording_id>/stop")
@require(*STAFF)
def stop(recording_id: uuid.UUID) -> BaseResponse:
    """End a recording."""
    made = get_row(Recording, recording_id, current_school_id())
    service.stop(current_account(), made)
    flash(_("已通知网关停止录像。"))
    return _to_device(db.session.get_one(Device, made.device_id))


@bp.post("/labs/recordings/<uuid:recording_id>/erase")
@require("school_admin")
def erase(recording_id: uuid.UUID) -> BaseResponse:
    """Delete a recording before its time."""
    service.erase(current_account(), get_row(Recording, recording_id, current_school_id()))
    flash(_("已通知网关删除录像。"))
    return redirect(url_for("labs.cameras.recording") + "#recordings")


def _to_device(device: Device) -> BaseResponse:
    room = db.session.get_one(Room, device.room_id)
    return redirect(url_for("labs.device", room_code=room.code, number=device.sticker or device.homie_id))


@bp.get("/labs/recording")
@require(*SIGNERS)
def recording() -> str:
    """Permissions to record, who signed them, and every recording with its day of deletion."""
    return _page({})


@bp.post("/labs/recording")
@require("school_admin")
def enter() -> BaseResponse | tuple[str, int]:
    """Enter a permission; what was wrong is said beside its field, nothing that was typed is lost."""
    try:
        room, wanted = _read(request.form)
        service.enter_policy(current_account(), room, wanted)
    except Invalid as problem:
        return _page(request.form, problem), 422
    flash(_("录像许可已登记。另一个人会签后才生效。"))
    return redirect(url_for("labs.cameras.recording"))


@bp.post("/labs/recording/<uuid:policy_id>/countersign")
@require(*SIGNERS)
def countersign(policy_id: uuid.UUID) -> BaseResponse:
    """A second person agrees."""
    service.countersign(current_account(), get_row(RecordingPolicy, policy_id, current_school_id()))
    flash(_("已会签。"))
    return redirect(url_for("labs.cameras.recording"))


@bp.post("/labs/recording/<uuid:policy_id>/withdraw")
@require(*SIGNERS)
def withdraw(policy_id: uuid.UUID) -> BaseResponse:
    """Take a permission back; its recordings are deleted."""
    service.withdraw(
        current_account(), get_row(RecordingPolicy, policy_id, current_school_id()), request.form.get("reason", "")
    )
    flash(_("许可已撤回，已通知网关停止录像并删除它的录像。"))
    return redirect(url_for("labs.cameras.recording"))


def _read(form: Mapping[str, str]) -> tuple[Room, service.Wanted]:
    school_id = current_school_id()
    zone = ZoneInfo(school_of(school_id).zone)
    room = db.session.scalar(select(Room).where(Room.school_id == school_id, Room.code == form.get("room", "")))
    if room is None:
        raise Invalid("room", _l("请选择教室。"), where="room")
    moments: dict[str, datetime] = {}
    for name in ("begins", "ends"):
        try:
            moments[name] = datetime.fromisoformat(form.get(name, "")).replace(tzinfo=zone)
        except ValueError:
            raise Invalid(name, _l("请填日期和时间。"), where=name) from None
    try:
        days = int(form.get("retention_days", ""))
    except ValueError:
        raise Invalid("retention_days", _l("这里应该填整数。"), where="retention_days") from None
    try:
        informed: date | None = date.fromisoformat(form.get("guardians_informed", ""))
    except ValueError:
        informed = None
    return room, service.Wanted(form.get("purpose", ""), moments["begins"], moments["ends"], informed, days)


def _page(values: Mapping[str, str], problem: Invalid | None = None) -> str:
    school_id, now = current_school_id(), clock.now()
    zone = school_of(school_id).zone
    rooms = {
        room.id: room
        for room in db.session.scalars(select(Room).where(Room.school_id == school_id).order_by(Room.code))
    }
    rows = service.policies(school_id)
    people = {who for row in rows for who in (row.entered_by, row.countersigned_by, row.withdrawn_by) if who}
    names = {
        row.id: row.display_name
        for row in db.session.execute(select(Account.id, Account.display_name).where(Account.id.in_(people)))
    }
    me = current_account()
    return render_template(
        "cameras/recording.html",
        policies=[_shown(row, rooms[row.room_id], names, zone, now, me) for row in rows],
        recordings=[
            {
                "row": made,
                "device": device,
                "state": STATES[made.state],
                "overdue": service.overdue(made, now),
                "began": _local(made.began_at, zone),
                "delete_at": _local(made.delete_at, zone),
            }
            for made, device in service.recordings(school_id)
        ],
        rooms=rooms.values(),
        values=values or {"retention_days": "7"},
        problem=problem,
        most_days=MAX_RETENTION_DAYS,
        may_enter=may(me, ("school_admin",)),
    )


def _shown(
    row: RecordingPolicy, room: Room, names: Mapping[uuid.UUID, str], zone: str, now: datetime, me: Account
) -> dict[str, Any]:
    if row.withdrawn_at is not None:
        state = (_("已撤回"), "secondary")
    elif row.ends <= now:
        state = (_("已到期"), "secondary")
    elif row.countersigned_by is None:
        state = (_("等人会签，还不能录像"), "yellow")
    else:
        state = (_("生效"), "green") if row.begins <= now else (_("已会签，未到时间"), "blue")
    open_ = row.withdrawn_at is None and row.ends > now
    return {
        "row": row,
        "room": room.name,
        "state": state,
        "begins": _local(row.begins, zone),
        "ends": _local(row.ends, zone),
        "entered_by": names.get(row.entered_by, ""),
        "countersigned_by": names.get(row.countersigned_by, "") if row.countersigned_by else "",
        "may_sign": open_ and row.countersigned_by is None and row.entered_by != me.id,
        "may_withdraw": open_,
    }


def _local(at: datetime | None, zone: str) -> str:
    return clock.local(at, zone).strftime("%Y-%m-%d %H:%M") if at is not None else ""
