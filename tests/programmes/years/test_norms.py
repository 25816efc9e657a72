"""Norm and risk register: versions, who has taken note, coverage; figures from real lessons; the inspection pack opened again."""

from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime
from io import BytesIO

import pytest
from docx import Document
from flask import Flask
from openpyxl import load_workbook

from lms.core import clock
from lms.core.db import db, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.programmes.years import norms, papers, service
from lms.programmes.years.figures import figures_of
from lms.programmes.years.service import ReportGiven
from lms.register import service as register
from lms.roster.models import Person, School, SchoolClass, Term
from lms.usage import service as usage
from tests.factories import make_class, make_pupils, make_staff
from tests.programmes import places as make
from tests.programmes.years.test_years import granted
from tests.usage.makers import closed_lesson, witnesses

Tree = dict[str, Organisation]
TEXT = norms.starting_text().replace(f"（{norms.DRAFT}）", "")


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


def classroom(tree: Tree, pupils: int = 4) -> tuple[School, SchoolClass, list[Person]]:
    school = db.session.get_one(School, tree["school"].id)
    with write() as session:
        session.add(
            Term(
                school_id=school.id, school_year=2026, ordinal=1, starts_on=date(2026, 9, 1), ends_on=date(2027, 1, 22)
            )
        )
    cohort = make_class(school)
    return school, cohort, make_pupils(school, cohort, pupils)


def test_a_norm_is_versioned_and_a_larger_change_asks_everybody_again(tree: Tree) -> None:
    admin, teacher = make.person(tree["school"]), make.person(tree["school"], "teacher")
    school, cohort, pupils = classroom(tree)
    with pytest.raises(Invalid, match="norm-draft"):
        norms.publish(admin, norms.starting_text(), "")  # adapt it first
    with pytest.raises(Refused):
        norms.acknowledge(teacher)
    with pytest.raises(NotAllowed):
        norms.publish(teacher, TEXT, "")
    assert norms.publish(admin, TEXT, "首次").number == 1
    norms.acknowledge(teacher)
    norms.acknowledge(teacher)
    assert (norms.staff_coverage(school.id).yes, norms.staff_coverage(school.id).of) == (1, 2)
    norms.record_guardians(admin, cohort, {pupils[0].id: "yes", pupils[1].id: "no"}, date(2026, 11, 20))
    found = norms.pupil_coverage(school.id)
    assert (found.of, found.yes, found.no, found.waiting, found.percent) == (4, 1, 1, 2, 25)
    assert norms.publish(admin, TEXT, "一样").number == 1  # the same text is no new version
    assert norms.publish(admin, TEXT + "\n17. 补充一条。", "小改", asks_again=False).number == 2
    assert norms.has_acknowledged(teacher) and norms.pupil_coverage(school.id).yes == 1
    assert norms.publish(admin, TEXT + "\n17. 另一条。", "大改").number == 3
    assert not norms.has_acknowledged(teacher) and norms.pupil_coverage(school.id).yes == 0
    assert [one.number for one in norms.norms_of(school.id)] == [3, 2, 1]


def test_guardians_answers_are_entered_changed_and_taken_back(tree: Tree) -> None:
    admin = make.person(tree["school"])
    school, cohort, pupils = classroom(tree)
    stranger = Person(id=pupils[0].id.__class__(int=7), school_id=school.id, kind="student", name="别班")
    norms.publish(admin, TEXT, "")
    assert (
        norms.record_guardians(
            admin, cohort, {one.id: "yes" for one in pupils} | {stranger.id: "yes"}, date(2026, 11, 20)
        )
        == 4
    )
    assert (
        norms.record_guardians(admin, cohort, {one.id: "yes" for one in pupils}, date(2026, 11, 21)) == 0
    )  # the day stays
    assert norms.record_guardians(admin, cohort, {pupils[0].id: "no", pupils[1].id: ""}, date(2026, 11, 22)) == 2
    assert [(one.agreed, one.on) for one in norms.class_answers(school.id, cohort)] == [
        (False, date(2026, 11, 22)), (None, None), (True, date(2026, 11, 20)), (True, date(2026, 11, 20)),
    ]  # fmt: skip
    with pytest.raises(Invalid, match="norm-day"):
        norms.record_guardians(admin, cohort, {pupils[0].id: "yes"}, date(2026, 11, 25))
    for other in (make.person(tree["school"], "teacher"), make.person(tree["city-school"])):
        with pytest.raises(NotAllowed):
            norms.record_guardians(other, cohort, {pupils[0].id: "yes"}, date(2026, 11, 20))


def test_risks_are_copied_to_the_next_year_to_be_reviewed_anew(tree: Tree) -> None:
    admin = make.person(tree["school"])
    given = norms.RiskGiven("机器人伤人", 1, 3, "限速、急停", "实验室管理员", date(2026, 3, 1))
    row = norms.save_risk(admin, 2026, given)
    norms.save_risk(admin, 2026, norms.RiskGiven("个人信息输入校外工具", 2, 3, "白名单", "信息技术组长", None))
    assert [one.risk for one in norms.risks_of(admin.organisation_id, 2026)] == [
        "个人信息输入校外工具",
        "机器人伤人",
    ]  # what weighs most first
    assert (norms.copy_year(admin, 2026), norms.copy_year(admin, 2026)) == (2, 0)
    assert {one.reviewed_on for one in norms.risks_of(admin.organisation_id, 2027)} == {None}
    norms.remove_risk(admin, row.id)
    assert len(norms.risks_of(admin.organisation_id, 2026)) == 1
    norms.remove_risk(admin, row.id, back=True)
    norms.save_risk(admin, 2026, norms.RiskGiven("机器人伤人", 2, 3, "加围栏", "管理员", None), row.id)
    assert {one.measure for one in norms.risks_of(admin.organisation_id, 2026)} == {"白名单", "加围栏"}
    for wrong in (norms.RiskGiven(" ", 1, 1, "x", "x", None), norms.RiskGiven("x", 4, 1, "x", "x", None)):
        with pytest.raises(Invalid):
            norms.save_risk(admin, 2026, wrong)
    with pytest.raises(NotFound):
        norms.remove_risk(make.person(tree["city-school"]), row.id)
    with pytest.raises(NotAllowed):
        norms.save_risk(make.person(tree["school"], "teacher"), 2026, given)


def test_figures_come_from_lessons_in_force_and_from_the_register(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin = make.person(tree["school"])
    found = granted(tree, admin, "hunan-baixiao")
    school, cohort, pupils = classroom(tree)
    teacher = make_staff(school)
    days = [date(2026, 11, 9), date(2026, 11, 10), date(2026, 11, 11)]
    for day in days[:2]:
        fixed_clock.at = datetime(day.year, day.month, day.day, 3, tzinfo=UTC)
        usage.record_lesson(closed_lesson(cohort, teacher, pupils, day), None)
    fixed_clock.at = datetime(2026, 11, 24, 3, tzinfo=UTC)
    start = datetime(2026, 11, 11, 2, tzinfo=UTC)
    late = closed_lesson(
        cohort, teacher, pupils, days[2], subject="数学", witnesses=witnesses(start, start, "teacher-sign-in")
    )
    usage.record_lesson(late, None)  # entered two weeks later: C
    training = {
        "类型": "培训",
        "类别": "人工智能课程培训",
        "日期": "2026-11-12",
        "主题": "课程标准",
        "学时": "6",
        "其他人数": "10",
    }
    register.save_activity(admin, None, training, [])
    values = {one.key: one for one in figures_of(found, date(2026, 11, 1), date(2026, 12, 31))}
    assert values["lessons"].value == "3 节，3 课时"
    assert values["subjects"].value == "人工智能 2、数学 1"
    assert values["classes"].value == "1 个班，4 名学生"
    assert values["evidence"].value.startswith("A 级 0、B 级 2、C 级 1") or values["evidence"].value.startswith(
        "A 级 2、B 级 0、C 级 1"
    )
    assert values["evidence"].value.endswith("A+B 占 66%")
    assert values["lessons"].source == "开课记录 2026-11-01 至 2026-11-24"  # not beyond today
    assert values["training"].value == "培训 1 次、10 人次、60 人学时；教研 0 次"
    assert {one.key: one.value for one in figures_of(found, date(2026, 12, 1), date(2026, 12, 31))}[
        "lessons"
    ] == "没有记录"


def text_of(data: bytes) -> str:
    document = Document(BytesIO(data))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return "\n".join([*(one.text for one in document.paragraphs), *cells])


def test_the_inspection_pack_opened_again(tree: Tree, fixed_clock: clock.FixedClock) -> None:
    admin = make.person(tree["school"])
    found = granted(tree, admin, "henan-experiment")
    school, cohort, pupils = classroom(tree)
    norms.publish(admin, TEXT, "")
    norms.acknowledge(admin)
    norms.record_guardians(admin, cohort, {pupils[0].id: "yes"}, date(2026, 11, 20))
    norms.save_risk(admin, 2026, norms.RiskGiven("=机器人伤人", 1, 3, "限速、急停", "实验室管理员", None))
    fixed_clock.at = datetime(2027, 12, 20, tzinfo=UTC)
    norms.acknowledge(db.session.get_one(Account, admin.id))
    service.save_report(
        admin, found.id, "supervision", "2027", ReportGiven("", "全年开展自评。", {"norm": "班会学习"}, 0)
    )
    name, data = papers.inspection_pack(found)
    assert name == "迎检材料-丙县一小-2027-12-20.zip"
    with zipfile.ZipFile(BytesIO(data)) as archive:
        names = archive.namelist()
        assert not any(one.startswith("3-") for one in names)  # not handed in yet
    service.send_report(admin, found.id, "supervision", "2027")
    with zipfile.ZipFile(BytesIO(papers.inspection_pack(found)[1])) as archive:
        names = [one for one in archive.namelist() if one.endswith(".docx")]
        assert names == [
            "1-人工智能教育伦理规范及知悉情况.docx", "2-风险清单-2026年.docx", "3-督导自评（含伦理、风险评估）-2027年.docx", "4-实施情况摘要.docx",
        ]  # fmt: skip
        texts = {one: text_of(archive.read(one)) for one in names}
        assert (
            "不以技术代替教师的教育责任" in texts[names[0]] and "100%" in texts[names[0]] and "25%" in texts[names[0]]
        )
        assert "=机器人伤人" in texts[names[1]] and "限速、急停" in texts[names[1]]
        assert "全年开展自评。" in texts[names[2]] and "班会学习" in texts[names[2]] and "非官方表样" in texts[names[2]]
        assert "建有“人工智能实验室”" in texts[names[3]] and "2026年11月24日" in texts[names[3]]
        assert pupils[0].name not in "".join(texts.values())
        assert "verify.py" in archive.read("说明.txt").decode()
    sheet = load_workbook(BytesIO(papers.rendered(papers.risk_paper(tree["school"], 2026), "xlsx"))).active
    assert sheet is not None
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert ["序号", "风险", "可能性", "严重程度", "等级", "应对措施", "责任人", "复核日期"] in rows
    assert any(row[1] == "=机器人伤人" and row[4] == "中" for row in rows)  # a text, no formula
    assert school.id == found.school_id
