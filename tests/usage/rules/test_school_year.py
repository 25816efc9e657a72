"""The school year 2026–27 in full, both terms, worked out by hand: autumn as announced, 2027 as predicted from law and lunar calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from lms.roster.calendar import national_days_between
from lms.usage.judging.calendar import grade_calendar
from lms.usage.judging.facts import DayFact, Facts, FlagFact, TaughtLesson
from lms.usage.policies import evaluate, policy
from tests.usage.samples import cohort, lesson, school_facts

AUTUMN = (date(2026, 9, 1), date(2027, 1, 22))
SPRING = (date(2027, 2, 22), date(2027, 7, 9))

# School days of every week. Autumn: 09-01 is a Tuesday; Sunday 09-20 is taught; 09-25 Mid-Autumn; 10-01..07 National Day, Saturday 10-10
# taught; Friday 01-01. Spring: 04-05 (Monday) 清明, 05-03 and 05-04 劳动节, 06-09 (Wednesday) 端午.
WEEKS = {
    AUTUMN: [4, 5, 6, 4, 3, 3, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 4, 5, 5, 5],
    SPRING: [5, 5, 5, 5, 5, 5, 4, 5, 5, 5, 3, 5, 5, 5, 5, 4, 5, 5, 5, 5],
}
# Mid-term exams, review and final exams, entered before the term.
FLAGS = {
    AUTUMN: [date(2026, 11, 9), date(2027, 1, 11), date(2027, 1, 18)],
    SPRING: [date(2027, 4, 26), date(2027, 6, 28), date(2027, 7, 5)],
}


def term_facts(
    term: tuple[date, date], lessons: list[TaughtLesson] | None = None, *, flags: bool = True, as_of: date | None = None
) -> Facts:
    start, end = term
    days = [
        DayFact(each.day, each.is_school, "national", follows=each.follows)
        for each in national_days_between(start, end)
    ]
    flagged = [FlagFact(monday, "考试", entered=start - timedelta(days=7)) for monday in FLAGS[term]] if flags else []
    classes = [cohort(f"g{grade}-{number}", grade, number=number) for grade in (5, 6) for number in (1, 2)]
    return school_facts(
        lessons or [], classes=classes, as_of=as_of or end, start=start, end=end, days=days, flags=flagged
    )


def mondays(term: tuple[date, date]) -> list[date]:
    first = term[0] - timedelta(days=term[0].weekday())
    return [first + timedelta(weeks=number) for number in range(len(WEEKS[term]))]


def every_second(term: tuple[date, date], *, but: tuple[str, ...] = ()) -> list[TaughtLesson]:
    """Every class is taught on the Wednesday of every second effective week (the Thursday where that is a holiday)."""
    effective = [monday for monday in mondays(term) if monday not in FLAGS[term]]
    off = {each.day for each in national_days_between(*term) if not each.is_school}
    found = []
    for monday in effective[::2]:
        day = next(each for each in (monday + timedelta(days=number) for number in (2, 3, 4)) if each not in off)
        found += [
            lesson(day, f"g{grade}-{number}")
            for grade in (5, 6)
            for number in (1, 2)
            if f"g{grade}-{number}" not in but
        ]
    return found


@pytest.mark.parametrize("term", [AUTUMN, SPRING])
def test_every_week_of_the_year(term: tuple[date, date]) -> None:
    calendar = grade_calendar(term_facts(term), 5, policy("fortnightly").parameters.calendar)
    found = {week.monday: len(week.days) for week in calendar.weeks(*term)}
    assert found == dict(zip(mondays(term), WEEKS[term], strict=True))
    assert len(calendar.days) == sum(WEEKS[term]) == {AUTUMN: 99, SPRING: 96}[term]


@pytest.mark.parametrize(
    ("term", "flags", "weeks", "required"),
    [(AUTUMN, False, 21, 10), (AUTUMN, True, 18, 9), (SPRING, False, 20, 10), (SPRING, True, 17, 8)],
)
def test_about_seventeen_lessons_a_year(term: tuple[date, date], flags: bool, weeks: int, required: int) -> None:
    """National frame: 35 teaching weeks, so 8–9 lessons a term and 17 a year."""
    result = evaluate(term_facts(term, flags=flags), policy("fortnightly")).classes[0]
    assert (len(result.effective), result.required) == (weeks, required)


@pytest.mark.parametrize(
    ("term", "months"),
    [
        (
            AUTUMN,
            {"2026-09": 2, "2026-10": 2, "2026-11": 2, "2026-12": 2, "2027-01": 1},
        ),  # January: 01-04 to 01-08, the rest is exams
        (
            SPRING,
            {"2027-02": 1, "2027-03": 2, "2027-04": 2, "2027-05": 2, "2027-06": 2, "2027-07": 0},
        ),  # February has five days
    ],
)
def test_what_every_month_asks(term: tuple[date, date], months: dict[str, int]) -> None:
    result = evaluate(term_facts(term), policy("twice-a-month")).classes[0]
    assert {span.name: span.required for span in result.spans} == months


def test_a_school_that_teaches_every_second_week_is_met_all_year() -> None:
    for term, count in ((AUTUMN, 9), (SPRING, 9)):
        result = evaluate(term_facts(term, every_second(term)), policy("fortnightly"))
        assert (
            result.verdict,
            {one.counted for one in result.classes},
            {one.longest_gap for one in result.classes},
        ) == ("met", {count}, {1})
    year = replace(
        term_facts(AUTUMN, every_second(AUTUMN) + every_second(SPRING), as_of=SPRING[1]), later_terms=(SPRING,)
    )
    for hours, verdict in ((8, "met"), (10, "met"), (18, "met"), (19, "not-met")):
        rule = policy("class-hours-year")
        asked = rule.with_values(rule.values() | {"year": {"class_hours": hours, "classes_percent": 100}}, rule.version)
        assert evaluate(year, asked).verdict == verdict


@pytest.mark.parametrize(
    ("as_of", "weeks", "verdict"),
    [
        ("2026-09-23", 3, "not-assessable"),
        ("2026-09-24", 4, "met"),
        ("2026-10-10", 6, "met"),
        ("2026-11-08", 10, "met"),
        ("2026-11-15", 10, "met"),  # the exam week adds nothing
        ("2026-12-31", 17, "met"),
        ("2027-01-01", 17, "met"),
        ("2027-01-08", 18, "met"),
        ("2027-01-22", 18, "met"),
    ],
)
def test_the_autumn_as_it_goes_by(as_of: str, weeks: int, verdict: str) -> None:
    result = evaluate(term_facts(AUTUMN, every_second(AUTUMN), as_of=date.fromisoformat(as_of)), policy("fortnightly"))
    assert ({len(one.effective) for one in result.classes}, result.verdict) == ({weeks}, verdict)


def test_one_class_that_stops_at_christmas_pulls_the_school_down() -> None:
    """g5-1 is not taught in spring: grade 5 keeps one class, and the stage needs two grades of two."""
    result = evaluate(term_facts(SPRING, every_second(SPRING, but=("g5-1",))), policy("fortnightly"))
    assert {one.cohort.id: one.verdict for one in result.classes} == {
        "g5-1": "not-met",
        "g5-2": "met",
        "g6-1": "met",
        "g6-2": "met",
    }
    assert result.verdict == "not-met"


def test_when_the_stopped_class_can_still_be_saved() -> None:
    """Of the 17 weeks of spring the blocks left on a day hold two lessons each, so eight need four of them."""
    rule = policy("fortnightly")
    lessons = every_second(SPRING, but=("g5-1",))
    # Blocks of effective weeks: 02-22/03-01, 03-08/15, 03-22/29, 04-05/12, 04-19/05-03, 05-10/17, 05-24/31, 06-07/14, 06-21.
    for as_of, needed, out_of_reach, first in (
        (date(2027, 5, 7), 8, False, date(2027, 5, 20)),  # three blocks and the last single week: eight places
        (date(2027, 5, 21), 8, True, None),  # two blocks and the single week: six places
        (date(2027, 6, 25), 8, True, None),
    ):
        one = evaluate(term_facts(SPRING, lessons, as_of=as_of), rule).classes[0]
        assert (one.cohort.id, one.outlook.needed, one.outlook.out_of_reach) == ("g5-1", needed, out_of_reach)
        if first is not None:
            assert one.outlook.latest[0] == first
