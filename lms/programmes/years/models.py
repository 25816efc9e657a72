"""Tables of the years after selection: reports, cases, seed teachers, events, norm, risks, inspections, rectifications, files (实施)."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core import clock
from lms.core.db import Base, SchoolRow, append_only


class PhaseReport(SchoolRow, Base):
    """A report of a selected school or area for a period (项目进展、自评、验收自评): ``report`` is the notice's, ``period`` of its rules.

    ``text``: free text; ``figures``: [{key, label, value, source, at, text}] as they stood when taken over. ``status``: draft | submitted | returned.
    Personal data: who wrote it; texts name no pupils; programme end + 3 years.
    """

    __tablename__ = "phase_report"
    __table_args__ = (UniqueConstraint("school_id", "application_id", "report", "period"),)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"), index=True)
    report: Mapped[str] = mapped_column(String(40))
    period: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(120), default="")
    text: Mapped[str] = mapped_column(Text, default="")
    figures: Mapped[list[Any]] = mapped_column(default=list)
    status: Mapped[str] = mapped_column(String(10), default="draft")
    remark: Mapped[str] = mapped_column(Text, default="")
    edition: Mapped[int] = mapped_column(default=0)
    saved_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    saved_at: Mapped[datetime] = mapped_column(default=clock.now)
    submitted_at: Mapped[datetime | None]


class LessonCase(SchoolRow, Base):
    """A case of the library (课例、应用案例): HN-05, HN-08, ZN-17, ZN-18. ``status``: draft | submitted | returned | accepted | selected.

    ``record_id``: the usage record behind it, ``evidence``: its grade and number in the chain when it was linked.
    Personal data: name of the teacher who gave the lesson; no pupil; programme end + 3 years.
    """

    __tablename__ = "lesson_case"
    __table_args__ = (
        Index("ix_lesson_case_application", "school_id", "application_id"),
        Index("ix_lesson_case_notice", "slug", "status"),
    )
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"))
    slug: Mapped[str] = mapped_column(String(40))
    report: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(120))
    subject: Mapped[str] = mapped_column(String(32))
    stage: Mapped[str] = mapped_column(String(12))
    grade: Mapped[int]
    theme: Mapped[str] = mapped_column(String(60), default="")
    teacher: Mapped[str] = mapped_column(String(64), default="")
    summary: Mapped[str] = mapped_column(Text, default="")
    record_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("usage_record.id"))
    evidence: Mapped[str] = mapped_column(String(40), default="")
    status: Mapped[str] = mapped_column(String(10), default="draft")
    remark: Mapped[str] = mapped_column(Text, default="")
    submitted_at: Mapped[datetime | None]
    reviewed_at: Mapped[datetime | None]
    reviewed_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class SeedTeacher(SchoolRow, Base):
    """A seed teacher (种子教师, HN-05): named by the school with the teacher's consent, confirmed by the office.

    ``status``: named | confirmed | declined | withdrawn. Personal data: which teacher, subject, day of consent; programme end + 3 years.
    """

    __tablename__ = "seed_teacher"
    __table_args__ = (UniqueConstraint("school_id", "application_id", "person_id"),)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"), index=True)
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("person.id"))
    subject: Mapped[str] = mapped_column(String(32))
    stage: Mapped[str] = mapped_column(String(12), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    consent_on: Mapped[date]
    status: Mapped[str] = mapped_column(String(10), default="named")
    decided_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    decided_at: Mapped[datetime | None]


class ProgrammeEvent(SchoolRow, Base):
    """A meeting of a programme (推进会、展示会, HN-24). ``school_id``: who held it; ``came``: ids of organisations; ``people``: how many.

    Personal data: none (counts and names of organisations); programme end + 3 years.
    """

    __tablename__ = "programme_event"
    __table_args__ = (Index("ix_programme_event_slug", "slug", "held_on"),)
    slug: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(12))
    title: Mapped[str] = mapped_column(String(120))
    held_on: Mapped[date]
    place: Mapped[str] = mapped_column(String(120))
    people: Mapped[int] = mapped_column(default=0)
    came: Mapped[list[str]] = mapped_column(default=list)
    summary: Mapped[str] = mapped_column(Text, default="")
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    removed_at: Mapped[datetime | None]


class EthicsNorm(SchoolRow, Base):
    """A version of the school's AI-ethics norm (人工智能伦理规范, HN-11, HA-13); append-only, the newest is in force.

    ``asks_again``: the change is such that everybody acknowledges anew. Personal data: who wrote it; programme end + 3 years.
    """

    __tablename__ = "ethics_norm"
    __table_args__ = (UniqueConstraint("school_id", "number"),)
    number: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(String(200), default="")
    asks_again: Mapped[bool] = mapped_column(default=True)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


append_only("ethics_norm")


class NormAcknowledgement(SchoolRow, Base):
    """That a member of staff (``account_id``) or a pupil's guardian on paper (``person_id`` is the pupil) has taken note of the norm (知悉).

    ``number``: the version. ``agreed``: yes or no; a no blocks nothing. The signed paper stays with the school, no scan of it here.
    Personal data: pupil or account, yes or no, day; the guardian's name is not kept; until leaving + 3 years.
    """

    __tablename__ = "norm_acknowledgement"
    __table_args__ = (
        UniqueConstraint("school_id", "number", "account_id"),
        UniqueConstraint("school_id", "number", "person_id", name="uq_norm_acknowledgement_person"),
    )
    number: Mapped[int]
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    person_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("person.id"))
    agreed: Mapped[bool]
    answered_on: Mapped[date]
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class RiskEntry(SchoolRow, Base):
    """A line of the yearly risk register (风险清单, HA-13): risk, likelihood and severity 1–3, measure, owner (a duty), day of review.

    Personal data: the owner as a duty or a member of staff's name; programme end + 3 years.
    """

    __tablename__ = "risk_entry"
    __table_args__ = (Index("ix_risk_entry_school_year", "school_id", "year"),)
    year: Mapped[int]
    risk: Mapped[str] = mapped_column(String(200))
    likelihood: Mapped[int]
    severity: Mapped[int]
    measure: Mapped[str] = mapped_column(Text)
    owner: Mapped[str] = mapped_column(String(64))
    reviewed_on: Mapped[date | None]
    removed_at: Mapped[datetime | None]


class Inspection(SchoolRow, Base):
    """A random inspection (随机抽查, HA-15). ``school_id``: the office. First the list is fixed, then the seed becomes public, then it is drawn.

    ``candidates``: [{id, name, stratum}] by application; ``digest``: SHA-256 of the published list; ``seed_from``: which public number on
    ``seed_on``; ``drawn``: application ids. Personal data: who announced and drew; programme end + 3 years.
    """

    __tablename__ = "inspection"
    __table_args__ = (Index("ix_inspection_office", "school_id", "slug"),)
    slug: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(40))
    period: Mapped[str] = mapped_column(String(10))
    count: Mapped[int]
    strata: Mapped[str] = mapped_column(String(12), default="")
    candidates: Mapped[list[Any]]
    digest: Mapped[str] = mapped_column(String(64))
    seed_from: Mapped[str] = mapped_column(String(200))
    seed_on: Mapped[date]
    seed: Mapped[str] = mapped_column(String(200), default="")
    drawn: Mapped[list[str]] = mapped_column(default=list)
    drawn_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text, default="")
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class InspectionVisit(SchoolRow, Base):
    """What an inspection found at one school or area (检查记录). ``school_id``: the inspected; ``office_id``: who inspects.

    ``checks``: {criterion: {result, note, figure, source}}; ``result``: "" | passed | warned | exited.
    Personal data: who inspected; programme end + 3 years.
    """

    __tablename__ = "inspection_visit"
    __table_args__ = (UniqueConstraint("school_id", "inspection_id", "application_id"),)
    inspection_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("inspection.id"), index=True)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"), index=True)
    office_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisation.id"))
    visited_on: Mapped[date | None]
    checks: Mapped[dict[str, Any]] = mapped_column(default=dict)
    findings: Mapped[str] = mapped_column(Text, default="")
    result: Mapped[str] = mapped_column(String(10), default="")
    concluded_at: Mapped[datetime | None]
    saved_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class Rectification(SchoolRow, Base):
    """An order to put right (限期整改) with its day and the school's report; ``outcome``: "" | accepted | exited.

    Personal data: who ordered, reported and closed it; programme end + 3 years.
    """

    __tablename__ = "rectification"
    __table_args__ = (Index("ix_rectification_application", "school_id", "application_id"),)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"))
    visit_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("inspection_visit.id"))
    office_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisation.id"))
    findings: Mapped[str] = mapped_column(Text)
    due_on: Mapped[date]
    report: Mapped[str] = mapped_column(Text, default="")
    reported_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(String(10), default="")
    remark: Mapped[str] = mapped_column(Text, default="")
    closed_at: Mapped[datetime | None]
    ordered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class YearFile(SchoolRow, Base):
    """A file of a report, case, event, visit or rectification (附件、扫描件); its bytes lie in the data folder under their SHA-256.

    ``about``: id of the row it belongs to. Personal data: as the paper holds; programme end + 3 years.
    """

    __tablename__ = "year_file"
    __table_args__ = (Index("ix_year_file_about", "school_id", "about"),)
    about: Mapped[uuid.UUID]
    name: Mapped[str] = mapped_column(String(160))
    type: Mapped[str] = mapped_column(String(8))
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    added_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    removed_at: Mapped[datetime | None]
