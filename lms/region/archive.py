"""Batches as they came (批次存档), and what follows from them when a school declares a restore: the chain as it was at an earlier link."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import delete, select, update

from lms.core.audit import audit
from lms.core.db import db, new_id
from lms.region import rules
from lms.region.batches import Batch, read
from lms.region.models import HandedBatch, HandedRecord, Subordinate


def batch_path(school_id: uuid.UUID, name: str) -> Path:
    """Where a batch lies."""
    folder: Path = current_app.config["ZHIKE"].data_dir
    return folder / "region" / "batches" / school_id.hex / f"{name}.zip"


def store(school_id: uuid.UUID, batch: Batch) -> None:
    """Keep a batch as it came; the same one twice is one file."""
    path = batch_path(school_id, batch.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{new_id().hex[:8]}")
    draft.write_bytes(batch.data)
    draft.replace(path)


def held(school_id: uuid.UUID, first_seq: int, last_seq: int) -> dict[int, str]:
    """Hashes of the links that are held, by seq, from the files; for the links asked for."""
    query = select(HandedBatch).where(
        HandedBatch.school_id == school_id,
        HandedBatch.state == "applied",
        HandedBatch.first_seq <= last_seq,
        HandedBatch.last_seq >= first_seq,
    )
    found: dict[int, str] = {}
    for row in db.session.scalars(query.order_by(HandedBatch.first_seq)):
        batch = read(batch_path(school_id, row.name).read_bytes())
        found |= {row.first_seq + at: one for at, one in enumerate(batch.hashes) if row.first_seq + at <= row.last_seq}
    return found


def known_at(school_id: uuid.UUID, until: int, key: bytes) -> tuple[rules.Known, dict[str, dict[str, Any]]]:
    """What was known of a school's chain at the link ``until``, and its calendar then, walked anew from the files."""
    calendar: dict[str, dict[str, Any]] = {}
    known = rules.Known(str(school_id), trusted=(key,))
    query = select(HandedBatch).where(HandedBatch.school_id == school_id, HandedBatch.state == "applied")
    for row in db.session.scalars(query.order_by(HandedBatch.first_seq, HandedBatch.received_at)):
        if row.first_seq > until + 1:
            break
        batch = read(batch_path(school_id, row.name).read_bytes())
        count = max(0, min(until, row.last_seq) - row.first_seq + 1)
        roots = [root for root in batch.roots if root["last_seq"] <= until]
        segment = rules.check_segment(known, batch.links[:count], batch.hashes[:count], row.first_seq, roots)
        if isinstance(segment, rules.Fault):
            raise RuntimeError(f"stored batch {row.name}: {segment}")
        known, calendar = segment.known, rules.calendar_after(calendar, segment.bodies)
    return known, calendar


def rewind(found: Subordinate, until: int) -> None:
    """Forget what a declared restore lost: links, records and batches after ``until``; in the open write. The files stay."""
    school_id = found.organisation_id
    assert school_id is not None
    after = (HandedBatch.school_id == school_id, HandedBatch.state == "applied")
    db.session.execute(update(HandedBatch).where(*after, HandedBatch.first_seq > until).values(state="lost"))
    db.session.execute(update(HandedBatch).where(*after, HandedBatch.last_seq > until).values(last_seq=until))
    lost = db.session.scalars(
        select(HandedRecord).where(HandedRecord.school_id == school_id, HandedRecord.seq > until)
    ).all()
    again = [row.facts["corrects"] for row in lost if row.facts["corrects"]]
    mine = (HandedRecord.school_id == school_id, HandedRecord.record_id.in_(again))
    db.session.execute(update(HandedRecord).where(*mine).values(corrected=False))
    db.session.execute(delete(HandedRecord).where(HandedRecord.school_id == school_id, HandedRecord.seq > until))
    audit(None, "restore-declared", "school", school_id, school_id=school_id, until=until, records_lost=len(lost))
