"""Tables that the system can write a draft of (带出数据): rows with a visible source, merged into what people wrote, taken over by one click."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from lms.core.db import db
from lms.core.stages import STAGE_NAMES
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.pack import Document
from lms.programmes.selfcheck import members_of
from lms.programmes.service import content_of
from lms.programmes.teaching import lesson_plan, teachers_of
from lms.register import service as register
from lms.roster import service as roster
from lms.roster.models import Person, Room

Cells = dict[str, str]


@dataclass(frozen=True)
class Proposal:
    """The table as it would be: ``rows``; ``changed``: how many are new or filled up; ``source``: where they come from, in words."""

    rows: list[Cells]
    changed: int
    source: str
    fresh: bool = False


@dataclass(frozen=True)
class Draft:
    """How a table is drafted: ``keys``: columns that tell rows apart; ``fresh``: whether new cells replace those that people wrote."""

    source: str
    keys: tuple[str, ...]
    rows: Callable[[Application, Document], Sequence[Mapping[str, str]]]
    fresh: bool = False


def filled(key: str, part: Document, found: Application) -> Proposal | None:
    """What the system proposes for a part; None where it knows nothing that is not there already."""
    draft = DRAFTS.get(str(part.get("fill", "")))
    if draft is None:
        return None
    columns = [one["id"] for one in part["columns"]]
    known = [{name: str(row.get(name, "")) for name in columns} for row in draft.rows(found, part)]
    merged, changed = merge(content_of(found).get(key) or [], known, draft.keys, fresh=draft.fresh)
    return Proposal(merged, changed, draft.source, draft.fresh) if changed else None


def merge(
    held: Sequence[Mapping[str, str]], known: Sequence[Cells], keys: Sequence[str], *, fresh: bool = False
) -> tuple[list[Cells], int]:
    """What people wrote with the known rows added: a row of the same key is filled up (with ``fresh`` brought up to date), none is lost."""
    rows = [dict(row) for row in held]
    changed = 0
    for row in known:
        same = next((one for one in rows if all(one.get(name, "") == row.get(name, "") for name in keys)), None)
        if same is None:
            rows.append(row)
            changed += 1
            continue
        better = {
            name: text
            for name, text in row.items()
            if text and (fresh or not same.get(name)) and same.get(name) != text
        }
        same.update(better)
        changed += bool(better)
    return rows, changed


def _lessons(found: Application, part: Document) -> Sequence[Mapping[str, str]]:
    return lesson_plan(found.school_id, found.stages)


def _teachers(found: Application, part: Document) -> Sequence[Mapping[str, str]]:
    return [
        {"name": one.person, "title": one.title, "award": one.name, "level": one.level, "year": str(one.year)}
        for one in register.record_of(found.school_id).awards_of("teacher")
    ]


def _pupils(found: Application, part: Document) -> Sequence[Mapping[str, str]]:
    return [
        {"name": one.name, "level": one.level, "year": str(one.year), "number": str(one.number)}
        for one in register.record_of(found.school_id).awards_of("pupils")
    ]


def _training(found: Application, part: Document) -> Sequence[Mapping[str, str]]:
    choices = next((one.get("choices", "") for one in part["columns"] if one["id"] == "kind"), "")
    kinds = pack_of(found).choices(choices)
    return [
        {
            "name": one.topic,
            "kind": one.category,
            "date": one.day.isoformat(),
            "hours": f"{one.hours:g}",
            "people": str(one.people),
        }
        for one in sorted(register.record_of(found.school_id).lately("training", kinds), key=lambda one: one.day)
    ]


def _trained(found: Application, part: Document) -> Sequence[Mapping[str, str]]:
    """Staff who joined training of 骨干教师 or 教研 in the last three years (ZN-05)."""
    record = register.record_of(found.school_id)
    held = [one for one in record.lately(days=3 * 365) if one.kind == "research" or one.category.startswith("骨干教师")]
    names = sorted({name for one in held for name in one.names})
    people = {
        row.name: row
        for row in db.session.scalars(
            select(Person).where(Person.school_id == found.school_id, Person.kind == "staff", Person.name.in_(names))
        )
    }
    duties = {one.name: one.duties for one in roster.staff_of(found.school_id)}
    return [
        {
            "name": name,
            "title": people[name].title if name in people else "",
            "subject": "、".join(sorted({subject for _id, _class, subject in duties.get(name, ())})),
        }
        for name in names
    ]


def _teams(found: Application, part: Document) -> Sequence[Mapping[str, str]]:
    """The teaching teachers of every school that handed in, as 成员 of their stage's team (GS-15, GS-29)."""
    held = [row for row in content_of(found).get("area-statement.teams", ()) if row.get("name")]
    used: dict[str, int] = {}
    for row in held:
        number = re.fullmatch(r"成员(\d+)", str(row.get("role", "")))
        stage = str(row.get("stage", ""))
        used[stage] = max(used.get(stage, 0), int(number[1]) if number else 0)
    there = {(row.get("stage"), row.get("name"), row.get("unit")): row for row in held}
    rows = []
    for member, school_id in members_of(found):
        for one in teachers_of(school_id, member.name):
            stage = STAGE_NAMES.get(one.stage, "")
            if one.stage not in member.stages:
                continue
            row = {"stage": stage, "name": one.name, "unit": one.school, "title": one.title}
            if (stage, one.name, one.school) not in there:
                used[stage] = used.get(stage, 0) + 1
                row["role"] = f"成员{used[stage]}"
            rows.append(row)
    return rows


def _inventory(found: Application, part: Document) -> Sequence[Mapping[str, str]]:
    counts: dict[tuple[str, str], int] = {}
    rooms: Sequence[uuid.UUID] = db.session.scalars(
        select(Room.id).where(Room.school_id == found.school_id, Room.kind == "lab").order_by(Room.name)
    ).all()
    for room_id in rooms:
        for item in roster.inventory_of(room_id):
            counts[item.name, item.software] = counts.get((item.name, item.software), 0) + item.quantity
    return [{"name": name, "number": str(number), "use": software} for (name, software), number in counts.items()]


DRAFTS: Mapping[str, Draft] = {
    "timetable": Draft("本学期课表", ("stage", "class"), _lessons, fresh=True),
    "teachers": Draft("研修与成果登记（近3年）", ("name", "award", "year"), _teachers),
    "pupils": Draft("研修与成果登记（近3年，全校合计）", ("name", "level", "year"), _pupils),
    "training": Draft("研修与成果登记（近一年）", ("name", "date"), _training),
    "trained": Draft("研修与成果登记（近3年参加骨干教师培训或教研的人）", ("name",), _trained),
    "teams": Draft("各试点校开课计划的授课教师", ("stage", "name", "unit"), _teams),
    "inventory": Draft("教室与设备台账", ("name",), _inventory),
}
