"""Meetings of a programme (项目推进会、成果展示会, HN-24): when, where, who came, materials."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound
from lms.core.models import Account, Organisation
from lms.programmes.notices import pack_named
from lms.programmes.teaching import today
from lms.programmes.years.models import ProgrammeEvent
from lms.programmes.years.service import below, own_of

KINDS = ("推进会", "展示会", "研讨活动", "其他")
HOLDERS = ("school_admin", "officer")


@dataclass(frozen=True)
class EventGiven:
    """What was typed; ``came``: organisations that took part, ``people``: how many persons."""

    slug: str
    kind: str
    title: str
    held_on: date | None
    place: str
    people: int
    came: Sequence[uuid.UUID]
    summary: str


def slugs_of(account: Account) -> list[str]:
    """Notices under which the account's organisation is in or inspects."""
    own = account.organisation_id
    return sorted({row.slug for row in (*own_of(own), *below(own))})


def events_of(account: Account, slug: str = "") -> list[ProgrammeEvent]:
    """Meetings that the organisation held, came to, or that one below or above it held under its notices; newest first."""
    here = db.session.get_one(Organisation, account.organisation_id)
    above = [uuid.UUID(one) for one in here.path.split("/") if one]
    under = select(Organisation.id).where(Organisation.path.startswith(here.path))
    query = select(ProgrammeEvent).where(
        ProgrammeEvent.slug.in_(slugs_of(account)),
        ProgrammeEvent.removed_at.is_(None),
        or_(ProgrammeEvent.school_id.in_(above), ProgrammeEvent.school_id.in_(under)),
    )
    query = query.where(ProgrammeEvent.slug == slug) if slug else query
    return list(db.session.scalars(query.order_by(ProgrammeEvent.held_on.desc(), ProgrammeEvent.created_at.desc())))


def event_of(account: Account, event_id: uuid.UUID) -> ProgrammeEvent:
    """One that the account may see; NotFound."""
    row = next((one for one in events_of(account) if one.id == event_id), None)
    if row is None:
        raise NotFound("event", _l("没有这次活动。"))
    return row


def add_event(actor: Account, given: EventGiven) -> ProgrammeEvent:
    """Enter a meeting that was held (or is going to be)."""
    if not may(actor, HOLDERS):
        raise NotAllowed("event", _l("请由管理员登记活动。"))
    if given.slug not in slugs_of(actor):
        raise Invalid("event", _l("本单位没有参加这个项目。"), where="slug")
    if given.kind not in KINDS or not given.title.strip() or not given.place.strip() or given.held_on is None:
        raise Invalid("event", _l("请填写活动类别、名称、日期和地点。"), where="title")
    if not 0 <= given.people <= 100_000:
        raise Invalid("event", _l("人数不对。"), where="people")
    pack_named(actor.organisation_id, given.slug)
    known = {str(row.school_id) for row in below(actor.organisation_id)}
    with write() as session:
        row = ProgrammeEvent(
            id=new_id(), school_id=actor.organisation_id, slug=given.slug, kind=given.kind, title=given.title.strip()[:120],
            held_on=given.held_on, place=given.place.strip()[:120], people=given.people,
            came=[str(one) for one in given.came if str(one) in known], summary=given.summary.strip()[:10_000], created_by=actor.id,
        )  # fmt: skip
        session.add(row)
        audit(actor, "add-event", "programme_event", row.id, notice=given.slug)
    return row


def remove_event(actor: Account, event_id: uuid.UUID) -> None:
    """Take a meeting of one's own out."""
    with write():
        row = event_of(actor, event_id)
        need_holder(actor, row)
        row.removed_at = clock.now()
        audit(actor, "remove-event", "programme_event", row.id)


def need_holder(actor: Account, row: ProgrammeEvent) -> None:
    """Raise unless the actor speaks for who held it."""
    if row.school_id != actor.organisation_id or not may(actor, HOLDERS):
        raise NotAllowed("event", _l("请由举办单位办理。"))


def upcoming(account: Account) -> list[ProgrammeEvent]:
    """Meetings from today on."""
    return [one for one in reversed(events_of(account)) if one.held_on >= today()]
