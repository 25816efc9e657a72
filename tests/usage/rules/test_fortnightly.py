"""B2 and B2d against the definition's own examples, and properties."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lms.usage.judging.facts import DayFact, Facts, FlagFact
from lms.usage.judging.verdicts import WORST_LAST, ClassResult
from lms.usage.policies import evaluate, policy
from tests.effort import examples
from tests.usage.samples import YEAR_END, cohort, day, lesson, school_facts, weekly

RULE = policy("fortnightly")


def judged(facts: Facts) -> ClassResult:
    return evaluate(facts, RULE).classes[0]


def spread_lessons(count: int) -> list:
    """``count`` lessons, one in every second week first, then the weeks between."""
    return weekly([*range(1, 19, 2), *range(2, 19, 2)][:count])


@pytest.mark.parametrize(
    ("count", "verdict"), [(0, "not-met"), (7, "not-met"), (8, "met-approximately"), (9, "met"), (18, "met")]
)
def test_eighteen_weeks_ask_for_nine(count: int, verdict: str) -> None:
    result = judged(school_facts(spread_lessons(count)))
    assert (len(result.effective), result.required, result.counted, result.verdict) == (18, 9, count, verdict)


def test_twenty_lessons_in_the_last_week_are_not_met() -> None:
    monday = date(2026, 12, 28)
    crowd = [lesson(monday + timedelta(days=index % 4), id=f"x{index}") for index in range(20)]
    result = judged(school_facts(crowd))
    assert (result.raw, result.counted, result.verdict) == (4, 2, "not-met")  # at most one a day, at most two a block
    every_day = [lesson(date(2026, 12, 1) + timedelta(days=index), id=f"y{index}") for index in range(20)]
    result = judged(school_facts(every_day))
    assert (result.raw, result.counted, result.verdict) == (
        20,
        4,
        "not-met",
    )  # three blocks touched, one of them full before


def test_bunched_lessons_are_approximate_once_half_is_spread() -> None:
    bunched = weekly(range(1, 7)) + weekly(range(1, 7), weekday=2)
    result = judged(school_facts(bunched))
    assert (result.raw, result.counted, result.verdict, result.reason.code) == (12, 6, "met-approximately", "bunched")
    assert (
        judged(school_facts(weekly(range(1, 5)) + weekly(range(1, 6), weekday=2))).verdict == "met-approximately"
    )  # raw 9, 5 spread
    assert judged(school_facts(weekly(range(1, 5)) + weekly(range(1, 5), weekday=2))).verdict == "not-met"  # raw 8


def test_fewer_than_four_finished_weeks_are_not_assessable() -> None:
    assert judged(school_facts(weekly([1, 2, 3]), as_of="09-23")).verdict == "not-assessable"
    assert judged(school_facts(weekly([1, 2, 3]), as_of="09-23")).counted == 3
    assert (
        judged(school_facts(weekly([1, 2, 3, 4]), as_of="09-24")).verdict == "met"
    )  # the week of the 25th (holiday) ended on Thursday


def test_a_week_counts_once_its_last_school_day_is_over() -> None:
    assert len(judged(school_facts(as_of="09-03")).effective) == 0
    assert len(judged(school_facts(as_of="09-04")).effective) == 1
    assert len(judged(school_facts(as_of="10-09")).effective) == 5  # Saturday 10 October is still a school day
    assert len(judged(school_facts(as_of="10-10")).effective) == 6


def test_the_window_begins_with_class_and_admission() -> None:
    late = cohort(created=day("10-12"), admitted=day("09-01"))
    assert (judged(school_facts(classes=[late])).start, len(judged(school_facts(classes=[late])).effective)) == (
        day("10-12"),
        12,
    )
    admitted = cohort(admitted=day("10-15"))
    assert len(judged(school_facts(classes=[admitted])).effective) == 11  # that week keeps only Thursday and Friday
    assert judged(school_facts(weekly([1, 2, 3]), classes=[admitted])).raw == 0


def test_lessons_of_weeks_that_are_not_effective_go_to_the_block_before() -> None:
    flags = [FlagFact(date(2026, 9, 14), "军训", entered=day("09-01"))]
    result = judged(school_facts([*weekly([3]), *weekly([1, 2])], flags=flags, as_of="10-31"))
    assert [span.raw for span in result.spans][:1] == [3]
    assert result.counted == 2
    first = [FlagFact(date(2026, 8, 31), "军训", entered=day("08-20"))]
    result = judged(school_facts(weekly([1]), flags=first, as_of="10-31"))
    assert (result.spans[0].raw, result.counted) == (1, 1)


def test_an_odd_last_week_is_a_block_of_its_own() -> None:
    as_of = day("10-10")  # six effective weeks
    assert len(judged(school_facts(as_of=as_of)).spans) == 3
    result = judged(school_facts([*weekly([5], weekday=0), *weekly([5], weekday=1)], as_of=day("09-30")))
    assert [(len(span.weeks), span.raw) for span in result.spans] == [(2, 0), (2, 0), (1, 2)]


@pytest.mark.parametrize(
    ("weeks", "gap", "word"),
    [(range(1, 19), 0, "good"), ([4, 8, 12, 16], 3, "good"), ([5, 10, 15], 4, "warn"), ([6], 12, "bad")],
)
def test_longest_gap(weeks: list[int], gap: int, word: str) -> None:
    result = judged(school_facts(weekly(weeks)))
    assert (result.longest_gap, result.regularity) == (gap, word)


def test_outlook_names_the_latest_days() -> None:
    result = judged(school_facts(weekly(range(1, 15, 2)), as_of="12-04"))  # seven of nine, weeks 15–18 are left
    assert (result.outlook.required, result.outlook.counted, result.outlook.needed) == (9, 7, 2)
    assert result.outlook.latest == (date(2026, 12, 30), date(2026, 12, 31))
    assert not result.outlook.out_of_reach
    result = judged(school_facts(weekly(range(1, 9, 2)), as_of="12-04"))
    assert (result.outlook.needed, result.outlook.out_of_reach) == (5, True)  # two blocks hold four
    assert result.outlook.latest == (date(2026, 12, 17), date(2026, 12, 18), date(2026, 12, 30), date(2026, 12, 31))
    assert judged(school_facts(weekly(range(1, 19)), as_of="12-04")).outlook.needed == 0


def test_outlook_of_a_finished_term_has_no_days_left() -> None:
    result = judged(school_facts(spread_lessons(8)))
    assert (result.outlook.needed, result.outlook.latest, result.outlook.out_of_reach) == (1, (), True)


def test_flags_lower_what_is_asked_and_both_verdicts_are_told() -> None:
    flags = [FlagFact(date(2026, 9, 7) + timedelta(weeks=index), "复习", entered=day("09-01")) for index in range(4)]
    result = evaluate(school_facts(weekly([6, 8, 10, 12, 14, 16, 18]), flags=flags), RULE).classes[0]
    assert (len(result.effective), result.verdict, result.without_flags) == (14, "met", "not-met")


# --- properties ----------------------------------------------------------------------------------------------------


DAYS = st.dates(date(2026, 8, 25), date(2027, 1, 10))
MONDAYS = st.integers(0, 17).map(lambda number: date(2026, 8, 31) + timedelta(weeks=number))


@st.composite
def some_facts(draw: st.DrawFn) -> Facts:
    taught = draw(st.sets(DAYS, max_size=45))
    closures = [
        DayFact(
            each,
            False,
            "school",
            entered=each + timedelta(days=draw(st.integers(-3, 6))),
            countersigned=draw(st.booleans()),
        )
        for each in draw(st.sets(DAYS, max_size=12))
    ]
    flags = [
        FlagFact(
            monday,
            "考试",
            entered=monday + timedelta(days=draw(st.integers(-10, 3))),
            countersigned=draw(st.integers(0, 3)) == 0,
        )
        for monday in draw(st.sets(MONDAYS, max_size=8))
    ]
    one = cohort(created=draw(DAYS), admitted=draw(st.one_of(st.none(), DAYS)))
    base = school_facts([lesson(each) for each in sorted(taught)], classes=[one], flags=flags, as_of=draw(DAYS))
    held = {fact.day for fact in base.days}
    return replace(base, days=(*base.days, *(fact for fact in closures if fact.day not in held)))


@settings(max_examples=examples(200))
@given(some_facts(), DAYS)
def test_one_more_counted_lesson_never_worsens(facts: Facts, extra: date) -> None:
    before = judged(facts)
    more = lesson(extra, id="extra")
    after = judged(replace(facts, lessons=(*facts.lessons, more)))
    assert after.counted >= before.counted
    assert after.raw >= before.raw
    assert after.longest_gap <= before.longest_gap
    assert WORST_LAST.index(after.verdict) <= WORST_LAST.index(before.verdict)
    assert after.outlook.needed <= before.outlook.needed


@settings(max_examples=examples(200))
@given(some_facts())
def test_blocks_are_capped_and_rows_explain_the_numbers(facts: Facts) -> None:
    result = judged(facts)
    assert all(0 <= span.counted <= 2 and span.counted <= span.raw for span in result.spans)
    assert sum(one.counts for one in result.lessons) == result.raw
    assert len(result.lessons) == len(facts.lessons)
    assert result.raw - len(result.capped) == result.counted or not result.spans
    assert result.required == len(result.effective) // 2


@settings(max_examples=examples(150))
@given(some_facts(), st.integers(1, 40))
def test_time_adds_lessons_and_weeks_only(facts: Facts, days: int) -> None:
    now, later = judged(facts), judged(facts.at(facts.as_of + timedelta(days=days)))
    assert later.raw >= now.raw
    assert later.counted >= now.counted
    assert set(now.effective) <= set(later.effective)


@settings(max_examples=examples(150))
@given(some_facts())
def test_the_outlook_is_kept_by_teaching_on_its_days(facts: Facts) -> None:
    """Teaching on exactly the latest days reaches ``met`` at the end; a plan that is out of reach does not."""
    result = judged(facts)
    plan = [lesson(each, id=f"plan-{each}") for each in result.outlook.latest]
    assert all(each > facts.as_of for each in result.outlook.latest)
    end = judged(
        replace(facts, lessons=(*(row for row in facts.lessons if row.date <= facts.as_of), *plan), as_of=YEAR_END)
    )
    if len(end.effective) >= 4:
        assert (end.verdict == "met") == (not result.outlook.out_of_reach)
