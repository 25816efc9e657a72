"""The dossier with its attachments as one bookmarked PDF, and the parcel for an expert without an account; reopened with pypdf."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from lms.core import clock, paper
from lms.core.db import db
from lms.core.models import AuditEntry, OutboxMessage
from lms.core.paper import can_print
from lms.programmes import attachments, workflow
from lms.programmes.selection import binder, bound, parcels, service
from lms.programmes.selection.models import ReviewParcel
from tests.factories import token
from tests.programmes import places as make
from tests.programmes.test_pages import door
from tests.programmes.test_selection import Scene, Tree, handed

pypdf = pytest.importorskip("pypdf")
printed = pytest.mark.skipif(not can_print(), reason="needs the optional package for PDF")


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def pdf(pages: int, password: str = "") -> bytes:
    writer = pypdf.PdfWriter()
    for _number in range(pages):
        writer.add_blank_page(595, 842)
    if password:
        writer.encrypt(password)
    stream = BytesIO()
    writer.write(stream)
    return stream.getvalue()


def picture(kind: str = "PNG", size: tuple[int, int] = (1200, 800), mode: str = "RGBA") -> bytes:
    from PIL import Image

    stream = BytesIO()
    Image.new(mode, size, "red" if mode != "L" else 90).save(stream, kind)
    return stream.getvalue()


def outline(data: bytes) -> list[tuple[int, str, int]]:
    """Depth, title and page (from 1) of every bookmark."""
    reader = pypdf.PdfReader(BytesIO(data))

    def walk(items: list[Any], depth: int) -> list[tuple[int, str, int]]:
        rows = []
        for one in items:
            if isinstance(one, list):
                rows += walk(one, depth + 1)
            else:
                rows.append((depth, str(one.title), (reader.get_destination_page_number(one) or 0) + 1))
        return rows

    return walk(reader.outline, 0)


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("in-0.pdf", make.PDF, "损坏"),
        ("in-0.pdf", b"%PDF-1.7\n" + b"\x00junk" * 400, "损坏"),
        ("in-0.pdf", pdf(2)[:-400], "损坏"),
        ("in-0.pdf", pdf(1, "secret"), "密码"),
        ("in-0.pdf", pdf(binder.MOST_PAGES + 1), "最多装订"),
        ("in-0.png", picture()[:300], "损坏"),
        ("in-0.jpg", b"\xff\xd8\xff junk", "损坏"),
    ],
)
def test_what_cannot_be_bound_says_why(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(binder.Unfit, match=why):
        binder.read(tmp_path / name, tmp_path / "part-0.pdf", binder.MOST_TOGETHER)


def test_all_together_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "in-0.pdf").write_bytes(pdf(3))
    assert binder.read(tmp_path / "in-0.pdf", tmp_path / "part-0.pdf", 3) == 3
    with pytest.raises(binder.Unfit, match="全部附件"):
        binder.read(tmp_path / "in-0.pdf", tmp_path / "part-0.pdf", 2)


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "P")])
def test_a_picture_becomes_a_page_of_a4(tmp_path: Path, kind: str, mode: str) -> None:
    path = tmp_path / f"in-1.{kind.lower()[:3].replace('jpe', 'jpg')}"
    path.write_bytes(picture(kind, (1200, 800), mode))
    assert binder.read(path, tmp_path / "part-1.pdf", 9) == 1
    (page,) = pypdf.PdfReader(tmp_path / "part-1.pdf").pages
    assert page.mediabox.width <= 843 and page.mediabox.height <= 596 and page.mediabox.width > 800


def test_what_a_page_would_do_is_taken_out(tmp_path: Path) -> None:
    from pypdf.generic import ArrayObject, DictionaryObject, NameObject, TextStringObject

    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(100, 100)
    act = DictionaryObject({NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("app.alert(1)")})
    note = DictionaryObject({NameObject("/Type"): NameObject("/Annot"), NameObject("/Subtype"): NameObject("/Stamp"), NameObject("/A"): act})
    page[NameObject("/Annots")], page[NameObject("/AA")] = ArrayObject([note]), DictionaryObject({NameObject("/O"): act})
    writer.write(tmp_path / "in-0.pdf")
    binder.read(tmp_path / "in-0.pdf", tmp_path / "part-0.pdf", 9)
    (kept,) = pypdf.PdfReader(tmp_path / "part-0.pdf").pages
    assert kept["/Annots"][0].get_object()["/Subtype"] == "/Stamp"
    assert "/A" not in kept["/Annots"][0].get_object() and "/AA" not in kept


@printed
def test_one_bookmarked_pdf_with_its_attachments(tree: Tree) -> None:
    admin = make.person(tree["city-school"])
    found = handed(admin)  # with a damaged PDF
    workflow.withdraw(admin, found.id)
    attachments.add_file(admin, found.id, "legal", "法人证书扫描.pdf", pdf(3))
    attachments.add_file(admin, found.id, "achievements", "奖状.png", picture())
    attachments.add_file(admin, found.id, "achievements", "加密.pdf", pdf(1, "x"))
    workflow.submit(admin, found.id)
    made = bound.bound_of(found)
    rows = outline(made.pdf)
    titles = [title for _depth, title, _page in rows]
    assert titles[0] == "乙市实验小学" and {"资格自查", "实施方案", "附件清单"} <= set(titles)
    assert any(one.startswith("HN-15") for one in titles)
    assert titles[-3:] == ["附件", "法人证书：法人证书扫描.pdf", "近3年成果证明：奖状.png"]
    reader = pypdf.PdfReader(BytesIO(made.pdf))
    own = len(reader.pages) - 4  # three pages and a picture behind the dossier's own
    assert [(depth, page) for depth, _title, page in rows[-2:]] == [(1, own + 1), (1, own + 4)]
    text = "".join(page.extract_text() for page in reader.pages)
    assert "加密.pdf" in text and "有密码" in text and "文件损坏" in text
    assert sorted(one.name for one in made.left_out) == ["加密.pdf", "盖章页.pdf", "附件.pdf"]


@printed
def test_an_expert_without_an_account_gets_a_parcel(app: Flask, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "pdf", lambda *_: pdf(1))  # the pages of the dossier itself are the test above
    scene = Scene(tree)
    for place in (1, 2):
        service.assign(scene.officer, scene.panel.id, scene.found[place].id, scene.experts[0].id)
    base = f"/programmes/selection/panels/{scene.panel.id}"
    materials = f"{base}/experts/{scene.experts[0].id}/materials"
    office, stranger = door(app, scene.officer), door(app, make.person(tree["county"]))
    assert "准备材料" in office.get(base).text and office.get(f"{materials}.zip").status_code == 409
    nothing = f"{base}/experts/{scene.experts[1].id}/materials"
    assert office.post(nothing, data={"csrf_token": token(office)}).status_code == 409
    for _again in range(2):  # asked twice: only the last one is made
        assert office.post(materials, data={"csrf_token": token(office)}).status_code == 302
    assert "正在准备 0 / 2" in office.get(base).text
    asked = [row.payload for row in db.session.scalars(select(OutboxMessage).where(OutboxMessage.topic == "review-parcel"))]
    for one in asked:
        parcels.make_parcel(**app.json.loads(one))
    db.session.expire_all()
    (row,) = db.session.scalars(select(ReviewParcel)).all()
    assert (row.state, row.ready, row.total) == ("done", 2, 2)
    assert "下载（2 份）" in office.get(base).text and stranger.get(f"{materials}.zip").status_code == 404
    with zipfile.ZipFile(BytesIO(office.get(f"{materials}.zip").data)) as archive:
        names = archive.namelist()
        assert names == [
            "评分表（张甲）.xlsx", "01-乙市二小.pdf", "附件/01-乙市二小/01-法人证书-附件.pdf", "附件/01-乙市二小/02-盖章页扫描件-盖章页.pdf",
            "02-乙市三小.pdf", "附件/02-乙市三小/01-法人证书-附件.pdf", "附件/02-乙市三小/02-盖章页扫描件-盖章页.pdf",
        ]  # fmt: skip
        assert len(pypdf.PdfReader(BytesIO(archive.read("01-乙市二小.pdf"))).pages) == 1
    assert {"review-parcel"} <= set(db.session.scalars(select(AuditEntry.action)))
    clock.get_clock().at += parcels.KEPT + parcels.KEPT  # type: ignore[attr-defined]  # the test's own clock
    parcels._forget_old()
    assert not db.session.scalars(select(ReviewParcel)).all() and office.get(f"{materials}.zip").status_code == 409
