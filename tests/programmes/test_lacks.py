"""What is still lacking and whether there is time: each answer worked out by hand beside it (B2d)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from io import BytesIO

import pytest
from flask import Flask
from openpyxl import load_workbook

from lms.core import clock
from lms.core.db import db, write
from lms.core.models import Account, Organisation
from lms.programmes import lacks, service
from lms.programmes.lacks import Answer
from lms.programmes.models import Application
from lms.usage import service as usage
from lms.usage.rulebook import service as rulebook
from tests import factories
from tests.programmes import places as make
from tests.programmes.province import build
from tests.programmes.test_pages import door
from tests.programmes.test_province import AREAS
from tests.programmes.test_selfcheck import Campus
from tests.usage.makers import closed_lesson


def under_a_province(campus: Campus) -> Campus:
    """Put a province between the nation and the campus's county: its deadlines hold then."""
    school = db.session.get_one(Organisation, campus.school.id)
    county = db.session.get_one(Organisation, school.parent_id)
    province = make.organisation("province", "甲省", db.session.get_one(Organisation, county.parent_id))
    with write():
        county.parent_id, county.path = province.id, f"{province.path}{county.id.hex}/"
        school.path = f"{county.path}{school.id.hex}/"
    return campus


def answer(app: Flask, found: Application, clause: str) -> Answer:
    with app.test_request_context():
        return next(one.answer for one in lacks.steps_of(found) if one.line.criterion["id"] == clause)


def test_before_admission_the_timetable_decides_what_to_do(app: Flask, fixed_clock: clock.FixedClock) -> None:
    province = build(AREAS)
    plan = answer(app, province.schools["东湖一小"], "GS-18")
    assert (plan.reach, plan.todo) == ("done", "照课表上；课表改动后这里会跟着变")
    single = answer(app, province.schools["东湖四小"], "GS-18")  # one class a grade: no timetable helps
    assert single.reach == "no" and "小学要有两个年级各两个班" in single.todo
    half = answer(
        app, province.schools["南川二小"], "GS-18"
    )  # one of two classes a grade has no slot: R = 10 missing each
    assert half.reach == "yes" and half.link == "/school/timetable"
    assert "五年级2班差 10 次" in half.why and "六年级2班差 10 次" in half.why and "1班" not in half.why
    assert answer(app, province.schools["北岭四小"], "GS-18").todo == "登记学期、学段和班级"
    area = province.areas["南川市"]
    count = answer(app, area, "GS-11")  # 4 came in, the fifth is writing: enough
    assert (count.reach, count.why) == ("yes", "已列入 4 所，报来待列入 0 所，正在填写或退回的 1 所，本区系统里共 5 所")
    stages = answer(app, province.areas["西山县"], "GS-12")
    assert (stages.reach, stages.why) == ("depends", "高中已报来 1 所，本区共 1 所有这个学段")
    assert (
        answer(app, area, "GS-15").reach == "yes" and answer(app, province.areas["东湖区"], "GS-14").reach == "depends"
    )
    research = answer(app, area, "GS-13")
    assert (research.reach, research.link) == ("yes", "/register/")


@pytest.fixture
def campus(app: Flask, fixed_clock: clock.FixedClock) -> Campus:
    """In the pilot since 1 September; two grades of two classes, a lesson every Tuesday."""
    found = under_a_province(Campus(fixed_clock))
    found.admit()
    return found


def at(fixed_clock: clock.FixedClock, day: date) -> None:
    fixed_clock.at = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)


def test_after_admission_the_slots_up_to_the_deadline_are_counted(
    app: Flask, campus: Campus, fixed_clock: clock.FixedClock
) -> None:
    """The deadline is 11 December. By then about 15 weeks are over: R = 7. From 5 November Tuesdays 10 November – 8 December hold 5 lessons."""
    at(fixed_clock, date(2026, 10, 8))
    found = campus.begin()
    early = answer(app, found, "GS-18")  # from 13 October there are 9 Tuesdays, 2 a block: enough for 7
    assert (early.reach, early.todo) == ("yes", "照课表上到 2026-12-11")
    at(fixed_clock, date(2026, 11, 5))
    late = answer(
        app, found, "GS-18"
    )  # 5 lessons of 7 by the deadline: not even approximately (6); by January still possible
    assert late.reach == "depends" and "照现有课表到 2026-12-11 还不够" in late.why
    assert late.link in {f"/compliance/classes/{one.id}" for one in campus.classes}  # there the free slots stand
    at(fixed_clock, date(2026, 12, 9))
    lost = answer(app, found, "GS-18")  # R = 10 at term end; the blocks left hold at most 2 each: 8
    assert lost.reach == "no" and "五年级1班" in lost.why


def test_lessons_that_were_held_help(app: Flask, campus: Campus, fixed_clock: clock.FixedClock) -> None:
    account = db.session.get_one(Account, campus.teacher.account_id)
    for week in range(4):  # 8, 15, 22, 29 September
        day = date(2026, 9, 8) + timedelta(weeks=week)
        at(fixed_clock, day)
        for cohort in campus.classes:
            usage.record_lesson(closed_lesson(cohort, campus.teacher, campus.pupils[cohort.id], day), account)
    at(fixed_clock, date(2026, 11, 5))
    found = answer(app, campus.begin(), "GS-18")  # 4 + 5 by 11 December, 7 asked
    assert found.reach in ("yes", "done")


def test_what_is_written_and_what_is_bought(app: Flask, fixed_clock: clock.FixedClock) -> None:
    campus = under_a_province(Campus(fixed_clock))
    found = campus.begin("hunan-baixiao")
    lab = answer(app, found, "HN-19")
    assert (
        lab.reach == "depends" and "118 天内到位" in lab.why and lab.link == "/school/rooms"
    )  # 3 September – 30 December
    theme = answer(app, found, "HN-07")
    assert theme.reach == "yes" and theme.link.endswith("/parts/application.theme")
    venue = answer(app, found, "HN-16")
    assert (venue.todo, venue.reach) == ("填写“多功能场地（100人以上线下活动）”", "yes")
    digital = answer(app, found, "HN-14")
    assert (digital.todo, digital.why) == ("填写“现有条件和优势”", "还要上传附件：学校数字化规划")
    service.save_part(campus.admin, found.id, "application.conditions", "有规划", 0)
    assert answer(app, found, "HN-14").todo == "上传附件：学校数字化规划"
    hours = answer(app, found, "HN-15")
    assert hours.link == "/compliance"
    at(fixed_clock, date(2026, 12, 31))
    over = answer(app, found, "HN-19")
    assert (over.reach, over.why) == ("late", "2026-12-30 已经截止；可以看下一批")


def test_class_hours_against_the_slots_that_are_left(app: Flask, fixed_clock: clock.FixedClock) -> None:
    """HN-15 asks 10 hours of the chosen subject; four classes have one every Tuesday."""
    campus = under_a_province(Campus(fixed_clock))
    rulebook.choose_subjects(campus.admin, campus.school.id, ["人工智能"])
    at(fixed_clock, date(2026, 12, 8))
    found = campus.begin("hunan-baixiao")
    early = answer(app, found, "HN-15")  # Tuesdays 15, 22 and 29 December: 3 × 4 = 12 by the deadline of 30 December
    assert (early.reach, early.why) == ("yes", "人工智能还差 10 课时，课表到 2026-12-30 有 12 节")
    at(fixed_clock, date(2026, 12, 16))
    late = answer(app, found, "HN-15")  # 22 and 29 December: 8
    assert (late.reach, late.why) == ("depends", "人工智能还差 10 课时，课表到 2026-12-30 有 8 节")


def test_the_page(app: Flask, fixed_clock: clock.FixedClock) -> None:
    campus = under_a_province(Campus(fixed_clock))
    found = campus.begin()
    page = door(app, campus.admin).get(f"/programmes/{found.id}/lacks")
    assert page.status_code == 200
    for text in (
        "还有 99 天",
        "须在 2026-12-11 结束前报到",
        "来得及",
        "缺少附件：教育教学计划",
        "开课计划",
        "已经符合",
    ):
        assert text in page.text, text  # 3 September – 11 December: 27 + 31 + 30 + 11 = 99 days
    assert f"/programmes/{found.id}/lacks" in door(app, campus.admin).get(f"/programmes/{found.id}").text
    data = door(app, campus.admin).get(f"/programmes/{found.id}/lacks.xlsx").data
    rows = list(load_workbook(BytesIO(data)).worksheets[0].iter_rows(values_only=True))
    assert rows[0][:3] == ("条款", "条件", "状态") and {row[0] for row in rows[1:]} == {
        "GS-16",
        "GS-17",
        "GS-18",
        "GS-19",
    }
    county = db.session.get_one(Organisation, campus.school.organisation.parent_id)
    for stranger in (
        make.person(county),
        db.session.get_one(Account, factories.make_admin(factories.make_school("乙校")).account_id),
    ):
        for path in ("lacks", "lacks.xlsx"):
            assert door(app, stranger).get(f"/programmes/{found.id}/{path}").status_code == 404
    assert app.test_client().get(f"/programmes/{found.id}/lacks").status_code in (302, 401)
