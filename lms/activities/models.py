"""Tables of activities: attempts and their marking (append-only), drafts."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow, append_only


class Attempt(SchoolRow, Base):
    """One answer that a pupil sent (作答); ``id`` was made by the client before sending, a retry keeps it.

    ``activity``: "<lesson slug>/<activity id>" inside ``content_hash``. ``grading``: the kind's verdict, feedback and version.
    Personal data: the pupil's work; until leaving + 1 year.
    """

    __tablename__ = "attempt"
    __table_args__ = (
        Index("ix_attempt_school_lesson", "school_id", "lesson_id"),
        Index("ix_attempt_school_person", "school_id", "person_id", "activity"),
        Index("ix_attempt_school_class", "school_id", "class_id"),
    )
    lesson_id: Mapped[uuid.UUID]
    class_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("school_class.id"))
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    seat_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("seat.id"))
    group_no: Mapped[int | None]
    content_hash: Mapped[str] = mapped_column(String(64))
    activity: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(16))
    answer: Mapped[dict[str, Any]]
    grading: Mapped[dict[str, Any]]
    score: Mapped[float | None]
    max_score: Mapped[float]
    done: Mapped[bool] = mapped_column(default=True)


append_only("attempt", person="OLD.person_id")


class Marking(SchoolRow, Base):
    """A teacher's word on an answer that no program can mark (批改); a later one takes the place of an earlier one.

    Personal data: points and comment on a pupil's work, and who gave them; until the pupil's leaving + 1 year.
    """

    __tablename__ = "marking"
    __table_args__ = (Index("ix_marking_school_attempt", "school_id", "attempt_id"),)
    attempt_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("attempt.id"))
    marker_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    score: Mapped[float]
    comment: Mapped[str] = mapped_column(Text, default="")


append_only("marking", person="(SELECT attempt.person_id FROM attempt WHERE attempt.id = OLD.attempt_id)")


class Draft(SchoolRow, Base):
    """Unsent work of a pupil (草稿), kept through reloads and restarts.

    Personal data: the pupil's unsent work; deleted 30 days after the lesson.
    """

    __tablename__ = "draft"
    __table_args__ = (UniqueConstraint("school_id", "person_id", "lesson_id", "activity"),)
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    lesson_id: Mapped[uuid.UUID]
    activity: Mapped[str] = mapped_column(String(120))
    content: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[datetime]
