"""B2d: what is due, what if, and the slot that repairs it; answers worked out by hand on the autumn of 2026."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lms.usage.judging import forecast
from lms.usage.judging.facts import Facts, FlagFact
from lms.usage.judging.forecast import FreeSlot
from lms.usage.policies import evaluate, policy
from tests.effort import examples
from tests.usage.samples import YEAR_END, cohort, day, lesson, school_facts, weekly

RULE = policy("fortnightly")
MONTHS = policy("twice-a-month")
SEVEN = range(1, 15, 2)


def slot(on: str, ordinal: int = 3) -> FreeSlot:
    return FreeSlot(day(on), ordinal, time(10), time(10, 40), "t1", "r1")


def four(*weeks: list[int], as_of: str = "12-04", **more: object) -> Facts:
    """Grades 5 and 6 with two classes each; ``weeks`` taught by each."""
    keys = ["g5-1", "g5-2", "g6-1", "g6-2"]
    classes = [cohort(key, int(key[1]), number=int(key[3])) for key in keys]
    rows = [row for key, taught in zip(keys, weeks, strict=True) for row in weekly(taught, key)]
    return school_facts(rows, classes=classes, as_of=as_of, **more)  # type: ignore[arg-type]


def test_what_is_due_comes_in_order_of_danger() -> None:
    """R = 9; on 4 December blocks 8 and 9 are left and hold four."""
    facts = four(list(range(1, 14, 2)), [1, 3, 5, 7], [1, 3, 5, 7, 9], list(range(1, 10)))
    found = forecast.due(evaluate(facts, RULE))
    assert [(one.cohort.id, one.needed, one.spare, one.out_of_reach) for one in found] == [
        ("g5-2", 5, -1, True),
        ("g6-1", 4, 0, False),
        ("g5-1", 2, 2, False),
    ]
    assert found[1].latest == (date(2026, 12, 17), date(2026, 12, 18), date(2026, 12, 30), date(2026, 12, 31))


def test_months_are_as_tight_as_their_tightest() -> None:
    """December has one of two lessons and on the 30th one day left; 4 of a term that ends with the year."""
    facts = school_facts([*weekly([2, 3, 7, 8, 11, 12]), lesson("12-01")], as_of="12-30")
    (one,) = forecast.due(evaluate(facts, MONTHS))
    assert (one.needed, one.spare, one.latest) == (1, 0, (YEAR_END,))
    (one,) = forecast.due(evaluate(facts.at(YEAR_END), MONTHS))
    assert (one.needed, one.spare, one.out_of_reach) == (1, -1, True)


def test_a_closed_week_takes_places_away() -> None:
    """Without the week of 28 December: 17 weeks, R = 8, so one lesson less is needed, by the end of week 17."""
    facts = school_facts(weekly(SEVEN), as_of="12-04")
    changed = forecast.close_week(facts, date(2026, 12, 30), "大雪")
    answer = forecast.what_if(evaluate(facts, RULE), evaluate(changed, RULE))
    (change,) = answer.changes
    assert change.before is not None
    assert (change.before.outlook.needed, change.after.outlook.needed) == (2, 1)
    assert change.after.outlook.latest == (date(2026, 12, 25),)
    assert not change.worse


def test_a_closed_week_can_put_a_class_out_of_reach() -> None:
    """Four are missing and four fit; a closed week 16 leaves 17 weeks, R = 8: three missing in (15,17), (18): still four places."""
    facts = school_facts(weekly([1, 3, 5, 7, 9]), as_of="12-04")
    answer = forecast.what_if(evaluate(facts, RULE), evaluate(forecast.close_week(facts, date(2026, 12, 14)), RULE))
    assert (answer.changes[0].after.outlook.needed, answer.changes[0].after.outlook.places) == (3, 4)
    two = forecast.close_week(forecast.close_week(facts, date(2026, 12, 14)), date(2026, 12, 21))
    one = evaluate(two, RULE).classes[0].outlook  # 16 weeks, R = 8, one block (15,18) left for three
    assert (one.needed, one.places, one.out_of_reach) == (3, 2, True)


def test_closing_a_past_week_now_comes_too_late() -> None:
    facts = school_facts(weekly(SEVEN), as_of="12-04")
    assert (
        forecast.what_if(evaluate(facts, RULE), evaluate(forecast.close_week(facts, day("11-02")), RULE)).changes == ()
    )


def test_only_the_grades_that_are_closed_change() -> None:
    facts = four([1], [1], [1], [1])
    changed = forecast.close_week(facts, date(2026, 12, 14), grades=frozenset({5}))
    changes = forecast.what_if(evaluate(facts, RULE), evaluate(changed, RULE)).changes
    assert {change.after.cohort.id for change in changes} == {"g5-1", "g5-2"}


def test_an_exam_week_moved() -> None:
    """From 9 November to 14 December: what was flagged before is judged anew, in time for December, too late for this week."""
    flags = [FlagFact(day("11-09"), "期中考试", entered=day("09-01"))]
    facts = school_facts(weekly(SEVEN), flags=flags, as_of="10-31")
    moved = forecast.move_flag(facts, day("11-09"), day("12-14"))
    before, after = evaluate(facts, RULE).classes[0], evaluate(moved, RULE).classes[0]
    assert before.outlook.effective_weeks == after.outlook.effective_weeks == 17
    assert day("11-09") in {week.monday for week in after.weeks if not week.flagged}
    late = forecast.move_flag(facts.at(day("12-14")), day("11-09"), day("12-14"))
    assert evaluate(late, RULE).classes[0].outlook.effective_weeks == 18


def test_flagging_a_week_that_has_begun_changes_nothing() -> None:
    facts = school_facts(weekly(SEVEN), as_of="12-07")
    assert evaluate(forecast.flag_week(facts, day("12-07")), RULE).classes[0].outlook.effective_weeks == 18
    assert evaluate(forecast.flag_week(facts, day("12-14")), RULE).classes[0].outlook.effective_weeks == 17


def test_a_new_class_makes_the_second_grade() -> None:
    three = four(list(range(1, 19, 2)), list(range(1, 19, 2)), list(range(1, 19, 2)), [])
    facts = replace(three, classes=three.classes[:3])
    before = evaluate(facts, RULE)
    after = evaluate(forecast.add_class(facts, cohort("g6-2", 6, number=2, created=day("12-04"))), RULE)
    assert (before.verdict, after.verdict) == ("structurally-impossible", "not-assessable")
    (change,) = forecast.what_if(before, after).changes
    assert (change.before, change.after.cohort.id, change.worse) == (None, "g6-2", True)


def test_slots_that_repair() -> None:
    """Seven of nine on 4 December, week 15 has its lesson; blocks 8 (weeks 15, 16) and 9 (17, 18) are left."""
    facts = school_facts(weekly([1, 3, 5, 7, 9, 11, 13]), as_of="12-04")
    free = [slot("12-04"), slot("12-03"), slot("12-08"), slot("12-08", 5), slot("12-12"), slot("12-31")]
    found = forecast.repairing(facts, RULE, "c1", free)
    assert [(one.slot.day, one.slot.ordinal, one.needed) for one in found] == [
        (day("12-08"), 3, 1),
        (day("12-08"), 5, 1),
        (day("12-12"), 3, 1),  # a Saturday: a lesson there belongs to its week as well
        (day("12-31"), 3, 1),
    ]
    assert {one.verdict for one in found} == {"met-approximately"}


def test_no_slot_repairs_a_full_block_or_a_day_that_is_taken() -> None:
    taught = [*weekly([1, 3, 5, 7, 9, 11]), lesson("12-08"), lesson("12-09")]
    facts = school_facts(taught, as_of="12-10")
    found = forecast.repairing(facts, RULE, "c1", [slot("12-11"), slot("12-15"), slot("12-22")])
    assert [one.slot.day for one in found] == [day("12-22")]  # block 8 holds its two
    full = school_facts(weekly(range(1, 10)), as_of="12-04")
    assert forecast.repairing(full, RULE, "c1", [slot("12-22")]) == ()


def test_only_the_month_that_lacks_it_is_repaired() -> None:
    """November is over and full; December lacks one; the class needs nothing else."""
    facts = school_facts([*weekly([2, 3, 7, 8, 11, 12]), lesson("12-01")], as_of="12-04")
    found = forecast.repairing(facts, MONTHS, "c1", [slot("12-01"), slot("12-15"), slot("12-16")])
    assert [(one.slot.day, one.needed, one.verdict) for one in found] == [
        (day("12-15"), 0, "met"),
        (day("12-16"), 0, "met"),
    ]


def test_a_plan_of_slots_makes_up_all_that_is_missing() -> None:
    facts = school_facts(weekly([1, 3, 5, 7, 9, 11]), as_of="12-04")
    free = [slot(on) for on in ("12-08", "12-09", "12-10", "12-15", "12-22", "12-23", "12-29")]
    plan = forecast.repair_plan(facts, RULE, "c1", free)
    assert [(one.slot.day, one.needed) for one in plan] == [(day("12-08"), 2), (day("12-09"), 1), (day("12-22"), 0)]
    assert plan[-1].verdict == "met"
    assert [one.needed for one in forecast.repair_plan(facts, RULE, "c1", free[:3])] == [
        2,
        1,
    ]  # block 8 takes two, no more


def test_with_the_plan_the_end_of_term_is_foreseen() -> None:
    facts = school_facts(weekly(SEVEN), as_of="12-04")
    planned = [lesson(on, id=f"p{on}") for on in ("12-01", "12-15", "12-22")]  # the one before as_of was not taught
    result = evaluate(forecast.with_plan(facts, planned), RULE)
    assert (result.facts.basis, result.to_json()["label"], result.classes[0].counted) == ("plan", "计划", 9)


AHEAD = [date(2026, 12, 5) + timedelta(days=number) for number in range(27)]


@settings(max_examples=examples(60))
@given(
    st.sets(st.integers(1, 14), max_size=8),
    st.sets(st.sampled_from(AHEAD), max_size=12),
    st.sampled_from([RULE, MONTHS]),
)
def test_every_proposed_slot_helps_and_the_plan_keeps_its_word(weeks: set[int], days: set[date], rule: object) -> None:
    chosen = RULE if rule is RULE else MONTHS
    facts = school_facts(weekly(sorted(weeks)), as_of="12-04")
    free = [FreeSlot(on, 1, time(8), time(8, 40)) for on in sorted(days)]
    now = evaluate(facts, chosen).classes[0].outlook.needed
    proposed = {one.slot.day: one.needed for one in forecast.repairing(facts, chosen, "c1", free)}
    for on in days:
        more = replace(facts, lessons=(*facts.lessons, lesson(on, id="more")), as_of=YEAR_END)
        needed = evaluate(more, chosen).classes[0].outlook.needed
        assert proposed.get(on, now) == needed
    plan = forecast.repair_plan(facts, chosen, "c1", free)
    taught = [lesson(one.slot.day, id=f"m{one.slot.day}") for one in plan]
    end = evaluate(replace(facts, lessons=(*facts.lessons, *taught), as_of=YEAR_END), chosen).classes[0]
    assert end.outlook.needed == (plan[-1].needed if plan else now)
    assert len({one.slot.day for one in plan}) == len(plan)


@pytest.mark.parametrize("name", ["fortnightly", "twice-a-month"])
def test_the_same_rule_runs_over_a_plan(name: str) -> None:
    """计划: all slots of the term, before anything was taught."""
    facts = replace(school_facts(weekly(range(1, 19))), basis="plan")
    assert (evaluate(facts, policy(name)).classes[0].verdict, evaluate(facts, policy(name)).to_json()["basis"]) == (
        "met",
        "plan",
    )
