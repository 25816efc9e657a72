"""Table of corrections: what one person proposes and another countersigns."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow


class CorrectionProposal(SchoolRow, Base):
    """A proposed correction of one usage record (更正申请). ``state``: open | countersigned | refused | withdrawn.

    ``changes``: columns and their new values, {"kind": "void"} withdraws the record. ``batch``: proposals made together, as the undoing
    of an import. ``correction_id``: the new record. Personal data: who proposed and decided; programme end + 3 years.
    """

    __tablename__ = "correction_proposal"
    __table_args__ = (Index("ix_correction_proposal_school_state", "school_id", "state"),)
    record_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("usage_record.id"), index=True)
    batch: Mapped[uuid.UUID | None]
    changes: Mapped[dict[str, Any]]
    reason: Mapped[str] = mapped_column(Text)
    proposed_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    proposed_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(13), default="open")
    decided_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    decided_at: Mapped[datetime | None]
    correction_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("usage_record.id"))
