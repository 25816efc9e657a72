"""Bodies without an account: entered for (代填), their Word and Excel read back, decisions recorded with the scan (代录); who is missing."""

from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime
from io import BytesIO

import pytest
from flask import Flask
from openpyxl import load_workbook
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import AuditEntry, Organisation
from lms.notices.models import Notice
from lms.programmes import papers, service, workflow
from lms.programmes.models import Application
from lms.programmes.selection import behalf, missing
from lms.roster.models import School
from tests.factories import token
from tests.programmes import places as make
from tests.programmes.test_pages import door

Tree = dict[str, Organisation]
PAPER = {"number": "丙教〔2026〕3号", "decided_on": "2026-11-20"}


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def new_school(city: object, parent: Organisation, name: str = "丙县三小") -> Organisation:
    form = {"level": "school", "name": name, "parent": str(parent.id), "school_type": "九年一贯制", "locality": "乡村", "code": "3600000009"}
    return behalf.add_organisation(city, form)  # type: ignore[arg-type]  # an account


def test_a_whole_pack_with_a_county_without_an_account(tree: Tree) -> None:
    """The city fills in for a school of a county without an account, records the county's paper, acts itself; the province has no account either."""
    city = make.person(tree["city"])
    school = new_school(city, tree["county"])
    row = db.session.get_one(School, school.id)
    assert (row.locality, service.stages_of(school.id)) == ("乡村", ["primary", "junior"])
    with pytest.raises(Refused, match="organisation-known"):
        new_school(city, tree["county"])
    found = behalf.begin(city, school.id, "hunan-baixiao", "school", "2026")
    assert found.school_id == school.id and found.filled_by_id == tree["city"].id
    make.fill_in(city, found)
    workflow.submit(city, found.id)
    assert found.office_id == tree["county"].id
    assert behalf.office_to_record(city, found) == tree["county"]
    with pytest.raises(Invalid, match="number"):
        behalf.record(city, found.id, {**PAPER, "action": "recommend", "number": " "}, "a.pdf", make.PDF)
    with pytest.raises(Invalid, match="decided_on"):
        behalf.record(city, found.id, {**PAPER, "action": "recommend", "decided_on": "2027-01-01"}, "a.pdf", make.PDF)
    with pytest.raises(Invalid, match="file-type"):
        behalf.record(city, found.id, {**PAPER, "action": "recommend"}, "a.exe", b"MZ")
    behalf.record(city, found.id, {**PAPER, "action": "return", "remark": "补章"}, "退.pdf", make.PDF)
    assert found.status == "returned" and behalf.editable(found)
    workflow.submit(city, found.id)
    behalf.record(city, found.id, {**PAPER, "action": "recommend"}, "推荐函.pdf", make.PDF)
    assert found.office_id == tree["city"].id
    workflow.act(city, found.id, "recommend")
    assert found.office_id == tree["province"].id
    _name, data, _lack = papers.bundle_of(found, "school")
    assert any(one.endswith(".docx") for one in zipfile.ZipFile(BytesIO(data)).namelist())  # what goes to the province by post
    behalf.record(city, found.id, {**PAPER, "action": "recommend", "number": "湘教电馆〔2026〕1号"}, "批复.pdf", make.PDF)
    assert found.status == "plaque" and found.office_id is None
    steps = {step.number: step for step in service.steps_of(found)}
    recorded = behalf.recorded_of(found)
    assert [(steps[number].action, steps[number].by_office_id) for number in sorted(recorded)] == [
        ("return", tree["county"].id), ("recommend", tree["county"].id), ("grant", tree["province"].id),
    ]  # fmt: skip
    assert "〔代录〕湘教电馆〔2026〕1号" in steps[max(recorded)].remark and recorded[max(recorded)].decided_on == date(2026, 11, 20)
    journal = db.session.execute(select(AuditEntry.action, AuditEntry.detail).where(AuditEntry.object_id == str(found.id))).all()
    assert [action for action, _detail in journal].count("record-decision") == 3
    assert any(action == "begin-application" and detail["filled_by"] == str(tree["city"].id) for action, detail in journal)
    with pytest.raises(Refused, match="record"):
        behalf.record(city, found.id, {**PAPER, "action": "recommend"}, "a.pdf", make.PDF)


def test_quota_holds_for_recorded_decisions_too(tree: Tree) -> None:
    counties = [make.organisation("county", f"县{number}", tree["province"]) for number in range(6)]
    admins = [make.person(one) for one in counties]
    for admin in admins:
        found = service.begin(admin, "ncet-pilot", "area", "2026")
        make.fill_in(admin, found)
        workflow.submit(admin, found.id)
        if admin is not admins[-1]:
            behalf.record(admin, found.id, {**PAPER, "action": "recommend"}, "a.pdf", make.PDF)
    with pytest.raises(Refused, match="quota"):
        behalf.record(admins[-1], found.id, {**PAPER, "action": "recommend"}, "a.pdf", make.PDF)
    assert found.office_id == tree["province"].id and behalf.recorded_of(found) == {}


def test_nobody_records_for_an_office_that_can_act_itself(tree: Tree) -> None:
    school, county = make.person(tree["school"]), make.person(tree["county"])
    found = service.begin(school, "hunan-baixiao", "school", "2026")
    make.fill_in(school, found)
    workflow.submit(school, found.id)
    assert behalf.office_to_record(school, found) is None
    workflow.act(county, found.id, "recommend")  # the city has no account: the county records, not the school
    assert behalf.office_to_record(school, found) is None and behalf.office_to_record(county, found) == tree["city"]
    city = make.person(tree["city"])
    assert behalf.office_to_record(county, found) is None
    with pytest.raises(Refused, match="record"):
        behalf.record(county, found.id, {**PAPER, "action": "recommend"}, "a.pdf", make.PDF)
    workflow.act(city, found.id, "recommend")


def test_nobody_fills_in_for_who_can_himself_or_is_elsewhere(tree: Tree) -> None:
    city, make_ = make.person(tree["city"]), make.person(tree["city-school"])
    with pytest.raises(Refused, match="has-account"):
        behalf.begin(city, tree["city-school"].id, "hunan-baixiao", "school", "2026")
    with pytest.raises(NotFound):
        behalf.begin(city, tree["province-school"].id, "hunan-baixiao", "school", "2026")
    with pytest.raises(Invalid, match="parent"):
        new_school(city, tree["province"])
    with pytest.raises(Invalid, match="level"):
        behalf.add_organisation(city, {"level": "city", "name": "x", "parent": str(tree["county"].id)})
    found = behalf.begin(city, tree["school"].id, "hunan-baixiao", "school", "2026")
    with pytest.raises(Refused, match="no-account"):
        behalf.hand_over(city, found.id)
    admin = make.person(tree["school"])
    assert service.application(admin, found.id) is found
    behalf.hand_over(city, found.id)
    for call in (lambda: service.application(city, found.id), lambda: behalf.ward_application(city, found.id)):
        with pytest.raises(NotFound):
            call()
    assert make_


@pytest.mark.parametrize(
    ("slug", "kind", "applicant", "document", "form", "inner"),
    [
        ("hunan-baixiao", "school", "school", "application", "docx", {"application.qualification", "application.venue", "application.preference", "application.honour", "application.teachers", "application.pupils"}),
        ("ncet-pilot", "school", "school", "school-statement", "docx", None),
        ("ncet-pilot", "area", "county", "area-statement", "docx", None),
        ("ncet-pilot", "province", "province", "information", "docx", None),
        ("ncet-pilot", "province", "province", "information", "xlsx", None),
        ("smart-training", "school", "school", None, "docx", None),
        ("henan-experiment", "school", "school", None, "docx", None),
    ],
)
def test_our_own_export_is_read_back_part_by_part(tree: Tree, slug: str, kind: str, applicant: str, document: str | None, form: str, inner: set[str] | None) -> None:
    """What is exported for one body is what another's file would fill in: every printed part that the file holds comes back as it was."""
    officer = make.person(tree["nation"])
    source = behalf.begin(officer, tree[applicant].id, slug, kind, "2026")
    make.fill_in(officer, source)
    pack = papers.pack_of(source)
    name = document or next(one["id"] for one in pack.documents_of(kind) if form in one["formats"])
    _name, data = papers.document_of(source, name, form)
    written = service.content_of(source)
    target = behalf.begin(officer, (new_school(officer, tree["county"]) if applicant == "school" else make.organisation(applicant, "别处", db.session.get(Organisation, tree[applicant].parent_id))).id, slug, kind, "2026")
    file = behalf.take_original(officer, target.id, "申报书.docx", data)
    parts = {one.key: one for one in behalf.read_original(officer, target.id, file.id)}
    assert service.content_of(target) == {}  # a dry run
    wanted = {one.key for one in parts.values() if one.state == "new"}
    assert wanted and not [one for one in parts.values() if one.state == "problem"]
    tables = {key for key in wanted if pack.part(key)["type"] == "table"}
    assert form == "docx" or tables
    assert behalf.take_parts(officer, target.id, file.id, sorted(wanted)) == len(wanted)
    back = service.content_of(target)
    for key in wanted:
        mine = written[key]
        if isinstance(mine, dict):  # names that the form takes from the applicant stay empty
            taken = {field["id"] for field in pack.part(key).get("fields", ()) if field.get("from")}
            mine = {one: text for one, text in mine.items() if text and one not in taken}
            back[key] = {one: text for one, text in back[key].items() if one not in taken}
        assert back[key] == mine, key
    absent = {key for key, one in parts.items() if one.state == "absent"}
    named = next(one["form"] for one in pack.documents_of(kind) if one["id"] == name)
    for key in absent:
        part = pack.part(key)
        assert key.split(".")[0] != named or part.get("inner") or form == "xlsx" or not written.get(key), key
    assert inner is None or absent == inner
    again = behalf.read_original(officer, target.id, file.id)
    assert {one.state for one in again} <= {"same", "absent"}


def test_a_foreign_layout_is_kept_and_typed_in(tree: Tree) -> None:
    from docx import Document

    officer = make.person(tree["city"])
    found = behalf.begin(officer, tree["school"].id, "hunan-baixiao", "school", "2026")
    stream, document = BytesIO(), Document()
    document.add_paragraph("某县自己的表")
    document.save(stream)
    file = behalf.take_original(officer, found.id, "他表.docx", stream.getvalue())
    assert behalf.read_original(officer, found.id, file.id) == [] and behalf.originals_of(found) == [file]
    assert behalf.take_original(officer, found.id, "他表.docx", stream.getvalue()) is file  # the same file once
    scan = behalf.take_original(officer, found.id, "扫描.pdf", make.PDF)
    assert behalf.read_original(officer, found.id, scan.id) == []
    with pytest.raises(Invalid, match="file-type"):
        behalf.take_original(officer, found.id, "a.doc", b"\xd0\xcf\x11\xe0")
    broken = BytesIO()
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("word/document.xml", "nothing")
    bad = behalf.take_original(officer, found.id, "坏.docx", broken.getvalue())
    with pytest.raises(Invalid, match="file-broken"):
        behalf.read_original(officer, found.id, bad.id)
    service.save_part(officer, found.id, "application.focus", "手工录入", 0)
    assert service.content_of(found)["application.focus"] == "手工录入"


def test_the_pages_of_filling_in(app: Flask, tree: Tree) -> None:
    officer = make.person(tree["city"])
    client = door(app, officer)
    csrf = token(client, "/programmes/selection/behalf")
    form = {"csrf_token": csrf, "level": "school", "name": "丙县四小", "parent": str(tree["county"].id), "school_type": "小学", "locality": "镇区"}
    assert "丙县四小" in client.post("/programmes/selection/behalf/organisations", data=form, follow_redirects=True).text
    school = db.session.scalars(select(Organisation).where(Organisation.name == "丙县四小")).one()
    answer = client.post("/programmes/selection/behalf", data={"csrf_token": csrf, "organisation": str(school.id), "choice": "hunan-baixiao/school/2026"})
    page = answer.headers["Location"]
    found = db.session.scalars(select(Application)).one()
    make.fill_in(officer, found)
    _name, data = papers.document_of(found, "application", "docx")
    service.save_part(officer, found.id, "application.focus", "改过", 1)
    answer = client.post(page, data={"csrf_token": csrf, "file": (BytesIO(data), "申报书.docx")}, follow_redirects=True)
    assert "改动" in answer.text and "重点领域" in answer.text
    where = answer.request.path
    client.post(where, data={"csrf_token": csrf, "key": "application.focus"})
    db.session.expire_all()
    assert service.content_of(found)["application.focus"] == "基本情况良好。"
    shown = client.get(f"/programmes/{found.id}")
    assert "由乙市代填" in shown.text and "提交到丙县" in shown.text
    assert client.get(f"/programmes/{found.id}/parts/application.focus").status_code == 200
    client.post(f"/programmes/{found.id}/submit", data={"csrf_token": csrf, "accept": "1", "reason": "实验室在建"})
    shown = client.get(f"/programmes/{found.id}")
    assert "登记上级决定（代录）" in shown.text
    data = {"csrf_token": csrf, "action": "recommend", **PAPER, "file": (BytesIO(make.PDF), "推荐函.pdf")}
    client.post(f"/programmes/selection/recorded/{found.id}", data=data)
    shown = client.get(f"/programmes/{found.id}")
    assert "上级文件扫描件" in shown.text and "待本单位办理" in shown.text
    assert "（由乙市代填）" in shown.text and "代填" in client.get("/programmes/").text
    stranger = door(app, make.person(make.organisation("county", "丁县", tree["city"])))
    assert stranger.get(f"/programmes/{found.id}").status_code == 404 and stranger.get(page).status_code == 404


def test_who_is_missing(app: Flask, tree: Tree) -> None:
    city, county = make.person(tree["city"]), make.person(tree["county"])
    done, back, silent = make.school("甲校", tree["county"]), make.school("乙校", tree["county"]), make.school("丙校", tree["city"])
    drafting = make.person(tree["school"])
    service.begin(drafting, "hunan-baixiao", "school", "2026")
    for one in (done, back):
        admin = make.person(one)
        found = service.begin(admin, "hunan-baixiao", "school", "2026")
        make.fill_in(admin, found)
        workflow.submit(admin, found.id)
    workflow.act(county, found.id, "return", "缺章")
    made = missing.overview(city, "hunan-baixiao", "school", "2026")
    states = {one.organisation.name: (one.state, one.via, one.days, one.account) for one in made.lines}
    assert states == {
        "丙县一小": ("none", "丙县", 36, True), "甲校": ("handed", "丙县", 36, True), "乙校": ("returned", "丙县", 36, True),
        "丙校": ("none", "乙市", 36, False), "乙市实验小学": ("none", "乙市", 36, False),
    }  # fmt: skip
    text = missing.reminder(made, tree["city"])
    assert "还有 4 个单位" in text and "12月30日24时" in text and "甲校" not in text
    assert {one.organisation.name for one in missing.overview(county, "hunan-baixiao", "school", "2026").lines} == {"丙县一小", "甲校", "乙校"}
    with pytest.raises(Invalid, match="none-chosen"):
        missing.remind(city, made, {silent.id, done.id})
    assert missing.remind(city, made, {tree["school"].id, back.id, done.id}) == 2
    missing.remind(city, made, {tree["school"].id})
    told = db.session.scalars(select(Notice).where(Notice.key.startswith("missing/"), Notice.account_id == drafting.id)).all()
    assert len(told) == 1  # once a day
    rows = list(load_workbook(BytesIO(missing.book(made))).worksheets[0].iter_rows(values_only=True))
    assert rows[2] == ("序号", "单位", "代码", "报送至", "情况", "现在", "截止日", "剩余天数", "账号") and len(rows) == 8
    with pytest.raises(NotFound):
        missing.overview(city, "hunan-baixiao", "school", "1999")


def test_a_recorded_decision_is_judged_by_the_day_of_its_paper(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    """The county decided in time on paper; the school enters it after the city's day (2026-12-30) is past."""
    school, city = make.person(tree["school"]), make.person(tree["city"])
    found = service.begin(school, "hunan-baixiao", "school", "2026")
    make.fill_in(school, found)
    workflow.submit(school, found.id)
    fixed_clock.at = datetime(2027, 1, 5, 2, tzinfo=UTC)
    with pytest.raises(Refused, match="deadline"):
        behalf.record(school, found.id, {**PAPER, "action": "recommend", "decided_on": "2026-12-31"}, "a.pdf", make.PDF)
    behalf.record(school, found.id, {**PAPER, "action": "recommend", "decided_on": "2026-12-30"}, "a.pdf", make.PDF)
    assert found.office_id == city.organisation_id
