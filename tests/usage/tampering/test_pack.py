"""A forger changes the pack, or the database before the pack is written: the single file names the first broken link."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lms.cli import main as lms
from lms.usage import service
from lms.usage.evidence import anchors
from lms.usage.evidence.keys import NodeKey, node_key
from lms.usage.verifier.verify import canonical, digest, fingerprint, merkle_root, root_statement
from tests.usage.tampering.conftest import FIRST, Tamper, Victim


def test_a_whole_pack_is_whole_and_holds_no_name(victim: Victim) -> None:
    pack = victim.pack()
    found = victim.verify(pack, "--issuer-key", victim.region.public.hex())
    assert (found.code, found.result["ok"], found.result["grades"]) == (0, True, {"A": 3, "B": 0, "C": 0}), found.result
    assert (found.result["anchors"], found.result["plans"], found.result["remarks"]) == (4, {"scheduled": 3}, [])
    with zipfile.ZipFile(pack) as archive:
        text = "".join(archive.read(name).decode() for name in archive.namelist())
    for person in [*victim.pupils, victim.teacher, victim.admin]:
        assert person.name not in text
        assert str(person.id) not in text
    answer = CliRunner().invoke(lms, ["usage", "verify", str(pack)])
    assert (answer.exit_code, "完整" in answer.output) == (0, True), answer.output


def rewrite(pack: Path, change: Callable[[dict[str, bytes]], None], *, seal: NodeKey | None = None) -> Path:
    """The pack with changed files; ``seal``: the forger also makes manifest and signature fit."""
    with zipfile.ZipFile(pack) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if seal is not None:
        manifest = json.loads(files["manifest.json"])
        manifest["files"] = {name: digest(files[name]) for name in manifest["files"]}
        links = files["chain.jsonl"].decode().split("\n")[:-1]
        manifest["head"] = {"seq": len(links), "hash": digest(links[-1].encode())}
        files["manifest.json"] = json.dumps(manifest).encode()
        files["manifest.sig"] = json.dumps({"key_id": seal.key_id, "signature": seal.sign(files["manifest.json"])}).encode()
    forged = pack.with_name("forged.zip")
    with zipfile.ZipFile(forged, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return forged


def links_of(files: dict[str, bytes]) -> list[str]:
    return files["chain.jsonl"].decode().split("\n")[:-1]


def put(files: dict[str, bytes], links: list[str], *, hashes: bool = True) -> None:
    files["chain.jsonl"] = "".join(one + "\n" for one in links).encode()
    if hashes:
        files["hashes.json"] = json.dumps([hashlib.sha256(one.encode()).hexdigest() for one in links]).encode()


def relink(links: list[str], start: int, edit: Callable[[dict[str, Any]], None] = lambda body: None) -> list[str]:
    """Change link ``start`` (0-based) and make every later link follow it: the careful forger."""
    made, prev = links[:start], digest(links[start - 1].encode())
    for at, text in enumerate(links[start:], start):
        body = json.loads(text)
        if at == start:
            edit(body)
        body |= {"prev": prev, "seq": at + 1}
        made.append(canonical(body).decode())
        prev = digest(made[-1].encode())
    return made


def record_at(links: list[str], number: int = 0) -> int:
    return [at for at, text in enumerate(links) if '"type":"usage-record"' in text][number]


def present_40(body: dict[str, Any]) -> None:
    body["payload"]["record"]["present"] = 40


CRUDE = {
    "change": (lambda links, at: [*links[:at], links[at].replace('"present":3', '"present":40'), *links[at + 1 :]], 0, "changed"),
    "change and its hash": (lambda links, at: [*links[:at], links[at].replace('"present":3', '"present":40'), *links[at + 1 :]], 1, "unlinked"),
    "delete": (lambda links, at: [*links[:at], *links[at + 1 :]], 0, "missing"),
    "reorder": (lambda links, at: [*links[:at], links[at + 1], links[at], *links[at + 2 :]], 0, "missing"),
    "insert": (lambda links, at: [*links[:at], links[at], *links[at:]], 1, "missing"),
    "duplicate key": (lambda links, at: [*links[:at], links[at].replace('"present":3', '"present":40,"present":3'), *links[at + 1 :]], 0, "not-canonical"),
    "not JSON": (lambda links, at: [*links[:at], "{", *links[at + 1 :]], 0, "unreadable"),
}


@pytest.mark.parametrize("way", CRUDE)
def test_crude_forgeries_name_the_link(victim: Victim, way: str) -> None:
    change, later, code = CRUDE[way]
    seq = 0

    def forge(files: dict[str, bytes]) -> None:
        nonlocal seq
        links = links_of(files)
        at = record_at(links)
        seq = at + 1 + later
        put(files, change(links, at), hashes=way != "change")

    found = victim.verify(rewrite(victim.pack(), forge))
    assert (found.code, found.result["first_broken"], found.result["code"]) == (1, seq, code), found.result
    assert found.result["reason"] != found.result["reason_en"]


CAREFUL = {
    "change": lambda links: relink(links, record_at(links), present_40),
    "delete": lambda links: relink([*links[: record_at(links)], *links[record_at(links) + 1 :]], record_at(links)),
    "reorder": lambda links: relink(_swapped(links, record_at(links), record_at(links, 1)), record_at(links)),
    "insert": lambda links: relink([*links[: record_at(links)], links[record_at(links, 1)], *links[record_at(links) :]], record_at(links)),
    "back-date": lambda links: relink(links, record_at(links), lambda body: body.update(at="2026-09-07T02:50:00.000000Z")),
}


def _swapped(links: list[str], one: int, other: int) -> list[str]:
    made = list(links)
    made[one], made[other] = links[other], links[one]
    return made


@pytest.mark.parametrize("way", CAREFUL)
def test_a_forger_with_the_node_key_is_caught_by_the_countersigned_roots(victim: Victim, way: str) -> None:
    """The forger rewrites every later link, signs new roots and the manifest with the school's own key; the region's signature cannot be made."""
    key = node_key(victim.folder / "data")

    def forge(files: dict[str, bytes]) -> None:
        links = CAREFUL[way](links_of(files))
        put(files, links)
        hashes = json.loads(files["hashes.json"])
        roots = json.loads(files["roots.json"])
        for root in roots:
            root["last_seq"] = min(root["last_seq"], len(links))
            root["root"] = merkle_root(hashes[root["first_seq"] - 1 : root["last_seq"]])
            root["signature"] = key.sign(root_statement(str(victim.school.id), root["day"], root["first_seq"], root["last_seq"], root["root"]))
        files["roots.json"] = json.dumps(roots).encode()

    found = victim.verify(rewrite(victim.pack(), forge, seal=key))
    assert found.code == 1, found.result
    assert found.result["code"] in ("anchor", "record-twice", "signature", "backdated"), found.result


def test_a_missing_file_or_a_changed_list_is_named(victim: Victim) -> None:
    def lower(files: dict[str, bytes]) -> None:
        files["records.json"] = files["records.json"].replace(b'"present": 3', b'"present": 30')

    found = victim.verify(rewrite(victim.pack(), lower))
    assert (found.code, found.result["code"], "records.json" in found.result["reason"]) == (1, "manifest", True)

    def drop(files: dict[str, bytes]) -> None:
        files["anchors.json"] = b"[]"

    found = victim.verify(rewrite(victim.pack(), drop, seal=node_key(victim.folder / "data")))
    assert (found.code, found.result["code"]) == (1, "anchor-missing")


def test_roots_cannot_be_left_out_or_forged(victim: Victim) -> None:
    def drop(files: dict[str, bytes]) -> None:
        files["roots.json"] = json.dumps(json.loads(files["roots.json"])[1:]).encode()

    found = victim.verify(rewrite(victim.pack(), drop, seal=node_key(victim.folder / "data")))
    assert (found.code, found.result["code"]) == (1, "root-gap")

    def forge(files: dict[str, bytes]) -> None:
        roots = json.loads(files["roots.json"])
        roots[1]["signature"] = roots[0]["signature"]
        files["roots.json"] = json.dumps(roots).encode()

    found = victim.verify(rewrite(victim.pack(), forge, seal=node_key(victim.folder / "data")))
    assert (found.code, found.result["code"]) == (1, "signature")


def test_a_manifest_signed_by_another_is_refused(victim: Victim) -> None:
    found = victim.verify(rewrite(victim.pack(), lambda files: None, seal=node_key(victim.folder / "other")))
    assert (found.code, found.result["code"]) == (1, "manifest-signature")


def test_a_key_that_nobody_vouches_for_is_no_county(victim: Victim) -> None:
    """Anybody can call a key of his own 某区教育局; only who has the county's fingerprint from elsewhere sees it."""
    pack, forged = victim.pack(), victim.region.public
    county = node_key(victim.folder / "county").public
    blind = victim.verify(pack)
    assert (blind.code, blind.result["grades"]["A"], "issuer-unchecked" in {one["code"] for one in blind.result["remarks"]}) == (0, 3, True)
    (issuer,) = blind.result["issuers"]
    assert (issuer["issuer"], issuer["mark"], issuer["anchors"]) == ("某区教育局", fingerprint(forged), blind.result["anchors"])
    pinned = victim.verify(pack, "--issuer-key", county.hex())
    assert (pinned.result["grades"], pinned.result["anchors"], pinned.result["issuers"][0]["counts"]) == ({"A": 0, "B": 3, "C": 0}, 0, False)
    (told,) = (one for one in pinned.result["remarks"] if one["code"] == "issuer-unlisted")
    assert fingerprint(forged) in told["text"]
    for key in (forged.hex(), fingerprint(forged), fingerprint(forged).lower().replace("-", " ")):
        known = victim.verify(pack, "--issuer-key", county.hex(), "--issuer-key", key)
        assert (known.code, known.result["grades"]["A"]) == (0, 3), known.result
        assert not {"issuer-unchecked", "issuer-unlisted"} & {one["code"] for one in known.result["remarks"]}
    spoken = CliRunner().invoke(lms, ["usage", "verify", str(pack), "--issuer-key", fingerprint(county)])
    assert (spoken.exit_code, "A 0" in spoken.output, fingerprint(forged) in spoken.output) == (0, True, True)
    assert CliRunner().invoke(lms, ["usage", "verify", str(pack), "--issuer-key", "8F3KQ"]).exit_code == 2


def test_with_keys_pinned_a_sheet_counts_by_its_code(victim: Victim) -> None:
    monday = FIRST + timedelta(weeks=2)
    admin, teacher = victim.account(victim.admin), victim.account(victim.teacher)
    code = anchors.sheet_of(victim.school.id, monday).code
    anchors.file_sheet(admin, teacher, victim.school.id, code)
    pack, county = victim.pack(), node_key(victim.folder / "county").public.hex()
    assert victim.verify(pack, "--issuer-key", county).result["anchors"] == 0
    held = victim.verify(pack, "--issuer-key", county, "--code", code)
    assert (held.result["anchors"], held.result["grades"]["A"]) == (1, 1), held.result


def test_what_is_no_pack_ends_with_two(victim: Victim) -> None:
    wrong = victim.folder / "wrong.zip"
    wrong.write_bytes(b"PK nothing")
    answer = CliRunner().invoke(lms, ["usage", "verify", str(wrong)])
    assert answer.exit_code == 2


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE evidence_event SET body = replace(body, '\"present\":3', '\"present\":40') WHERE type = 'usage-record'", "changed"),
        ("DELETE FROM evidence_event WHERE type = 'usage-record'", "missing"),
        ("DELETE FROM evidence_anchor", "anchor-missing"),
        ("DELETE FROM daily_root WHERE day = '2026-11-02'", "root-gap"),
    ],
)
def test_a_changed_database_shows_in_its_pack_and_at_home(victim: Victim, tamper: Tamper, statement: str, code: str) -> None:
    tamper(statement)
    found = victim.verify(victim.pack())
    assert (found.code, found.result["code"]) == (1, code), found.result
    assert service.verify_chain(victim.school.id).code == code


def test_erasing_a_pupil_keeps_the_pack_whole(victim: Victim) -> None:
    service.erase_person(victim.account(victim.admin), victim.school.id, victim.pupils[0].id, "家长申请删除")
    found = victim.verify(victim.pack())
    assert (found.code, found.result["erasures"]) == (0, 1)


def test_a_correction_needs_two_people_in_the_pack_too(victim: Victim) -> None:
    record = victim.teach(FIRST.replace(day=23))
    service.correct_record(victim.account(victim.teacher), victim.account(victim.admin), record.id, {"present": 2}, "多记一人")
    pack = victim.pack()
    found = victim.verify(pack)
    assert (found.code, found.result["corrections"], found.result["grades"]["B"]) == (0, 1, 1)
    key = node_key(victim.folder / "data")

    def alone(files: dict[str, bytes]) -> None:
        links = links_of(files)
        at = next(at for at, text in enumerate(links) if '"type":"usage-correction"' in text)

        def one_hand(body: dict[str, Any]) -> None:
            body["payload"]["by"] = body["payload"]["by"][:1] * 2

        put(files, relink(links, at, one_hand))

    found = victim.verify(rewrite(pack, alone, seal=key))
    assert (found.code, found.result["code"]) == (1, "one-person")
