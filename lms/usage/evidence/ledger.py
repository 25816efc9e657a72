"""The school's evidence chain in the database: append, sign the days, verify, erase (证据链账本), definitions B10."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from flask import current_app
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import Base, db, new_id, write
from lms.core.models import Account
from lms.core.origin import claim_origin, kept_origin
from lms.roster.models import School
from lms.usage.evidence.chain import (
    GENESIS,
    Break,
    ChainReport,
    Link,
    Root,
    Walk,
    body_of,
    broken,
    canonical,
    check_link,
    commitment,
    link_hash,
    merkle_root,
    root_statement,
)
from lms.usage.evidence.grades import Sealed
from lms.usage.evidence.keys import NodeKey, node_key, retired_key
from lms.usage.models import ChainHead, DailyRoot, EvidenceAnchor, EvidenceEvent, EvidenceSalt, UsageRecord
from lms.usage.reasons import N_
from lms.usage.verifier.verify import handover_statement

RECORD_TYPES = ("usage-record", "usage-correction")
_BATCH = 500


def this_key() -> NodeKey:
    """The key of this installation."""
    return node_key(current_app.config["ZHIKE"].data_dir)


def append_event(
    school_id: uuid.UUID,
    type: str,
    body: Mapping[str, Any],
    commitments: Iterable[Sealed],
    at: datetime,
    *,
    manual: bool = False,
) -> EvidenceEvent:
    """Append one link to the school's chain; joins the open write.

    ``body`` is the open payload and must hold no person; ``commitments`` enter as salted hashes, their salts are kept apart.
    Raises Refused (``origin-differs``) where the database belongs to the other world, real or simulated.
    """
    with write():
        head = _locked_head(school_id)
        origin = origin_of(manual=manual)
        key = this_key()
        _announce_key(head, key, at)
        sealed = list(commitments)
        salts = {one.field: secrets.token_hex(32) for one in sealed}
        hashes = {one.field: commitment(salts[one.field], one.value) for one in sealed}
        event = _append(head, type, origin, key, body, hashes, at)
        db.session.add_all(
            EvidenceSalt(
                id=new_id(),
                school_id=school_id,
                seq=event.seq,
                field=one.field,
                person_id=one.person_id,
                salt=salts[one.field],
                value=one.value,
            )
            for one in sealed
        )
        db.session.flush()
        return event


def chain_is_open(school_id: uuid.UUID) -> bool:
    """Whether the school's chain has a link."""
    return bool(db.session.scalar(select(ChainHead.seq).where(ChainHead.school_id == school_id)))


def origin_of(*, manual: bool = False) -> str:
    """Origin of a new link; the database keeps the world it was made in, real or simulated, and refuses the other."""
    claim_origin(current_app.config["ZHIKE"].origin)
    origin = str(kept_origin())
    return "manual" if manual and origin == "real" else origin


def _insert_once(table: type[Base], values: Mapping[str, Any]) -> None:
    """Insert a row unless it is there; safe among concurrent writers."""
    dialect = postgresql if db.session.get_bind().dialect.name == "postgresql" else sqlite
    db.session.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())


def _locked_head(school_id: uuid.UUID) -> ChainHead:
    """The head row, locked: FOR UPDATE on PostgreSQL, the writers' queue on SQLite."""
    _insert_once(ChainHead, {"school_id": school_id, "seq": 0, "hash": "0" * 64})
    query = (
        select(ChainHead)
        .where(ChainHead.school_id == school_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return db.session.execute(query).scalar_one()


def _announce_key(head: ChainHead, key: NodeKey, at: datetime) -> None:
    """Open the chain with the key, or tell that the key has changed, so that a verifier finds each key on the chain."""
    origin: str = current_app.config["ZHIKE"].origin
    last = db.session.scalar(
        select(EvidenceEvent.key_id).where(EvidenceEvent.school_id == head.school_id, EvidenceEvent.seq == head.seq)
    )
    if last == key.key_id:
        return
    payload: dict[str, Any] = {"public_key": key.public.hex(), "previous_key_id": last}
    if last:
        old = retired_key(current_app.config["ZHIKE"].data_dir, last)
        payload["handover"] = old.sign(handover_statement(str(head.school_id), last, key.public.hex())) if old else ""
    _append(head, "key-changed" if last else "chain-opened", origin, key, payload, {}, at)


def _append(
    head: ChainHead,
    type: str,
    origin: str,
    key: NodeKey,
    payload: Mapping[str, Any],
    commitments: Mapping[str, str],
    at: datetime,
) -> EvidenceEvent:
    seq, prev = head.seq + 1, head.hash
    body = body_of(
        seq=seq,
        prev=prev,
        origin=origin,
        key_id=key.key_id,
        type=type,
        at=at,
        school=str(head.school_id),
        payload=payload,
        commitments=commitments,
    )
    event = EvidenceEvent(
        id=new_id(),
        school_id=head.school_id,
        seq=seq,
        prev=prev,
        hash=link_hash(body),
        type=type,
        origin=origin,
        key_id=key.key_id,
        at=at,
        body=body,
    )
    db.session.add(event)
    head.seq, head.hash = seq, event.hash
    db.session.flush()
    return event


def sign_daily_roots(now: datetime) -> int:
    """Sign the Merkle root of every finished day that has links and no root yet, for every school; returns roots signed.

    A day is the school's own; a root covers every link since the root before it.
    """
    signed = 0
    zones = {school.id: school.zone for school in db.session.scalars(select(School))}
    for school_id in db.session.scalars(select(ChainHead.school_id).order_by(ChainHead.school_id)).all():
        with write():
            signed += _sign_school(school_id, zones.get(school_id, "Asia/Shanghai"), now)
    return signed


def _sign_school(school_id: uuid.UUID, zone: str, now: datetime) -> int:
    head = _locked_head(school_id)
    last = db.session.scalar(select(func.max(DailyRoot.last_seq)).where(DailyRoot.school_id == school_id)) or 0
    newest_day = db.session.scalar(select(func.max(DailyRoot.day)).where(DailyRoot.school_id == school_id))
    query = select(EvidenceEvent.seq, EvidenceEvent.hash, EvidenceEvent.at).where(
        EvidenceEvent.school_id == school_id, EvidenceEvent.seq > last
    )
    rows = db.session.execute(query.order_by(EvidenceEvent.seq)).all()
    yesterday = clock.local_date(now, zone) - timedelta(days=1)
    key = this_key()
    if rows:
        _announce_key(head, key, now)  # belongs to the day that is going on
    signed = start = 0
    # A clock that was set back must not stop the signing: a link belongs to the latest day seen so far.
    days, latest = [], newest_day + timedelta(days=1) if newest_day else None
    for row in rows:
        day = clock.local_date(row.at, zone)
        latest = max(day, latest) if latest else day
        days.append(latest)
    for day, group in groupby(range(len(rows)), key=lambda index: days[index]):
        if day > yesterday:
            break
        indexes = list(group)
        start, until = rows[indexes[0]].seq, rows[indexes[-1]].seq
        root = merkle_root([rows[index].hash for index in indexes])
        signature = key.sign(root_statement(str(school_id), day, start, until, root))
        db.session.add(
            DailyRoot(
                id=new_id(),
                school_id=school_id,
                day=day,
                first_seq=start,
                last_seq=until,
                root=root,
                key_id=key.key_id,
                signature=signature,
            )
        )
        signed += 1
    return signed


def check_link_of(record: UsageRecord) -> ChainReport:
    """The state of one record's link: its body, its neighbours, its columns and its openings."""
    query = select(EvidenceEvent).where(EvidenceEvent.school_id == record.school_id)
    around = EvidenceEvent.seq.between(record.event_seq - 1, record.event_seq + 1)
    links = {row.seq: link_of(row) for row in db.session.scalars(query.where(around))}
    link, before, after = (links.get(record.event_seq + step) for step in (0, -1, 1))
    found: Break | None
    if link is None:
        found = broken(record.event_seq, "missing", N_("证据链上没有这一环"))
    else:
        found = check_link(link, record.event_seq, before.hash if before else GENESIS)
        if found is None:
            salts = _salts(record.school_id, link.seq, link.seq).get(link.seq, ())
            found = _check_beside(link, json.loads(link.body), record, salts)
        if found is None and after is not None and after.prev != link.hash:
            found = broken(after.seq, "unlinked", N_("后一环没有接在它之后"))
    if found is None:
        return ChainReport(True, len(links))
    return ChainReport(False, len(links), found.seq, str(found.why), found.code, why=found.why)


def erase_person(actor: Account | None, school_id: uuid.UUID, person_id: uuid.UUID, reason: str) -> int:
    """Erase what the chain knows of a person: the salts go, the chain stays whole; returns how many openings were deleted.

    The erasure is itself an event (counts only).
    """
    with write():
        gone = db.session.execute(
            delete(EvidenceSalt).where(EvidenceSalt.school_id == school_id, EvidenceSalt.person_id == person_id)
        )
        count = int(getattr(gone, "rowcount", 0))
        append_event(school_id, "erasure", {"openings": count}, (), clock.now())
        audit(actor, "erase-evidence", "person", person_id, reason, school_id=school_id, openings=count)
        return count


def verify_chain(school_id: uuid.UUID) -> ChainReport:
    """Walk the whole chain of a school: links, records behind them, openings that still exist, signed roots, anchors, head."""
    if not db.session().info.get("zhike_writing"):
        db.session.rollback()  # a fresh snapshot
    head = db.session.execute(select(ChainHead.seq, ChainHead.hash).where(ChainHead.school_id == school_id)).first()
    until = head.seq if head else 0
    walk, beside = Walk(str(school_id)), None
    records = {
        row.event_seq: row for row in db.session.scalars(select(UsageRecord).where(UsageRecord.school_id == school_id))
    }
    for links in _in_batches(school_id, until):
        salts = _salts(school_id, links[0].seq, links[-1].seq)
        for link in links:
            body = walk.take(link)
            if body is None:
                break
            beside = beside or _check_beside(link, body, records.pop(link.seq, None), salts.get(link.seq, ()))
    forged = min((seq for seq in records if seq <= until or not head), default=None)
    if forged is not None and walk.broken is None and beside is None:
        beside = broken(forged, "record-forged", N_("有使用记录，证据链上却没有它"))
    anchors = db.session.scalars(select(EvidenceAnchor).where(EvidenceAnchor.school_id == school_id))
    proofs = {proof_hash(row.proof): row.proof for row in anchors}
    return walk.report(roots_of(school_id), (head.seq, head.hash) if head else None, proofs, beside)


def roots_of(school_id: uuid.UUID) -> list[Root]:
    """The signed daily roots, oldest first."""
    rows = db.session.scalars(select(DailyRoot).where(DailyRoot.school_id == school_id).order_by(DailyRoot.day))
    return [Root(row.day, row.first_seq, row.last_seq, row.root, row.key_id, row.signature) for row in rows]


def proof_hash(proof: Mapping[str, Any]) -> str:
    """SHA-256 of a proof's canonical text, as its anchor holds it on the chain."""
    return link_hash(canonical(proof).decode())


def _in_batches(school_id: uuid.UUID, until: int) -> Iterator[list[Link]]:
    after = 0
    while True:
        query = select(EvidenceEvent).where(
            EvidenceEvent.school_id == school_id, EvidenceEvent.seq > after, EvidenceEvent.seq <= until
        )
        rows = db.session.scalars(query.order_by(EvidenceEvent.seq).limit(_BATCH)).all()
        if not rows:
            return
        yield [link_of(row) for row in rows]
        after = rows[-1].seq


def link_of(row: EvidenceEvent) -> Link:
    """A stored link as plain facts."""
    return Link(row.seq, row.prev, row.hash, row.type, row.origin, row.key_id, row.at, str(row.school_id), row.body)


def _salts(school_id: uuid.UUID, first: int, last: int) -> dict[int, Sequence[EvidenceSalt]]:
    query = select(EvidenceSalt).where(
        EvidenceSalt.school_id == school_id, EvidenceSalt.seq >= first, EvidenceSalt.seq <= last
    )
    found: dict[int, list[EvidenceSalt]] = {}
    for row in db.session.scalars(query):
        found.setdefault(row.seq, []).append(row)
    return dict(found)


def _check_beside(
    link: Link, body: Mapping[str, Any], record: UsageRecord | None, salts: Sequence[EvidenceSalt]
) -> Break | None:
    """What stands beside a link must be what it committed to: the usage record's columns and the openings."""
    for salt in salts:
        if body["commitments"].get(salt.field) != commitment(salt.salt, salt.value):
            return broken(link.seq, "opening", N_("承诺 %(field)s 的原值被改动"), field=salt.field)
    if link.type not in RECORD_TYPES:
        return broken(link.seq, "record-forged", N_("使用记录指向的不是记录事件")) if record is not None else None
    if record is None:
        return broken(link.seq, "record-missing", N_("使用记录被删除"))
    teacher = next((salt.value.get("person") for salt in salts if salt.field == "teacher"), None)
    if record_columns(record) != body["payload"]["record"] or teacher not in (None, str(record.teacher_id)):
        return broken(link.seq, "record-changed", N_("使用记录与证据链上的内容不符"))
    return None


def record_columns(record: UsageRecord) -> dict[str, Any]:
    """The columns of a usage record that rules read, as the chain holds them; no person."""
    return {
        "id": str(record.id),
        "lesson": str(record.lesson_id) if record.lesson_id else None,
        "class": str(record.class_id),
        "room": str(record.room_id) if record.room_id else None,
        "lesson_on": record.lesson_on.isoformat(),
        "started_at": clock_text(record.started_at),
        "ended_at": clock_text(record.ended_at),
        "minutes": record.minutes,
        "class_hours": record.class_hours,
        "kind": record.kind,
        "subject": record.subject,
        "units": list(record.units),
        "roster": record.roster,
        "present": record.present,
        "on_leave": record.on_leave,
        "evidence": record.grade_of_evidence,
        "origin": record.origin,
        "makeup_of": str(record.makeup_of) if record.makeup_of else None,
        "part_of": record.part_of,
        "corrects": str(record.corrects_id) if record.corrects_id else None,
    }


def clock_text(at: datetime) -> str:
    """UTC time to the second, the same from every database."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
