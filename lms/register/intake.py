"""Lists from Excel against the register (导入): every row judged first, nothing written; applied as a whole, undone as a whole."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import NotFound
from lms.core.models import Account
from lms.register import service
from lms.register.models import Achievement, Activity, Attendance
from lms.register.people import Member, by_name, staff_of
from lms.register.rules import (
    KINDS,
    WHO,
    AchievementValues,
    ActivityValues,
    Fault,
    read_achievement,
    read_activity,
)

_IMPORTED: tuple[type[Activity] | type[Attendance] | type[Achievement], ...] = (Activity, Attendance, Achievement)
LISTS: Mapping[str, str] = {"activities": "培训与教研", "achievements": "成果"}


@dataclass(frozen=True)
class Line:
    """A row of the list: where it stands and its texts by column."""

    where: str
    texts: dict[str, str]


@dataclass(frozen=True)
class Judged:
    """A row with its verdict: new | more (people for an activity that is there) | known | bad."""

    line: Line
    state: str
    title: str
    faults: tuple[Fault, ...] = ()
    activity: ActivityValues | None = None
    achievement: AchievementValues | None = None
    people: tuple[Member, ...] = ()
    into: Activity | None = field(default=None, compare=False)


def judge(actor: Account, kind: str, lines: Sequence[Line]) -> list[Judged]:
    """A verdict for every row."""
    names = by_name(staff_of(actor.organisation_id))
    return _judge_activities(actor, lines, names) if kind == "activities" else _judge_achievements(actor, lines, names)


def _judge_activities(actor: Account, lines: Sequence[Line], names: Mapping[str, list[Member]]) -> list[Judged]:
    there = {_same(one.row): one for one in service.activities_of(actor.organisation_id)}
    first: dict[tuple[object, ...], ActivityValues] = {}
    told: set[tuple[object, ...]] = set()
    judged = []
    for line in lines:
        values, faults = read_activity(line.texts, service.today())
        people = []
        for name in values.people:
            found = names.get(name, [])
            people += found[:1]
            if len(found) != 1:
                why = f"本单位没有{name}" if not found else f"本单位有 {len(found)} 位{name}，请在网页上选"
                faults.append(Fault("参加人员", why))
        if not values.people and not values.others:
            faults.append(Fault("参加人员", "没有填；没有本单位的人参加时填其他人数"))
        key, title = _same(values), f"{values.held_on} {KINDS[values.kind]} {values.topic}"
        standing = there.get(key)
        facts = (values.category, values.hours, values.credit)
        before = first.setdefault(key, values) if not faults else values
        if standing is not None and facts != (standing.row.category, standing.row.hours, standing.row.credit):
            faults.append(Fault("学时", "登记里这一天已有同一主题的活动，但类别、学时或学分不同；请先改登记或改这一行"))
        elif facts != (before.category, before.hours, before.credit):
            faults.append(Fault("学时", "表里同一天同一主题的几行，类别、学时或学分不一致"))
        if faults:
            judged.append(Judged(line, "bad", title, tuple(faults)))
            continue
        present = set(standing.certificates) if standing else set()
        fresh = [one for one in people if one.key not in present and (key, one.key) not in told]
        told |= {(key, one.key) for one in people}
        state = "new" if standing is None and (key,) not in told else "more" if fresh else "known"
        told.add((key,))
        judged.append(Judged(line, state, title, (), values, None, tuple(fresh), standing.row if standing else None))
    return judged


def _same(one: Activity | ActivityValues) -> tuple[object, ...]:
    return one.held_on, one.kind, one.topic


def _judge_achievements(actor: Account, lines: Sequence[Line], names: Mapping[str, list[Member]]) -> list[Judged]:
    seen = {
        _alike(one.row, one.person.key if one.person else "") for one in service.achievements_of(actor.organisation_id)
    }
    judged = []
    for line in lines:
        values, faults = read_achievement(line.texts, service.today())
        person, more = service.person_named(values, names)
        title = f"{values.year} {WHO[values.who]} {values.person} {values.name}".replace("  ", " ")
        if faults or more:
            judged.append(Judged(line, "bad", title, (*faults, *more)))
            continue
        key = _alike(values, person.key if person else "")
        people = (person,) if person else ()
        judged.append(Judged(line, "known" if key in seen else "new", title, (), None, values, people))
        seen.add(key)
    return judged


def _alike(one: Achievement | AchievementValues, person: str) -> tuple[object, ...]:
    return one.who, person, one.category, one.name, one.level, one.year, one.prize


def apply(actor: Account, kind: str, lines: Sequence[Line]) -> int:
    """Write the rows that are new; returns how many. Judged again first, so that what was entered meanwhile is not doubled."""
    service.need_editor(actor)
    import_id = new_id()
    with write() as session:
        made: dict[tuple[object, ...], Activity] = {}
        wanted = [one for one in judge(actor, kind, lines) if one.state in ("new", "more")]
        for one in wanted:
            if one.achievement is not None:
                person = one.people[0] if one.people else None
                session.add(service.new_achievement(actor, one.achievement, person, import_id))
            elif one.activity is not None and one.into is None:
                key = _same(one.activity)
                row = made.setdefault(key, service.new_activity(actor, one.activity, import_id))
                row.others = max(row.others, one.activity.others)
        session.add_all(made.values())
        session.flush()
        for one in wanted:
            if one.activity is not None:
                row = one.into or made[_same(one.activity)]
                certificate = one.activity.certificate
                service.attend(row, one.people, certificate=certificate, import_id=import_id, fresh=one.into is None)
        done = len(wanted)
        if done:
            audit(actor, "register-import", "register", import_id, rows=done, list=kind)
    return done


@dataclass(frozen=True)
class Import:
    """An import that stands: when, and how many rows of each kind."""

    id: uuid.UUID
    at: datetime
    activities: int
    people: int
    achievements: int


def imports_of(organisation_id: uuid.UUID) -> list[Import]:
    """Imports of which something stands, newest first."""
    counts: dict[uuid.UUID, list[int]] = {}
    at: dict[uuid.UUID, datetime] = {}
    for place, model in enumerate(_IMPORTED):
        query = (
            select(model.import_id, func.count(), func.min(model.created_at))
            .where(model.school_id == organisation_id, model.import_id.is_not(None), model.removed_at.is_(None))
            .group_by(model.import_id)
        )
        if model is Attendance:  # those of a removed activity went with it
            query = query.join(Activity, Activity.id == Attendance.activity_id).where(Activity.removed_at.is_(None))
        for key, count, first in db.session.execute(query):
            assert key is not None
            counts.setdefault(key, [0, 0, 0])[place] = count
            at[key] = min(at.get(key, first), first)
    return [Import(key, at[key], *counts[key]) for key in sorted(counts, key=lambda one: at[one], reverse=True)]


def undo(actor: Account, import_id: uuid.UUID) -> int:
    """Take out what an import brought; the activities and achievements can be put back one by one. Returns how many rows."""
    service.need_editor(actor)
    gone = 0
    with write() as session:
        for model in _IMPORTED:
            rows: Iterable[Activity | Attendance | Achievement] = session.scalars(
                select(model).where(
                    model.school_id == actor.organisation_id,
                    model.import_id == import_id,
                    model.removed_at.is_(None),
                )
            )
            for row in rows:
                if isinstance(row, Attendance) and _falls(row, import_id):
                    continue  # it goes and comes back with its activity
                row.removed_at = clock.now()
                gone += 1
        if not gone:
            raise NotFound("import", _l("没有这次导入，可能已经撤销。"))
        audit(actor, "register-import-undo", "register", import_id, rows=gone)
    return gone


def _falls(row: Attendance, import_id: uuid.UUID) -> bool:
    return db.session.get_one(Activity, row.activity_id).import_id == import_id
