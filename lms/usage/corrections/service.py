"""Verbs on corrections: propose, countersign, refuse, take back (更正)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account
from lms.roster import service as roster
from lms.roster.models import SchoolClass
from lms.usage import service as usage
from lms.usage.corrections.models import CorrectionProposal
from lms.usage.forms import typed
from lms.usage.models import VOID, UsageRecord
from lms.usage.ownclasses import own_classes

STAFF = ("teacher", "school_admin")
SHOWN = 60


@dataclass(frozen=True)
class Case:
    """A proposal, or a batch of them, as the page shows it."""

    proposals: tuple[CorrectionProposal, ...]
    records: tuple[UsageRecord, ...]
    proposer: str
    decider: str

    @property
    def first(self) -> CorrectionProposal:
        """The proposal that stands for all."""
        return self.proposals[0]


def propose(
    actor: Account, record_id: uuid.UUID, changes: Mapping[str, Any], reason: str, *, batch: uuid.UUID | None = None
) -> CorrectionProposal:
    """Propose to correct a record, or to withdraw it ({"kind": "void"}); nothing changes until another person countersigns.

    Raises NotAllowed for a class that is not the person's, Refused where the record was replaced or a proposal is open.
    """
    if not reason.strip():
        raise Invalid("reason", _l("请写明更正的原因。"), where="reason", clause="B10")
    unknown = set(changes) - usage.CORRECTABLE
    if unknown or not changes:
        raise Invalid(
            "correction", _l("这些内容不能更正：%(names)s。", names="、".join(sorted(unknown)) or "-"), clause="B10"
        )
    record = usage.record_of(actor.organisation_id, record_id)
    roster.need_class(actor, db.session.get_one(SchoolClass, record.class_id))
    with write():
        if replaced(record):
            raise Refused(
                "corrected-already", _l("这条记录已被更正过。"), remedy=_l("请更正最新的那一条。"), clause="B10"
            )
        waiting = select(CorrectionProposal.id).where(
            CorrectionProposal.school_id == record.school_id,
            CorrectionProposal.record_id == record.id,
            CorrectionProposal.state == "open",
        )
        if db.session.scalar(waiting) is not None:
            raise Refused(
                "correction-open",
                _l("这条记录已有一份更正在等人确认。"),
                remedy=_l("请先确认、退回或撤回那一份。"),
                clause="B10",
            )
        row = CorrectionProposal(
            id=new_id(), school_id=record.school_id, record_id=record.id, batch=batch, state="open"
        )
        row.changes, row.reason, row.proposed_by, row.proposed_at = (
            dict(changes),
            reason.strip()[:500],
            actor.id,
            clock.now(),
        )
        db.session.add(row)
        db.session.flush()
        audit(actor, "propose-correction", "usage_record", record.id, row.reason, school_id=record.school_id)
    return row


def replaced(record: UsageRecord) -> bool:
    """Whether a newer record stands in its place."""
    query = select(UsageRecord.id).where(
        UsageRecord.school_id == record.school_id, UsageRecord.corrects_id == record.id
    )
    return db.session.scalar(query) is not None


def countersign(actor: Account, proposal_id: uuid.UUID) -> list[UsageRecord]:
    """Countersign a proposal, with the rest of its batch: the corrections are written, with both people in them.

    Raises Refused where the proposer signs, NotAllowed where neither of the two is an admin.
    """
    with write():
        rows = _open(actor, proposal_id)
        made = []
        for row in rows:
            proposer = db.session.get_one(Account, row.proposed_by)
            record = usage.correct_record(proposer, actor, row.record_id, typed(row.changes), row.reason)
            row.state, row.decided_by, row.decided_at, row.correction_id = (
                "countersigned",
                actor.id,
                clock.now(),
                record.id,
            )
            made.append(record)
    return made


def refuse(actor: Account, proposal_id: uuid.UUID) -> int:
    """Refuse a proposal with its batch, or take back one's own; nothing is changed. Returns how many."""
    with write():
        rows = _open(actor, proposal_id, own=True)
        for row in rows:
            row.state = "withdrawn" if row.proposed_by == actor.id else "refused"
            row.decided_by, row.decided_at = actor.id, clock.now()
            audit(actor, f"correction-{row.state}", "usage_record", row.record_id, school_id=row.school_id)
    return len(rows)


def _open(actor: Account, proposal_id: uuid.UUID, *, own: bool = False) -> Sequence[CorrectionProposal]:
    row = db.session.get(CorrectionProposal, proposal_id)
    if row is None or row.school_id != actor.organisation_id or not may(actor, STAFF):
        raise NotFound("correction", _l("没有这份更正。"))
    if row.state != "open":
        raise Refused("correction-decided", _l("这份更正已经处理过了。"), remedy=_l("请刷新页面。"))
    if row.proposed_by == actor.id and not own:
        raise Refused(
            "two-people", _l("更正要由两个人完成。"), remedy=_l("请另一位老师或管理员登录确认。"), clause="B10"
        )
    record = db.session.get_one(UsageRecord, row.record_id)
    roster.need_class(actor, db.session.get_one(SchoolClass, record.class_id))
    if row.batch is None:
        return [row]
    query = select(CorrectionProposal).where(
        CorrectionProposal.school_id == row.school_id,
        CorrectionProposal.batch == row.batch,
        CorrectionProposal.state == "open",
    )
    return db.session.scalars(query.order_by(CorrectionProposal.id)).all()


def cases(actor: Account, *, open_only: bool) -> list[Case]:
    """Proposals that the person may see, newest first: those that wait, or the latest decided ones."""
    query = select(CorrectionProposal).where(CorrectionProposal.school_id == actor.organisation_id)
    if open_only:
        query = query.where(CorrectionProposal.state == "open")
    else:
        query = query.where(CorrectionProposal.state != "open").limit(SHOWN * 10)
    own = own_classes(actor, roster.today_of(roster.school_of(actor.organisation_id)))
    groups: dict[uuid.UUID, list[tuple[CorrectionProposal, UsageRecord]]] = {}
    for row in db.session.scalars(query.order_by(CorrectionProposal.proposed_at.desc(), CorrectionProposal.id)):
        record = db.session.get_one(UsageRecord, row.record_id)
        if own is None or str(record.class_id) in own or row.proposed_by == actor.id:
            groups.setdefault(row.batch or row.id, []).append((row, record))
    names = names_of(
        one for group in groups.values() for row, _record in group for one in (row.proposed_by, row.decided_by)
    )
    return [
        Case(
            tuple(row for row, _record in group),
            tuple(record for _row, record in group),
            names.get(group[0][0].proposed_by, ""),
            names.get(group[0][0].decided_by, ""),
        )
        for group in list(groups.values())[:SHOWN]
    ]


def names_of(ids: Iterable[uuid.UUID | None]) -> dict[uuid.UUID | None, str]:
    """Names of accounts, to show who proposed, entered and signed."""
    wanted = {one for one in ids if one is not None}
    rows = db.session.execute(select(Account.id, Account.display_name).where(Account.id.in_(wanted)))
    return {row[0]: row[1] for row in rows}


def open_proposal(record: UsageRecord) -> CorrectionProposal | None:
    """The proposal that waits on a record."""
    query = select(CorrectionProposal).where(
        CorrectionProposal.school_id == record.school_id,
        CorrectionProposal.record_id == record.id,
        CorrectionProposal.state == "open",
    )
    return db.session.scalar(query)


def void(actor: Account, record_ids: Iterable[uuid.UUID], reason: str) -> int:
    """Propose to withdraw several records together; those that were replaced or wait already are left out. Returns how many."""
    batch, count = new_id(), 0
    with write():
        for record_id in record_ids:
            record = usage.record_of(actor.organisation_id, record_id)
            if record.kind == VOID or replaced(record) or open_proposal(record) is not None:
                continue
            propose(actor, record_id, {"kind": VOID}, reason, batch=batch)
            count += 1
    if not count:
        raise Refused("nothing-to-undo", _l("没有可以撤销的记录：都已撤销、更正，或正在等人确认。"), clause="B10")
    return count
