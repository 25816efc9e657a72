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
from pathlib import Path
from typing import Any, NoReturn

from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, func, select, update

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused, ZhikeError
from lms.core.jobs import later
from lms.core.models import Account, Organisation
from lms.core.origin import kept_origin
from lms.region import rules
from lms.region.batches import Batch, Signed, fingerprint, read, read_document, sign_document, unzipped
from lms.region.models import HandedBatch, HandedRecord, RegionResult, Subordinate
from lms.region.office import need_office, next_number, own_fingerprint, place
from lms.region.results import judged, payload_of
from lms.usage.facts import Facts
from lms.usage.ledger import this_key
from lms.usage.reading import from_json
from lms.usage.rulebook import service as rulebook
from lms.usage.verdicts import SchoolResult
from lms.usage.verifier import verify

TRIES = 3
RECEIPT = "receipt.json"
INNER = "batch.zip"


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


def take_file(actor: Account | None, data: bytes, where: str = "") -> list[Outcome]:
    """Import a file: one batch, or a zip of batches or of files, each by itself; raises at the first that is refused.

    What came before it is kept: importing the same file again goes on from there.
    """
    members = unzipped(data, where)
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
    voucher, inner = _vouched(data, where)
    batch = read(inner, where)
    subordinate_id = _sender(batch, voucher)
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


def _vouched(data: bytes, where: str) -> tuple[Signed | None, bytes]:
    """(receipt of the office that forwards, batch) of what came."""
    members = unzipped(data, where)
    if INNER not in members:
        return None, data
    try:
        return read_document("receipt", json.loads(members[RECEIPT]), where), members[INNER]
    except (KeyError, ValueError) as error:
        raise Invalid("batch-unreadable", _l("转报的文件里没有下级的回执。"), where=where) from error


def _sender(batch: Batch, voucher: Signed | None) -> uuid.UUID:
    """The enrolled school that the batch is signed by; raises Refused where its key is not known here."""
    mark = fingerprint(batch.public_key)
    if not batch.signed:
        raise Refused(
            "manifest-signature",
            _l("清单的签名无效：内容在途中被改动。"),
            remedy=_l("没有导入任何内容；请重新发送。"),
            clause="B10",
        )
    origin = str(kept_origin())
    if batch.manifest.get("origin") != origin:
        raise Refused(
            "origin",
            _l("上报的数据来源是 %(theirs)s，这里是 %(ours)s。", theirs=batch.manifest.get("origin"), ours=origin),
            clause="B10",
        )
    school_id = uuid.UUID(batch.school)
    found = db.session.scalar(
        select(Subordinate).where(Subordinate.organisation_id == school_id, Subordinate.level == "school")
    )
    if found is None:
        found = db.session.scalar(
            select(Subordinate).where(
                Subordinate.fingerprint == mark, Subordinate.level == "school", Subordinate.organisation_id.is_(None)
            )
        )
    if found is None and voucher is not None:
        return _introduce(batch, voucher)
    if found is None:
        raise Refused(
            "school-unknown",
            _l(
                "%(name)s（密钥指纹 %(mark)s）还没有在这里登记。",
                name=batch.manifest["profile"].get("name", ""),
                mark=mark,
            ),
            remedy=_l("请用电话或当面核对指纹，在“登记”页登记这所学校之后再导入。"),
            where="fingerprint",
            clause="B10",
        )
    return found.id


def _introduce(batch: Batch, voucher: Signed) -> uuid.UUID:
    """Enrol a school that an enrolled office below vouches for by its receipt."""
    office = db.session.scalar(
        select(Subordinate).where(Subordinate.public_key == voucher.public_key.hex(), Subordinate.level != "school")
    )
    if office is None:
        raise Refused(
            "office-unknown",
            _l("转报的部门（密钥指纹 %(mark)s）还没有在这里登记。", mark=fingerprint(voucher.public_key)),
            clause="B10",
        )
    if voucher.body["school"] != batch.school or voucher.body["school_key"] != batch.public_key.hex():
        raise Refused("voucher", _l("下级的回执与这一批不符。"), clause="B10")
    profile = dict(voucher.body["profile"])
    with write() as session:
        made = Subordinate(
            id=new_id(), via_id=office.id, number=next_number(), level="school", name=profile["name"], code=profile.get("code", ""),
            fingerprint=fingerprint(batch.public_key), public_key=batch.public_key.hex(),
        )  # fmt: skip
        session.add(made)
        session.flush()
        place(made, uuid.UUID(batch.school), profile)
        audit(None, "introduce", "subordinate", made.id, via=str(office.id))
    return made.id


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
    known = known_of(found, batch.school)
    if held is not None and held.state == "applied":
        return _outcome(found, batch, "known", held.receipt)
    trusted = batch.public_key.hex() == found.public_key or fingerprint(batch.public_key) == found.fingerprint
    step = rules.step_of(known, batch.first_seq, batch.last_seq, batch.hashes, str(batch.manifest["prev"]))
    if step == "gap":
        if not trusted:
            _refuse_key(batch)
        return _wait(found, batch, held)
    if step == "known":
        return _outcome(found, batch, "known", _newest_receipt(school_id))
    if step == "fork":
        _refuse_fork(batch)
    known = dataclasses.replace(known, trusted=(batch.public_key,) if trusted else ())
    segment = rules.check_segment(known, batch.links, batch.hashes, batch.first_seq, batch.roots)
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
        _refuse_key(batch)
    records = rules.records_of(segment.bodies)
    _refuse_foreign_origin(segment)
    verdicts = _judge(batch, school_id, records)
    return _apply(batch, found, segment, records, verdicts)


def _newest_receipt(school_id: uuid.UUID) -> dict[str, Any] | None:
    query = select(HandedBatch.receipt).where(HandedBatch.school_id == school_id, HandedBatch.state == "applied")
    return db.session.scalar(query.order_by(HandedBatch.last_seq.desc(), HandedBatch.received_at.desc()).limit(1))


def _refuse_key(batch: Batch) -> NoReturn:
    raise Refused(
        "school-key",
        _l(
            "%(name)s 用了没有登记的密钥（指纹 %(mark)s）。",
            name=batch.manifest["profile"].get("name", ""),
            mark=fingerprint(batch.public_key),
        ),
        remedy=_l("请用电话或当面核对指纹，在学校页面上接受新密钥之后再导入。"),
        clause="B10",
    )


def _refuse_foreign_origin(segment: rules.Segment) -> None:
    real = kept_origin() == "real"
    for body in segment.bodies:
        if (body["origin"] == "simulated") == real:
            raise Refused(
                "origin",
                _l("第 %(seq)s 环的来源是 %(origin)s，这里不收。", seq=body["seq"], origin=body["origin"]),
                clause="B10",
            )


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


def _refuse_fork(batch: Batch) -> NoReturn:
    """Name the first link that differs from what the school handed up before."""
    school_id = uuid.UUID(batch.school)
    query = (
        select(HandedBatch)
        .where(HandedBatch.school_id == school_id, HandedBatch.state == "applied")
        .order_by(HandedBatch.first_seq)
    )
    for row in db.session.scalars(query):
        if row.last_seq < batch.first_seq:
            continue
        before = read(batch_path(school_id, row.name).read_bytes())
        for offset, hashed in enumerate(before.hashes):
            at = row.first_seq + offset - batch.first_seq
            if 0 <= at < len(batch.links) and batch.hashes[at] != hashed:
                raise refusal_of(
                    rules.fault_at(
                        verify.Fault(batch.first_seq + at, "forked", (("source", row.received_at.date().isoformat()),)),
                        batch.links[at],
                    )
                )
    first = batch.links[0] if batch.links else ""
    raise refusal_of(rules.fault_at(verify.Fault(batch.first_seq, "unlinked"), first))


def _judge(
    batch: Batch, school_id: uuid.UUID, records: list[tuple[int, Mapping[str, Any]]]
) -> list[tuple[Facts, SchoolResult]]:
    """Run this office's own rules over the facts, once each lesson is found on the chain; raises Refused naming record or rule."""
    found = []
    for term in batch.results.get("terms", []):
        facts = from_json(term["facts"])
        if facts.school.id != batch.school:
            raise Refused("school", _l("判定依据属于另一所学校。"), clause="B10")
        wrong = rules.unsupported(term["facts"]["lessons"], _in_force(school_id, facts, records))
        if wrong is not None:
            record, on, what = wrong
            raise Refused(
                "unsupported",
                _l("%(on)s 的使用记录 %(record)s 与证据链不符（%(what)s）。", on=on, record=record, what=what),
                remedy=_l("这一批没有导入；请学校核对后重新上报。"),
                where=record,
                clause="B10",
            )
        placed = db.session.get(Organisation, school_id) or need_office()
        for result in judged(facts, rulebook.rules_for(placed.id, facts.as_of, "lessons")):
            for claim in term["verdicts"]:
                if (claim["rule"], claim["version"]) == (result.rule, result.version) and claim[
                    "verdict"
                ] != result.verdict:
                    raise Refused(
                        "verdict-differs",
                        _l("规则 %(rule)s %(version)s：学校报 %(theirs)s，按同一事实应为 %(ours)s。", rule=result.rule, version=result.version,
                           theirs=claim["verdict"], ours=result.verdict),
                        where=result.rule,
                    )  # fmt: skip
            found.append((facts, result))
    return found


def _in_force(
    school_id: uuid.UUID, facts: Facts, new: list[tuple[int, Mapping[str, Any]]]
) -> dict[str, Mapping[str, Any]]:
    query = select(HandedRecord.record_id, HandedRecord.facts).where(
        HandedRecord.school_id == school_id, HandedRecord.corrected.is_(False)
    )
    rows = db.session.execute(query.where(HandedRecord.lesson_on.between(facts.term_start, facts.term_end)))
    held: dict[str, Mapping[str, Any]] = {row.record_id: row.facts for row in rows}
    held |= {record["id"]: record for _seq, record in new}
    for _seq, record in new:
        held.pop(record["corrects"] or "", None)
    return held


def batch_path(school_id: uuid.UUID, name: str) -> Path:
    """Where a batch lies."""
    folder: Path = current_app.config["ZHIKE"].data_dir
    return folder / "region" / "batches" / school_id.hex / f"{name}.zip"


def _store(school_id: uuid.UUID, batch: Batch) -> None:
    path = batch_path(school_id, batch.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{new_id().hex[:8]}")
    draft.write_bytes(batch.data)
    draft.replace(path)


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
            _store(school_id, batch)
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
    records: list[tuple[int, Mapping[str, Any]]],
    verdicts: list[tuple[Facts, SchoolResult]],
) -> Outcome | None:
    school_id, seen = uuid.UUID(batch.school), (before.seq, before.hash, before.rooted)
    _store(school_id, batch)
    with write() as session:
        found = session.scalars(select(Subordinate).where(Subordinate.id == before.id).with_for_update()).one()
        if (found.seq, found.hash, found.rooted) != seen:
            return None
        after = segment.known
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
        _keep_records(school_id, records)
        _keep_results(found, school_id, verdicts)
        session.flush()
        row.receipt = _receipt(found, batch, segment, records).plain()
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


def _keep_records(school_id: uuid.UUID, records: list[tuple[int, Mapping[str, Any]]]) -> None:
    for seq, record in records:
        day = date.fromisoformat(record["lesson_on"])
        db.session.add(
            HandedRecord(
                id=new_id(), school_id=school_id, record_id=record["id"], seq=seq, lesson_on=day, facts=dict(record)
            )
        )
    db.session.flush()
    corrected = [record["corrects"] for _seq, record in records if record["corrects"]]
    if corrected:
        mine = (HandedRecord.school_id == school_id, HandedRecord.record_id.in_(corrected))
        db.session.execute(update(HandedRecord).where(*mine).values(corrected=True))


def _keep_results(found: Subordinate, school_id: uuid.UUID, verdicts: list[tuple[Facts, SchoolResult]]) -> None:
    for facts, result in verdicts:
        newer = select(RegionResult.id).where(
            RegionResult.school_id == school_id, RegionResult.rule == result.rule, RegionResult.as_of > facts.as_of
        )
        if db.session.scalar(newer.where(RegionResult.term_start == facts.term_start)) is not None:
            continue
        mine = (
            RegionResult.school_id == school_id,
            RegionResult.rule == result.rule,
            RegionResult.term_start == facts.term_start,
        )
        db.session.execute(delete(RegionResult).where(*mine))
        db.session.add(
            RegionResult(
                id=new_id(),
                school_id=school_id,
                number=found.number,
                rule=result.rule,
                version=result.version,
                term_start=facts.term_start,
                as_of=facts.as_of,
                verdict=result.verdict,
                payload=payload_of(result),
            )
        )


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
