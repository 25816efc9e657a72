"""Anchors outside the school: region and peer, paper, and a time-stamping authority of the test's own."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask

from lms.cli import main as lms
from lms.config import get_settings, to_environ
from lms.core import clock
from lms.core.db import db
from lms.core.errors import Invalid, NotAllowed, Refused
from lms.usage import service
from lms.usage.evidence import anchors
from lms.usage.evidence.keys import node_key
from tests.factories import make_school
from tests.usage.tampering.conftest import FIRST, Victim


@pytest.fixture
def school(app: Flask, fixed_clock: clock.FixedClock, tmp_path: Path) -> Victim:
    made = Victim(tmp_path, fixed_clock)
    made.teach(FIRST)
    made.end_day(FIRST, anchored=False)
    return made


# ---- region and peer -------------------------------------------------------------------------------------------------


def test_a_peer_countersigns_only_what_the_school_signed(school: Victim) -> None:
    asked = service.request_of(school.school.id, "示范校")
    answer = service.countersign(asked, "peer", "友校", school.region, school.clock.at)
    with pytest.raises(Invalid, match="anchor-request"):
        service.countersign(asked | {"root": "0" * 64}, "peer", "友校", school.region, school.clock.at)
    for broken in ({}, {"school": "x"}, asked | {"day": "yesterday"}):
        with pytest.raises(Invalid, match="anchor-document"):
            service.countersign(broken, "peer", "友校", school.region, school.clock.at)
    with pytest.raises(Invalid, match="anchor-signature"):
        service.accept(None, school.school.id, answer | {"at": "2026-11-02T01:00:00.000000Z"})
    with pytest.raises(Invalid, match="anchor-root"):
        service.accept(None, school.school.id, answer | {"root": "0" * 64})
    with pytest.raises(NotAllowed):
        service.accept(school.account(school.teacher), school.school.id, answer)
    row = service.accept(school.account(school.admin), school.school.id, answer)
    assert service.accept(None, school.school.id, answer).id == row.id  # twice is once
    assert service.verify_chain(school.school.id).ok


def test_an_answer_from_the_future_is_refused(school: Victim) -> None:
    answer = service.countersign(service.request_of(school.school.id, ""), "peer", "友校", school.region, school.clock.at + timedelta(hours=1))
    with pytest.raises(Invalid, match="anchor-clock"):
        service.accept(None, school.school.id, answer)


def test_an_issuer_that_changes_its_key_is_asked_about(school: Victim, tmp_path: Path) -> None:
    service.accept(None, school.school.id, service.countersign(service.request_of(school.school.id, ""), "region", "某区", school.region, school.clock.at))
    school.teach(FIRST + timedelta(weeks=1))
    school.end_day(FIRST + timedelta(weeks=1), anchored=False)
    other = node_key(tmp_path / "other")
    answer = service.countersign(service.request_of(school.school.id, ""), "region", "某区", other, school.clock.at)
    with pytest.raises(Refused, match="issuer-key"):
        service.accept(None, school.school.id, answer)
    assert service.accept(None, school.school.id, answer, new_key=True).issuer == "某区"


def test_files_travel_by_command(school: Victim, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in to_environ(app.config["ZHIKE"]).items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    db.session.remove()
    clock.set_clock(school.clock)
    asked, answer, pack = (str(school.folder / name) for name in ("ask.json", "answer.json", "p.zip"))
    for arguments in (["anchor", "request", "--out", asked], ["anchor", "sign", asked, "--as", "友校", "--out", answer], ["anchor", "accept", answer]):
        done = CliRunner().invoke(lms, ["usage", *arguments])
        assert done.exit_code == 0, done.output
    done = CliRunner().invoke(lms, ["usage", "pack", "--term", "2026-1", "--out", pack])
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(lms, ["usage", "verify", pack]).exit_code == 0
    assert "没有学期" in CliRunner().invoke(lms, ["usage", "pack", "--term", "1999-1", "--out", pack]).output
    Path(answer).write_text("nothing")
    assert "不是会签文件" in CliRunner().invoke(lms, ["usage", "anchor", "accept", answer]).output
    get_settings.cache_clear()


# ---- paper -----------------------------------------------------------------------------------------------------------


def test_a_sheet_is_filed_by_code_or_by_scan(school: Victim) -> None:
    admin, teacher = school.account(school.admin), school.account(school.teacher)
    sheet = service.sheet_of(school.school.id, FIRST)
    assert (len(sheet.code), sheet.text.startswith(f"ZK1 {school.school.id.hex} 2026-11-02 ")) == (11, True)
    with pytest.raises(Refused, match="no-root"):
        service.sheet_of(school.school.id, FIRST + timedelta(weeks=1))
    with pytest.raises(Refused, match="two-people"):
        service.file_sheet(admin, admin, school.school.id, sheet.code)
    for wrong in ("", "00000-00000", sheet.code[:-1]):
        with pytest.raises(Invalid, match="sheet-code"):
            service.file_sheet(admin, teacher, school.school.id, wrong)
    row = service.file_sheet(admin, teacher, school.school.id, sheet.text.lower())
    again = service.file_sheet(admin, teacher, school.school.id, sheet.code.replace("-", " ").replace("0", "o"))
    assert (row.id, row.kind, row.proof["code"], len(set(row.proof["by"]))) == (again.id, "sheet", sheet.code, 2)
    assert service.verify_chain(school.school.id).ok


# ---- RFC 3161 --------------------------------------------------------------------------------------------------------


class Authority:
    """A time-stamping authority: ``openssl ts`` behind HTTP on the loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.broken = folder, False
        folder.mkdir()
        (folder / "tsa.cnf").write_text(
            f"""[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
[ext]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[ca]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[req]
distinguished_name = dn
[dn]
"""
        )
        (folder / "serial").write_text("01")
        self._openssl("req", "-config", "tsa.cnf", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-extensions", "ca", "-days", "3650")  # fmt: skip
        self._openssl("req", "-config", "tsa.cnf", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Test TSA")
        self._openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "tsa.pem", "-days", "3650", "-extfile", "tsa.cnf", "-extensions", "ext")  # fmt: skip

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def stamp(self, query: bytes) -> bytes:
        """The authority's answer."""
        (self.folder / "ask.tsq").write_bytes(query)
        self._openssl("ts", "-reply", "-config", "tsa.cnf", "-section", "one", "-queryfile", "ask.tsq", "-out", "answer.tsr")
        return (self.folder / "answer.tsr").read_bytes()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture
def tsa(authority: Authority) -> Iterator[str]:
    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = authority.stamp(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if self.headers["Content-Type"] == "application/timestamp-query" else 400)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(told if self.path == "/" else b"<html>sign in to the school network</html>")

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Today(Victim):
    """A school on today's clock, as the authority has no other."""

    def __init__(self, folder: Path, app: Flask, url: str, authority: Authority) -> None:
        app.config["ZHIKE"] = replace(app.config["ZHIKE"], tsa_url=url, tsa_ca=str(authority.folder / "ca.pem"))
        self.folder, self.clock = folder, clock.FixedClock(datetime.now(UTC) - timedelta(days=2))
        clock.set_clock(self.clock)
        self.school = make_school()
        service.append_event(self.school.id, "note", {"n": 1}, (), self.clock.at)
        self.clock.at = datetime.now(UTC)
        service.sign_daily_roots(self.clock.at)


def test_a_root_is_stamped_and_the_stamp_checked(app: Flask, tmp_path: Path, tsa: str, authority: Authority) -> None:
    made = Today(tmp_path, app, tsa, authority)
    assert anchors.stamp_due(made.clock.at) == 1
    assert anchors.stamp_due(made.clock.at) == 0
    row = anchors.anchors_of(made.school.id)[0]
    assert (row.kind, row.issuer, abs(row.at - datetime.now(UTC)) < timedelta(minutes=5)) == ("rfc3161", tsa, True)
    pack = made.pack()
    found = made.verify(pack)
    assert (found.code, [one["code"] for one in found.result["remarks"] if one["code"] == "unchecked-tsa"]) == (0, ["unchecked-tsa"])
    done = CliRunner().invoke(lms, ["usage", "verify", str(pack), "--tsa-ca", str(authority.folder / "ca.pem"), "--json"])
    assert (done.exit_code, "unchecked-tsa" in done.output) == (0, False), done.output
    (tmp_path / "token.tsr").write_bytes(base64.b64decode(row.proof["token"]))
    asked = ["openssl", "ts", "-verify", "-digest", row.proof["sha256"], "-in", "token.tsr", "-CAfile", str(authority.folder / "ca.pem")]
    assert subprocess.run(asked, cwd=tmp_path, capture_output=True, timeout=60).returncode == 0
    other = Authority(tmp_path / "other")
    done = CliRunner().invoke(lms, ["usage", "verify", str(pack), "--tsa-ca", str(other.folder / "ca.pem"), "--json"])
    assert (done.exit_code, json.loads(done.stdout)["code"]) == (1, "anchor-signature")


def test_a_stamp_that_is_none_is_not_entered(app: Flask, tmp_path: Path, tsa: str, authority: Authority) -> None:
    made = Today(tmp_path, app, tsa + "portal", authority)
    assert anchors.stamp_due(made.clock.at) == 0  # logged, tried again at the next turn
    with pytest.raises(Refused, match="tsa"):
        anchors.stamp_root(made.school.id, "http://127.0.0.1:9/", [])
    foreign = Authority(tmp_path / "foreign")
    app.config["ZHIKE"] = replace(app.config["ZHIKE"], tsa_url=tsa, tsa_ca=str(foreign.folder / "ca.pem"))
    assert anchors.stamp_due(made.clock.at) == 0
    assert not [row for row in anchors.anchors_of(made.school.id) if row.kind == "rfc3161"]
