"""What lessons ask of the lab: credentials, lesson state, leases, stops, presence (实验室服务)."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import delete, select, update

from labkit import boards
from labkit.api import LOOKS
from labkit.broker import RoleSpec
from labkit.lab import load_lab
from lms.config import kept_secret
from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.models import Account, OutboxMessage
from lms.core.outbox import to_mqtt
from lms.labs import pc_rules, rules
from lms.labs.controls import acts as acts
from lms.labs.controls import caps_of as caps_of
from lms.labs.controls import drives as drives
from lms.labs.controls import notebook_sets
from lms.labs.models import (
    BrokerCredential,
    Device,
    DeviceLease,
    DeviceLessonSummary,
    RoomPc,
    StopEvent,
    TerminalPresence,
)
from lms.roster.models import Room, Seat

CONSOLE_HOURS = 4
LESSON_HOURS = 3
TERM = timedelta(days=180)
FOREVER = timedelta(days=3650)


@dataclass(frozen=True)
class Credential:
    """What a client needs to reach the broker; ``ready`` once the bridge has provisioned it."""

    username: str
    password: str
    client_id: str
    ws_path: str
    ws_port: int
    wss_port: int
    room: str
    ready: bool


def _key() -> str:
    return kept_secret(current_app.config["ZHIKE"].data_dir / "keys" / "broker")


def password_of(row: BrokerCredential) -> str:
    """The password of a broker client, derived anew."""
    return rules.derived_password(_key(), row.username, row.nonce)


def _credential(row: BrokerCredential, room: str) -> Credential:
    settings = current_app.config["ZHIKE"]
    # A terminal is bound to one client id: with a free choice it could take over, and so throw out, any other client.
    client_id = row.username if pc_rules.bound_client(row.username, row.lesson_id) else f"{row.username}-{secrets.token_hex(4)}"
    return Credential(
        row.username, password_of(row), client_id, "/mqtt", settings.mqtt_ws_port, settings.mqtt_wss_port, room, row.applied_rev >= row.rev
    )


def _ensure(school_id: uuid.UUID, username: str, rights: rules.Rights, lesson_id: uuid.UUID | None, until: datetime) -> BrokerCredential:
    """Make or renew a broker client; a new lesson or an expiry gives a new password. Changed rights raise ``rev``."""
    row = db.session.scalar(select(BrokerCredential).where(BrokerCredential.school_id == school_id, BrokerCredential.username == username))
    now = clock.now()
    wanted = rights.to_json()
    if row is None:
        row = BrokerCredential(
            id=new_id(),
            school_id=school_id,
            username=username,
            nonce=secrets.token_hex(16),
            rights=wanted,
            lesson_id=lesson_id,
            expires_at=until,
            revoked=False,
            rev=1,
            applied_rev=0,
        )
        db.session.add(row)
    elif row.revoked or row.expires_at <= now or row.lesson_id != lesson_id:
        row.nonce, row.rights, row.lesson_id, row.revoked = secrets.token_hex(16), wanted, lesson_id, False
        row.expires_at, row.rev = until, row.rev + 1
    elif row.rights != wanted:
        row.rights, row.rev = wanted, row.rev + 1
    row.updated_at = now
    return row


def _cameras(room_id: uuid.UUID) -> list[str]:
    return sorted(db.session.scalars(select(Device.homie_id).where(Device.room_id == room_id, Device.kind == "camera")))


def open_terminals(room: Room, lesson_id: uuid.UUID) -> None:
    """Provision every seat of the room for a lesson at once, so that no pupil waits for it at sign-in; joins the open write."""
    until = clock.now() + timedelta(hours=LESSON_HOURS)
    with write():
        cameras = _cameras(room.id)
        for seat in db.session.scalars(select(Seat).where(Seat.room_id == room.id)):
            _ensure(room.school_id, seat.terminal, rules.terminal_rights(seat.terminal, room.code, [], cameras), lesson_id, until)


def terminal_credential(seat: Seat, room: Room, lesson_id: uuid.UUID, robots: Iterable[str] = ()) -> Credential:
    """Short-lived credential of a pupil's terminal for this lesson; may read ``robots`` (Homie ids of its group)."""
    wanted = rules.terminal_rights(seat.terminal, room.code, sorted(robots), _cameras(room.id))
    row = db.session.scalar(select(BrokerCredential).where(BrokerCredential.school_id == room.school_id, BrokerCredential.username == seat.terminal))
    if row is None or row.revoked or row.lesson_id != lesson_id or row.rights != wanted.to_json() or row.expires_at <= clock.now():
        with write():
            row = _ensure(room.school_id, seat.terminal, wanted, lesson_id, clock.now() + timedelta(hours=LESSON_HOURS))
    return _credential(row, room.code)


def console_credential(account: Account, room: Room) -> Credential:
    """Credential of a teacher's console for one room; renewed after four hours."""
    username = f"console-{account.id.hex[-12:]}-{room.code}"
    row = db.session.scalar(select(BrokerCredential).where(BrokerCredential.school_id == room.school_id, BrokerCredential.username == username))
    wanted = rules.console_rights(room.code, username)
    if row is None or row.revoked or row.rights != wanted.to_json() or row.expires_at <= clock.now() + timedelta(hours=1):
        with write():
            row = _ensure(room.school_id, username, wanted, None, clock.now() + timedelta(hours=CONSOLE_HOURS))
    return _credential(row, room.code)


def gateway_credential(school_id: uuid.UUID, gateway: str, lab_file: Path | None = None) -> Credential:
    """Standing credential of a gateway PC: it sees strangers, and reaches the boards of other makers that stand in its lab file.

    Without the lab file the boards that it could reach before stay reachable.
    """
    spaces = boards.spaces(load_lab(lab_file).devices).values() if lab_file is not None else ()
    rights = _granted(boards.gateway_role(gateway, spaces))
    with write():
        return _credential(_gateway(school_id, gateway, rights, anew=lab_file is not None), "")


def board_passwords(school_id: uuid.UUID, lab_file: Path) -> dict[str, str]:
    """Standing credentials of all boards of a lab file that are on the broker by themselves, and of its rooms' simulated tables: password by Homie id.

    What ``boards.json`` of ``labkit simulate`` holds.
    """
    found = load_lab(lab_file)
    on_broker = [device.id for device in found.devices if device.scheme == "mqtt"]
    made = {name: board_credential(school_id, name, lab_file).password for name in on_broker}
    return made | {table: board_credential(school_id, table).password for table in map(rules.table_of, found.rooms)}


def write_passwords(path: Path, passwords: dict[str, str]) -> None:
    """Write ``boards.json``, readable by this user only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(passwords, file, ensure_ascii=False, indent=1)


def widen_gateway(school_id: uuid.UUID, gateway: str, own: boards.Space) -> None:
    """Let a gateway reach one board more; joins the open write."""
    with write():
        _gateway(school_id, gateway, _granted(boards.gateway_role(gateway, [own])), anew=False)


def _gateway(school_id: uuid.UUID, gateway: str, rights: rules.Rights, *, anew: bool) -> BrokerCredential:
    query = select(BrokerCredential.rights).where(BrokerCredential.school_id == school_id, BrokerCredential.username == gateway)
    before = None if anew else db.session.scalar(query)
    if before is not None:
        send, receive = (tuple(dict.fromkeys((*new, *before[key]))) for key, new in (("send", rights.send), ("receive", rights.receive)))
        rights = rules.Rights(send, receive)
    return _ensure(school_id, gateway, rights, None, clock.now() + FOREVER)


def foreign_credential(school_id: uuid.UUID, device: str, own: boards.Space) -> Credential:
    """Standing credential of a board of another maker: its own topics only."""
    with write():
        return _credential(_ensure(school_id, device, _granted(own.role(device)), None, clock.now() + FOREVER), "")


def notebook_credential(room: Room) -> Credential:
    """Credential of a room's notebooks for half a year; asked for again it has the robots that came since."""
    devices = devices_in(room.id)
    sets = {device.homie_id: notebook_sets(device.profile) for device in devices if device.kind == "robot"}
    gateways = sorted({device.gateway for device in devices if device.gateway})
    sensors = [device.homie_id for device in devices if device.kind == "sensor"]
    rights = rules.notebook_rights(room.code, gateways, sets, sensors, LOOKS)
    with write():
        return _credential(_ensure(room.school_id, rules.notebook_user(room.code), rights, None, clock.now() + TERM), room.code)


def table_credential(school_id: uuid.UUID, room_code: str) -> Credential:
    """Standing credential of a room's simulated table."""
    return board_credential(school_id, rules.table_of(room_code))


def board_credential(school_id: uuid.UUID, device: str, lab_file: Path | None = None) -> Credential:
    """Standing credential of a board that is on the broker by itself; one of another maker gets the topics of its lab file's entry."""
    own = boards.spaces(load_lab(lab_file).devices).get(device) if lab_file is not None else None
    rights = rules.board_rights(device) if own is None else _granted(own.role(device))
    with write():
        return _credential(_ensure(school_id, device, rights, None, clock.now() + FOREVER), "")


def agent_credential(seat: Seat, room: Room, kits: Sequence[str]) -> Credential:
    """Standing credential of the agent on a seat's PC, until :func:`end_agent`."""
    rights = pc_rules.agent_rights(seat.terminal, room.code, kits)
    username = pc_rules.agent_user(seat.terminal)
    row = db.session.scalar(select(BrokerCredential).where(BrokerCredential.school_id == room.school_id, BrokerCredential.username == username))
    if row is None or row.revoked or row.rights != rights.to_json() or row.expires_at <= clock.now():
        with write():
            row = _ensure(room.school_id, username, rights, None, clock.now() + FOREVER)
    return _credential(row, room.code)


def has_agent(seat: Seat) -> bool:
    """Whether a PC whose agent has kits is bound to the seat: it, not the page, then speaks for the terminal's ``$state``."""
    return bool(db.session.scalar(select(RoomPc.kits).where(RoomPc.school_id == seat.school_id, RoomPc.seat_id == seat.id)))


def end_agent(seat: Seat) -> None:
    """The agent at a seat loses the broker; the next one gets another password. Joins the open write."""
    with write():
        db.session.execute(
            update(BrokerCredential)
            .where(BrokerCredential.school_id == seat.school_id, BrokerCredential.username == pc_rules.agent_user(seat.terminal), BrokerCredential.revoked.is_(False))
            .values(revoked=True, rev=BrokerCredential.rev + 1, updated_at=clock.now())
        )


def forget_kits(seat: Seat) -> None:
    """The kits of the PC that sat here leave the room's devices, and the broker's memory. Joins the open write."""
    with write():
        for device in db.session.scalars(select(Device).where(Device.school_id == seat.school_id, Device.gateway == seat.terminal)):
            device.room_id = None
            for topic in ("$state", "$description"):
                to_mqtt(seat.school_id, f"{rules.HOMIE}/{device.homie_id}/{topic}", None, retain=True)
        to_mqtt(seat.school_id, f"zhike/gateway/{seat.terminal}/devices", None, retain=True)


def _granted(role: RoleSpec) -> rules.Rights:
    return rules.Rights(role.send, role.receive)


def retire_credentials(lesson_id: uuid.UUID) -> None:
    """The terminals of an ended lesson lose the broker; the bridge disconnects them."""
    with write():
        db.session.execute(
            update(BrokerCredential)
            .where(BrokerCredential.lesson_id == lesson_id, BrokerCredential.revoked.is_(False))
            .values(revoked=True, rev=BrokerCredential.rev + 1, updated_at=clock.now())
        )


def publish_lesson(school_id: uuid.UUID, room_code: str, payload: dict[str, Any] | None) -> None:
    """Retained lesson state of a room; None when the room is free."""
    to_mqtt(school_id, rules.lesson_topic(room_code), payload, retain=True)


def devices_in(room_id: uuid.UUID) -> list[Device]:
    """Robots, cameras and sensors of a room by sticker."""
    return list(db.session.scalars(select(Device).where(Device.room_id == room_id, Device.kind != "terminal").order_by(Device.sticker, Device.homie_id)))


def grant_lease(
    actor: Account,
    lesson_id: uuid.UUID,
    device: Device,
    group_no: int,
    holders: Sequence[str],
    holder: str,
    until: datetime,
    max_linear: float,
    max_angular: float,
) -> DeviceLease:
    """Hand a robot to a group until the lesson's end; an older lease of the device in this lesson ends."""
    with write():
        for old in db.session.scalars(select(DeviceLease).where(DeviceLease.device_id == device.id, DeviceLease.released_at.is_(None))):
            old.released_at = clock.now()
        lease = DeviceLease(
            id=new_id(),
            school_id=device.school_id,
            device_id=device.id,
            lesson_id=lesson_id,
            group_no=group_no,
            holder=holder,
            holders=list(holders),
            until=until,
            max_linear=max_linear,
            max_angular=max_angular,
        )
        db.session.add(lease)
        _publish_lease(device, lease)
        audit(actor, "grant-lease", "device", device.id, group=group_no, lesson=str(lesson_id))
        return lease


def pass_wheel(actor: Account, lease: DeviceLease, holder: str) -> None:
    """Another terminal of the group drives now."""
    with write():
        device = db.session.get_one(Device, lease.device_id)
        lease.holder = holder
        _publish_lease(device, lease)
        audit(actor, "pass-wheel", "device", device.id, holder=holder)


def _publish_lease(device: Device, lease: DeviceLease) -> None:
    room = db.session.get(Room, device.room_id)
    if room is None:
        return
    payload = {
        "device": device.homie_id,
        "holder": lease.holder,
        "holders": lease.holders,
        "lesson": str(lease.lesson_id),
        "until": lease.until.isoformat(),
        "max_linear": lease.max_linear,
        "max_angular": lease.max_angular,
    }
    to_mqtt(device.school_id, rules.lease_topic(room.code, device.homie_id), payload, retain=True)


def open_leases(lesson_id: uuid.UUID) -> list[DeviceLease]:
    """Leases in force in a lesson."""
    return list(db.session.scalars(select(DeviceLease).where(DeviceLease.lesson_id == lesson_id, DeviceLease.released_at.is_(None))))


def release_leases(actor: Account | None, lesson_id: uuid.UUID) -> None:
    """Nobody drives any more: leases end with the lesson."""
    with write():
        for lease in open_leases(lesson_id):
            _end_lease(lease)
        audit(actor, "release-leases", "lesson", lesson_id)


def release_lease(actor: Account, lease: DeviceLease) -> None:
    """Take one robot back; the other robots of the lesson drive on. One that has ended already stays as it is."""
    with write():
        if lease.released_at is None:
            _end_lease(lease)
            audit(actor, "release-lease", "device", lease.device_id, group=lease.group_no, lesson=str(lease.lesson_id))


def _end_lease(lease: DeviceLease) -> None:
    lease.released_at = clock.now()
    device = db.session.get_one(Device, lease.device_id)
    room = db.session.get(Room, device.room_id)
    if room is not None:
        to_mqtt(device.school_id, rules.lease_topic(room.code, device.homie_id), None, retain=True)


def identify(actor: Account, device: Device) -> None:
    """Let a device blink or beep, so that everybody sees which one it is (认一认)."""
    with write():
        topic = f"{rules.HOMIE}/{device.homie_id}/main/identify/set"
        db.session.add(OutboxMessage(school_id=device.school_id, destination="mqtt", topic=topic, payload="identify", retain=False))
        audit(actor, "identify", "device", device.id, school_id=device.school_id)


def stop_room(
    actor: Account | None, room: Room, lesson_id: uuid.UUID | None, stop_id: str | None = None, devices: Sequence[Device] = ()
) -> StopEvent:
    """Stop every robot of a room (急停), or only ``devices``; the page has already published the same ``stop_id`` itself, if it could.

    Until a gateway has answered, ``unconfirmed`` holds the devices that were named.
    """
    key = (stop_id or str(new_id()))[:40]
    with write():
        event = db.session.scalar(select(StopEvent).where(StopEvent.stop_id == key))
        if event is not None:
            return event
        event = StopEvent(
            id=new_id(),
            school_id=room.school_id,
            room_id=room.id,
            lesson_id=lesson_id,
            stop_id=key,
            requested_by=actor.id if actor else None,
            unconfirmed=[{"device": device.homie_id, "sticker": device.sticker, "code": "no_answer"} for device in devices],
        )
        db.session.add(event)
        check = rules.is_check(key)
        by = "lab-check" if check else "system" if actor is None else "pupil" if actor.kind == "student" else "teacher"
        to_mqtt(room.school_id, rules.stop_topic(room.code), rules.stop_order(key, by, clock.now(), [device.homie_id for device in devices]))
        audit(actor, "check-robots" if check else "stop-robots", "room", room.id, school_id=room.school_id, stop=key)
        return event


def stop_report(stop_id: str) -> dict[str, Any]:
    """What a stop reached: ``reported`` False while the gateway has not answered."""
    event = db.session.scalar(select(StopEvent).where(StopEvent.stop_id == stop_id))
    if event is None:
        return {"id": stop_id, "reported": False, "confirmed": [], "unconfirmed": []}
    return {"id": stop_id, "reported": event.reported_at is not None, "confirmed": event.confirmed, "unconfirmed": event.unconfirmed}


def presence(lesson_id: uuid.UUID) -> list[TerminalPresence]:
    """Newest sign of life of each seat of a lesson."""
    return list(db.session.scalars(select(TerminalPresence).where(TerminalPresence.lesson_id == lesson_id)))


def note_heartbeat(
    school_id: uuid.UUID, seat_id: uuid.UUID, account_id: uuid.UUID | None, lesson_id: uuid.UUID, step: int, visible: bool, secure: bool, at: datetime
) -> None:
    """A heartbeat of a seat by HTTP, where MQTT is blocked."""
    with write():
        row = _presence_of(school_id, lesson_id, seat_id, secure)
        row.first_at = row.first_at or at
        row.beats += 1
        row.last_at, row.step, row.visible = at, step, visible
        row.account_id = account_id or row.account_id


def note_address(school_id: uuid.UUID, seat_id: uuid.UUID, lesson_id: uuid.UUID, address: str, secure: bool) -> None:
    """Keep a keyed hash of the address that a seat's terminal speaks from in this lesson, and whether it came by HTTPS."""
    key = current_app.config["SECRET_KEY"].encode()
    hashed = hmac.new(key, f"address:{address}".encode(), hashlib.sha256).hexdigest()[:16]
    with write():
        _presence_of(school_id, lesson_id, seat_id, secure).address = hashed


def _presence_of(school_id: uuid.UUID, lesson_id: uuid.UUID, seat_id: uuid.UUID, secure: bool) -> TerminalPresence:
    """The seat's row of the lesson; one plain request makes it insecure for the whole lesson."""
    row = db.session.scalar(
        select(TerminalPresence).where(
            TerminalPresence.school_id == school_id, TerminalPresence.lesson_id == lesson_id, TerminalPresence.seat_id == seat_id
        )
    )
    if row is None:
        row = TerminalPresence(id=new_id(), school_id=school_id, lesson_id=lesson_id, seat_id=seat_id, beats=0, secure=secure)
        db.session.add(row)
    row.secure = row.secure and secure
    return row


def lesson_devices(lesson_id: uuid.UUID) -> list[DeviceLessonSummary]:
    """One summary a device of the lesson."""
    return list(db.session.scalars(select(DeviceLessonSummary).where(DeviceLessonSummary.lesson_id == lesson_id)))


def stop_events(lesson_id: uuid.UUID) -> list[StopEvent]:
    """Stops during a lesson, oldest first; not those of lab checks."""
    query = select(StopEvent).where(StopEvent.lesson_id == lesson_id, ~StopEvent.stop_id.startswith(rules.CHECK))
    return list(db.session.scalars(query.order_by(StopEvent.id)))


def forget_old(now: datetime) -> int:
    """Retention: presence and leases older than 180 days, checks and broker clients a day after their end; returns rows deleted."""
    gone = 0
    with write():
        for statement in (
            delete(TerminalPresence).where(TerminalPresence.created_at < now - timedelta(days=180)),
            delete(DeviceLease).where(DeviceLease.created_at < now - timedelta(days=180)),
            delete(StopEvent).where(StopEvent.stop_id.startswith(rules.CHECK), StopEvent.created_at < now - timedelta(days=1)),
            delete(RoomPc).where(RoomPc.seat_id.is_(None), RoomPc.seen_at < now - timedelta(days=30)),
            delete(BrokerCredential).where(BrokerCredential.revoked.is_(True), BrokerCredential.updated_at < now - timedelta(days=1)),
        ):
            gone += db.session.execute(statement).rowcount  # type: ignore[attr-defined]  # a CursorResult for DML
    return gone
