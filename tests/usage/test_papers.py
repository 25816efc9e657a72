"""What goes on paper: rows, figures and the code that binds a sheet to the chain; in every form, opened again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path
from urllib.parse import unquote

import pytest
from docx import Document
from docx.oxml.ns import qn
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import load_workbook

from lms.core import clock
from lms.core.db import db
from lms.core.models import Account
from lms.usage import service
from lms.usage.evidence.anchors import Standing
from lms.usage.papers.sheets import sheet
from tests.factories import make_school, make_teacher, sign_in
from tests.usage.tampering.conftest import FIRST, Victim
from tests.usage.test_views import Campus, page

MONTH = "2026-09"


@pytest.fixture
def campus(app: Flask, fixed_clock: clock.FixedClock) -> Campus:
    return Campus(fixed_clock)


@pytest.fixture
def admin(campus: Campus, client: FlaskClient) -> FlaskClient:
    sign_in(client, campus.admin)
    return client


def test_the_ledger_holds_each_lesson_of_the_month_and_its_sums(admin: FlaskClient) -> None:
    text = page(admin, f"/usage/papers/ledger/{MONTH}")
    assert text.count("五年级1班") == text.count("五年级2班") == 4, "8, 15, 22 and 29 September"
    assert "上课 8 节，8 课时，2 个班" in text and "计入“平均每两周左右1次”的 8 次" in text
    for word in ("教导处主任", "分管校长", "学校公章", "核对编号", "<svg"):
        assert word in text
    assert "seal" not in text.lower().replace("simulated", ""), "no seal is ever drawn"


def test_a_month_without_lessons_says_so(admin: FlaskClient) -> None:
    assert "本月没有记录" in page(admin, "/usage/papers/ledger/2026-12")


@pytest.mark.parametrize("month", ["2026-13", "september", "2026"])
def test_a_wrong_month_is_refused_in_words(admin: FlaskClient, month: str) -> None:
    assert "月份应写成 2026-11 这样" in page(admin, f"/usage/papers/ledger/{month}", 422)


def test_every_form_holds_the_same_rows(admin: FlaskClient) -> None:
    document = json.loads(admin.get(f"/usage/papers/ledger/{MONTH}.json").data)
    assert document["totals"] == {"lessons": 8, "class_hours": 8, "classes": 2, "counted": 8}
    lines = admin.get(f"/usage/papers/ledger/{MONTH}.csv").data.decode("utf-8-sig").splitlines()
    assert lines[0].startswith("序号,日期,星期,起止时间,班级") and len(lines) == 9
    sheet = load_workbook(BytesIO(admin.get(f"/usage/papers/ledger/{MONTH}.xlsx").data)).worksheets[0]
    cells = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert sum(row[0] is not None and str(row[0]).isdigit() for row in cells) == 8
    first = document["lessons"][0]
    assert any(row[1] == first["date"] and row[4] == first["class"] for row in cells)


def test_the_pdf_is_one_sheet_of_paper(admin: FlaskClient) -> None:
    answer = admin.get(f"/usage/papers/ledger/{MONTH}.pdf")
    assert answer.status_code == 200 and answer.data.startswith(b"%PDF-")
    assert unquote(answer.headers["Content-Disposition"]).endswith(f"人工智能课程开课台账-{MONTH}.pdf")
    assert (
        answer.data.count(b"/Type /Page\n") + answer.data.count(b"/Type /Page/") + answer.data.count(b"/Type /Page ")
        <= 1
    )


def test_a_correction_changes_the_code_of_its_month_only(campus: Campus, admin: FlaskClient) -> None:
    code = {
        month: json.loads(admin.get(f"/usage/papers/ledger/{month}.json").data)["code"] for month in (MONTH, "2026-10")
    }
    assert "一致" in page(admin, f"/usage/papers/?code={code[MONTH]}")
    pair = [db.session.get(Account, person.account_id) for person in (campus.teacher, campus.admin)]
    assert pair[0] and pair[1]
    service.correct_record(pair[0], pair[1], campus.records[0].id, {"present": 1}, "抄错")
    text = page(admin, f"/usage/papers/?code={code[MONTH]}")
    assert "现在没有一份台账是这个编号" in text
    assert "一致" in page(admin, f"/usage/papers/?code={code['2026-10']}")
    assert json.loads(admin.get(f"/usage/papers/ledger/{MONTH}.json").data)["totals"]["lessons"] == 8, (
        "the corrected record gives way"
    )


def test_a_teacher_sees_the_own_classes_only(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.teacher)
    document = json.loads(client.get(f"/usage/papers/ledger/{MONTH}.json").data)
    assert {line["class"] for line in document["lessons"]} == {"五年级1班"}
    assert client.post("/usage/papers/dossier.zip").status_code in (400, 403)


def test_another_school_sees_nothing_of_it(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, make_teacher(make_school("第二小学")))
    assert json.loads(client.get(f"/usage/papers/ledger/{MONTH}.json").data)["lessons"] == []


def test_the_folder_is_numbered_and_its_word_contents_name_every_file(admin: FlaskClient, tmp_path: Path) -> None:
    token = re.search(r'name="csrf_token" value="([^"]+)"', page(admin, "/usage/papers/"))
    answer = admin.post("/usage/papers/dossier.zip", data={"csrf_token": token[1] if token else ""})
    assert answer.status_code == 200, answer.text[:500]
    with zipfile.ZipFile(BytesIO(answer.data)) as folder:
        names = [name.split("/", 1)[1] for name in folder.namelist()]
        (contents,) = (name for name in folder.namelist() if name.endswith("00 目录.docx"))
        document = Document(BytesIO(folder.read(contents)))
        (pack,) = (name for name in folder.namelist() if name.endswith("证据包.zip"))
        (verifier,) = (name for name in folder.namelist() if name.endswith("verify.py"))
        folder.extractall(tmp_path)
    checked = subprocess.run([sys.executable, tmp_path / verifier, tmp_path / pack], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    named = {row.cells[4].text for row in document.tables[0].rows[1:]}
    assert named == set(names) - {"00 目录.docx"}
    assert {"01 开课频次", "03 证据与核验"} <= {name.split("/")[0] for name in named}
    section = document.sections[0]
    assert [
        round(each.mm)
        for each in (section.top_margin, section.left_margin, section.right_margin, section.page_width)
        if each
    ] == [37, 28, 26, 210]
    run = document.paragraphs[0].runs[0]
    assert run._element.rPr.rFonts.get(qn("w:eastAsia")) == "方正小标宋简体"


def test_csv_holds_no_formula(admin: FlaskClient, campus: Campus) -> None:
    campus.teacher.name = "=1+1"
    db.session.commit()
    text = admin.get(f"/usage/papers/ledger/{MONTH}.csv").data.decode("utf-8-sig")
    assert "'=1+1" in text and ",=1+1" not in StringIO(text).read()


def test_the_ledger_prints_the_evidence_as_it_stands(app: Flask, fixed_clock: clock.FixedClock, tmp_path: Path) -> None:
    """A lesson recorded with grade A and never anchored is B a day later: on the paper too."""
    victim = Victim(tmp_path, fixed_clock)
    record = victim.teach(FIRST)
    victim.end_day(FIRST, anchored=False)
    assert record.grade_of_evidence == "A"
    fixed_clock.at += timedelta(days=10)
    (line,) = sheet(victim.school.id, "ledger", FIRST.replace(day=1)).lines
    assert line.evidence == Standing(victim.school.id, clock.now()).of(record)[0] == "B"
