"""What pages show of a device (设备页): its state in words, what is wrong with it, who holds it, its newest readings."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select

from labkit.homie import property_id
from labkit.model import Title
from lms.core import clock
from lms.core.db import db
from lms.core.errors import NotFound
from lms.labs import rules
from lms.labs.controls import profile_of
from lms.labs.models import Device, DeviceLease
from lms.roster.models import Room, Seat

STATES = {
    "ready": (_l("正常"), "green"),
    "init": (_l("正在连接"), "yellow"),
    "sleeping": (_l("休眠"), "secondary"),
    "disconnected": (_l("已断开"), "secondary"),
    "lost": (_l("失去联系"), "red"),
}
WORRIES = {
    "lost": _l("失去联系：看看电源和网络。"),
    "off": _l("没有接上：请插好线、打开电源。"),
    "starting": _l("还在连接，请稍等。"),
    "battery": _l("电量不足两成，请换电池或充电。"),
    "silent": _l("说自己正常，却还没有消息。"),
}
# What every gateway tells of a robot, in the order of a page; a kit's own readings have their names in its profile.
NAMES = {
    "battery": (_l("电量"), "%"),
    "range": (_l("前方距离"), "cm"),
    "line": (_l("巡线"), ""),
    "light": (_l("光线"), ""),
    "moving": (_l("在动"), ""),
    "linear-x": (_l("前进速度"), "m/s"),
    "angular-z": (_l("转弯速度"), "rad/s"),
    "stop-confirmed": (_l("停止已确认"), ""),
    "commands": (_l("指令数"), ""),
    "faces": (_l("画面里的人脸数"), ""),
    "frames": (_l("已看的画面数"), ""),
    "firmware": (_l("固件版本"), ""),
}
HIDDEN = ("refused", "landmarks")


@dataclass(frozen=True)
class Reading:
    """One newest reading: ``id`` as in the topic ``main/<id>``, its name, its text with the unit."""

    id: str
    name: str
    text: str
    unit: str


@dataclass(frozen=True)
class Holder:
    """Who may drive a robot now: the group, its seats, and the seat at the wheel (empty: nobody)."""

    group_no: int
    seats: tuple[str, ...]
    driver: str


@dataclass(frozen=True)
class Kit:
    """A device as a page shows it; ``number`` is its sticker, or its Homie id where it has none."""

    device: Device
    room: Room
    number: str
    state: str
    colour: str
    worries: tuple[str, ...]
    battery: int | None
    age_s: int | None
    holder: Holder | None

    @property
    def drives(self) -> bool:
        """Whether it can move."""
        return self.device.kind == "robot"


def kits_in(room: Room) -> list[Kit]:
    """Devices of a room, those first that somebody should look at."""
    query = (
        select(Device)
        .where(Device.room_id == room.id, Device.kind != "terminal")
        .order_by(Device.sticker, Device.homie_id)
    )
    devices = list(db.session.scalars(query))
    held = holders([device.id for device in devices])
    kits = [_kit(device, room, held.get(device.id)) for device in devices]
    return sorted(kits, key=lambda kit: not kit.worries)


def kit_of(school_id: uuid.UUID, room_code: str, number: str) -> Kit:
    """The device with this sticker (or Homie id) in a room; raises NotFound."""
    row = db.session.execute(
        select(Device, Room)
        .join(Room, Room.id == Device.room_id)
        .where(
            Room.school_id == school_id,
            Room.code == room_code,
            or_(Device.sticker == number, Device.homie_id == number),
        )
        .order_by(Device.sticker != number)
        .limit(1)
    ).first()
    if row is None:
        raise NotFound(
            "device",
            _l("这个教室里没有 %(n)s 号设备。", n=number),
            remedy=_l("请核对贴纸；新设备要先在网关电脑的 lab.yaml 里登记。"),
        )
    return _kit(row[0], row[1], holders([row[0].id]).get(row[0].id))


def room_by_code(school_id: uuid.UUID, code: str) -> Room:
    """A room by the name it has in topics; raises NotFound."""
    room = db.session.scalar(select(Room).where(Room.school_id == school_id, Room.code == code))
    if room is None:
        raise NotFound("room", _l("没有这个教室。"), remedy=_l("请从“设备”页进入。"))
    return room


def _kit(device: Device, room: Room, holder: Holder | None) -> Kit:
    label, colour = STATES.get(device.state, (device.state, "secondary"))
    found = rules.worries(device.state, device.alert, device.values, heard=device.seen_at is not None)
    told = tuple(device.alert if name == "alert" else str(WORRIES[name]) for name in found)
    age = int((clock.now() - device.seen_at).total_seconds()) if device.seen_at is not None else None
    return Kit(
        device,
        room,
        device.sticker or device.homie_id,
        str(label),
        colour,
        told,
        rules.battery_of(device.values),
        max(0, age) if age is not None else None,
        holder,
    )


def holders(device_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Holder]:
    """Who holds each of these devices by an open lease."""
    leases = list(
        db.session.scalars(
            select(DeviceLease).where(DeviceLease.device_id.in_(device_ids), DeviceLease.released_at.is_(None))
        )
    )
    terminals = {name for lease in leases for name in lease.holders}
    schools = {lease.school_id for lease in leases}
    found = db.session.execute(
        select(Seat.terminal, Seat.label).where(Seat.school_id.in_(schools), Seat.terminal.in_(terminals))
    )
    seats = {row.terminal: row.label for row in found}
    return {
        lease.device_id: Holder(
            lease.group_no,
            tuple(sorted(seats.get(name, name) for name in lease.holders)),
            seats.get(lease.holder, lease.holder),
        )
        for lease in leases
        if lease.until > clock.now()
    }


def readings(device: Device) -> list[Reading]:
    """Newest readings with names and units in the page's language; what no page can show (landmarks) is left out."""
    own = _own_names(device.profile)
    english = str(get_locale()) == "en"
    found = {}
    for topic, value in device.values.items():
        node, _slash, name = topic.partition("/")
        if node != "main" or name in HIDDEN or str(value)[:1] in ("{", "["):
            continue
        title, unit = own.get(name, (None, ""))
        usual = NAMES.get(name)
        label = title.text("en" if english else "zh") if title is not None else str(usual[0]) if usual else name
        found[name] = Reading(name, label, _text(str(value)), "" if unit == "#" else unit or (usual[1] if usual else ""))
    order = [*NAMES, *sorted(found)]
    return sorted(found.values(), key=lambda reading: order.index(reading.id))


def _text(value: str) -> str:
    return str({"true": _("是"), "false": _("否")}.get(value, value.removesuffix(".0")))


def _own_names(profile: str) -> dict[str, tuple[Title, str]]:
    """Homie id → name and unit of a profile's properties; empty for a profile that this server does not have."""
    found = profile_of(profile)
    return {property_id(item.id): (item.title, item.unit) for item in found.properties.values()} if found else {}


def running_lesson(room: Room) -> uuid.UUID | None:
    """The lesson whose groups hold this room's robots, as its leases say."""
    query = select(DeviceLease.lesson_id).join(Device, Device.id == DeviceLease.device_id)
    query = query.where(Device.room_id == room.id, DeviceLease.released_at.is_(None), DeviceLease.until > clock.now())
    return db.session.scalar(query.order_by(DeviceLease.id.desc()).limit(1))


def facts(kit: Kit) -> dict[str, Any]:
    """What the pages' scripts poll and draw."""
    device = kit.device
    return {
        "id": str(device.id),
        "homie": device.homie_id,
        "kind": device.kind,
        "sticker": device.sticker,
        "title": device.title or device.homie_id,
        "state": device.state,
        "state_text": kit.state,
        "colour": kit.colour,
        "worries": list(kit.worries),
        "battery": kit.battery,
        "age_s": kit.age_s,
        "moving": device.values.get("main/moving") == "true",
        "group": kit.holder.group_no if kit.holder else None,
        "readings": {reading.id: [reading.text, reading.unit] for reading in readings(device)},
    }
