"""Swaps (调课): a lesson of one day moved or called off, on the page and in the day's plan."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import Invalid, Refused
from lms.roster import service as roster
from lms.roster.models import SlotMove, Term, TimetableSlot
from tests.factories import make_admin, make_class, make_school, make_teacher, sign_in, token

MONDAY, THURSDAY = date(2026, 11, 30), date(2026, 12, 3)


class Plan:
    """Two classes of one teacher: Monday and Thursday."""

    def __init__(self) -> None:
        self.school = make_school()
        self.classes = [make_class(self.school, number=number) for number in (1, 2)]
        self.teacher, self.admin = make_teacher(self.school, *self.classes), make_admin(self.school)
        term = db.session.scalar(select(Term).where(Term.school_id == self.school.id))
        assert term is not None
        self.slots: list[TimetableSlot] = [
            roster.set_slot(None, term, cohort, self.teacher, weekday=weekday, ordinal=2, subject="人工智能") for cohort, weekday in zip(self.classes, (0, 3), strict=True)
        ]

    def on(self, day: date) -> list[tuple[object, int]]:
        return [(one.class_id, one.ordinal) for one in roster.slots_on(self.school.id, day)]


@pytest.fixture
def plan(app: Flask, fixed_clock: clock.FixedClock) -> Plan:
    fixed_clock.at = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    return Plan()


def test_a_moved_lesson_leaves_its_day_and_stands_on_the_other(plan: Plan) -> None:
    first = plan.classes[0].id
    move = roster.move_slot(None, plan.slots[0], MONDAY, THURSDAY, 3, "教师外出")
    assert plan.on(MONDAY) == []
    assert plan.on(THURSDAY) == [(plan.classes[1].id, 2), (first, 3)]
    assert [one.move_id for one in roster.slots_on(plan.school.id, THURSDAY, class_id=first)] == [move.id]
    assert roster.move_slot(None, plan.slots[0], MONDAY, None, None, "校运会").id == move.id  # the newest entry stands
    assert plan.on(THURSDAY) == [(plan.classes[1].id, 2)]
    roster.undo_move(None, move)
    assert plan.on(MONDAY) == [(first, 2)]


@pytest.mark.parametrize(
    ("day", "to_day", "ordinal", "reason", "error"),
    [
        (MONDAY, THURSDAY, 2, "教师外出", Refused),  # the teacher is in the other class
        (date(2026, 12, 1), THURSDAY, 3, "教师外出", Invalid),  # no lesson on that Tuesday
        (MONDAY, THURSDAY, 99, "教师外出", Invalid),
        (MONDAY, date(2027, 8, 1), 3, "教师外出", Invalid),  # outside every term
        (MONDAY, THURSDAY, 3, " ", Invalid),
    ],
)
def test_what_cannot_be_is_refused(plan: Plan, day: date, to_day: date, ordinal: int, reason: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        roster.move_slot(None, plan.slots[0], day, to_day, ordinal, reason)
    assert db.session.scalar(select(SlotMove)) is None


def test_the_page_enters_and_takes_back(plan: Plan, client: FlaskClient, fixed_clock: clock.FixedClock) -> None:
    sign_in(client, plan.admin)
    page = f"/school/timetable?class={plan.classes[0].id}"
    form = {"csrf_token": token(client, page), "slot_id": str(plan.slots[0].id), "day": MONDAY.isoformat(), "to_day": THURSDAY.isoformat(), "ordinal": "3", "reason": "教师外出"}
    assert client.post("/school/timetable/moves", data=form).status_code == 302
    text = client.get(page).text
    assert "→ 2026-12-03" in text
    assert "教师外出" in text
    move = db.session.scalars(select(SlotMove)).one()
    fixed_clock.at = datetime(2026, 12, 4, 2, 0, tzinfo=UTC)
    client.post(f"/school/timetable/moves/{move.id}/undo", data={"csrf_token": token(client, page)})
    assert db.session.scalar(select(SlotMove)) is not None  # its day is over
    fixed_clock.at = datetime(2026, 12, 3, 2, 0, tzinfo=UTC)
    client.post(f"/school/timetable/moves/{move.id}/undo", data={"csrf_token": token(client, page)})
    assert db.session.scalar(select(SlotMove)) is None


def test_a_teacher_moves_nothing(plan: Plan, client: FlaskClient) -> None:
    sign_in(client, plan.teacher)
    form = {"csrf_token": token(client, "/school/timetable"), "slot_id": str(plan.slots[0].id), "day": MONDAY.isoformat(), "reason": "x"}
    assert client.post("/school/timetable/moves", data=form).status_code == 403
