"""Class names both ways, PINs, the HN-19 checklist."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lms.core.stages import STAGES, first_grade, last_grade, school_year
from lms.roster.rules import (
    ClassNameError,
    ClassRef,
    Cohort,
    chinese_number,
    class_name,
    cohort_of,
    lab_needs,
    parse_class_name,
    to_chinese,
    weak_pin,
)

ON = date(2026, 11, 24)
ALL = ("primary", "junior", "senior")


@pytest.mark.parametrize(
    ("text", "stages", "expected"),
    [
        ("2024级3班", ("primary",), Cohort("primary", 2024, 3)),
        ("２０２４级３班", ("primary",), Cohort("primary", 2024, 3)),
        ("2024级（3）班", ("junior",), Cohort("junior", 2024, 3)),
        ("24级3班", ("junior",), Cohort("junior", 2024, 3)),
        ("2022级3班", ALL, Cohort("primary", 2022, 3)),  # only a fifth grade entered in 2022
        ("三年级2班", ALL, Cohort("primary", 2024, 2)),
        ("三 年 级 2 班", ALL, Cohort("primary", 2024, 2)),
        ("三（2）班", ALL, Cohort("primary", 2024, 2)),
        ("三(2)", ALL, Cohort("primary", 2024, 2)),
        ("3（2）班", ALL, Cohort("primary", 2024, 2)),
        ("3.2", ALL, Cohort("primary", 2024, 2)),
        ("3-2班", ALL, Cohort("primary", 2024, 2)),
        ("302班", ALL, Cohort("primary", 2024, 2)),
        ("三2班", ALL, Cohort("primary", 2024, 2)),
        ("小学三年级二班", ALL, Cohort("primary", 2024, 2)),
        ("三年级第2班", ALL, Cohort("primary", 2024, 2)),
        ("初一(3)班", ALL, Cohort("junior", 2026, 3)),
        ("初一3班", ALL, Cohort("junior", 2026, 3)),
        ("初中一年级3班", ALL, Cohort("junior", 2026, 3)),
        ("七年级3班", ALL, Cohort("junior", 2026, 3)),
        ("7年级03班", ALL, Cohort("junior", 2026, 3)),
        ("高一5班", ALL, Cohort("senior", 2026, 5)),
        ("高一（5）班", ALL, Cohort("senior", 2026, 5)),
        ("高1(5)班", ALL, Cohort("senior", 2026, 5)),
        ("高二十二班", ALL, Cohort("senior", 2025, 12)),
        ("高2024级5班", ALL, Cohort("senior", 2024, 5)),
        ("高中2024级5班", ALL, Cohort("senior", 2024, 5)),
        ("初中2024级5班", ALL, Cohort("junior", 2024, 5)),
        ("十年级1班", ALL, Cohort("senior", 2026, 1)),
    ],
)
def test_reads_what_schools_write(text: str, stages: tuple[str, ...], expected: Cohort) -> None:
    assert cohort_of(parse_class_name(text), stages, ON) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "class-missing"),
        ("　", "class-missing"),
        ("3班", "class-no-grade"),
        ("(3)班", "class-no-grade"),
        ("五年级", "class-no-number"),
        ("2024级", "class-no-number"),
        ("高一", "class-no-number"),
        ("五年级61班", "class-number-range"),
        ("五年级0班", "class-number-range"),
        ("2027届3班", "class-graduation-year"),
        ("2024级3班", "class-ambiguous-stage"),
        ("2014级3班", "class-not-in-school"),
        ("2029级3班", "class-not-in-school"),
        ("高四1班", "class-unreadable"),
        ("初四1班", "class-unreadable"),
        ("预初1班", "class-unreadable"),
        ("高15班", "class-unreadable"),
        ("十三年级1班", "class-unreadable"),
        ("火箭班", "class-unreadable"),
        ("小学八年级1班", "class-unreadable"),
        ("五年级1班2班", "class-unreadable"),
    ],
)
def test_says_why_it_cannot_read(text: str, code: str) -> None:
    with pytest.raises(ClassNameError) as refused:
        cohort_of(parse_class_name(text), ALL, ON)
    assert refused.value.code == code


def test_grade_outside_the_schools_stages_is_named() -> None:
    with pytest.raises(ClassNameError) as refused:
        cohort_of(parse_class_name("七年级1班"), ("primary",), ON)
    assert refused.value.code == "class-not-offered"


def test_five_four_system_moves_grade_six_and_refuses_the_two_meanings_of_chu_yi() -> None:
    assert cohort_of(parse_class_name("六年级1班", "5-4"), ALL, ON, "5-4") == Cohort("junior", 2026, 1)
    assert parse_class_name("预初1班", "5-4") == ClassRef(1, stage="junior", grade=6)
    assert parse_class_name("初四1班", "5-4") == ClassRef(1, stage="junior", grade=9)
    with pytest.raises(ClassNameError) as refused:
        parse_class_name("初一1班", "5-4")
    assert refused.value.code == "class-ambiguous-junior"


@given(
    stage=st.sampled_from(STAGES),
    years_in=st.integers(0, 5),
    number=st.integers(1, 60),
    on=st.dates(date(2020, 1, 1), date(2040, 12, 31)),
    style=st.sampled_from(["grade", "cohort"]),
    system=st.sampled_from(["6-3", "5-4"]),
)
def test_what_is_shown_is_read_back_as_the_same_class(stage: str, years_in: int, number: int, on: date, style: str, system: str) -> None:
    years_in = min(years_in, last_grade(stage, system) - first_grade(stage, system))
    cohort = Cohort(stage, school_year(on) - years_in, number)
    shown = class_name(cohort, on, style=style, system=system, many_stages=True)
    assert cohort_of(parse_class_name(shown, system), ALL, on, system) == cohort


def number_or_code(text: str) -> int | str:
    try:
        return parse_class_name(text).number
    except ClassNameError as refused:
        return refused.code


@given(st.text(max_size=20) | st.text("五七高初年级班届(1)2024", max_size=9))
def test_any_text_is_read_or_refused_with_a_code(text: str) -> None:
    found = number_or_code(text)
    assert 1 <= found <= 60 if isinstance(found, int) else found.startswith("class-")


@given(st.integers(1, 99))
def test_chinese_numbers_round_trip(number: int) -> None:
    assert chinese_number(to_chinese(number)) == number


def test_styles() -> None:
    assert class_name(Cohort("primary", 2022, 1), ON) == "五年级1班"
    assert class_name(Cohort("junior", 2026, 3), ON) == "七年级3班"
    assert class_name(Cohort("senior", 2026, 5), ON) == "高一（5）班"
    assert class_name(Cohort("primary", 2022, 1), ON, style="cohort") == "2022级1班"
    assert class_name(Cohort("junior", 2024, 1), ON, style="cohort", many_stages=True) == "初中2024级1班"


def test_promotion_on_the_first_of_september_needs_no_act() -> None:
    cohort = Cohort("primary", 2022, 1)
    assert class_name(cohort, date(2026, 8, 31)) == "四年级1班"
    assert class_name(cohort, date(2026, 9, 1)) == "五年级1班"
    assert class_name(cohort, date(2028, 9, 1)) == "小学2022级1班"


@pytest.mark.parametrize("pin", ["0000", "1234", "9876", "7890", "2121"])
def test_weak_pins(pin: str) -> None:
    assert weak_pin(pin)


def test_hn19_names_what_is_missing() -> None:
    needs = {need.code: need for need in lab_needs({"all_in_one": 1, "student_terminal": 38}, {"student_terminal": True}, seats=48, largest_class=40)}
    assert needs["all_in_one"].met
    assert not needs["teacher_terminal"].met
    assert (needs["student_terminal"].have, needs["student_terminal"].need, needs["student_terminal"].met) == (38, 40, False)
    assert needs["seats"].met
    assert not needs["group_furniture"].met
    full = lab_needs({"all_in_one": 1, "teacher_terminal": 1, "student_terminal": 40, "furniture": 12}, {"teacher_terminal": True, "student_terminal": True}, 40, 40)
    assert all(need.met for need in full)
    without_software = lab_needs({"teacher_terminal": 1}, {}, 0, 0)
    assert not any(need.met for need in without_software)
