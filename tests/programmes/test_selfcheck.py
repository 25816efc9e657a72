"""Self-check from live data: each result worked out by hand beside it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from lms.core import clock
from lms.core.db import db, write
from lms.core.models import Account, Organisation
from lms.programmes import drafts, selfcheck, service, workflow
from lms.programmes.measures import Outcome
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.teaching import teachers_of
from lms.roster import service as roster
from lms.roster.models import Period, School, SchoolClass, SchoolStage, TeachingAssignment, Term, TimetableSlot
from lms.roster.rooms import largest_class
from lms.roster.school import apply_national_days
from lms.usage import service as usage
from tests import factories
from tests.factories import token
from tests.programmes import places as make
from tests.programmes.province import MIDDLE, TWO, A, J, P, S, build
from tests.programmes.test_pages import door
from tests.usage.makers import closed_lesson

BEGIN = datetime(2026, 9, 3, 2, tzinfo=UTC)


def timetable(school: School, teacher: object, classes: list[SchoolClass], subject: str = "人工智能") -> None:
    term = db.session.scalars(select(Term).where(Term.school_id == school.id)).one()
    periods = db.session.scalars(select(Period).where(Period.school_id == school.id).order_by(Period.ordinal)).all()
    with write():
        for number, cohort in enumerate(classes):
            db.session.add(
                TimetableSlot(
                    school_id=school.id,
                    term_id=term.id,
                    class_id=cohort.id,
                    teacher_id=teacher.id,  # type: ignore[attr-defined]  # a Person
                    period_id=periods[number].id,
                    weekday=1,
                    subject=subject,
                )
            )


class Campus:
    """A primary school: grades 5 and 6 with two classes each, one AI lesson a week on Tuesdays, a lab without terminals."""

    def __init__(
        self, fixed: clock.FixedClock, grades: tuple[int, ...] = (5, 5, 6, 6), subject: str = "人工智能"
    ) -> None:
        fixed.at = BEGIN
        self.school = factories.make_school()
        apply_national_days(self.school.id, date(2026, 9, 1), date(2027, 1, 22))
        self.classes = [
            factories.make_class(self.school, "primary", grade, 1 + grades[:place].count(grade))
            for place, grade in enumerate(grades)
        ]
        self.teacher = factories.make_teacher(self.school, *self.classes, name="王老师")
        self.pupils = {cohort.id: factories.make_pupils(self.school, cohort, 2) for cohort in self.classes}
        self.admin = db.session.get_one(Account, factories.make_admin(self.school).account_id)
        timetable(self.school, self.teacher, self.classes, subject)

    def admit(self) -> None:
        """The school is in the pilot from the first day of term."""
        with write():
            for row in db.session.scalars(select(SchoolStage).where(SchoolStage.school_id == self.school.id)):
                row.admitted_on = date(2026, 9, 1)

    def begin(self, slug: str = "ncet-pilot") -> Application:
        return service.begin(self.admin, slug, "school", "2026")


def outcome(found: Application, name: str) -> Outcome:
    return next(one.outcome for one in selfcheck.check(found) if one.criterion["id"] == name)


def test_before_the_first_lesson_the_timetable_speaks_and_says_so(app: Flask, fixed_clock: clock.FixedClock) -> None:
    found = Campus(fixed_clock).begin()
    line = outcome(found, "GS-18")  # a slot every week in 2 grades × 2 classes: twice what is asked
    assert line.state == "met"
    assert line.source.endswith("（计划）") and line.figure.startswith("计划：") and "已上：" in line.figure


def test_a_single_class_a_grade_can_never_do(app: Flask, fixed_clock: clock.FixedClock) -> None:
    found = Campus(fixed_clock, (3, 4, 5, 6)).begin()
    assert outcome(found, "GS-18").state == "not-met"  # 每年级至少2个班


def test_after_admission_lessons_decide(app: Flask, fixed_clock: clock.FixedClock) -> None:
    campus = Campus(fixed_clock)
    campus.admit()
    account = db.session.get_one(Account, campus.teacher.account_id)
    for week in range(12):  # 8 September – 24 November, every Tuesday but the holiday: 11 lessons, 5 or 6 asked
        day = date(2026, 9, 8) + timedelta(weeks=week)
        if day == date(2026, 10, 6):
            continue
        fixed_clock.at = datetime(day.year, day.month, day.day, 3, tzinfo=UTC)
        for cohort in campus.classes:
            usage.record_lesson(closed_lesson(cohort, campus.teacher, campus.pupils[cohort.id], day), account)
    fixed_clock.at = datetime(2026, 11, 24, 4, tzinfo=UTC)
    found = campus.begin()
    line = outcome(found, "GS-18")
    judged = usage.judge(campus.school.id, "fortnightly", date(2026, 11, 24))
    assert (line.state, judged.verdict) == ("met", "met")
    assert line.source.startswith("开课记录") and "（计划）" not in line.source


def test_before_admission_the_plan_decides_and_the_lessons_stand_beside_it(
    app: Flask, fixed_clock: clock.FixedClock
) -> None:
    campus = Campus(fixed_clock)
    fixed_clock.at = datetime(2026, 11, 24, 4, tzinfo=UTC)
    found = campus.begin()
    line = outcome(found, "GS-18")  # B2: nothing was taught, every week is planned
    assert line.state == "met" and line.source.endswith("（计划）")
    assert "计划：" in line.figure and "已上：" in line.figure
    campus.admit()
    line = outcome(found, "GS-18")
    assert line.state == "not-met" and not line.source.endswith("（计划）")


def test_after_admission_the_teaching_teachers_are_those_who_taught(app: Flask, fixed_clock: clock.FixedClock) -> None:
    campus = Campus(fixed_clock)
    names = [one.name for one in teachers_of(campus.school.id, "某校")]
    assert names == ["王老师"]  # of the timetable (GS-15, B7)
    campus.admit()
    assert teachers_of(campus.school.id, "某校") == []
    substitute = factories.make_teacher(campus.school, name="代老师")
    account = db.session.get_one(Account, substitute.account_id)
    cohort = campus.classes[0]
    fixed_clock.at = datetime(2026, 9, 8, 3, tzinfo=UTC)
    usage.record_lesson(closed_lesson(cohort, substitute, campus.pupils[cohort.id], date(2026, 9, 8)), account)
    assert [one.name for one in teachers_of(campus.school.id, "某校")] == ["代老师"]


def test_the_laboratory_by_its_inventory(app: Flask, fixed_clock: clock.FixedClock) -> None:
    campus = Campus(fixed_clock)
    found = campus.begin("hunan-baixiao")
    assert outcome(found, "HN-19") == Outcome("not-met", "没有登记实验教室", "教室与设备台账")
    room, _seats = factories.make_room(campus.school, seats=2)
    assert "教学一体机1台" in outcome(found, "HN-19").figure
    for category, quantity in (("all_in_one", 1), ("teacher_terminal", 1), ("student_terminal", 2), ("furniture", 1)):
        roster.set_item(campus.admin, room, category, "设备", quantity, software="智课")
    line = outcome(found, "HN-19")  # the largest class has 2 pupils
    assert line.state == "met" and "学生学习终端(含配套软件)每人1台 现有 2" in line.figure


def test_the_plan_comes_from_the_timetable(app: Flask, fixed_clock: clock.FixedClock) -> None:
    campus = Campus(fixed_clock)
    found = campus.begin()
    proposed = drafts.filled("school-statement.lessons", pack_of(found).part("school-statement.lessons"), found)
    assert proposed is not None
    rows = proposed.rows
    assert rows == [
        {"stage": "小学", "class": name, "pupils": "2", "hours": "每周 1 课时", "name": "王老师"}
        for name in ("五年级1班", "五年级2班", "六年级1班", "六年级2班")
    ]
    assert service.save_part(campus.admin, found.id, "school-statement.lessons", rows, 0).words.count > 0
    assert drafts.filled("school-statement.lessons", pack_of(found).part("school-statement.lessons"), found) is None


def test_two_teachers_of_the_subject(app: Flask, fixed_clock: clock.FixedClock) -> None:
    campus = Campus(fixed_clock)
    found = campus.begin("henan-experiment")
    assert outcome(found, "HA-16") == Outcome("warn", "1 人，要求 2 人", "任课安排")
    timetable(campus.school, factories.make_teacher(campus.school, name="李老师"), campus.classes[:1])
    assert outcome(found, "HA-16").state == "met"


def test_a_school_that_teaches_ai_within_another_subject(app: Flask, fixed_clock: clock.FixedClock) -> None:
    """AI 课所在学科 (HA-04): teachers, the plan and the draft of the 开课计划 come from that subject of the timetable."""
    campus = Campus(fixed_clock, subject="信息科技")
    found = campus.begin("henan-experiment")
    lessons = pack_of(found).part("school.lessons")
    assert outcome(found, "HA-16").figure.startswith("0 人") and drafts.filled("school.lessons", lessons, found) is None
    admin = door(app, campus.admin)
    page = admin.get("/school/profile").text
    assert "AI 课所在学科" in page
    form = {"name": "某校", "school_type": "小学", "locality": "城区", "system": "6-3", "class_style": "grade", "host_subject": "信息科技"}
    admin.post("/school/profile", data={**form, "csrf_token": token(admin, "/school/profile")})
    db.session.expire_all()
    assert outcome(found, "HA-16").figure.startswith("1 人") and outcome(found, "HA-04-s").state == "met"
    proposal = drafts.filled("school.lessons", lessons, found)
    assert proposal is not None and [row["hours"] for row in proposal.rows] == ["每周 1 课时"] * 4
    with write():
        db.session.execute(update(TeachingAssignment).values(subject="信息科技"))
    room, _seats = factories.make_room(campus.school)
    assert largest_class(campus.school.id, room.id) == 2  # each class has two pupils


def test_a_large_areas_team_is_drafted_and_can_be_handed_in(app: Flask, fixed_clock: clock.FixedClock) -> None:
    """8 schools with 3 teachers each: 成员24, and the titles that their files still have; nobody of a stage that does not take part (GS-15)."""
    titles = ("一级教师", "中教高级", "特级教师")
    schools = [
        S(f"小学{n}", "小学", (P,), TWO, tuple((f"师{n}{one}", one) for one in titles)) for n in range(7)
    ] + [S("九年校", "九年一贯制", (J,), TWO | MIDDLE, (("甲", "一级教师"), ("乙", "一级教师"), ("丙", "一级教师")), idle=(P,))]
    found = build((A("西区", "county", tuple(schools), ()),)).areas["西区"]
    key = "area-statement.teams"
    proposal = drafts.filled(key, pack_of(found).part(key), found)
    assert proposal is not None and len(proposal.rows) == 24
    roles = [row["role"] for row in proposal.rows if row["stage"] == "小学"]
    assert roles[-1] == "成员21" and {row["stage"] for row in proposal.rows if row["unit"] == "九年校"} == {"初中"}
    for row in proposal.rows:
        row["mobile"] = "13800000000"
    officer = db.session.scalars(select(Account).where(Account.organisation_id == found.school_id)).one()
    service.save_part(officer, found.id, key, proposal.rows, 0)
    assert [one.text for one in service.lacks_of(found) if one.where == key] == []
    assert outcome(found, "GS-15") == Outcome("met", "8 所学校、24 人", "开课计划与申报表")


@pytest.fixture
def county(app: Flask, fixed_clock: clock.FixedClock) -> Organisation:
    return make.tree()["county"]


def test_an_area_counts_its_schools(county: Organisation) -> None:
    officer = make.person(county)
    area = service.begin(officer, "ncet-pilot", "area", "2026")
    assert outcome(area, "GS-11").figure == "0 所，要求不少于 5 所"
    rows = []
    for name, stages, code in (
        ("一小", ("primary",), ""),
        ("二小", ("primary",), ""),
        ("九年校", ("primary", "junior"), ""),
        ("三中", ("junior",), ""),
        ("一小东区", ("primary",), "same"),
        ("一小西区", ("primary",), "same"),
    ):
        admin = make.person(make.school(name, county, stages, code))
        found = service.begin(admin, "ncet-pilot", "school", "2026")
        make.fill_in(admin, found)
        rows.append((admin, found))
    assert outcome(area, "GS-11").state == "not-met"  # drafts are not seen
    for admin, found in rows:
        workflow.submit(admin, found.id)
    assert outcome(area, "GS-11").figure == "0 所，要求不少于 5 所；另有 6 所已报来、本区还没有列入，不计"
    for _admin, found in rows:
        workflow.act(officer, found.id, "recommend")
    line = outcome(area, "GS-11")  # two campuses under one code count once
    assert (line.state, line.figure) == ("met", "5 所，要求不少于 5 所；另有 1 所没有自己的学校标识码，不计")
    assert outcome(area, "GS-12").figure == "小学 4 所、初中 2 所，每个学段要求 2 所"
    team = [{"stage": "小学", "role": "牵头人", "name": "甲", "unit": "教研室", "title": "小学高级教师", "mobile": "1"}]
    service.save_part(officer, area.id, "area-statement.teams", team, 0)
    assert outcome(area, "GS-14").state == "not-met"
    assert outcome(area, "GS-13").figure == "还没有教研团队：初中"
    assert "小学：一小" in outcome(area, "GS-15").figure
