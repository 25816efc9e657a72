"""In a real browser: a wrong line is told and gone to, Ctrl+S saves, a cell is clicked and bound, scans are handed over."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.programmes import service
from lms.programmes.editor import drafts
from lms.programmes.models import NoticeDraft, ScanUpload
from lms.programmes.sealing import service as sealing
from tests.programmes import places as make
from tests.programmes.test_originals import word_file
from tests.programmes.test_writing_browser import enter


def test_a_wrong_line_is_told_gone_to_and_mended(
    app: Flask,
    address: str,
    page: Page,
    fixed_clock: clock.FixedClock,
) -> None:
    officer = make.person(make.tree()["county"])
    draft = drafts.begin(officer, drafts.START)
    enter(page, address, officer)
    page.goto(f"{address}/programmes/editor/{draft.id}/text")
    page.click(".cm-content")
    page.keyboard.press("Control+Home")
    page.keyboard.type("notice-x: 1\n")
    page.keyboard.press("Control+s")
    expect(page.locator("#problems")).to_contain_text("不认识的项 notice-x", timeout=60_000)
    page.click("#problems a >> nth=0")
    page.keyboard.type("# again")  # the wrong line is selected: typing replaces it
    page.keyboard.press("Control+s")
    expect(page.locator("#saved")).to_have_text("已保存，检查通过", timeout=60_000)
    expect(page.locator("#problems li")).to_have_count(0)
    db.session.expire_all()
    kept = db.session.scalars(select(NoticeDraft)).one()
    assert kept.texts["pack.yaml"].startswith("# again\n") and kept.edition == 3


def test_a_cell_is_clicked_and_bound(
    app: Flask,
    address: str,
    page: Page,
    fixed_clock: clock.FixedClock,
    tmp_path: Path,
) -> None:
    officer = make.person(make.tree()["county"])
    draft = drafts.begin(officer, drafts.START)
    (tmp_path / "原表.docx").write_bytes(word_file())
    enter(page, address, officer)
    page.goto(f"{address}/programmes/editor/{draft.id}/layout/application")
    page.set_input_files("#file", tmp_path / "原表.docx")
    page.click("button >> text=上传")
    page.click("[id='table 1 row 2 cell 2']")
    page.select_option("#field", "application.story")
    page.click("button >> text=绑定")
    expect(page.locator("[id='table 1 row 2 cell 2'] .spot-field")).to_have_text("主要做法", timeout=60_000)
    db.session.expire_all()
    assert "at: table 1 row 2 cell 2" in db.session.scalars(select(NoticeDraft)).one().texts["forms/application.yaml"]


def test_scans_are_handed_over(
    app: Flask,
    address: str,
    page: Page,
    fixed_clock: clock.FixedClock,
    tmp_path: Path,
) -> None:
    pytest.importorskip("cv2")
    admin = make.person(make.tree()["school"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    (tmp_path / "空.pdf").write_bytes(make.PDF)
    enter(page, address, admin)
    page.goto(f"{address}/programmes/{found.id}")
    page.click("text=盖章页：打印、扫描、自动归位")
    page.set_input_files("[name=files]", tmp_path / "空.pdf")
    page.click("button >> text=上传并识读")
    expect(page.locator("main")).to_contain_text("正在识读扫描件", timeout=60_000)
    db.session.rollback()
    sealing.read_scans(str(db.session.scalars(select(ScanUpload.id)).one()))
    expect(page.locator("main")).to_contain_text("空.pdf：", timeout=60_000)  # the page comes again by itself
