#!/usr/bin/env python3
"""智课证据包校验程序 / Verifier of a Zhike evidence pack. Needs Python 3.9 or newer and ``cryptography``, nothing of Zhike.

用法 / usage:  python verify.py PACK.zip [--issuer-key HEX|FINGERPRINT …] [--against EARLIER.zip|RECEIPT.json …] [--code XXXXX-XXXXX …] [--json]

Names the first broken link of the school's chain. Exit code: 0 whole, 1 broken, 2 cannot be read. A link is RFC 8785 canonical JSON ``{v, seq, prev, origin, key_id, type, at, school, payload, commitments}``, its hash SHA-256 of that text.
A day's links are summed up by an RFC 6962 Merkle root that the school's Ed25519 key signs; anchors fix roots outside the school.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import zipfile
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509 import Certificate, load_pem_x509_certificates

VERSION = 1
GENESIS = "0" * 64
ORIGINS = ("real", "simulated", "manual")
SIGNERS = ("region", "peer")
WINDOWS = ("term", "stage", "class")  # rows of the calendar that bound the window W: term, pilot admission, 分班
RECORDS = ("usage-record", "usage-correction")
ANCHORED = timedelta(hours=24)
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def N_(text: str) -> str:
    """Mark a sentence for the catalogue of the pages."""
    return text


# fmt: off  (what may be found: code -> (Chinese, English))
TEXTS: dict[str, tuple[str, str]] = {
    "missing": (N_("缺少第 %(seq)s 环，下一条是第 %(next)s 环"), "link %(seq)s is missing, the next one is %(next)s"), "changed": (N_("内容与它的哈希不符：记录被改动"), "the content does not fit its hash: the record was changed"),
    "unreadable": (N_("内容不是 JSON"), "the content is not JSON"), "columns": (N_("表中的 %(names)s 与内容不符"), "the columns %(names)s differ from the content"),
    "unlinked": (N_("没有接在前一环之后：记录被删除、插入或调换"), "it does not follow the link before it: a record was deleted, inserted or moved"), "not-canonical": (N_("内容不是规范 JSON（RFC 8785）：键重复或次序不对"), "the content is not canonical JSON (RFC 8785): keys twice or out of order"),
    "school": (N_("这一环属于另一所学校"), "the link belongs to another school"), "origin": (N_("不认识的来源 %(origin)s"), "unknown origin %(origin)s"),
    "opening": (N_("证据链不是从启用密钥开始"), "the chain does not begin with its key"), "key": (N_("密钥 %(key)s 没有在链上公布"), "key %(key)s was not announced on the chain"),
    "key-changed": (N_("密钥 %(key)s 与其公钥不符"), "key %(key)s does not fit its public key"), "manifest": (N_("文件 %(name)s 与清单不符"), "the file %(name)s does not fit the manifest"),
    "key-replaced": (N_("更换了密钥，却没有旧密钥 %(key)s 的交接签名"), "the key was replaced without a hand-over signed by the old key %(key)s"),
    "root": (N_("%(day)s 的每日根与当日各环不符"), "the root of %(day)s does not fit its links"), "root-key": (N_("%(day)s 的每日根用的不是当时的密钥"), "the root of %(day)s was signed by a key not in force"),
    "signature": (N_("%(day)s 的每日根签名无效"), "the signature of the root of %(day)s is invalid"), "root-gap": (N_("%(day)s 的每日根没有接上前一日"), "the root of %(day)s does not follow the one before it"),
    "truncated": (N_("已签或已记到第 %(signed)s 环，链上只剩 %(left)s 环：末尾被截去"), "%(signed)s links were signed or counted, only %(left)s are left: the end was cut off"),
    "one-person": (N_("更正没有两个不同的人签字"), "the correction is not signed by two different people"), "record-twice": (N_("同一节课 %(lesson)s 有两条原始记录"), "lesson %(lesson)s has two original records"),
    "timetable": (N_("课表承诺与各次变更不符"), "the timetable commitment does not fit its changes"), "calendar": (N_("校历承诺与各次变更不符"), "the calendar commitment does not fit its changes"),
    "plan": (N_("称为按课表上课，但上课铃响之前课表上没有这一节"), "it claims to be scheduled, but the timetable did not hold it before the bell"),
    "rolled-back": (N_("数据库被悄悄换回旧的：曾有第 %(seq)s 环，未经声明就不见了"), "an old database was put back silently: link %(seq)s once existed and is gone without a declaration"),
    "anchor": (N_("锚定 %(kind)s（%(day)s）与每日根不符"), "the anchor %(kind)s of %(day)s does not fit the root"), "anchor-signature": (N_("锚定 %(kind)s（%(day)s）的签名无效"), "the signature of the anchor %(kind)s of %(day)s is invalid"),
    "anchor-missing": (N_("锚定 %(kind)s（%(day)s）的凭据不在包中或被改动"), "the proof of the anchor %(kind)s of %(day)s is absent or changed"),
    "anchor-clock": (N_("校外在 %(outside)s 已见到这一环，而它自称写于 %(inside)s：时钟被调过"), "others saw this link at %(outside)s, yet it claims %(inside)s: the clock was moved"),
    "forked": (N_("与先前交出的 %(source)s 不同：历史被改写或悄悄恢复"), "it differs from what was handed out before (%(source)s): history was rewritten or silently restored"),
    "manifest-signature": (N_("清单的签名无效"), "the signature of the manifest is invalid"), "corrects-nothing": (N_("更正的记录 %(record)s 不在它之前"), "the corrected record %(record)s does not stand before it"),
    "clock-back": (N_("第 %(seq)s 环的时间早于前一环：时钟被调过"), "link %(seq)s is earlier than the one before it: the clock was moved"),
    "restored": (N_("第 %(seq)s 环声明：从 %(made)s 的备份恢复，%(made)s 至 %(restored)s 之间的记录可能缺失"), "link %(seq)s declares a restore from the backup of %(made)s; records from %(made)s until %(restored)s may be lost"),
    "late-flag": (N_("第 %(seq)s 环：%(on)s 的停课或非教学周在它开始之后才登记，需区县会签"), "link %(seq)s: the closure or flagged week of %(on)s was entered after it began and needs a countersignature"),
    "late-window": (N_("第 %(seq)s 环：判定窗口的日期 %(old)s 改成了 %(new)s，那时已过，需区县会签"), "link %(seq)s: a day that bounds the window was moved from %(old)s to %(new)s after it was reached and needs a countersignature"),
    "late-timetable": (N_("第 %(seq)s 环：学期 %(term)s 的课表在第二周之前没有校外锚定"), "link %(seq)s: the timetable of the term %(term)s was not anchored outside before week 2"),
    "issuer-unchecked": (N_("锚定方的公钥未核对：任何人都能自称区县。请向区县索取密钥指纹，加 --issuer-key 再校验一次"), "the keys of the issuers were not checked: anybody can call himself the county; ask the county for its fingerprint and run again with --issuer-key"),
    "issuer-unlisted": (N_("不计入锚定：%(issuer)s（%(mark)s）的 %(count)s 次，没有用您给的公钥、短码或证书核对上"), "not counted: %(count)s anchors of %(issuer)s (%(mark)s); none of the keys, codes or certificates that you gave bears them out"),
    "unchecked-tsa": (N_("%(day)s 的 RFC 3161 时间戳未在此核对，请运行 openssl ts -verify"), "the RFC 3161 time stamp of %(day)s was not checked here; run openssl ts -verify"),
    "gap-explained": (N_("先前交出的 %(source)s 中第 %(seq)s 环以后的记录，在已声明的恢复中丢失"), "links from %(seq)s on of what was handed out before (%(source)s) were lost in the declared restore"),
    "backdated": (N_("第 %(seq)s 环：课在 %(ended)s 结束，72 小时后才登记，却没有记为 C 级"), "link %(seq)s: the lesson ended at %(ended)s and was entered more than 72 hours later, yet is not grade C"),
    "future": (N_("登记的时间早于下课时间 %(ended)s"), "it was entered before the lesson ended at %(ended)s"), "shape": (N_("缺少应有的字段或类型不对（%(what)s）"), "a field is absent or of another type (%(what)s)"),
}
# fmt: on


@dataclass(frozen=True)
class Fault:
    """Something found at link ``seq``: a code of TEXTS and what fills its sentence."""

    seq: int
    code: str
    facts: tuple[tuple[str, Any], ...] = ()

    def words(self, english: bool = False) -> str:
        """The sentence."""
        return TEXTS[self.code][1 if english else 0] % dict(self.facts)


def fault(at_seq: int, what: str, /, **facts: Any) -> Fault:
    """A :class:`Fault` with its facts by name."""
    return Fault(at_seq, what, tuple(facts.items()))


_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def _ordered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs) or sorted(made) != list(made):
        raise KeyError("keys twice or out of order: two readers might read it differently")
    return made


_decode = json.JSONDecoder(object_pairs_hook=_ordered).decode


def canonical(value: Any) -> bytes:
    """Canonical JSON of what chains hold: objects, lists, strings, whole numbers, true, false, null."""
    return _encode(value).encode()


def digest(data: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


def merkle_root(hashes: Sequence[str]) -> str:
    """RFC 6962 root over link hashes (hex), of none: SHA-256 of nothing."""
    level = [hashlib.sha256(b"\x00" + bytes.fromhex(one)).digest() for one in hashes] or [hashlib.sha256(b"").digest()]
    while len(level) > 1:  # pairs from the left; a last one without a partner rises as it is
        pairs = [hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = [*pairs, level[-1]] if len(level) % 2 else pairs
    return level[0].hex()


def root_statement(school: str, day: str, first_seq: int, last_seq: int, root: str) -> bytes:
    """The bytes that the school's key signs for a day, and whose SHA-256 is time-stamped."""
    return canonical({"v": VERSION, "school": school, "day": day, "first_seq": first_seq, "last_seq": last_seq, "root": root})


def countersigned(kind: str, statement: bytes, at: str, issuer: str) -> bytes:
    """The bytes that a region or a peer school signs over a root's statement."""
    return canonical({"v": VERSION, "kind": kind, "statement": digest(statement), "at": at, "issuer": issuer})


def handover_statement(school: str, old_key_id: str, public_key: str) -> bytes:
    """The bytes by which the old key hands over to the new one."""
    return canonical({"v": VERSION, "school": school, "previous_key_id": old_key_id, "public_key": public_key})


def signs(data: bytes, groups: int) -> str:
    """The first bits of ``data`` in groups of five signs that people can read to each other: no I, L, O, U."""
    number = int.from_bytes(data, "big") >> (len(data) * 8 - groups * 25)
    return "-".join("".join(ALPHABET[(number >> group * 25 + shift) & 31] for shift in (20, 15, 10, 5, 0)) for group in reversed(range(groups)))


def short_code(statement: bytes) -> str:
    """Ten signs (50 bits) of a root's statement for paper: ``8F3KQ-ZX02N``."""
    return signs(hashlib.sha256(statement).digest(), 2)


def fingerprint(public_key: bytes) -> str:
    """A key as people read it to each other: fifteen signs (75 bits of its SHA-256), ``8F3KQ-ZX02N-4T7YB``."""
    return signs(hashlib.sha256(public_key).digest(), 3)


def pin(text: str) -> str:
    """The fingerprint of a key given as such or as 64 hex digits; raises ValueError."""
    plain = text.upper().replace("-", "").replace(" ", "")
    if len(plain) not in (15, 64):
        raise ValueError(f"{text}: 不是公钥（64 位十六进制）或指纹（15 个字符） / neither a public key nor a fingerprint")
    return fingerprint(bytes.fromhex(plain)) if len(plain) == 64 else f"{plain[:5]}-{plain[5:10]}-{plain[10:]}"


def signed_by(public_key: bytes, signature: str, statement: bytes) -> bool:
    """Whether the Ed25519 signature (hex) holds."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(signature), statement)
    except (InvalidSignature, ValueError):
        return False
    return True


def moment(text: str) -> datetime:
    """Aware time of ``2026-11-24T02:05:00.000000Z``."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def moved_late(held: Mapping[str, Any], row: Mapping[str, Any], today: str) -> bool:
    """Whether a row moves a day of a window (``on``, ``ends``; "" for none) that was reached three days before; its first fortnight is for setting up."""
    days = [day for name in ("on", "ends") if held[name] != row[name] for day in (held[name], row[name]) if day]
    late, settled = (date.fromisoformat(today) - timedelta(days=count) for count in (3, 14))
    return bool(days) and min(days) < late.isoformat() and held["first"] < settled.isoformat()


@dataclass
class Walk:
    """A chain read link by link in the order of seq: feed each text, then the roots and anchors, then look at ``broken``."""

    school: str
    seq: int = 0
    prev: str = GENESIS
    broken: Fault | None = None
    remarks: list[Fault] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    keys: dict[str, bytes] = field(default_factory=dict)
    key_since: dict[str, int] = field(default_factory=dict)
    origins: set[str] = field(default_factory=set)
    signed_until: int = 0
    tsa_roots: list[Certificate] = field(default_factory=list)
    pins: frozenset[str] = frozenset()  # fingerprints of issuers, and codes of sheets, that the reader knows; none: every anchor counts

    def __post_init__(self) -> None:
        self.story = Story(self)

    def fail(self, found: Fault | None) -> dict[str, Any] | None:
        """Note a break, the lowest seq is kept; always None."""
        if found is not None and (self.broken is None or found.seq < self.broken.seq):
            self.broken = found
        return None

    def feed(self, text: str, kept_hash: str | None = None) -> dict[str, Any] | None:
        """Check the next link; its body, or None once the chain is broken. ``kept_hash``: what was stored beside it."""
        body = self.read(text, kept_hash) if self.broken is None else None
        if body is None:
            return None
        try:
            self._take(body)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            self.fail(fault(self.seq, "shape", what=repr(error)))
        return body if self.broken is None else None

    def read(self, text: str, kept_hash: str | None = None) -> dict[str, Any] | None:
        """Check that a text is the next link, take its hash in, and give its body."""
        seq = self.seq + 1
        hashed = hashlib.sha256(text.encode()).hexdigest()
        if kept_hash is not None and kept_hash != hashed:
            return self.fail(fault(seq, "changed"))
        try:
            body = _decode(text)
        except (KeyError, ValueError) as error:
            return self.fail(fault(seq, "not-canonical" if isinstance(error, KeyError) else "unreadable"))
        if not isinstance(body, dict) or body.get("seq") != seq:
            return self.fail(fault(seq, "missing", seq=seq, next=body.get("seq") if isinstance(body, dict) else None))
        if body.get("prev") != self.prev or body.get("school") != self.school:
            return self.fail(fault(seq, "unlinked" if body.get("prev") != self.prev else "school"))
        if body.get("origin") not in ORIGINS:
            return self.fail(fault(seq, "origin", origin=body.get("origin")))
        self.seq, self.prev = seq, hashed
        self.hashes.append(hashed)
        return body

    def _take(self, body: Mapping[str, Any]) -> None:
        seq, at = self.seq, body["at"]
        if self.times and at < self.times[-1]:
            self.remarks.append(fault(seq, "clock-back", seq=seq))
        self.times.append(at)
        self.origins.add(body["origin"])
        self._key(seq, body)
        if self.broken is None:
            self.story.tell(seq, body)

    def _key(self, seq: int, body: Mapping[str, Any]) -> None:
        key_id, payload = body["key_id"], body["payload"]
        if seq == 1 and body["type"] != "chain-opened":
            self.fail(fault(seq, "opening"))
        elif body["type"] in ("chain-opened", "key-changed"):
            public = bytes.fromhex(payload["public_key"])
            if digest(public)[:16] != key_id:
                self.fail(fault(seq, "key-changed", key=key_id))
            elif seq > 1:
                old = payload.get("previous_key_id") or ""
                statement = handover_statement(self.school, old, payload["public_key"])
                newest = max(self.key_since, key=self.key_since.__getitem__)
                if old != newest or not signed_by(self.keys[old], payload.get("handover") or "", statement):
                    self.fail(fault(seq, "key-replaced", key=newest))
            self.keys[key_id], self.key_since[key_id] = public, seq
        elif key_id not in self.keys:
            self.fail(fault(seq, "key", key=key_id))

    def check_roots(self, roots: Iterable[Mapping[str, Any]]) -> None:
        """Check the daily roots ``{day, first_seq, last_seq, root, key_id, signature}``, oldest first."""
        until, newest = 0, ""
        for root in roots:
            day, first, last, key = root["day"], root["first_seq"], root["last_seq"], root["key_id"]
            if last > self.seq:
                self.broken = self.broken or fault(self.seq + 1, "truncated", signed=last, left=self.seq)
                return
            if first != until + 1 or day <= newest:
                self.fail(fault(first, "root-gap", day=day))
            until, newest = last, day
            if merkle_root(self.hashes[first - 1 : last]) != root["root"]:
                self.fail(fault(first, "root", day=day))
            elif key not in self.keys:
                self.fail(fault(first, "key", key=key))
            elif not signed_by(self.keys[key], root["signature"], root_statement(self.school, day, first, last, root["root"])):
                self.fail(fault(first, "signature", day=day))
            elif any(self.key_since[key] < since <= last for since in self.key_since.values()):
                self.fail(fault(first, "root-key", day=day))
            self.signed_until = max(self.signed_until, last)

    def check_head(self, seq: int, hashed: str) -> None:
        """The head that was counted must be the chain's end."""
        if self.broken is None and (seq, hashed) != (self.seq, self.prev):
            self.broken = fault(self.seq + 1, "truncated", signed=seq, left=self.seq)


class Story:
    """What the links tell beyond their order: plans entered in time, lessons that kept to them, corrections, restores, anchors."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.rows: dict[str, dict[str, Any]] = {}  # "timetable/<term>" or "calendar" -> id -> row
        self.windows: dict[str, Mapping[str, Any]] = {}  # id -> row as it counts, and the day of its first entry
        self.history: dict[str, list[tuple[str, dict[str, Any] | None]]] = {}  # slot or swap -> (at, row or None)
        self.published: dict[str, tuple[int, str]] = {}  # term -> (seq, first day)
        self.records: dict[str, Mapping[str, Any]] = {}
        self.lessons: set[tuple[str, str]] = set()
        self.corrected: set[str] = set()
        self.restores: list[tuple[int, str, str]] = []
        self.anchors: list[tuple[int, Mapping[str, Any]]] = []
        self.issuers: dict[tuple[str, str, str, bool], set[int]] = {}  # kind, issuer, mark, whether they count -> seqs of anchors
        self.plans: dict[str, int] = {}
        self.erasures = 0

    def tell(self, seq: int, body: Mapping[str, Any]) -> None:
        """Take one link in."""
        kind, payload = body["type"], body["payload"]
        self.erasures += kind == "erasure"
        if kind in RECORDS:
            self._record(seq, body, payload)
        elif kind in ("timetable-published", "timetable-changed"):
            self._timetable(seq, body, payload)
        elif kind == "calendar-changed":
            self._calendar(seq, body, payload)
        elif kind == "anchor":
            self.anchors.append((seq, payload))
        elif kind == "restore":
            self.restores.append((seq, payload["made_at"], payload["restored_at"]))
            self.walk.remarks.append(fault(seq, "restored", seq=seq, made=payload["made_at"], restored=payload["restored_at"]))
        elif kind == "rolled-back":
            self.walk.fail(fault(seq, "rolled-back", seq=payload["known_seq"]))

    def _record(self, seq: int, body: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
        record = payload["record"]
        at, ended = moment(body["at"]), moment(record["ended_at"])
        if body["type"] == "usage-correction":
            people = payload.get("by") or []
            if not {"signed/1", "signed/2"} <= body["commitments"].keys() or len(set(people)) != 2:
                self.walk.fail(fault(seq, "one-person"))
            if record["corrects"] not in self.records:
                self.walk.fail(fault(seq, "corrects-nothing", record=record["corrects"]))
            self.corrected.add(record["corrects"])
        elif (record["lesson"], record["class"]) in self.lessons:  # classes taught together share a lesson
            self.walk.fail(fault(seq, "record-twice", lesson=record["lesson"]))
        elif record["lesson"]:
            self.lessons.add((record["lesson"], record["class"]))
        if at - ended > timedelta(hours=72) and record["evidence"] != "C":
            self.walk.fail(fault(seq, "backdated", seq=seq, ended=record["ended_at"]))
        if at < ended:
            self.walk.remarks.append(fault(seq, "future", ended=record["ended_at"]))
        self.records[record["id"]] = {**record, "seq": seq, "at": body["at"]}
        plan = payload.get("plan")
        if plan is not None:
            self.plans[plan["status"]] = self.plans.get(plan["status"], 0) + 1
            bell = payload["slot"][0] or ""
            row = ([None] + [row for at, row in self.history.get(plan["slot"] or "", ()) if at <= bell])[-1]
            if plan["status"] != "unscheduled" and (row is None or row["class"] != record["class"]):
                self.walk.fail(fault(seq, "plan"))

    def _apply(self, name: str, payload: Mapping[str, Any]) -> bool:
        rows = self.rows.setdefault(name, {})
        rows.update({row["id"]: row for row in payload["set"]})
        for one in payload["removed"]:
            rows.pop(one, None)
        return digest(canonical([rows[key] for key in sorted(rows)])) == str(payload["state"])

    def _timetable(self, seq: int, body: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
        if not self._apply(f"timetable/{payload['term']}", payload):
            self.walk.fail(fault(seq, "timetable"))
        for key, row in [(row["id"], row) for row in payload["set"]] + [(one, None) for one in payload["removed"]]:
            self.history.setdefault(key, []).append((body["at"], row))
        self.published.setdefault(payload["term"], (seq, payload["starts_on"]))

    def _calendar(self, seq: int, body: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
        known = {row["on"] for row in self.rows.get("calendar", {}).values() if row["kind"] not in WINDOWS}
        if not self._apply("calendar", payload):
            self.walk.fail(fault(seq, "calendar"))
        today = (moment(body["at"]) + timedelta(minutes=payload["offset"])).date()
        for row in payload["set"]:
            if row["kind"] in WINDOWS:
                held = self.windows.setdefault(row["id"], {**row, "first": today.isoformat()})
                if moved_late(held, row, today.isoformat()):
                    old, new = (f"{one['on'] or '…'}–{one['ends'] or '…'}" for one in (held, row))
                    self.walk.remarks.append(fault(seq, "late-window", seq=seq, old=old, new=new))
                else:
                    self.windows[row["id"]] = {**row, "first": held["first"]}
            elif not row["school"] and row["on"] not in known and date.fromisoformat(row["on"]) < today:
                self.walk.remarks.append(fault(seq, "late-flag", seq=seq, on=row["on"]))

    def check_anchors(self, roots: Iterable[Mapping[str, Any]], proofs: Mapping[str, Mapping[str, Any]]) -> None:
        """Check each anchor on the chain against its root and its proof; ``proofs``: by the SHA-256 of their canonical text."""
        by_day = {root["day"]: root for root in roots}
        for seq, told in self.anchors:
            root, proof, code = by_day.get(told["day"]), proofs.get(told["proof"]), ""
            if root is None or proof is None or (root["root"], root["last_seq"]) != (told["root"], told["last_seq"]):
                code = "anchor-missing" if proof is None else "anchor"
            elif not self._holds(seq, told, proof, root_statement(self.walk.school, root["day"], root["first_seq"], root["last_seq"], root["root"])):
                code = "anchor-signature"
            if code or proof is None:
                self.walk.fail(fault(seq, code, kind=told["kind"], day=told["day"]))
                continue
            mark = fingerprint(bytes.fromhex(proof["public_key"])) if told["kind"] in SIGNERS else ""
            known = not self.walk.pins or (bool(self.walk.tsa_roots) if told["kind"] == "rfc3161" else (mark or proof.get("code")) in self.walk.pins)
            self.issuers.setdefault((told["kind"], told["issuer"], mark, known), set()).add(seq)
            last = self.walk.times[told["last_seq"] - 1] if told["last_seq"] <= self.walk.seq else ""
            if told["kind"] != "sheet" and told["at"] < last and moment(last) - moment(told["at"]) > timedelta(minutes=10):
                self.walk.fail(fault(told["last_seq"], "anchor-clock", outside=told["at"], inside=last))
        for term, (seq, first_day) in self.published.items():
            begins = date.fromisoformat(first_day)
            second_week = begins + timedelta(days=7 - begins.weekday())
            anchored = self.anchored_at(seq)
            if (anchored is None or anchored[:10] >= second_week.isoformat()) and self.walk.times[-1][:10] >= second_week.isoformat():
                self.walk.remarks.append(fault(seq, "late-timetable", seq=seq, term=term))

    def doubted(self) -> set[int]:
        """Anchors that nothing bears out that the reader knows himself."""
        return {seq for who, seqs in self.issuers.items() if not who[-1] for seq in seqs}

    def _holds(self, seq: int, told: Mapping[str, Any], proof: Mapping[str, Any], statement: bytes) -> bool:
        """Whether the proof of an anchor fits the statement of its root."""
        if told["kind"] in SIGNERS:
            said = countersigned(told["kind"], statement, told["at"], told["issuer"])
            return signed_by(bytes.fromhex(proof["public_key"]), proof["signature"], said)
        if told["kind"] == "rfc3161":
            return self._stamped(seq, told, base64.b64decode(proof["token"]), statement)
        return bool(told["kind"] != "sheet" or proof["code"] == short_code(statement))

    def _stamped(self, seq: int, told: Mapping[str, Any], response: bytes, statement: bytes) -> bool:
        """The stamp must hold the digest; its signature is checked with ``rfc3161-client`` and the authority's certificates, else left to openssl."""
        holds = hashlib.sha256(statement).digest() in response
        if holds and self.walk.tsa_roots:
            try:
                import rfc3161_client as tsp

                stamp = tsp.decode_timestamp_response(response)
                tsp.VerifierBuilder(roots=list(self.walk.tsa_roots)).build().verify_message(stamp, statement)
                return abs(stamp.tst_info.gen_time - moment(told["at"])) < timedelta(seconds=1)
            except ImportError:
                self.walk.tsa_roots = []
            except (ValueError, tsp.VerificationError):
                return False
        if holds:
            self.walk.remarks.append(fault(seq, "unchecked-tsa", day=told["day"]))
        return holds

    def anchored_at(self, seq: int) -> str | None:
        """When a link was first anchored outside the school, None if never."""
        at = bisect_left(self._anchored[0], seq)
        return self._anchored[1][at] if at < len(self._anchored[0]) else None

    @cached_property
    def _anchored(self) -> tuple[list[int], list[str]]:
        doubted = self.doubted()
        told = sorted(((told["last_seq"], told["at"]) for seq, told in self.anchors if seq not in doubted), reverse=True)
        earliest = list(accumulate((at for _, at in told), min))  # an anchor of a later link fixes all before it
        return [last for last, _ in reversed(told)], earliest[::-1]

    def grades(self) -> dict[str, int]:
        """Records in force by evidence grade as anchors make it: A only where anchored within 24 hours."""
        found = {"A": 0, "B": 0, "C": 0}
        for key, record in self.records.items():
            anchored = self.anchored_at(record["seq"]) if record["evidence"] == "A" else None
            timely = anchored is not None and moment(anchored) - moment(record["ended_at"]) <= ANCHORED
            found["B" if record["evidence"] == "A" and not timely else record["evidence"]] += key not in self.corrected and record["kind"] != "void"
        return found


def read_pack(path: Path) -> dict[str, Any]:
    """The parts of a pack: manifest, links (texts), hashes, roots, proofs of anchors by hash, signature, the manifest as signed, wrong files.

    Raises ValueError where it is none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        named = {name: json.loads(files[f"{name}.json"]) for name in ("manifest", "hashes", "roots", "anchors")}
        wrong = sorted(name for name, known in named["manifest"]["files"].items() if digest(files.get(name, b"")) != known)
        links, proofs = files["chain.jsonl"].decode().split("\n")[:-1], {digest(canonical(one)): one for one in named["anchors"]}
        return {**named, "links": links, "proofs": proofs, "signature": json.loads(files["manifest.sig"]), "signed": files["manifest.json"], "wrong": wrong}
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: 不是证据包 / not a pack of evidence ({error})") from error


def check_pack(pack: Mapping[str, Any], tsa_roots: Sequence[Certificate] = (), pins: Iterable[str] = ()) -> Walk:
    """Walk the chain of a pack and everything around it; ``pins``: see :class:`Walk`."""
    walk = Walk(pack["manifest"]["school"], tsa_roots=list(tsa_roots), pins=frozenset(pins))
    for at, text in enumerate(pack["links"]):
        if walk.feed(text, pack["hashes"][at] if at < len(pack["hashes"]) else None) is None:
            break
    if walk.broken is None:
        walk.check_head(pack["manifest"]["head"]["seq"], pack["manifest"]["head"]["hash"])
        walk.check_roots(pack["roots"])
        walk.story.check_anchors(pack["roots"], pack["proofs"])
        if not walk.pins and any(who[0] in SIGNERS for who in walk.story.issuers):
            walk.remarks.append(fault(0, "issuer-unchecked"))
        for (_, issuer, mark, known), seqs in walk.story.issuers.items():
            if not known:
                walk.remarks.append(fault(min(seqs), "issuer-unlisted", issuer=issuer, mark=mark or "-", count=len(seqs)))
        for name in pack["wrong"]:
            walk.broken = walk.broken or fault(0, "manifest", name=name)
        key = walk.keys.get(pack["signature"]["key_id"])
        if key is None or not signed_by(key, pack["signature"]["signature"], pack["signed"]):
            walk.broken = walk.broken or fault(0, "manifest-signature")
    return walk


def compare(walk: Walk, source: Path) -> None:
    """Hold the chain against what was handed out earlier: an older pack, or a receipt ``{school, day, first_seq, last_seq, root}``."""
    if zipfile.is_zipfile(source):
        old = read_pack(source)
        pairs = enumerate(zip(walk.hashes, old["hashes"]))  # noqa: B905 (Python 3.9)
        same = next((at for at, (one, other) in pairs if one != other), min(walk.seq, len(old["hashes"])))
        if same == len(old["hashes"]):
            return
        where, made = same + 1, old["manifest"]["made_at"]
    else:
        try:
            receipts = json.loads(source.read_text("utf-8"))
            every = receipts if isinstance(receipts, list) else [receipts]
            wrong = [one for one in every if merkle_root(walk.hashes[one["first_seq"] - 1 : one["last_seq"]]) != one["root"]]
            if not wrong:
                return
            where, made = min(wrong[0]["first_seq"], walk.seq + 1), wrong[0]["day"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{source}: 不是回执 / not a receipt ({error})") from error
    for seq, made_at, restored_at in walk.story.restores:
        if seq <= where + 1 and made_at[:10] <= made[:10] <= restored_at[:10]:
            walk.remarks.append(fault(seq, "gap-explained", source=source.name, seq=where))
            return
    walk.fail(fault(where, "forked", source=source.name))


def check_codes(walk: Walk, roots: Iterable[Mapping[str, Any]], codes: Iterable[str]) -> list[tuple[str, str]]:
    """Find each short code from a paper sheet among the roots: (code, day), the day empty where it is none of them."""
    known = {short_code(root_statement(walk.school, one["day"], one["first_seq"], one["last_seq"], one["root"])): one["day"] for one in roots}
    return [(code, known.get(code.strip().upper(), "")) for code in codes]


def as_json(walk: Walk, english: bool = False) -> dict[str, Any]:
    """The result as plain data."""
    found, story = walk.broken, walk.story
    issuers = [{"kind": kind, "issuer": issuer, "mark": mark, "counts": known, "anchors": len(seqs)} for (kind, issuer, mark, known), seqs in story.issuers.items()]
    return {
        "ok": found is None, "length": walk.seq, "first_broken": found.seq if found else None, "code": found.code if found else "",
        "reason": found.words() if found else "", "reason_en": found.words(english=True) if found else "", "origins": sorted(walk.origins),
        "signed_until": walk.signed_until, "anchors": len(story.anchors) - len(story.doubted()), "issuers": issuers, "grades": story.grades(),
        "plans": story.plans, "corrections": len(story.corrected), "erasures": story.erasures, "restores": [seq for seq, _, _ in story.restores],
        "remarks": [{"seq": one.seq, "code": one.code, "text": one.words(english)} for one in walk.remarks],
    }  # fmt: skip


def said(result: Mapping[str, Any], codes: Sequence[tuple[str, str]]) -> str:
    """The result for people."""
    head = f"完整 / whole: {result['length']} 环 links, 来源 origin {'、'.join(result['origins']) or '-'}, 已签至 signed until {result['signed_until']}"
    if not result["ok"]:
        head = f"断裂 / broken: 第 {result['first_broken']} 环 link {result['first_broken']} [{result['code']}]\n  {result['reason']}\n  {result['reason_en']}"
    fake = ["注意：模拟数据，不能作为开课证明 / simulated data, no proof of teaching"] if "simulated" in result["origins"] else []
    grades = "  ".join(f"{name} {count}" for name, count in result["grades"].items())
    told = f"证据等级 grades: {grades}；校外锚定 anchors {result['anchors']}；更正 corrections {result['corrections']}；删除 erasures {result['erasures']}"
    plans = f"课表 timetable: {result['plans'] or '-'}（scheduled 按课表, changed 课前调课, unscheduled 课表外）"
    counted = {True: "计入 counted", False: "不计入 not counted"}
    who = [f"锚定方 issuer: {one['issuer']} {one['mark']} × {one['anchors']}（{one['kind']}，{counted[one['counts']]}）" for one in result["issuers"]]
    sheets = [f"签字表 sheet {code}: {day or '不在每日根之中 / none of the roots'}" for code, day in codes]
    return "\n".join([head, *fake, told, *who, plans, *sheets, *(f"- {remark['text']}" for remark in result["remarks"])])


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a pack from the command line; the exit code."""
    parser = argparse.ArgumentParser(description="校验智课证据包 / verify a Zhike evidence pack")
    parser.add_argument("pack", type=Path)
    parser.add_argument("--against", type=Path, action="append", default=[], help="先前的证据包或回执 / an earlier pack or receipt")
    parser.add_argument("--code", action="append", default=[], help="签字表上的短码 / short code from a paper sheet")
    parser.add_argument("--issuer-key", action="append", default=[], help="区县或友校的公钥或指纹，可重复 / key or fingerprint of an issuer that you trust")
    parser.add_argument("--tsa-ca", type=Path, help="时间戳机构的根证书（PEM），需要 rfc3161-client / its root certificates")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        pack = read_pack(options.pack)
        pins = [*map(pin, options.issuer_key), *(one.strip().upper() for one in options.code if options.issuer_key)]
        walk = check_pack(pack, load_pem_x509_certificates(options.tsa_ca.read_bytes()) if options.tsa_ca else (), pins)
        for source in options.against:
            compare(walk, source)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    codes, result = check_codes(walk, pack["roots"], options.code), as_json(walk)
    print(json.dumps({**result, "codes": dict(codes)}, ensure_ascii=False, indent=2) if options.json else said(result, codes))
    return 0 if result["ok"] and all(day for _, day in codes) else 1


if __name__ == "__main__":
    sys.exit(main())
