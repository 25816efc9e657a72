"""Rows of a staff list against the roster (教师名单): one row a teacher, or one a teacher and class; pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lms.roster.intake.cells import Cell
from lms.roster.intake.headers import Line
from lms.roster.intake.verdicts import (
    CHANGED,
    ERROR,
    NEW,
    UNCHANGED,
    Problem,
    Refusal,
    Shape,
    Verdict,
    check_kind,
    read_class,
    read_name,
    read_number,
    read_sex,
)
from lms.roster.rules import ClassNameError, Cohort, parse_class_name, squeeze


@dataclass(frozen=True)
class KnownStaff:
    """A member of staff as import sees one; ``duties`` are (class, subject)."""

    person_id: str
    name: str
    staff_no: str = ""
    title: str = ""
    duties: frozenset[tuple[Cohort, str]] = frozenset()


@dataclass(frozen=True)
class StaffRow:
    """A member of staff as a row gives one; ``key`` is the same for all rows of one new person."""

    name: str = ""
    staff_no: str = ""
    sex: str = ""
    title: str = ""
    subject: str = ""
    classes: tuple[Cohort, ...] = ()
    person_id: str = ""
    key: str = ""


@dataclass
class Draft:
    """A row while it is judged."""

    line: Line
    row: StaffRow
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class JudgedStaff:
    """A row's verdict with what to store."""

    verdict: Verdict
    row: StaffRow


def judge_staff(lines: Sequence[Line], known: Sequence[KnownStaff], cohorts: frozenset[Cohort], shape: Shape) -> list[JudgedStaff]:
    """A verdict for every row; rows of one 工号 (or, without one, of one name) are one person."""
    drafts = [_read(line, cohorts, shape) for line in lines]
    _find_doubles(drafts)
    by_number = {person.staff_no: person for person in known if person.staff_no}
    by_name: dict[str, list[KnownStaff]] = defaultdict(list)
    for person in known:
        by_name[person.name].append(person)
    seen: set[str] = set()
    judged = []
    for draft in drafts:
        found = _person(draft, by_number, by_name)
        key = found.person_id if found else draft.row.staff_no or draft.row.name
        judged.append(_decide(draft, found, key, seen))
    return judged


def _read(line: Line, cohorts: frozenset[Cohort], shape: Shape) -> Draft:
    draft = Draft(line, StaffRow())
    readers: list[tuple[str, Callable[[], Any]]] = [
        ("name", lambda: read_name(line.get("name"))),
        ("staff_no", lambda: read_number(line.get("staff_no"), "staff_no")),
        ("sex", lambda: read_sex(line.get("sex"))),
        ("subject", lambda: read_subject(line.get("subject"))),
        ("title", lambda: squeeze(line.get("title").text)[:32]),
        ("classes", lambda: read_classes(line.get("classes"), line, cohorts, shape)),
    ]
    for name, reader in readers:
        try:
            draft.row = replace(draft.row, **{name: reader()})
        except Refusal as refusal:
            draft.problems.append(refusal.problem)
    if draft.row.classes and not draft.row.subject and not any(problem.field == "subject" for problem in draft.problems):
        draft.problems.append(Problem("subject-missing", "subject"))
    if draft.row.subject and not draft.row.classes and "classes" in line.cells and not any(problem.field == "classes" for problem in draft.problems):
        draft.problems.append(Problem("classes-missing", "classes"))
    return draft


def read_subject(cell: Cell) -> str:
    """A subject's name."""
    check_kind(cell, "subject")
    text = squeeze(cell.text)
    if len(text) > 32:
        raise Refusal("subject-long", "subject", value=text[:20] + "…")
    return text


def read_classes(cell: Cell, line: Line, cohorts: frozenset[Cohort], shape: Shape) -> tuple[Cohort, ...]:
    """Several classes in one cell: 五年级1班、五年级2班 or 五年级1、2班 (a bare number repeats the grade before it)."""
    check_kind(cell, "classes")
    found: list[Cohort] = []
    before = ""
    for part in re.split(r"[、,，;；\s/]+|和", cell.text.strip()):
        if not part:
            continue
        text = squeeze(part)
        if before and not _stands_alone(text, shape.system):
            text = f"{before}{text}"
        cohort = _class(text, line, shape)
        if cohort not in cohorts:
            raise Refusal("class-unknown", "classes", value=text)
        before = re.sub(r"\(?[0-9一二三四五六七八九十]{1,3}\)?班?$", "", text) or before
        found.append(cohort)
    return tuple(dict.fromkeys(found))


def _class(text: str, line: Line, shape: Shape) -> Cohort:
    try:
        return read_class(Line(line.sheet, line.row, {"class": Cell(text, "text")}), shape, frozenset())
    except Refusal as refusal:
        raise Refusal(refusal.problem.code, "classes", **refusal.problem.facts) from refusal


def _stands_alone(text: str, system: str) -> bool:
    try:
        parse_class_name(text, system)
    except ClassNameError:
        return False
    return True


def _find_doubles(drafts: Sequence[Draft]) -> None:
    first: dict[str, Draft] = {}
    rows: dict[tuple[str, str, str, tuple[Cohort, ...]], Draft] = {}
    for draft in drafts:
        row = draft.row
        if row.staff_no:
            other = first.setdefault(row.staff_no, draft)
            if row.name and other.row.name and other.row.name != row.name:
                draft.problems.append(Problem("staff-double", "staff_no", {"sheet": other.line.sheet, "row": other.line.row, "name": other.row.name}))
        if row.name and not draft.problems:
            same = rows.setdefault((row.staff_no, row.name, row.subject, row.classes), draft)
            if same is not draft:
                draft.problems.append(Problem("row-double-staff", "name", {"sheet": same.line.sheet, "row": same.line.row, "name": row.name}))


def _person(draft: Draft, by_number: dict[str, KnownStaff], by_name: dict[str, list[KnownStaff]]) -> KnownStaff | None:
    row = draft.row
    if row.staff_no and row.staff_no in by_number:
        found = by_number[row.staff_no]
        if row.name and found.name != row.name:
            draft.problems.append(Problem("staff-other", "staff_no", {"value": row.staff_no, "name": found.name}))
        return found
    same = [person for person in by_name.get(row.name, []) if not (row.staff_no and person.staff_no)]
    if len(same) > 1:
        draft.problems.append(Problem("staff-same-name", "name", {"name": row.name, "count": len(same)}))
    return same[0] if len(same) == 1 else None


def _decide(draft: Draft, found: KnownStaff | None, key: str, seen: set[str]) -> JudgedStaff:
    row = draft.row
    duties = {(cohort, row.subject) for cohort in row.classes}
    changes: list[str] = []
    if found is not None or key in seen:
        stored = found or KnownStaff("", row.name, row.staff_no, row.title)
        if duties - stored.duties:
            changes.append("duties")
        if row.title and row.title != stored.title:
            changes.append("title")
        if row.staff_no and row.staff_no != stored.staff_no:
            changes.append("staff_no")
    if draft.problems:
        status = ERROR
    elif found is None and key not in seen:
        status = NEW
    else:
        status = CHANGED if changes else UNCHANGED
    if status == NEW:
        seen.add(key)
    verdict = Verdict(
        draft.line.sheet,
        draft.line.row,
        status,
        row.name or draft.line.get("name").text,
        tuple(draft.problems),
        (),
        tuple(changes) if status == CHANGED else (),
    )
    return JudgedStaff(verdict, replace(row, person_id=found.person_id if found else "", key=key))
