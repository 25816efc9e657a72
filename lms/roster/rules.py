"""Class names both ways (班级名称), secrets that pupils can remember, and what HN-19 asks of a room; pure.

A class is a cohort: stage + entry year + number (definitions B2a, B4). Its name is read and shown here and nowhere else.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from lms.core.stages import (
    STAGE_NAMES,
    STAGES,
    entry_year_of,
    first_grade,
    grade_of,
    last_grade,
    school_year,
    stage_of_grade,
)

DIGITS: Final = "零一二三四五六七八九"
MAX_CLASS_NUMBER: Final = 60
CLASS_STYLES: Final = ("grade", "cohort")

PICTURES: Final = ("cat", "fish", "sun", "star", "tree", "boat", "apple", "house", "moon", "flower", "umbrella", "key")
"""The pictures of a picture PIN (图片口令): three of these in a row, 1,728 rows; the lockout guards them as it guards digits."""
PICTURE_NAMES: Final = {
    "cat": "小猫",
    "fish": "小鱼",
    "sun": "太阳",
    "star": "星星",
    "tree": "大树",
    "boat": "小船",
    "apple": "苹果",
    "house": "房子",
    "moon": "月亮",
    "flower": "花朵",
    "umbrella": "雨伞",
    "key": "钥匙",
}


class ClassNameError(ValueError):
    """A class name that cannot be read (班级名称有误); ``code`` says why, ``text`` is what was written.

    Codes: class-missing, class-unreadable, class-no-grade, class-no-number, class-number-range, class-graduation-year, class-ambiguous-junior,
    class-ambiguous-stage, class-not-offered, class-not-in-school.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True)
class ClassRef:
    """What a class name says: a number, and either a grade (1–12) or the year of entry; the stage where it is said."""

    number: int
    stage: str | None = None
    grade: int | None = None
    entry_year: int | None = None


@dataclass(frozen=True, order=True)
class Cohort:
    """A class by its identity: stage, year of entry, number (学段 + 入学年份 + 班号)."""

    stage: str
    entry_year: int
    number: int


def squeeze(text: str) -> str:
    """``text`` with half-width digits and brackets, without any white space."""
    return re.sub(r"\s|\u200b|\ufeff", "", unicodedata.normalize("NFKC", text))


def chinese_number(text: str) -> int | None:
    """Value of 1–99 written in digits or Chinese (12, 十二, 二十); None where it is no such number."""
    if re.fullmatch(r"[0-9]{1,2}", text):
        return int(text)
    found = re.fullmatch(r"([一二三四五六七八九])?(十)?([一二三四五六七八九])?", text)
    if not text or not found:
        return None
    tens, ten, ones = found.groups()
    if not ten:
        return DIGITS.index(text) if len(text) == 1 else None
    return (DIGITS.index(tens) if tens else 1) * 10 + (DIGITS.index(ones) if ones else 0)


def to_chinese(number: int) -> str:
    """1–99 in Chinese numerals (12 → 十二)."""
    tens, ones = divmod(number, 10)
    if not tens:
        return DIGITS[ones]
    return ("" if tens == 1 else DIGITS[tens]) + "十" + (DIGITS[ones] if ones else "")


_N = r"(?P<number>[0-9]{1,3}|[一二三四五六七八九十]{1,3})"
_CLASS = rf"(?:\({_N}\)|{_N.replace('number', 'bare')})班?$"
_NUMERAL = r"[0-9]{1,2}|[一二三四五六七八九十]{1,2}"
_STAGE_WORD = {"小学": "primary", "小": "primary", "初中": "junior", "初": "junior", "高中": "senior", "高": "senior"}
_STAGE = r"(?P<stage>小学|初中|高中|小|初|高)"
_COHORT = re.compile(rf"^{_STAGE}?(?P<year>(?:20|19)?[0-9]{{2}})级{_CLASS}")
_GRADUATION = re.compile(r"^.{0,2}(?:20|19)?[0-9]{2}届")
_GRADE = re.compile(rf"^(?:小学|初中|高中)?(?P<grade>{_NUMERAL})年级{_CLASS}")
_IN_STAGE = re.compile(rf"^(?P<stage>初中|高中|初|高)(?P<year>[一二三四]|[1-4](?=年级|[(.\-]))(?:年级|[.\-](?=[0-9]))?{_CLASS}")
_PRE = re.compile(rf"^(?:预初|初中?预备班?|预备年级|预备){_CLASS}")
_BRACKET = re.compile(rf"^(?P<grade>{_NUMERAL})\({_N}\)班?$")
_DOTTED = re.compile(r"^(?P<grade>[0-9]{1,2})[.\-/·](?P<number>[0-9]{1,2})班?$")
_PACKED = re.compile(r"^(?P<grade>[1-9])(?P<number>[0-9]{2})班?$")
_MIXED = re.compile(r"^(?P<grade>[一二三四五六七八九])(?P<number>[0-9]{1,2})班?$")
_ONLY_GRADE = re.compile(rf"^(?:(?:小学|初中|高中)?(?:{_NUMERAL})年级|(?:初|高)中?[一二三四]|(?:小学|初中|初|高中|高)?(?:20)?[0-9]{{2}}级)$")
_ONLY_NUMBER = re.compile(rf"^(?:\({_N}\)|{_N.replace('number', 'bare')})班?$")


def _number(found: re.Match[str], text: str) -> int:
    groups = found.groupdict()
    value = chinese_number((groups.get("number") or groups.get("bare") or "").lstrip("0") or "0")
    if value is None or not 1 <= value <= MAX_CLASS_NUMBER:
        raise ClassNameError("class-number-range", text)
    return value


def parse_class_name(text: str, system: str = "6-3") -> ClassRef:
    """Read a class name as schools write it: 2024级3班, 三年级2班, 三（2）班, 3.2, 302班, 初一(3)班, 七年级3班, 高2024级5班 …

    ``system`` (学制) decides what 初一 means. Raises ClassNameError with its code. In a 五四 school 初一…初三 are refused as
    ambiguous: Shandong counts 初一 as grade 6, Shanghai as grade 7; 预初 is grade 6, 初四 grade 9.
    """
    plain = squeeze(text).replace("〔", "(").replace("〕", ")").replace("[", "(").replace("]", ")").replace("【", "(").replace("】", ")")
    plain = plain.replace("第", "").replace("級", "级").replace("两", "二")
    if not plain:
        raise ClassNameError("class-missing", text)
    if _GRADUATION.match(plain):
        raise ClassNameError("class-graduation-year", text)
    if found := _COHORT.match(plain):
        year = int(found["year"])
        return ClassRef(_number(found, text), stage=_STAGE_WORD.get(found["stage"] or ""), entry_year=year if year > 99 else 2000 + year)
    if (found := _PRE.match(plain)) and system == "5-4":
        return ClassRef(_number(found, text), stage="junior", grade=6)
    if found := _IN_STAGE.match(plain):
        return _in_stage(found, text, system)
    if found := _GRADE.match(plain) or _BRACKET.match(plain) or _DOTTED.match(plain):
        return _graded(found, text, system, plain)
    if found := _PACKED.match(plain) or _MIXED.match(plain):
        return _graded(found, text, system, plain)
    if _ONLY_GRADE.match(plain):
        raise ClassNameError("class-no-number", text)
    if _ONLY_NUMBER.match(plain):
        raise ClassNameError("class-no-grade", text)
    raise ClassNameError("class-unreadable", text)


def _in_stage(found: re.Match[str], text: str, system: str) -> ClassRef:
    stage = _STAGE_WORD[found["stage"]]
    year = chinese_number(found["year"]) or 0
    if stage == "senior":
        if year > 3:
            raise ClassNameError("class-unreadable", text)
        return ClassRef(_number(found, text), stage=stage, grade=9 + year)
    if system == "5-4" and year < 4:
        raise ClassNameError("class-ambiguous-junior", text)
    if system == "6-3" and year == 4:
        raise ClassNameError("class-unreadable", text)
    return ClassRef(_number(found, text), stage=stage, grade=9 if year == 4 else 6 + year)


def _graded(found: re.Match[str], text: str, system: str, plain: str) -> ClassRef:
    grade = chinese_number(found["grade"])
    if grade is None or not 1 <= grade <= 12:
        raise ClassNameError("class-unreadable", text)
    said = next((_STAGE_WORD[word] for word in ("小学", "初中", "高中") if plain.startswith(word)), None)
    if said and grade < first_grade(said, system):  # 初中一年级, 高中二年级: the grade counts inside the stage
        if said == "junior" and system == "5-4":
            raise ClassNameError("class-ambiguous-junior", text)
        grade += first_grade(said, system) - 1
    stage = stage_of_grade(grade, system)
    if said and said != stage:
        raise ClassNameError("class-unreadable", text)
    return ClassRef(_number(found, text), stage=stage, grade=grade)


def cohort_of(ref: ClassRef, stages: Sequence[str], on: date, system: str = "6-3", text: str = "") -> Cohort:
    """Which class of a school with these ``stages`` a name means on a day.

    Raises ClassNameError: class-not-offered (the school has no such stage), class-ambiguous-stage (2024级 fits two stages),
    class-not-in-school (that cohort has left, or has not come yet).
    """
    if ref.grade is not None:
        stage = ref.stage or stage_of_grade(ref.grade, system)
        if stage not in stages:
            raise ClassNameError("class-not-offered", text)
        return Cohort(stage, entry_year_of(stage, ref.grade, on, system), ref.number)
    year = ref.entry_year or 0
    if ref.stage is not None and ref.stage not in stages:
        raise ClassNameError("class-not-offered", text)
    wanted = [stage for stage in STAGES if stage in stages and ref.stage in (None, stage)]
    fits = [stage for stage in wanted if first_grade(stage, system) <= grade_of(stage, year, on, system) <= last_grade(stage, system)]
    if not fits:
        raise ClassNameError("class-not-in-school", text)
    if len(fits) > 1:
        raise ClassNameError("class-ambiguous-stage", text)
    return Cohort(fits[0], year, ref.number)


def grade_name(grade: int, stage: str | None = None) -> str:
    """Name of a grade: 三年级, 七年级, 高一."""
    if grade >= 10:
        return "高" + to_chinese(grade - 9)
    return f"{to_chinese(grade)}年级"


def class_name(cohort: Cohort, on: date, *, style: str = "grade", system: str = "6-3", many_stages: bool = False) -> str:
    """Name of a class on a day: 五年级1班, 七年级3班, 高一（5）班 in style ``grade``; 2024级3班 in style ``cohort``.

    In a school of several stages the cohort style names the stage (初中2024级3班). A class that has left is shown as a cohort
    with its stage in either style, since its grade is over.
    """
    grade = grade_of(cohort.stage, cohort.entry_year, on, system)
    here = first_grade(cohort.stage, system) <= grade <= last_grade(cohort.stage, system)
    if style == "cohort" or not here:
        stage = STAGE_NAMES[cohort.stage] if many_stages or not here else ""
        return f"{stage}{cohort.entry_year}级{cohort.number}班"
    if cohort.stage == "senior":
        return f"{grade_name(grade)}（{cohort.number}）班"
    return f"{grade_name(grade)}{cohort.number}班"


def has_left(cohort: Cohort, on: date, system: str = "6-3") -> bool:
    """Whether the cohort has gone through its stage (毕业)."""
    return school_year(on) - cohort.entry_year > last_grade(cohort.stage, system) - first_grade(cohort.stage, system)


def weak_pin(pin: str) -> bool:
    """Whether four digits are too easy to guess: one digit repeated, a run, or a pair repeated."""
    steps = {(int(b) - int(a)) % 10 for a, b in itertools.pairwise(pin)}
    return len(set(pin)) == 1 or steps in ({1}, {9}) or pin[:2] == pin[2:]


@dataclass(frozen=True)
class Need:
    """A line of the HN-19 checklist: what, how many are there, how many must be there, whether it is met."""

    code: str
    have: int
    need: int
    met: bool


AI_SUBJECT = "人工智能"


def ai_subjects(host_subject: str) -> frozenset[str]:
    """Subjects of the timetable that are AI lessons: 人工智能, and the school's own AI 课所在学科 (HA-04)."""
    return frozenset({AI_SUBJECT, host_subject} - {""})


def lab_needs(quantities: dict[str, int], software: dict[str, bool], seats: int, largest_class: int) -> list[Need]:
    """HN-19: all-in-one 1, teacher terminal with software 1, a student terminal with software for each pupil, seats for groups.

    ``quantities`` and ``software`` go by category (see InventoryItem); ``seats`` of the room; ``largest_class`` = pupils of the
    largest class that is taught there (0 where none is known: then one terminal for each seat is asked).
    """
    pupils = largest_class or seats
    have = {code: quantities.get(code, 0) for code in ("all_in_one", "teacher_terminal", "student_terminal")}
    return [
        Need("all_in_one", have["all_in_one"], 1, have["all_in_one"] >= 1),
        Need("teacher_terminal", have["teacher_terminal"], 1, have["teacher_terminal"] >= 1 and software.get("teacher_terminal", False)),
        Need(
            "student_terminal",
            have["student_terminal"],
            pupils,
            pupils > 0 and have["student_terminal"] >= pupils and software.get("student_terminal", False),
        ),
        Need("seats", seats, pupils, pupils > 0 and seats >= pupils),
        Need("group_furniture", quantities.get("furniture", 0), 1, quantities.get("furniture", 0) >= 1),
    ]
