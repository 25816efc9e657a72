"""Remarks on a part of an application (批注): by colleagues among themselves and by the office where it lies, open until resolved."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound
from lms.core.models import Account, Organisation
from lms.notices import service as notices
from lms.programmes.models import Application, PartComment
from lms.programmes.notices import pack_of
from lms.programmes.service import application, manages, parts_of

LONGEST = 1000


@dataclass(frozen=True)
class Remark:
    """A remark as it is shown: who wrote it, for which office (empty: a colleague), whether the reader may resolve it."""

    row: PartComment
    by: str
    office: str
    settles: bool


def remarks_of(account: Account, found: Application) -> dict[str, list[Remark]]:
    """Remarks by part, open ones first, then the oldest: the applicant's people see all, an office its own."""
    query = (
        select(PartComment, Account.display_name, Organisation.name)
        .outerjoin(Account, Account.id == PartComment.by_id)
        .outerjoin(Organisation, Organisation.id == PartComment.office_id)
        .where(PartComment.application_id == found.id)
        .order_by(PartComment.resolved_at.is_not(None), PartComment.created_at)
    )
    if account.organisation_id != found.school_id:
        query = query.where(PartComment.office_id == account.organisation_id)
    shown: dict[str, list[Remark]] = {}
    for row, by, office in db.session.execute(query):
        shown.setdefault(row.key, []).append(Remark(row, by or "", office or "", _settles(account, found, row)))
    return shown


def may_remark(account: Account, found: Application) -> bool:
    """Colleagues always; an office while the application lies with it or was returned by it."""
    return account.organisation_id in (found.school_id, found.office_id)


def remark(actor: Account, application_id: uuid.UUID, key: str, text: str) -> PartComment:
    """Write a remark on a part; who answers for the part is told."""
    found = application(actor, application_id)
    pack = pack_of(found)
    if key not in pack.keys_of(found.kind):
        raise NotFound("part", _l("申报表里没有这一部分。"))
    if not may_remark(actor, found):
        raise NotAllowed("remark", _l("这份申报现在不在本单位，不能批注。"))
    text = text.strip()
    if not text or len(text) > LONGEST:
        raise Invalid("remark", _l("请写批注，最多 %(most)s 字。", most=LONGEST), where="text")
    part = parts_of(found).get(key)
    with write() as session:
        row = PartComment(
            id=new_id(), school_id=found.school_id, application_id=found.id, key=key, edition=part.edition if part else 0,
            text=text, by_id=actor.id, office_id=None if actor.organisation_id == found.school_id else actor.organisation_id,
        )  # fmt: skip
        session.add(row)
        audit(actor, "part-comment", "application", found.id, school_id=found.school_id, part=key)
        told = {part.owner_id} if part is not None and part.owner_id else set()
        if not told:
            told = {*notices.holders(found.school_id, "school_admin"), *notices.holders(found.school_id, "officer")}
        heading = pack.part(key)["heading"] or "封面"
        matter = notices.Matter(_matter(row), f"批注：{heading}", text[:500], f"/programmes/{found.id}/parts/{key}")
        notices.tell(found.school_id, told - {actor.id}, matter)
    return row


def settle(actor: Account, application_id: uuid.UUID, comment_id: uuid.UUID, *, again: bool = False) -> PartComment:
    """Mark a remark as done (已处理), or open it ``again`` (undo)."""
    found = application(actor, application_id)
    row = db.session.get(PartComment, comment_id)
    if row is None or row.application_id != found.id:
        raise NotFound("remark", _l("没有这条批注。"))
    if not _settles(actor, found, row):
        raise NotAllowed("remark", _l("请由写批注的人、责任人或申报单位的管理员处理。"))
    with write():
        row.resolved_at, row.resolved_by = (None, None) if again else (clock.now(), actor.id)
        audit(
            actor, "part-comment-settled", "application", found.id, school_id=found.school_id, part=row.key, again=again
        )
        if not again:
            notices.end(found.school_id, _matter(row))
    return row


def _settles(account: Account, found: Application, row: PartComment) -> bool:
    if row.by_id == account.id or manages(account, found):
        return True
    part = parts_of(found).get(row.key) if account.organisation_id == found.school_id else None
    return part is not None and part.owner_id == account.id


def _matter(row: PartComment) -> str:
    return f"application/{row.application_id}/comment/{row.id}"
