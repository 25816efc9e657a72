"""Past lessons: by hand, from Excel, row by row, once only, undone by two people (补录)."""

from __future__ import annotations

import io
import re
from datetime import date

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import Workbook, load_workbook
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import Invalid
from lms.core.models import Account
from lms.roster import service as roster
from lms.roster.models import Person, School, SchoolClass
from lms.usage import service as usage
from lms.usage.corrections.models import CorrectionProposal
from lms.usage.corrections.service import countersign
from lms.usage.models import UsageRecord
from lms.usage.past import service
from lms.usage.past.book import read_book, template
from lms.usage.past.models import PastImport
from lms.usage.past.planned import COLUMNS, Row
from lms.usage.schoolyear.book import template as calendar_template
from tests.factories import make_admin, make_class, make_pupils, make_school, make_teacher, sign_in, token

PAGE = "/usage/past/"
HEAD = (
    "日期",
    "班级",
    "节次",
    "开始时间",
    "分钟",
    "学科",
    "课题",
    "任课教师",
    "应到",
    "请假",
    "实到",
    "课型",
    "补哪天的课",
    "分次",
    "第一部分日期",
)


class World:
    """A school with two classes, six pupils each, an admin and a teacher of the first."""

    def __init__(self) -> None:
        self.school: School = make_school()
        roster.add_term(None, self.school.id, 2026, 1, date(2026, 9, 1), date(2027, 1, 22))
        self.classes: list[SchoolClass] = [make_class(self.school, number=number) for number in (1, 2)]
        for cohort in self.classes:
            make_pupils(self.school, cohort, 6)
        self.teacher: Person = make_teacher(self.school, self.classes[0])
        self.admin: Person = make_admin(self.school)

    def account(self, person: Person) -> Account:
        found = db.session.get(Account, person.account_id)
        assert found is not None
        return found

    def records(self) -> list[UsageRecord]:
        return list(db.session.scalars(select(UsageRecord).order_by(UsageRecord.event_seq)))


@pytest.fixture
def world(app: Flask, fixed_clock: clock.FixedClock) -> World:
    return World()


def book(*lines: tuple[object, ...]) -> bytes:
    made = Workbook()
    for line in (("2026 年秋季人工智能课登记",), HEAD, *lines):
        made.worksheets[0].append(line)
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


def row(**texts: str) -> Row:
    usual = {"日期": "2026-09-08", "班级": "五年级1班", "节次": "3", "任课教师": "王老师", "实到": "6"}
    return Row("这一条", usual | texts)


GOOD = (
    (date(2026, 9, 8), "五年级1班", "第3节", None, None, "人工智能", "看世界", "王老师", None, None, 6),
    ("9月15日", "五（2）班", None, "10:05", 40, None, "听声音", "王老师", 40, 1, 38),
    ("2026.9.22", "5.1", "3", None, None, None, "半班一", "王老师", None, None, 3, None, None, "半班2", None),
    (
        "2026/9/23",
        "五年级1班",
        "3",
        None,
        None,
        None,
        "半班二",
        "王老师",
        None,
        None,
        3,
        None,
        None,
        "半班2",
        "2026-09-22",
    ),
    ("2026-09-29", "五年级1班", "3", None, None, None, "补课", "王老师", None, None, 6, "补课", "2026-09-18"),
)


def test_rows_of_a_sheet_become_records_of_grade_c_once(world: World, client: FlaskClient) -> None:
    sign_in(client, world.admin)
    data = book(*GOOD)
    form = {"csrf_token": token(client, PAGE)}
    page = client.post(f"{PAGE}preview", data={**form, "file": (io.BytesIO(data), "登记.xlsx")}).text
    assert "新增 5 节" in page
    assert world.records() == []  # nothing is written yet
    kept = re.search(r'name="kept" value="([^"]+)"', page)
    assert kept
    assert "已补录 5 节课" in client.post(f"{PAGE}apply", data={**form, "kept": kept[1]}, follow_redirects=True).text
    assert "没有再写" in client.post(f"{PAGE}apply", data={**form, "kept": kept[1]}, follow_redirects=True).text
    again = client.post(f"{PAGE}preview", data={**form, "file": (io.BytesIO(data), "登记.xlsx")}).text
    assert "已有 5 节" in again
    found = world.records()
    assert [(one.lesson_on.isoformat(), one.minutes, one.roster, one.present) for one in found] == [
        ("2026-09-08", 40, 6, 6),
        ("2026-09-15", 40, 40, 38),
        ("2026-09-22", 40, 6, 3),
        ("2026-09-23", 40, 6, 3),
        ("2026-09-29", 40, 6, 6),
    ]
    assert {one.grade_of_evidence for one in found} == {"C"}
    assert {one.origin for one in found} == {"manual"}
    assert found[4].makeup_of == "2026-09-18/paper"
    assert found[2].part_of == found[3].part_of
    assert [clock.local(one.started_at, "Asia/Shanghai").strftime("%H:%M") for one in found[:2]] == ["09:50", "10:05"]
    assert usage.verify_chain(world.school.id).ok
    assert db.session.scalars(select(PastImport)).one().record_ids == [str(one.id) for one in found]


def test_faults_name_row_and_column_and_lose_nothing(world: World, client: FlaskClient) -> None:
    sign_in(client, world.admin)
    data = book(
        GOOD[0],
        ("2026-13-08", "五年级1班", "3", None, None, None, "", "王老师", None, None, 6),
        ("2026-09-08", "九年级9班", "3", None, None, None, "", "王老师", None, None, 6),
        ("2026-09-10", "五年级1班", None, None, None, None, "", "王老师", None, None, 6),
        ("2026-09-10", "五年级1班", "9", None, None, None, "", "王老师", None, None, 6),
        ("2026-09-10", "五年级1班", "3", None, None, None, "", "孙悟空", None, None, 6),
        ("2026-09-10", "五年级1班", "3", None, None, None, "", "王老师", None, 2, 6),
        ("2026-09-10", "五年级1班", "3", None, "many", None, "", "王老师", None, None, 6),
        ("2026-09-10", "五年级1班", "3", None, None, None, "", "王老师", None, None, 6, "补课"),
        ("2026-10-02", "五年级1班", "3", None, None, None, "", "王老师", None, None, 6),
        ("2026-12-08", "五年级1班", "3", None, None, None, "", "王老师", None, None, 6),
        ("2025-12-08", "五年级1班", "3", None, None, None, "", "王老师", None, None, 6),
        ("2026-09-08", "五年级1班", "第3节", None, None, None, "", "王老师", None, None, 6),
        ("2026-09-10", "五年级1班", "3", "十点", None, None, "", "王老师", None, None, 6),
        ("2026-09-10", "五年级1班", "3", None, None, None, "", "王老师", None, None, 6, "宴会"),
    )
    rows = service.judged(world.account(world.admin), world.school, read_book(data, "x.xlsx"))
    assert [(one.state, one.column, one.why.code if one.why else "") for one in rows] == [
        ("new", "", ""),
        ("bad", "日期", "date"),
        ("bad", "班级", "no-class"),
        ("bad", "节次", "no-time"),
        ("bad", "节次", "period"),
        ("bad", "任课教师", "no-teacher"),
        ("bad", "实到", "register"),
        ("bad", "分钟", "number"),
        ("bad", "补哪天的课", "empty"),
        ("bad", "日期", "no-school"),
        ("bad", "日期", "future"),
        ("bad", "日期", "no-term"),
        ("bad", "日期", "twice"),
        ("bad", "开始时间", "time"),
        ("bad", "课型", "kind"),
    ]
    form = {"csrf_token": token(client, PAGE)}
    page = client.post(f"{PAGE}preview", data={**form, "file": (io.BytesIO(data), "x.xlsx")}).text
    assert "第 4 行" in page
    assert "“任课教师”一列：教职工里没有“孙悟空”" in page
    kept = re.search(r'name="kept" value="([^"]+)"', page)
    assert kept
    assert "已补录 1 节课" in client.post(f"{PAGE}apply", data={**form, "kept": kept[1]}, follow_redirects=True).text


def test_what_is_no_such_list_is_refused(world: World, client: FlaskClient) -> None:
    sign_in(client, world.admin)
    form = {"csrf_token": token(client, PAGE)}
    made = Workbook()
    made.worksheets[0].append(("姓名", "学号"))
    stream = io.BytesIO()
    made.save(stream)
    for data, words in ((b"hello", "不是 Excel 文件"), (stream.getvalue(), "没有找到“日期、班级、任课教师、实到”")):
        answer = client.post(f"{PAGE}preview", data={**form, "file": (io.BytesIO(data), "a.xlsx")})
        assert answer.status_code == 422
        assert words in answer.text
    assert client.post(f"{PAGE}preview", data=form).status_code == 422
    assert client.post(f"{PAGE}apply", data={**form, "kept": "forged"}).status_code == 422


def test_an_import_is_undone_by_two_people_and_may_be_entered_again(world: World) -> None:
    admin, teacher = world.account(world.admin), world.account(world.teacher)
    rows = [row(), row(日期="2026-09-15")]
    made = service.enter(admin, world.school, rows, "a.xlsx", "0" * 64)
    assert made is not None
    assert service.undo(admin, made.id, "录错了班") == 2
    assert service.left_of([made], world.school.id) == {made.id: 2}
    proposals = db.session.scalars(select(CorrectionProposal)).all()
    assert len({one.batch for one in proposals}) == 1
    assert len(countersign(teacher, proposals[0].id)) == 2
    assert service.left_of([made], world.school.id) == {made.id: 0}
    assert usage.facts_of(world.school.id, date(2026, 11, 24)).lessons == ()
    again = service.enter(admin, world.school, rows, "a.xlsx", "0" * 64)
    assert again is not None
    assert len(usage.facts_of(world.school.id, date(2026, 11, 24)).lessons) == 2
    assert usage.verify_chain(world.school.id).ok


def test_a_lesson_held_in_the_system_is_not_entered_a_second_time(world: World) -> None:
    from tests.usage.makers import at, closed_lesson

    pupils = [entry.person_id for entry in roster.roster_of(world.classes[0].id, date(2026, 9, 8))]
    people = [db.session.get_one(Person, one) for one in pupils]
    usage.record_lesson(closed_lesson(world.classes[0], world.teacher, people, date(2026, 9, 8)), None)
    assert at(date(2026, 9, 8)).hour == 2  # ten o'clock there: inside the third period
    [found] = service.judged(world.account(world.admin), world.school, [row()])
    assert (found.state, found.why and found.why.code) == ("skipped", "taught")


def test_a_teacher_enters_own_classes_only_by_hand(world: World, client: FlaskClient) -> None:
    sign_in(client, world.teacher)
    assert "王老师" in client.get(PAGE).text
    form = dict.fromkeys(COLUMNS, "") | row().texts | {"csrf_token": token(client, PAGE), "课题": "看世界"}
    refused = client.post(f"{PAGE}one", data=form | {"班级": "五年级2班"})
    assert "您没有任教 五年级2班" in refused.text
    assert "看世界" in refused.text  # what was typed is still there
    assert "超过名册" in client.post(f"{PAGE}one", data=form | {"实到": "7"}).text
    assert "已补录" in client.post(f"{PAGE}one", data=form, follow_redirects=True).text
    assert "没有重复写入" in client.post(f"{PAGE}one", data=form).text
    [record] = world.records()
    assert record.entered_by == world.teacher.account_id
    assert "手工补录" in client.get(f"/usage/records/{record.id}").text


def test_parts_and_makeup_of_paper_are_judged_as_live_ones(world: World) -> None:
    usage.set_course(None, world.school.id, "ncet")
    admin = world.account(world.admin)
    rows = [
        row(日期="2026-09-22", 实到="3", 分次="半班2"),
        row(日期="2026-09-24", 实到="3", 分次="半班2", 第一部分日期="2026-09-22"),
        row(日期="2026-09-29", 课型="补课", 补哪天的课="2026-09-18"),
    ]
    service.enter(admin, world.school, rows, "a.xlsx", "0" * 64)
    verdicts = [usage.judged(one) for one in world.records()]
    assert [one and one.reason.code for one in verdicts] == ["course", "course", "course"]  # no textbook unit is named


def test_the_template_explains_itself_and_is_read_back_empty() -> None:
    sheets = load_workbook(io.BytesIO(template()))
    assert tuple(cell.value for cell in sheets["补录"][1]) == COLUMNS
    assert "证据等级为 C" in str([cell.value for cell in sheets["说明"]["A"]])
    assert read_book(template(), "t.xlsx") == []


def test_a_list_without_the_columns_is_refused_and_the_columns_are_named(app: Flask) -> None:
    with pytest.raises(Invalid) as refused:
        read_book(calendar_template(), "校历.xlsx")
    assert refused.value.code == "list-columns"
    assert str(refused.value.message) == "没有找到“日期、班级、任课教师、实到”这几列。"
