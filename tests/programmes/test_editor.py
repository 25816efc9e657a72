"""An office copies a notice, changes it in the browser, binds its own file, publishes; who began keeps the version of that day."""

from __future__ import annotations

import re
import uuid
import zipfile
from io import BytesIO

import pytest
from docx import Document
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import load_workbook
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Organisation
from lms.programmes import notices, papers, service
from lms.programmes.editor import binding, drafts
from lms.programmes.models import NoticeDraft
from tests.factories import token
from tests.programmes import places as make
from tests.programmes.test_originals import sheet_file, word_file
from tests.programmes.test_packs import COUNTY
from tests.programmes.test_pages import door

Tree = dict[str, Organisation]


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def county_notice() -> dict[str, str]:
    return {path.relative_to(COUNTY).as_posix(): path.read_text("utf-8") for path in COUNTY.rglob("*.yaml")}


def page_of(client: FlaskClient, slug: str) -> str:
    """Copy a notice by the page; the draft's address."""
    answer = client.post(
        "/programmes/editor/drafts", data={"csrf_token": token(client, "/programmes/editor/"), "notice": slug}
    )
    assert answer.status_code == 302, answer.text
    return str(answer.headers["Location"])


def inputs(client: FlaskClient, address: str) -> dict[str, str]:
    """What the page of numbers would send as it stands."""
    text = client.get(address).text
    found = dict(re.findall(r'<input class="form-control form-control-sm"[^>]* name="([^"]+)" value="([^"]*)"', text))
    edition = re.search(r'name="edition" value="(\d+)"', text)
    assert edition
    return {**found, "edition": edition[1], "csrf_token": token(client, address)}


def test_copy_change_publish_and_the_next_version(app: Flask, tree: Tree) -> None:
    officer = make.person(tree["county"])
    office = door(app, officer)
    notices.publish(officer, county_notice())
    school = make.person(tree["school"])
    begun = service.begin(school, "county-ai-class", "school", "2026")
    address = page_of(office, "county-ai-class")
    given = inputs(office, address)
    assert (given["pack.yaml|notice"], given["pack.yaml|version"]) == ("county-ai-class", "2026.2")
    given |= {
        "pack.yaml|quotas/0/most": "5",
        "pack.yaml|batches/0/due/county": "2026-12-20",
        "forms/application.yaml|limits/0/most": "800",
    }
    answer = office.post(address, data=given, follow_redirects=True)
    assert "已保存草稿。" in answer.text
    changes = office.get(f"{address}/changes").text
    assert "most: 5" in changes and "most: 3" in changes and "2026-12-20" in changes and "第一条" not in changes
    assert (
        "已发布"
        in office.post(f"{address}/publish", data={"csrf_token": given["csrf_token"]}, follow_redirects=True).text
    )
    pack = notices.pack_named(tree["school"].id, "county-ai-class")
    assert (pack.version, pack.document["quotas"][0]["most"], pack.form("application")["limits"][0]["most"]) == (
        "2026.2",
        5,
        800,
    )
    assert notices.pack_of(begun).version == "2026.1"
    versions = drafts.versions_of(officer, "county-ai-class")
    assert [(one.row.version, one.applications) for one in versions] == [("2026.2", 0), ("2026.1", 1)]
    again = inputs(office, address) | {"pack.yaml|title": "改了名称"}
    office.post(address, data=again)
    refused = office.post(f"{address}/publish", data={"csrf_token": given["csrf_token"]})
    assert refused.status_code == 422 and "2026.2 已经发布过" in refused.text and "2026.3" in refused.text


def test_a_copy_of_a_shipped_notice_is_ones_own(app: Flask, tree: Tree) -> None:
    office = door(app, make.person(tree["city"]))
    address = page_of(office, "hunan-baixiao")
    given = inputs(office, address)
    assert (given["pack.yaml|notice"], given["pack.yaml|issuer"], given["pack.yaml|version"]) == (
        "hunan-baixiao-2",
        "乙市",
        "2026.1",
    )
    draft = db.session.scalars(select(NoticeDraft)).one()
    assert draft.texts["pack.yaml"].startswith("# 湖南省")  # comments are copied as well
    answer = office.post(address + "/batches", data={"csrf_token": given["csrf_token"]}, follow_redirects=True)
    assert "第5批" in answer.text
    office.post(f"{address}/publish", data={"csrf_token": given["csrf_token"]})
    assert notices.pack_named(tree["school"].id, "hunan-baixiao-2").batch("5")["due"] == {"province": "2026-12-30"}
    with pytest.raises(NotFound):
        notices.pack_named(tree["province-school"].id, "hunan-baixiao-2")


def test_a_later_date_below_is_refused_and_the_draft_is_kept(app: Flask, tree: Tree) -> None:
    officer = make.person(tree["city"])
    office = door(app, officer)
    address = page_of(office, "hunan-baixiao")
    late = inputs(office, address) | {"pack.yaml|batches/3/due/city": "2027-01-15"}
    answer = office.post(address, data=late, follow_redirects=True)
    assert "B9" in answer.text and "还有 1 处要改" in answer.text
    draft = db.session.scalars(select(NoticeDraft)).one()
    line = next(number for number, one in enumerate(draft.texts["pack.yaml"].split("\n"), 1) if "2027-01-15" in one)
    assert f"pack.yaml 第 {line} 行" in answer.text
    assert office.post(f"{address}/publish", data={"csrf_token": late["csrf_token"]}).status_code == 422
    early = inputs(office, address) | {"pack.yaml|batches/3/due/city": "2026-12-25"}
    assert "B9" not in office.post(address, data=early, follow_redirects=True).text
    wrong = inputs(office, address) | {"pack.yaml|targets/0/number": "很多", "pack.yaml|title": "没有丢"}
    answer = office.post(address, data=wrong)
    assert answer.status_code == 422 and "应为整数" in answer.text and "没有丢" in answer.text


def test_the_text_is_saved_wrong_or_right_and_errors_are_told_by_line(app: Flask, tree: Tree) -> None:
    officer, other = make.person(tree["county"]), make.person(tree["county"], name="乙经办")
    office = door(app, officer)
    address = page_of(office, "hunan-baixiao")
    draft = db.session.scalars(select(NoticeDraft)).one()
    text = draft.texts["pack.yaml"].replace("granted: plaque", "granted: plaqu")
    headers = {"X-CSRFToken": token(office, address)}
    answer = office.post(f"{address}/text", json={"file": "pack.yaml", "text": text, "edition": 1}, headers=headers)
    line = next(
        number for number, one in enumerate(text.split("\n"), 1) if "granted: plaqu" in one and "plaque" not in one
    )
    assert answer.json is not None and answer.json["edition"] == 2
    assert answer.json["problems"][0]["line"] == line and "plaqu" in answer.json["problems"][0]["cause"]
    assert f"第 {line} 行" in office.get(f"{address}/text").text
    drafts.save(other, draft.id, {"pack.yaml": "notice: [\n"}, 2)
    answer = office.post(f"{address}/text", json={"file": "pack.yaml", "text": text, "edition": 2}, headers=headers)
    assert answer.status_code == 409 and answer.json is not None and "乙经办" in answer.json["title"]
    assert "暂时读不出" in office.get("/programmes/editor/").text and office.get(address).status_code == 200
    for bad in (
        {"file": "../x", "text": "", "edition": 3},
        {"file": "pack.yaml", "text": 1, "edition": 3},
        {"file": "pack.yaml", "text": "\x00", "edition": 3},
    ):
        assert office.post(f"{address}/text", json=bad, headers=headers).status_code == 422
    assert office.get(f"{address}/text?file=nothing.yaml").status_code == 404


def bound_draft(tree: Tree, data: bytes, name: str, bindings: list[tuple[str, str, str]]) -> NoticeDraft:
    officer = make.person(tree["county"])
    notices.publish(officer, county_notice())
    row = drafts.begin(officer, "county-ai-class")
    binding.upload(officer, row.id, "application", name, data)
    for at, put, field in bindings:
        binding.bind(officer, row.id, "application", at, put, field)
    drafts.publish(officer, row.id)
    return row


WORD = [
    ("paragraph 2", "blank 1", "application.cover.filler"),
    ("paragraph 2", "blank 2", "application.cover.date"),
    ("table 1 row 2 cell 2", "fill", "application.story"),
    ("table 1 row 4 cell 1", "fill", "application.lessons.#"),
    ("table 1 row 4 cell 2", "fill", "application.lessons.class"),
    ("table 1 row 4 cell 3", "fill", "application.lessons.name"),
]


def test_the_filled_original_is_the_export(tree: Tree) -> None:
    bound_draft(tree, word_file(), "申报表.docx", WORD)
    admin = make.person(tree["school"])
    found = service.begin(admin, "county-ai-class", "school", "2026")
    service.save_part(admin, found.id, "application.cover", {"date": "2026-11-20"}, 0)
    service.save_part(admin, found.id, "application.story", "做法一\n做法二", 0)
    service.save_part(
        admin,
        found.id,
        "application.lessons",
        [{"class": f"{one}班", "name": "某老师", "hours": "8"} for one in range(1, 6)],
        0,
    )
    name, data = papers.document_of(found, "application", "docx")
    assert name.endswith("示范校申报表（丙县一小）.docx")
    made = Document(BytesIO(data))
    assert made.paragraphs[1].text == "单位（公章）：丙县一小  日期：2026年11月20日"
    rows = [[cell.text for cell in row.cells] for row in made.tables[0].rows]
    assert rows[1][1] == "做法一\n做法二" and rows[3:8] == [[str(one), f"{one}班", "某老师"] for one in range(1, 6)]
    assert rows[8] == ["注：可依需增行"] * 3
    assert "非官方表样" not in "".join(one.text for one in made.paragraphs)
    assert (
        papers.paper_of(found, notices.pack_of(found).documents_of("school")[0]).blocks[0].text == "非官方表样"
    )  # ours, as PDF


def test_the_same_with_excel_and_the_pack_travels_with_its_file(tree: Tree) -> None:
    bindings = [
        ("汇总表!A2", "blank 1", "name.applicant"),
        ("汇总表!A4", "fill", "application.lessons.#"),
        ("汇总表!B4", "fill", "application.lessons.class"),
    ]
    data = sheet_file()
    row = bound_draft(tree, data, "汇总表.xlsx", bindings)
    admin = make.person(tree["school"])
    found = service.begin(admin, "county-ai-class", "school", "2026")
    service.save_part(admin, found.id, "application.lessons", [{"class": f"{one}班"} for one in range(1, 5)], 0)
    sheet = load_workbook(BytesIO(papers.document_of(found, "application", "xlsx")[1]))["汇总表"]
    assert sheet["A2"].value == "填报单位：丙县一小" and [sheet.cell(4 + one, 2).value for one in range(4)] == [
        "1班",
        "2班",
        "3班",
        "4班",
    ]
    assert "A8:B8" in {str(one) for one in sheet.merged_cells.ranges}
    packed = notices.as_files(notices.pack_of(found))
    with zipfile.ZipFile(BytesIO(packed)) as archive:
        assert archive.read("files/汇总表.xlsx") == data
    texts = notices.texts_of([("pack.zip", packed)])
    assert notices.checked(texts)[1] == [] and set(texts) == set(row.texts)
    lost = {name: text.replace("汇总表!A4", "汇总表!ZZ99") for name, text in texts.items()}
    assert "没有“汇总表!ZZ99”这个位置" in notices.checked(lost)[1][0].cause
    gone = {name: re.sub(r"file: [0-9a-f]{64}", "file: " + "ab" * 32, text) for name, text in texts.items()}
    assert "没有表样文件" in notices.checked(gone)[1][0].cause


def test_binding_by_the_page(app: Flask, tree: Tree) -> None:
    officer = make.person(tree["county"])
    notices.publish(officer, county_notice())
    office = door(app, officer)
    address = page_of(office, "county-ai-class")
    page = f"{address}/layout/application"
    csrf = token(office, page)
    assert "还没有表样" in office.get(page).text
    bad = office.post(f"{page}/file", data={"csrf_token": csrf, "file": (BytesIO(b"%PDF-1.4"), "表.pdf")})
    assert bad.status_code == 422 and "不是 Word" in bad.text
    answer = office.post(
        f"{page}/file", data={"csrf_token": csrf, "file": (BytesIO(word_file()), "表.docx")}, follow_redirects=True
    )
    assert "某县申报表" in answer.text and "表 1" in answer.text
    chosen = office.get(f"{page}?at=paragraph 2").text
    assert "填第 4 个空" in chosen and "这里填什么" in chosen
    office.post(
        page, data={"csrf_token": csrf, "at": "paragraph 2", "put": "blank 1", "field": "application.cover.filler"}
    )
    assert "学校（公章）</span>" in office.get(page).text
    wrong = office.post(
        page, data={"csrf_token": csrf, "at": "paragraph 2", "put": "fill", "field": "application.lessons.class"}
    )
    assert wrong.status_code == 422 and "只能绑定在表格的一行里" in wrong.text
    assert (
        office.post(page, data={"csrf_token": csrf, "at": "paragraph 99", "field": "application.story"}).status_code
        == 422
    )
    trial = office.get(f"{page}/trial")
    assert "单位（公章）：【学校（公章）】" in Document(BytesIO(trial.data)).paragraphs[1].text
    other = office.post(
        f"{page}/file", data={"csrf_token": csrf, "file": (BytesIO(sheet_file()), "表.xlsx")}, follow_redirects=True
    )
    assert "绑定已取消：paragraph 2" in other.text
    office.post(page, data={"csrf_token": csrf, "action": "drop"})
    assert "还没有表样" in office.get(page).text


def test_drafts_are_the_offices_own(app: Flask, tree: Tree) -> None:
    officer = make.person(tree["county"])
    row = drafts.begin(officer, "hunan-baixiao")
    stranger, school = make.person(tree["city"]), make.person(tree["school"])
    for act in (
        lambda who: drafts.save(who, row.id, {}, 1),
        lambda who: drafts.publish(who, row.id),
        lambda who: drafts.remove(who, row.id),
    ):
        with pytest.raises(NotFound):
            act(stranger)
        with pytest.raises(NotAllowed):
            act(school)
    with pytest.raises(Refused):
        drafts.save(officer, row.id, {"pack.yaml": "x: 1"}, 7)
    with pytest.raises(Invalid):
        drafts.publish(officer, drafts.save(officer, row.id, {"pack.yaml": "x: 1"}, 1).id)
    drafts.remove(officer, row.id)
    assert drafts.drafts_of(officer) == []
    drafts.remove(officer, row.id, again=True)
    assert [one.id for one in drafts.drafts_of(officer)] == [row.id]
    base = f"/programmes/editor/{row.id}"
    routes = [("GET", "/programmes/editor/"), ("POST", "/programmes/editor/drafts"), ("GET", base), ("POST", base), ("POST", f"{base}/batches"), ("GET", f"{base}/text"),
              ("POST", f"{base}/text"), ("GET", f"{base}/changes"), ("POST", f"{base}/publish"), ("POST", f"{base}/remove"), ("GET", f"{base}/layout/application"),
              ("POST", f"{base}/layout/application"), ("POST", f"{base}/layout/application/file"), ("GET", f"{base}/layout/application/trial")]  # fmt: skip
    listed = {
        (rule.rule, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("programmes.editor.")
    }
    assert len(listed) == len(routes)
    for person in (
        make.person(tree["school"]),
        make.person(tree["school"], "teacher"),
        make.person(tree["county"], "expert"),
        make.person(tree["city"]),
    ):
        client = door(app, person)
        csrf = token(client, "/me")
        for method, path in routes[2:] if person.organisation_id == tree["city"].id else routes:
            answer = client.open(path, method=method, data={"csrf_token": csrf} if method == "POST" else None)
            assert answer.status_code in (403, 404), (person.username, method, path, answer.status_code)
    assert db.session.get_one(NoticeDraft, uuid.UUID(str(row.id))).removed_at is None
