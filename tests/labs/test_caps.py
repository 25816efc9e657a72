"""How fast a robot may be driven by a class: the grade's table, and what its own profile caps for the stage."""

from __future__ import annotations

import pytest

from lms.labs.controls import caps_of


@pytest.mark.parametrize(
    ("profile", "stage", "grade", "linear"),
    [
        ("makeblock-mbot", "primary", 2, 0.15),  # the grade's table is lower
        ("makeblock-mbot", "primary", 5, 0.20),  # the profile's cap is
        ("makeblock-mbot", "junior", 8, 0.30),
        ("makeblock-mbot", "junior", 6, 0.25),  # a 5-4 school
        ("makeblock-mbot", "senior", 11, 0.40),
        ("dji-robomaster-ep", "senior", 11, 0.5),
        ("a-school-s-own", "primary", 5, 0.25),
        ("", "senior", 11, 0.5),
    ],
)
def test_the_slower_of_grade_and_profile_holds(profile: str, stage: str, grade: int, linear: float) -> None:
    assert caps_of(profile, stage, grade)[0] == linear


def test_turning_follows_the_grade() -> None:
    assert [caps_of("makeblock-mbot", "primary", grade)[1] for grade in (1, 5)] == [1.0, 1.5]
