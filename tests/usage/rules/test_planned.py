"""The same rules over the timetable (计划)."""

from __future__ import annotations

from datetime import date

import pytest
from flask import Flask

from lms.core import clock
from lms.core.db import db
from lms.roster import service as roster
from lms.roster.models import School, SchoolClass, Term, TimetableSlot
from lms.roster.school import apply_national_days
from lms.usage.planned import foreseen_facts, plan_facts
from lms.usage.policies import evaluate, policy
from tests.factories import make_class, make_school, make_teacher
from tests.usage.makers import at

RULE = policy("fortnightly")


@pytest.fixture
def school(app: Flask, fixed_clock: clock.FixedClock) -> School:
    """Two grades of two classes; grade 5 is taught every second week, grade 6 every week, on Tuesdays."""
    fixed_clock.at = at(date(2026, 8, 20), 3)
    made = make_school()
    apply_national_days(made.id, date(2026, 9, 1), date(2027, 1, 22))
    term = db.session.query(Term).filter_by(school_id=made.id).one()
    for index, (grade, number) in enumerate([(5, 1), (5, 2), (6, 1), (6, 2)]):
        cohort = make_class(made, "primary", grade, number)
        teacher = make_teacher(made, cohort, name=f"老师{index}")
        weeks = "all" if grade == 6 else "odd"
        roster.set_slot(None, term, cohort, teacher, weekday=1, ordinal=2, subject="人工智能", weeks=weeks, room=None)
        roster.set_slot(None, term, cohort, teacher, weekday=3, ordinal=2, subject="语文", room=None)
    return made


def test_the_whole_term_as_planned(school: School) -> None:
    """Tuesdays of 21 weeks but 6 October (holiday): 20, and Sunday 20 September taught by Tuesday: 21; odd weeks 1, 3, … 21: 11, and the Sunday of week 3."""
    result = evaluate(plan_facts(school.id, date(2026, 8, 20)), RULE)
    assert (result.to_json()["label"], result.verdict) == ("计划", "met")
    assert [len(one.lessons) for one in result.classes] == [12, 12, 21, 21]
    assert {row.minutes for row in result.facts.lessons} == {40}
    assert {row.subject for row in result.facts.lessons} == {"人工智能"}
    hours = evaluate(plan_facts(school.id, date(2026, 8, 20), subjects=["语文"]), policy("class-hours-year"))
    assert hours.to_json()["basis"] == "plan"


def test_a_swap_moves_the_planned_lesson(school: School) -> None:
    before = {row.date for row in plan_facts(school.id, date(2026, 9, 1)).lessons}
    cohort = db.session.query(SchoolClass).filter_by(school_id=school.id, number=1).first()
    assert cohort is not None
    held = roster.slots_on(school.id, date(2026, 11, 3), class_id=cohort.id)[0]
    slot = db.session.get_one(TimetableSlot, held.slot_id)
    roster.move_slot(None, slot, date(2026, 11, 3), date(2026, 11, 4), 6, "运动会")
    after = {row.date for row in plan_facts(school.id, date(2026, 9, 1)).lessons}
    assert date(2026, 11, 4) in after - before


def test_what_was_missed_stays_missed_in_the_forecast(school: School) -> None:
    """Nothing was taught by 24 November: only the slots after it are foreseen."""
    facts = foreseen_facts(school.id, date(2026, 11, 24))
    assert min(row.date for row in facts.lessons) > date(2026, 11, 24)
    result = evaluate(facts, RULE)
    assert (result.facts.as_of, result.verdict) == (date(2027, 1, 22), "not-met")
