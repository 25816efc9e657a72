"""Rows of a timetable against the roster (课表): 班级 星期 节次 学科 教师 教室; pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import time
from typing import Any, Final

from lms.roster.intake.headers import Line
from lms.roster.intake.staff import KnownStaff, read_subject
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
)
from lms.roster.rules import Cohort, chinese_number, squeeze

DAYS: Final = "一二三四五六日"


@dataclass(frozen=True)
class KnownSlot:
    """A slot that the timetable holds."""

    slot_id: str
    cohort: Cohort
    weekday: int
    ordinal: int
    weeks: str
    subject: str
    teacher: str
    room: str


@dataclass(frozen=True)
class SlotWorld:
    """What a timetable is judged against: classes, teachers, rooms by code and name, period times by (stage, number), slots of the term."""

    cohorts: frozenset[Cohort]
    staff: tuple[KnownStaff, ...]
    rooms: Mapping[str, str]
    periods: Mapping[tuple[str, int], tuple[time, time]]
    slots: tuple[KnownSlot, ...]


@dataclass(frozen=True)
class SlotRow:
    """A slot as a row gives one; ids as text. ``slot_id`` is the slot that it replaces or repeats."""

    cohort: Cohort | None = None
    weekday: int = -1
    ordinal: int = 0
    weeks: str = "all"
    subject: str = ""
    teacher: str = ""
    room: str = ""
    slot_id: str = ""


@dataclass
class Draft:
    """A row while it is judged."""

    line: Line
    row: SlotRow
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class JudgedSlot:
    """A row's verdict with the slot to store."""

    verdict: Verdict
    row: SlotRow


def judge_slots(lines: Sequence[Line], world: SlotWorld, shape: Shape) -> list[JudgedSlot]:
    """A verdict for every row; a slot of the same class, time and weeks is replaced."""
    names: dict[str, list[KnownStaff]] = defaultdict(list)
    for person in world.staff:
        names[person.name].append(person)
    numbers = {person.staff_no: person for person in world.staff if person.staff_no}
    drafts = [_read(line, world, shape, names, numbers) for line in lines]
    _find_clashes(drafts, world)
    replaced = {
        (slot.cohort, slot.weekday, slot.ordinal, slot.weeks): slot for slot in world.slots
    }
    return [_decide(draft, replaced) for draft in drafts]


def _read(
    line: Line, world: SlotWorld, shape: Shape, names: Mapping[str, list[KnownStaff]], numbers: Mapping[str, KnownStaff]
) -> Draft:
    draft = Draft(line, SlotRow())
    readers: list[tuple[str, Callable[[], Any]]] = [
        ("cohort", lambda: _cohort(line, world, shape)),
        ("weekday", lambda: read_weekday(line)),
        ("ordinal", lambda: read_period(line)),
        ("weeks", lambda: read_weeks(line)),
        ("subject", lambda: _subject(line)),
        ("teacher", lambda: _teacher(line, names, numbers)),
        ("room", lambda: _room(line, world.rooms)),
    ]
    for name, reader in readers:
        try:
            draft.row = replace(draft.row, **{name: reader()})
        except Refusal as refusal:
            draft.problems.append(refusal.problem)
    row = draft.row
    if row.cohort and row.ordinal and (row.cohort.stage, row.ordinal) not in world.periods:
        draft.problems.append(Problem("period-none", "period", {"value": row.ordinal}))
    return draft


def _cohort(line: Line, world: SlotWorld, shape: Shape) -> Cohort:
    cohort = read_class(line, shape, world.cohorts)
    if cohort not in world.cohorts:
        raise Refusal("class-unknown", "class", value=line.get("class").text)
    return cohort


def read_weekday(line: Line) -> int:
    """0–6 from 周一, 星期一, 礼拜一, 1, 周日, 周天."""
    cell = line.get("weekday")
    check_kind(cell, "weekday")
    text = re.sub(r"^(周|星期|礼拜)", "", squeeze(cell.text)).replace("天", "日")
    if len(text) == 1 and text in DAYS:
        return DAYS.index(text)
    if text in ("1", "2", "3", "4", "5", "6", "7"):
        return int(text) - 1
    raise Refusal("weekday", "weekday", value=cell.text[:20])


def read_period(line: Line) -> int:
    """Number of the period from 第3节, 3, 三, 第三节课."""
    cell = line.get("period")
    check_kind(cell, "period")
    text = re.sub(r"^第|节课?$", "", squeeze(cell.text))
    value = chinese_number(text)
    if value is None or not 1 <= value <= 12:
        raise Refusal("period", "period", value=cell.text[:20])
    return value


def read_weeks(line: Line) -> str:
    """all | odd | even from 单周, 双周 or nothing."""
    cell = line.get("weeks")
    check_kind(cell, "weeks")
    text = re.sub(r"周$", "", squeeze(cell.text))
    for weeks, words in (("all", ("", "每", "全", "单双")), ("odd", ("单",)), ("even", ("双",))):
        if text in words:
            return weeks
    raise Refusal("weeks", "weeks", value=cell.text[:20])


def _subject(line: Line) -> str:
    text = read_subject(line.get("subject"))
    if not text:
        raise Refusal("subject-missing-slot", "subject")
    return text


def _teacher(line: Line, names: Mapping[str, list[KnownStaff]], numbers: Mapping[str, KnownStaff]) -> str:
    number = read_number(line.get("staff_no"), "staff_no")
    if number:
        if number not in numbers:
            raise Refusal("teacher-unknown", "staff_no", value=number)
        return numbers[number].person_id
    if line.get("teacher").kind == "empty":
        raise Refusal("teacher-missing", "teacher")
    name = read_name(line.get("teacher"), "teacher")
    found = names.get(name, [])
    if not found:
        raise Refusal("teacher-unknown", "teacher", value=name)
    if len(found) > 1:
        raise Refusal("staff-same-name", "teacher", name=name, count=len(found))
    return found[0].person_id


def _room(line: Line, rooms: Mapping[str, str]) -> str:
    cell = line.get("room")
    check_kind(cell, "room")
    text = squeeze(cell.text).lower()
    if text and text not in rooms:
        raise Refusal("room-unknown", "room", value=cell.text[:30])
    return rooms.get(text, "")


def _at(row: SlotRow | KnownSlot, world: SlotWorld) -> tuple[time, time]:
    assert row.cohort is not None
    return world.periods.get((row.cohort.stage, row.ordinal), (time(0), time(0)))


def _clash(one: SlotRow, other: SlotRow | KnownSlot, world: SlotWorld) -> str:
    together = one.weekday == other.weekday and (one.weeks == other.weeks or "all" in (one.weeks, other.weeks))
    (starts, ends), (other_starts, other_ends) = _at(one, world), _at(other, world)
    if not together or not (starts < other_ends and other_starts < ends):
        return ""
    if one.cohort == other.cohort:
        return "class"
    if one.teacher == other.teacher:
        return "teacher"
    return "room" if one.room and one.room == other.room else ""


def _find_clashes(drafts: Sequence[Draft], world: SlotWorld) -> None:
    """Rows against earlier good rows, then against slots of the term that no row replaces."""
    by_day: dict[int, list[Draft]] = defaultdict(list)
    keys = {(draft.row.cohort, draft.row.weekday, draft.row.ordinal, draft.row.weeks) for draft in drafts if not draft.problems}
    standing: dict[int, list[KnownSlot]] = defaultdict(list)
    for slot in world.slots:
        if (slot.cohort, slot.weekday, slot.ordinal, slot.weeks) not in keys:
            standing[slot.weekday].append(slot)
    fields = {"class": "class", "teacher": "teacher", "room": "room"}
    for draft in drafts:
        if draft.problems:
            continue
        for other in by_day[draft.row.weekday]:
            why = _clash(draft.row, other.row, world)
            if why:
                code = "slot-double" if replace(draft.row, slot_id="") == replace(other.row, slot_id="") else f"slot-{why}"
                draft.problems.append(Problem(code, fields[why], {"sheet": other.line.sheet, "row": other.line.row}))
                break
        for slot in () if draft.problems else standing[draft.row.weekday]:
            why = _clash(draft.row, slot, world)
            if why:
                draft.problems.append(Problem(f"slot-{why}-known", fields[why]))
                break
        if not draft.problems:
            by_day[draft.row.weekday].append(draft)


def _decide(draft: Draft, replaced: Mapping[tuple[Cohort, int, int, str], KnownSlot]) -> JudgedSlot:
    row = draft.row
    found = replaced.get((row.cohort, row.weekday, row.ordinal, row.weeks)) if row.cohort else None
    changes = []
    if found is not None:
        pairs = (("subject", row.subject, found.subject), ("teacher", row.teacher, found.teacher), ("room", row.room, found.room))
        changes = [name for name, given, stored in pairs if given != stored]
    status = ERROR if draft.problems else NEW if found is None else CHANGED if changes else UNCHANGED
    title = f"{draft.line.get('class').text} {draft.line.get('weekday').text} {draft.line.get('period').text}"
    verdict = Verdict(draft.line.sheet, draft.line.row, status, title, tuple(draft.problems), (), tuple(changes) if status == CHANGED else ())
    return JudgedSlot(verdict, replace(row, slot_id=found.slot_id if found else ""))

