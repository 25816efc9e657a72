"""The evidence chain (证据链), definitions B10: canonical links, salted commitments, Merkle roots, verification; pure.

A link's body is RFC 8785 canonical JSON ``{v, seq, prev, origin, key_id, type, at, school, payload, commitments}``; its hash is the
SHA-256 of that text. A commitment is SHA-256(salt ‖ canonical(value)): who holds the salt can open it, deleting the salt erases the
value and leaves the chain whole. Merkle tree as RFC 6962: SHA-256(0x00 ‖ leaf), SHA-256(0x01 ‖ left ‖ right).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lms.usage.reasons import N_, Reason, reason

VERSION = 1
GENESIS = "0" * 64
ORIGINS = ("real", "simulated", "manual")


@dataclass(frozen=True)
class Link:
    """A stored link: the columns beside the body must say what the body says."""

    seq: int
    prev: str
    hash: str
    type: str
    origin: str
    key_id: str
    at: datetime
    school: str
    body: str


@dataclass(frozen=True)
class Root:
    """A signed daily root over the links ``first_seq``–``last_seq``; ``signature`` and ``key`` hex, Ed25519."""

    day: date
    first_seq: int
    last_seq: int
    root: str
    key_id: str
    signature: str


@dataclass(frozen=True)
class Break:
    """The first place where the chain does not hold: ``seq`` of the link and why."""

    seq: int
    why: Reason

    @property
    def code(self) -> str:
        """Stable reason code."""
        return self.why.code


def broken(seq: int, code: str, template: str, /, **facts: Any) -> Break:
    """A break at ``seq`` with its reason."""
    return Break(seq, reason(code, template, **facts))


@dataclass(frozen=True)
class ChainReport:
    """Result of a verification; ``first_broken`` is the seq of the first broken link, ``reason`` the Chinese sentence."""

    ok: bool
    length: int
    first_broken: int | None = None
    reason: str = ""
    code: str = ""
    head: str = GENESIS
    origins: tuple[str, ...] = ()
    signed_until: int = 0
    remarks: tuple[Reason, ...] = ()
    why: Reason | None = None

    def in_words(self) -> str:
        """One line for a terminal."""
        marks = "、".join(self.origins) or "-"
        if self.ok:
            return f"完整：{self.length} 环，来源 {marks}，每日根已签至第 {self.signed_until} 环"
        return f"断裂：第 {self.first_broken} 环（{self.code}）{self.reason}"


def canonical(value: Any) -> bytes:
    """RFC 8785 canonical JSON."""
    return rfc8785.dumps(value)


def commitment(salt: str, value: Any) -> str:
    """Hex commitment to ``value`` under ``salt`` (hex of 32 random bytes)."""
    return hashlib.sha256(bytes.fromhex(salt) + canonical(value)).hexdigest()


def stamp(at: datetime) -> str:
    """UTC time as the bodies hold it: ``2026-11-24T02:05:00.000000Z``."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def body_of(
    *, seq: int, prev: str, origin: str, key_id: str, type: str, at: datetime, school: str, payload: Mapping[str, Any], commitments: Mapping[str, str]
) -> str:
    """Canonical text of a link's body."""
    body = {
        "v": VERSION,
        "seq": seq,
        "prev": prev,
        "origin": origin,
        "key_id": key_id,
        "type": type,
        "at": stamp(at),
        "school": school,
        "payload": dict(payload),
        "commitments": dict(commitments),
    }
    return canonical(body).decode()


def link_hash(body: str) -> str:
    """SHA-256 of a body, hex."""
    return hashlib.sha256(body.encode()).hexdigest()


def merkle_root(hashes: Sequence[str]) -> str:
    """RFC 6962 root over the link hashes (hex), of none: SHA-256 of nothing."""
    if not hashes:
        return hashlib.sha256(b"").hexdigest()
    return _tree([hashlib.sha256(b"\x00" + bytes.fromhex(one)).digest() for one in hashes]).hex()


def _tree(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + _tree(leaves[:half]) + _tree(leaves[half:])).digest()


def root_statement(school: str, day: date, first_seq: int, last_seq: int, root: str) -> bytes:
    """The bytes that the node key signs for a day."""
    return canonical({"v": VERSION, "school": school, "day": day.isoformat(), "first_seq": first_seq, "last_seq": last_seq, "root": root})


def check_link(link: Link, seq: int, prev: str) -> Break | None:
    """Whether ``link`` is the ``seq``-th of its school and follows ``prev``; the first fault found."""
    if link.seq != seq:
        return broken(seq, "missing", N_("缺少第 %(seq)s 环，下一条是第 %(next)s 环"), seq=seq, next=link.seq)
    if link_hash(link.body) != link.hash:
        return broken(seq, "changed", N_("内容与它的哈希不符：记录被改动"))
    try:
        body = json.loads(link.body)
    except json.JSONDecodeError:
        return broken(seq, "unreadable", N_("内容不是 JSON"))
    if not isinstance(body, dict) or canonical(body).decode() != link.body:
        return broken(seq, "not-canonical", N_("内容不是规范 JSON（RFC 8785）"))
    if link.prev != prev or body.get("prev") != prev:
        return broken(seq, "unlinked", N_("没有接在前一环之后：记录被删除、插入或调换"))
    beside = {"seq": link.seq, "origin": link.origin, "key_id": link.key_id, "type": link.type, "at": stamp(link.at), "school": link.school}
    wrong = [name for name, value in beside.items() if body.get(name) != value]
    if wrong:
        return broken(seq, "columns", N_("表中的 %(names)s 与内容不符"), names="、".join(wrong))
    if link.origin not in ORIGINS:
        return broken(seq, "origin", N_("不认识的来源 %(origin)s"), origin=link.origin)
    return None


def check_root(root: Root, school: str, hashes: Sequence[str], public_key: bytes | None) -> Break | None:
    """Whether a daily root covers exactly ``hashes`` and is signed by the key it names."""
    if merkle_root(hashes) != root.root:
        return broken(root.first_seq, "root", N_("%(day)s 的每日根与当日各环不符"), day=root.day.isoformat())
    if public_key is None:
        return broken(root.first_seq, "key", N_("%(day)s 的签名密钥 %(key)s 不在链上"), day=root.day.isoformat(), key=root.key_id)
    if hashlib.sha256(public_key).hexdigest()[:16] != root.key_id:
        return broken(root.first_seq, "key", N_("密钥 %(key)s 与其公钥不符"), key=root.key_id)
    statement = root_statement(school, root.day, root.first_seq, root.last_seq, root.root)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(root.signature), statement)
    except (InvalidSignature, ValueError):
        return broken(root.first_seq, "signature", N_("%(day)s 的每日根签名无效"), day=root.day.isoformat())
    return None


@dataclass
class Walk:
    """Verification of one chain, link by link, in order of seq: feed every link, then ask for the report."""

    school: str
    seq: int = 0
    prev: str = GENESIS
    broken: Break | None = None
    last_at: datetime | None = None

    def __post_init__(self) -> None:
        self.hashes: list[str] = []
        self.keys: dict[str, bytes] = {}
        self.origins: set[str] = set()
        self.remarks: list[Reason] = []

    def feed(self, link: Link) -> dict[str, Any] | None:
        """Check the next link; its body, or None once the chain is broken."""
        if self.broken is not None:
            return None
        self.broken = check_link(link, self.seq + 1, self.prev)
        if self.broken is not None:
            return None
        body: dict[str, Any] = json.loads(link.body)
        self.seq, self.prev = link.seq, link.hash
        self.hashes.append(link.hash)
        self.origins.add(link.origin)
        if link.type in ("chain-opened", "key-changed"):
            self.keys[link.key_id] = bytes.fromhex(body["payload"]["public_key"])
        elif link.key_id not in self.keys:
            self.broken = broken(link.seq, "key", N_("密钥 %(key)s 没有在链上公布"), key=link.key_id)
            return None
        if self.last_at is not None and link.at < self.last_at:
            self.remarks.append(reason("clock-back", N_("第 %(seq)s 环的时间早于前一环：时钟被调过"), seq=link.seq))
        self.last_at = link.at
        return body

    def fail(self, found: Break | None) -> None:
        """Note a break found beside the links; the lowest seq is kept."""
        if found is not None and (self.broken is None or found.seq < self.broken.seq):
            self.broken = found

    def report(self, roots: Iterable[Root], head: tuple[int, str] | None) -> ChainReport:
        """Check the signed roots and the head, then report."""
        signed = 0
        for root in roots:
            if root.last_seq > len(self.hashes):
                text = N_("%(day)s 已签到第 %(signed)s 环，链上只剩 %(left)s 环")
                have = len(self.hashes)
                self.fail(broken(have + 1, "truncated", text, day=root.day.isoformat(), signed=root.last_seq, left=have))
                break
            self.fail(check_root(root, self.school, self.hashes[root.first_seq - 1 : root.last_seq], self.keys.get(root.key_id)))
            signed = max(signed, root.last_seq)
        if self.broken is None and head is not None and head != (self.seq, self.prev):
            text = N_("链首记到第 %(head)s 环，链上却是第 %(seq)s 环")
            self.broken = broken(self.seq + 1, "truncated", text, head=head[0], seq=self.seq)
        found = self.broken
        return ChainReport(
            ok=found is None,
            length=self.seq,
            first_broken=found.seq if found else None,
            reason=str(found.why) if found else "",
            code=found.code if found else "",
            why=found.why if found else None,
            head=self.prev,
            origins=tuple(sorted(self.origins)),
            signed_until=signed,
            remarks=tuple(self.remarks),
        )
