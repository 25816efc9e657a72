"""Table of imports of past lessons."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from lms.core.db import Base, SchoolRow


class PastImport(SchoolRow, Base):
    """A file of past lessons that was entered, or lessons entered by hand (补录批次); ``record_ids``: the records that it made.

    Personal data: who entered it; programme end + 3 years.
    """

    __tablename__ = "past_import"
    __table_args__ = (Index("ix_past_import_school", "school_id", "entered_at"),)
    file_name: Mapped[str] = mapped_column(String(120))
    sha256: Mapped[str] = mapped_column(String(64))
    record_ids: Mapped[list[str]]
    entered_at: Mapped[datetime]
    entered_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
