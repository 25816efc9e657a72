"""The evidence part of ``make bench``: verifying a chain beside a bare loop over the same records; closing a lesson of fifty.

``verify_ratio`` = time of a bare loop of canonical JSON and SHA-256 / time of the verification of the same records (links, keys, plans,
records, signed daily roots, anchors), both in this run, as processor time, so that a busy machine does not judge; the bare loop uses the fastest encoder there is (C). ``beside_rfc8785``: the same with
the RFC 8785 library that writes the links.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import statistics
import time
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lms.app import create_app
from lms.config import Settings
from lms.core import schema
from lms.core.db import db, write
from lms.usage.evidence.chain import GENESIS, Root, body_of, commitment, link_hash, merkle_root, root_statement, stamp
from lms.usage.evidence.keys import NodeKey
from lms.usage.evidence.ledger import proof_hash
from lms.usage.verifier import verify

SCHOOL = str(uuid.UUID(int=7))
PUPILS = 45
ADAY = 12
ROUNDS = 7


def chain(days: int) -> tuple[list[str], list[dict[str, Any]], list[dict[str, Any]]]:
    """A school's chain: links, signed roots, proofs of the anchors; twelve lessons a day, each of 45 pupils."""
    key = NodeKey(Ed25519PrivateKey.generate())
    links: list[str] = []
    hashes: list[str] = []
    roots: list[dict[str, Any]] = []
    proofs: list[dict[str, Any]] = []

    def add(kind: str, at: datetime, payload: dict[str, Any], sealed: dict[str, str]) -> None:
        prev = hashes[-1] if hashes else GENESIS
        text = body_of(
            seq=len(links) + 1, prev=prev, origin="real", key_id=key.key_id, type=kind, at=at, school=SCHOOL, payload=payload, commitments=sealed
        )  # fmt: skip
        links.append(text)
        hashes.append(link_hash(text))

    first = date(2026, 9, 1)
    add("chain-opened", _at(first, 0), {"public_key": key.public.hex(), "previous_key_id": None}, {})
    since = 1
    for number in range(days):
        day = first + timedelta(days=number)
        for lesson in range(ADAY):
            add("usage-record", _at(day, 60 + lesson * 45 + 41), _record(day, lesson), _sealed())
        plain = Root(day, since, len(links), merkle_root(hashes[since - 1 :]), key.key_id, "")
        statement = plain.statement(SCHOOL)
        root = {**plain.plain(), "signature": key.sign(root_statement(SCHOOL, day, since, len(links), plain.root))}
        roots.append(root)
        at = stamp(_at(day, 990))
        proof = {"public_key": key.public.hex(), "signature": key.sign(verify.countersigned("region", statement, at, "某区"))}
        proofs.append(proof)
        since = len(links) + 1
        told = {"kind": "region", "day": root["day"], "last_seq": root["last_seq"], "root": root["root"], "at": at, "issuer": "某区", "proof": proof_hash(proof)}
        add("anchor", _at(day, 990), told, {})
    return links, roots, proofs


def _at(day: date, minutes: int) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minutes)


def _sealed() -> dict[str, str]:
    fields = ["teacher", *(f"pupil/{n:03d}" for n in range(1, PUPILS + 1)), "signed/1"]
    return {name: commitment(secrets.token_hex(32), {"person": name}) for name in fields}


def _record(day: date, lesson: int) -> dict[str, Any]:
    began = _at(day, 60 + lesson * 45)
    record = {
        "id": str(uuid.uuid4()), "lesson": str(uuid.uuid4()), "class": str(uuid.UUID(int=lesson)), "room": str(uuid.UUID(int=1)), "lesson_on": day.isoformat(),
        "started_at": stamp(began), "ended_at": stamp(began + timedelta(minutes=40)), "minutes": 40, "class_hours": 1, "kind": "regular", "subject": "人工智能",
        "units": ["ncet:五上-3"], "roster": PUPILS, "present": PUPILS - 1, "on_leave": 1, "evidence": "A", "origin": "real", "makeup_of": None, "part_of": None,
        "corrects": None,
    }  # fmt: skip
    witness = [{"kind": kind, "count": 400, "first_at": stamp(began), "last_at": stamp(began + timedelta(minutes=40))} for kind in ("seat-heartbeats", "submissions")]
    devices = [{"id": f"mbot-{n}", "profile": "makeblock-mbot", "commands": 40, "stop_confirmed": True, "frames": 0, "faces_max": 0} for n in range(8)]
    plan = {"status": "unscheduled", "slot": None, "seq": None}
    return {"record": record, "slot": [stamp(began), None], "witnesses": witness, "devices": devices, "plan": plan, "exceptions": [], "software": "0.1"}


def _whole(links: list[str], roots: list[dict[str, Any]], proofs: list[dict[str, Any]]) -> None:
    walk = verify.Walk(SCHOOL)
    for text in links:
        walk.feed(text)
    walk.check_roots(roots)
    walk.story.check_anchors(roots, {verify.digest(verify.canonical(proof)): proof for proof in proofs})
    result = verify.as_json(walk)
    if not result["ok"] or result["grades"]["A"] != len(links) - 1 - len(roots):
        raise RuntimeError(f"the bench's own chain is broken: {result}")


def verify_ratio(days: int = 100) -> dict[str, Any]:
    """Verification beside the bare loop; medians of several rounds taken in turn."""
    links, roots, proofs = chain(days)
    bodies = [json.loads(text) for text in links]
    encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode

    def bare() -> None:
        for body in bodies:
            hashlib.sha256(encode(body).encode()).hexdigest()

    def bare_rfc8785() -> None:
        for body in bodies:
            hashlib.sha256(rfc8785.dumps(body)).hexdigest()

    times: dict[str, list[float]] = {"bare": [], "rfc8785": [], "verify": []}
    for _ in range(ROUNDS):
        times["bare"].append(_seconds(bare))
        times["rfc8785"].append(_seconds(bare_rfc8785))
        times["verify"].append(_seconds(lambda: _whole(links, roots, proofs)))
    middle = {name: statistics.median(values) for name, values in times.items()}
    return {
        "verify_ratio": round(middle["bare"] / middle["verify"], 3),
        "beside_rfc8785": round(middle["rfc8785"] / middle["verify"], 3),
        "links": len(links),
        "verify_ms": round(middle["verify"] * 1000, 1),
        "bare_ms": round(middle["bare"] * 1000, 1),
    }


def _seconds(work: Callable[[], None]) -> float:
    """Processor seconds of a piece of work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def close_lesson(folder: Path, pupils: int = 50, lessons: int = 20) -> dict[str, Any]:
    """Milliseconds (wall clock) to record a closed lesson of fifty with work of everybody, committed: median and slowest of several."""
    from lms.usage import service
    from tests.factories import make_class, make_pupils, make_school, make_teacher
    from tests.usage.makers import closed_lesson

    app = create_app(Settings(data_dir=folder / "evidence", secret_key="bench"), testing=True)
    with app.app_context():
        schema.upgrade(db.engine)
        school = make_school()
        cohort = make_class(school)
        teacher, people = make_teacher(school, cohort), make_pupils(school, cohort, pupils)
        taken = []
        for number in range(lessons):
            facts = closed_lesson(cohort, teacher, people, date(2026, 9, 1) + timedelta(days=number))

            def close(facts: Any = facts) -> None:
                with write():
                    service.record_lesson(facts, None)

            began = time.perf_counter()
            close()
            taken.append((time.perf_counter() - began) * 1000)
        db.session.remove()
        db.engine.dispose()
    return {"pupils": pupils, "lessons": lessons, "median_ms": round(statistics.median(taken), 1), "slowest_ms": round(max(taken), 1)}
