"""What is found about each row (判定), and the cells that every list shares: names, numbers, classes; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as made
from datetime import date
from typing import Any, Final

from lms.roster.intake.cells import Cell
from lms.roster.intake.headers import Line
from lms.roster.rules import ClassNameError, Cohort, class_name, cohort_of, parse_class_name, squeeze

NEW, CHANGED, UNCHANGED, ERROR = "new", "changed", "unchanged", "error"
MAX_NAME: Final = 50


@dataclass(frozen=True)
class Problem:
    """Why a row is refused, or (``warning``) what to look at: a code, the column's field, facts for the sentence."""

    code: str
    field: str
    facts: dict[str, Any] = made(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What becomes of a row: ``status`` new | changed | unchanged | error; ``changes`` names the fields that change."""

    sheet: str
    row: int
    status: str
    title: str
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shape:
    """What a school's class names are judged by."""

    stages: tuple[str, ...]
    system: str
    on: date


class Refusal(Exception):
    """A cell that cannot be taken; carries the problem."""

    def __init__(self, code: str, where: str, **facts: Any) -> None:
        super().__init__(code)
        self.problem = Problem(code, where, facts)


def check_kind(cell: Cell, where: str) -> None:
    """Refuse formulas without a result, error values, and what was masked when the file was read (see :func:`mask`)."""
    if cell.kind == "refused":
        raise Refusal(cell.text, where, value="")
    if cell.kind == "formula":
        raise Refusal("formula", where, value=cell.text)
    if cell.kind == "error":
        raise Refusal("cell-error", where, value=cell.text)


def read_name(cell: Cell, where: str = "name") -> str:
    """A person's name: 张 三 → 张三, 阿依古丽.买买提 → 阿依古丽·买买提; Latin names keep single spaces.

    Refused: missing, too long, digits or signs in it, dates and numbers.
    """
    check_kind(cell, where)
    text = unicodedata.normalize("NFKC", cell.text).strip()
    if not text:
        raise Refusal("name-missing", where)
    if re.search(r"[\u3400-\u9fff\U00020000-\U0003ffff]", text):
        text = re.sub(r"\s", "", text)
        text = re.sub(r"[.・•‧∙●。]", "·", text)
    if len(text) > MAX_NAME:
        raise Refusal("name-long", where, value=text[:20] + "…", limit=MAX_NAME)
    if cell.kind in ("number", "date", "bool") or any(char.isdigit() for char in text):
        raise Refusal("name-digits", where, value=text)
    if not all(unicodedata.category(char).startswith(("L", "M")) or char in "· '-." for char in text) or any("\ue000" <= char <= "\uf8ff" for char in text):
        raise Refusal("name-signs", where, value=text)
    if len(text) < 2:
        raise Refusal("name-short", where, value=text)
    return text


def read_number(cell: Cell, where: str) -> str:
    """A 学号 or 工号 as text; empty where the cell is.

    Refused: scientific notation, more digits than Excel keeps, fractions, dates, signs, an ID card number, a 学籍号.
    """
    check_kind(cell, where)
    text = squeeze(cell.text).upper()
    if not text:
        return ""
    if cell.kind == "date":
        raise Refusal("number-date", where, value=text)
    if re.fullmatch(r"\d(\.\d+)?E\+?\d+", text):
        raise Refusal("number-scientific", where, value=text)
    if cell.kind == "number":
        if not text.isdigit():
            raise Refusal("number-fraction", where, value=text)
        if len(text) > 15:
            raise Refusal("number-precision", where, value=text)
    if is_id_card(text):
        raise Refusal("number-id-card", where)
    if re.fullmatch(r"[GJL]\d{17}[\dX]", text):
        raise Refusal("number-registry", where)
    if not re.fullmatch(r"[A-Z0-9][A-Z0-9._-]*", text):
        raise Refusal("number-signs", where, value=text[:20])
    if len(text) > 32:
        raise Refusal("number-long", where, value=text[:20] + "…")
    return text


def is_id_card(text: str) -> bool:
    """Whether the text is a resident identity number: 17 digits with a date of birth and the right check digit (GB 11643)."""
    if not re.fullmatch(r"[1-9]\d{5}(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\d{3}[\dX]", text):
        return False
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(text, weights, strict=False)) % 11] == text[17]


def mask(cell: Cell) -> Cell:
    """The cell, unless it holds an ID card number or a 学籍号 where a school number belongs: then only why it is refused is kept."""
    text = squeeze(cell.text).upper()
    if is_id_card(text):
        return Cell("number-id-card", "refused")
    return Cell("number-registry", "refused") if re.fullmatch(r"[GJL]\d{17}[\dX]", text) else cell


def read_sex(cell: Cell) -> str:
    """男 or 女 (also 1 or 2, M or F); empty where the cell is."""
    check_kind(cell, "sex")
    text = squeeze(cell.text).upper()
    if not text:
        return ""
    for sex, words in (("男", ("男", "男性", "男生", "M", "1")), ("女", ("女", "女性", "女生", "F", "2"))):
        if text in words:
            return sex
    raise Refusal("sex", "sex", value=cell.text[:20])


def read_class(line: Line, shape: Shape, known: frozenset[Cohort] | set[Cohort]) -> Cohort:
    """The class of a row, from 班级 alone or from 年级 and 班级 together, which must agree."""
    cell, grade_cell = line.get("class"), line.get("grade")
    for each, where in ((cell, "class"), (grade_cell, "grade")):
        check_kind(each, where)
        if each.kind == "date":
            raise Refusal("class-date", where, value=each.text)
    text, grade = squeeze(cell.text), _grade_text(squeeze(grade_cell.text))
    if not text and not grade:
        raise Refusal("class-missing", "class")
    try:
        cohort = cohort_of(parse_class_name(text, shape.system), shape.stages, shape.on, shape.system, text)
    except ClassNameError as error:
        if not grade or error.code not in ("class-no-grade", "class-missing", "class-ambiguous-stage"):
            raise Refusal(error.code, "class", value=text) from error
        return _joined(text, grade, shape)
    if grade:
        try:
            said = cohort_of(parse_class_name(f"{grade}{cohort.number}班", shape.system), shape.stages, shape.on, shape.system)
        except ClassNameError as error:
            raise Refusal("grade-unreadable", "grade", value=grade) from error
        if said != cohort:
            raise Refusal("class-conflict", "class", value=text, grade=grade)
    if cell.kind == "number" and "." in text and Cohort(cohort.stage, cohort.entry_year, cohort.number * 10) in known:
        raise Refusal("class-as-number", "class", value=text)
    return cohort


def shown_name(cohort: Cohort, shape: Shape) -> str:
    """The class's name by grade, for messages."""
    return class_name(cohort, shape.on, system=shape.system)


def parses_alone(text: str, shape: Shape) -> bool:
    """Whether a class name needs no grade beside it."""
    try:
        parse_class_name(text, shape.system)
    except ClassNameError:
        return False
    return True


def _grade_text(text: str) -> str:
    if re.fullmatch(r"\d{1,2}|[一二三四五六七八九]", text):
        return f"{text}年级"
    return f"{text}级" if re.fullmatch(r"(19|20)\d{2}", text) else text


def _joined(text: str, grade: str, shape: Shape) -> Cohort:
    if not text:
        raise Refusal("class-missing", "class")
    year = re.fullmatch(r"((?:小学|初中|高中|初|高)?)((?:19|20)?\d{2}级.*)", text)
    joined = text if year else f"{grade}{text}"
    try:
        cohort = cohort_of(parse_class_name(joined, shape.system), shape.stages, shape.on, shape.system, joined)
    except ClassNameError as error:
        if error.code == "class-ambiguous-stage" and year:  # 2024级3班 with 年级 八年级 beside it
            number = parse_class_name(text, shape.system).number
            try:
                return cohort_of(parse_class_name(f"{grade}{number}班", shape.system), shape.stages, shape.on, shape.system, joined)
            except ClassNameError as again:
                raise Refusal(again.code, "class", value=joined) from again
        raise Refusal(error.code, "class", value=joined) from error
    return cohort


def lost_zeros(cells: Sequence[tuple[int, Cell]]) -> set[int]:
    """Keys of numbers typed as numbers that are shorter than nearly all others of the column: Excel dropped their leading zeros."""
    lengths = [len(squeeze(cell.text)) for _key, cell in cells if cell.kind in ("text", "number")]
    if len(lengths) < 5:
        return set()
    usual = max(set(lengths), key=lengths.count)
    if lengths.count(usual) < 0.8 * len(lengths):
        return set()
    return {key for key, cell in cells if cell.kind == "number" and len(squeeze(cell.text)) < usual}
