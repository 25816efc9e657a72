"""Stages and grades of Chinese schools (学段、年级、学制); pure, definitions B4."""

from __future__ import annotations

from datetime import date
from typing import Final, Literal

Stage = Literal["primary", "junior", "senior"]
System = Literal["6-3", "5-4"]

STAGES: Final[tuple[Stage, ...]] = ("primary", "junior", "senior")
STAGE_NAMES: Final[dict[str, str]] = {"primary": "小学", "junior": "初中", "senior": "高中"}
SCHOOL_TYPES: Final[dict[str, tuple[Stage, ...]]] = {
    "小学": ("primary",),
    "初级中学": ("junior",),
    "高级中学": ("senior",),
    "九年一贯制": ("primary", "junior"),
    "完全中学": ("junior", "senior"),
    "十二年一贯制": ("primary", "junior", "senior"),
    "教学点": ("primary",),
}
CLASS_HOUR_MINUTES: Final[dict[str, int]] = {"primary": 40, "junior": 45, "senior": 45}


def first_grade(stage: str, system: str = "6-3") -> int:
    """Lowest grade (1–12) of a stage under the school's system (学制)."""
    return {"primary": 1, "junior": 7 if system == "6-3" else 6, "senior": 10}[stage]


def last_grade(stage: str, system: str = "6-3") -> int:
    """Highest grade (1–12) of a stage."""
    return {"primary": 6 if system == "6-3" else 5, "junior": 9, "senior": 12}[stage]


def school_year(day: date) -> int:
    """The year in which the school year of ``day`` began; it begins on 1 September (升级日)."""
    return day.year if day.month >= 9 else day.year - 1


def grade_of(stage: str, entry_year: int, day: date, system: str = "6-3") -> int:
    """Grade (1–12) of the cohort that entered ``stage`` in ``entry_year``, on ``day``; may exceed the stage's last grade after leaving."""
    return first_grade(stage, system) + school_year(day) - entry_year


def entry_year_of(stage: str, grade: int, day: date, system: str = "6-3") -> int:
    """Year in which a class that is in ``grade`` on ``day`` entered its stage."""
    return school_year(day) - (grade - first_grade(stage, system))


def stage_of_grade(grade: int, system: str = "6-3") -> Stage:
    """Stage that a grade (1–12) belongs to."""
    for stage in STAGES:
        if first_grade(stage, system) <= grade <= last_grade(stage, system):
            return stage
    raise ValueError(f"no stage has grade {grade}")
