"""The evidence chain (证据链), definitions B10: canonical links, salted commitments, Merkle roots; pure. Verified by ``verifier/verify.py``.

A link's body is RFC 8785 canonical JSON ``{v, seq, prev, origin, key_id, type, at, school, payload, commitments}``; its hash is the
SHA-256 of that text. A commitment is SHA-256(salt ‖ canonical(value)): who holds the salt can open it, deleting the salt erases the
value and leaves the chain whole. Merkle tree as RFC 6962: SHA-256(0x00 ‖ leaf), SHA-256(0x01 ‖ left ‖ right).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import rfc8785

from lms.usage.reasons import Reason, reason
from lms.usage.verifier import verify
from lms.usage.verifier.verify import GENESIS, ORIGINS, VERSION, merkle_root

__all__ = ["GENESIS", "ORIGINS", "VERSION", "Break", "ChainReport", "Link", "Root", "Walk", "merkle_root"]


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

    def plain(self) -> dict[str, Any]:
        """As packs and the verifier hold it."""
        return {**vars(self), "day": self.day.isoformat()}

    def statement(self, school: str) -> bytes:
        """The bytes that are signed, time-stamped and countersigned."""
        return verify.root_statement(school, self.day.isoformat(), self.first_seq, self.last_seq, self.root)


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


def reason_of(found: verify.Fault) -> Reason:
    """What the verifier found as a reason that pages can translate."""
    return Reason(found.code, verify.TEXTS[found.code][0], found.facts)


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
    *,
    seq: int,
    prev: str,
    origin: str,
    key_id: str,
    type: str,
    at: datetime,
    school: str,
    payload: Mapping[str, Any],
    commitments: Mapping[str, str],
) -> str:
    """Canonical text of a link's body; raises ValueError for a fraction, which canonical JSON of other languages might write otherwise."""
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
    text = canonical(body)
    if text != verify.canonical(body):
        raise ValueError(
            f"{type}: only objects, lists, strings, whole numbers, true, false and null may enter the chain"
        )
    return text.decode()


def link_hash(body: str) -> str:
    """SHA-256 of a body, hex."""
    return hashlib.sha256(body.encode()).hexdigest()


def root_statement(school: str, day: date, first_seq: int, last_seq: int, root: str) -> bytes:
    """The bytes that the node key signs for a day."""
    return verify.root_statement(school, day.isoformat(), first_seq, last_seq, root)


def check_link(link: Link, seq: int, prev: str) -> Break | None:
    """Whether ``link`` is the ``seq``-th of its school and follows ``prev``; the first fault found."""
    walk = Walk(link.school, seq - 1, prev)
    walk.keys[link.key_id] = b""  # whether the key was announced is asked of the whole chain only
    found = walk.order(link)
    if found is None:
        body = walk.read(link.body, link.hash)
        found = walk.broken or (columns_differ(link, body) if body is not None else None)
    return Break(found.seq, reason_of(found)) if found is not None else None


def columns_differ(link: Link, body: Mapping[str, Any]) -> verify.Fault | None:
    """Whether the columns beside a body say something else."""
    beside = {
        "origin": link.origin,
        "key_id": link.key_id,
        "type": link.type,
        "at": stamp(link.at),
        "school": link.school,
    }
    wrong = [name for name, value in beside.items() if body.get(name) != value]
    return verify.fault(link.seq, "columns", names="、".join(wrong)) if wrong else None


class Walk(verify.Walk):
    """Verification of one stored chain: the verifier's walk, and the columns beside each body."""

    def order(self, link: Link) -> verify.Fault | None:
        """Whether the columns put the link next."""
        if link.seq != self.seq + 1:
            return verify.fault(self.seq + 1, "missing", seq=self.seq + 1, next=link.seq)
        return None

    def take(self, link: Link) -> dict[str, Any] | None:
        """Check the next link; its body, or None once the chain is broken."""
        if self.broken is not None:
            return None
        self.fail(self.order(link))
        body = self.feed(link.body, link.hash)
        if body is None:
            return None
        if link.prev != body["prev"]:
            self.fail(verify.fault(link.seq, "unlinked"))
        self.fail(columns_differ(link, body))
        return body if self.broken is None else None

    def report(
        self,
        roots: Iterable[Root],
        head: tuple[int, str] | None,
        proofs: Mapping[str, Mapping[str, Any]] | None = None,
        beside: Break | None = None,
    ) -> ChainReport:
        """Check signed roots, anchors and the head, then report; ``beside``: a break found in the tables beside the links."""
        plain = [root.plain() for root in roots]
        whole = self.broken is None
        self.check_roots(plain)
        if head is not None and whole:
            self.check_head(*head)
        if whole:
            self.story.check_anchors(plain, proofs or {})
        found = Break(self.broken.seq, reason_of(self.broken)) if self.broken is not None else None
        if beside is not None and (found is None or beside.seq <= found.seq):
            found = beside
        return ChainReport(
            ok=found is None,
            length=self.seq,
            first_broken=found.seq if found else None,
            reason=str(found.why) if found else "",
            code=found.code if found else "",
            why=found.why if found else None,
            head=self.prev,
            origins=tuple(sorted(self.origins)),
            signed_until=self.signed_until,
            remarks=tuple(reason_of(one) for one in self.remarks),
        )
