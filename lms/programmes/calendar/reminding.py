"""What stands in the calendar is told on its day (日程提醒), once each stage, in the app and by the organisation's channels; it ends when it is done."""

from __future__ import annotations

import hashlib
import uuid
from datetime import date

from sqlalchemy import select

from lms.core.db import db, write
from lms.core.jobs import every
from lms.core.models import Account, RoleGrant
from lms.notices import service as notices
from lms.notices.models import Notice
from lms.programmes.calendar.rules import Deadline, beside, stage_of
from lms.programmes.calendar.service import deadlines_of, today

PREFIX = "calendar/"
ROLES = ("officer", "school_admin")
_done_on: list[date] = []  # the last day on which this process went through all organisations


def remind() -> int:
    """Tell every organisation what has come to its day; returns how many accounts were told."""
    return sum(_remind(account) for account in _speakers().values())


def _speakers() -> dict[uuid.UUID, Account]:
    """Somebody of each organisation through whose eyes its calendar is read."""
    query = (
        select(Account)
        .join(RoleGrant, RoleGrant.account_id == Account.id)
        .where(
            Account.active.is_(True),
            RoleGrant.role.in_(ROLES),
            RoleGrant.revoked_at.is_(None),
            RoleGrant.organisation_id == Account.organisation_id,
        )
    )
    return {row.organisation_id: row for row in db.session.scalars(query.order_by(RoleGrant.role.desc()))}


def _remind(account: Account) -> int:
    day, own = today(), account.organisation_id
    found = deadlines_of(account, beside(day, -6), beside(day, 14))
    live = {_key(one, stage): one for one in found if (stage := stage_of(one, day)) is not None}
    past = select(Notice.key).where(
        Notice.school_id == own, Notice.key.startswith(PREFIX), Notice.ended_at.is_(None)
    )
    stale = set(db.session.scalars(past)) - set(live)
    told = 0
    with write():
        if stale:
            notices.end(own, *stale)
        people = {one for role in ROLES for one in notices.holders(own, role)} if live else set()
        for key, one in live.items():
            matter = notices.Matter(key, one.title, one.programme, one.link or "/programmes/calendar", one.day)
            count = notices.tell(own, people, matter)
            if count:
                notices.send_out(own, f"{one.title}（{one.day}）", one.programme or one.title)
            told += count
    return told


def _key(one: Deadline, stage: int) -> str:
    """Name of the matter; a deadline's own name may be longer than a key."""
    return f"{PREFIX}{hashlib.sha256(one.key.encode()).hexdigest()[:24]}/{one.day}/{stage}"


def _daily() -> None:
    if _done_on != [today()]:
        remind()
        _done_on[:] = [today()]


every(59, "programme-calendar", _daily)
