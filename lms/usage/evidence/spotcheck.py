"""The spot check (现场抽查), B10.7: a sample from a public seed, drawn alike by both sides; the school opens what stands behind it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, write
from lms.core.errors import Invalid, NotAllowed
from lms.core.models import Account
from lms.roster.models import Person, Term
from lms.usage.evidence.chain import commitment
from lms.usage.evidence.ledger import append_event
from lms.usage.models import ChainHead, EvidenceEvent, EvidenceSalt, UsageRecord
from lms.usage.verifier.sample import draw
from lms.usage.verifier.verify import moment

LARGEST = 50


@dataclass(frozen=True)
class Opened:
    """One commitment opened on site: who, the status in the register, works as (SHA-256, size, time); ``holds``: it fits the chain."""

    field: str
    name: str
    status: str
    works: tuple[tuple[str, int, datetime], ...]
    holds: bool


@dataclass(frozen=True)
class Drawn:
    """A drawn record with what was opened; ``erased``: commitments whose value was erased on request."""

    record: UsageRecord
    opened: tuple[Opened, ...]
    erased: int


def draw_sample(actor: Account, school_id: uuid.UUID, term: Term, seed: str, source: str, count: int) -> list[Drawn]:
    """Draw ``count`` lessons of the term and open them; the drawing is a link of the chain, the look at names an access entry.

    Raises Invalid (``seed``, ``count``), NotAllowed for all but the school's admin.
    """
    if not may(actor, ("school_admin",), school_id):
        raise NotAllowed("spot-check", _l("现场抽查由学校管理员打开。"), clause="B10")
    if len("".join(seed.split())) < 6 or not source.strip():
        raise Invalid("seed", _l("请填写公开的种子（至少 6 位）和它的出处。"), where="seed", clause="B10")
    if not 1 <= count <= LARGEST:
        raise Invalid("count", _l("抽查数量为 1 到 %(most)s。", most=LARGEST), where="count")
    query = select(UsageRecord).where(UsageRecord.school_id == school_id, UsageRecord.corrects_id.is_(None))
    rows = {str(row.id): row for row in db.session.scalars(query.where(UsageRecord.lesson_on.between(term.starts_on, term.ends_on)))}
    chosen = draw(seed, rows, count)
    with write():
        head = db.session.get(ChainHead, school_id)
        told = {"seed": " ".join(seed.split())[:200], "source": source.strip()[:60], "count": count, "of": len(rows), "head": head.seq if head else 0, "records": chosen}
        append_event(school_id, "sample-drawn", told, (), clock.now())
        audit(actor, "spot-check", "school", school_id, source.strip()[:60], school_id=school_id, records=len(chosen))
    return [_open(db.session.get_one(UsageRecord, uuid.UUID(one))) for one in chosen]


def _open(record: UsageRecord) -> Drawn:
    body = json.loads(
        db.session.scalars(select(EvidenceEvent.body).where(EvidenceEvent.school_id == record.school_id, EvidenceEvent.seq == record.event_seq)).one()
    )
    held = body["commitments"]
    query = select(EvidenceSalt).where(EvidenceSalt.school_id == record.school_id, EvidenceSalt.seq == record.event_seq).order_by(EvidenceSalt.field)
    salts = db.session.scalars(query).all()
    people = {uuid.UUID(salt.value["person"]) for salt in salts if "person" in salt.value}
    names = {row[0]: row[1] for row in db.session.execute(select(Person.id, Person.name).where(Person.id.in_(people)))}
    opened = tuple(
        Opened(
            salt.field,
            names.get(uuid.UUID(salt.value["person"]), ""),
            str(salt.value.get("status", "")),
            tuple((work["sha256"], work["size"], moment(work["at"])) for work in salt.value.get("work", ())),
            held.get(salt.field) == commitment(salt.salt, salt.value),
        )
        for salt in salts
        if "person" in salt.value
    )
    return Drawn(record, opened, len(held) - len(salts))
