"""The pack for an inspector (证据包): the whole chain, roots, anchors, figures of a term, verifier and instructions in one zip, no names.

``chain.jsonl`` has one link a line (its canonical text), ``hashes.json`` their hashes, ``roots.json``, ``anchors.json`` (proofs), ``keys.json``,
``records.json`` (the term's records with pseudonyms of teachers), ``flags.json`` (what should be asked about), ``verify.py``, ``说明.md``;
``manifest.json`` names the SHA-256 of each and the chain's head, ``manifest.sig`` is the school's signature over it.
"""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from collections.abc import Iterable
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import select

from lms import __version__
from lms.core import clock
from lms.core.db import db
from lms.roster import service as roster
from lms.roster.models import SchoolClass, Term
from lms.usage.evidence.chain import stamp
from lms.usage.evidence.ledger import roots_of, this_key
from lms.usage.models import EvidenceAnchor, EvidenceEvent, UsageRecord
from lms.usage.verifier.verify import digest, root_statement, short_code

FORMAT = 1
_BATCH = 1000


def write_pack(school_id: uuid.UUID, term: Term, target: Path, now: datetime) -> dict[str, Any]:
    """Write the pack of a term at ``target``, whole or not at all; returns its manifest."""
    school, key = roster.school_of(school_id), this_key()
    links, hashes, keys, seq = _chain(school_id)
    roots = [root.plain() for root in roots_of(school_id)]
    anchors = list(db.session.scalars(select(EvidenceAnchor).where(EvidenceAnchor.school_id == school_id).order_by(EvidenceAnchor.event_seq)))
    records = _records(school_id, term)
    from lms.usage.evidence.suspicion import flags_of_term

    files: dict[str, bytes] = {
        "chain.jsonl": "".join(link + "\n" for link in links).encode(),
        "hashes.json": _json(hashes),
        "roots.json": _json(roots),
        "anchors.json": _json([row.proof for row in anchors]),
        "keys.json": _json(keys),
        "records.json": _json(records),
        "flags.json": _json(flags_of_term(school_id, term)),
        "sample.py": resources.files("lms.usage.verifier").joinpath("sample.py").read_bytes(),
        "verify.py": resources.files("lms.usage.verifier").joinpath("verify.py").read_bytes(),
    }
    manifest = {
        "format": FORMAT,
        "school": str(school_id),
        "name": school.organisation.name,
        "code": school.organisation.code,
        "term": {"year": term.school_year, "ordinal": term.ordinal, "starts_on": term.starts_on.isoformat(), "ends_on": term.ends_on.isoformat()},
        "made_at": stamp(now),
        "made_by": f"zhike {__version__}",
        "head": {"seq": seq, "hash": hashes[-1] if hashes else "0" * 64},
        "records": len(records),
        "origin": sorted({row["origin"] for row in records}),
    }
    files["说明.md"] = _readme(manifest, roots).encode()
    manifest["files"] = {name: digest(content) for name, content in sorted(files.items())}
    raw = _json(manifest)
    files |= {"manifest.json": raw, "manifest.sig": _json({"key_id": key.key_id, "signature": key.sign(raw)})}
    _write(target, files)
    return manifest


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _write(target: Path, files: dict[str, bytes]) -> None:
    draft = target.with_name(f".{target.name}-{os.getpid()}.part")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _chain(school_id: uuid.UUID) -> tuple[list[str], list[str], dict[str, str], int]:
    links: list[str] = []
    hashes: list[str] = []
    keys: dict[str, str] = {}
    after = 0
    while True:
        query = select(EvidenceEvent.seq, EvidenceEvent.type, EvidenceEvent.key_id, EvidenceEvent.hash, EvidenceEvent.body)
        found = db.session.execute(query.where(EvidenceEvent.school_id == school_id, EvidenceEvent.seq > after).order_by(EvidenceEvent.seq).limit(_BATCH)).all()
        if not found:
            return links, hashes, keys, after
        for row in found:
            links.append(row.body)
            hashes.append(row.hash)
            if row.type in ("chain-opened", "key-changed"):
                keys[row.key_id] = json.loads(row.body)["payload"]["public_key"]
        after = found[-1].seq


def _records(school_id: uuid.UUID, term: Term) -> list[dict[str, Any]]:
    """The term's records: counts, class, pseudonym of the teacher; a class is no person and keeps its name."""
    school, key = roster.school_of(school_id), this_key()
    classes = {row.id: row for row in db.session.scalars(select(SchoolClass).where(SchoolClass.school_id == school_id))}
    query = select(UsageRecord).where(UsageRecord.school_id == school_id, UsageRecord.lesson_on.between(term.starts_on, term.ends_on))
    return [
        {
            "seq": row.event_seq,
            "id": str(row.id),
            "class": roster.class_name(classes[row.class_id], school, row.lesson_on),
            "lesson_on": row.lesson_on.isoformat(),
            "minutes": row.minutes,
            "class_hours": row.class_hours,
            "kind": row.kind,
            "subject": row.subject,
            "units": row.units,
            "roster": row.roster,
            "present": row.present,
            "on_leave": row.on_leave,
            "teacher": key.pseudonym(str(row.teacher_id)),
            "recorded_grade": row.grade_of_evidence,
            "origin": row.origin,
            "plan": row.detail.get("plan"),
            "corrects": str(row.corrects_id) if row.corrects_id else None,
        }
        for row in db.session.scalars(query.order_by(UsageRecord.event_seq))
    ]


def _readme(manifest: dict[str, Any], roots: Iterable[dict[str, Any]]) -> str:
    codes = [
        (root["day"], short_code(root_statement(manifest["school"], root["day"], root["first_seq"], root["last_seq"], root["root"]))) for root in roots
    ]
    text = resources.files("lms.usage.verifier").joinpath("readme.md").read_text("utf-8")
    made = clock.local(datetime.fromisoformat(manifest["made_at"].replace("Z", "+00:00")), "Asia/Shanghai")
    told = text.format(name=manifest["name"], made=f"{made:%Y-%m-%d %H:%M}", seq=manifest["head"]["seq"], hash=manifest["head"]["hash"])
    return told + "\n" + "\n".join(f"| {day} | `{code}` |" for day, code in codes[-31:]) + "\n"


def term_of(school_id: uuid.UUID, text: str, today: datetime) -> Term:
    """The term written as ``2026-1`` (school year, 1 autumn or 2 spring); empty: the one of today. Raises Refused (``no-term``)."""
    from lms.usage.judging.gathering import term_for

    if text:
        year, _, ordinal = text.partition("-")
        if year.isdigit() and ordinal.isdigit():
            query = select(Term).where(Term.school_id == school_id, Term.school_year == int(year), Term.ordinal == int(ordinal))
            found = db.session.scalar(query)
            if found is not None:
                return found
        from flask_babel import lazy_gettext as _l

        from lms.core.errors import Refused

        raise Refused("no-term", _l("没有学期 %(term)s。", term=text), remedy=_l("请写成 2026-1（2026 学年第一学期）。"))
    return term_for(school_id, clock.local_date(today, roster.school_of(school_id).zone))
