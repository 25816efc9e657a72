"""From the printed page to the zip: export, scan, match, change, print again; what belongs to others, who may."""

from __future__ import annotations

import subprocess
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from docx import Document
from flask import Flask
from sqlalchemy import select

from lms.core import clock, jobs
from lms.core.db import db
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Organisation, OutboxMessage
from lms.core.paper import can_print
from lms.programmes import papers, service, workflow
from lms.programmes.models import Application, ScanPage, ScanUpload
from lms.programmes.notices import pack_of
from lms.programmes.sealing import pdfs, printing, reading
from lms.programmes.sealing import service as sealing
from lms.programmes.sealing.rules import read_mark
from tests.factories import token
from tests.programmes import places as make
from tests.programmes.test_pages import door
from tests.programmes.test_sealing import jpeg, paper

cv2 = pytest.importorskip("cv2")
np = pytest.importorskip("numpy")
Tree = dict[str, Organisation]


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def begun(tree: Tree) -> tuple[Any, Application]:
    admin = make.person(tree["school"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.write_up(admin, found)
    return admin, found


def mark_now(found: Application, name: str = "application", page: int = 1, pages: int = 1) -> str:
    pack = pack_of(found)
    document = next(one for one in pack.documents_of(found.kind) if one["id"] == name)
    return sealing.mark_of(found, pack, document, papers.codes_of(found)[name], page, pages).text


def scanned(actor: Any, found: Application, *files: tuple[str, bytes]) -> ScanUpload:
    """Hand scans over and do what the jobs process does."""
    row = sealing.hand_over(actor, found.id, files)
    waiting = db.session.scalars(select(OutboxMessage).where(OutboxMessage.topic == "read-scans")).all()
    assert any(str(row.id) in one.payload for one in waiting)
    sealing.read_scans(str(row.id))
    sealing.read_scans(str(row.id))  # at least once
    return row


def drawn(pdf: bytes, folder: Path) -> list[Any]:
    """Pages of a PDF at 150 dpi, grey."""
    (folder / "a.pdf").write_bytes(pdf)
    subprocess.run(["pdftoppm", "-r", "150", "-gray", "-png", str(folder / "a.pdf"), str(folder / "p")], check=True)
    return [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.glob("p-*.png"))]


def worn(page: Any) -> bytes:
    """Turned by 2°, noisy, grey."""
    height, width = page.shape
    turned = cv2.warpAffine(
        page, cv2.getRotationMatrix2D((width / 2, height / 2), 2, 1), (width, height), borderValue=240
    )
    noisy = np.clip(turned * 0.85 + 20 + np.random.default_rng(3).normal(0, 15, page.shape), 0, 255).astype(np.uint8)
    return jpeg(noisy)


def test_scans_that_are_never_read_say_so(app: Flask, tree: Tree) -> None:
    admin, found = begun(tree)
    row = sealing.hand_over(admin, found.id, [("封面.jpg", jpeg(np.full((40, 30), 255, np.uint8)))])
    assert "正在识读" in door(app, admin).get(f"/programmes/{found.id}/sealing").text
    jobs.GIVEN_UP["read-scans"](upload_id=str(row.id))
    page = door(app, admin).get(f"/programmes/{found.id}/sealing").text
    assert "正在识读" not in page and "封面.jpg。请换成 JPG 再传" in page


@pytest.mark.skipif(not can_print(), reason="weasyprint is not installed")
def test_from_the_export_to_the_zip(app: Flask, tree: Tree, tmp_path: Path) -> None:
    admin, found = begun(tree)
    with app.test_request_context():
        _name, pdf = papers.document_of(found, "application", "pdf")
    pages = drawn(pdf, tmp_path)
    assert len(pages) == pdfs.page_count(pdf) > 1
    assert papers.bundle_of(found, "school")[2] != []
    upload = scanned(admin, found, ("封面.jpg", worn(pages[0])), ("别的.jpg", worn(pages[1])))
    assert upload.state == "done"
    desk = sealing.desk_of(found, papers.codes_of(found))
    (document, state), loose = desk.documents[0], desk.loose
    assert document["id"] == "application" and state.done and [row.name for row in loose] == ["别的.jpg"]
    _name, data, missing = papers.bundle_of(found, "school")
    assert missing == []
    with zipfile.ZipFile(BytesIO(data)) as archive:
        scan = next(name for name in archive.namelist() if name.endswith("-盖章页扫描件.pdf"))
        assert "申报书（丙县一小）" in scan and pdfs.page_count(archive.read(scan)) == 1
    service.save_part(
        admin, found.id, "application.plan", "盖章以后改了方案", service.parts_of(found)["application.plan"].edition
    )
    state = sealing.desk_of(found, papers.codes_of(found)).documents[0][1]
    assert not state.done and len(state.changed) == 1
    assert papers.bundle_of(found, "school")[2][0].endswith("（内容在打印后改过，请重新打印盖章）")
    page = door(app, admin).get(f"/programmes/{found.id}/sealing").text
    assert "内容在打印后改过，请重新打印盖章" in page and "没有读到二维码" in page


@pytest.mark.skipif(not can_print(), reason="weasyprint is not installed")
def test_every_page_of_a_sealed_summary_has_its_own_code(app: Flask, tree: Tree, tmp_path: Path) -> None:
    city = make.person(tree["city"])
    made = service.begin(city, "hunan-baixiao", "city", "2026")
    make.fill_in(city, made)
    document = pack_of(made).documents_of("city")[0]
    with app.test_request_context():
        long = papers.paper_of(made, document)
        long = type(long)(long.title, long.blocks * 6, long.wide)
        pdf = printing.as_sealed_pdf(made, document, long)
    pages = drawn(pdf, tmp_path)
    assert len(pages) > 1
    marks = [read_mark(reading.read_page(cv2.cvtColor(page, cv2.COLOR_GRAY2BGR))[1]) for page in pages]
    assert [(mark.page, mark.pages, mark.application) for mark in marks if mark] == [
        (number, len(pages), made.id) for number in range(1, len(pages) + 1)
    ]


def test_word_carries_the_code_and_excel_does_not(tree: Tree) -> None:
    _admin, found = begun(tree)
    document = Document(BytesIO(papers.document_of(found, "application", "docx")[1]))
    picture = next(part.blob for part in document.part.package.parts if str(part.partname).endswith(".png"))
    text = reading.read_page(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR))[1]
    assert text == mark_now(found)
    code = papers.codes_of(found)["application"]
    cover = [one.text for one in document.paragraphs]
    assert f"{code[:4]}-{code[4:8]} · 1/1" in "".join(cover[: cover.index("湖南省电化教育馆 2025年5月") + 3])


def test_pages_in_any_order_others_pages_and_by_hand(app: Flask, tree: Tree) -> None:
    admin, found = begun(tree)
    other = service.begin(make.person(tree["city-school"]), "hunan-baixiao", "school", "2026")
    blank = jpeg(np.full((1754, 1240), 250, np.uint8))
    pdf = pdfs.of_pictures([(jpeg(paper(mark_now(other))), 1240, 1754), (blank, 1240, 1754)])
    upload = scanned(admin, found, ("两页.pdf", pdf), ("坏.png", b"\x89PNG\r\n\x1a\nxx"))
    assert upload.state == "done" and upload.faults == [{"name": "坏.png", "cause": "图片打不开"}]
    desk = sealing.desk_of(found, papers.codes_of(found))
    assert [bool(row.told) for row in desk.loose] == [True, False] and not desk.documents[0][1].done
    client, page = door(app, admin), f"/programmes/{found.id}/sealing"
    text = client.get(page).text
    assert "二维码是别的申报的" in text and "没有读到二维码" in text and "图片打不开" in text and "缺第 1 页" in text
    csrf = token(client, page)
    foreign, unread = (row.id for row in desk.loose)
    assert (
        client.post(f"{page}/{unread}", data={"csrf_token": csrf, "document": "summary", "page": "1"}).status_code
        == 422
    )
    client.post(f"{page}/{unread}", data={"csrf_token": csrf, "document": "application", "page": "1"})
    client.post(f"{page}/{foreign}", data={"csrf_token": csrf, "action": "remove"})
    assert "盖章页齐了" in client.get(page).text and "认不出的页" not in client.get(page).text
    assert "归位 1 页" in client.get(f"/programmes/{found.id}").text
    assert client.get(f"{page}/{unread}.jpg").mimetype == "image/jpeg"
    assert client.get(f"{page}/{foreign}.jpg").status_code == 404
    assert papers.bundle_of(found, "school")[2] == []
    part = service.parts_of(found)["application.plan"]
    service.save_part(admin, found.id, "application.plan", "盖章以后改了方案", part.edition)
    assert "内容在打印后改过" in client.get(page).text  # what was said by hand goes stale as well
    with pytest.raises(Refused, match="打印以后内容改过"):
        workflow.submit(admin, found.id)


def test_nothing_goes_up_unsealed_or_sealed_before_a_change(app: Flask, tree: Tree) -> None:
    admin, found = begun(tree)
    address = f"/programmes/{found.id}"
    with pytest.raises(Refused, match="还没有盖章页扫描件"):
        workflow.submit(admin, found.id)
    make.seal(admin, found)
    assert workflow.lacks_of(found) == []
    part = service.parts_of(found)["application.plan"]
    service.save_part(admin, found.id, "application.plan", "盖章以后改了方案", part.edition)
    assert [one.where for one in workflow.lacks_of(found) if one.hard] == ["scan:application"]
    assert "已过期，要重新打印" in door(app, admin).get(address).text
    with pytest.raises(Refused, match="打印以后内容改过"):
        workflow.submit(admin, found.id)
    make.seal(admin, found)
    assert papers.bundle_of(found, "school")[2] == []
    workflow.submit(admin, found.id)
    text = door(app, make.person(tree["county"])).get(address).text
    assert "盖章页齐了" in text and text.count("旧版") == 1


def test_who_may(app: Flask, tree: Tree) -> None:
    admin, found = begun(tree)
    with pytest.raises(Invalid):
        sealing.hand_over(admin, found.id, [])
    with pytest.raises(Invalid, match="file-type"):
        sealing.hand_over(admin, found.id, [("表.docx", b"PK\x03\x04")])
    with pytest.raises(NotAllowed):
        sealing.hand_over(make.person(tree["school"], "teacher"), found.id, [("a.pdf", make.PDF)])
    upload = scanned(admin, found, ("空.pdf", make.PDF))
    assert upload.faults[0]["name"] == "空.pdf"
    row = ScanPage(
        school_id=found.school_id,
        application_id=found.id,
        upload_id=upload.id,
        number=1,
        name="x",
        sha256="0" * 64,
        width=1,
        height=1,
    )
    db.session.add(row)
    db.session.commit()
    base = f"/programmes/{found.id}/sealing"
    routes = [("GET", base), ("POST", base), ("GET", f"{base}/{row.id}.jpg"), ("POST", f"{base}/{row.id}")]
    listed = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("programmes.sealing.")]
    assert len(listed) == len(routes)
    for person in (
        make.person(tree["city-school"]),
        make.person(tree["county"]),
        make.person(tree["school"], "expert"),
    ):
        client = door(app, person)
        csrf = token(client, "/me")
        for method, path in routes:
            answer = client.open(path, method=method, data={"csrf_token": csrf} if method == "POST" else None)
            assert answer.status_code in (403, 404), (person.username, method, path)
    codes = papers.codes_of(found)
    with pytest.raises(NotFound):
        sealing.assign(make.person(tree["city-school"]), found.id, row.id, "application", 1, codes)
    make.seal(admin, found)
    workflow.submit(admin, found.id)
    with pytest.raises(NotAllowed):
        sealing.assign(admin, found.id, row.id, "application", 1, codes)
    officer = make.person(tree["county"])
    office = door(app, officer)
    assert "上传并识读" not in office.get(base).text and "查看盖章页" in office.get(f"/programmes/{found.id}").text
