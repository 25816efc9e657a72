"""Verbs on rooms: seats and their enrolment, inventory and the HN-19 checklist (教室、座位、设备台账)."""

from __future__ import annotations

import hmac
import re
import secrets
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from flask import current_app, request
from flask_babel import lazy_gettext as _l
from itsdangerous import BadSignature, Signer
from sqlalchemy import func, or_, select, update

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import fingerprint, may
from lms.core.db import db, new_id, write, write_apart
from lms.core.errors import Invalid, NotAllowed, Refused, TooMany
from lms.core.models import Account, Lockout
from lms.roster.access import STAFF, need_admin, school_of, today_of
from lms.roster.models import Enrollment, InventoryItem, Room, Seat, TeachingAssignment, TimetableSlot
from lms.roster.rules import Need, ai_subjects, lab_needs, squeeze

SEAT_COOKIE: Final = "zhike_seat"
SEAT_COOKIE_DAYS: Final = 400
ENROL_MINUTES: Final = 15
CODE_FAILURES: Final = 20
CATEGORIES: Final = {
    "all_in_one": _l("教学一体机"),
    "teacher_terminal": _l("教师教学终端"),
    "student_terminal": _l("学生学习终端"),
    "robot": _l("机器人"),
    "camera": _l("摄像头"),
    "furniture": _l("可移动桌椅（套）"),
    "other": _l("其他"),
}


def _need_staff(actor: Account | None, school_id: uuid.UUID) -> None:
    if actor is not None and not may(actor, STAFF, school_id):
        raise NotAllowed("staff-only", _l("只有本校教师和管理员可以做这件事。"), remedy=_l("请用教师账号登录。"))


def rooms_of(school_id: uuid.UUID) -> list[Room]:
    """Rooms, labs first."""
    return list(db.session.scalars(select(Room).where(Room.school_id == school_id).order_by(Room.kind.desc(), Room.code)))


def seats_of(room_id: uuid.UUID) -> list[Seat]:
    """Seats of a room by row and column."""
    return list(db.session.scalars(select(Seat).where(Seat.room_id == room_id).order_by(Seat.row, Seat.column)))


def create_room(
    actor: Account | None, school_id: uuid.UUID, code: str, name: str, *, kind: str = "lab", rows: int = 6, columns: int = 8, seats: int | None = None
) -> Room:
    """A room with a grid of numbered seats, front row first (教室与座位); ``code`` (a–z, 0–9, -) names it in device topics.

    ``seats``: how many, filled row by row; None fills the grid, 0 makes none (a classroom without terminals).
    """
    need_admin(actor, school_id)
    code = squeeze(code).lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,15}", code):
        raise Invalid("room-code", _l("教室代号只能用小写字母、数字和连字符，最多 16 个，例如 lab1。"), where="code")
    if not name.strip():
        raise Invalid("room-name", _l("请填写教室名称。"), where="name")
    if kind not in ("lab", "classroom") or not 1 <= rows <= 15 or not 1 <= columns <= 15:
        raise Invalid("room-grid", _l("行数和列数应在 1 到 15 之间。"), where="rows")
    count = rows * columns if seats is None else seats
    if not 0 <= count <= rows * columns:
        raise Invalid("room-seats", _l("座位数超过了行数 × 列数。"), where="seats")
    with write():
        if db.session.scalar(select(Room.id).where(Room.school_id == school_id, Room.code == code)):
            raise Refused("room-exists", _l("代号 %(code)s 已经有教室用了。", code=code), remedy=_l("请换一个代号。"))
        room = Room(id=new_id(), school_id=school_id, code=code, name=name.strip()[:60], kind=kind, rows=rows, columns=columns)
        db.session.add(room)
        db.session.flush()
        db.session.add_all(_seat(room, number, (number - 1) // columns, (number - 1) % columns) for number in range(1, count + 1))
        audit(actor, "create-room", "room", room.id, school_id=school_id, seats=count)
    return room


def _seat(room: Room, number: int, row: int, column: int) -> Seat:
    label = f"{number:02d}"
    return Seat(id=new_id(), school_id=room.school_id, room_id=room.id, label=label, row=row, column=column, terminal=f"t-{room.code}-{label}")


def add_seat(actor: Account | None, room: Room, row: int, column: int) -> Seat:
    """One more seat at a free place of the grid, with the next free number."""
    need_admin(actor, room.school_id)
    if not (0 <= row < room.rows and 0 <= column < room.columns):
        raise Invalid("seat-place", _l("这个位置不在教室里。"), where="row")
    with write():
        seats = seats_of(room.id)
        if any((seat.row, seat.column) == (row, column) for seat in seats):
            raise Refused("seat-taken", _l("这个位置已经有座位。"))
        labels = {seat.label for seat in seats}
        number = next(number for number in range(1, 400) if f"{number:02d}" not in labels)
        seat = _seat(room, number, row, column)
        db.session.add(seat)
        audit(actor, "add-seat", "seat", seat.id, school_id=room.school_id)
    return seat


def arrange(actor: Account | None, room: Room, places: Mapping[uuid.UUID, tuple[int, int]]) -> None:
    """Put seats at places (row, column) of the grid, all at once, as dragged on the seat map."""
    need_admin(actor, room.school_id)
    with write():
        seats = {seat.id: seat for seat in seats_of(room.id)}
        if any(seat_id not in seats for seat_id in places):
            raise Invalid("seat-unknown", _l("座位表已变化，请刷新页面。"), where="places")
        final = {seat.id: places.get(seat.id, (seat.row, seat.column)) for seat in seats.values()}
        if len(set(final.values())) != len(final):
            raise Invalid("seat-taken", _l("两个座位放在了同一个位置。"), where="places")
        if any(not (0 <= row < room.rows and 0 <= column < room.columns) for row, column in places.values()):
            raise Invalid("seat-place", _l("这个位置不在教室里。"), where="places")
        for seat_id, (row, column) in places.items():
            seats[seat_id].row, seats[seat_id].column = row, column
        audit(actor, "arrange-seats", "room", room.id, school_id=room.school_id, seats=len(places))


def issue_enrol_code(actor: Account, seat: Seat) -> str:
    """A code of six digits that enrols this seat's terminal once within 15 minutes (座位登记码)."""
    return issue_enrol_codes(actor, [seat])[seat.id]


def issue_enrol_codes(actor: Account, seats: Sequence[Seat]) -> dict[uuid.UUID, str]:
    """Codes for several seats at once, all different from every code in force."""
    for school_id in {seat.school_id for seat in seats}:
        _need_staff(actor, school_id)
    until = clock.now() + timedelta(minutes=ENROL_MINUTES)
    codes: dict[uuid.UUID, str] = {}
    with write():
        used = set(db.session.scalars(select(Seat.enrol_code).where(Seat.enrol_code.is_not(None))))
        for seat in seats:
            while (code := f"{secrets.randbelow(1000000):06d}") in used:
                pass
            used.add(code)
            seat.enrol_code, seat.enrol_until = code, until
            codes[seat.id] = code
            audit(actor, "issue-enrol-code", "seat", seat.id, school_id=seat.school_id)
    return codes


def enrol_seat(code: str) -> tuple[Seat, str]:
    """Redeem a code: the seat and the secret that its terminal keeps in the cookie. The code dies; an earlier terminal is signed off.

    Raises Invalid for a wrong or old code and TooMany after twenty wrong ones from one address in fifteen minutes.
    """
    now = clock.now()
    subject = f"enrol:{request.remote_addr if request else 'local'}"[:64]
    row = db.session.get(Lockout, subject)
    if row is not None and row.locked_until and row.locked_until > now:
        raise TooMany("enrol-locked", _l("登记码输错太多次。"), remedy=_l("请 15 分钟后再试，或请老师在教室页重新生成登记码。"))
    wanted = squeeze(code)
    secret = secrets.token_urlsafe(24)
    with write():
        seat = db.session.scalar(select(Seat).where(Seat.enrol_code == wanted, Seat.enrol_until > now)) if wanted else None
        if seat is not None:
            seat.enrol_code = seat.enrol_until = None
            seat.key_hash, seat.enrolled_at = fingerprint(secret), now
            audit(None, "enrol-seat", "seat", seat.id, school_id=seat.school_id)
    if seat is None:
        _note_wrong_code(subject)
        raise Invalid("enrol-code", _l("登记码不对或已过期。"), remedy=_l("请老师在“教室”页为这个座位重新生成登记码。"), where="code")
    return seat, secret


def _note_wrong_code(subject: str) -> None:
    now = clock.now()
    with write_apart() as session:
        row = session.get(Lockout, subject)
        if row is None or row.last_at < now - timedelta(minutes=ENROL_MINUTES):
            row = session.merge(Lockout(subject=subject, failures=0, last_at=now, locked_until=None))
        row.failures += 1
        row.last_at = now
        if row.failures >= CODE_FAILURES:
            row.locked_until = now + timedelta(minutes=ENROL_MINUTES)


def revoke_seat(actor: Account, seat: Seat) -> None:
    """Take the enrolment away (撤销登记): the terminal must be enrolled anew."""
    _need_staff(actor, seat.school_id)
    with write():
        seat.key_hash = seat.enrolled_at = seat.enrol_code = seat.enrol_until = None
        audit(actor, "revoke-seat", "seat", seat.id, school_id=seat.school_id)


def set_host_name(actor: Account, seat: Seat, host_name: str) -> None:
    """Register a terminal by host name or fixed address, for PCs that wipe their disk at each start; empty takes it away."""
    need_admin(actor, seat.school_id)
    host_name = squeeze(host_name).lower().rstrip(".")
    if host_name and not re.fullmatch(r"[a-z0-9:][a-z0-9.:_-]{0,79}", host_name):
        raise Invalid("host-name", _l("主机名只能用字母、数字、点和连字符。"), where="host_name")
    with write():
        taken = select(Seat.id).where(Seat.host_name == host_name, Seat.id != seat.id)
        if host_name and db.session.scalar(taken):
            raise Refused("host-taken", _l("这个主机名已登记在另一个座位。"), remedy=_l("请先在那个座位上清除。"))
        seat.host_name = host_name
        audit(actor, "set-host-name", "seat", seat.id, school_id=seat.school_id)


def _signer() -> Signer:
    return Signer(str(current_app.config["SECRET_KEY"]), salt="zhike-seat")


def seat_cookie(seat: Seat, secret: str) -> str:
    """Value of the cookie that makes a browser this seat's terminal: "<seat id>.<secret>", signed."""
    return _signer().sign(f"{seat.id}.{secret}").decode()


def seat_of_request() -> Seat | None:
    """The seat that the asking browser is enrolled at: by its signed cookie, else by its registered host name or address; None elsewhere."""
    raw = request.cookies.get(SEAT_COOKIE, "")
    if raw:
        try:
            seat_id, _dot, secret = _signer().unsign(raw).decode().partition(".")
            seat = db.session.get(Seat, uuid.UUID(seat_id))
        except (BadSignature, ValueError):
            seat = None
        if seat is not None and seat.key_hash and hmac.compare_digest(seat.key_hash, fingerprint(secret)):
            return seat
    return _seat_by_host(request.remote_addr or "")


def _seat_by_host(address: str) -> Seat | None:
    if not address or db.session.scalar(select(Seat.id).where(Seat.host_name != "").limit(1)) is None:
        return None
    seat = db.session.scalar(select(Seat).where(Seat.host_name == address))
    if seat is not None:
        return seat
    name = _host_names.name_of(address)
    wanted = {name, name.partition(".")[0]} - {""}
    return db.session.scalar(select(Seat).where(Seat.host_name.in_(wanted))) if wanted else None


class HostNames:
    """Names of addresses by reverse look-up, kept for five minutes, failures too (主机名)."""

    def __init__(self, keep_s: float = 300.0) -> None:
        self._keep_s = keep_s
        self._known: dict[str, tuple[float, str]] = {}

    def name_of(self, address: str) -> str:
        """Lower-case host name of ``address``; empty where the network knows none."""
        at, name = self._known.get(address, (-self._keep_s, ""))
        if time.monotonic() - at < self._keep_s:
            return name
        try:
            name = socket.gethostbyaddr(address)[0].lower().rstrip(".")
        except OSError:
            name = ""
        if len(self._known) > 2000:
            self._known.clear()
        self._known[address] = (time.monotonic(), name)
        return name


_host_names = HostNames()


def inventory_of(room_id: uuid.UUID) -> list[InventoryItem]:
    """Equipment of a room."""
    return list(db.session.scalars(select(InventoryItem).where(InventoryItem.room_id == room_id).order_by(InventoryItem.category, InventoryItem.name)))


def set_item(
    actor: Account | None,
    room: Room,
    category: str,
    name: str,
    quantity: int,
    *,
    software: str = "",
    note: str = "",
    item: InventoryItem | None = None,
) -> InventoryItem:
    """Enter equipment, or change ``item`` (设备台账)."""
    need_admin(actor, room.school_id)
    if category not in CATEGORIES:
        raise Invalid("category", _l("请选择设备类别。"), where="category")
    if not name.strip():
        raise Invalid("item-name", _l("请填写设备名称或型号。"), where="name")
    if not 1 <= quantity <= 9999:
        raise Invalid("quantity", _l("数量应在 1 到 9999 之间。"), where="quantity")
    with write():
        row = item or InventoryItem(id=new_id(), school_id=room.school_id, room_id=room.id)
        row.category, row.name, row.quantity = category, name.strip()[:80], quantity
        row.software, row.note = software.strip()[:120], note.strip()
        db.session.add(row)
        audit(actor, "set-item", "inventory_item", row.id, school_id=room.school_id, category=category, quantity=quantity)
    return row


def remove_item(actor: Account | None, item: InventoryItem) -> None:
    """Strike equipment off the inventory."""
    need_admin(actor, item.school_id)
    with write():
        audit(actor, "remove-item", "inventory_item", item.id, school_id=item.school_id, category=item.category, quantity=item.quantity)
        db.session.delete(item)


def largest_class(school_id: uuid.UUID, room_id: uuid.UUID) -> int:
    """Pupils of the largest class taught in the room by timetable; else of the largest class that anyone teaches AI to; else 0."""
    school = school_of(school_id)
    today = today_of(school)
    counts = dict(
        db.session.execute(
            select(Enrollment.class_id, func.count())
            .where(Enrollment.school_id == school_id, Enrollment.starts_on <= today, or_(Enrollment.ends_on.is_(None), Enrollment.ends_on >= today))
            .group_by(Enrollment.class_id)
        )
        .all()
    )
    here = db.session.scalars(select(TimetableSlot.class_id).where(TimetableSlot.school_id == school_id, TimetableSlot.room_id == room_id)).all()
    taught = here or db.session.scalars(
        select(TeachingAssignment.class_id).where(
            TeachingAssignment.school_id == school_id, TeachingAssignment.subject.in_(ai_subjects(school.host_subject))
        )
    )
    return max((counts.get(class_id, 0) for class_id in taught), default=0)


def room_needs(room: Room) -> list[Need]:
    """The HN-19 checklist of a room, from its inventory, its seats and the largest class taught there."""
    quantities: dict[str, int] = {}
    software: dict[str, bool] = {}
    for item in inventory_of(room.id):
        quantities[item.category] = quantities.get(item.category, 0) + item.quantity
        software[item.category] = software.get(item.category, False) or bool(item.software)
    seats = db.session.scalar(select(func.count()).select_from(Seat).where(Seat.room_id == room.id)) or 0
    return lab_needs(quantities, software, seats, largest_class(room.school_id, room.id))


def remove_seat(actor: Account | None, seat: Seat) -> None:
    """Take a seat out of the room; refused once lessons refer to it (the database keeps them)."""
    need_admin(actor, seat.school_id)
    if seat.enrolled_at is not None:
        raise Refused("seat-enrolled", _l("座位 %(label)s 的终端还登记着。", label=seat.label), remedy=_l("请先撤销登记。"))
    with write():
        audit(actor, "remove-seat", "seat", seat.id, school_id=seat.school_id)
        db.session.delete(seat)


def clear_old_codes() -> int:
    """Forget enrolment codes whose time is over; returns how many."""
    with write():
        done = db.session.execute(update(Seat).where(Seat.enrol_until <= clock.now()).values(enrol_code=None, enrol_until=None))
    return int(done.rowcount)  # type: ignore[attr-defined]  # CursorResult
