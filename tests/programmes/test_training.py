"""Criteria that the register of training and achievements answers (GS-13, GS-19, HN-20, HN-21, HA-06, ZN-05), and the drafts from it."""

from __future__ import annotations

from datetime import date

import pytest
from flask import Flask

from lms.core import clock
from lms.core.db import db
from lms.core.models import Account
from lms.programmes import drafts, measures, selfcheck, service
from lms.programmes.drafts import merge
from lms.programmes.measures import Facts, Teacher
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.register import service as register
from lms.register.rules import Award, Held, Record
from tests import factories
from tests.programmes import places as make

TODAY = date(2026, 11, 24)
TWO = (Teacher("王老师", "primary", "一小"), Teacher("李 老师", "primary", "一小"))


def held(
    day: date = date(2026, 10, 20), kind: str = "research", names: tuple[str, ...] = ("王老师",), **more: object
) -> Held:
    category = {"research": "校本教研", "training": "骨干教师专业知识与技能"}[kind]
    return Held(
        kind, str(more.get("category", category)), day, 2, int(str(more.get("people", len(names)))), frozenset(names)
    )


def record(*rows: Held | Award) -> Record:
    return Record(
        tuple(one for one in rows if isinstance(one, Held)), tuple(one for one in rows if isinstance(one, Award)), TODAY
    )


def test_attendance_of_the_teaching_teachers() -> None:
    def state(*rows: Held, teachers: tuple[Teacher, ...] = TWO) -> tuple[str, str]:
        found = measures.attendance(Facts(teachers=teachers, record=record(*rows)), {})
        return found.state, found.figure

    assert state(held())[0] == "not-met"  # 1 of 2
    assert "2 名授课教师中 1 名" in state(held())[1]
    assert state(held(), held(names=("李老师", "赵老师")))[0] == "met"  # a blank in a name is no other name
    assert state(held(date(2025, 11, 1), names=("王老师", "李老师")))[0] == "declare"  # more than a year ago
    assert state(held(), teachers=())[0] == "not-assessable"
    assert "王老师" not in state(held())[1]  # counts only: no names go upward


def test_attendance_falls_back_on_what_is_declared() -> None:
    given = {"parts": ["a.check"], "files": []}
    said = measures.attendance(Facts(content={"a.check": {"GS-19": "都参加"}}, teachers=TWO), given)
    assert (said.state, said.source) == ("met", "学校自述") and "没有登记" in said.figure


def test_research_beside_the_teams() -> None:
    content = {"t": [{"name": "甲", "stage": "小学", "role": "牵头人"}]}
    facts = Facts(stages=("primary",), content=content)
    assert measures.stage_teams(facts, {"part": "t"}).state == "warn"  # no 教研 in the register
    with_one = Facts(stages=("primary",), content=content, record=record(held(), held(kind="training")))
    found = measures.stage_teams(with_one, {"part": "t"})
    assert (found.state, found.figure) == ("met", "1 个学段各有教研团队；近一年教研 1 次、2 学时、1 人次")
    assert (
        measures.stage_teams(Facts(stages=("junior",), content=content, record=record(held())), {"part": "t"}).state
        == "not-met"
    )


def test_training_of_the_kinds_of_the_notice() -> None:
    given = {"categories": ["局长、校长领导力", "骨干教师专业知识与技能"], "least": 1}
    assert measures.training(Facts(record=record(held(kind="training", category="其他培训"))), given).state == "not-met"
    found = measures.training(Facts(record=record(held(kind="training", people=120), held(kind="training"))), given)
    assert (found.state, found.figure) == ("met", "近一年 2 次、4 学时、121 人次")
    both = measures.training(Facts(record=record(held(kind="training"))), given | {"each": True})  # HA-06: two kinds
    assert both.state == "not-met" and both.figure.endswith("没有登记：局长、校长领导力")


def test_achievements_of_three_years() -> None:
    given = {"who": "pupils", "part": "t", "least": 1}
    awards = tuple(
        Award("pupils", "创新之星", "创新之星", level, year, number=2)
        for level, year in (("省级", 2026), ("市级", 2024), ("国家级", 2023))
    )
    found = measures.achievements(Facts(record=record(*awards)), given)
    assert (found.state, found.figure) == ("met", "近3年 2 项、4 人次（省级 1、市级 1）；还没有带入申报表")
    assert measures.achievements(Facts(record=record(awards[2])), given).state == "not-met"
    written = measures.achievements(Facts(content={"t": [{"name": "某活动"}]}), given)
    assert written.state == "met" and "没有登记" in written.figure


def test_how_many_of_the_named_are_trained() -> None:
    content = {"t": [{"name": "王老师"}, {"name": "孙老师"}]}
    found = measures.rows(
        Facts(content=content, record=record(held(date(2024, 3, 1)))), {"part": "t", "least": 2, "trained": True}
    )
    assert (found.state, found.figure) == ("met", "2 名（项），要求不少于 2；其中 1 名近三年有登记的培训或教研")


def test_a_draft_loses_nothing_that_people_wrote() -> None:
    mine = [{"name": "甲", "title": "", "award": "奖"}, {"name": "乙", "title": "高级教师", "award": "别的"}]
    known = [{"name": "甲", "title": "一级教师", "award": "奖"}, {"name": "丙", "title": "", "award": "奖"}]
    rows, changed = merge(mine, known, ("name", "award"))
    assert rows == [{"name": "甲", "title": "一级教师", "award": "奖"}, mine[1], known[1]] and changed == 2
    assert merge(rows, known, ("name", "award"))[1] == 0  # once is enough
    assert merge([{"name": "甲", "title": "高级教师", "award": "奖"}], known[:1], ("name", "award"))[1] == 0
    assert merge([{"name": "甲", "title": "高级教师", "award": "奖"}], known[:1], ("name", "award"), fresh=True)[1] == 1


@pytest.fixture
def admin(app: Flask, fixed_clock: clock.FixedClock) -> Account:
    school = factories.make_school()
    teacher = factories.make_teacher(school, factories.make_class(school), name="王老师")
    teacher.title = "高级教师"
    db.session.commit()
    account = db.session.get_one(Account, factories.make_admin(school).account_id)
    texts = {"日期": "2026-10-20", "主题": "课程培训", "学时": "16", "类别": "骨干教师专业知识与技能"}
    register.save_activity(account, None, {**texts, "其他人数": "3"}, [teacher.id.hex])
    register.save_activity(account, None, {**texts, "主题": "聚会", "类别": "其他培训"}, [teacher.id.hex])
    award = {
        "对象": "教师",
        "姓名": "王老师",
        "类别": "精品课征集",
        "成果名称": "精品课",
        "级别": "省级",
        "年份": "2025",
    }
    register.save_achievement(account, None, award)
    register.save_achievement(account, None, {**award, "成果名称": "旧的", "年份": "2021"})
    pupils = {"对象": "学生", "类别": "创新之星", "成果名称": "创新之星", "级别": "省级", "年份": "2026", "人次": "4"}
    register.save_achievement(account, None, pupils)
    return account


def table(found: Application, key: str) -> list[dict[str, str]]:
    proposed = drafts.filled(key, pack_of(found).part(key), found)
    assert proposed is not None
    return proposed.rows


def test_tables_are_taken_over_from_the_register(admin: Account) -> None:
    hunan = service.begin(admin, "hunan-baixiao", "school", "2026")
    assert table(hunan, "application.teachers") == [
        {"name": "王老师", "title": "高级教师", "award": "精品课", "level": "省级", "year": "2025"}
    ]
    assert table(hunan, "application.pupils") == [{"name": "创新之星", "level": "省级", "year": "2026", "number": "4"}]
    henan = service.begin(admin, "henan-experiment", "school", "2026")
    assert table(henan, "school.training") == [
        {"name": "课程培训", "kind": "骨干教师专业知识与技能", "date": "2026-10-20", "hours": "16", "people": "4"}
    ]  # 聚会 is of no kind that the notice names
    zn = service.begin(admin, "smart-training", "school", "2026")
    assert table(zn, "school.teachers") == [
        {"name": "王老师", "subject": "人工智能", "title": "高级教师", "mobile": ""}
    ]
    for found, key in ((hunan, "application.teachers"), (henan, "school.training"), (zn, "school.teachers")):
        service.save_part(admin, found.id, key, table(found, key), 0)
        assert drafts.filled(key, pack_of(found).part(key), found) is None
        assert not any(key.split(".")[1] in one.where for one in service.lacks_of(found) if "不对" in one.text)


def test_the_self_check_reads_the_register(admin: Account) -> None:
    hunan = service.begin(admin, "hunan-baixiao", "school", "2026")
    lines = {one.criterion["id"]: one.outcome for one in selfcheck.check(hunan)}
    assert lines["HN-20"].figure == "近3年 1 项（省级 1）；还没有带入申报表"
    assert lines["HN-21"].figure == "近3年 1 项、4 人次（省级 1）；还没有带入申报表"
    henan = service.begin(admin, "henan-experiment", "school", "2026")
    lines = {one.criterion["id"]: one.outcome for one in selfcheck.check(henan)}
    assert (lines["HA-06"].state, lines["HA-06"].figure) == ("met", "近一年 1 次、16 学时、4 人次")


def test_an_office_counts_the_people_it_trained(app: Flask, fixed_clock: clock.FixedClock) -> None:
    office = make.tree()["county"]
    officer = make.person(office)
    area = service.begin(officer, "henan-experiment", "area", "2026")
    lines = {one.criterion["id"]: one.outcome for one in selfcheck.check(area)}
    assert (lines["HA-06-a"].state, lines["HA-06-a"].figure) == ("warn", "近一年没有登记这类培训")
    texts = {"主题": "全县骨干教师培训", "学时": "24", "类别": "骨干教师专业知识与技能"}
    for day, others in (("2026-03-01", "120"), ("2026-10-01", "80"), ("2025-10-01", "500")):
        register.save_activity(officer, None, {**texts, "日期": day, "其他人数": others}, [])
    lines = {one.criterion["id"]: one.outcome for one in selfcheck.check(area)}
    assert (lines["HA-06-a"].state, lines["HA-06-a"].figure) == (
        "warn",
        "近一年 2 次、48 学时、200 人次；没有登记：局长、校长领导力",
    )  # 2025-10-01 is past, and heads of schools were not trained
    register.save_activity(officer, None, {**texts, "类别": "局长、校长领导力", "日期": "2026-04-01", "其他人数": "30"}, [])
    assert {one.criterion["id"]: one.outcome.state for one in selfcheck.check(area)}["HA-06-a"] == "met"


def test_the_teams_of_an_area_are_drafted_from_its_schools(app: Flask, fixed_clock: clock.FixedClock) -> None:
    county = make.tree()["county"]
    area = service.begin(make.person(county), "ncet-pilot", "area", "2026")
    assert drafts.filled("area-statement.teams", pack_of(area).part("area-statement.teams"), area) is None
