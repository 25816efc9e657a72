"""Tables of usage: records, evidence chain, roots. All append-only but the head."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow, append_only

VOID = "void"
"""Kind of a record that a correction withdrew (作废)."""


class UsageRecord(SchoolRow, Base):
    """What one lesson leaves (使用记录): the facts of B2a; the columns answer rules, ``detail`` holds the rest.

    A correction is a new row that names the old one (``corrects_id``), a reason and two people. ``units``: ["<course>:<code>"].
    ``makeup_of``: "<day>/<slot id>" of the cancelled slot. ``kind`` ``void``: withdrawn by a correction (作废), the rules never see it.
    Personal data: teacher's person id, counts of pupils, no pupil; programme end + 3 years.
    """

    __tablename__ = "usage_record"
    __table_args__ = (
        Index("ix_usage_record_school_class", "school_id", "class_id", "lesson_on"),
        UniqueConstraint("school_id", "event_seq"),
    )
    lesson_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    class_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("school_class.id"))
    teacher_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    room_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("room.id"))
    lesson_on: Mapped[date]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    minutes: Mapped[int]
    class_hours: Mapped[int] = mapped_column(default=1)
    kind: Mapped[str] = mapped_column(String(12), default="regular")
    subject: Mapped[str] = mapped_column(String(32), default="")
    units: Mapped[list[str]]
    roster: Mapped[int]
    present: Mapped[int]
    on_leave: Mapped[int]
    grade_of_evidence: Mapped[str] = mapped_column(String(1))
    origin: Mapped[str] = mapped_column(String(10))
    makeup_of: Mapped[str | None] = mapped_column(String(60))
    part_of: Mapped[dict[str, Any] | None]
    corrects_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("usage_record.id"))
    reason: Mapped[str] = mapped_column(Text, default="")
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    countersigned_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    event_seq: Mapped[int]
    detail: Mapped[dict[str, Any]]


append_only("usage_record")


class ChainHead(Base):
    """Head of a school's evidence chain; locked while a link is appended. Personal data: none."""

    __tablename__ = "chain_head"
    school_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(default=0)
    hash: Mapped[str] = mapped_column(String(64), default="0" * 64)


class EvidenceEvent(SchoolRow, Base):
    """A link of the school's evidence chain (证据链), B10: ``body`` is RFC 8785 canonical JSON, ``hash`` its SHA-256.

    The body carries v, seq, prev, origin, key id, type and salted commitments. Personal data: none in clear (commitments only).
    """

    __tablename__ = "evidence_event"
    __table_args__ = (
        UniqueConstraint("school_id", "seq"),
        UniqueConstraint("school_id", "prev"),
        Index("ix_evidence_event_school_type", "school_id", "type", "seq"),
    )
    seq: Mapped[int]
    prev: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
    type: Mapped[str] = mapped_column(String(32))
    origin: Mapped[str] = mapped_column(String(10))
    key_id: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    body: Mapped[str] = mapped_column(Text)


append_only("evidence_event")


class EvidenceSalt(SchoolRow, Base):
    """The opening of one commitment (盐值): deleting it erases the value without breaking the chain.

    Personal data: what was committed (ids of persons and their work); erased on request, else programme end + 3 years.
    """

    __tablename__ = "evidence_salt"
    __table_args__ = (
        Index("ix_evidence_salt_school_seq", "school_id", "seq"),
        Index("ix_evidence_salt_person", "school_id", "person_id"),
    )
    seq: Mapped[int]
    field: Mapped[str] = mapped_column(String(80))
    person_id: Mapped[uuid.UUID | None]
    salt: Mapped[str] = mapped_column(String(64))
    value: Mapped[dict[str, Any]]


class DailyRoot(SchoolRow, Base):
    """Merkle root of a day's links, signed by the node key (每日默克尔根). Personal data: none."""

    __tablename__ = "daily_root"
    __table_args__ = (UniqueConstraint("school_id", "day"),)
    day: Mapped[date]
    first_seq: Mapped[int]
    last_seq: Mapped[int]
    root: Mapped[str] = mapped_column(String(64))
    key_id: Mapped[str] = mapped_column(String(64))
    signature: Mapped[str] = mapped_column(String(128))


append_only("daily_root")


class EvidenceAnchor(SchoolRow, Base):
    """A daily root fixed outside the school (校外锚定), B10.4: ``proof`` is what the outside gave, its hash stands on the chain at ``event_seq``.

    ``kind``: region | peer | rfc3161 | sheet. ``at``: when the outside saw it. ``issuer``: who. Personal data: none (pseudonyms of two signers).
    """

    __tablename__ = "evidence_anchor"
    __table_args__ = (
        UniqueConstraint("school_id", "kind", "day", "issuer"),
        Index("ix_evidence_anchor_school_last", "school_id", "last_seq"),
    )
    kind: Mapped[str] = mapped_column(String(8))
    day: Mapped[date]
    last_seq: Mapped[int]
    root: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    issuer: Mapped[str] = mapped_column(String(120))
    proof: Mapped[dict[str, Any]]
    event_seq: Mapped[int]


append_only("evidence_anchor")

from lms.usage.corrections import models as corrections  # noqa: E402, F401  (its tables belong to this room)
from lms.usage.past import models as past  # noqa: E402, F401
from lms.usage.rulebook import models as rulebook  # noqa: E402, F401
