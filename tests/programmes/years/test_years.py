"""From the grant to the exit and to acceptance: inspections drawn, warned, rectified; reports, cases, seed teachers, reminders."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime

import pytest
from flask import Flask
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, AuditEntry, Organisation
from lms.notices.models import Notice
from lms.programmes import service as applications
from lms.programmes import workflow
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.years import cases, events, files, inspections, reminders, service
from lms.programmes.years.cases import CaseGiven, Filter
from lms.programmes.years.models import Inspection, InspectionVisit
from lms.programmes.years.service import ReportGiven
from lms.roster.models import Person
from tests.programmes import places as make

Tree = dict[str, Organisation]
SEED = "05 09 14 20 28 33 11"


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def granted(
    tree: Tree, admin: Account, slug: str, levels: tuple[str, ...] = ("county", "city", "province")
) -> Application:
    """An application that went all the way."""
    found = applications.begin(admin, slug, "school", "2026")
    make.fill_in(admin, found)
    workflow.submit(admin, found.id)
    for level in levels:
        workflow.act(make.person(tree[level]), found.id, "recommend")
    return found


def at(fixed_clock: clock.FixedClock, *day: int) -> None:
    fixed_clock.at = datetime(*day, 2, tzinfo=UTC)  # type: ignore[misc,arg-type]  # year, month, day


def inspect(
    officer: Account, found: Application, fixed_clock: clock.FixedClock, day: date, count: int = 1
) -> tuple[Inspection, InspectionVisit]:
    """Announce today, draw on ``day``; the visit at the application's school."""
    row = inspections.announce(officer, found.slug, found.kind, count, "", "当日双色球开奖号码", day)
    at(fixed_clock, day.year, day.month, day.day)
    inspections.draw(officer, row.id, SEED)
    visit = next(one for one, _name in inspections.visits_of(row) if one.application_id == found.id)
    inspections.save_visit(
        officer,
        visit.id,
        day,
        {"HA-09": ("not-met", "实验室挪作他用")},
        "人工智能实验室没有按计划开放，下学期没有排课。",
    )
    return row, visit


def test_henan_inspected_warned_rectified_and_the_second_time_out(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, officer = make.person(tree["school"]), make.person(tree["province"])
    found = granted(tree, admin, "henan-experiment")
    _row, visit = inspect(officer, found, fixed_clock, date(2026, 11, 26))
    inspections.conclude(officer, visit.id, "warned", date(2026, 12, 26))
    assert found.status == "warned" and pack_of(found).status_name(found.status) == "限期整改"
    order = service.open_rectification(found)
    assert order is not None and order.due_on == date(2026, 12, 26) and order.visit_id == visit.id
    with pytest.raises(Refused, match="no-report"):
        inspections.close(officer, order.id, "accepted", "好")
    with pytest.raises(Refused, match="not-due"):
        inspections.close(officer, order.id, "exited", "不改")
    at(fixed_clock, 2026, 12, 24)
    assert reminders.remind(clock.now()) == 1  # three days before, once
    assert reminders.remind(clock.now()) == 0
    inspections.report(admin, order.id, "已恢复实验室开放，下学期每班每两周一节，课表已排好。")
    mine = select(Notice).where(Notice.account_id == admin.id, Notice.key.contains("rectify"))
    assert all(one.ended_at for one in db.session.scalars(mine))
    told = select(Notice).where(Notice.account_id == officer.id, Notice.key.contains("rectified"))
    assert db.session.scalars(told).one().ended_at is None
    inspections.close(officer, order.id, "accepted", "现场复核合格")
    assert found.status == "experiment" and service.open_rectification(found) is None
    assert db.session.scalars(told).one().ended_at is not None
    at(fixed_clock, 2027, 3, 1)
    _row, again = inspect(officer, found, fixed_clock, date(2027, 3, 2))
    inspections.conclude(officer, again.id, "warned", date(2027, 4, 2))
    second = service.open_rectification(found)
    assert second is not None and second.id != order.id
    at(fixed_clock, 2027, 4, 3)
    assert reminders.remind(clock.now()) == 1  # late
    inspections.close(officer, second.id, "exited", "两次整改不力")
    assert found.status == "removed" and not service.is_live(found)
    assert all(
        one.ended_at
        for one in db.session.scalars(
            select(Notice).where(Notice.school_id == found.school_id, Notice.key.startswith("years/"))
        )
    )
    with pytest.raises(Refused, match="years-over"):
        service.save_report(admin, found.id, "supervision", "2027", ReportGiven("", "x", {}, 0))
    assert [step.to_status for step in applications.steps_of(found)][-4:] == [
        "warned",
        "experiment",
        "warned",
        "removed",
    ]
    assert found.id not in {row.id for row in service.below(officer.organisation_id) if service.is_live(row)}


def test_hunan_from_the_plaque_to_acceptance(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, officer, city = make.person(tree["school"]), make.person(tree["province"]), make.person(tree["city"])
    found = granted(tree, admin, "hunan-baixiao")
    with pytest.raises(Refused, match="ladder"):
        inspections.accept(officer, found.id, "验收")  # not from 已挂牌: first 实施推进
    workflow.climb(officer, found.id, "running", "进入实施推进")
    case = cases.save_case(admin, found.id, CASE)
    with pytest.raises(NotFound):
        cases.step(officer, case.id, "accept")  # a draft is the school's own
    cases.step(admin, case.id, "submit")
    cases.step(city, case.id, "accept", "好课")
    with pytest.raises(NotAllowed):
        cases.step(city, case.id, "select")  # only the office that grants
    cases.step(officer, case.id, "select", "入选")
    assert case.status == "selected"
    assert [
        (one.subject, one.stage, one.selected) for one in cases.case_counts("hunan-baixiao", officer.organisation_id)
    ] == [("数学", "primary", 1)]
    with pytest.raises(Refused, match="acceptance") as refusal:
        inspections.accept(officer, found.id, "验收")
    assert refusal.value.facts["lacks"] == ["还没有提交“验收自评”"]
    with pytest.raises(Refused, match="incomplete"):
        service.send_report(admin, found.id, "acceptance", "once")
    service.save_report(
        admin,
        found.id,
        "acceptance",
        "once",
        ReportGiven("", "三年来每学期开课，目标完成。", {"cases": "已入选一堂"}, 0),
    )
    sent = service.send_report(admin, found.id, "acceptance", "once")
    assert {one["key"]: (one["value"], one["text"]) for one in sent.figures}["cases"] == ("入选精品 1", "已入选一堂")
    assert pack_of(found).status_name(inspections.accept(officer, found.id, "目标完成，通过验收").status) == "已验收"


CASE = CaseGiven(
    "cases",
    "用数据看生活",
    "数学",
    "primary",
    "5",
    "人工智能+教学实验（以智助教）",
    "李老师",
    "学生采集家庭用水数据，用决策树分类并验证，讨论偏差。",
    None,
)


def test_the_seed_comes_after_the_list_and_draws_once(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    province = make.person(tree["province"])
    found = [
        granted(tree, make.person(make.school(f"丙县{number}小", tree["county"])), "henan-experiment")
        for number in range(4)
    ]
    for seed_on in (date(2026, 11, 24), date(2027, 3, 1), None):
        with pytest.raises(Invalid, match="seed-day"):
            inspections.announce(province, "henan-experiment", "school", 2, "", "当日双色球开奖号码", seed_on)
    with pytest.raises(Invalid, match="count"):
        inspections.announce(province, "henan-experiment", "school", 5, "", "当日双色球开奖号码", date(2026, 11, 25))
    with pytest.raises(NotAllowed):
        inspections.announce(
            make.person(tree["school"]), "henan-experiment", "school", 1, "", "当日双色球开奖号码", date(2026, 11, 25)
        )
    row = inspections.announce(
        province, "henan-experiment", "school", 2, "locality", "当日双色球开奖号码", date(2026, 11, 25)
    )
    with pytest.raises(Refused, match="seed-early"):
        inspections.draw(province, row.id, SEED)
    late = granted(
        tree, make.person(make.school("丙县五小", tree["county"])), "henan-experiment"
    )  # not on the list any more
    at(fixed_clock, 2026, 11, 25)
    for wrong in ("123", 'x"; print("x', "一二三四五六七"):
        with pytest.raises(Invalid, match="seed"):
            inspections.draw(province, row.id, wrong)
    inspections.draw(province, row.id, f" {SEED} ")
    # the same by hand, as the page tells
    keys = sorted((hashlib.sha256(f"{SEED}\n{one.id}".encode()).hexdigest(), str(one.id)) for one in found)
    assert row.drawn == [name for _key, name in keys[:2]] and str(late.id) not in {one["id"] for one in row.candidates}
    with pytest.raises(Refused, match="drawn"):
        inspections.draw(province, row.id, "99 99 99")
    with pytest.raises(Refused, match="drawn"):
        inspections.cancel(province, row.id, "重抽")
    with pytest.raises(NotFound):
        inspections.draw(make.person(tree["city"]), row.id, SEED)
    listed_school = make.person(db.session.get_one(Organisation, found[0].school_id))
    assert inspections.inspection_of(listed_school, row.id).seed == SEED  # whoever is on the list sees how it was drawn
    with pytest.raises(NotFound):
        inspections.inspection_of(make.person(tree["city-school"]), row.id)
    journal = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "draw-inspection")).one()
    assert journal.detail["seed"] == SEED


def test_a_cancelled_inspection_stays_in_the_list(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    officer = make.person(tree["province"])
    granted(tree, make.person(tree["school"]), "henan-experiment")
    assert [line["clause"] for _row, line in inspections.owed_by_office(officer.organisation_id)] == ["HA-15"]
    assert inspections.owed_by_office(tree["city"].id) == []  # only the office that grants
    row = inspections.announce(officer, "henan-experiment", "school", 1, "", "当日双色球开奖号码", date(2026, 11, 25))
    assert inspections.owed_by_office(officer.organisation_id) == []
    with pytest.raises(Invalid, match="remark"):
        inspections.cancel(officer, row.id, " ")
    inspections.cancel(officer, row.id, "与督导合并进行")
    assert len(inspections.owed_by_office(officer.organisation_id)) == 1
    at(fixed_clock, 2026, 11, 25)
    with pytest.raises(Refused, match="drawn"):
        inspections.draw(officer, row.id, SEED)
    assert [one.reason for one in inspections.inspections_by(officer.organisation_id)] == ["与督导合并进行"]


def test_a_visit_is_the_inspectors_until_it_is_concluded(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, officer = make.person(tree["school"]), make.person(tree["province"])
    found = granted(tree, admin, "henan-experiment")
    row = inspections.announce(officer, "henan-experiment", "school", 1, "", "当日双色球开奖号码", date(2026, 11, 25))
    at(fixed_clock, 2026, 11, 25)
    inspections.draw(officer, row.id, SEED)
    visit = inspections.visits_of(row)[0][0]
    with pytest.raises(NotFound):
        inspections.visit_of(admin, visit.id)
    with pytest.raises(Refused, match="incomplete"):
        inspections.conclude(officer, visit.id, "passed")
    with pytest.raises(Invalid, match="visited-on"):
        inspections.save_visit(officer, visit.id, date(2026, 11, 26), {}, "x")
    inspections.save_visit(officer, visit.id, date(2026, 11, 25), {"HA-09": ("partly", "一间")}, "基本合格")
    inspections.conclude(officer, visit.id, "passed")
    line = next(
        one for one in inspections.checklist(inspections.visit_of(admin, visit.id)) if one.criterion["id"] == "HA-09"
    )
    assert (line.result, line.note, line.figure) == ("partly", "一间", "没有登记实验教室")
    assert found.status == "experiment"
    with pytest.raises(Refused, match="visit-closed"):
        inspections.conclude(officer, visit.id, "exited")


def test_who_may_warn_and_who_may_not(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    found = granted(tree, make.person(tree["school"]), "hunan-baixiao")
    city, county = make.person(tree["city"]), make.person(tree["county"])
    with pytest.raises(Refused, match="ladder"):
        inspections.order(county, found.id, "没有开课", date(2026, 12, 24))
    with pytest.raises(Invalid, match="due"):
        inspections.order(city, found.id, "没有开课", date(2026, 11, 24))
    order = inspections.order(city, found.id, "没有开课", date(2026, 12, 24))  # HN-22: city or province
    with pytest.raises(Refused, match="rectifying"):
        inspections.order(city, found.id, "还是没有开课", date(2026, 12, 25))
    with pytest.raises(Refused, match="ladder"):
        inspections.exit_(city, found.id, "退出")  # the province's
    inspections.exit_(make.person(tree["province"]), found.id, "逾期不改")
    assert found.status == "removed" and order.outcome == "exited"


def test_a_report_is_saved_handed_in_returned_and_never_overwritten(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, second, officer = (
        make.person(tree["school"]),
        make.person(tree["school"], name="乙老师"),
        make.person(tree["county"]),
    )
    found = granted(tree, admin, "henan-experiment")
    at(fixed_clock, 2027, 12, 1)
    first = service.save_report(
        admin, found.id, "supervision", "2027", ReportGiven("", "本年情况", {"risks": "都有措施"}, 0)
    )
    with pytest.raises(Refused, match="conflict"):
        service.save_report(second, found.id, "supervision", "2027", ReportGiven("", "我的", {}, 0))
    assert reminders.remind(datetime(2028, 1, 2, tzinfo=UTC)) == 2  # two admins, 14 days before 15 January
    service.send_report(second, found.id, "supervision", "2027")
    assert all(
        one.ended_at
        for one in db.session.scalars(
            select(Notice).where(Notice.account_id == admin.id, Notice.key.contains("supervision"))
        )
    )
    with pytest.raises(Refused, match="report-sent"):
        service.save_report(admin, found.id, "supervision", "2027", ReportGiven("", "改", {}, first.edition))
    with pytest.raises(Invalid, match="remark"):
        service.return_report(officer, found.id, "supervision", "2027", " ")
    service.return_report(officer, found.id, "supervision", "2027", "缺伦理情况")
    states = {(one.report["id"], one.period.id): one.state for one in service.owed_by(found)}
    assert states["supervision", "2027"] == "returned"
    page = service.report_page(found, "supervision", "2027")
    assert page.texts["risks"] == "都有措施" and page.row is not None and page.row.remark == "缺伦理情况"
    with pytest.raises(NotFound):
        service.report_page(found, "supervision", "2035")
    service.send_report(admin, found.id, "supervision", "2027")
    service.take_report_back(admin, found.id, "supervision", "2027")
    assert page.row.status == "draft"


def test_late_is_told_again_and_listed(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin = make.person(tree["school"])
    found = granted(tree, admin, "henan-experiment")
    at(fixed_clock, 2028, 1, 20)
    assert [(one.report["id"], one.period.id) for one in service.late_of([found])[found.id]] == [
        ("supervision", "2027")
    ]
    assert (reminders.remind(clock.now()), reminders.remind(clock.now())) == (1, 0)
    counted = service.report_counts(tree["county"].id, "henan-experiment")
    assert [(one.report, one.period.id, one.owed, one.done, one.late) for one in counted] == [
        ("supervision", "2027", 1, 0, 1), ("supervision", "2028", 1, 0, 0),
    ]  # fmt: skip
    standing = inspections.standings(tree["county"].id)
    assert [(one.slug, dict(one.by_status), one.late) for one in standing] == [("henan-experiment", {"实验": 1}, 1)]


def test_seed_teachers_by_consent_and_confirmation(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, officer = make.person(tree["school"]), make.person(tree["city"])
    found = granted(tree, admin, "hunan-baixiao")
    with write() as session:
        person = Person(id=new_id(), school_id=tree["school"].id, kind="staff", name="李老师")
        other = Person(id=new_id(), school_id=tree["city-school"].id, kind="staff", name="别校")
        session.add_all([person, other])
    for consent in (None, date(2026, 11, 25)):
        with pytest.raises(Invalid, match="consent"):
            service.name_seed(admin, found.id, person.id, "数学", "", consent)
    with pytest.raises(Invalid, match="person"):
        service.name_seed(admin, found.id, other.id, "数学", "", date(2026, 11, 20))
    row = service.name_seed(admin, found.id, person.id, "数学", "省级课题主持人", date(2026, 11, 20))
    with pytest.raises(NotAllowed):
        service.decide_seed(admin, row.id, "confirmed")
    service.decide_seed(officer, row.id, "confirmed")
    assert [(one.status, name) for one, name in service.seeds_of(found)] == [("confirmed", "李老师")]
    service.decide_seed(admin, row.id, "withdrawn")
    with pytest.raises(Refused, match="seed-withdrawn"):
        service.decide_seed(officer, row.id, "confirmed")
    assert service.name_seed(admin, found.id, person.id, "数学", "", date(2026, 11, 21)).id == row.id


def test_the_library_shows_each_what_is_theirs_to_see(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, officer, teacher = (
        make.person(tree["school"]),
        make.person(tree["province"]),
        make.person(tree["school"], "teacher"),
    )
    elsewhere = make.person(tree["city-school"])
    found = granted(tree, admin, "hunan-baixiao")
    case = cases.save_case(teacher, found.id, CASE)
    assert (
        cases.library(officer, Filter()) == [] and len(cases.library(teacher, Filter())) == 1
    )  # a draft is the school's
    with pytest.raises(NotAllowed):
        cases.step(teacher, case.id, "submit")
    other = make.person(tree["school"], "teacher")
    with pytest.raises(NotAllowed):
        cases.save_case(other, found.id, CASE, case.id)
    cases.step(admin, case.id, "submit")
    with pytest.raises(Refused, match="case-sent"):
        cases.save_case(teacher, found.id, CASE, case.id)
    assert cases.library(elsewhere, Filter()) == []
    cases.step(officer, case.id, "select")
    assert cases.library(elsewhere, Filter()) == []  # takes no part in the notice
    applications.begin(elsewhere, "hunan-baixiao", "school", "2026")
    assert [row.title for row, _school in cases.library(elsewhere, Filter(words="用水 决策树", subject="数学"))] == [
        "用数据看生活"
    ]
    assert cases.library(elsewhere, Filter(words="100%")) == [] == cases.library(elsewhere, Filter(stage="junior"))
    for wrong in ("subject", "stage", "grade", "theme", "report"):
        with pytest.raises(Invalid):
            cases.save_case(admin, found.id, CaseGiven(**{**CASE.__dict__, wrong: "?" if wrong != "subject" else " "}))


def test_files_belong_to_a_row_and_are_checked(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin = make.person(tree["school"])
    found = granted(tree, admin, "hunan-baixiao")
    case = cases.save_case(admin, found.id, CASE)
    row = files.add(admin, found.school_id, case.id, "../教学设计.pdf", make.PDF)
    assert row.name == "教学设计.pdf" and [one.id for one in files.files_about(case.id)] == [row.id]
    with pytest.raises(Invalid, match="file-type"):
        files.add(admin, found.school_id, case.id, "x.pdf", b"MZ\x90 not a pdf")
    files.remove(admin, row)
    assert files.files_about(case.id) == []


def test_meetings_are_seen_below_and_above(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin, officer = make.person(tree["school"]), make.person(tree["province"])
    found = granted(tree, admin, "hunan-baixiao")
    given = events.EventGiven(
        "hunan-baixiao",
        "推进会",
        "全省推进会",
        date(2026, 12, 5),
        "长沙",
        120,
        [found.school_id, tree["city-school"].id],
        "交流",
    )
    row = events.add_event(officer, given)
    assert row.came == [str(found.school_id)]  # only who is in
    assert [one.title for one in events.events_of(admin)] == ["全省推进会"]
    with pytest.raises(Invalid):
        events.add_event(make.person(tree["city-school"]), given)
    with pytest.raises(NotAllowed):
        events.remove_event(admin, row.id)
    events.remove_event(officer, row.id)
    assert events.events_of(admin) == []
