"""Tables of the selection: panels, experts, reviews, publications, plaques, decisions that were recorded for an office (评审)."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow, append_only


class Panel(SchoolRow, Base):
    """An office's review of one kind and batch of a notice (评审). ``school_id``: the office.

    ``sheet``: items of the score sheet ({id, name, most, hint}); ``own``: the office set it itself (本级自定). ``rule``: mean | median;
    ``threshold``: difference of two experts in percent of the maximum above which a third one reviews; ``each``: experts an application.
    ``seed``: what the last draw was made of. Personal data: who opened it; programme end + 3 years.
    """

    __tablename__ = "selection_panel"
    __table_args__ = (UniqueConstraint("school_id", "slug", "kind", "batch"),)
    slug: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(40))
    batch: Mapped[str] = mapped_column(String(40))
    sheet: Mapped[list[Any]] = mapped_column(default=list)
    own: Mapped[bool] = mapped_column(default=True)
    rule: Mapped[str] = mapped_column(String(8), default="mean")
    threshold: Mapped[int] = mapped_column(default=15)
    each: Mapped[int] = mapped_column(default=2)
    seed: Mapped[str] = mapped_column(String(64), default="")
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class Expert(SchoolRow, Base):
    """An expert whom an office asks (专家). ``school_id``: the office; ``unit_id``: the employer, where the system knows it.

    ``account_id``: None where scores come back by Excel. ``avoid``: names of organisations that the expert declared (回避).
    Personal data: name, employer, title, telephone, to ask and to exclude conflicts of interest; programme end + 3 years.
    """

    __tablename__ = "selection_expert"
    __table_args__ = (Index("ix_selection_expert_school", "school_id", "name"),)
    name: Mapped[str] = mapped_column(String(40))
    unit: Mapped[str] = mapped_column(String(120), default="")
    unit_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    title: Mapped[str] = mapped_column(String(40), default="")
    phone: Mapped[str] = mapped_column(String(24), default="")
    avoid: Mapped[list[str]] = mapped_column(default=list)
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"), index=True)
    removed_at: Mapped[datetime | None]


class PanelExpert(SchoolRow, Base):
    """An expert takes part in a panel (聘请). Personal data: as :class:`Expert`; programme end + 3 years."""

    __tablename__ = "selection_panel_expert"
    __table_args__ = (UniqueConstraint("school_id", "panel_id", "expert_id"),)
    panel_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("selection_panel.id"))
    expert_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("selection_expert.id"))


class Review(SchoolRow, Base):
    """One application in one expert's hands (评审任务). ``school_id``: the office.

    ``state``: open | handed (已交) | recused (回避) | undone (撤销). ``third``: asked because two experts differed widely. ``scores``: item → points.
    ``source``: page | excel. Personal data: the expert's points and words; programme end + 3 years.
    """

    __tablename__ = "selection_review"
    __table_args__ = (
        UniqueConstraint("school_id", "panel_id", "application_id", "expert_id"),
        Index("ix_selection_review_expert", "expert_id", "state"),
    )
    panel_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("selection_panel.id"))
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"), index=True)
    expert_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("selection_expert.id"))
    state: Mapped[str] = mapped_column(String(8), default="open")
    third: Mapped[bool] = mapped_column(default=False)
    drawn: Mapped[bool] = mapped_column(default=False)
    scores: Mapped[dict[str, Any]] = mapped_column(default=dict)
    comment: Mapped[str] = mapped_column(Text, default="")
    reason: Mapped[str] = mapped_column(String(400), default="")
    source: Mapped[str] = mapped_column(String(8), default="")
    edition: Mapped[int] = mapped_column(default=0)
    handed_at: Mapped[datetime | None]


class ReviewParcel(SchoolRow, Base):
    """What an expert without an account is sent (评审材料包), made in the background. ``school_id``: the office.

    ``state``: waiting | done | failed; ``ready`` of ``total`` applicants. The zip lies in the data folder. Personal data: as the papers of
    the applicants hold, and who asked for it; a week.
    """

    __tablename__ = "selection_review_parcel"
    __table_args__ = (Index("ix_selection_review_parcel_panel", "panel_id", "expert_id"),)
    panel_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("selection_panel.id"))
    expert_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("selection_expert.id"))
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    ready: Mapped[int] = mapped_column(default=0)
    total: Mapped[int]
    problem: Mapped[str] = mapped_column(String(400), default="")
    asked_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class Publication(SchoolRow, Base):
    """A publication of what the office proposes (公示); the list is kept as it was published. ``school_id``: the office; append-only.

    ``rows``: {application, name, kind, stages}. Personal data: name and telephone of the contact; programme end + 3 years.
    """

    __tablename__ = "selection_publication"
    panel_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("selection_panel.id"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    contact: Mapped[str] = mapped_column(String(60))
    phone: Mapped[str] = mapped_column(String(40))
    rows: Mapped[list[Any]]
    made_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


append_only("selection_publication")


class Plaque(SchoolRow, Base):
    """A plaque of the register (挂牌登记). ``school_id``: the office that gives it; ``letter``: number of its notice (文号).

    ``withdrawn_at``: taken down again on ``taken_on``, or entered by mistake. Personal data: who entered it; programme end + 3 years.
    """

    __tablename__ = "selection_plaque"
    __table_args__ = (
        UniqueConstraint("school_id", "number"),
        Index("ix_selection_plaque_application", "application_id"),
    )
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"))
    number: Mapped[str] = mapped_column(String(60))
    given_on: Mapped[date]
    letter: Mapped[str] = mapped_column(String(60), default="")
    withdrawn_at: Mapped[datetime | None]
    taken_on: Mapped[date | None]
    reason: Mapped[str] = mapped_column(String(400), default="")
    made_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


class RecordedDecision(SchoolRow, Base):
    """A step of an office without an account, entered for it with the scan of its paper (代录); append-only.

    ``school_id``: who entered it; ``office_id``: who decided; ``step``: number of the application's step. Personal data: who entered it;
    programme end + 3 years.
    """

    __tablename__ = "selection_recorded_decision"
    __table_args__ = (UniqueConstraint("school_id", "application_id", "step"),)
    application_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application.id"), index=True)
    step: Mapped[int]
    office_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisation.id"))
    number: Mapped[str] = mapped_column(String(60))
    decided_on: Mapped[date]
    file_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("application_file.id"))
    made_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


append_only("selection_recorded_decision")
