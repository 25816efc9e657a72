"""Tables of the hand-up: the office above, the schools and offices below, batches, records, results."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core import clock
from lms.core.db import Base, SchoolRow, append_only, new_id


class Uplink(Base):
    """The office that this school or office hands up to (上级): its key was agreed on by fingerprint or enrolment code.

    ``url`` is empty where there is no line. ``seq``, ``hash``, ``rooted``: links and signed roots that the office has receipted. ``ca``: the office's own CA.
    Personal data: none.
    """

    __tablename__ = "uplink"
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    url: Mapped[str] = mapped_column(String(200), default="")
    name: Mapped[str] = mapped_column(String(120), default="")
    fingerprint: Mapped[str] = mapped_column(String(20))
    ca: Mapped[str] = mapped_column(Text, default="")
    seq: Mapped[int] = mapped_column(default=0)
    hash: Mapped[str] = mapped_column(String(64), default="0" * 64)
    rooted: Mapped[int] = mapped_column(default=0)
    results_on: Mapped[date | None]
    tried_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    trouble: Mapped[str] = mapped_column(Text, default="")


class HandUpReceipt(SchoolRow, Base):
    """A receipt (回执) of the office above, countersigned: which links of a school it holds, with counts. Personal data: none."""

    __tablename__ = "hand_up_receipt"
    __table_args__ = (
        UniqueConstraint("school_id", "batch"),
        Index("ix_hand_up_receipt_school_seq", "school_id", "last_seq"),
    )
    batch: Mapped[str] = mapped_column(String(64))
    last_seq: Mapped[int]
    at: Mapped[datetime]
    document: Mapped[dict[str, Any]]


append_only("hand_up_receipt")


class Subordinate(Base):
    """A school or office below this one (下级), enrolled by a one-time code or by the fingerprint of its key, never silently.

    ``number`` names it in the result files. ``organisation_id`` is set at the first contact. ``via_id``: the office that forwards for it.
    ``seq``, ``hash``, ``keys``, ``tail``, ``rooted``, ``root_day``, ``last_day``: what is known of a school's chain (rules.Known);
    ``calendar``: its closures and flagged weeks (rules.calendar_after).
    Personal data: none.
    """

    __tablename__ = "subordinate"
    __table_args__ = (
        UniqueConstraint("number"),
        UniqueConstraint("organisation_id"),
        Index("ix_subordinate_level_name", "level", "name"),
    )
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    via_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("subordinate.id"))
    number: Mapped[int]
    level: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(120))
    code: Mapped[str] = mapped_column(String(32), default="")
    profile: Mapped[dict[str, Any]] = mapped_column(default=dict)
    secret_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    secret_until: Mapped[datetime | None]
    fingerprint: Mapped[str | None] = mapped_column(String(20), index=True)
    public_key: Mapped[str | None] = mapped_column(String(64))
    seq: Mapped[int] = mapped_column(default=0)
    hash: Mapped[str] = mapped_column(String(64), default="0" * 64)
    keys: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tail: Mapped[list[str]] = mapped_column(default=list)
    rooted: Mapped[int] = mapped_column(default=0)
    root_day: Mapped[str] = mapped_column(String(10), default="")
    calendar: Mapped[dict[str, Any]] = mapped_column(default=dict)
    last_day: Mapped[date | None]
    handed_at: Mapped[datetime | None]
    refused_at: Mapped[datetime | None]
    trouble: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class HandedBatch(SchoolRow, Base):
    """A batch that a school below handed up (上报批次); the file lies in ``<data_dir>/region/batches``.

    ``state``: applied | waiting (links before it are missing) | lost (a declared restore). ``forwarded_at``: when the office above receipted it. Personal data: none.
    """

    __tablename__ = "handed_batch"
    __table_args__ = (
        UniqueConstraint("school_id", "name"),
        Index("ix_handed_batch_school_seq", "school_id", "first_seq"),
    )
    name: Mapped[str] = mapped_column(String(64))
    first_seq: Mapped[int]
    last_seq: Mapped[int]
    first_day: Mapped[date]
    last_day: Mapped[date]
    size: Mapped[int]
    state: Mapped[str] = mapped_column(String(8))
    received_at: Mapped[datetime]
    forwarded_at: Mapped[datetime | None]
    receipt: Mapped[dict[str, Any] | None]


class HandedRecord(SchoolRow, Base):
    """A usage record of a school below: counts and pseudonyms as its chain holds them (上报的使用记录).

    ``corrected``: a later record replaces it. Personal data: counts of pupils of a lesson, no person; programme end + 3 years.
    """

    __tablename__ = "handed_record"
    __table_args__ = (
        UniqueConstraint("school_id", "record_id"),
        Index("ix_handed_record_school_day", "school_id", "lesson_on"),
    )
    record_id: Mapped[str] = mapped_column(String(36))
    seq: Mapped[int]
    lesson_on: Mapped[date]
    corrected: Mapped[bool] = mapped_column(default=False)
    facts: Mapped[dict[str, Any]]


class RegionResult(SchoolRow, Base):
    """What this office's own rules engine found for a school, a rule and a term (判定结果), ready for the result files.

    ``payload``: classes with their weeks, see results.payload_of. ``written``: whether the files hold it. Personal data: none.
    """

    __tablename__ = "region_result"
    __table_args__ = (
        UniqueConstraint("school_id", "rule", "term_start"),
        Index("ix_region_result_open", "written", "school_id"),
    )
    number: Mapped[int]
    rule: Mapped[str] = mapped_column(String(40))
    version: Mapped[str] = mapped_column(String(80))
    term_start: Mapped[date]
    as_of: Mapped[date]
    verdict: Mapped[str] = mapped_column(String(24))
    payload: Mapped[dict[str, Any]]
    written: Mapped[bool] = mapped_column(default=False)
