"""Tables of the labs: devices, leases, presence, stops, broker credentials."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow
from lms.labs.cameras import models as cameras  # noqa: F401 (its tables are tables of the labs)
from lms.labs.veyon import models as veyon  # noqa: F401 (its tables are tables of the labs)


class Device(SchoolRow, Base):
    """A kit or camera of a room as the gateways report it (设备). ``state``: Homie state. ``values``: newest readings only. Personal data: none."""

    __tablename__ = "device"
    __table_args__ = (UniqueConstraint("school_id", "homie_id"),)
    homie_id: Mapped[str] = mapped_column(String(60))
    room_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("room.id"))
    gateway: Mapped[str] = mapped_column(String(60), default="")
    profile: Mapped[str] = mapped_column(String(60), default="")
    kind: Mapped[str] = mapped_column(String(12), default="")  # robot | camera | sensor | terminal
    title: Mapped[str] = mapped_column(String(80), default="")
    sticker: Mapped[str] = mapped_column(String(12), default="")
    state: Mapped[str] = mapped_column(String(12), default="init")
    alert: Mapped[str] = mapped_column(String(120), default="")  # all of `alerts` in one line, to be shown
    alerts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # Homie alert id → its text, as long as it stands
    seen_at: Mapped[datetime | None]
    values: Mapped[dict[str, Any]] = mapped_column(default=dict)


class DeviceLease(SchoolRow, Base):
    """A group's right to drive a robot during a lesson (设备租约). Personal data: terminal ids only; 180 days."""

    __tablename__ = "device_lease"
    __table_args__ = (Index("ix_device_lease_school_lesson", "school_id", "lesson_id"), Index("ix_device_lease_device", "device_id"))
    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id"))
    lesson_id: Mapped[uuid.UUID]
    group_no: Mapped[int]
    holder: Mapped[str] = mapped_column(String(40), default="")  # terminal that drives now
    holders: Mapped[list[str]] = mapped_column(default=list)
    until: Mapped[datetime]
    max_linear: Mapped[float]
    max_angular: Mapped[float]
    released_at: Mapped[datetime | None]


class DeviceLessonSummary(SchoolRow, Base):
    """One line a device and lesson (设备日志摘要), never raw readings. Personal data: none; 180 days, then in the usage record only."""

    __tablename__ = "device_lesson_summary"
    __table_args__ = (UniqueConstraint("school_id", "lesson_id", "device_id"),)
    lesson_id: Mapped[uuid.UUID]
    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id"))
    commands: Mapped[int] = mapped_column(default=0)
    stop_confirmed: Mapped[bool | None]
    frames: Mapped[int] = mapped_column(default=0)
    faces_max: Mapped[int] = mapped_column(default=0)
    first_at: Mapped[datetime | None]
    last_at: Mapped[datetime | None]


class TerminalPresence(SchoolRow, Base):
    """Newest sign of life of a seat in a lesson (终端在线). Presence is the age of the heartbeat.

    ``address``: keyed hash of its network address, to see whether many seats share one (B10.6); "" where not known. ``secure``: its page asked
    for its access by HTTPS, and never without; the broker does not know.
    Personal data: which pupil's account sits where during a lesson; heartbeats 180 days, then counts.
    """

    __tablename__ = "terminal_presence"
    __table_args__ = (UniqueConstraint("school_id", "lesson_id", "seat_id"),)
    lesson_id: Mapped[uuid.UUID]
    seat_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seat.id"))
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    beats: Mapped[int] = mapped_column(default=0)
    first_at: Mapped[datetime | None]
    last_at: Mapped[datetime | None]
    step: Mapped[int] = mapped_column(default=0)
    visible: Mapped[bool] = mapped_column(default=True)
    secure: Mapped[bool] = mapped_column(default=False)
    address: Mapped[str] = mapped_column(String(16), default="")


class StopEvent(SchoolRow, Base):
    """An emergency or end-of-lesson stop and what it reached (急停记录). Personal data: account id of who pressed; 3 years.

    A ``stop_id`` that begins with ``check-`` is a lab check's (课前检查): kept a day for its page, never shown as a stop.
    """

    __tablename__ = "stop_event"
    __table_args__ = (Index("ix_stop_event_school_room", "school_id", "room_id"),)
    room_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("room.id"))
    lesson_id: Mapped[uuid.UUID | None]
    stop_id: Mapped[str] = mapped_column(String(40), unique=True)
    requested_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    confirmed: Mapped[list[str]] = mapped_column(default=list)
    unconfirmed: Mapped[list[Any]] = mapped_column(default=list)
    reported_at: Mapped[datetime | None]


class BrokerCredential(SchoolRow, Base):
    """A client of the broker (消息服务凭证) that the bridge provisions again after every reconnect.

    The password is derived from the instance key and ``nonce``; it is stored nowhere. ``rights``: {"send": [...], "receive": [...], "subscribe": [...]}.
    Personal data: none (terminals and consoles, not people); deleted a day after ``expires_at``.
    """

    __tablename__ = "broker_credential"
    __table_args__ = (UniqueConstraint("school_id", "username"),)
    username: Mapped[str] = mapped_column(String(80))
    nonce: Mapped[str] = mapped_column(String(32))
    rights: Mapped[dict[str, Any]]
    lesson_id: Mapped[uuid.UUID | None]
    expires_at: Mapped[datetime]
    revoked: Mapped[bool] = mapped_column(default=False)
    applied_rev: Mapped[int] = mapped_column(default=0)
    rev: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime | None]




class RoomImage(SchoolRow, Base):
    """The secret in the disk image of a room's PCs (教室镜像口令): who has it is a PC of this room, but has no seat yet. Personal data: none."""

    __tablename__ = "room_image"
    __table_args__ = (UniqueConstraint("school_id", "room_id"),)
    room_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("room.id"))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)


class RoomPc(SchoolRow, Base):
    """A PC of a room that runs ``labkit agent`` (学生电脑), known again by its hardware after a boot that wiped its disk.

    ``marks``: ``mac:…`` and ``uuid:…`` of the board when it was first seen. ``seat_id``: bound by staff, None while it waits with ``code`` on its screen.
    ``runs``: the agent's last starts; an earlier one that speaks again is a second PC with the same marks (``clash_at``).
    ``nonce``: of the seat's cookie, new at every binding. ``leave_until``: no full screen till then. Personal data: none (PCs of the school); a waiting one is forgotten after 30 days.
    """

    __tablename__ = "room_pc"
    __table_args__ = (UniqueConstraint("school_id", "seat_id"), UniqueConstraint("school_id", "code"), Index("ix_room_pc_school_room", "school_id", "room_id"))
    room_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("room.id"))
    seat_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("seat.id", ondelete="SET NULL"))
    marks: Mapped[list[str]]
    code: Mapped[str] = mapped_column(String(8))
    host_name: Mapped[str] = mapped_column(String(80), default="")
    kits: Mapped[list[str]] = mapped_column(default=list)
    nonce: Mapped[str] = mapped_column(String(32), default="")
    runs: Mapped[list[str]] = mapped_column(default=list)
    seen_at: Mapped[datetime]
    clash_at: Mapped[datetime | None]
    leave_until: Mapped[datetime | None]
