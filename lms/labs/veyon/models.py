"""Tables: the room's WebAPI, the PC at a seat, what was ordered and what came of it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow


class RoomVeyon(SchoolRow, Base):
    """A room's Veyon WebAPI (教室的 Veyon). ``method``: key | logon; the key or password itself lies in ``<data_dir>/keys/``. Personal data: none."""

    __tablename__ = "room_veyon"
    __table_args__ = (UniqueConstraint("school_id", "room_id"),)
    room_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("room.id"))
    url: Mapped[str] = mapped_column(String(200))
    method: Mapped[str] = mapped_column(String(8), default="key")
    name: Mapped[str] = mapped_column(String(80))
    certificate: Mapped[str] = mapped_column(Text, default="")


class SeatPc(SchoolRow, Base):
    """Where the PC of a seat is found (座位的电脑): ``address`` for Veyon, ``mac`` to wake it. Personal data: none."""

    __tablename__ = "seat_pc"
    __table_args__ = (UniqueConstraint("school_id", "seat_id"),)
    seat_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seat.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(String(80), default="")
    mac: Mapped[str] = mapped_column(String(17), default="")


class PcOrder(SchoolRow, Base):
    """Something asked of a room's PCs (电脑指令), carried out by the bridge. ``action``: lock | unlock | restart | shut-down | wake | screens | test.

    ``state``: waiting | running | done | cancelled. ``not_before``: till then it can be taken back. ``until``: end of a look at screens.
    ``results``: seat id → ``ok`` or the code of what went wrong. No picture is ever kept. Personal data: account id of who ordered; 180 days.
    """

    __tablename__ = "pc_order"
    __table_args__ = (
        Index("ix_pc_order_school_state", "school_id", "state"),
        Index("ix_pc_order_school_lesson", "school_id", "lesson_id"),
    )
    room_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("room.id"))
    lesson_id: Mapped[uuid.UUID | None]
    action: Mapped[str] = mapped_column(String(12))
    seats: Mapped[list[str]]
    ordered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    not_before: Mapped[datetime]
    until: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(String(10), default="waiting")
    results: Mapped[dict[str, Any]] = mapped_column(default=dict)
    done_at: Mapped[datetime | None]
