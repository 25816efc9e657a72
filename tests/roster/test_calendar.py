"""School days, weeks, 调休 and the national table, with the 2027 trap."""

from __future__ import annotations

from datetime import date, timedelta

import chinese_calendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lms.roster.calendar import (
    Calendar,
    DayFact,
    days_between,
    followed_weekday,
    is_school_day,
    national_days,
    national_days_between,
    school_days_in_week,
    week_fits,
    week_number,
    weeks_of,
)

START, END = date(2026, 9, 1), date(2027, 1, 22)


def autumn() -> Calendar:
    days = {each.day: (DayFact(each.is_school, each.follows, state=each.state),) for each in national_days_between(START, END)}
    return Calendar(START, END, days)


def test_autumn_2026_has_the_weeks_that_definition_b1_counts() -> None:
    calendar = autumn()
    weeks = [monday for monday in weeks_of(calendar) if monday <= date(2026, 12, 31)]
    assert len([monday for monday in weeks if school_days_in_week(calendar, monday) >= 3]) == 18
    assert school_days_in_week(calendar, date(2026, 9, 28)) == 3
    assert school_days_in_week(calendar, date(2026, 10, 5)) == 3


def test_a_tiaoxiu_day_follows_another_weekday() -> None:
    calendar = autumn()
    assert followed_weekday(calendar, date(2026, 10, 10)) == 2
    assert followed_weekday(calendar, date(2026, 10, 6)) is None
    assert followed_weekday(calendar, date(2026, 9, 20)) == 1


def test_an_undeclared_weekend_school_day_does_not_count() -> None:
    calendar = Calendar(START, END, {date(2026, 10, 10): (DayFact(True),)})
    assert not is_school_day(calendar, date(2026, 10, 10))


def test_closures_of_some_grades_leave_the_others_at_school() -> None:
    calendar = Calendar(START, END, {date(2026, 11, 24): (DayFact(False, grades=(7, 8)),)})
    assert not is_school_day(calendar, date(2026, 11, 24), 7)
    assert is_school_day(calendar, date(2026, 11, 24), 9)
    assert is_school_day(calendar, date(2026, 11, 24))


def test_2027_is_estimated_and_does_not_crash() -> None:
    assert {each.state for each in national_days(2026)} == {"announced"}
    assert {each.state for each in national_days(2027)} == {"estimated"}
    assert any(each.day == date(2027, 1, 1) and each.state == "estimated" for each in national_days_between(START, END))


def test_the_bundled_table_says_what_the_public_one_says() -> None:
    """An independent table (holidays, 调休) of 2026; 2027 is not in it yet, which is why ours is estimated."""
    ours = {each.day: each for each in national_days(2026)}
    for day in days_between(date(2026, 1, 1), date(2026, 12, 31)):
        working = ours[day].is_school if day in ours else day.weekday() < 5
        assert working == chinese_calendar.is_workday(day), day
    with pytest.raises(NotImplementedError):
        chinese_calendar.is_workday(date(2027, 1, 4))


def test_the_last_entry_that_concerns_a_grade_holds() -> None:
    entries = (DayFact(False, reason="国庆节"), DayFact(True, 2, "school", grades=(5,)), DayFact(False, source="school"))
    calendar = Calendar(START, END, {date(2026, 10, 5): entries[:2]})
    assert followed_weekday(calendar, date(2026, 10, 5), 5) == 2
    assert followed_weekday(calendar, date(2026, 10, 5), 6) is None
    assert not is_school_day(Calendar(START, END, {date(2026, 10, 5): entries}), date(2026, 10, 5), 5)


@given(st.integers(2000, 2100))
def test_no_year_breaks_the_table(year: int) -> None:
    found = national_days(year)
    assert any(each.day == date(year, 1, 1) and not each.is_school for each in found)


@given(st.dates(START, END))
def test_every_day_is_in_exactly_one_week(day: date) -> None:
    calendar = autumn()
    assert [monday for monday in weeks_of(calendar) if monday <= day <= monday + timedelta(days=6)] == [weeks_of(calendar)[week_number(START, day) - 1]]


def test_odd_and_even_weeks() -> None:
    assert week_number(START, date(2026, 9, 6)) == 1
    assert week_number(START, date(2026, 9, 7)) == 2
    assert week_fits("odd", 1)
    assert not week_fits("odd", 2)
    assert week_fits("even", 2)
    assert week_fits("all", 7)
    assert len(list(days_between(START, START))) == 1
