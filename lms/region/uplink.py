"""The school's side of the hand-up (上报): enrol with the office above, make batches, send or write them, keep the receipts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused, ZhikeError
from lms.core.models import Account, Organisation
from lms.core.origin import kept_origin
from lms.region import line
from lms.region.batches import (
    Signed,
    check_fingerprint,
    fingerprint,
    make,
    read_document,
    sign_document,
    split_code,
    zipped,
)
from lms.region.models import HandUpReceipt, Uplink
from lms.roster import service as roster
from lms.roster.models import CalendarDay, FlaggedWeek, School, SchoolStage, Term
from lms.usage import policies
from lms.usage import service as usage
from lms.usage.evidence import anchors, windows
from lms.usage.evidence.ledger import roots_of, this_key
from lms.usage.evidence.plans import windows_of
from lms.usage.judging.facts import Facts, to_json
from lms.usage.models import ChainHead, EvidenceEvent
from lms.usage.rulebook import handing
from lms.usage.rulebook.service import rules_for

CHUNK_LINKS = 400
TERMS = 4
TRIES = 3


def uplink_of(organisation_id: uuid.UUID) -> Uplink | None:
    """The office above, None where none was agreed on."""
    return db.session.get(Uplink, organisation_id)


def need_uplink(organisation_id: uuid.UUID) -> Uplink:
    """The office above; Refused (``no-uplink``) where none was agreed on."""
    found = uplink_of(organisation_id)
    if found is None:
        raise Refused(
            "no-uplink", _l("还没有登记上级主管部门。"), remedy=_l("请在“上报”页填写登记码或密钥指纹。"), clause="B10"
        )
    return found


def profile_of(organisation_id: uuid.UUID) -> dict[str, Any]:
    """What the office may know of a school or office: name, code, level, type, stages; no person."""
    organisation = db.session.get_one(Organisation, organisation_id)
    found: dict[str, Any] = {"name": organisation.name, "code": organisation.code, "level": organisation.level}
    school = db.session.get(School, organisation_id)
    if school is not None:
        stages = db.session.scalars(select(SchoolStage.stage).where(SchoolStage.school_id == organisation_id))
        found |= {"type": school.school_type, "system": school.system, "zone": school.zone, "stages": sorted(stages)}
    return found


def join_by_code(actor: Account, organisation_id: uuid.UUID, url: str, code: str) -> Uplink:
    """Enrol with the office at ``url`` by the code it gave: the code names the office's key, and proves us to the office.

    Raises Invalid, Refused (``office-key``, what the office says), line.NoLine; nothing is kept then.
    """
    url = line.check_url(url)
    secret, expected = split_code(code)
    office = line.identity_of(url, expected)
    key = this_key()
    body = {"organisation": str(organisation_id), "secret": secret, "profile": profile_of(organisation_id)}
    asked = sign_document("enrolment", body, key.public, key.sign)
    line.post(url, "/api/region/enrolments", str(office.body["ca"]), json.dumps(asked.plain()).encode())
    return _keep(actor, organisation_id, url, str(office.body["name"]), expected, str(office.body["ca"]))


def join_by_fingerprint(actor: Account, organisation_id: uuid.UUID, name: str, text: str) -> Uplink:
    """Agree on an office without a line: its name and the fingerprint of its key, read out by telephone or from paper."""
    return _keep(actor, organisation_id, "", name.strip(), check_fingerprint(text), "")


def _keep(actor: Account, organisation_id: uuid.UUID, url: str, name: str, expected: str, ca: str) -> Uplink:
    with write() as session:
        found = session.get(Uplink, organisation_id)
        if found is None or found.fingerprint != expected:  # another office begins at the first link
            if found is not None:
                session.delete(found)
                session.flush()
            found = Uplink(organisation_id=organisation_id)
            session.add(found)
        found.url, found.name, found.fingerprint, found.ca, found.trouble = url, name, expected, ca, ""
        audit(actor, "join-office", "organisation", organisation_id, fingerprint=expected, line=bool(url))
    return found


def leave(actor: Account, organisation_id: uuid.UUID) -> None:
    """Stop handing up; receipts are kept."""
    with write() as session:
        session.delete(need_uplink(organisation_id))
        audit(actor, "leave-office", "organisation", organisation_id)


def head_of(school_id: uuid.UUID) -> tuple[int, str]:
    """(seq, hash) of the newest link."""
    row = db.session.execute(select(ChainHead.seq, ChainHead.hash).where(ChainHead.school_id == school_id)).first()
    return (row.seq, row.hash) if row else (0, "0" * 64)


def hash_at(school_id: uuid.UUID, seq: int) -> str:
    """Hash of a link, that of nothing for 0; empty where there is no such link."""
    if seq == 0:
        return "0" * 64
    query = select(EvidenceEvent.hash).where(EvidenceEvent.school_id == school_id, EvidenceEvent.seq == seq)
    return db.session.scalar(query) or ""


def is_due(uplink: Uplink, today: date) -> bool:
    """Whether there is anything new to hand up: links, roots, or results of a new day."""
    rooted = max((root.last_seq for root in roots_of(uplink.organisation_id)), default=0)
    return waiting_links(uplink.organisation_id) > 0 or rooted > uplink.rooted or uplink.results_on != today


def results_of(school_id: uuid.UUID, today: date) -> dict[str, Any]:
    """Facts of the newest terms as counts and pseudonyms, and the school's own verdicts with their versions."""
    query = (
        select(Term)
        .where(Term.school_id == school_id, Term.starts_on <= today)
        .order_by(Term.starts_on.desc())
        .limit(TERMS)
    )
    terms = []
    for term in db.session.scalars(query).all():
        try:
            facts = usage.facts_of(school_id, min(today, term.ends_on))
        except Refused:  # a school that has declared no stage yet has nothing to judge
            continue
        verdicts = [policies.evaluate(facts, rule) for rule in rules_for(school_id, facts.judged_on, "lessons")]
        claims = [{"rule": one.rule, "version": one.version, "verdict": one.verdict} for one in verdicts]
        terms.append({"facts": nameless(facts), "verdicts": claims})
    return {"made_on": today.isoformat(), "terms": terms}


def nameless(facts: Facts) -> dict[str, Any]:
    """The facts without anything that a person wrote freely: names of classes, reasons of closures."""
    found = to_json(facts)
    for cohort in found["classes"]:
        cohort.pop("name", None)
    for group in ("days", "weeks_flagged"):
        for entry in found[group].values():
            for one in entry if isinstance(entry, list) else [entry]:
                one["reason"] = ""
    return found


def settled(school_id: uuid.UUID, today: date) -> tuple[int, str, dict[str, Any]]:
    """(seq, hash, results): results that rest on exactly the links until seq; Refused if lessons keep being recorded meanwhile."""
    for _ in range(TRIES):
        db.session.rollback()
        before = head_of(school_id)
        results = results_of(school_id, today)
        db.session.rollback()
        if head_of(school_id) == before:
            return (*before, results)
    raise Refused("busy", _l("正在记录课堂，请稍后再上报。"))


def batches(school_id: uuid.UUID, seq: int, rooted: int, today: date) -> Iterator[tuple[int, bytes]]:
    """(last seq, batch) of every link after ``seq`` in steps of CHUNK_LINKS, the last one with the results."""
    head_seq, head_hash, results = settled(school_id, today)
    roots = [root.plain() for root in roots_of(school_id) if rooted < root.last_seq <= head_seq]
    key = this_key()
    common = {
        "school": str(school_id),
        "profile": profile_of(school_id),
        "origin": kept_origin(),
        "made_at": clock.now().isoformat(timespec="seconds"),
        "head": {"seq": head_seq, "hash": head_hash},
    }
    while True:
        until = min(seq + CHUNK_LINKS, head_seq)
        query = select(EvidenceEvent.body).where(
            EvidenceEvent.school_id == school_id, EvidenceEvent.seq > seq, EvidenceEvent.seq <= until
        )
        links = list(db.session.scalars(query.order_by(EvidenceEvent.seq)))
        manifest = {**common, "first_seq": seq + 1, "last_seq": until, "prev": hash_at(school_id, seq)}
        last = until == head_seq
        own = [root for root in roots if root["last_seq"] <= until]
        roots = [root for root in roots if root["last_seq"] > until]
        yield until, make(manifest, links, own, results if last else {}, key.public, key.sign)
        if last:
            return
        seq = until


def as_file(actor: Account | None, school_id: uuid.UUID) -> bytes:
    """Everything that the office has not receipted yet as one file for a USB stick or e-mail."""
    uplink = need_uplink(school_id)
    today = roster.today_of(roster.school_of(school_id))
    members = {f"{until:09d}.zip": data for until, data in batches(school_id, uplink.seq, uplink.rooted, today)}
    with write():
        audit(actor, "hand-up-file", "school", school_id, school_id=school_id, batches=len(members))
    return zipped(members)


def send(school_id: uuid.UUID) -> int:
    """Hand up over the line until the office holds everything; returns batches sent. What was receipted is never sent again.

    Raises line.NoLine (try again later) and Refused; both are kept in words for the page.
    """
    uplink = need_uplink(school_id)
    sent = 0
    try:
        for _ in range(TRIES):
            sent += 1
            if _send_once(uplink):
                break
    except ZhikeError as error:
        _note(school_id, f"{error.message} {error.remedy}".strip())
        raise
    return sent


def _send_once(uplink: Uplink) -> bool:
    """Send what is missing; False where the office misses links before it, so that it must be begun again."""
    school_id, url, ca = uplink.organisation_id, uplink.url, uplink.ca
    today = roster.today_of(roster.school_of(school_id))
    for _until, data in batches(school_id, uplink.seq, uplink.rooted, today):
        db.session.rollback()  # no transaction stays open while the line is slow
        answer = line.post(url, "/api/region/batches", ca, data, "application/zip")
        if answer.get("receipt"):
            accept(None, school_id, answer["receipt"])
        if answer.get("status") == "waiting":
            _begin_again(school_id, answer)
            return False
    with write():
        done = need_uplink(school_id)
        done.results_on, done.done_at, done.tried_at, done.trouble = today, clock.now(), clock.now(), ""
    return True


def _begin_again(school_id: uuid.UUID, answer: dict[str, Any]) -> None:
    """The office holds less than it receipted (it was restored): begin behind what it does hold, if that is our own link."""
    seq = int(answer["seq"])
    if hash_at(school_id, seq) != answer["hash"]:
        raise Refused(
            "forked",
            _l("上级持有的第 %(seq)s 环与本校不同。", seq=seq),
            remedy=_l("请联系主管部门核对。"),
            clause="B10",
        )
    with write():
        uplink = need_uplink(school_id)
        uplink.seq, uplink.hash, uplink.rooted = seq, str(answer["hash"]), int(answer["rooted"])


def _note(school_id: uuid.UUID, words: str) -> None:
    with write():
        uplink = need_uplink(school_id)
        uplink.tried_at, uplink.trouble = clock.now(), words


def accept(actor: Account | None, school_id: uuid.UUID, document: Any) -> HandUpReceipt:
    """Keep a receipt: it must be signed by the office's key and name our own link. Its countersigned roots become anchors.

    Raises Invalid (not whole), Refused (``receipt-key``, ``receipt-school``, ``forked``).
    """
    receipt = read_document("receipt", document)
    uplink = need_uplink(school_id)
    body = receipt.body
    if fingerprint(receipt.public_key) != uplink.fingerprint:
        raise Refused("receipt-key", _l("这份回执不是 %(office)s 签发的。", office=uplink.name), clause="B10")
    if body["school"] != str(school_id):
        raise Refused(
            "receipt-school", _l("这份回执属于另一所学校：%(name)s。", name=body["profile"]["name"]), clause="B10"
        )
    if hash_at(school_id, body["seq"]) != body["hash"]:
        raise Refused(
            "forked",
            _l("回执上的第 %(seq)s 环与本校证据链不同：数据库可能被换回旧的。", seq=body["seq"]),
            remedy=_l("请检查是否恢复过备份，并联系主管部门。"),
            clause="B10",
        )
    with write() as session:
        known = session.scalar(
            select(HandUpReceipt).where(HandUpReceipt.school_id == school_id, HandUpReceipt.batch == body["batch"])
        )
        uplink = need_uplink(school_id)
        if body["seq"] >= uplink.seq:
            uplink.seq, uplink.hash = body["seq"], body["hash"]
        uplink.rooted = max(uplink.rooted, body["rooted"])
        uplink.done_at = clock.now()
        if known is not None:
            return known
        at = datetime.fromisoformat(body["at"])
        kept = HandUpReceipt(
            id=new_id(), school_id=school_id, batch=body["batch"], last_seq=body["seq"], at=at, document=receipt.plain()
        )
        session.add(kept)
        _anchor(school_id, receipt)
        _countersigned(school_id, receipt)
        learnt = handing.learn(school_id, body.get("rules", ()))
        audit(actor, "hand-up-receipt", "school", school_id, school_id=school_id, seq=body["seq"], rules=learnt)
    return kept


def accept_file(actor: Account | None, school_id: uuid.UUID, data: bytes) -> int:
    """Keep the receipts of a file, oldest first; returns how many there are in it."""
    try:
        told = json.loads(data)
    except ValueError as error:
        raise Invalid(
            "receipt", _l("这不是回执文件。"), remedy=_l("请选择主管部门给的 .json 文件。"), where="receipt"
        ) from error
    documents = told if isinstance(told, list) else [told]
    for document in documents:
        accept(actor, school_id, document)
    return len(documents)


def _anchor(school_id: uuid.UUID, receipt: Signed) -> None:
    """The newest countersigned root enters the chain as an anchor: since each link names the one before, it fixes everything until it."""
    body = receipt.body
    if not body["roots"]:
        return
    root = max(body["roots"], key=lambda one: int(one["last_seq"]))
    told = {name: root[name] for name in ("day", "first_seq", "last_seq", "root")}
    proof = {"public_key": receipt.public_key.hex(), "signature": root["signature"]}
    answer = {
        "zhike": anchors.ANSWER,
        "v": 1,
        "school": str(school_id),
        **told,
        "kind": "region",
        "issuer": body["issuer"]["name"],
        "at": body["at"],
    }
    anchors.accept(
        None, school_id, {**answer, "proof": proof}, new_key=True
    )  # the key was agreed on by its fingerprint


def _countersigned(school_id: uuid.UUID, receipt: Signed) -> None:
    """Closures and flagged weeks that the office has countersigned count from now on."""
    keys = [uuid.UUID(key) for key in receipt.body.get("countersigned", [])]
    days = select(CalendarDay).where(CalendarDay.school_id == school_id, CalendarDay.id.in_(keys))
    weeks = select(FlaggedWeek).where(FlaggedWeek.school_id == school_id, FlaggedWeek.id.in_(keys))
    signed: list[CalendarDay | FlaggedWeek] = [
        *db.session.scalars(days.where(CalendarDay.countersigned_at.is_(None))),
        *db.session.scalars(weeks.where(FlaggedWeek.countersigned_at.is_(None))),
    ]
    for row in signed:
        row.countersigned_at = clock.now()
    moved = set(windows.waiting(windows_of(roster.school_of(school_id)))) & {str(key) for key in keys}
    if signed or moved:
        told = {
            "entries": sorted({str(row.id) for row in signed} | moved),
            "office": receipt.body["issuer"]["name"],
            "receipt": receipt.body["batch"],
        }
        usage.append_event(school_id, "calendar-countersigned", told, (), clock.now())


def receipts_of(school_id: uuid.UUID, limit: int = 20) -> list[HandUpReceipt]:
    """Newest receipts first."""
    query = select(HandUpReceipt).where(HandUpReceipt.school_id == school_id)
    return list(db.session.scalars(query.order_by(HandUpReceipt.at.desc(), HandUpReceipt.id.desc()).limit(limit)))


def waiting_links(school_id: uuid.UUID) -> int:
    """Links that the office has not receipted; anchors that came from its receipts go with the next ones."""
    uplink = uplink_of(school_id)
    query = (
        select(func.count())
        .select_from(EvidenceEvent)
        .where(EvidenceEvent.school_id == school_id, EvidenceEvent.type != "anchor")
    )
    return db.session.scalar(query.where(EvidenceEvent.seq > (uplink.seq if uplink else 0))) or 0


def schools_here() -> list[uuid.UUID]:
    """Schools of this installation that have an office above."""
    query = (
        select(Uplink.organisation_id)
        .join(School, School.id == Uplink.organisation_id)
        .order_by(Uplink.organisation_id)
    )
    return list(db.session.scalars(query))


def origin_here() -> str:
    """real or simulated."""
    return str(current_app.config["ZHIKE"].origin)
