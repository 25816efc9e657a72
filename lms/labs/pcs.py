"""PCs of a room that run ``labkit agent`` (学生电脑): known again after a wiped boot, bound to seats by staff, revocable.

A PC shows two things: the secret of its room's disk image, which is the same on forty PCs, and its hardware, which is not. The secret
makes it a PC of the room; only a person gives it a seat.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from flask_babel import lazy_gettext as _l
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import func, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import fingerprint, may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account
from lms.labs import pc_rules, rules, service
from lms.labs.models import RoomImage, RoomPc
from lms.roster import service as roster
from lms.roster.models import Room, Seat

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that can be misread
SECRET_GROUPS, CODE_LENGTH = 5, 4
TICKET_S = 86400
LIVE = timedelta(minutes=2)
CLASH_STANDS = timedelta(minutes=10)
LEAVE = timedelta(minutes=30)
MOST_WAITING = 120
STAFF = ("teacher", "school_admin")


@dataclass(frozen=True)
class Facts:
    """What an agent says of its PC; ``run`` is new at each start of the agent."""

    marks: tuple[str, ...]
    run: str
    host_name: str = ""
    kits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """Where a PC stands: ``state`` is ``bound`` | ``waiting`` | ``clash``; ``credential`` only where it is bound and has kits."""

    state: str
    pc: RoomPc
    room: Room
    seat: Seat | None = None
    credential: service.Credential | None = None


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_image(actor: Account, room: Room) -> str:
    """A new secret for the room's disk image, shown once; the old one ends, and with it the agents that still use it."""
    _need(actor, room, ("school_admin",))
    secret = "-".join(_random(5) for _ in range(SECRET_GROUPS))
    with write():
        _end_image(room)
        db.session.add(RoomImage(id=new_id(), school_id=room.school_id, room_id=room.id, key_hash=fingerprint(secret.replace("-", ""))))
        audit(actor, "new-room-image", "room", room.id, school_id=room.school_id)
    return secret


def revoke_image(actor: Account, room: Room) -> None:
    """The image's secret ends: its PCs are strangers until a new one is typed in. Their seats stay reserved for them."""
    _need(actor, room, ("school_admin",))
    with write():
        _end_image(room)
        audit(actor, "revoke-room-image", "room", room.id, school_id=room.school_id)


def _end_image(room: Room) -> None:
    old = image_of(room)
    if old is not None:
        db.session.delete(old)
        db.session.flush()
    for seat in db.session.scalars(select(Seat).join(RoomPc, RoomPc.seat_id == Seat.id).where(RoomPc.room_id == room.id)):
        service.end_agent(seat)


def image_of(room: Room) -> RoomImage | None:
    """The secret in force, if there is one."""
    return db.session.scalar(select(RoomImage).where(RoomImage.school_id == room.school_id, RoomImage.room_id == room.id))


def _need(actor: Account, room: Room, roles: tuple[str, ...]) -> None:
    if not may(actor, roles, room.school_id):
        raise NotAllowed("staff-only", _l("只有本校教师和管理员可以做这件事。"), remedy=_l("请用教师账号登录。"))


def hello(secret: str, facts: Facts) -> Standing:
    """An agent says who it is.

    Raises NotAllowed for a wrong or revoked secret, Invalid for facts that tell no PC apart, Refused where too many PCs wait.
    """
    image = db.session.scalar(select(RoomImage).where(RoomImage.key_hash == fingerprint(secret.strip().upper().replace("-", ""))))
    if image is None:
        raise NotAllowed("room-secret", _l("教室口令不对或已作废。"), remedy=_l("请管理员在“教室 → 电脑”页生成新口令，写进镜像。"))
    marks = pc_rules.read_marks(facts.marks)
    if not marks:
        raise Invalid("pc-marks", _l("这台电脑没有能认出它的网卡号或主板号。"), remedy=_l("请检查网卡；虚拟机请给每台不同的网卡号。"), where="marks")
    if not pc_rules.are_kits(facts.kits):
        raise Invalid("pc-kits", _l("设备名只能用小写字母开头的字母、数字和连字符，最多 8 台。"), where="kits")
    room, now = db.session.get_one(Room, image.room_id), clock.now()
    with write():
        pc = _recognised(room, marks) or _stranger(room, marks, now)
        _note(pc, facts, now)
    seat = seat_of(pc)
    if seat is None and pc.seat_id is not None:
        end_orphans()
    if clashes(pc):
        if seat is not None:
            service.end_agent(seat)
        return Standing("clash", pc, room)
    if seat is None:
        return Standing("waiting", pc, room)
    return Standing("bound", pc, room, seat, service.agent_credential(seat, room, pc.kits) if pc.kits else None)


def _recognised(room: Room, marks: tuple[str, ...]) -> RoomPc | None:
    rows = list(db.session.scalars(select(RoomPc).where(RoomPc.school_id == room.school_id, RoomPc.room_id == room.id)))
    exact = [row for row in rows if row.marks == list(marks)]
    found = exact or [row for row in rows if pc_rules.same_pc(row.marks, marks)]
    return found[0] if len(found) == 1 else None


def _stranger(room: Room, marks: tuple[str, ...], now: datetime) -> RoomPc:
    waiting = select(func.count()).select_from(RoomPc).where(RoomPc.school_id == room.school_id, RoomPc.room_id == room.id, RoomPc.seat_id.is_(None))
    if (db.session.scalar(waiting) or 0) >= MOST_WAITING:
        raise Refused("pcs-waiting", _l("等待登记的电脑太多。"), remedy=_l("请管理员在“教室 → 电脑”页清除不认识的电脑。"))
    used = set(db.session.scalars(select(RoomPc.code).where(RoomPc.school_id == room.school_id)))
    while (code := _random(CODE_LENGTH)) in used:
        pass
    pc = RoomPc(id=new_id(), school_id=room.school_id, room_id=room.id, marks=list(marks), code=code, seen_at=now, kits=[], runs=[])
    db.session.add(pc)
    return pc


def _note(pc: RoomPc, facts: Facts, now: datetime) -> None:
    """Keep what changed; a word that changes nothing is written down once a minute."""
    runs, again = pc_rules.heard_run(pc.runs, facts.run[:32])
    if again and now - pc.seen_at < LIVE:
        pc.clash_at = now
    if runs != pc.runs:
        pc.runs, pc.seen_at = runs, now
    elif now - pc.seen_at > timedelta(minutes=1):
        pc.seen_at = now
    host, kits = facts.host_name[:80], sorted(facts.kits)
    if (pc.host_name, pc.kits) != (host, kits):
        pc.host_name, pc.kits = host, kits


def _cookie_secret(pc: RoomPc) -> str:
    return rules.derived_password(str(current_app.config["SECRET_KEY"]), f"pc:{pc.id}", pc.nonce)


def seat_of(pc: RoomPc) -> Seat | None:
    """The seat that the PC is bound to; None once the seat was revoked or enrolled by a code elsewhere."""
    seat = db.session.get(Seat, pc.seat_id) if pc.seat_id is not None else None
    return seat if seat is not None and seat.key_hash == fingerprint(_cookie_secret(pc)) else None


def clashes(pc: RoomPc) -> bool:
    """Whether two PCs called themselves this one a moment ago: neither may sit there."""
    return pc.clash_at is not None and clock.now() - pc.clash_at < CLASH_STANDS


def end_orphans() -> None:
    """PCs whose seat was revoked in the seat plan, or enrolled by a code elsewhere, lose the broker too."""
    gone = [pc for pc in db.session.scalars(select(RoomPc).where(RoomPc.seat_id.is_not(None))) if seat_of(pc) is None]
    if not gone:
        return
    with write():
        for pc in gone:
            seat = db.session.get_one(Seat, pc.seat_id)
            service.end_agent(seat)
            service.forget_kits(seat)
            pc.seat_id = None


def cookie_of(pc: RoomPc, seat: Seat) -> str:
    """The cookie that makes the PC's browser the seat's terminal."""
    return roster.seat_cookie(seat, _cookie_secret(pc))


def _tickets() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.config["SECRET_KEY"]), salt="zhike-pc")


def ticket(pc: RoomPc) -> str:
    """What opens the PC's own page in its browser, for a day."""
    return str(_tickets().dumps(str(pc.id)))


def by_ticket(text: str) -> RoomPc:
    """The PC of a ticket; raises NotFound for an old or foreign one."""
    try:
        pc = db.session.get(RoomPc, uuid.UUID(_tickets().loads(text, max_age=TICKET_S)))
    except (BadData, ValueError, TypeError):
        pc = None
    if pc is None:
        raise NotFound("pc-ticket", _l("这个页面已经过期。"), remedy=_l("请重新启动这台电脑。"))
    return pc


def pcs_of(room: Room) -> list[RoomPc]:
    """PCs of a room, waiting ones first, then by host name."""
    query = select(RoomPc).where(RoomPc.school_id == room.school_id, RoomPc.room_id == room.id)
    return sorted(db.session.scalars(query), key=lambda pc: (pc.seat_id is not None, pc.host_name, pc.code))


def bind(actor: Account, pc: RoomPc, seat: Seat) -> None:
    """Give the PC a seat (绑定座位). Two bound PCs change places; a waiting one sends the PC that was there back to waiting."""
    room = db.session.get_one(Room, pc.room_id)
    _need(actor, room, STAFF)
    if seat.room_id != room.id:
        raise Invalid("seat-elsewhere", _l("这个座位在另一间教室。"), where="seat")
    with write():
        other = db.session.scalar(select(RoomPc).where(RoomPc.school_id == room.school_id, RoomPc.seat_id == seat.id, RoomPc.id != pc.id))
        before = seat_of(pc)
        if other is not None:
            other.seat_id = None
            db.session.flush()
        _seat(actor, pc, seat)
        if other is not None and before is not None and before.id != seat.id:
            _seat(actor, other, before)
        elif before is not None and before.id != seat.id:
            roster.revoke_seat(actor, before)
            service.end_agent(before)
            service.forget_kits(before)
        pc.clash_at = None
        _forget_marks(room, pc)


def _seat(actor: Account, pc: RoomPc, seat: Seat) -> None:
    service.end_agent(seat)
    service.forget_kits(seat)
    pc.seat_id, pc.nonce = seat.id, secrets.token_hex(16)
    seat.enrol_code = seat.enrol_until = None
    seat.key_hash, seat.enrolled_at = fingerprint(_cookie_secret(pc)), clock.now()
    db.session.flush()
    audit(actor, "bind-pc", "seat", seat.id, school_id=seat.school_id, pc=str(pc.id))


def _forget_marks(room: Room, pc: RoomPc) -> None:
    """Nobody else has this PC's marks: rows of a card that has moved here end, unless they still hold a seat."""
    for row in pcs_of(room):
        if row.id != pc.id and row.seat_id is None and pc_rules.same_pc(row.marks, pc.marks):
            db.session.delete(row)


def bind_suggested(actor: Account, room: Room) -> int:
    """Bind every waiting PC to the free seat that its host name names; returns how many."""
    wished = suggestions(room)
    seats = {seat.label: seat for seat in roster.seats_of(room.id)}
    with write():
        for pc in pcs_of(room):
            if str(pc.id) in wished:
                bind(actor, pc, seats[wished[str(pc.id)]])
    return len(wished)


def suggestions(room: Room) -> dict[str, str]:
    """PC id → label of the free seat that its host name ends in."""
    waiting = {str(pc.id): pc.host_name for pc in pcs_of(room) if seat_of(pc) is None}
    return pc_rules.suggested(waiting, [seat.label for seat in roster.seats_of(room.id) if not seat.key_hash])


def release(actor: Account, pc: RoomPc) -> None:
    """Take the PC's seat (撤销): its page and its kits' agent end; it waits with its code again."""
    room = db.session.get_one(Room, pc.room_id)
    _need(actor, room, STAFF)
    with write():
        seat = seat_of(pc)
        if seat is not None:
            roster.revoke_seat(actor, seat)
            service.end_agent(seat)
            service.forget_kits(seat)
        pc.seat_id, pc.nonce, pc.clash_at = None, "", None
        audit(actor, "release-pc", "room", room.id, school_id=room.school_id, pc=str(pc.id))


def forget(actor: Account, pc: RoomPc) -> None:
    """Strike a PC off (清除); with the image's secret it comes back as a stranger."""
    with write():
        release(actor, pc)
        db.session.delete(pc)


def leave_full_screen(actor: Account, pc: RoomPc) -> None:
    """Let the technician at that PC: no full screen for half an hour (退出全屏)."""
    room = db.session.get_one(Room, pc.room_id)
    _need(actor, room, STAFF)
    with write():
        pc.leave_until = clock.now() + LEAVE
        audit(actor, "leave-full-screen", "room", room.id, school_id=room.school_id, pc=str(pc.id))
