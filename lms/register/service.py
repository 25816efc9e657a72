"""The door of the register (研修与成果登记): enter, change, remove and put back, hand over facts for applications. Verbs take the acting person."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, select

from lms.core import blobs, clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound
from lms.core.models import Account
from lms.register.models import Achievement, Activity, Attendance, RegisterFile
from lms.register.people import Member, by_name, keys_of, staff_of
from lms.register.rules import (
    AchievementValues,
    ActivityValues,
    Award,
    Fault,
    Held,
    Record,
    read_achievement,
    read_activity,
)

EDITORS = ("school_admin", "officer")
ZONE = "Asia/Shanghai"
ROOM = "register"
Row = TypeVar("Row", bound=Activity | Achievement)


def today() -> date:
    """The day in Shanghai."""
    return clock.local_date(clock.now(), ZONE)


def edits(account: Account) -> bool:
    """Whether the account keeps the register of its organisation."""
    return may(account, EDITORS)


def need_editor(actor: Account) -> None:
    """Raise NotAllowed for whoever does not keep the register."""
    if not edits(actor):
        raise NotAllowed("register", _l("登记由学校管理员（或部门负责人）维护。"))


# --- reading


@dataclass(frozen=True)
class ActivityLine:
    """An activity with who attended and its scans."""

    row: Activity
    people: tuple[Member, ...]
    certificates: Mapping[str, str]
    files: tuple[RegisterFile, ...]

    @property
    def total(self) -> int:
        """人数: own staff and others."""
        return len(self.people) + self.row.others


@dataclass(frozen=True)
class AchievementLine:
    """An achievement with the teacher, None for pupils, and its scans."""

    row: Achievement
    person: Member | None
    files: tuple[RegisterFile, ...]


def activities_of(organisation_id: uuid.UUID, *, removed: bool = False) -> list[ActivityLine]:
    """Activities, newest first; ``removed``: those that were taken out instead."""
    query = select(Activity).where(Activity.school_id == organisation_id, _is_out(Activity, removed))
    rows = list(db.session.scalars(query.order_by(Activity.held_on.desc(), Activity.created_at.desc())))
    staff = {one.key: one for one in staff_of(organisation_id)}
    present: dict[uuid.UUID, list[Attendance]] = {}
    for one in db.session.scalars(
        select(Attendance).where(Attendance.school_id == organisation_id, Attendance.removed_at.is_(None))
    ):
        present.setdefault(one.activity_id, []).append(one)
    scans = _files(organisation_id)
    return [_activity_line(row, present.get(row.id, ()), staff, scans.get(row.id, ())) for row in rows]


def _activity_line(
    row: Activity, present: Iterable[Attendance], staff: Mapping[str, Member], files: Iterable[RegisterFile]
) -> ActivityLine:
    keys = {_key(one): one.certificate for one in present}
    people = sorted((staff[key] for key in keys if key in staff), key=lambda one: one.name)
    return ActivityLine(row, tuple(people), keys, tuple(files))


def _key(row: Attendance | Achievement) -> str:
    found = row.person_id or row.account_id
    return found.hex if found else ""


def achievements_of(organisation_id: uuid.UUID, *, removed: bool = False) -> list[AchievementLine]:
    """Achievements, newest first."""
    query = select(Achievement).where(Achievement.school_id == organisation_id, _is_out(Achievement, removed))
    rows = list(db.session.scalars(query.order_by(Achievement.year.desc(), Achievement.created_at.desc())))
    staff = {one.key: one for one in staff_of(organisation_id)}
    scans = _files(organisation_id)
    return [AchievementLine(row, staff.get(_key(row)), tuple(scans.get(row.id, ()))) for row in rows]


def _is_out(model: type[Activity] | type[Achievement], removed: bool) -> ColumnElement[bool]:
    return model.removed_at.is_not(None) if removed else model.removed_at.is_(None)


def _files(organisation_id: uuid.UUID) -> dict[uuid.UUID, list[RegisterFile]]:
    found: dict[uuid.UUID, list[RegisterFile]] = {}
    query = select(RegisterFile).where(RegisterFile.school_id == organisation_id, RegisterFile.removed_at.is_(None))
    for row in db.session.scalars(query.order_by(RegisterFile.created_at)):
        owner = row.activity_id or row.achievement_id
        if owner is not None:
            found.setdefault(owner, []).append(row)
    return found


def mine(account: Account) -> tuple[list[ActivityLine], list[AchievementLine]]:
    """What stands in the register about the account's owner."""
    keys = keys_of(account)
    return (
        [line for line in activities_of(account.organisation_id) if keys & set(line.certificates)],
        [line for line in achievements_of(account.organisation_id) if _key(line.row) in keys],
    )


def record_of(organisation_id: uuid.UUID) -> Record:
    """The register as facts for the self-check."""
    held = [
        Held(
            line.row.kind, line.row.category, line.row.held_on, line.row.hours, line.total,
            frozenset(one.name for one in line.people), line.row.topic,
        )
        for line in activities_of(organisation_id)
    ]  # fmt: skip
    awards = [
        Award(
            line.row.who, line.row.category, line.row.name, line.row.level, line.row.year,
            line.person.name if line.person else "", line.person.title if line.person else "", line.row.number,
        )
        for line in achievements_of(organisation_id)
    ]  # fmt: skip
    return Record(tuple(held), tuple(awards), today())


def row_of(model: type[Row], actor: Account, row_id: uuid.UUID, *, removed: bool = False) -> Row:
    """A row of the actor's organisation; NotFound."""
    row = db.session.get(model, row_id)
    if row is None or row.school_id != actor.organisation_id or (row.removed_at is not None) is not removed:
        raise NotFound("register-row", _l("登记里没有这一条，可能已经删除。"))
    return row


def line_of(actor: Account, activity_id: uuid.UUID) -> ActivityLine:
    """One activity with its people; NotFound."""
    row = row_of(Activity, actor, activity_id)
    present = db.session.scalars(
        select(Attendance).where(Attendance.activity_id == row.id, Attendance.removed_at.is_(None))
    )
    staff = {one.key: one for one in staff_of(row.school_id)}
    return _activity_line(row, present, staff, _files(row.school_id).get(row.id, ()))


# --- writing


def faults_error(faults: Iterable[Fault]) -> Invalid:
    """The refusal that names every fault."""
    told = list(faults)
    return Invalid(
        "register-values",
        _l("没有保存：%(why)s。", why="；".join(f"{one.column}{one.why}" for one in told)),
        where=told[0].column,
        faults=told,
    )


def save_activity(
    actor: Account, activity_id: uuid.UUID | None, texts: Mapping[str, str], keys: Iterable[str]
) -> Activity:
    """Enter an activity, or change one; ``keys``: who of the own staff attended. Raises Invalid naming every fault."""
    need_editor(actor)
    values, faults = read_activity({**texts, "参加人员": "", "证书编号": ""}, today())
    staff = {one.key: one for one in staff_of(actor.organisation_id)}
    chosen = [staff[key] for key in dict.fromkeys(keys) if key in staff]
    if not chosen and not values.others:
        faults.append(Fault("参加人员", "至少选一个人，或填其他人数"))
    if faults:
        raise faults_error(faults)
    with write() as session:
        row = row_of(Activity, actor, activity_id) if activity_id else new_activity(actor, values)
        _put_activity(row, values)
        session.add(row)
        session.flush()
        attend(row, chosen, only=True)
        audit(actor, "register-activity", "activity_entry", row.id, people=len(chosen), kind=row.kind)
    return row


def new_activity(actor: Account, values: ActivityValues, import_id: uuid.UUID | None = None) -> Activity:
    """A row of the values, not yet stored."""
    row = Activity(id=new_id(), school_id=actor.organisation_id, entered_by=actor.id, import_id=import_id)
    _put_activity(row, values)
    return row


def _put_activity(row: Activity, values: ActivityValues) -> None:
    row.kind, row.category, row.held_on, row.topic = values.kind, values.category, values.held_on, values.topic
    row.organiser, row.hours, row.credit = values.organiser, values.hours, values.credit
    row.others, row.note = values.others, values.note


def attend(
    row: Activity,
    people: Iterable[Member],
    *,
    only: bool = False,
    certificate: str = "",
    import_id: uuid.UUID | None = None,
    fresh: bool = False,
) -> int:
    """Say who attended, in the open write; with ``only`` nobody else did, with ``fresh`` none of them is there yet. Returns how many were added."""
    query = select(Attendance).where(Attendance.activity_id == row.id)
    present = {} if fresh else {_key(one): one for one in db.session.scalars(query)}
    wanted = {one.key: one for one in people}
    added = 0
    for key, one in wanted.items():
        found = present.get(key)
        if found is None:
            found = Attendance(
                id=new_id(), school_id=row.school_id, activity_id=row.id, person_id=one.person_id,
                account_id=one.account_id, import_id=import_id,
            )  # fmt: skip
            db.session.add(found)
            added += 1
        elif found.removed_at is not None:
            found.removed_at, found.import_id = None, import_id
            added += 1
        found.certificate = certificate or found.certificate or ""
    for key, found in present.items():
        if only and key not in wanted and found.removed_at is None:
            found.removed_at = clock.now()
    return added


def save_achievement(actor: Account, achievement_id: uuid.UUID | None, texts: Mapping[str, str]) -> Achievement:
    """Enter an achievement, or change one; ``姓名`` is a member of the own staff. Raises Invalid naming every fault."""
    need_editor(actor)
    values, faults = read_achievement(texts, today())
    person, more = person_named(values, by_name(staff_of(actor.organisation_id)))
    if faults or more:
        raise faults_error([*faults, *more])
    with write() as session:
        row = row_of(Achievement, actor, achievement_id) if achievement_id else new_achievement(actor, values, person)
        _put_achievement(row, values, person)
        session.add(row)
        session.flush()
        audit(actor, "register-achievement", "achievement_entry", row.id, who=row.who, level=row.level)
    return row


def person_named(values: AchievementValues, names: Mapping[str, list[Member]]) -> tuple[Member | None, list[Fault]]:
    """The one member of the own staff who has the name."""
    if not values.person:
        return None, []
    found = names.get(values.person, [])
    if len(found) == 1:
        return found[0], []
    return None, [
        Fault("姓名", f"本单位没有{values.person}" if not found else f"本单位有 {len(found)} 位{values.person}")
    ]


def new_achievement(
    actor: Account, values: AchievementValues, person: Member | None, import_id: uuid.UUID | None = None
) -> Achievement:
    """A row of the values, not yet stored."""
    row = Achievement(id=new_id(), school_id=actor.organisation_id, entered_by=actor.id, import_id=import_id)
    _put_achievement(row, values, person)
    return row


def _put_achievement(row: Achievement, values: AchievementValues, person: Member | None) -> None:
    row.who, row.category, row.name, row.level, row.year = (
        values.who, values.category, values.name, values.level, values.year,
    )  # fmt: skip
    row.prize, row.issuer, row.number, row.note = values.prize, values.issuer, values.number, values.note
    row.person_id, row.account_id = (person.person_id, person.account_id) if person else (None, None)


def remove(actor: Account, model: type[Row], row_id: uuid.UUID) -> Row:
    """Take a row out; it can be put back."""
    need_editor(actor)
    with write():
        row = row_of(model, actor, row_id)
        row.removed_at, row.removed_by = clock.now(), actor.id
        audit(actor, "register-remove", row.__tablename__, row.id)
    return row


def restore(actor: Account, model: type[Row], row_id: uuid.UUID) -> Row:
    """Put a row back."""
    need_editor(actor)
    with write():
        row = row_of(model, actor, row_id, removed=True)
        row.removed_at = row.removed_by = None
        audit(actor, "register-restore", row.__tablename__, row.id)
    return row


# --- scans


def add_file(actor: Account, owner: Activity | Achievement, name: str, data: bytes) -> RegisterFile:
    """Take in a scan; raises Invalid for what is no PDF, JPG or PNG, or too large."""
    need_editor(actor)
    kind = blobs.check(data, blobs.SCAN_TYPES, blobs.LARGEST_MB, "file")
    digest = blobs.keep(ROOM, data)
    with write() as session:
        row = RegisterFile(
            id=new_id(), school_id=actor.organisation_id, name=blobs.name_of(name, f"扫描件.{kind}"), type=kind,
            size=len(data), sha256=digest, added_by=actor.id,
            activity_id=owner.id if isinstance(owner, Activity) else None,
            achievement_id=owner.id if isinstance(owner, Achievement) else None,
        )  # fmt: skip
        session.add(row)
        audit(actor, "register-file", owner.__tablename__, owner.id, sha256=digest)
    return row


def file_of(actor: Account, file_id: uuid.UUID) -> RegisterFile:
    """A scan that the account may see: an editor all of the organisation, others those of their own entries; NotFound."""
    row = db.session.get(RegisterFile, file_id)
    if row is not None and row.school_id == actor.organisation_id and row.removed_at is None:
        if edits(actor):
            return row
        own = {line.row.id for lines in mine(actor) for line in lines}
        if {row.activity_id, row.achievement_id} & own:
            return row
    raise NotFound("file", _l("没有这个文件。"))


def remove_file(actor: Account, file_id: uuid.UUID) -> RegisterFile:
    """Take a scan out; the journal keeps that it was there."""
    need_editor(actor)
    with write():
        row = file_of(actor, file_id)
        row.removed_at = clock.now()
        audit(actor, "register-file-out", "register_file", row.id, sha256=row.sha256)
    return row
