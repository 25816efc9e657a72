"""The chain without a database: canonical bodies, commitments, Merkle roots, and where a walk breaks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lms.usage.evidence.chain import (
    GENESIS,
    Link,
    Root,
    Walk,
    body_of,
    canonical,
    commitment,
    link_hash,
    merkle_root,
    root_statement,
)
from lms.usage.evidence.keys import NodeKey, node_key

AT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


@pytest.fixture
def key(tmp_path: Path) -> NodeKey:
    return node_key(tmp_path)


def chain(key: NodeKey, length: int) -> list[Link]:
    links: list[Link] = []
    for seq in range(1, length + 1):
        prev = links[-1].hash if links else GENESIS
        kind = "chain-opened" if seq == 1 else "note"
        payload = {"public_key": key.public.hex(), "previous_key_id": None} if seq == 1 else {"n": seq, "text": "课"}
        at = AT + timedelta(minutes=seq)
        body = body_of(seq=seq, prev=prev, origin="real", key_id=key.key_id, type=kind, at=at, school="s1", payload=payload, commitments={})
        links.append(Link(seq, prev, link_hash(body), kind, "real", key.key_id, at, "s1", body))
    return links


def walked(links: list[Link], roots: list[Root] = [], head: tuple[int, str] | None = None) -> tuple[bool, int | None, str]:  # noqa: B006 (never changed)
    walk = Walk("s1")
    for link in links:
        walk.take(link)
    report = walk.report(roots, head if head is not None else (links[-1].seq, links[-1].hash))
    return report.ok, report.first_broken, report.code


def test_canonical_json_is_rfc_8785() -> None:
    assert canonical({"b": 1, "a": [True, None, "€", 10.0, 1e21]}) == '{"a":[true,null,"€",10,1e+21],"b":1}'.encode()


def test_a_commitment_needs_salt_and_value() -> None:
    salt = "00" * 32
    assert commitment(salt, {"a": 1}) == hashlib.sha256(bytes(32) + b'{"a":1}').hexdigest()
    assert commitment(salt, {"a": 2}) != commitment(salt, {"a": 1}) != commitment("01" * 32, {"a": 1})


def test_merkle_root_as_in_rfc_6962() -> None:
    def leaf(text: str) -> bytes:
        return hashlib.sha256(b"\x00" + bytes.fromhex(text)).digest()

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    one, two, three = ("11" * 32, "22" * 32, "33" * 32)
    assert merkle_root([]) == hashlib.sha256(b"").hexdigest()
    assert merkle_root([one]) == leaf(one).hex()
    assert merkle_root([one, two, three]) == node(node(leaf(one), leaf(two)), leaf(three)).hex()


def test_a_whole_chain_is_whole(key: NodeKey) -> None:
    assert walked(chain(key, 12)) == (True, None, "")


@given(st.integers(2, 11), st.sampled_from(["change", "delete", "swap", "insert", "backdate", "origin", "replace-body"]))
def test_the_first_broken_link_is_named(seq: int, way: str) -> None:
    key = KEY
    links = chain(key, 12)
    link = links[seq - 1]
    if way == "change":
        links[seq - 1] = replace(link, body=link.body.replace('"n":', '"m":'))
    elif way == "delete":
        del links[seq - 1]
    elif way == "swap":
        links[seq - 1], links[seq] = links[seq], link
    elif way == "insert":
        links.insert(seq - 1, replace(link, seq=seq))
        seq += 1  # the first of the twins fits, the second does not
    elif way == "backdate":
        links[seq - 1] = replace(link, at=link.at - timedelta(days=30))
    elif way == "origin":
        links[seq - 1] = replace(link, origin="simulated")
    else:  # a careful forger also makes the hash fit
        body = link.body.replace('"n":', '"m":')
        links[seq - 1] = replace(link, body=body, hash=link_hash(body))
        seq += 1
    ok, broken, _ = walked(links)
    assert (ok, broken) == (False, seq)


def test_a_cut_tail_is_found_by_head_and_root(key: NodeKey) -> None:
    links = chain(key, 12)
    assert walked(links[:9], head=(12, links[11].hash)) == (False, 10, "truncated")
    root = signed_root(key, links, 1, 12)
    assert walked(links[:9], [root], head=(9, links[8].hash)) == (False, 10, "truncated")


def signed_root(key: NodeKey, links: list[Link], first: int, last: int) -> Root:
    root = merkle_root([link.hash for link in links[first - 1 : last]])
    return Root(date(2026, 11, 24), first, last, root, key.key_id, key.sign(root_statement("s1", date(2026, 11, 24), first, last, root)))


def test_a_rewritten_chain_does_not_fit_its_signed_root(key: NodeKey, tmp_path: Path) -> None:
    links = chain(key, 12)
    root = signed_root(key, links, 1, 8)
    assert walked(links, [root]) == (True, None, "")
    assert walked(links, [replace(root, root="00" * 32)]) == (False, 1, "root")
    assert walked(links, [replace(root, signature="00" * 64)]) == (False, 1, "signature")
    assert walked(links, [replace(root, signature="zz")]) == (False, 1, "signature")
    other = node_key(tmp_path / "other")
    assert walked(links, [signed_root(other, links, 1, 8)]) == (False, 1, "key")


def test_a_key_that_the_chain_does_not_know_breaks_it(key: NodeKey, tmp_path: Path) -> None:
    links = chain(key, 3)
    other = node_key(tmp_path / "other")
    body = body_of(
        seq=4, prev=links[2].hash, origin="real", key_id=other.key_id, type="note", at=AT + timedelta(hours=1), school="s1", payload={}, commitments={}
    )
    links.append(Link(4, links[2].hash, link_hash(body), "note", "real", other.key_id, AT + timedelta(hours=1), "s1", body))
    assert walked(links) == (False, 4, "key")


def test_the_node_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first = node_key(tmp_path)
    assert node_key(tmp_path).key_id == first.key_id
    assert (tmp_path / "keys" / "node.pem").stat().st_mode & 0o777 == 0o600
    assert first.key_id == hashlib.sha256(first.public).hexdigest()[:16]
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["node.pem"]


def _make_key() -> NodeKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return NodeKey(Ed25519PrivateKey.generate())


KEY = _make_key()
