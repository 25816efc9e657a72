"""The register through its door: enter, change, remove and put back, scans, who may see what; lists from Excel."""

from __future__ import annotations

from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import Workbook, load_workbook
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import Invalid, NotAllowed, NotFound
from lms.core.models import Account, AuditEntry
from lms.register import book, intake, service
from lms.register.intake import Line
from lms.register.models import Achievement, Activity, Attendance
from lms.register.people import staff_of
from tests import factories
from tests.programmes import places

PDF = b"%PDF-1.4\n% made up\n%%EOF\n"
TEXTS = {"日期": "2026-10-20", "类别": "骨干教师专业知识与技能", "主题": "课程培训", "学时": "16", "学分": "2"}
AWARD = {"对象": "教师", "姓名": "王老师", "类别": "精品课征集", "成果名称": "精品课", "级别": "省级", "年份": "2025"}


class House:
    """A school with an admin and two teachers."""

    def __init__(self) -> None:
        self.school = factories.make_school()
        self.admin = db.session.get_one(Account, factories.make_admin(self.school).account_id)
        self.wang, self.li = (factories.make_teacher(self.school, name=name) for name in ("王老师", "李老师"))

    def account(self, person: object) -> Account:
        return db.session.get_one(Account, person.account_id)  # type: ignore[attr-defined]  # a Person


@pytest.fixture
def house(app: Flask, fixed_clock: clock.FixedClock) -> House:
    return House()


def test_enter_change_remove_put_back(house: House) -> None:
    row = service.save_activity(house.admin, None, TEXTS, [house.wang.id.hex, house.li.id.hex])
    [line] = service.activities_of(house.school.id)
    assert ([one.name for one in line.people], line.total) == (["李老师", "王老师"], 2)
    service.save_activity(house.admin, row.id, {**TEXTS, "其他人数": "30", "学时": "8"}, [house.wang.id.hex])
    [line] = service.activities_of(house.school.id)
    assert ([one.name for one in line.people], line.total, line.row.hours) == (["王老师"], 31, 8.0)
    service.save_activity(house.admin, row.id, TEXTS, [house.wang.id.hex, house.li.id.hex])
    assert len(db.session.scalars(select(Attendance)).all()) == 2  # who comes back is the same row
    service.remove(house.admin, Activity, row.id)
    assert service.activities_of(house.school.id) == []
    service.restore(house.admin, Activity, row.id)
    assert len(service.activities_of(house.school.id)[0].people) == 2


def test_faults_come_together_and_nothing_is_written(house: House) -> None:
    with pytest.raises(Invalid) as refused:
        service.save_activity(house.admin, None, {**TEXTS, "学时": "x", "主题": ""}, [])
    assert [one.column for one in refused.value.facts["faults"]] == ["主题", "学时", "参加人员"]
    with pytest.raises(Invalid):
        service.save_achievement(house.admin, None, {**AWARD, "姓名": "赵老师"})
    assert db.session.scalars(select(Activity)).all() == db.session.scalars(select(Achievement)).all() == []


def test_a_teacher_sees_the_own_entries_only(house: House) -> None:
    row = service.save_activity(house.admin, None, TEXTS, [house.wang.id.hex])
    award = service.save_achievement(house.admin, None, AWARD)
    scan = service.add_file(house.admin, row, "证书.pdf", PDF)
    wang, li = house.account(house.wang), house.account(house.li)
    assert [len(part) for part in service.mine(wang)] == [1, 1]
    assert [len(part) for part in service.mine(li)] == [0, 0]
    assert service.file_of(wang, scan.id).id == scan.id
    with pytest.raises(NotFound):
        service.file_of(li, scan.id)
    for verb in (
        lambda: service.save_activity(wang, row.id, TEXTS, []),
        lambda: service.remove(wang, Achievement, award.id),
        lambda: service.add_file(wang, row, "证书.pdf", PDF),
        lambda: intake.apply(wang, "activities", []),
    ):
        with pytest.raises(NotAllowed):
            verb()


def test_an_office_trains_its_own_people(house: House) -> None:
    office = places.organisation("county", "丙县教育局")
    officer = places.person(office, name="陈科长")
    [member] = staff_of(office.id)
    service.save_activity(officer, None, {**TEXTS, "类别": "局长、校长领导力", "其他人数": "120"}, [member.key])
    assert service.activities_of(office.id)[0].total == 121
    assert [len(part) for part in service.mine(officer)] == [1, 0]
    assert service.activities_of(house.school.id) == []
    with pytest.raises(NotFound):
        service.remove(house.admin, Activity, service.activities_of(office.id)[0].row.id)


def test_an_office_uses_the_same_pages(app: Flask, house: House) -> None:
    office = places.organisation("county", "丙县教育局")
    officer = places.person(office, name="陈科长")
    client = client_of(app, officer)
    assert "陈科长" in client.get("/register/activities/new").text
    csrf = factories.token(client, "/register/activities/new")
    sent = {**TEXTS, "csrf_token": csrf, "其他人数": "2000", "people": [officer.id.hex]}
    page = client.post("/register/activities/new", data=sent, follow_redirects=True)
    assert "1 次、16 学时、2001 人次" in page.text and "丙县教育局" in page.text
    assert "课程培训" in client.get("/register/mine").text
    csrf = factories.token(client, "/register/achievements/new")
    award = {**AWARD, "对象": "teacher", "姓名": "陈科长", "csrf_token": csrf}
    assert "精品课" in client.post("/register/achievements/new", data=award, follow_redirects=True).text


def lines(*rows: dict[str, str]) -> list[Line]:
    return [Line(f"第 {number} 行", row) for number, row in enumerate(rows, 2)]


def test_a_list_is_judged_row_by_row_then_written_once_and_undone(house: House) -> None:
    given = lines(
        {**TEXTS, "参加人员": "王老师"},
        {**TEXTS, "参加人员": "李老师", "证书编号": "2026-1"},  # one person a row: the same activity
        {**TEXTS, "主题": "另一次", "参加人员": "赵老师"},
        {**TEXTS, "主题": "没人", "参加人员": ""},
        {**TEXTS, "参加人员": "王老师", "学时": "4"},
        {**TEXTS, "参加人员": "王老师"},
    )
    assert [one.state for one in intake.judge(house.admin, "activities", given)] == [
        "new",
        "more",
        "bad",
        "bad",
        "bad",
        "known",
    ]
    assert db.session.scalars(select(Activity)).all() == []
    assert intake.apply(house.admin, "activities", given) == 2
    [line] = service.activities_of(house.school.id)
    assert [one.name for one in line.people] == ["李老师", "王老师"]
    assert line.certificates[house.li.id.hex] == "2026-1"
    assert intake.apply(house.admin, "activities", given) == 0
    [made] = intake.imports_of(house.school.id)
    assert (made.activities, made.people, made.achievements) == (1, 2, 0)
    intake.undo(house.admin, made.id)
    assert service.activities_of(house.school.id) == [] and intake.imports_of(house.school.id) == []
    service.restore(house.admin, Activity, line.row.id)
    assert len(service.activities_of(house.school.id)[0].people) == 2  # nothing was lost


def test_an_import_that_adds_people_to_what_was_there_takes_only_them_back(house: House) -> None:
    row = service.save_activity(house.admin, None, TEXTS, [house.wang.id.hex])
    intake.apply(house.admin, "activities", lines({**TEXTS, "参加人员": "李老师"}))
    [made] = intake.imports_of(house.school.id)
    intake.undo(house.admin, made.id)
    assert [one.name for one in service.line_of(house.admin, row.id).people] == ["王老师"]


def test_what_was_exported_is_known_when_it_is_imported(house: House) -> None:
    service.save_activity(
        house.admin, None, {**TEXTS, "其他人数": "3", "主题": "=1+1"}, [house.wang.id.hex, house.li.id.hex]
    )
    service.save_achievement(house.admin, None, AWARD)
    pupils = {**AWARD, "对象": "学生", "姓名": "", "类别": "创新之星", "成果名称": "创新之星", "人次": "4"}
    service.save_achievement(house.admin, None, pupils)
    for kind, data in (
        ("activities", book.activities_book("某校", service.activities_of(house.school.id))),
        ("achievements", book.achievements_book("某校", service.achievements_of(house.school.id))),
    ):
        sheet = load_workbook(BytesIO(data)).worksheets[0]
        assert tuple(cell.value for cell in sheet[2]) == book.COLUMNS[kind]
        assert not any(cell.data_type == "f" for row in sheet.iter_rows() for cell in row)  # nothing is a formula
        again = intake.judge(house.admin, kind, book.read_book(kind, data, "登记.xlsx"))
        assert {one.state for one in again} == {"known"} and not any(one.faults for one in again)
    assert book.read_book("activities", book.template("activities"), "模板.xlsx") == []  # samples are no rows


def client_of(app: Flask, account: Account) -> FlaskClient:
    client = app.test_client()
    answer = client.post(
        "/sign-in",
        data={"username": account.username, "password": factories.PASSWORD, "csrf_token": factories.token(client)},
    )
    assert answer.status_code == 302
    return client


def test_through_the_pages(app: Flask, house: House) -> None:
    client = client_of(app, house.admin)
    assert "还没有登记" in client.get("/register/").text
    csrf = factories.token(client, "/register/activities/new")
    bad = client.post("/register/activities/new", data={**TEXTS, "学时": "很多", "csrf_token": csrf})
    assert bad.status_code == 422 and "很多" in bad.text and "课程培训" in bad.text  # what was typed is there
    good = {**TEXTS, "csrf_token": csrf, "people": [house.wang.id.hex], "file": (BytesIO(PDF), "证书.pdf")}
    page = client.post("/register/activities/new", data=good, follow_redirects=True)
    assert "课程培训" in page.text and "证书.pdf" in page.text and "1 次、16 学时、1 人次" in page.text
    row = service.activities_of(house.school.id)[0].row
    csrf = factories.token(client, "/register/")
    page = client.post(f"/register/activities/{row.id}/remove", data={"csrf_token": csrf}, follow_redirects=True)
    assert "已删除的（1）" in page.text
    client.post(f"/register/activities/{row.id}/restore", data={"csrf_token": csrf})
    assert "王老师" in client.get("/register/").text
    assert client.get("/register/activities.xlsx").data.startswith(b"PK")
    seen = set(db.session.scalars(select(AuditEntry.action)).all())
    assert {
        "access:register",
        "access:register-export",
        "register-activity",
        "register-remove",
        "register-restore",
    } <= seen


def test_import_through_the_pages(app: Flask, house: House) -> None:
    client = client_of(app, house.admin)
    work = Workbook()
    sheet = work.worksheets[0]
    sheet.append(["我校教师成果"])
    sheet.append(["对象", "教师姓名", "类别", "获奖名称", "获奖级别", "获奖年份", "人次"])
    sheet.append(["教师", "王 老师", "论文、著作", "一篇论文", "市级", 2026, None])
    sheet.append(["学生", "张小明", "创新之星", "创新之星", "省级", 2026, 1])
    stream = BytesIO()
    work.save(stream)
    csrf = factories.token(client, "/register/import")
    sent = {"csrf_token": csrf, "kind": "achievements", "file": (BytesIO(stream.getvalue()), "成果.xlsx")}
    page = client.post("/register/import", data=sent)
    assert "新增 1 行" in page.text and "有问题 1 行" in page.text and "不写姓名" in page.text
    kept = page.text.split('name="kept" value="')[1].split('"')[0]
    bad = client.post("/register/import/problems.xlsx", data={"csrf_token": csrf, "kept": kept})
    rows = list(load_workbook(BytesIO(bad.data)).worksheets[0].iter_rows(values_only=True))
    assert len(rows) == 2 and "不写姓名" in str(rows[1][0])
    page = client.post("/register/import/apply", data={"csrf_token": csrf, "kept": kept}, follow_redirects=True)
    assert "一篇论文" in page.text and "张小明" not in page.text
    [made] = intake.imports_of(house.school.id)
    page = client.post(
        f"/register/imports/{made.id}/undo", data={"csrf_token": csrf, "back": "achievements"}, follow_redirects=True
    )
    assert "已撤销导入" in page.text and service.achievements_of(house.school.id) == []


def test_every_route_for_every_role_here_and_elsewhere(app: Flask, house: House) -> None:
    row = service.save_activity(house.admin, None, TEXTS, [house.wang.id.hex])
    award = service.save_achievement(house.admin, None, AWARD)
    scan = service.add_file(house.admin, row, "证书.pdf", PDF)
    own = [("GET", f"/register/activities/{row.id}"), ("POST", f"/register/activities/{row.id}"), ("GET", f"/register/achievements/{award.id}"),
           ("POST", f"/register/achievements/{award.id}"), ("POST", f"/register/activities/{row.id}/remove"), ("POST", f"/register/activities/{row.id}/restore"),
           ("POST", f"/register/achievements/{award.id}/remove"), ("GET", f"/register/files/{scan.id}"), ("POST", f"/register/files/{scan.id}/remove"),
           ("POST", f"/register/imports/{scan.id}/undo")]  # fmt: skip
    editors = [("GET", path) for path in ("/register/achievements", "/register/import", "/register/activities/new", "/register/achievements/new",
               "/register/activities.xlsx", "/register/achievements.xlsx", "/register/activities/template.xlsx")] + [
        ("POST", path) for path in ("/register/import", "/register/import/apply", "/register/import/problems.xlsx", "/register/activities/new", "/register/achievements/new")]  # fmt: skip
    rules = [one for one in app.url_map.iter_rules() if one.endpoint.startswith("register.")]
    assert len(rules) == 21, [one.rule for one in rules]
    other = House()
    office = db.session.get_one(places.Organisation, house.school.organisation.parent_id)
    for stranger in (other.admin, places.person(office), other.account(other.wang)):
        client = client_of(app, stranger)
        csrf = factories.token(client, "/me")
        for method, path in own:
            data = {**TEXTS, **AWARD, "csrf_token": csrf, "people": house.wang.id.hex} if method == "POST" else None
            answer = client.open(path, method=method, data=data)
            assert answer.status_code in (403, 404, 422), (stranger.username, method, path)
    teacher = client_of(app, house.account(house.li))
    csrf = factories.token(teacher, "/me")
    for method, path in (*own, *editors):
        answer = teacher.open(path, method=method, data={"csrf_token": csrf} if method == "POST" else None)
        assert answer.status_code in (403, 404), (method, path, answer.status_code)
    assert "王老师" not in teacher.get("/register/").text
    for role in ("expert", "audit_admin", "sys_admin"):
        client = client_of(app, house.account(factories.make_staff(house.school, role)))
        assert {client.get(path).status_code for method, path in (*own, *editors) if method == "GET"} == {403}
    nobody = app.test_client()
    assert all(nobody.get(path).status_code in (302, 401) for method, path in (*own, *editors) if method == "GET")
    assert row.removed_at is None and award.name == "精品课"
