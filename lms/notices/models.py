"""Tables of notices and of the ways they leave the school (通知)."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from lms.core import clock
from lms.core.db import Base, SchoolRow


class Notice(SchoolRow, Base):
    """One notice to one account (站内通知). ``key`` names the matter: the same matter is told once.

    ``due_on``: the day it presses; ``ended_at``: the thing is done, nobody is reminded any more. ``link``: a path of ours.
    Personal data: which staff account was told; no pupil's name; 1 year.
    """

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("account_id", "key"),
        Index("ix_notice_open", "account_id", "ended_at", "read_at"),
        Index("ix_notice_school_key", "school_id", "key"),
    )
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    key: Mapped[str] = mapped_column(String(120))
    title: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text, default="")
    link: Mapped[str] = mapped_column(String(200), default="")
    due_on: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    read_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Channel(SchoolRow, Base):
    """A way out of the app (通知渠道): ``kind`` smtp | wecom | dingtalk | feishu. ``settings``: addresses, never the secret.

    The secret (mail password, robot's key) lies in a file of the data folder. Personal data: mail addresses of staff; until removed.
    """

    __tablename__ = "notice_channel"
    kind: Mapped[str] = mapped_column(String(12))
    name: Mapped[str] = mapped_column(String(60))
    settings: Mapped[dict[str, Any]]
    enabled: Mapped[bool] = mapped_column(default=True)
    tried_at: Mapped[datetime | None]
    problem: Mapped[str] = mapped_column(Text, default="")
