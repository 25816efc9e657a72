"""The pages of the years after, and who may open them: every route × every role × own and foreign organisation."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from openpyxl import load_workbook
from sqlalchemy import event, select

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.models import AuditEntry, Organisation
from lms.programmes.models import Application, ApplicationStep
from lms.programmes.years import cases, events, files, inspections, norms, service
from lms.programmes.years.models import Inspection, InspectionVisit, Rectification
from lms.roster.models import Person, School
from tests.factories import make_class, make_pupils, token
from tests.programmes import places as make
from tests.programmes.test_pages import door
from tests.programmes.years.test_norms import TEXT
from tests.programmes.years.test_years import CASE, SEED, granted

Tree = dict[str, Organisation]
Y = "/programmes/years"


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def test_every_route_for_every_role_here_and_elsewhere(app: Flask, tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, officer = make.person(tree["school"]), make.person(tree["province"])
    henan, hunan = granted(tree, admin, "henan-experiment"), granted(tree, admin, "hunan-baixiao")
    school = db.session.get_one(School, tree["school"].id)
    cohort = make_class(school)
    make_pupils(school, cohort, 2)
    with write() as session:
        person = Person(id=new_id(), school_id=school.id, kind="staff", name="李老师")
        session.add(person)
    norms.publish(admin, TEXT, "")
    risk = norms.save_risk(admin, 2026, norms.RiskGiven("机器人伤人", 1, 3, "限速", "管理员", None))
    case = cases.save_case(admin, hunan.id, CASE)
    file = files.add(admin, school.id, case.id, "设计.pdf", make.PDF)
    seed = service.name_seed(admin, hunan.id, person.id, "数学", "", date(2026, 11, 20))
    meeting = events.add_event(
        admin, events.EventGiven("hunan-baixiao", "展示会", "校内展示会", date(2026, 11, 20), "本校", 30, [], "")
    )
    row = inspections.announce(officer, "henan-experiment", "school", 1, "", "当日双色球开奖号码", date(2026, 11, 25))
    fixed_clock.at = datetime(2026, 11, 25, 2, tzinfo=UTC)
    inspections.draw(officer, row.id, SEED)
    visit = inspections.visits_of(row)[0][0]
    order = inspections.order(officer, henan.id, "没有开课", date(2026, 12, 25))
    report = f"{Y}/{hunan.id}/reports/self-assessment/2027"
    of_school = [  # the school's own: the office sees what was sent
        ("GET", f"{Y}/{hunan.id}", {}), ("GET", report, {}), ("POST", report, {"text": "x"}), ("GET", f"{report}.docx", {}),
        ("GET", f"{Y}/{hunan.id}/inspection-pack.zip", {}), ("POST", f"{Y}/{hunan.id}/seeds", {"person": str(person.id), "subject": "数学", "consent_on": "2026-11-20"}),
        ("POST", f"{Y}/seeds/{seed.id}", {"status": "withdrawn"}), ("GET", f"{Y}/files/{file.id}", {}), ("POST", f"{Y}/files/{file.id}/remove", {}),
        ("GET", f"{Y}/cases/new/{hunan.id}", {}), ("POST", f"{Y}/cases/new/{hunan.id}", {}), ("GET", f"{Y}/cases/{case.id}", {}),
        ("POST", f"{Y}/cases/{case.id}", {}), ("POST", f"{Y}/cases/{case.id}/step", {"action": "submit"}),
        ("POST", f"{Y}/events/{meeting.id}/files", {}), ("POST", f"{Y}/events/{meeting.id}/remove", {}),
        ("GET", f"{Y}/norm/classes/{cohort.id}", {}), ("POST", f"{Y}/norm/classes/{cohort.id}", {"on": "2026-11-20"}),
        ("POST", f"{Y}/norm/risks/{risk.id}/remove", {}), ("POST", f"{Y}/inspections/rectifications/{order.id}", {"action": "report", "report": "实验室已经恢复开放，课表已经排好，每班每两周一节。"}),
        ("GET", f"{Y}/inspections/{row.id}", {}), ("GET", f"{Y}/inspections/{row.id}/list.txt", {}),
    ]  # fmt: skip
    of_office = [
        ("POST", f"{Y}/inspections/{row.id}/draw", {"seed": SEED}), ("POST", f"{Y}/inspections/{row.id}/cancel", {"reason": "x"}),
        ("GET", f"{Y}/inspections/visits/{visit.id}", {}), ("POST", f"{Y}/inspections/visits/{visit.id}", {}),
        ("POST", f"{Y}/inspections/warn/{henan.id}", {}), ("POST", f"{Y}/inspections/end/{henan.id}", {"action": "accept"}),
    ]  # fmt: skip
    for_all = [  # no id in the address: everybody of the role sees their own
        ("GET", f"{Y}/", {}), ("GET", f"{Y}/cases", {}), ("GET", f"{Y}/cases/library.xlsx", {}), ("GET", f"{Y}/events", {}), ("POST", f"{Y}/events", {}),
        ("GET", f"{Y}/norm", {}), ("POST", f"{Y}/norm", {}), ("POST", f"{Y}/norm/acknowledge", {}), ("GET", f"{Y}/norm/norm.docx", {}),
        ("GET", f"{Y}/norm/risks", {}), ("POST", f"{Y}/norm/risks", {}), ("POST", f"{Y}/norm/risks/copy", {}), ("GET", f"{Y}/norm/risks.xlsx", {}),
        ("GET", f"{Y}/inspections", {}), ("POST", f"{Y}/inspections", {}),
    ]  # fmt: skip
    everything = [*of_school, *of_office, *for_all]
    listed = {rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith("programmes.years.")}
    adapter = app.url_map.bind("localhost")
    assert {adapter.match(path, method)[0] for method, path, _data in everything} == listed
    strangers = [
        make.person(tree["city-school"]), make.person(tree["city-school"], "teacher"), make.person(make.organisation("county", "丁县", tree["city"])),
        make.person(tree["nation"]), make.person(tree["school"], "expert"), make.person(tree["province"], "expert"), make.person(tree["school"], "audit_admin"),
    ]  # fmt: skip
    for stranger in strangers:
        client = door(app, stranger)
        csrf = token(client, "/me")
        for method, path, data in [*of_school, *of_office]:
            answer = client.open(path, method=method, data={**data, "csrf_token": csrf} if method == "POST" else None)
            assert answer.status_code in (403, 404), (stranger.username, method, path, answer.status_code)
        for method, path, _data in for_all:
            answer = client.get(path)
            assert method == "POST" or answer.status_code in (200, 403, 404), path
            shown = answer.data.decode(errors="replace")
            assert "丙县一小" not in shown and "校内展示会" not in shown and "用数据看生活" not in shown, path
    nobody = app.test_client()
    for method, path, _data in everything:
        assert nobody.open(path, method=method).status_code in (302, 400, 401), path
    teacher = door(app, make.person(tree["school"], "teacher"))
    for method, path, data in [*of_school, *of_office, *for_all]:
        if method == "POST" and path not in (f"{Y}/norm/acknowledge", f"{Y}/cases/new/{hunan.id}"):
            answer = teacher.post(path, data={**data, "csrf_token": token(teacher, "/me")})
            assert answer.status_code in (403, 404), (path, answer.status_code)
    own = door(app, admin)
    for method, path, _data in [*of_school, *for_all]:
        wanted = {403} if path == f"{Y}/inspections" else {200}
        assert method == "POST" or own.get(path).status_code in wanted, path
    above = door(app, officer)
    denied = {
        report,
        f"{report}.docx",
        f"{Y}/files/{file.id}",
        f"{Y}/cases/{case.id}",
        f"{Y}/cases/new/{hunan.id}",
    }
    for method, path, _data in [*of_school, *of_office]:
        closed = path in denied or "/norm/" in path
        assert method == "POST" or above.get(path).status_code in ({403, 404} if closed else {200}), path
    assert own.get(f"{Y}/inspections/visits/{visit.id}").status_code == 404  # the inspector's until it is concluded
    assert case.status == "draft" and seed.status == "named" and risk.removed_at is None


def test_an_inspection_through_the_pages_and_drawn_again_by_the_published_recipe(
    app: Flask, tree: Tree, fixed_clock: clock.FixedClock, tmp_path: Path
) -> None:
    admin = make.person(tree["school"])
    found = granted(tree, admin, "henan-experiment")
    rest = [
        granted(tree, make.person(make.school(f"丙县{name}小", tree["county"])), "henan-experiment")
        for name in "二三四"
    ]
    office, school = door(app, make.person(tree["province"])), door(app, admin)
    csrf = token(office, f"{Y}/")
    data = {
        "csrf_token": csrf,
        "group": "henan-experiment/school",
        "count": "2",
        "strata": "place",
        "seed_from": "当日双色球开奖号码",
        "seed_on": "2026-11-25",
    }
    assert office.post(f"{Y}/inspections", data={**data, "seed_on": "2026-11-24"}).status_code == 422
    address = office.post(f"{Y}/inspections", data=data).headers["Location"]
    assert "disabled" in office.get(address).text
    assert "丙县二小" in school.get(address).text  # whoever is on the list sees it before the draw
    fixed_clock.at = datetime(2026, 11, 25, 13, tzinfo=UTC)
    office.post(f"{address}/draw", data={"csrf_token": csrf, "seed": SEED})
    page = office.get(address).text
    row = db.session.scalars(select(Inspection)).one()
    # what stands on the page is run as it stands
    recipe = re.search(r'<pre class="recipe"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert recipe is not None
    (tmp_path / "list.txt").write_bytes(office.get(f"{address}/list.txt").data)
    script = recipe[1].replace("&#34;", '"').replace("&quot;", '"')
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    names = {str(one.id): db.session.get_one(Organisation, one.school_id).name for one in (found, *rest)}
    assert done.stdout.split() == [names[one] for one in row.drawn]
    visit = db.session.scalars(select(InspectionVisit)).first()
    assert visit is not None
    record = f"{Y}/inspections/visits/{visit.id}"
    form = {
        "csrf_token": csrf,
        "visited_on": "2026-11-25",
        "findings": "实验室没有开放。",
        "result.HA-09": "not-met",
        "note.HA-09": "挪用",
    }
    assert office.post(record, data={**form, "conclude": "warned"}).status_code == 422  # no day
    scan = {"file": (BytesIO(make.PDF), "检查记录.pdf")}
    done_page = office.post(
        record, data={**form, **scan, "conclude": "warned", "due_on": "2026-12-25"}, follow_redirects=True
    ).text
    assert "限期整改" in done_page and "检查记录.pdf" in done_page and "挪用" in done_page
    inspected = door(app, make.person(db.session.get_one(Organisation, visit.school_id)))
    own = f"{Y}/{visit.application_id}"
    assert "整改情况" in inspected.get(own).text and "实验室没有开放。" in inspected.get(record).text
    order = db.session.scalars(select(Rectification)).one()
    inspected.post(
        f"{Y}/inspections/rectifications/{order.id}",
        data={
            "csrf_token": token(inspected, own),
            "action": "report",
            "report": "实验室已经恢复开放，课表已经排好，每班每两周一节。",
            "file": (BytesIO(make.PDF), "课表.pdf"),
        },
    )
    assert "报告已交，待复核" in office.get(f"{Y}/?show=rectify").text
    assert "课表.pdf" in office.get(own).text
    office.post(
        f"{Y}/inspections/rectifications/{order.id}", data={"csrf_token": csrf, "action": "accepted", "remark": "合格"}
    )
    assert "整改合格" in inspected.get(own).text
    assert "access:inspection-visit" in set(db.session.scalars(select(AuditEntry.action)))


def test_a_report_and_a_case_through_the_pages(app: Flask, tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin = make.person(tree["school"])
    found = granted(tree, admin, "hunan-baixiao")
    fixed_clock.at = datetime(2027, 6, 20, 2, tzinfo=UTC)
    school, office = door(app, admin), door(app, make.person(tree["province"]))
    csrf, address = token(school, f"{Y}/"), f"{Y}/{found.id}/reports/self-assessment/2027"
    page = school.get(f"{Y}/{found.id}").text
    assert "项目进展" in page and "2027-07-15" in page and "以后还要交" in page
    data = {
        "csrf_token": csrf,
        "edition": "0",
        "title": "",
        "text": "上半年开课情况",
        "text.lessons": "机房改造，五月才开课",
        "action": "save",
    }
    school.post(address, data={**data, "file": (BytesIO(make.PDF), "照片.pdf")})
    assert school.post(address, data={**data, "text": "别的"}).status_code == 409  # the edition was read before
    assert office.get(address).status_code == 404  # a draft
    page = school.post(address, data={**data, "edition": "1", "action": "send"}, follow_redirects=True).text
    assert "数据停在提交的那一刻" in page and "机房改造，五月才开课" in page and "来源：开课记录" in page
    assert "照片.pdf" in office.get(address).text
    assert office.get(f"{address}.docx").data.startswith(b"PK")
    office.post(address, data={"csrf_token": token(office, f"{Y}/"), "action": "return", "remark": "补证据"})
    assert "补证据" in school.get(address).text
    case = {
        "csrf_token": csrf,
        "report": "cases",
        "title": "用数据看生活",
        "subject": "数学",
        "stage": "primary",
        "grade": "5",
        "summary": "学生采集家庭用水数据，用决策树分类并验证，讨论偏差。",
    }
    made = school.post(f"{Y}/cases/new/{found.id}", data=case).headers["Location"]
    assert school.post(f"{Y}/cases/new/{found.id}", data={**case, "stage": "senior"}).status_code == 422
    school.post(f"{made}/step", data={"csrf_token": csrf, "action": "submit"})
    csrf_office = token(office, f"{Y}/")
    office.post(f"{made}/step", data={"csrf_token": csrf_office, "action": "select", "remark": "可推广"})
    page = office.get(f"{Y}/cases?subject=数学&status=selected").text
    assert "用数据看生活" in page and "1 / 1000" in page
    assert "没有符合条件" in office.get(f"{Y}/cases?words=不存在的词").text
    book = load_workbook(BytesIO(office.get(f"{Y}/cases/library.xlsx").data)).active
    assert book is not None
    assert [cell.value for cell in book[2]] == list(cases.COLUMNS) and [cell.value for cell in book[3]][3:6] == [
        "用数据看生活",
        "数学",
        "小学",
    ]


def test_lists_ask_the_database_once_for_all(app: Flask, tree: Tree, fixed_clock: clock.FixedClock) -> None:
    first = granted(tree, make.person(tree["school"]), "henan-experiment")
    with write() as session:
        for number in range(40):
            place = Organisation(
                id=new_id(),
                parent_id=tree["county"].id,
                level="school",
                name=f"第{number}小学",
                code=f"4{number:09d}",
                path="",
            )
            place.path = f"{tree['county'].path}{place.id.hex}/"
            session.add(place)
            session.flush()
            row = Application(
                id=new_id(), school_id=place.id, notice_id=first.notice_id, slug=first.slug, kind=first.kind, batch=first.batch,
                stages=["primary"], status=first.status,
            )  # fmt: skip
            session.add(row)
            session.flush()
            for step, action in enumerate(("submit", "grant"), 1):
                session.add(
                    ApplicationStep(
                        id=new_id(), school_id=place.id, application_id=row.id, number=step, action=action, from_status="", to_status=row.status,
                        to_office_id=tree["province"].id if action == "submit" else None,
                    )
                )  # fmt: skip
    fixed_clock.at = datetime(2028, 7, 1, tzinfo=UTC)
    office = door(app, make.person(tree["province"]))
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    for path in (f"{Y}/", f"{Y}/inspections", f"{Y}/events"):
        asked.clear()
        page = office.get(path)
        assert page.status_code == 200 and len(asked) < 50, (path, len(asked))  # 41 schools: not one question each
    assert "第39小学" in page.text


def test_an_area_keeps_a_norm_and_risks_and_its_inspectors_open_the_pack(app: Flask, tree: Tree) -> None:
    """HA-13: areas are inspected too; who inspects takes the folder along."""
    officer, province, teacher = make.person(tree["county"]), make.person(tree["province"]), make.person(tree["school"], "teacher")
    page = "/programmes/years/norm"
    county = door(app, officer)
    county.post(page, data={"csrf_token": token(county, page), "text": TEXT, "note": "县级"})
    county.post(f"{page}/acknowledge", data={"csrf_token": token(county, page)})
    text = county.get(page).text
    assert "第 1 版" in text and "1 / 1" in text and "监护人（纸质" not in text
    assert "风险清单" in text and county.get(f"{page}/risks").status_code == 200
    assert door(app, province).get(page).status_code == 404
    assert "还没有发布" in door(app, teacher).get(page).text  # a school has its own
    found = granted(tree, make.person(tree["school"]), "henan-experiment")
    pack = f"/programmes/years/{found.id}/inspection-pack.zip"
    assert door(app, province).get(pack).data.startswith(b"PK")
    assert door(app, make.person(tree["city-school"])).get(pack).status_code == 404
