"""The pages and the workbook, through the same door as a browser."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace
from datetime import date, timedelta
from io import BytesIO

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import load_workbook
from sqlalchemy import select

from lms.config import to_environ
from lms.core import clock
from lms.core.db import db, write
from lms.core.models import Account
from lms.roster.models import Person, School, SchoolClass, Term
from lms.roster.school import apply_national_days
from lms.usage import service
from lms.usage.corrections.models import CorrectionProposal
from tests.factories import make_admin, make_class, make_pupils, make_school, make_teacher, sign_in, token
from tests.usage.makers import at, closed_lesson
from tests.usage.test_reading import lms


class Campus:
    """A primary school with two grades of two classes; lessons every week in grade 5, none in grade 6."""

    def __init__(self, fixed: clock.FixedClock) -> None:
        self.school: School = make_school()
        apply_national_days(self.school.id, date(2026, 9, 1), date(2027, 1, 22))
        self.classes: list[SchoolClass] = [make_class(self.school, "primary", grade, number) for grade in (5, 6) for number in (1, 2)]
        self.teacher: Person = make_teacher(self.school, self.classes[0])
        self.admin: Person = make_admin(self.school)
        self.pupils = make_pupils(self.school, self.classes[0], 2)
        account = db.session.get(Account, self.teacher.account_id)
        self.records = []
        for week in range(10):
            day = date(2026, 9, 8) + timedelta(weeks=week)
            for cohort in self.classes[:2]:
                fixed.at = at(day, 3)
                more = {"minutes": 12} if week == 9 else {}
                if day != date(2026, 10, 6):
                    self.records.append(service.record_lesson(closed_lesson(cohort, self.teacher, self.pupils, day, **more), account))
        fixed.at = at(date(2026, 11, 24), 3)


@pytest.fixture
def campus(app: Flask, fixed_clock: clock.FixedClock) -> Campus:
    return Campus(fixed_clock)


def page(client: FlaskClient, url: str, status: int = 200) -> str:
    answer = client.get(url)
    assert answer.status_code == status, answer.text[:2000]
    return answer.text


def test_the_admin_reads_the_answer_first(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.admin)
    text = page(client, "/compliance")
    assert text.index("未达标") < text.index("接下来要做什么") < text.index("五年级1班")
    assert "规则版本 1.0.0" in text
    assert "教电馆〔2022〕22号" in text
    assert "六年级2班" in text
    assert "示范数据" not in text
    assert "每月至少两次" in page(client, "/compliance?rule=twice-a-month")
    assert "暂不能判定" in page(client, "/compliance?as_of=2026-09-10")


def test_a_teacher_sees_own_classes_only(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.teacher)
    text = page(client, "/compliance")
    assert "五年级1班" in text
    assert "五年级2班" not in text
    assert "全校判定" not in text
    page(client, f"/compliance/classes/{campus.classes[0].id}")
    page(client, f"/compliance/classes/{campus.classes[1].id}", 403)
    page(client, f"/usage/records/{campus.records[1].id}", 403)
    page(client, "/usage/chain", 403)


def test_strangers_and_pupils_stay_outside(campus: Campus, client: FlaskClient, app: Flask) -> None:
    assert client.get("/compliance").status_code == 302
    other = make_admin(make_school("别的学校"))
    sign_in(client, other)
    page(client, f"/usage/records/{campus.records[0].id}", 404)
    page(client, f"/compliance/classes/{campus.classes[0].id}", 404)


def test_a_class_page_explains_every_lesson(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.admin)
    text = page(client, f"/compliance/classes/{campus.classes[0].id}")
    assert "课位内 12 分钟，不足 40 分钟课时的 75%" in text
    assert text.count("● 计") == 8
    assert "国庆节" in text
    text = page(client, f"/compliance/classes/{campus.classes[0].id}?rule=twice-a-month")
    assert "2026-09" in text
    text = page(client, f"/compliance/classes/{campus.classes[2].id}")
    assert "还没有上课记录" in text


def test_a_record_shows_its_evidence(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.admin)
    record = campus.records[0]
    text = page(client, f"/usage/records/{record.id}")
    assert "与前后环相接" in text
    assert "4 种" not in text
    assert "终端心跳" in text
    text = page(client, "/usage/chain")
    assert "共 24 环" in text  # the key, the calendar, four classes, 18 records


def test_one_proposes_and_another_countersigns_a_correction(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.teacher)
    record = next(one for one in campus.records if one.minutes == 12 and one.class_id == campus.classes[0].id)
    url, send_to = f"/usage/records/{record.id}", f"/usage/corrections/records/{record.id}"
    assert "不计：" in page(client, url)
    form = {
        "minutes": "40",
        "present": "2",
        "on_leave": "0",
        "kind": "regular",
        "reason": "下课铃提前，误点结束",
        "csrf_token": token(client, url),
    }
    for wrong in ({"minutes": "many"}, {"kind": "party"}, {"reason": " "}, {"present": "999"}, {"minutes": "12"}):
        assert client.post(send_to, data=form | wrong).status_code == 422, wrong
    assert client.post(send_to, data=form).status_code == 302
    assert client.post(send_to, data=form).status_code == 409  # one waits already
    assert "等人确认" in page(client, url)
    proposal = db.session.scalars(select(CorrectionProposal)).one()
    sign = f"/usage/corrections/{proposal.id}/countersign"
    assert client.post(sign, data=form).status_code == 409  # not by the same person
    assert "等别人确认" in page(client, "/usage/corrections/")
    second = client.application.test_client()
    sign_in(second, campus.admin)
    listed = page(second, "/usage/corrections/")
    assert "课位内分钟数 12 → <b>40</b>" in listed
    answer = second.post(sign, data={"csrf_token": token(second, "/usage/corrections/")})
    assert answer.status_code == 302, answer.text
    db.session.expire_all()
    new = page(client, f"/usage/records/{proposal.correction_id}")
    assert "更正记录，原因：下课铃提前，误点结束" in new
    assert "王老师 提出，教务主任 确认" in new
    assert "已被更正" in page(client, url)
    assert client.post(send_to, data=form).status_code == 409
    assert page(client, f"/compliance/classes/{campus.classes[0].id}").count("● 计") == 9
    assert service.verify_chain(campus.school.id).ok


def test_a_record_is_withdrawn_by_two_people_and_no_rule_sees_it(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.admin)
    record = next(one for one in campus.records if one.minutes == 40 and one.class_id == campus.classes[0].id)
    url = f"/usage/records/{record.id}"
    form = {"kind": "void", "reason": "登记到了别的班", "csrf_token": token(client, url)}
    assert client.post(f"/usage/corrections/records/{record.id}", data=form).status_code == 302
    proposal = db.session.scalars(select(CorrectionProposal)).one()
    teacher = client.application.test_client()
    sign_in(teacher, campus.teacher)
    token_there = {"csrf_token": token(teacher, "/usage/corrections/")}
    assert teacher.post(f"/usage/corrections/{proposal.id}/countersign", data=token_there).status_code == 302
    db.session.expire_all()
    assert "已作废" in page(client, f"/usage/records/{proposal.correction_id}")
    facts = service.facts_of(campus.school.id, date(2026, 11, 24))
    assert not {str(record.id), str(proposal.correction_id)} & {one.id for one in facts.lessons}
    assert service.verify_chain(campus.school.id).ok


def test_day_teacher_register_and_parts_are_corrected_too(campus: Campus, client: FlaskClient) -> None:
    """All that may be wrong in a record has its field; what cannot be is refused with the field's name, the rest waits for two people."""
    other = make_teacher(campus.school, campus.classes[0], name="李老师", username="li")
    first, record = [one for one in campus.records if one.class_id == campus.classes[0].id][-3:-1]
    sign_in(client, campus.teacher)
    url, send_to = f"/usage/records/{record.id}", f"/usage/corrections/records/{record.id}"
    text = page(client, url)
    form = {name: re.search(f'name="{name}" type="[a-z]+" value="([^"]*)"', text)[1] for name in ("lesson_on", "minutes", "class_hours", "roster", "present", "on_leave", "subject", "makeup_on")}  # type: ignore[index]  # a field that is missing fails here
    form |= {"kind": record.kind, "unit": record.units[0], "teacher_id": str(record.teacher_id), "part": "", "reason": "登记错了", "csrf_token": token(client, url)}
    assert client.post(send_to, data=form).status_code == 422, "as it stands: nothing is changed"
    wrong = {"lesson_on": "2026-11-25", "teacher_id": str(uuid.uuid4()), "subject": " ", "class_hours": "9", "roster": "0", "part": "quarters-4"}
    for name, value in (*wrong.items(), ("lesson_on", "2026-08-01"), ("lesson_on", "gestern")):
        assert client.post(send_to, data=form | {name: value}).status_code == 422, (name, value)
    day = record.lesson_on - timedelta(days=1)
    right = {"lesson_on": day.isoformat(), "teacher_id": str(other.id), "subject": "信息科技", "class_hours": "2", "roster": str(record.roster + 1), "part": "halves-2"}
    assert client.post(send_to, data=form | right).status_code == 302
    second = client.application.test_client()
    sign_in(second, campus.admin)
    listed = page(second, "/usage/corrections/")
    for words in (f"日期 {record.lesson_on} → <b>{day}</b>", "教师 王老师 → <b>李老师</b>", "分次 整节课 → <b>半班教学，分 2 组</b>"):
        assert words in listed
    proposal = db.session.scalars(select(CorrectionProposal)).one()
    assert second.post(f"/usage/corrections/{proposal.id}/countersign", data={"csrf_token": token(second, "/usage/corrections/")}).status_code == 302
    db.session.expire_all()
    new = service.record_of(campus.school.id, proposal.correction_id)
    assert (new.lesson_on, new.teacher_id, new.subject, new.class_hours, new.roster) == (day, other.id, "信息科技", 2, record.roster + 1)
    assert new.started_at - record.started_at == new.ended_at - record.ended_at == timedelta(days=-1)
    assert new.part_of == {"lesson": str(record.lesson_id), "kind": "halves", "parts": 2}
    assert f"与 {day} 的课合为一课" in page(client, f"/usage/records/{first.id}"), "the other half is offered where it can be"
    assert service.verify_chain(campus.school.id).ok


def test_a_refused_correction_changes_nothing(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.admin)
    record = campus.records[0]
    url = f"/usage/records/{record.id}"
    form = {"kind": "void", "reason": "试试", "csrf_token": token(client, url)}
    client.post(f"/usage/corrections/records/{record.id}", data=form)
    proposal = db.session.scalars(select(CorrectionProposal)).one()
    assert client.post(f"/usage/corrections/{proposal.id}/refuse", data=form).status_code == 302
    db.session.expire_all()
    assert proposal.state == "withdrawn"
    assert client.post(f"/usage/corrections/{proposal.id}/countersign", data=form).status_code == 409


def test_a_broken_chain_is_told(campus: Campus, client: FlaskClient) -> None:
    record = campus.records[3]
    seq = record.event_seq
    with db.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            for name in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='trigger'").scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql(f"UPDATE usage_record SET present = 99 WHERE event_seq = {seq}")
    sign_in(client, campus.admin)
    assert f"从第 {seq} 环开始断裂" in page(client, "/usage/chain")
    assert "使用记录与证据链上的内容不符" in page(client, f"/usage/records/{record.id}")


def test_the_workbook_is_text_and_ready_to_print(campus: Campus, client: FlaskClient, app: Flask) -> None:
    with write():
        campus.classes[0].label = "=1+1"
        db.session.add(campus.classes[0])
    sign_in(client, campus.admin)
    answer = client.get("/compliance.xlsx")
    assert answer.status_code == 200
    book = load_workbook(BytesIO(answer.data))
    assert book.sheetnames == ["学段", "班级", "课次"]
    for sheet in book:
        assert all(cell.data_type in ("s", "n") and not isinstance(cell.value, int | float) for row in sheet.iter_rows() for cell in row)
        assert (sheet.page_setup.orientation, sheet.page_setup.fitToWidth, sheet.print_title_rows) == ("landscape", 1, "$3:$3")
    classes = list(book["班级"].iter_rows(min_row=4, values_only=True))
    assert len(classes) == 8
    assert classes[0][:10] == ("平均每两周左右1次", "小学", "=1+1", "达标", "达标", "12", "6", "8", "8", "2")
    assert len(list(book["课次"].iter_rows(min_row=4))) == 18
    sign_in(client, campus.teacher)
    book = load_workbook(BytesIO(client.get("/compliance.xlsx").data))
    assert book.sheetnames == ["班级", "课次"]
    assert len(list(book["课次"].iter_rows(min_row=4))) == 9


def test_simulated_data_is_marked_everywhere(app: Flask, client: FlaskClient, fixed_clock: clock.FixedClock) -> None:
    app.config["ZHIKE"] = replace(app.config["ZHIKE"], origin="simulated")
    campus = Campus(fixed_clock)
    sign_in(client, campus.admin)
    for url in ("/compliance", f"/compliance/classes/{campus.classes[0].id}", f"/usage/records/{campus.records[0].id}", "/usage/chain"):
        assert "示范数据 · 模拟" in page(client, url)
    book = load_workbook(BytesIO(client.get("/compliance.xlsx").data))
    assert "示范数据" in book["班级"]["A3"].value


def test_empty_schools_are_told_what_to_do(app: Flask, client: FlaskClient, fixed_clock: clock.FixedClock) -> None:
    school = make_school()
    admin = make_admin(school)
    sign_in(client, admin)
    assert "还没有班级" in page(client, "/compliance")
    make_class(school)
    assert "还没有上课记录" in page(client, "/compliance")
    with write():
        for term in db.session.query(Term):
            db.session.delete(term)
    assert "学校还没有设置学期" in page(client, "/compliance")
    page(client, "/compliance?as_of=yesterday", 422)
    page(client, "/compliance?rule=weekly", 404)


def test_the_api_answers_as_the_command_line(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.admin)
    answer = client.get("/api/usage/compliance?rule=fortnightly")
    assert answer.json == json.loads(json.dumps(service.evaluate(campus.school.id, "fortnightly", date(2026, 11, 24))))


def test_command_line_verifies_the_chain(campus: Campus, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    from lms.config import get_settings

    for name, value in to_environ(app.config["ZHIKE"]).items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    school_id = str(campus.school.id)
    db.session.remove()
    answer = CliRunner().invoke(lms, ["usage", "verify"])
    assert (answer.exit_code, "完整：24 环" in answer.output) == (0, True), answer.output
    answer = CliRunner().invoke(lms, ["usage", "verify", "--json", "--school", school_id])
    assert json.loads(answer.output) == {
        school_id: {"name": "示范实验学校", "ok": True, "length": 24, "first_broken": None, "reason": "", "origin": ["real"]}
    }
    assert CliRunner().invoke(lms, ["usage", "verify", "--school", "nowhere"]).exit_code == 1
    get_settings.cache_clear()
