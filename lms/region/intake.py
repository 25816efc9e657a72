"""The office's side of the hand-up (接收): read a batch, hold it against what is known, keep it, countersign it.

Nothing of a batch that is refused is kept; a batch that comes twice gets its receipt again; one that comes too early waits.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused, ZhikeError
from lms.core.jobs import later
from lms.core.models import Account
from lms.region import archive, rules
from lms.region.archive import batch_path, store
from lms.region.batches import MOST_OF_A_FILE, Batch, Signed, fingerprint, read, sign_document, unzipped
from lms.region.judging import held_of, judge, keep_records, keep_results
from lms.region.models import HandedBatch, HandedRecord, Subordinate
from lms.region.office import need_office, own_fingerprint, place
from lms.region.trust import INNER, refuse_foreign_origin, refuse_key, sender, vouched
from lms.usage.evidence.ledger import this_key
from lms.usage.judging.facts import Facts
from lms.usage.judging.verdicts import SchoolResult
from lms.usage.rulebook import handing
from lms.usage.verifier import verify

TRIES = 3


@dataclass(frozen=True)
class Outcome:
    """What became of a batch: ``status`` applied | known | waiting, the office's receipt, and what it holds now."""

    school_id: uuid.UUID
    name: str
    status: str
    first_seq: int
    last_seq: int
    seq: int
    hash: str
    rooted: int
    receipt: dict[str, Any] | None
    gaps: tuple[rules.Gap, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As the line answers."""
        held = {"seq": self.seq, "hash": self.hash, "rooted": self.rooted}
        missing = [{"first_seq": one.first_seq, "last_seq": one.last_seq} for one in self.gaps]
        return {"status": self.status, "batch": self.name, "receipt": self.receipt, "gaps": missing, **held}


@dataclass(frozen=True)
class Taken:
    """What a batch brings once it holds: records, this office's verdicts, the calendar as the chain has it; ``lost_from``: a declared restore."""

    records: list[tuple[int, Mapping[str, Any]]]
    verdicts: list[tuple[Facts, SchoolResult]]
    calendar: Mapping[str, Mapping[str, Any]]
    lost_from: int | None


def take_file(actor: Account | None, data: bytes, where: str = "") -> list[Outcome]:
    """Import a file: one batch, or a zip of batches or of files, each by itself; raises at the first that is refused.

    What came before it is kept: importing the same file again goes on from there.
    """
    members = unzipped(data, where, MOST_OF_A_FILE)
    if "manifest.json" in members or INNER in members:
        outcomes = [take(data, where)]
    else:
        if not members or not all(name.endswith(".zip") for name in members):
            raise Invalid(
                "batch-unreadable", _l("这不是上报文件。"), remedy=_l("请选择学校“上报”页导出的文件。"), where=where
            )
        outcomes = [one for name in sorted(members) for one in take_file(actor, members[name], f"{where}/{name}")]
    return outcomes


def take(data: bytes, where: str = "") -> Outcome:
    """Take one batch, from the school itself or forwarded by an office below.

    Raises Invalid (not whole) and Refused naming the record; the refusal is kept on the school's page.
    """
    voucher, inner = vouched(data, where)
    batch = read(inner, where)
    subordinate_id = sender(batch, voucher)
    try:
        for _attempt in range(TRIES):
            found = _take(batch, subordinate_id)
            if found is not None:
                return _settle_waiting(found, subordinate_id)
    except ZhikeError as refusal:
        db.session.rollback()
        _note(subordinate_id, f"{refusal.message} {refusal.remedy}".strip(), batch)
        raise
    raise Refused("busy", _l("这所学校的另一批正在导入，请稍后再试。"))


def known_of(found: Subordinate, school: str) -> rules.Known:
    """What is known of the school's chain."""
    keys = {key: (bytes.fromhex(public), int(since)) for key, (public, since) in found.keys.items()}
    return rules.Known(school, found.seq, found.hash, keys, tuple(found.tail), found.rooted, found.root_day)


def _take(batch: Batch, subordinate_id: uuid.UUID) -> Outcome | None:
    """Take a batch once; None where another batch of the school came in between."""
    found = db.session.get_one(Subordinate, subordinate_id, populate_existing=True)
    school_id = uuid.UUID(batch.school)
    held = db.session.scalar(
        select(HandedBatch).where(HandedBatch.school_id == school_id, HandedBatch.name == batch.name)
    )
    known, calendar = known_of(found, batch.school), dict(found.calendar)
    if held is not None and held.state == "applied":
        return _outcome(found, batch, "known", held.receipt)
    trusted = batch.public_key.hex() == found.public_key or fingerprint(batch.public_key) == found.fingerprint
    if batch.first_seq > known.seq + 1:
        if not trusted:
            refuse_key(batch)
        return _wait(found, batch, held)
    lost_from = _departure(batch, known)
    if lost_from is not None:
        known, calendar = archive.known_at(school_id, lost_from - 1, batch.public_key)
        for key in rules.countersigned(found.calendar):
            if key in calendar and calendar[key]["on"] == found.calendar[key]["on"]:
                calendar[key]["countersigned"] = found.calendar[key]["countersigned"]
    elif batch.last_seq < known.seq:
        return _outcome(found, batch, "known", _newest_receipt(school_id))
    known = dataclasses.replace(known, trusted=(batch.public_key,) if trusted else ())
    segment = rules.check_segment(
        known, batch.links, batch.hashes, batch.first_seq, batch.roots, held_of(school_id, known.seq)
    )
    if isinstance(segment, rules.Fault):
        raise refusal_of(segment)
    if batch.wrong_members:
        raise Refused(
            "manifest",
            _l("文件 %(names)s 与清单不符：内容在途中被改动。", names="、".join(batch.wrong_members)),
            clause="B10",
        )
    if len(batch.links) != batch.last_seq - batch.first_seq + 1:
        raise Refused(
            "truncated",
            _l(
                "应有 %(count)s 环，只有 %(left)s 环。",
                count=batch.last_seq - batch.first_seq + 1,
                left=len(batch.links),
            ),
            clause="B10",
        )
    newest = max(segment.known.keys.values(), key=lambda pair: pair[1])[0] if segment.known.keys else batch.public_key
    if not trusted and batch.public_key != newest:
        refuse_key(batch)
    records = rules.records_of(segment.bodies)
    refuse_foreign_origin(segment)
    calendar = rules.calendar_after(calendar, segment.bodies)
    verdicts = judge(batch, school_id, records, calendar)
    return _apply(batch, found, segment, Taken(records, verdicts, calendar, lost_from))


def _departure(batch: Batch, known: rules.Known) -> int | None:
    """The link from which a batch departs from what is held, where it declares a restore; raises Refused naming the link where it does not."""
    first, prev = batch.first_seq, str(batch.manifest["prev"])
    if first == known.seq + 1 and prev == known.hash:
        return None
    held = archive.held(uuid.UUID(batch.school), first - 1, batch.last_seq)
    at = rules.departs(held, first, batch.hashes, prev)
    if at is None:
        return None
    if at >= first and rules.declares_restore(batch.links[at - first :]):
        return at
    since = db.session.scalar(
        select(HandedBatch.received_at)
        .where(
            HandedBatch.school_id == uuid.UUID(batch.school), HandedBatch.state == "applied", HandedBatch.last_seq >= at
        )
        .order_by(HandedBatch.first_seq)
        .limit(1)
    )
    source = clock.local_date(since, current_app.config["ZHIKE"].timezone).isoformat() if since else ""
    text = batch.links[at - first] if 0 <= at - first < len(batch.links) else ""
    raise refusal_of(rules.fault_at(verify.Fault(at, "forked", (("source", source),)), text))


def _newest_receipt(school_id: uuid.UUID) -> dict[str, Any] | None:
    query = select(HandedBatch.receipt).where(HandedBatch.school_id == school_id, HandedBatch.state == "applied")
    return db.session.scalar(query.order_by(HandedBatch.last_seq.desc(), HandedBatch.received_at.desc()).limit(1))


def refusal_of(fault: rules.Fault) -> Refused:
    """A fault in words that name the record."""
    why = _(verify.TEXTS[fault.code][0]) % dict(fault.facts)
    if fault.record:
        text = _(
            "第 %(seq)s 环（%(on)s 的使用记录 %(record)s）：%(why)s",
            seq=fault.seq,
            on=fault.on,
            record=fault.record,
            why=why,
        )
    else:
        text = _("第 %(seq)s 环：%(why)s", seq=fault.seq, why=why)
    return Refused(
        fault.code,
        text,
        remedy=_l("这一批没有导入，之前的不受影响；请学校核对后重新上报。"),
        where=fault.record or str(fault.seq),
        clause="B10",
        seq=fault.seq,
    )


def _days(batch: Batch) -> tuple[date, date]:
    """First and last day on which the links were written."""
    days = [date.fromisoformat(json.loads(text)["at"][:10]) for text in (batch.links[:1] + batch.links[-1:])]
    today = clock.now().date()
    return (days[0], days[-1]) if days else (today, today)


def _row(batch: Batch, school_id: uuid.UUID, held: HandedBatch | None, state: str) -> HandedBatch:
    first, last = _days(batch)
    row = held or HandedBatch(
        id=new_id(), school_id=school_id, name=batch.name, first_seq=batch.first_seq, last_seq=batch.last_seq, first_day=first, last_day=last,
        size=len(batch.data), received_at=clock.now(),
    )  # fmt: skip
    row.state = state
    db.session.add(row)
    return row


def _wait(found: Subordinate, batch: Batch, held: HandedBatch | None) -> Outcome:
    """Keep a batch whose forerunner is missing; it is applied as soon as that comes."""
    fault = rules.check_inside(batch.hashes, batch.links, batch.first_seq, str(batch.manifest["prev"]))
    if fault is not None:
        raise refusal_of(fault)
    school_id = uuid.UUID(batch.school)
    with write() as session:
        mine = session.get_one(Subordinate, found.id)
        if mine.organisation_id is None:
            place(mine, school_id, dict(batch.manifest["profile"]))
        if held is None:
            store(school_id, batch)
            _row(batch, school_id, None, "waiting")
            audit(
                None,
                "batch-waits",
                "school",
                school_id,
                school_id=school_id,
                first_seq=batch.first_seq,
                last_seq=batch.last_seq,
            )
    return _outcome(mine, batch, "waiting", None)


def _apply(
    batch: Batch,
    before: Subordinate,
    segment: rules.Segment,
    taken: Taken,
) -> Outcome | None:
    school_id, seen = uuid.UUID(batch.school), (before.seq, before.hash, before.rooted)
    store(school_id, batch)
    with write() as session:
        found = session.scalars(select(Subordinate).where(Subordinate.id == before.id).with_for_update()).one()
        if (found.seq, found.hash, found.rooted) != seen:
            return None
        if taken.lost_from is not None:
            archive.rewind(found, taken.lost_from - 1)
        after, found.calendar = segment.known, dict(taken.calendar)
        found.public_key, found.fingerprint = batch.public_key.hex(), fingerprint(batch.public_key)
        place(found, school_id, dict(batch.manifest["profile"]))
        found.seq, found.hash, found.rooted, found.root_day, found.tail = (
            after.seq,
            after.hash,
            after.rooted,
            after.root_day,
            list(after.tail),
        )
        found.keys = {key: [public.hex(), since] for key, (public, since) in after.keys.items()}
        found.handed_at, found.trouble, found.refused_at = clock.now(), "", None
        held = session.scalar(
            select(HandedBatch).where(HandedBatch.school_id == school_id, HandedBatch.name == batch.name)
        )
        row = _row(batch, school_id, held, "applied")
        if segment.bodies:
            found.last_day = row.last_day
        keep_records(school_id, taken.records)
        keep_results(found, school_id, taken.verdicts)
        session.flush()
        row.receipt = _receipt(found, batch, segment, taken.records).plain()
        audit(
            None,
            "batch-applied",
            "school",
            school_id,
            school_id=school_id,
            first_seq=batch.first_seq,
            last_seq=batch.last_seq,
        )
        later(school_id, "region-refresh")
    return _outcome(found, batch, "applied", row.receipt)


def _receipt(
    found: Subordinate, batch: Batch, segment: rules.Segment, records: list[tuple[int, Mapping[str, Any]]]
) -> Signed:
    """The countersigned receipt: what was taken, what is held now, and a countersignature under each new daily root."""
    key, office = this_key(), need_office()
    at = clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
    roots = []
    for root in segment.roots:
        statement = verify.root_statement(batch.school, root["day"], root["first_seq"], root["last_seq"], root["root"])
        signature = key.sign(verify.countersigned("region", statement, at, office.name))
        roots.append({name: root[name] for name in ("day", "first_seq", "last_seq", "root")} | {"signature": signature})
    total = select(func.count()).select_from(HandedRecord).where(HandedRecord.school_id == uuid.UUID(batch.school))
    body = {
        "school": batch.school,
        "school_key": batch.public_key.hex(),
        "profile": {**dict(batch.manifest["profile"]), "name": found.name, "code": found.code},
        "batch": batch.name,
        "first_seq": batch.first_seq,
        "last_seq": batch.last_seq,
        "seq": found.seq,
        "hash": found.hash,
        "rooted": found.rooted,
        "counts": {
            "links": len(segment.bodies),
            "records": sum(1 for _seq, record in records if not record["corrects"]),
            "corrections": sum(1 for _seq, record in records if record["corrects"]),
            "roots": len(segment.roots),
            "records_held": db.session.scalar(total) or 0,
        },
        "roots": roots,
        "countersigned": rules.countersigned(found.calendar),
        "rules": handing.rows_for(found.organisation_id) if found.organisation_id else [],
        "at": at,
        "issuer": {"name": office.name, "level": office.level, "fingerprint": own_fingerprint()},
    }
    return sign_document("receipt", body, key.public, key.sign)


def _outcome(found: Subordinate, batch: Batch, status: str, receipt: dict[str, Any] | None) -> Outcome:
    school_id = uuid.UUID(batch.school)
    missing = tuple(gaps_of(found)) if status == "waiting" else ()
    return Outcome(
        school_id,
        batch.name,
        status,
        batch.first_seq,
        batch.last_seq,
        found.seq,
        found.hash,
        found.rooted,
        receipt,
        missing,
    )


def gaps_of(found: Subordinate) -> list[rules.Gap]:
    """What is missing between what is known of a school and the batches that wait."""
    columns = (HandedBatch.first_seq, HandedBatch.last_seq, HandedBatch.first_day, HandedBatch.last_day)
    query = select(*columns).where(HandedBatch.school_id == found.organisation_id, HandedBatch.state == "waiting")
    return rules.gaps(
        found.seq, found.last_day, [(row[0], row[1], row[2], row[3]) for row in db.session.execute(query)]
    )


def _settle_waiting(outcome: Outcome, subordinate_id: uuid.UUID) -> Outcome:
    """Apply the batches that waited for this one; the newest outcome's receipt covers them all."""
    while outcome.status == "applied":
        query = select(HandedBatch).where(
            HandedBatch.school_id == outcome.school_id,
            HandedBatch.state == "waiting",
            HandedBatch.first_seq <= outcome.seq + 1,
        )
        row = db.session.scalar(query.order_by(HandedBatch.first_seq).limit(1))
        if row is None:
            break
        batch = read(batch_path(outcome.school_id, row.name).read_bytes())
        try:
            following = _take(batch, subordinate_id)
        except ZhikeError as refusal:  # what came first stands; the waiting batch does not
            db.session.rollback()
            with write() as session:
                session.delete(session.get_one(HandedBatch, row.id))
            _note(subordinate_id, f"{refusal.message} {refusal.remedy}".strip(), batch)
            break
        if following is None or following.status == "waiting":
            break
        if following.status == "known":
            with write() as session:
                session.get_one(HandedBatch, row.id).state = "applied"
            continue
        outcome = following
    return outcome


def _note(subordinate_id: uuid.UUID, words: str, batch: Batch) -> None:
    with write() as session:
        found = session.get_one(Subordinate, subordinate_id)
        found.trouble, found.refused_at = words, clock.now()
        audit(None, "batch-refused", "subordinate", found.id, school_id=found.organisation_id, batch=batch.name)
