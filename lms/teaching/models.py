"""Tables of teaching: the lesson session, its register, its groups."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow


class LessonSession(SchoolRow, Base):
    """A lesson of a class in a room (课堂), the unit of everything.

    ``state``: running | paused | ended (may be reopened until ``reopen_until``) | closed (record written). ``step``: index into the
    lesson's steps. ``rev`` rises with every change that terminals must see. ``package_id`` None = open lesson (subject + topic).
    ``units``: ["<course>:<code>"] taught. ``planned_start/end``: the slot. ``controller``: token of the console that steers now.
    ``makeup_of``: the cancelled slot that it makes up, "<day>/<slot id>" (补课). ``part_of``: {"lesson": id of the first part, "kind":
    halves | shorts, "parts"} (分次). ``joined``: ids of the other classes taught with it (合班).
    Personal data: the teacher's ids; programme end + 3 years.
    """

    __tablename__ = "lesson_session"
    __table_args__ = (
        Index("ix_lesson_session_school_class", "school_id", "class_id"),
        Index("ix_lesson_session_school_room", "school_id", "room_id", "state"),
    )
    class_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("school_class.id"))
    room_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("room.id"))
    teacher_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    slot_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("timetable_slot.id"))
    package_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("package_version.id"))
    lesson_slug: Mapped[str] = mapped_column(String(60), default="")
    title: Mapped[str] = mapped_column(String(120))
    subject: Mapped[str] = mapped_column(String(32), default="人工智能")
    units: Mapped[list[str]]
    kind: Mapped[str] = mapped_column(String(12), default="regular")
    configuration: Mapped[int]
    planned_start: Mapped[datetime | None]
    planned_end: Mapped[datetime | None]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    reopen_until: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    end_reason: Mapped[str] = mapped_column(String(16), default="")  # teacher | bell | handover | aborted
    state: Mapped[str] = mapped_column(String(8), default="running")
    step: Mapped[int] = mapped_column(default=0)
    steps_pushed: Mapped[int] = mapped_column(default=1)
    rev: Mapped[int] = mapped_column(default=1)
    with_terminals: Mapped[bool] = mapped_column(default=True)
    controller: Mapped[str] = mapped_column(String(40), default="")
    note: Mapped[str] = mapped_column(String(500), default="")
    makeup_of: Mapped[str] = mapped_column(String(60), default="")
    part_of: Mapped[dict[str, Any] | None]
    joined: Mapped[list[str]] = mapped_column(default=list)

    @property
    def classes(self) -> list[uuid.UUID]:
        """Ids of every class in the lesson, its own first."""
        return [self.class_id, *(uuid.UUID(one) for one in self.joined)]


class RegisterEntry(SchoolRow, Base):
    """A pupil's line in the register (点名册); the teacher's word (B2a).

    ``status``: absent | terminal | shared | hand | late | leave | left_early. Personal data: attendance of a pupil; until leaving + 1 year.
    """

    __tablename__ = "register_entry"
    __table_args__ = (UniqueConstraint("school_id", "lesson_id", "person_id"),)
    lesson_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("lesson_session.id"))
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    status: Mapped[str] = mapped_column(String(12), default="absent")
    seat_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("seat.id"))
    group_no: Mapped[int | None]
    step: Mapped[int] = mapped_column(default=0)
    done: Mapped[list[str]] = mapped_column(default=list)  # activity ids sent
    needs_help_at: Mapped[datetime | None]
    signed_in_at: Mapped[datetime | None]
    signed_out_at: Mapped[datetime | None]
    set_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    updated_at: Mapped[datetime]


class LessonGroup(SchoolRow, Base):
    """A group of pupils in a lesson with the robot it holds (小组). Personal data: none itself."""

    __tablename__ = "lesson_group"
    __table_args__ = (UniqueConstraint("school_id", "lesson_id", "number"),)
    lesson_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("lesson_session.id"))
    number: Mapped[int]
    device_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("device.id"))
    driver_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("person.id"))


class LessonEvent(SchoolRow, Base):
    """What happened in the lesson, for its record (课堂事件): started, step, paused, stop, ended, reopened, taken over.

    Personal data: account id of who acted; programme end + 3 years.
    """

    __tablename__ = "lesson_event"
    __table_args__ = (Index("ix_lesson_event_school_lesson", "school_id", "lesson_id"),)
    lesson_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("lesson_session.id"))
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    detail: Mapped[dict[str, Any]]
