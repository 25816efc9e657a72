"""Tables of the core: organisations, accounts and roles, lockouts, journal, outbox.

Every class says in its docstring which personal data it holds, why and for how long (``Personal data:``); a test checks it.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from flask_login import UserMixin
from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lms.core import clock
from lms.core.db import Base, append_only, new_id


class Organisation(Base):
    """A node of the tree nation → province → city → county → school (组织机构).

    ``level``: nation | province | city | county | school. ``path`` holds the ids from the root, each followed by ``/``.
    Personal data: none.
    """

    __tablename__ = "organisation"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    level: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(32), default="")  # 学校标识码 or division code
    name: Mapped[str] = mapped_column(String(120))
    path: Mapped[str] = mapped_column(String(400), index=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class Account(UserMixin, Base):
    """A sign-in (账号): staff by password, pupils at an enrolled seat by PIN or picture.

    ``kind``: staff | student | guardian. ``epoch`` rises when sessions must end (sign-out everywhere, new password).
    Personal data: display name and sign-in name, to know who acts; until leaving + 1 year.
    """

    __tablename__ = "account"
    __table_args__ = (UniqueConstraint("organisation_id", "username"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisation.id"))
    kind: Mapped[str] = mapped_column(String(16))
    username: Mapped[str] = mapped_column(String(64))
    display_name: Mapped[str] = mapped_column(String(64))
    password_hash: Mapped[str | None] = mapped_column(String(200))
    pin_hash: Mapped[str | None] = mapped_column(String(200))
    picture: Mapped[bool] = mapped_column(default=False)  # the PIN is a row of pictures (图片口令)
    locale: Mapped[str | None] = mapped_column(String(8))
    active: Mapped[bool] = mapped_column(default=True)
    must_change: Mapped[bool] = mapped_column(default=False)
    epoch: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    grants: Mapped[list[RoleGrant]] = relationship(
        back_populates="account", lazy="select", foreign_keys="RoleGrant.account_id"
    )

    @property
    def is_active(self) -> bool:
        """Whether the account may sign in."""
        return self.active

    def get_id(self) -> str:
        """Session token: id and epoch."""
        return f"{self.id.hex}.{self.epoch}"


class RoleGrant(Base):
    """A role in an organisation and everything below it (角色).

    ``role``: teacher | school_admin | officer | expert | sys_admin | sec_admin | audit_admin (student and guardian follow
    from the account's kind). Personal data: who holds which office, to decide rights; until revoked + 3 years.
    """

    __tablename__ = "role_grant"
    __table_args__ = (UniqueConstraint("account_id", "role", "organisation_id"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), index=True)
    role: Mapped[str] = mapped_column(String(16))
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisation.id"))
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    account: Mapped[Account] = relationship(back_populates="grants", foreign_keys=[account_id])
    organisation: Mapped[Organisation] = relationship(lazy="joined")


class Lockout(Base):
    """Failed sign-ins of an account or a seat (锁定); never of an address alone, a class shares one.

    ``subject``: ``account:<id>`` or ``seat:<id>``. Personal data: a count beside an account id; cleared at the next success.
    """

    __tablename__ = "lockout"
    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    failures: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime] = mapped_column(default=clock.now)
    locked_until: Mapped[datetime | None]


class AuditEntry(Base):
    """One line of the journal (审计日志); append-only.

    Personal data: account id of who acted and the id of what was touched, never names; 3 years.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_school_at", "school_id", "at"),)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    at: Mapped[datetime] = mapped_column(default=clock.now)
    actor_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    action: Mapped[str] = mapped_column(String(64))
    object_kind: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


append_only("audit_entry")


class OutboxMessage(Base):
    """Work that leaves the database, written in the transaction that decided it (发件箱).

    ``destination``: mqtt | queue | region. Delivered in order of ``seq``. Of the queue: ``done_at``, when the work was done or given up;
    ``tries``, how often it was handed over again. Personal data: none but ids; deleted 7 days after delivery.
    """

    __tablename__ = "outbox_message"
    __table_args__ = (Index("ix_outbox_message_open", "delivered_at", "seq"),)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisation.id"))
    destination: Mapped[str] = mapped_column(String(16))
    topic: Mapped[str] = mapped_column(String(200))
    payload: Mapped[str] = mapped_column(Text)
    retain: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    delivered_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)


class InstanceState(Base):
    """Facts about this installation (实例信息): origin, first-run state, key ids. Personal data: none."""

    __tablename__ = "instance_state"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
