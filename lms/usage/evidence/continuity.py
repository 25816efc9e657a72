"""The chain goes on after a restore, and notices an old database put back in silence (恢复声明), B10.5.

``keys/heads.json`` in the data folder remembers each chain's newest link outside the database. A restore by ``lms restore`` writes a
``restore`` link that names the gap; where the database is older than the mark without such a link, a ``rolled-back`` link says so.
Whoever puts back database and data folder together leaves no trace here: anchors outside the school find that (docs/evidence.md).
"""

from __future__ import annotations

import json
import os
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import select

from lms.core.backup import Restored, on_restore
from lms.core.db import db, write
from lms.usage.evidence.chain import stamp
from lms.usage.evidence.ledger import append_event
from lms.usage.models import ChainHead, EvidenceEvent

Marks = dict[str, dict[str, Any]]


def _path(folder: Path) -> Path:
    return folder / "keys" / "heads.json"


def _read(path: Path) -> Marks:
    try:
        found: Marks = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _write(path: Path, marks: Marks) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".heads-{os.getpid()}.json")
    draft.write_text(json.dumps(marks, indent=1), "utf-8")
    draft.chmod(0o600)
    draft.replace(path)


def _heads() -> Marks:
    return {str(row.school_id): {"seq": row.seq, "hash": row.hash} for row in db.session.scalars(select(ChainHead)) if row.seq}


def keep_marks(now: datetime) -> int:
    """Compare each chain with its mark, tell on the chain where it was rolled back, then move the marks; returns how many were rolled back."""
    path, found = _path(current_app.config["ZHIKE"].data_dir), 0
    marks = _read(path)
    for school, mark in marks.items():
        found += _tell_if_rolled_back(uuid.UUID(school), mark, now)
    _write(path, marks | _heads())
    return found


def _tell_if_rolled_back(school_id: uuid.UUID, mark: dict[str, Any], now: datetime) -> bool:
    known = select(EvidenceEvent.hash).where(EvidenceEvent.school_id == school_id, EvidenceEvent.seq == mark["seq"])
    if db.session.scalar(known) == mark["hash"]:
        return False
    with write():
        append_event(school_id, "rolled-back", {"known_seq": mark["seq"], "known_hash": mark["hash"]}, (), now)
        return True


def tell_of_restore(facts: Restored) -> None:
    """Write the gap into every chain: when the backup was made, where the chain goes on, and what the mark of before says was lost."""
    folder = current_app.config["ZHIKE"].data_dir
    before = _read(_path(folder / "before-restore"))
    with write():
        for school, head in _heads().items():
            lost = before.get(school, {}).get("seq")
            payload = {
                "made_at": stamp(facts.made_at),
                "restored_at": stamp(facts.restored_at),
                "goes_on_after": head["seq"],
                "known_until": lost if lost and lost > head["seq"] else None,
            }
            append_event(uuid.UUID(school), "restore", payload, (), facts.restored_at)
    _write(_path(folder), _heads())


on_restore(tell_of_restore)
