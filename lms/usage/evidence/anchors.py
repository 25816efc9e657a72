"""Daily roots fixed outside the school (校外锚定), B10.4: a chain alone proves nothing against its owner.

Four ways, over the same statement of a signed daily root: a region countersigns, a peer school countersigns (by line, USB stick or
e-mail: the same small document), the weekly sheet is printed with QR and short code, signed and filed on paper, and a time-stamping
authority (RFC 3161) stamps it where there is internet. Since each link names the one before it, an anchor fixes everything until its root.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import urllib.request
import uuid
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from cryptography.x509 import load_pem_x509_certificates
from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, Refused, ZhikeError
from lms.core.models import Account
from lms.usage.evidence.chain import Root, stamp
from lms.usage.evidence.grades import standing_grade
from lms.usage.evidence.keys import NodeKey, retired_key
from lms.usage.evidence.ledger import append_event, proof_hash, roots_of, this_key
from lms.usage.models import DailyRoot, EvidenceAnchor, EvidenceEvent, UsageRecord
from lms.usage.reasons import Reason
from lms.usage.verifier.verify import countersigned, moment, root_statement, short_code, signed_by

log = logging.getLogger("lms.usage.evidence.anchors")
KIND_NAMES = {"region": _l("区县会签"), "peer": _l("友校互签"), "rfc3161": _l("可信时间戳"), "sheet": _l("纸质签字表")}
REQUEST, ANSWER = "anchor-request", "anchor-answer"
TSA_WAIT_S = 20
SKEW = timedelta(minutes=10)


@dataclass(frozen=True)
class Sheet:
    """What the weekly sheet prints: the roots of the week, the newest of them, its short code and the text of its QR code."""

    roots: tuple[Root, ...]
    newest: Root
    code: str
    text: str


def request_of(school_id: uuid.UUID, name: str) -> dict[str, Any]:
    """The document that a region or a peer school is asked to countersign: the newest signed root. Refused (``no-root``) before the first."""
    root = _newest(school_id)
    return {"zhike": REQUEST, "v": 1, "school": str(school_id), "name": name, **root.plain(), "public_key": _public_key(root).hex()}


def _public_key(root: Root) -> bytes:
    key: NodeKey | None = this_key()
    if key is not None and key.key_id != root.key_id:
        key = retired_key(current_app.config["ZHIKE"].data_dir, root.key_id)
    if key is None:
        raise Refused("root-key", _l("签这个每日根的密钥已不在本机。"), remedy=_l("请等今天结束后的新每日根。"), clause="B10")
    return key.public


def _newest(school_id: uuid.UUID) -> Root:
    roots = roots_of(school_id)
    if not roots:
        raise Refused("no-root", _l("还没有每日根。"), remedy=_l("第一天上课结束后的次日凌晨自动签名，请明天再来。"), clause="B10")
    return roots[-1]


def countersign(document: Mapping[str, Any], kind: str, issuer: str, key: NodeKey, at: datetime) -> dict[str, Any]:
    """Countersign another school's root as a region or peer; raises Invalid where the document does not hold."""
    if kind not in ("region", "peer"):
        raise Invalid("anchor-kind", _l("会签方只能是区县或友校。"), where="kind")
    statement = _statement(document)
    if document.get("zhike") != REQUEST or not signed_by(bytes.fromhex(document["public_key"]), document["signature"], statement):
        raise Invalid("anchor-request", _l("这份请求的学校签名无效，没有会签。"), remedy=_l("请对方重新导出请求文件。"), clause="B10")
    when = stamp(at)
    return {
        "zhike": ANSWER,
        "v": 1,
        **{name: document[name] for name in ("school", "day", "first_seq", "last_seq", "root")},
        "kind": kind,
        "issuer": issuer,
        "at": when,
        "proof": {"public_key": key.public.hex(), "signature": key.sign(countersigned(kind, statement, when, issuer))},
    }


def _statement(document: Mapping[str, Any]) -> bytes:
    try:
        uuid.UUID(document["school"])
        date.fromisoformat(document["day"])
        return root_statement(document["school"], document["day"], int(document["first_seq"]), int(document["last_seq"]), document["root"])
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid("anchor-document", _l("这不是智课的会签文件。"), remedy=_l("请选择对方交回的 .json 文件。"), where=str(error)) from error


def accept(actor: Account | None, school_id: uuid.UUID, document: Mapping[str, Any], *, new_key: bool = False) -> EvidenceAnchor:
    """Enter a countersignature; the same one twice is entered once.

    Raises Invalid where it is not for this school's root or its signature is wrong, Refused (``issuer-key``) where the issuer's key is not
    the one it used before, unless ``new_key`` says that this was asked on another way.
    """
    _need_admin(actor, school_id)
    statement = _statement(document)
    if document.get("zhike") != ANSWER or document["school"] != str(school_id):
        raise Invalid("anchor-school", _l("这份会签不是给本校的。"), clause="B10")
    root = _root(school_id, document)
    kind, at, issuer, proof = (document.get(name) for name in ("kind", "at", "issuer", "proof"))
    if kind not in ("region", "peer") or not isinstance(proof, dict) or not isinstance(at, str) or not isinstance(issuer, str) or not issuer:
        raise Invalid("anchor-document", _l("这不是智课的会签文件。"), remedy=_l("请选择对方交回的 .json 文件。"))
    if not signed_by(bytes.fromhex(proof.get("public_key", "")), proof.get("signature", ""), countersigned(kind, statement, at, issuer)):
        raise Invalid("anchor-signature", _l("会签的签名无效，没有登记。"), remedy=_l("请对方重新会签。"), clause="B10")
    if moment(at) > clock.now() + SKEW:
        raise Invalid("anchor-clock", _l("会签时间在本机时间之后：两边的时钟不一致。"), remedy=_l("请先校准服务器时钟。"), clause="B10")
    before = db.session.scalars(
        select(EvidenceAnchor).where(EvidenceAnchor.school_id == school_id, EvidenceAnchor.kind == kind, EvidenceAnchor.issuer == issuer)
    ).all()
    if before and not new_key and proof["public_key"] not in {row.proof["public_key"] for row in before}:
        raise Refused("issuer-key", _l("%(issuer)s 换了密钥。", issuer=issuer), remedy=_l("请打电话核对新密钥的指纹，再勾选“已核对新密钥”。"), clause="B10")
    return _enter(actor, school_id, root, kind, moment(at), issuer, {"public_key": proof["public_key"], "signature": proof["signature"]})


def _root(school_id: uuid.UUID, document: Mapping[str, Any]) -> Root:
    for root in roots_of(school_id):
        plain = root.plain()
        if all(plain[name] == document[name] for name in ("day", "first_seq", "last_seq", "root")):
            return root
    raise Invalid("anchor-root", _l("本校没有这个每日根：可能是恢复旧备份之前的。"), remedy=_l("请保留这份文件，它能说明缺了什么。"), clause="B10")


def _enter(actor: Account | None, school_id: uuid.UUID, root: Root, kind: str, at: datetime, issuer: str, proof: dict[str, Any]) -> EvidenceAnchor:
    with write():
        known = db.session.scalar(
            select(EvidenceAnchor).where(
                EvidenceAnchor.school_id == school_id, EvidenceAnchor.kind == kind, EvidenceAnchor.day == root.day, EvidenceAnchor.issuer == issuer
            )
        )
        if known is not None:
            return known
        told = {"kind": kind, "day": root.day.isoformat(), "last_seq": root.last_seq, "root": root.root, "at": stamp(at), "issuer": issuer, "proof": proof_hash(proof)}
        event = append_event(school_id, "anchor", told, (), clock.now())
        row = EvidenceAnchor(
            id=new_id(), school_id=school_id, kind=kind, day=root.day, last_seq=root.last_seq, root=root.root, at=at, issuer=issuer, proof=proof, event_seq=event.seq
        )
        db.session.add(row)
        audit(actor, "anchor", "daily_root", root.root, school_id=school_id, kind=kind, day=root.day.isoformat())
    return row


def sheet_of(school_id: uuid.UUID, monday: date) -> Sheet:
    """The weekly sheet of the week that begins on ``monday``; Refused (``no-root``) where no day of it is signed yet."""
    roots = tuple(root for root in roots_of(school_id) if monday <= root.day < monday + timedelta(days=7))
    if not roots:
        raise Refused("no-root", _l("这一周还没有每日根。"), remedy=_l("每天的根在次日凌晨签名；请选另一周，或明天再打印。"), clause="B10")
    newest = roots[-1]
    statement = newest.statement(str(school_id))
    code = short_code(statement)
    text = f"ZK1 {school_id.hex} {newest.day.isoformat()} {newest.first_seq}-{newest.last_seq} {newest.root} {code}"
    return Sheet(roots, newest, code, text)


def file_sheet(actor: Account, second: Account, school_id: uuid.UUID, typed: str) -> EvidenceAnchor:
    """File a signed sheet (签字表归档): its short code typed or its QR code scanned back, by two different people.

    Raises Invalid (``sheet-code``) for a code that no root of the school has, Refused (``two-people``) for one person.
    """
    _need_admin(actor, school_id)
    if actor.id == second.id or not may(second, ("teacher", "school_admin"), school_id):
        raise Refused("two-people", _l("归档要由两个人完成。"), remedy=_l("请签字的教师或教导处另一人确认。"), clause="B10")
    words = typed.strip().upper().split()
    code = re.sub(r"[^0-9A-Z]", "", words[-1] if words[:1] == ["ZK1"] else "".join(words)).translate(str.maketrans("ILO", "110"))
    for root in reversed(roots_of(school_id)):
        known = short_code(root.statement(str(school_id)))
        if known.replace("-", "") == code:
            names = [this_key().pseudonym(str(one.id)) for one in (actor, second)]
            return _enter(actor, school_id, root, "sheet", clock.now(), "纸质签字表", {"code": known, "by": names})
    raise Invalid("sheet-code", _l("没有哪一天的根是这个短码。"), remedy=_l("请核对 10 位短码，或扫描签字表上的二维码。"), where="code", clause="B10")


def _need_admin(actor: Account | None, school_id: uuid.UUID) -> None:
    if actor is not None and not may(actor, ("school_admin",), school_id):
        raise NotAllowed("anchor-admin", _l("只有学校管理员可以登记锚定。"), clause="B10")


def stamp_root(school_id: uuid.UUID, url: str, roots: Sequence[Any]) -> EvidenceAnchor:
    """Have the newest root stamped by the authority at ``url`` and checked against its root certificates; raises Refused (``tsa``)."""
    import rfc3161_client as tsp

    root = _newest(school_id)
    statement = root.statement(str(school_id))
    asked = tsp.TimestampRequestBuilder().data(statement).hash_algorithm(tsp.HashAlgorithm.SHA256).nonce(nonce=True).cert_request(cert_request=True).build()
    request = urllib.request.Request(url, asked.as_bytes(), {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"})
    try:
        with urllib.request.urlopen(request, timeout=TSA_WAIT_S) as answer:
            told = answer.read(1 << 20)
        response = tsp.decode_timestamp_response(told)
        builder = tsp.VerifierBuilder.from_request(asked)
        for certificate in roots:
            builder = builder.add_root_certificate(certificate)
        builder.build().verify_message(response, statement)
        at = response.tst_info.gen_time
    except (OSError, ValueError, tsp.VerificationError) as error:
        raise Refused("tsa", _l("时间戳机构没有给出可用的时间戳：%(why)s", why=str(error)), remedy=_l("请检查网络、ZHIKE_TSA_URL 和 ZHIKE_TSA_CA。"), clause="B10") from error
    proof = {"token": base64.b64encode(told).decode(), "sha256": hashlib.sha256(statement).hexdigest()}
    return _enter(None, school_id, root, "rfc3161", at, url, proof)


def stamp_due(now: datetime) -> int:
    """Stamp the newest root of each school that has none yet, where an authority is set; returns how many. A failure is logged, the next turn tries again."""
    settings = current_app.config["ZHIKE"]
    if not settings.tsa_url:
        return 0
    done = 0
    for school_id in db.session.scalars(select(DailyRoot.school_id).distinct()).all():
        root = roots_of(school_id)[-1]
        day = root.day
        links = select(EvidenceEvent.id).where(EvidenceEvent.school_id == school_id, EvidenceEvent.seq.between(root.first_seq, root.last_seq))
        if db.session.scalar(links.where(EvidenceEvent.type != "anchor").limit(1)) is None:
            continue  # a day of nothing but anchors needs none: else each would call for the next
        stamped = select(EvidenceAnchor.id).where(EvidenceAnchor.school_id == school_id, EvidenceAnchor.kind == "rfc3161", EvidenceAnchor.day == day)
        if db.session.scalar(stamped) is not None:
            continue
        try:
            stamp_root(school_id, settings.tsa_url, load_pem_x509_certificates(Path(settings.tsa_ca).read_bytes()) if settings.tsa_ca else [])
            done += 1
        except (ZhikeError, OSError, ValueError) as error:
            log.warning("no time stamp for %s: %s", school_id, error)
    return done


class Standing:
    """Evidence grades of a school as they stand now, see :func:`lms.usage.evidence.grades.standing_grade`; one query for all records."""

    def __init__(self, school_id: uuid.UUID, now: datetime) -> None:
        self._now = now
        query = select(EvidenceAnchor.last_seq, EvidenceAnchor.at).where(EvidenceAnchor.school_id == school_id)
        rows = sorted(((row[0], row[1]) for row in db.session.execute(query)), reverse=True)
        self._until = [last for last, _ in reversed(rows)]
        self._at = list(accumulate((at for _, at in rows), min))[::-1]  # an anchor of a later link fixes all before it

    def anchored_at(self, seq: int) -> datetime | None:
        """When a link was first anchored, None if never."""
        at = bisect_left(self._until, seq)
        return self._at[at] if at < len(self._until) else None

    def of(self, record: UsageRecord) -> tuple[str, Reason]:
        """The grade of a record, and why."""
        return standing_grade(record.grade_of_evidence, record.ended_at, self.anchored_at(record.event_seq), self._now)


def anchors_of(school_id: uuid.UUID) -> list[EvidenceAnchor]:
    """Anchors of the school, newest first."""
    query = select(EvidenceAnchor).where(EvidenceAnchor.school_id == school_id)
    return list(db.session.scalars(query.order_by(EvidenceAnchor.day.desc(), EvidenceAnchor.at.desc())))
