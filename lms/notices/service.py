"""The door of notices: tell, read, end, send out (通知)."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, func, select, update

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound
from lms.core.jobs import every, later, task
from lms.core.models import Account, RoleGrant
from lms.notices.models import Channel, Notice
from lms.notices.wires import KINDS, NotSent, send

KEPT = timedelta(days=365)
SECURITIES = ("tls", "starttls", "none")
_MAIL = re.compile(r"[^@\s,]+@[^@\s,]+")


@dataclass(frozen=True)
class Matter:
    """What is told: ``key`` names it for good, ``link`` is a path of ours."""

    key: str
    title: str
    body: str = ""
    link: str = ""
    due_on: date | None = None


def tell(school_id: uuid.UUID, accounts: Iterable[uuid.UUID], matter: Matter) -> int:
    """Tell the matter to those who have not been told yet, in the open write; returns how many were."""
    with write() as session:
        wanted = set(accounts)
        known = set(
            session.scalars(select(Notice.account_id).where(Notice.account_id.in_(wanted), Notice.key == matter.key))
        )
        for account_id in wanted - known:
            session.add(
                Notice(
                    id=new_id(), school_id=school_id, account_id=account_id, key=matter.key, title=matter.title[:200],
                    body=matter.body, link=matter.link, due_on=matter.due_on,
                )
            )  # fmt: skip
        return len(wanted - known)


def end(school_id: uuid.UUID, *keys: str) -> None:
    """The matters are done: nobody is reminded of them any more."""
    with write() as session:
        open_ones = Notice.school_id == school_id, Notice.key.in_(keys), Notice.ended_at.is_(None)
        session.execute(update(Notice).where(*open_ones).values(ended_at=clock.now()))


def end_all(school_id: uuid.UUID, prefix: str) -> None:
    """Every matter whose key begins so is done."""
    with write() as session:
        mine = Notice.school_id == school_id, Notice.key.startswith(prefix, autoescape=True), Notice.ended_at.is_(None)
        session.execute(update(Notice).where(*mine).values(ended_at=clock.now()))


def notices_of(account: Account, limit: int = 100) -> Sequence[Notice]:
    """The account's notices, open and unread first, then the newest."""
    query = select(Notice).where(Notice.account_id == account.id)
    order = Notice.ended_at.is_not(None), Notice.read_at.is_not(None), Notice.created_at.desc()
    return db.session.scalars(query.order_by(*order).limit(limit)).all()


def notice_of(account: Account, notice_id: uuid.UUID) -> Notice:
    """One of the account's notices; raises NotFound."""
    row = db.session.get(Notice, notice_id)
    if row is None or row.account_id != account.id:
        raise NotFound("notice", _l("没有这条通知。"))
    return row


def unread(account: Account) -> int:
    """How many open notices the account has not read."""
    query = select(func.count()).where(
        Notice.account_id == account.id, Notice.read_at.is_(None), Notice.ended_at.is_(None)
    )
    return db.session.scalar(query) or 0


def mark_read(account: Account, notice_id: uuid.UUID | None = None, *, again: bool = False) -> None:
    """Mark one notice, or all, as read; ``again`` = as unread (undo)."""
    with write() as session:
        mine = [Notice.account_id == account.id] + ([Notice.id == notice_id] if notice_id else [])
        session.execute(update(Notice).where(*mine).values(read_at=None if again else clock.now()))


def holders(school_id: uuid.UUID, role: str) -> list[uuid.UUID]:
    """Active accounts of the school that hold the role there."""
    grants = RoleGrant.role == role, RoleGrant.organisation_id == school_id, RoleGrant.revoked_at.is_(None)
    query = (
        select(Account.id).join(RoleGrant, RoleGrant.account_id == Account.id).where(*grants, Account.active.is_(True))
    )
    return list(db.session.scalars(query.distinct()))


# Ways out.


def channels_of(school_id: uuid.UUID) -> Sequence[Channel]:
    """The school's channels by name."""
    return db.session.scalars(select(Channel).where(Channel.school_id == school_id).order_by(Channel.name)).all()


def channel_of(school_id: uuid.UUID, channel_id: uuid.UUID) -> Channel:
    """One of the school's channels; raises NotFound."""
    row = db.session.get(Channel, channel_id)
    if row is None or row.school_id != school_id:
        raise NotFound("channel", _l("没有这个通知渠道。"))
    return row


def add_channel(actor: Account, kind: str, form: Mapping[str, str]) -> Channel:
    """Add a channel from a form; raises Invalid naming the field."""
    settings = _mail_settings(form) if kind == "smtp" else _robot_settings(kind, form)
    name = form.get("name", "").strip()
    if not name:
        raise Invalid("channel-name", _l("请给渠道起个名字。"), where="name")
    with write() as session:
        row = Channel(id=new_id(), school_id=actor.organisation_id, kind=kind, name=name[:60], settings=settings)
        session.add(row)
        session.flush()
        _keep_secret(row, form.get("secret", "").strip())
        audit(actor, "add-notice-channel", "notice_channel", row.id, school_id=row.school_id, kind=kind)
        return row


def remove_channel(actor: Account, row: Channel) -> None:
    """Remove a channel and its secret."""
    with write() as session:
        audit(actor, "remove-notice-channel", "notice_channel", row.id, school_id=row.school_id, kind=row.kind)
        session.execute(delete(Channel).where(Channel.id == row.id))
    _secret_file(row.id).unlink(missing_ok=True)


def _mail_settings(form: Mapping[str, str]) -> dict[str, Any]:
    recipients = [each for each in re.split(r"[\s,;，；、]+", form.get("recipients", "")) if each]
    for where, given in (("sender", [form.get("sender", "").strip()]), ("recipients", recipients or [""])):
        for address in given:
            if not _MAIL.fullmatch(address):
                raise Invalid("mail-address", _l("“%(address)s”不是邮件地址。", address=address), where=where)
    host, port, security = form.get("host", "").strip(), form.get("port", "").strip(), form.get("security", "tls")
    if not host:
        raise Invalid("mail-host", _l("请填写邮件服务器，例如 smtp.school.example。"), where="host")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise Invalid("mail-port", _l("端口应为 1–65535，常用 465 或 587。"), where="port")
    if security not in SECURITIES:
        raise Invalid("mail-security", _l("请选择加密方式。"), where="security")
    return {
        "host": host, "port": int(port), "security": security, "username": form.get("username", "").strip(),
        "sender": form["sender"].strip(), "recipients": recipients,
    }  # fmt: skip


def _robot_settings(kind: str, form: Mapping[str, str]) -> dict[str, Any]:
    if kind not in KINDS:
        raise Invalid("channel-kind", _l("没有这种通知渠道。"), where="kind")
    url = form.get("url", "").strip()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid("channel-url", _l("机器人地址应以 https:// 开头，从群机器人的设置里复制。"), where="url")
    return {"url": url}


def _secret_file(channel_id: uuid.UUID) -> Path:
    return Path(current_app.config["ZHIKE"].data_dir) / "keys" / f"notice-{channel_id.hex}"


def _keep_secret(row: Channel, secret: str) -> None:
    path = _secret_file(row.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(secret)


def send_out(school_id: uuid.UUID, title: str, text: str) -> int:
    """Hand the message to every enabled channel, after the commit; returns how many."""
    rows = [row for row in channels_of(school_id) if row.enabled]
    for row in rows:
        later(school_id, "send-notice", channel=str(row.id), title=title, text=text)
    return len(rows)


def _not_sent(channel: str, title: str, text: str) -> None:
    """The channel keeps why it was not taken; where nobody knows (the server stopped while sending), it says that."""
    with write() as session:
        row = session.get(Channel, uuid.UUID(channel))
        if row is not None:
            row.problem = (row.problem or f"“{title}”几次都没有发出去，请点“发一条试试”检查这个渠道，并另行通知。")[:400]


@task("send-notice", given_up=_not_sent)
def _send_notice(channel: str, title: str, text: str) -> None:
    row = db.session.get(Channel, uuid.UUID(channel))
    if row is None or not row.enabled:
        return
    problem = try_channel(row, title, text)
    if problem:
        raise NotSent(problem)  # the queue tries again


def try_channel(row: Channel, title: str, text: str) -> str:
    """Send now; the outcome stands at the channel. Returns the problem, "" = taken."""
    path = _secret_file(row.id)
    secret = path.read_text("utf-8") if path.exists() else ""
    kind, settings, channel_id = row.kind, dict(row.settings), row.id
    db.session.rollback()  # nothing is held open while the other side thinks
    problem = ""
    try:
        send(kind, settings, secret, title, text)
    except NotSent as error:
        problem = str(error)[:400]
    with write() as session:
        session.execute(update(Channel).where(Channel.id == channel_id).values(tried_at=clock.now(), problem=problem))
    return problem


def _forget_old() -> None:
    with write() as session:
        session.execute(delete(Notice).where(Notice.created_at < clock.now() - KEPT))


every(59, "forget-old-notices", _forget_old)
