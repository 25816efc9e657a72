"""Tables: the school's permissions to record, and each recording's fate."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow


class RecordingPolicy(SchoolRow, Base):
    """Permission to record in a room for a purpose and a time (录像许可); in force once another person has countersigned it.

    ``retention_days``: 1–30. Personal data: account ids of who entered, signed and withdrew it; 3 years after ``ends``.
    """

    __tablename__ = "recording_policy"
    __table_args__ = (Index("ix_recording_policy_school_room", "school_id", "room_id"),)
    room_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("room.id"))
    purpose: Mapped[str] = mapped_column(String(200))
    begins: Mapped[datetime]
    ends: Mapped[datetime]
    guardians_informed: Mapped[date]
    retention_days: Mapped[int]
    entered_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    countersigned_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    countersigned_at: Mapped[datetime | None]
    withdrawn_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    withdrawn_at: Mapped[datetime | None]


class Recording(SchoolRow, Base):
    """A recording that was asked for, and what its gateway tells of it (录像). ``state``: asked | recording | ended | deleted | refused.

    The file lies on the gateway's disk only. Personal data: account id of who asked; with its policy.
    """

    __tablename__ = "recording"
    __table_args__ = (Index("ix_recording_school_device", "school_id", "device_id"),)
    policy_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("recording_policy.id"))
    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("device.id"))
    asked_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    until: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(12), default="asked")
    reason: Mapped[str] = mapped_column(String(200), default="")
    began_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    delete_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
