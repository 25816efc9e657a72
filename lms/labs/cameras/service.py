"""What staff may do with a camera (摄像头服务): look for a minute, record under a policy, delete; each is journaled."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select

from labkit.camera_orders import LONGEST_PREVIEW_S, order_topic
from labkit.recording import MAX_MINUTES, MAX_RETENTION_DAYS, NotPermitted, allowed, read_permit
from lms.core import clock
from lms.core.audit import access, audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account
from lms.core.outbox import to_mqtt
from lms.labs.cameras.models import Recording, RecordingPolicy
from lms.labs.models import Device
from lms.roster.access import school_of
from lms.roster.models import Room

LONGEST_POLICY = timedelta(days=366)
LEAST_PURPOSE = 4
KEPT_AFTER = timedelta(days=3 * 366)
LATE = timedelta(minutes=10)


def _room(device: Device) -> Room:
    room = db.session.get(Room, device.room_id) if device.room_id else None
    if device.kind != "camera" or room is None:
        raise Refused("no-camera", _l("这不是教室里的摄像头。"), remedy=_l("请从“设备”页打开一台摄像头。"))
    return room


def look(actor: Account, device: Device) -> datetime:
    """Ask for a blurred preview of a minute at most; returns its end. Everybody in the room sees the sign, the access log the actor."""
    room = _room(device)
    if device.state != "ready":
        raise Refused("camera-away", _l("摄像头现在没有画面。"), remedy=_l("请检查 USB 线、电源和网关电脑。"))
    until = clock.now() + timedelta(seconds=LONGEST_PREVIEW_S)
    access(actor, "camera-preview", "device", device.id, room=str(room.id), seconds=int(LONGEST_PREVIEW_S))
    to_mqtt(device.school_id, order_topic(room.code, device.homie_id, "preview"), {"until": until.isoformat()})
    return until


def look_away(actor: Account, device: Device) -> None:
    """End the preview before its minute is over."""
    room = _room(device)
    to_mqtt(device.school_id, order_topic(room.code, device.homie_id, "preview"), {"until": clock.now().isoformat()})


@dataclass(frozen=True)
class Wanted:
    """A policy as the form gives it; times aware."""

    purpose: str
    begins: datetime
    ends: datetime
    guardians_informed: date | None
    retention_days: int


def enter_policy(actor: Account, room: Room, wanted: Wanted) -> RecordingPolicy:
    """Enter a permission to record; it permits nothing until somebody else has countersigned it. Raises Invalid with the field."""
    purpose = " ".join(wanted.purpose.split())
    if not LEAST_PURPOSE <= len(purpose) <= 200:
        raise Invalid("purpose", _l("请写明录像做什么用，4～200 个字。"), where="purpose")
    if wanted.ends <= max(wanted.begins, clock.now()):
        raise Invalid("ends", _l("结束时间要在开始时间和现在之后。"), where="ends")
    if wanted.ends - wanted.begins > LONGEST_POLICY:
        raise Invalid("ends", _l("一个许可最长一年，到期请重新审批。"), where="ends")
    if wanted.guardians_informed is None or wanted.guardians_informed > wanted.begins.date():
        raise Invalid(
            "guardians_informed",
            _l("请填告知监护人的日期，不能晚于开始录像的日期。"),
            where="guardians_informed",
            clause="PIPL 第31条",
        )
    if not 1 <= wanted.retention_days <= MAX_RETENTION_DAYS:
        raise Invalid(
            "retention_days", _l("保存天数应为 1～%(most)s 天。", most=MAX_RETENTION_DAYS), where="retention_days"
        )
    with write():
        row = RecordingPolicy(
            id=new_id(),
            school_id=room.school_id,
            room_id=room.id,
            purpose=purpose,
            begins=wanted.begins,
            ends=wanted.ends,
            guardians_informed=wanted.guardians_informed,
            retention_days=wanted.retention_days,
            entered_by=actor.id,
        )
        db.session.add(row)
        audit(
            actor,
            "enter-recording-policy",
            "recording-policy",
            row.id,
            purpose,
            room=str(room.id),
            days=row.retention_days,
        )
    return row


def countersign(actor: Account, row: RecordingPolicy) -> None:
    """A second person agrees (会签); raises Refused for the one who entered it."""
    with write():
        if row.withdrawn_at is not None:
            raise Refused("withdrawn", _l("这个许可已经撤回。"), remedy=_l("需要录像时请重新登记。"))
        if actor.id == row.entered_by:
            raise Refused(
                "same-person",
                _l("登记的人不能自己会签。"),
                remedy=_l("请另一位管理员、安全管理员或审计管理员登录后会签。"),
            )
        if row.countersigned_by is None:
            row.countersigned_by, row.countersigned_at = actor.id, clock.now()
            audit(actor, "countersign-recording-policy", "recording-policy", row.id, school_id=row.school_id)


def withdraw(actor: Account, row: RecordingPolicy, reason: str) -> None:
    """Take a permission back: what records under it stops, what was recorded under it is deleted."""
    reason = " ".join(reason.split())
    if not reason:
        raise Invalid("reason", _l("请写撤回的原因。"), where="reason")
    with write():
        if row.withdrawn_at is None:
            row.withdrawn_by, row.withdrawn_at = actor.id, clock.now()
            audit(actor, "withdraw-recording-policy", "recording-policy", row.id, reason[:200], school_id=row.school_id)
        for one in db.session.scalars(
            select(Recording).where(Recording.policy_id == row.id, Recording.state.in_(("asked", "recording", "ended")))
        ):
            _tell(one, stop=True)
            _tell(one, erase=True)


def policies(school_id: uuid.UUID) -> list[RecordingPolicy]:
    """All permissions, newest first."""
    return list(
        db.session.scalars(
            select(RecordingPolicy).where(RecordingPolicy.school_id == school_id).order_by(RecordingPolicy.id.desc())
        )
    )


def recordings(school_id: uuid.UUID, device_id: uuid.UUID | None = None) -> list[tuple[Recording, Device]]:
    """Recordings with their cameras, newest first."""
    query = (
        select(Recording, Device).join(Device, Device.id == Recording.device_id).where(Recording.school_id == school_id)
    )
    if device_id is not None:
        query = query.where(Recording.device_id == device_id)
    return [(one, device) for one, device in db.session.execute(query.order_by(Recording.id.desc()).limit(200))]


def permit_of(row: RecordingPolicy, room: Room) -> dict[str, Any]:
    """The policy as the gateway checks it once more (:mod:`labkit.recording`)."""
    zone = school_of(room.school_id).zone
    return {
        "id": str(row.id),
        "purpose": row.purpose,
        "room": room.code,
        "begins": clock.local(row.begins, zone).isoformat(),
        "ends": clock.local(row.ends, zone).isoformat(),
        "entered_by": str(row.entered_by),
        "countersigned_by": str(row.countersigned_by or ""),
        "guardians_informed": row.guardians_informed.isoformat(),
        "retention_days": row.retention_days,
    }


def policy_now(room: Room, now: datetime) -> RecordingPolicy | None:
    """The permission that is in force in a room."""
    query = select(RecordingPolicy).where(
        RecordingPolicy.school_id == room.school_id,
        RecordingPolicy.room_id == room.id,
        RecordingPolicy.withdrawn_at.is_(None),
        RecordingPolicy.begins <= now,
        RecordingPolicy.ends > now,
    )
    for row in db.session.scalars(query.order_by(RecordingPolicy.ends.desc())):
        try:
            allowed(read_permit(permit_of(row, room)), room.code, now)
        except NotPermitted:
            continue
        return row
    return None


def record(actor: Account, device: Device, minutes: int) -> Recording:
    """Let a camera record for 1–120 minutes under the policy in force; raises Refused where there is none."""
    room, now = _room(device), clock.now()
    if not 1 <= minutes <= MAX_MINUTES:
        raise Invalid("minutes", _l("一次录像 1～%(most)s 分钟。", most=MAX_MINUTES), where="minutes")
    row = policy_now(room, now)
    if row is None:
        audit(actor, "refuse-recording", "device", device.id, "no-policy", school_id=device.school_id)
        raise Refused(
            "no-policy",
            _l("没有生效的录像许可，不能录像。"),
            remedy=_l("请管理员在“录像许可”页登记用途、时间和告知监护人的日期，再由另一个人会签。"),
            clause="PIPL 第28条",
        )
    with write():
        made = Recording(
            id=new_id(),
            school_id=device.school_id,
            policy_id=row.id,
            device_id=device.id,
            asked_by=actor.id,
            until=min(now + timedelta(minutes=minutes), row.ends),
        )
        db.session.add(made)
        db.session.flush()
        order = {"id": str(made.id), "until": made.until.isoformat(), "permit": permit_of(row, room)}
        to_mqtt(device.school_id, order_topic(room.code, device.homie_id, "record"), order)
        audit(actor, "record-camera", "device", device.id, row.purpose, recording=str(made.id), minutes=minutes)
    return made


def stop(actor: Account, made: Recording) -> None:
    """End a recording."""
    with write():
        _tell(made, stop=True)
        audit(actor, "stop-recording", "recording", made.id, school_id=made.school_id)


def erase(actor: Account, made: Recording) -> None:
    """Delete a recording before its time."""
    with write():
        _tell(made, erase=True)
        audit(actor, "erase-recording", "recording", made.id, school_id=made.school_id)


def _tell(made: Recording, **order: bool) -> None:
    device = db.session.get_one(Device, made.device_id)
    room = _room(device)
    to_mqtt(made.school_id, order_topic(room.code, device.homie_id, "record"), {"id": str(made.id), **order})


def overdue(made: Recording, now: datetime) -> bool:
    """Whether its file should be gone and no gateway has said so: somebody must look at that PC's disk."""
    return made.state in ("recording", "ended") and made.delete_at is not None and made.delete_at + LATE < now


def take_report(school_id: uuid.UUID, gateway: str, entries: list[dict[str, Any]]) -> None:
    """What a gateway tells of its recordings, of its own cameras only; inside the bridge's short write. Each change is journaled.

    One that was away when a policy was withdrawn is told again.
    """
    for entry in entries:
        made = db.session.get(Recording, _uuid(entry.get("id")))
        if made is None or made.school_id != school_id:
            continue
        device = db.session.get_one(Device, made.device_id)
        if device.gateway != gateway:
            continue
        state = str(entry.get("state", ""))[:12]
        withdrawn = db.session.get_one(RecordingPolicy, made.policy_id).withdrawn_at is not None
        if withdrawn and state in ("recording", "ended") and device.room_id is not None:
            _tell(made, stop=True)
            _tell(made, erase=True)
        if state not in ("recording", "ended", "deleted", "refused") or state == made.state:
            continue
        made.state, made.reason = state, str(entry.get("zh", ""))[:200]
        made.began_at, made.ended_at = (
            _moment(entry.get("began")) or made.began_at,
            _moment(entry.get("ended")) or made.ended_at,
        )
        made.delete_at, made.deleted_at = (
            _moment(entry.get("delete_at")) or made.delete_at,
            _moment(entry.get("deleted")) or made.deleted_at,
        )
        audit(None, f"recording-{state}", "recording", made.id, str(entry.get("code", "")) or None, school_id=school_id)


def forget_old() -> None:
    """Retention: permissions and their recordings three years after their end."""
    with write() as session:
        old = select(RecordingPolicy.id).where(RecordingPolicy.ends < clock.now() - KEPT_AFTER)
        session.execute(delete(Recording).where(Recording.policy_id.in_(old)))
        session.execute(delete(RecordingPolicy).where(RecordingPolicy.ends < clock.now() - KEPT_AFTER))


def _uuid(value: Any) -> uuid.UUID:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        return uuid.UUID(int=0)


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except ValueError:
        return None
