"""The pages of anchors, sheet, pack and spot check, through the browser's door."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy import func, select

from lms.core.db import db
from lms.core.models import AuditEntry
from lms.usage import service
from lms.usage.evidence.anchors import anchors_of
from lms.usage.models import EvidenceEvent
from lms.usage.verifier import sample
from tests.factories import PASSWORD, sign_in, token
from tests.usage.tampering.conftest import FIRST, Tamper, Victim, tamper, victim

__all__ = ["tamper", "victim"]
HOME = "/usage/evidence/"


def page(client: FlaskClient, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text[:2000]
    return answer.text


def test_a_week_is_printed_signed_and_filed(victim: Victim, client: FlaskClient) -> None:
    sign_in(client, victim.admin)
    sheet = service.sheet_of(victim.school.id, FIRST)
    text = page(client, f"{HOME}sheet?monday={FIRST.isoformat()}")
    assert sheet.code in text
    assert "<svg" in text
    assert "任课教师签字" in text
    form = {"csrf_token": token(client, HOME), "code": sheet.code, "second": victim.account(victim.teacher).username, "second_password": PASSWORD}
    assert client.post(HOME + "sheet", data=form | {"code": "00000-00000"}).status_code == 422
    assert client.post(HOME + "sheet", data=form | {"second_password": "wrong"}).status_code == 422
    assert client.post(HOME + "sheet", data=form).status_code == 302
    assert anchors_of(victim.school.id)[0].kind in ("sheet", "region")
    assert "纸质签字表" in page(client, HOME)


def test_a_countersignature_comes_back_as_a_file(victim: Victim, client: FlaskClient) -> None:
    sign_in(client, victim.admin)
    asked = json.loads(page(client, HOME + "request.json"))
    answer = service.countersign(asked, "peer", "友校", victim.region, victim.clock.at)
    for content, status in ((b"no", 422), (b"[]", 422), (json.dumps(answer).encode(), 302)):
        form = {"csrf_token": token(client, HOME), "file": (io.BytesIO(content), "answer.json")}
        assert client.post(HOME + "answers", data=form, content_type="multipart/form-data").status_code == status
    assert "友校" in page(client, HOME)


def test_the_pack_is_taken_away_and_journalled(victim: Victim, client: FlaskClient) -> None:
    sign_in(client, victim.admin)
    answer = client.post(HOME + "pack.zip", data={"csrf_token": token(client, HOME)})
    pack = victim.folder / "taken.zip"
    pack.write_bytes(answer.data)
    assert victim.verify(pack).code == 0
    with zipfile.ZipFile(pack) as archive:
        assert {"verify.py", "sample.py", "说明.md", "flags.json"} <= set(archive.namelist())
        assert "五年级" in archive.read("records.json").decode()
    assert db.session.scalar(select(func.count()).select_from(AuditEntry).where(AuditEntry.action == "evidence-pack")) == 1


def test_both_sides_draw_the_same_sample(victim: Victim, client: FlaskClient) -> None:
    pack = victim.pack()
    sign_in(client, victim.admin)
    form = {"csrf_token": token(client, HOME), "seed": "county root 7f3a91", "source": "区教育局次日每日根", "count": "2"}
    for wrong in ({"seed": "1"}, {"count": "0"}, {"source": ""}):
        assert client.post(HOME + "spot-check", data=form | wrong).status_code == 422
    answer = client.post(HOME + "spot-check", data=form)
    assert answer.status_code == 200
    done = subprocess.run(
        [sys.executable, "-I", str(Path(sample.__file__)), str(pack), "county root  7f3a91", "--count", "2"], capture_output=True, text=True, check=True, timeout=30
    )
    drawn = [line.split("\t")[3] for line in done.stdout.splitlines()]
    told = db.session.scalars(select(EvidenceEvent.body).where(EvidenceEvent.type == "sample-drawn")).one()
    assert json.loads(told)["payload"]["records"] == drawn
    assert len(drawn) == 2
    assert answer.text.count("相符") == 2 * 4  # three pupils and the teacher
    assert victim.pupils[0].name in answer.text
    assert "不符" not in answer.text
    assert db.session.scalar(select(func.count()).select_from(AuditEntry).where(AuditEntry.action == "spot-check")) == 1


def test_a_drawn_record_that_was_changed_shows(victim: Victim, client: FlaskClient, tamper: Tamper) -> None:
    sign_in(client, victim.admin)
    tamper("UPDATE evidence_salt SET value = replace(value, 'terminal', 'absent') WHERE field = 'pupil/001'")
    form = {"csrf_token": token(client, HOME), "seed": "county root 7f3a91", "source": "区教育局次日每日根", "count": "3"}
    assert client.post(HOME + "spot-check", data=form).text.count("不符") == 3


def test_teachers_do_not_open_these_pages(victim: Victim, client: FlaskClient) -> None:
    sign_in(client, victim.teacher)
    for name in ("", "sheet", "request.json", "spot-check"):
        assert client.get(HOME + name).status_code == 403


def test_a_sample_depends_on_every_letter_of_the_seed() -> None:
    records = [f"r{n}" for n in range(200)]
    assert sample.draw("a b", records, 5) == sample.draw(" a  b ", reversed(records), 5)
    assert sample.draw("a b", records, 5) != sample.draw("a c", records, 5)
    assert sample.draw("x", ["one"], 5) == ["one"]
