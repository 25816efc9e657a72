"""Table of the rule book."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core import clock
from lms.core.db import Base, append_only, new_id


class RuleVersion(Base):
    """Parameters of a rule as an office set them (规则参数版本): values, from which day, who, when and why. Append-only.

    ``version`` is what a verdict names: the pack's own version, the office's code and ``number``. Personal data: account id of who
    decided; as long as the verdicts made with it are kept.
    """

    __tablename__ = "rule_version"
    __table_args__ = (UniqueConstraint("organisation_id", "rule", "number"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisation.id"))
    rule: Mapped[str] = mapped_column(String(40))
    number: Mapped[int]
    version: Mapped[str] = mapped_column(String(80))
    values: Mapped[dict[str, Any]]
    valid_from: Mapped[date]
    reason: Mapped[str] = mapped_column(Text)
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))


append_only("rule_version")
