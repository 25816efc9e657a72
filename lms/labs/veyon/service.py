"""Orders to the PCs of a room and where its Veyon is (电脑指令): written here, carried out by the bridge (:mod:`lms.labs.veyon.runner`)."""

from __future__ import annotations

import os
import ssl
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import ScalarSelect, delete, func, select

from labkit import wake
from labkit.veyon import Api
from lms.core import clock
from lms.core.audit import access, audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account
from lms.labs.veyon import rules
from lms.labs.veyon.models import PcOrder, RoomVeyon, SeatPc
from lms.roster.models import Room, Seat
from lms.roster.service import seats_of


@dataclass(frozen=True)
class Pc:
    """The PC at a seat; ``address`` and ``mac`` empty where nobody entered them."""

    seat: Seat
    address: str
    mac: str


def console_name(account_id: uuid.UUID, room_code: str) -> str:
    """Broker user of a teacher's console in a room."""
    return f"console-{account_id.hex[-12:]}-{room_code}"


def settings_of(room_id: uuid.UUID) -> RoomVeyon | None:
    """The room's WebAPI; None where the school has no Veyon there."""
    return db.session.scalar(select(RoomVeyon).where(RoomVeyon.room_id == room_id))


def _secret_file(row: RoomVeyon) -> Path:
    return Path(current_app.config["ZHIKE"].data_dir) / "keys" / f"veyon-{row.id.hex}"


def _keep_secret(row: RoomVeyon, secret: str) -> None:
    path = _secret_file(row)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret)
    draft.replace(path)


def api_of(row: RoomVeyon) -> Api:
    """How to reach the room's WebAPI, with its key; raises Refused where the key file is gone (a restored database without it) or unreadable."""
    try:
        secret = _secret_file(row).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Refused(
            "veyon-key", _l("Veyon 的密钥不在了。"), remedy=_l("请在教室的 Veyon 设置里重新填写密钥。")
        ) from None
    return Api(row.url, row.method, row.name, secret, row.certificate)


def connect(actor: Account, room: Room, url: str, method: str, name: str, secret: str, certificate: str) -> RoomVeyon:
    """Set a room's WebAPI; an empty ``secret`` keeps the one before."""
    url, name, secret, certificate = (
        url.strip().rstrip("/"),
        name.strip(),
        secret.replace("\r\n", "\n").strip(),
        certificate.strip(),
    )
    problem = rules.url_problem(url)
    if problem == "plain":
        text = _l("用 http 连另一台电脑，密钥会在网上明文传送，学生可以截下来控制全班电脑。")
        raise Invalid(
            "veyon-plain",
            text,
            remedy=_l("请把 WebAPI 装在本服务器上，填 http://127.0.0.1:11080；或给它配上证书，改用 https。"),
            where="url",
        )
    if problem or len(url) > 200:
        raise Invalid("veyon-url", _l("地址写法不对。"), remedy=_l("例如 http://127.0.0.1:11080"), where="url")
    if method not in ("key", "logon"):
        raise Invalid("veyon-method", _l("请选择登录方式。"), where="method")
    if not name or len(name) > 80:
        raise Invalid(
            "veyon-name",
            _l("请填写密钥名或用户名。"),
            remedy=_l("密钥名在 Veyon Configurator 的“认证密钥”里。"),
            where="name",
        )
    if method == "key" and secret and "PRIVATE KEY-----" not in secret:
        text = _l("这不是私钥文件的内容。")
        raise Invalid(
            "veyon-key",
            text,
            remedy=_l("请打开 Veyon 的 keys/private/<名字>/key 文件，复制全部内容，从 -----BEGIN 到 END-----。"),
            where="secret",
        )
    _check_certificate(certificate)
    row = settings_of(room.id)
    if not secret and (row is None or row.method != method):
        raise Invalid("veyon-secret", _l("请填写私钥或密码。"), where="secret")
    with write():
        if row is None:
            row = RoomVeyon(id=new_id(), school_id=room.school_id, room_id=room.id)
            db.session.add(row)
        row.url, row.method, row.name, row.certificate = url, method, name, certificate
        if secret:
            _keep_secret(row, secret + "\n" * (method == "key"))
        audit(actor, "set-veyon", "room", room.id, school_id=room.school_id, method=method, new_secret=bool(secret))
    return row


def _check_certificate(certificate: str) -> None:
    if not certificate:
        return
    try:
        ssl.PEM_cert_to_DER_cert(certificate)
        ssl.create_default_context().load_verify_locations(cadata=certificate)
    except (ValueError, ssl.SSLError):
        remedy = _l("请粘贴 PEM 格式的证书，从 -----BEGIN CERTIFICATE----- 开始。")
        raise Invalid("veyon-certificate", _l("证书读不出来。"), remedy=remedy, where="certificate") from None


def disconnect(actor: Account, room: Room) -> None:
    """The room has no Veyon any more; its key is deleted."""
    row = settings_of(room.id)
    if row is None:
        return
    with write():
        path = _secret_file(row)
        db.session.delete(row)
        audit(actor, "remove-veyon", "room", room.id, school_id=room.school_id)
    path.unlink(missing_ok=True)


def pcs_of(room_id: uuid.UUID) -> list[Pc]:
    """The PCs of a room by seat; a seat without an address of its own is found by its registered host name."""
    seats = seats_of(room_id)
    known = {
        row.seat_id: row
        for row in db.session.scalars(select(SeatPc).where(SeatPc.seat_id.in_([seat.id for seat in seats])))
    }
    return [
        Pc(
            seat,
            (known[seat.id].address if seat.id in known else "") or seat.host_name,
            known[seat.id].mac if seat.id in known else "",
        )
        for seat in seats
    ]


def set_pcs(actor: Account, room: Room, given: Mapping[str, tuple[str, str]]) -> None:
    """Addresses and MACs of the seats: seat id → (address, MAC), all or nothing. Empty takes away."""
    checked: dict[uuid.UUID, tuple[str, str]] = {}
    used: dict[str, str] = {}
    for seat in seats_of(room.id):
        address, mac = (text.strip() for text in given.get(str(seat.id), ("", "")))
        if address and not rules.is_address(address):
            raise Invalid(
                "pc-address",
                _l("座位 %(seat)s 的地址写法不对。", seat=seat.label),
                remedy=_l("填主机名或 IP，例如 192.168.1.21。"),
                where=f"address-{seat.id}",
            )
        if address and address.lower() in used:
            text = _l("座位 %(one)s 和 %(two)s 填了同一个地址。", one=used[address.lower()], two=seat.label)
            raise Invalid("pc-twice", text, remedy=_l("请改掉其中一个。"), where=f"address-{seat.id}")
        try:
            mac = wake.mac_of(mac) if mac else ""
        except ValueError:
            text = _l("座位 %(seat)s 的 MAC 地址写法不对。", seat=seat.label)
            raise Invalid(
                "pc-mac", text, remedy=_l("应是 12 位十六进制，例如 00-1A-2B-3C-4D-5E。"), where=f"mac-{seat.id}"
            ) from None
        if address:
            used[address.lower()] = seat.label
        checked[seat.id] = (address, mac)
    with write():
        known = {row.seat_id: row for row in db.session.scalars(select(SeatPc).where(SeatPc.seat_id.in_(checked)))}
        for seat_id, (address, mac) in checked.items():
            row = known.get(seat_id)
            if row is None and (address or mac):
                row = SeatPc(id=new_id(), school_id=room.school_id, seat_id=seat_id)
                db.session.add(row)
            if row is not None:
                row.address, row.mac = address, mac
        audit(actor, "set-pcs", "room", room.id, school_id=room.school_id, seats=len(checked))


def _needed(room: Room) -> RoomVeyon:
    row = settings_of(room.id)
    if row is None:
        raise Refused("no-veyon", _l("这间教室没有接 Veyon。"), remedy=_l("请管理员在“教室”页设置。"))
    return row


def order(
    actor: Account | None, room: Room, action: str, seats: Sequence[str], lesson_id: uuid.UUID | None = None
) -> PcOrder:
    """Ask something of the PCs at ``seats`` (ids; none = all of the room). A restart or shut-down waits 8 s and can be taken back."""
    _needed(room)
    if action not in (*rules.ACTIONS, "test"):
        raise Invalid("action", _l("没有这个操作。"), where="action")
    everyone = [str(seat.id) for seat in seats_of(room.id)]
    if not set(seats) <= set(everyone):
        raise Invalid("seats", _l("座位表已变化，请刷新页面。"), where="seats")
    now = clock.now()
    with write():
        row = PcOrder(
            id=new_id(),
            school_id=room.school_id,
            room_id=room.id,
            lesson_id=lesson_id,
            action=action,
            seats=list(seats) or everyone,
            ordered_by=actor.id if actor else None,
            not_before=rules.first_moment(action, now),
            results={},
        )
        db.session.add(row)
        audit(
            actor,
            f"pc-{action}",
            "room",
            room.id,
            school_id=room.school_id,
            seats=len(row.seats),
            lesson=str(lesson_id or ""),
        )
    return row


def take_back(actor: Account, room: Room, order_id: uuid.UUID) -> PcOrder:
    """Cancel an order that has not begun; raises Refused where it is too late."""
    with write():
        row = db.session.get(PcOrder, order_id, with_for_update=True)
        if row is None or row.room_id != room.id:
            raise NotFound("pc-order", _l("没有这条指令。"))
        if row.state not in ("waiting", "cancelled"):
            raise Refused("too-late", _l("已经发出，收不回来了。"))
        row.state, row.done_at = "cancelled", clock.now()
        audit(actor, f"pc-cancel-{row.action}", "room", room.id, school_id=room.school_id, order=str(row.id))
    return row


def watch(actor: Account, room: Room, lesson_id: uuid.UUID, on: bool) -> datetime | None:
    """Begin, renew or end a teacher's look at the screens of a lesson; gives its end. The beginning is an access to personal data."""
    _needed(room)
    now = clock.now()
    with write():
        row = db.session.scalar(
            select(PcOrder).where(
                PcOrder.school_id == room.school_id,
                PcOrder.lesson_id == lesson_id,
                PcOrder.action == "screens",
                PcOrder.ordered_by == actor.id,
                PcOrder.until > now,
            )
        )
        if not on:
            if row is not None:
                row.until = now
            return None
        if row is None:
            seats = [str(pc.seat.id) for pc in pcs_of(room.id)]
            row = PcOrder(id=new_id(), school_id=room.school_id, room_id=room.id, lesson_id=lesson_id, action="screens")
            row.seats, row.ordered_by, row.not_before, row.results = seats, actor.id, now, {}
            db.session.add(row)
            access(actor, "screens", "lesson", lesson_id, people=len(seats))
        row.until = now + rules.WATCH
        return row.until


def screens_until(school_id: Any, lesson_id: Any) -> ScalarSelect[datetime | None]:
    """Till when somebody looks (or looked) at the screens of the lesson, as part of another statement; values or columns."""
    looks = select(func.max(PcOrder.until)).where(
        PcOrder.school_id == school_id, PcOrder.lesson_id == lesson_id, PcOrder.action == "screens"
    )
    return looks.scalar_subquery()


def told(until: datetime | None, now: datetime) -> str | None:
    """The end of a look as terminals are told it; None where nobody looks (any more)."""
    return until.isoformat(timespec="milliseconds") if until is not None and until > now else None


def watch_end(school_id: uuid.UUID, lesson_id: uuid.UUID) -> str | None:
    """Till when somebody looks at the screens of the lesson, as terminals are told it."""
    return told(db.session.scalar(select(screens_until(school_id, lesson_id))), clock.now())


def end_lesson(actor: Account | None, room: Room, lesson_id: uuid.UUID) -> None:
    """Nobody looks any more, and what the lesson locked is free for the next class. Joins the open write."""
    if settings_of(room.id) is None:
        return
    now = clock.now()
    with write():
        rows = list(
            db.session.scalars(
                select(PcOrder)
                .where(PcOrder.school_id == room.school_id, PcOrder.lesson_id == lesson_id)
                .order_by(PcOrder.id)
            )
        )
        for row in rows:
            if row.action == "screens" and row.until is not None and row.until > now:
                row.until = now
        locked = rules.locked_seats((row.action, row.results, row.seats) for row in rows if row.state != "cancelled")
        if locked:
            order(actor, room, "unlock", sorted(locked), lesson_id)


def room_state(room: Room, lesson_id: uuid.UUID | None = None, since: int = 12) -> dict[str, Any]:
    """Seats, the newest orders and what came of them, for a page: ``seats`` (id, label, row, column, reachable, wakes), ``orders``, ``locked`` seat ids."""
    query = (
        select(PcOrder)
        .where(PcOrder.school_id == room.school_id, PcOrder.room_id == room.id)
        .order_by(PcOrder.id.desc())
    )
    if lesson_id is not None:
        query = query.where(PcOrder.lesson_id == lesson_id)
    newest = list(reversed(list(db.session.scalars(query.limit(200)))))
    now = clock.now()
    return {
        "now": now.isoformat(timespec="milliseconds"),
        "seats": [
            {
                "id": str(pc.seat.id),
                "label": pc.seat.label,
                "row": pc.seat.row,
                "column": pc.seat.column,
                "reachable": bool(pc.address),
                "wakes": bool(pc.mac),
            }
            for pc in pcs_of(room.id)
        ],
        "locked": sorted(
            rules.locked_seats((row.action, row.results, row.seats) for row in newest if row.state != "cancelled")
        ),
        "orders": [
            {
                "id": str(row.id),
                "action": row.action,
                "state": row.state,
                "seats": row.seats,
                "results": row.results,
                "undo_until": row.not_before.isoformat(timespec="milliseconds")
                if row.state == "waiting" and row.not_before > now
                else None,
                "until": row.until.isoformat(timespec="milliseconds") if row.until else None,
            }
            for row in newest[-since:]
        ],
    }


def order_of(room: Room, order_id: uuid.UUID) -> PcOrder | None:
    """An order of the room."""
    row = db.session.get(PcOrder, order_id)
    return row if row is not None and row.room_id == room.id else None


def forget_old() -> None:
    """Retention: orders of 180 days ago."""
    with write():
        db.session.execute(delete(PcOrder).where(PcOrder.created_at < clock.now() - rules.KEPT))
