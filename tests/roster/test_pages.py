"""The roster's pages through the doors that people use: who sees what, what a form does, what is journalled."""

from __future__ import annotations

import io
import re
from datetime import date

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from lms.core.auth import matches
from lms.core.clock import FixedClock
from lms.core.db import db
from lms.core.models import Account, AuditEntry
from lms.roster import service
from lms.roster.models import (
    InventoryItem,
    Person,
    Room,
    School,
    SchoolClass,
    Seat,
    TeachingAssignment,
    Term,
    TimetableSlot,
)
from tests.factories import make_admin, make_class, make_pupils, make_room, make_school, make_teacher, sign_in, token
from tests.roster.books import rows_of, xlsx

PAGES = ("profile", "classes", "people", "rooms", "timetable", "calendar", "import")
TEACHERS_PAGES = ("classes", "rooms", "timetable", "calendar")


@pytest.fixture
def school(app: Flask, fixed_clock: FixedClock) -> School:
    return make_school(stages=("primary", "junior"))


@pytest.fixture
def admin(school: School, client: FlaskClient) -> Person:
    """The school's admin, signed in."""
    person = make_admin(school)
    sign_in(client, person)
    return person


def post(client: FlaskClient, url: str, page: str = "/school/classes", **data: object) -> str:
    """Send a form and follow to the page that answers."""
    answer = client.post(url, data={"csrf_token": token(client, page), **data}, follow_redirects=True, headers={"Referer": f"http://localhost{page}"})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_an_empty_school_says_what_to_do_on_every_page(client: FlaskClient, admin: Person) -> None:
    for name in PAGES:
        answer = client.get(f"/school/{name}")
        assert answer.status_code == 200, name
        ids = re.findall(r'\bid="([^"]+)"', answer.text)
        assert len(ids) == len(set(ids)), name
    assert "开课前还要做" in client.get("/school/profile").text
    assert "还没有班级" in client.get("/school/classes").text
    assert "还没有教室" in client.get("/school/rooms").text


def test_teachers_see_their_classes_and_pupils_and_strangers_see_none(client: FlaskClient, school: School) -> None:
    mine, other = make_class(school, number=1), make_class(school, number=2)
    make_pupils(school, mine, 2)
    [foreign] = make_pupils(school, other, 1)
    sign_in(client, make_teacher(school, mine))
    for name in PAGES:
        assert client.get(f"/school/{name}").status_code == (200 if name in TEACHERS_PAGES else 403), name
    text = client.get("/school/classes").text
    assert "五年级1班" in text
    assert "五年级2班" not in text
    assert client.get(f"/school/classes/{mine.id}").status_code == 200
    assert client.get(f"/school/classes/{other.id}").status_code == 403
    answer = client.post(f"/school/pupils/{foreign.id}/pin", data={"csrf_token": token(client, "/school/classes")})
    assert answer.status_code == 403
    assert client.get("/school/roster.xlsx").status_code == 403


def test_nobody_sees_anything_without_signing_in(client: FlaskClient, school: School) -> None:
    for name in PAGES:
        assert client.get(f"/school/{name}").status_code == 302, name


def test_another_schools_class_is_not_found(client: FlaskClient, admin: Person) -> None:
    foreign = make_class(make_school("别的学校"))
    assert client.get(f"/school/classes/{foreign.id}").status_code == 404


def test_looking_at_a_list_is_journalled_and_one_tap_resets_a_pin(client: FlaskClient, admin: Person, school: School) -> None:
    cohort = make_class(school)
    pupil = make_pupils(school, cohort, 3)[1]
    assert pupil.name in client.get(f"/school/classes/{cohort.id}").text
    assert db.session.scalars(select(AuditEntry.object_id).where(AuditEntry.action == "view-roster")).all() == [str(cohort.id)]
    text = post(client, f"/school/pupils/{pupil.id}/pin", f"/school/classes/{cohort.id}")
    found = re.search(r'fresh-pin">(\d{4})<', text)
    assert found
    account = db.session.get(Account, pupil.account_id)
    assert account is not None
    assert matches(account.pin_hash, found[1])
    assert found[1] not in client.get(f"/school/classes/{cohort.id}").text


def test_cards_are_printed_with_cut_lines_and_pictures(client: FlaskClient, admin: Person, school: School) -> None:
    cohort = make_class(school)
    make_pupils(school, cohort, 4)
    page = f"/school/classes/{cohort.id}"
    assert post(client, f"{page}/cards", page).count('class="pin-card"') == 4
    assert "图片口令" in post(client, f"{page}/pin-style", page, style="pictures")
    assert post(client, f"{page}/cards", page).count('class="pin-picture"') == 12
    assert "没有需要打印的口令卡" in post(client, f"{page}/cards", page, scope="missing")


def test_a_class_is_founded_by_any_name_and_a_pupil_joins_moves_and_leaves(client: FlaskClient, admin: Person, school: School) -> None:
    assert "五年级3班" in post(client, "/school/classes", name="五（３）班")
    assert "看不懂班级" in post(client, "/school/classes", name="火箭班")
    assert "这个班已经有了" in post(client, "/school/classes", name="五年级3班")
    cohort = db.session.scalars(select(SchoolClass)).one()
    other = make_class(school, number=4)
    page = f"/school/classes/{cohort.id}"
    assert "张三" in post(client, f"{page}/pupils", page, name="张三", student_no="0301", sex="男", roll_no="1")
    assert "已经有人用了" in post(client, f"{page}/pupils", page, name="李四", student_no="0301")
    person = db.session.scalars(select(Person).where(Person.name == "张三")).one()
    assert "已转班" in post(client, f"/school/pupils/{person.id}/move", page, to=str(other.id))
    assert service.class_of(person.id, date(2026, 11, 24)) == other
    assert "已离校" in post(client, f"/school/pupils/{person.id}/move", page, to="leave")


def test_profile_stages_and_periods_are_saved(client: FlaskClient, admin: Person, school: School) -> None:
    page = "/school/profile"
    form = {"name": "新名学校", "code": "310", "school_type": "九年一贯制", "locality": "乡村", "system": "6-3", "class_style": "cohort"}
    assert "新名学校" in post(client, page, page, **form)
    assert "请从列表中选择" in post(client, page, page, **{**form, "locality": "月球"})
    make_class(school)
    assert "不能再改学制" in post(client, page, page, **{**form, "system": "5-4"})
    stage = {"solution_config": "2", "class_hour_minutes": "35", "admitted_on": "2026-06-10", "training_until": "2026-12-01", "participates": "1"}
    assert "还有 7 天到期" in post(client, "/school/stages/primary", page, **stage)
    assert "一课时应在" in post(client, "/school/stages/primary", page, **{**stage, "class_hour_minutes": "5"})
    times = {f"{end}-{n}": f"{7 + n:02d}:{'00' if end == 'starts' else '40'}" for n in range(1, 9) for end in ("starts", "ends")}
    assert "作息时间已保存" in post(client, "/school/periods/primary", page, **times)
    assert "重叠" in post(client, "/school/periods/primary", page, **{**times, "ends-1": "09:30"})


def test_staff_are_added_given_passwords_and_duties(client: FlaskClient, admin: Person, school: School) -> None:
    cohort = make_class(school)
    page = "/school/people"
    assert "赵老师" in post(client, page, page, name="赵老师", staff_no="T9", roles=["teacher"])
    person = db.session.scalars(select(Person).where(Person.name == "赵老师")).one()
    found = re.search(r'fresh-pin">([a-z0-9-]{14})<', post(client, f"/school/people/{person.id}/password", page))
    assert found
    account = db.session.get(Account, person.account_id)
    assert account is not None
    assert matches(account.password_hash, found[1])
    assert "五年级1班 人工智能" in post(client, f"/school/people/{person.id}/duties", page, class_id=str(cohort.id), subject="人工智能")
    duty = db.session.scalars(select(TeachingAssignment)).one()
    assert "五年级1班 人工智能" not in post(client, f"/school/duties/{duty.id}/end", page)
    assert "不能停用自己" in post(client, f"/school/people/{admin.id}/leave", page)
    assert "已离职" in post(client, f"/school/people/{person.id}/leave", page)


def test_a_room_is_made_enrolled_arranged_and_checked_against_hn19(client: FlaskClient, admin: Person, school: School) -> None:
    text = post(client, "/school/rooms", "/school/rooms", name="二号实验室", code="LAB2", rows="2", columns="3", seats="4")
    room = db.session.scalars(select(Room)).one()
    page = f"/school/rooms/{room.id}"
    assert text.count('class="seat free') == 4
    assert "0 / 1" in text
    codes = re.findall(r'code-digits">(\d{3}) (\d{3})<', post(client, f"{page}/codes", page))
    assert len(codes) == 4
    seat = db.session.scalars(select(Seat).where(Seat.label == "01")).one()
    places = {"places": {str(seat.id): [1, 2]}}
    headers = {"X-CSRFToken": token(client, page)}
    assert client.post(f"{page}/places", json=places, headers=headers).json == {"seats": 1}
    assert client.post(f"{page}/places", json={"places": {str(seat.id): [9, 9]}}, headers=headers).status_code == 422
    assert client.post(f"{page}/places", json=[1], headers=headers).status_code == 422
    assert "主机名已保存" in post(client, f"/school/seats/{seat.id}/host", page, host_name="lab2-01")
    assert "登记已撤销" in post(client, f"/school/seats/{seat.id}/revoke", page)
    assert "已加座位 05" in post(client, f"{page}/seats", page, row="0", column="0")
    assert "座位 05 已移除" in post(client, f"/school/seats/{db.session.scalars(select(Seat.id).where(Seat.label == '05')).one()}/remove", page)
    text = post(client, f"{page}/items", page, category="all_in_one", name="一体机", quantity="1")
    assert "1 / 1" in text
    item = db.session.scalars(select(InventoryItem)).one()
    assert "已从台账删除" in post(client, f"/school/items/{item.id}/remove", page)


def test_a_slot_is_entered_clashes_are_told_and_it_is_removed(client: FlaskClient, admin: Person, school: School) -> None:
    cohort, other = make_class(school), make_class(school, number=2)
    teacher = make_teacher(school, cohort, name="钱老师")
    room, _seats = make_room(school)
    term = db.session.scalars(select(Term)).one()
    page = f"/school/timetable?class={cohort.id}"
    form = {"term_id": str(term.id), "class_id": str(cohort.id), "teacher_id": str(teacher.id), "room_id": str(room.id), "weekday": "1", "ordinal": "2", "subject": "人工智能", "weeks": "odd"}
    text = post(client, "/school/timetable", page, **form)
    assert "单周" in text
    assert "钱老师" in text
    assert "这位教师这一节已经有课" in post(client, "/school/timetable", page, **{**form, "class_id": str(other.id), "weeks": "all"})
    assert "请选择班级" in post(client, "/school/timetable", page, **{**form, "teacher_id": ""})
    assert "五年级1班" in client.get(f"/school/timetable?room={room.id}").text
    slot = db.session.scalars(select(TimetableSlot)).one()
    assert "已从课表删除" in post(client, f"/school/timetable/{slot.id}/remove", page)


def test_a_list_is_previewed_corrected_and_imported(client: FlaskClient, admin: Person, school: School) -> None:
    rows = [["名单"], ["学号", "姓 名", "班别"], ["01", "张 三", "五年级1班"], ["02", "李四2", "五年级1班"]]

    def upload(rows: list[list[object]], **form: str) -> str:
        data = {"csrf_token": token(client, "/school/import"), "kind": "pupils", "file": (io.BytesIO(xlsx(rows)), "名单.xlsx"), **form}
        answer = client.post("/school/import", data=data, follow_redirects=True, headers={"Referer": "http://localhost/school/import"})
        assert answer.status_code == 200
        return answer.text

    text = upload(rows)
    assert "系统里还没有这些班：五年级1班" in text
    assert "姓名列：“李四2”含有数字" in text
    found = re.search(r"/school/import/([0-9a-f]{32})/problems.xlsx", text)
    assert found
    job = f"/school/import/{found[1]}"
    copy = rows_of(client.get(f"{job}/problems.xlsx").data)
    assert copy["名单"][1][0] == "问题"
    assert "将新建 1 个班" in post(client, job, "/school/import", create_classes="1")
    assert "没有导入任何内容" in post(client, f"{job}/apply", "/school/import")
    assert db.session.scalar(select(func.count()).select_from(SchoolClass)) == 0
    assert "新增 1，更新 0，无变化 0，跳过 1" in post(client, f"{job}/apply", "/school/import", good_only="1", kind="pupils")
    assert client.get(job).status_code == 404
    assert "不是 Excel 文件" in client.post(
        "/school/import",
        data={"csrf_token": token(client, "/school/import"), "kind": "pupils", "file": (io.BytesIO(b"hello"), "a.xlsx")},
        follow_redirects=True,
        headers={"Referer": "http://localhost/school/import"},
    ).text
    assert rows_of(client.get("/school/roster.xlsx").data)["五年级1班"][1][:2] == ["01", "张三"]
    for kind in ("pupils", "staff", "slots"):
        assert rows_of(client.get(f"/school/templates/{kind}.xlsx").data)


def test_a_form_never_sends_the_browser_away(client: FlaskClient, admin: Person) -> None:
    data = {"csrf_token": token(client, "/school/classes"), "name": "火箭班"}
    answer = client.post("/school/classes", data=data, headers={"Referer": "http://evil.example//x"})
    assert answer.headers["Location"] == "/school"
