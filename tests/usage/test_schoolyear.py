"""The school year: the sheet, late entries and the county, withdrawal, files in and out, the national table."""

from __future__ import annotations

import io
import re
import uuid
from datetime import UTC, date, datetime

import icalendar
import pytest
from flask import Flask
from flask.testing import FlaskClient
from openpyxl import Workbook, load_workbook
from sqlalchemy import select

from lms.core import clock
from lms.core.auth import hash_password
from lms.core.db import db, new_id, write
from lms.core.errors import NotAllowed
from lms.core.models import Account, Organisation, RoleGrant
from lms.roster import service as roster
from lms.roster.models import CalendarDay, FlaggedWeek, Person, School, Term
from lms.usage.judging.calendar import grade_calendar
from lms.usage.models import EvidenceEvent
from lms.usage.schoolyear import rules, service
from lms.usage.schoolyear.book import read_book, template
from lms.usage.schoolyear.ical import calendar_file, read_calendar
from lms.usage.schoolyear.planned import Planned, date_of, grades_of, judge, kind_of
from lms.usage.service import verify_chain
from tests.factories import PASSWORD, make_admin, make_school, make_teacher, sign_in, token

PAGE = "/school/calendar"
START, END = date(2026, 9, 1), date(2027, 1, 22)


@pytest.fixture
def school(app: Flask, fixed_clock: clock.FixedClock) -> School:
    made = make_school()
    roster.add_term(None, made.id, 2026, 1, START, END)
    return made


@pytest.fixture
def term(school: School) -> Term:
    return db.session.scalars(select(Term).where(Term.school_id == school.id)).one()


def account(person: Person) -> Account:
    found = db.session.get(Account, person.account_id)
    assert found is not None
    return found


def officer_of(school: School) -> Account:
    county = db.session.get(Organisation, school.organisation.parent_id)
    assert county is not None
    with write():
        found = Account(
            id=new_id(),
            organisation_id=county.id,
            kind="staff",
            username=f"officer-{uuid.uuid4().hex[:6]}",
            display_name="区教研员",
            password_hash=hash_password(PASSWORD),
        )
        db.session.add(found)
        db.session.flush()
        db.session.add(RoleGrant(account_id=found.id, role="officer", organisation_id=county.id))
    return found


def sheet_of(school: School, term: Term) -> rules.TermSheet:
    return rules.term_sheet(service.facts_of(school, term), service.grades_of(school), service.parameters(school.id, term.ends_on))


def post(client: FlaskClient, path: str, **data: object) -> str:
    answer = client.post(
        PAGE + path,
        data={**data, "csrf_token": token(client, PAGE)},
        follow_redirects=True,
        headers={"Referer": f"http://localhost{PAGE}"},
    )
    return answer.text


def cell_of(sheet: rules.TermSheet, day: date) -> rules.Cell:
    return next(cell for line in sheet.lines for cell in line.cells if cell.day == day)


def test_the_autumn_of_2026_reaches_into_january_2027(school: School, term: Term) -> None:
    sheet = sheet_of(school, term)
    assert len(sheet.lines) == 21
    assert sheet.effective == (("", 21),)
    in_2026 = [one.number for line in sheet.lines if line.monday <= date(2026, 12, 28) for one in line.standings]
    assert in_2026 == list(range(1, 19))
    assert cell_of(sheet, date(2026, 10, 1)).kind == "holiday"
    assert cell_of(sheet, date(2026, 10, 10)).kind == "swap"
    assert cell_of(sheet, date(2027, 1, 1)).kind == "holiday"
    assert cell_of(sheet, date(2027, 1, 4)).kind == "school"
    assert cell_of(sheet, date(2026, 8, 31)).kind == "out"


def test_late_closures_and_flags_are_shown_as_refused_until_the_county_signs(school: School, term: Term) -> None:
    admin = account(make_admin(school))
    in_time = roster.set_day(admin, school.id, date(2026, 11, 24), is_school=False, reason="台风停课")
    late = roster.set_day(admin, school.id, date(2026, 11, 10), is_school=False, reason="运动会", grades=[5])
    flag = roster.flag_week(admin, school.id, date(2026, 11, 9), "期中考试", [5])
    sheet = sheet_of(school, term)
    assert cell_of(sheet, in_time.day).kind == "closed"
    refused = cell_of(sheet, late.day)
    assert refused.kind == "refused"
    assert refused.marks[0].grades == "五年级"
    line = next(line for line in sheet.lines if line.monday == flag.monday)
    assert [(one.grades, one.counts, one.reason.code) for one in line.flags] == [("五年级", False, "flag-late")]
    assert sheet.effective == (("", 21),)
    assert {one.row.id for one in service.pending_of(school, term)} == {late.id, flag.id}
    assert service.decide(officer_of(school), [late.id, flag.id], agreed=True) == 2
    sheet = sheet_of(school, term)
    assert cell_of(sheet, late.day).kind == "partial"
    assert dict(sheet.effective)["五年级"] == 20
    assert service.pending_of(school, term) == []
    assert verify_chain(school.id).ok
    types = db.session.scalars(select(EvidenceEvent.type).where(EvidenceEvent.school_id == school.id)).all()
    assert types.count("calendar-countersigned") == 1
    assert types.count("calendar-changed") >= 3


def test_a_declined_entry_does_not_count_and_is_not_asked_again(school: School, term: Term) -> None:
    late = roster.set_day(None, school.id, date(2026, 11, 10), is_school=False, reason="运动会")
    officer = officer_of(school)
    assert service.decide(officer, [late.id], agreed=False) == 1
    assert service.pending_of(school, term) == []
    assert cell_of(sheet_of(school, term), late.day).kind == "refused"


def test_school_and_county_are_apart(school: School, term: Term) -> None:
    late = roster.set_day(None, school.id, date(2026, 11, 10), is_school=False, reason="运动会")
    other = make_school("乙校")
    admin = account(make_admin(school))
    with write():  # a school's own "officer" is none
        db.session.add(RoleGrant(account_id=admin.id, role="officer", organisation_id=school.id))
    for stranger in (admin, officer_of(other)):
        with pytest.raises(NotAllowed, match="not-your-area"):
            service.decide(stranger, [late.id], agreed=True)


def test_withdrawing_keeps_who_and_when_and_entering_again_takes_a_new_time(
    school: School, term: Term, fixed_clock: clock.FixedClock
) -> None:
    admin = account(make_admin(school))
    row = roster.set_day(admin, school.id, date(2026, 11, 25), is_school=False, reason="运动会")
    service.withdraw(admin, school.id, row.id)
    fixed_clock.at = datetime(2026, 12, 3, 2, 0, tzinfo=UTC)
    again = roster.set_day(admin, school.id, date(2026, 11, 25), is_school=False, reason="运动会")
    assert again.id != row.id
    assert row.withdrawn_by == admin.id
    assert [one.row.id for one in service.pending_of(school, term)] == [again.id]


def test_a_holiday_that_the_school_enters_itself_is_judged_as_a_closure(school: School, term: Term) -> None:
    admin = account(make_admin(school))
    table = {"holidays": [{"name": "校方假", "from": "2026-11-03", "to": "2026-11-03"}], "workdays": []}
    roster.set_table(admin, school.id, 2026, "announced", "某通知", table)
    calendar = grade_calendar(service.facts_of(school, term), 5, service.parameters(school.id, term.ends_on))
    assert date(2026, 11, 3) in calendar.days  # entered three weeks after the day
    assert date(2026, 10, 1) in calendar.days  # the table it replaced is no more
    assert [one.row.reason for one in service.pending_of(school, term)] == ["校方假"]


def test_the_notice_of_2027_replaces_the_estimate(client: FlaskClient, school: School, term: Term) -> None:
    sign_in(client, make_admin(school))
    page = client.get(f"{PAGE}/national/2027").text
    assert "预估" in page
    wanted = {
        "state": "announced",
        "notice": "国办发明电〔2026〕8号",
        "name": "元旦",
        "from": "2027-01-01",
        "to": "2027-01-03",
    }
    work = {"work_name": "元旦调休", "work_day": "2027-01-09", "work_follows": "4"}
    assert "已保存" in post(client, "/national/2027", **wanted, **work)
    sheet = sheet_of(school, term)
    assert cell_of(sheet, date(2027, 1, 9)).kind == "swap"
    assert cell_of(sheet, date(2027, 1, 1)).marks[0].fact.reason == "元旦"
    assert roster.table_of(school.id, 2027).state == "announced"
    assert "不能早于" in post(client, "/national/2027", **{**wanted, "from": "2027-01-05"})
    assert "请写明国务院" in post(client, "/national/2027", **{**wanted, "notice": ""})
    assert "不在 2027 年" in post(client, "/national/2027", **{**wanted, "from": "2026-01-01"})


@pytest.mark.parametrize("year", [2000, 2031, 2100])
def test_an_unknown_year_has_a_table(client: FlaskClient, school: School, year: int) -> None:
    sign_in(client, make_admin(school))
    answer = client.get(f"{PAGE}/national/{year}")
    assert answer.status_code == 200
    assert "预估" in answer.text


def test_the_page_takes_terms_closures_swaps_flags_and_withdrawals(client: FlaskClient, school: School) -> None:
    sign_in(client, make_admin(school))
    text = client.get(PAGE).text
    assert "按周三课" in text
    assert "预估" in text
    assert "重叠" in post(client, "/terms", term="2026-2", starts_on="2027-01-01", ends_on="2027-07-01")
    assert "请填写日期" in post(client, "/terms", term="2026-2", starts_on="x", ends_on="2027-07-01")
    told = {"day": "2026-11-26", "until": "2026-11-30", "kind": "closed", "reason": "运动会", "grades": ["5", "6"]}
    assert "五、六年级" in post(client, "/days", **told)
    rows = db.session.scalars(select(CalendarDay).where(CalendarDay.source == "school").order_by(CalendarDay.day)).all()
    assert [(row.day.day, row.grades) for row in rows] == [(26, [5, 6]), (27, [5, 6]), (30, [5, 6])]
    assert "按周几" in post(client, "/days", day="2026-11-28", kind="swap", reason="补课")
    assert "已撤销" in post(client, f"/entries/{rows[0].id}/withdraw")
    assert "期末考试" in post(client, "/weeks", monday="2027-01-11", reason="期末考试")
    flag = db.session.scalars(select(FlaggedWeek)).one()
    assert flag.entered_by is not None
    assert "已扣除" in client.get(PAGE).text
    assert "第 20 周" not in client.get(f"{PAGE}?grade=5").text.split("期末考试")[0].rsplit("<tr", 1)[1]
    post(client, f"/entries/{flag.id}/withdraw")
    db.session.expire_all()
    assert flag.withdrawn_at is not None


def test_a_teacher_reads_and_does_not_write(client: FlaskClient, school: School) -> None:
    sign_in(client, make_teacher(school))
    assert client.get(PAGE).status_code == 200
    answer = client.post(f"{PAGE}/days", data={"csrf_token": token(client, PAGE), "day": "2026-11-26", "reason": "x"})
    assert answer.status_code == 403
    assert client.get(f"{PAGE}/area").status_code == 403


def test_the_county_signs_on_its_page(client: FlaskClient, school: School, term: Term) -> None:
    late = roster.set_day(None, school.id, date(2026, 11, 10), is_school=False, reason="运动会")
    officer = officer_of(school)
    client.post("/sign-in", data={"username": officer.username, "password": PASSWORD, "csrf_token": token(client)})
    page = client.get(f"{PAGE}/area").text
    assert "运动会" in page
    assert school.organisation.name in page
    form = {"csrf_token": token(client, f"{PAGE}/area"), "decision": "agree", "entry": str(late.id)}
    assert "已会签 1 条" in client.post(f"{PAGE}/area", data=form, follow_redirects=True).text
    db.session.expire_all()
    assert late.countersigned_by == officer.id
    assert "没有等待会签" in client.get(f"{PAGE}/area").text


def test_icalendar_goes_out_and_comes_back(school: School, term: Term, fixed_clock: clock.FixedClock) -> None:
    roster.set_day(None, school.id, date(2026, 11, 24), is_school=False, reason="台风停课", grades=[5, 6])
    roster.flag_week(None, school.id, date(2027, 1, 11), "期末考试")
    data = calendar_file(school, term, sheet_of(school, term), clock.now())
    calendar = icalendar.Calendar.from_ical(data)
    told = [str(event["summary"]) for event in calendar.walk("VEVENT")]
    assert "停课：台风停课（五、六年级）" in told
    assert "调休上课，按周三课表：国庆节调休" in told
    assert "第 19 周：有效教学周 19" in told
    rows = service.judged(school, term, read_calendar(data, "a.ics"))
    assert {row.state for row in rows} == {"known"}
    other = make_school("乙校")
    roster.add_term(None, other.id, 2026, 1, START, END)
    theirs = db.session.scalars(select(Term).where(Term.school_id == other.id)).one()
    admin = account(make_admin(other))
    assert service.enter_rows(admin, other, theirs, read_calendar(data, "a.ics")) == 2
    assert service.enter_rows(admin, other, theirs, read_calendar(data, "a.ics")) == 0
    assert sheet_of(other, theirs).effective == sheet_of(school, term).effective


ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//x//y//ZH
{events}
END:VCALENDAR
"""


def event(*lines: str) -> str:
    return "\n".join(("BEGIN:VEVENT", f"UID:{uuid.uuid4()}", "DTSTAMP:20261101T000000Z", *lines, "END:VEVENT"))


def test_entries_of_an_unknown_calendar_are_named_one_by_one(school: School, term: Term) -> None:
    day = "DTSTART;VALUE=DATE:"
    events = [
        event("SUMMARY:秋季运动会", f"{day}20261126", "DTEND;VALUE=DATE:20261128"),
        event("SUMMARY:周六补周四的课", f"{day}20261128"),
        event("SUMMARY:周日上班", f"{day}20261129"),
        event("SUMMARY:教师会议", "DTSTART:20261126T080000Z"),
        event("SUMMARY:升旗", f"{day}20261130"),
        event("SUMMARY:期中考试", f"{day}20261130", "RRULE:FREQ=WEEKLY"),
        event("SUMMARY:春节", f"{day}20260217"),
        event("SUMMARY:停课", f"{day}2026xx17"),
    ]
    rows = service.judged(school, term, read_calendar(ICS.format(events="\n".join(events)).encode(), "b.ics"))
    found = [(row.state, row.why.code if row.why else "") for row in rows]
    assert found == [
        ("new", ""),
        ("new", ""),
        ("bad", "follows"),
        ("skipped", "ical-timed"),
        ("skipped", "ical-other"),
        ("bad", "ical-repeats"),
        ("skipped", "outside"),
        ("bad", "ical-broken"),
    ]
    assert rows[1].follows == 3
    assert "第 3 条“周日上班”" in rows[2].where


def test_what_is_no_calendar_is_refused(client: FlaskClient, school: School, term: Term) -> None:
    sign_in(client, make_admin(school))
    for name, data, words in (
        ("a.ics", b"hello", "不是可读的日历文件"),
        ("a.xlsx", b"hello", "不是 Excel 文件"),
        ("a.xlsx", book([("姓名", "学号")]), "没有找到“日期、类别、原因”"),
    ):
        assert words in post(client, "/preview", term=str(term.id), file=(io.BytesIO(data), name))
    assert "请先选择文件" in post(client, "/preview", term=str(term.id))
    assert "预览已过期" in post(client, "/apply", term=str(term.id), kept="forged")


def book(lines: list[tuple[object, ...]]) -> bytes:
    made = Workbook()
    for line in lines:
        made.worksheets[0].append(line)
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


def test_the_template_is_read_back_without_its_samples() -> None:
    assert load_workbook(io.BytesIO(template())).worksheets[0]["A1"].value == "日期"
    assert read_book(template(), "t.xlsx", START, END, [5, 6]) == []


def test_excel_rows_are_checked_then_entered_once(client: FlaskClient, school: School, term: Term) -> None:
    sign_in(client, make_admin(school))
    data = book(
        [
            ("2026学年校历", None),
            ("日期", "到", "类别", "按周几的课表", "年级", "原因"),
            (date(2026, 11, 26), "2026/11/27", "放假停课", None, "五、六年级", "秋游"),
            ("11月28日", None, "调休上课", "周四", None, "补秋游"),
            ("2027.1.11", "2027.1.15", "非教学周", None, None, "期末考试"),
            ("2026-13-01", None, "放假停课", None, None, "错"),
            ("2026-12-01", None, "放假停课", None, "九年级", "错"),
            ("2026-12-02", None, "别的", None, None, "错"),
            ("2026-12-05", None, "调休上课", None, None, "没写周几"),
            ("2026-11-28", None, "调休上课", "周四", None, "补秋游"),
        ]
    )
    page = post(client, "/preview", term=str(term.id), file=(io.BytesIO(data), "x.xlsx"))
    assert "新增 3 条" in page
    assert "有误 4 条" in page
    assert "第 6 行" in page
    assert "“日期/到”一列的日期看不懂" in page
    assert "没有本校的这个年级" in page
    assert not db.session.scalars(select(FlaggedWeek)).all()  # nothing is written yet
    kept = re.search(r'name="kept" value="([^"]+)"', page)
    assert kept
    assert "已导入 3 条" in post(client, "/apply", term=str(term.id), kept=kept[1])
    assert "已导入 0 条" in post(client, "/apply", term=str(term.id), kept=kept[1])
    rows = db.session.scalars(select(CalendarDay).where(CalendarDay.source == "school").order_by(CalendarDay.day)).all()
    assert [(row.day, row.is_school, row.follows, row.grades) for row in rows] == [
        (date(2026, 11, 26), False, None, [5, 6]),
        (date(2026, 11, 27), False, None, [5, 6]),
        (date(2026, 11, 28), True, 3, None),
    ]
    assert [flag.monday for flag in db.session.scalars(select(FlaggedWeek))] == [date(2027, 1, 11)]


def test_the_subscription_needs_its_address_and_names_nobody(client: FlaskClient, school: School) -> None:
    sign_in(client, make_admin(school))
    found = re.search(r"/school/calendar/feed/[^\"]+\.ics", client.get(PAGE).text)
    assert found
    assert client.get(f"{PAGE}/term.ics").data.startswith(b"BEGIN:VCALENDAR")
    client.get("/sign-out")
    stranger = client.application.test_client()
    answer = stranger.get(found[0])
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/calendar")
    assert "教务主任" not in answer.text
    assert stranger.get(f"{PAGE}/feed/wrong.ics").status_code == 404


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("国庆放假", "closed"),
        ("期中考试周", "flag"),
        ("10月10日上班", "school"),
        ("补周三课", "school"),
        ("升旗仪式", ""),
    ],
)
def test_what_a_summary_speaks_of(text: str, kind: str) -> None:
    assert kind_of(text) == kind


def test_dates_and_grades_as_people_write_them() -> None:
    for text in ("2026-11-03", "2026/11/3", "2026年11月3日", "20261103", "11月3日", "11.3"):
        assert date_of(text, START, END) == date(2026, 11, 3)
    assert date_of("1月5日", START, END) == date(2027, 1, 5)
    assert grades_of("全校", [1, 2]) is None
    assert grades_of("1、二年级", [1, 2]) == (1, 2)
    assert grades_of("一至三年级、5", [1, 2, 3, 4, 5]) == (1, 2, 3, 5)
    assert rules.grades_text([1, 2, 3, 5, 9, 10], range(1, 13)) == "一至三年级、五年级、九年级、高一"
    with pytest.raises(ValueError, match="九年级"):
        grades_of("九年级", [1, 2])
    row = Planned("x", "closed", date(2026, 11, 3), date(2026, 11, 1), "x")
    assert judge(row, START, END, ()).state == "bad"
