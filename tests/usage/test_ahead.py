"""Looking ahead: the slots that repair, one click and its undo, and what if; through the pages."""

from __future__ import annotations

import re
from datetime import date

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.roster import service as roster
from lms.roster.models import SlotMove, Term
from lms.usage import policies, service
from lms.usage.ahead.service import repairs_for
from tests.factories import make_teacher, sign_in, token
from tests.usage.test_views import Campus, page

TODAY = date(2026, 11, 24)


@pytest.fixture
def campus(app: Flask, fixed_clock: clock.FixedClock) -> Campus:
    """Grade 6 has had no lesson; 六年级1班 has a weekly slot on Tuesday, third period."""
    made = Campus(fixed_clock)
    term = db.session.scalar(
        select(Term).where(Term.school_id == made.school.id, Term.starts_on <= TODAY, Term.ends_on >= TODAY)
    )
    assert term is not None
    roster.set_slot(None, term, made.classes[2], made.teacher, weekday=1, ordinal=3, subject="人工智能")
    return made


@pytest.fixture
def admin(campus: Campus, client: FlaskClient) -> FlaskClient:
    sign_in(client, campus.admin)
    return client


def test_slots_that_repair_are_free_and_count(campus: Campus) -> None:
    facts = service.facts_of(campus.school.id, TODAY)
    cohort = campus.classes[2]
    found = repairs_for(facts, policies.policy("fortnightly"), cohort.id)
    assert found and found[0].slot.day > TODAY
    assert all(one.slot.day.weekday() < 5 for one in found)
    for one in found:
        on_that_day = roster.slots_on(campus.school.id, one.slot.day)
        assert not any(slot.class_id == cohort.id for slot in on_that_day), "the class has its weekly lesson that day"
    assert not repairs_for(facts, policies.policy("fortnightly"), campus.classes[3].id), (
        "no weekly slot: nothing to hold once more"
    )


def test_one_click_puts_it_there_and_one_takes_it_back(campus: Campus, admin: FlaskClient) -> None:
    cohort = campus.classes[2]
    text = page(admin, f"/compliance/classes/{cohort.id}")
    form = re.search(r'name="day" value="([0-9-]+)"><input type="hidden" name="ordinal" value="(\d+)"', text)
    assert form and "哪些空档能补上" in text
    day = date.fromisoformat(form[1])
    answer = admin.post(
        f"/compliance/classes/{cohort.id}/repair", data={"day": form[1], "ordinal": form[2], "csrf_token": token(admin)}
    )
    assert answer.status_code == 302
    (slot,) = [one for one in roster.slots_on(campus.school.id, day) if one.class_id == cohort.id]
    assert slot.ordinal == int(form[2]) and slot.move_id is not None
    again = admin.post(
        f"/compliance/classes/{cohort.id}/repair", data={"day": form[1], "ordinal": form[2], "csrf_token": token(admin)}
    )
    assert again.status_code == 422 and "已经有这节课" in again.text
    assert "撤回刚才排的课" in page(admin, answer.headers["Location"])
    assert admin.post(f"/compliance/repairs/{slot.move_id}/undo", data={"csrf_token": token(admin)}).status_code == 302
    assert not [one for one in roster.slots_on(campus.school.id, day) if one.class_id == cohort.id]
    assert db.session.get(SlotMove, slot.move_id) is None


def test_a_lesson_that_is_over_is_not_taken_back(
    campus: Campus, admin: FlaskClient, fixed_clock: clock.FixedClock
) -> None:
    (best, *_more) = repairs_for(
        service.facts_of(campus.school.id, TODAY), policies.policy("fortnightly"), campus.classes[2].id
    )
    where = f"/compliance/classes/{campus.classes[2].id}/repair"
    admin.post(where, data={"day": best.slot.day.isoformat(), "ordinal": best.slot.ordinal, "csrf_token": token(admin)})
    move = db.session.scalar(select(SlotMove))
    assert move is not None
    fixed_clock.at = fixed_clock.at.replace(month=12, day=31)
    sign_in(admin, campus.admin)
    answer = admin.post(f"/compliance/repairs/{move.id}/undo", data={"csrf_token": token(admin)})
    assert answer.status_code == 409 and "不能撤回" in answer.text


def test_a_closed_week_tells_who_suffers_and_saves_nothing(campus: Campus, admin: FlaskClient) -> None:
    before = service.judge(campus.school.id, "fortnightly", TODAY)
    text = page(admin, "/compliance/what-if?kind=close&week=2026-12-07&grade=0")
    assert "有变化的班级" in text and "六年级1班" in text
    assert service.judge(campus.school.id, "fortnightly", TODAY) == before


def test_a_new_class_is_judged_from_its_day(admin: FlaskClient) -> None:
    text = page(admin, "/compliance/what-if?kind=class&grade=5")
    assert "新班" in text


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("kind=rain", "没有这种推演"),
        ("kind=close", "请选择哪一周"),
        ("kind=close&week=soon", "日期应写成"),
        ("kind=move&week=2026-12-07&to=2026-12-14", "没有登记为考试周"),
        ("kind=class&grade=0", "请选择新班的年级"),
        ("kind=class&grade=99", "年级应为"),
        ("kind=close&week=2026-12-07&rule=class-hours-term", "rule"),
    ],
)
def test_a_wrong_question_is_answered_in_words(admin: FlaskClient, question: str, words: str) -> None:
    answer = admin.get(f"/compliance/what-if?{question}")
    assert answer.status_code in (404, 422) and (words in answer.text or words == "rule")


def test_a_teacher_asks_not(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.teacher)
    assert client.get("/compliance/what-if").status_code == 403
    assert "哪些空档能补上" not in page(client, f"/compliance/classes/{campus.classes[0].id}")


def test_the_teacher_sees_the_slot_that_repairs(campus: Campus, client: FlaskClient) -> None:
    """Read-only, on the page of the class and under 上课; who does not teach the class sees neither."""
    cohort = campus.classes[2]
    roster.assign(None, campus.teacher, cohort, "人工智能")
    sign_in(client, campus.teacher)
    text = page(client, f"/compliance/classes/{cohort.id}")
    best = repairs_for(service.facts_of(campus.school.id, TODAY), policies.policy("fortnightly"), cohort.id)[0].slot
    assert "哪些空档能补上" in text and f"第 {best.ordinal} 节" in text
    assert f"/compliance/classes/{cohort.id}/repair" not in text
    today = page(client, "/today")
    assert f'可补：<span class="text-nowrap">{best.day.month}月{best.day.day}日第 {best.ordinal} 节' in today
    assert today.count("t-hint") == 1, "grade 5 is on track: nothing is said of it"
    client.get("/sign-out")
    other = make_teacher(campus.school, campus.classes[0], name="李老师", username="li")
    sign_in(client, other)
    assert "可补：" not in page(client, "/today")
