"""Rows of the monthly sheets (《开课台账》《实验室使用登记簿》) from the usage records, with the code that binds them to the chain."""

from __future__ import annotations

import hashlib
import uuid
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from flask_babel import lazy_gettext as _l
from sqlalchemy import Select, select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import Invalid, NotFound, Refused
from lms.courses.models import CatalogueUnit
from lms.roster import service as roster
from lms.roster.models import Person, Room, School, SchoolClass
from lms.usage.board import WEEKDAY_NAMES
from lms.usage.evidence.anchors import Standing
from lms.usage.judging.gathering import course_of
from lms.usage.judging.lessons import KIND_NAMES, JudgedLesson
from lms.usage.models import VOID, DailyRoot, EvidenceEvent, UsageRecord
from lms.usage.reasons import Reason
from lms.usage.service import judge

Kind = Literal["ledger", "lab-log"]
TITLES: Mapping[Kind, Any] = {"ledger": _l("人工智能课程开课台账"), "lab-log": _l("实验室使用登记簿")}
RULE = "fortnightly"


@dataclass(frozen=True)
class Line:
    """One lesson of the sheet; ``evidence``: its grade as it stands now; ``counts`` None where the rule does not look at it, ``why`` in words."""

    record_id: uuid.UUID
    day: date
    begins: datetime
    ends: datetime
    class_name: str
    subject: str
    topic: str
    kind: str
    hours: int
    minutes: int
    roster: int
    leave: int
    present: int
    teacher: str
    room: str
    devices: int
    unproved: int
    evidence: str
    counts: bool | None
    why: Reason | None
    corrected: bool

    @property
    def weekday(self) -> str:
        """周一 …"""
        return WEEKDAY_NAMES[self.day.weekday()]

    @property
    def expected(self) -> int:
        """应到: roster less approved leave."""
        return self.roster - self.leave


@dataclass(frozen=True)
class Sheet:
    """A month on paper. ``code``: twelve hex digits over the links of the records; ``root``: last signed day of the month."""

    kind: Kind
    school: School
    month: date
    room: Room | None
    lines: tuple[Line, ...]
    code: str
    root: DailyRoot | None
    made_at: datetime

    @property
    def hours(self) -> int:
        """Class hours in all (课时合计)."""
        return sum(line.hours for line in self.lines)

    @property
    def classes(self) -> int:
        """How many classes had a lesson."""
        return len({line.class_name for line in self.lines})

    @property
    def counted(self) -> int:
        """Lessons that count."""
        return sum(line.counts is True for line in self.lines)

    @property
    def printed_code(self) -> str:
        """``1a2b-3c4d-5e6f``."""
        return "-".join(self.code[at : at + 4] for at in range(0, 12, 4))

    @property
    def seal(self) -> str:
        """What the QR code says: kind, school, month, the code and the signed root below it."""
        root = f"{self.root.day.isoformat()}:{self.root.root[:16]}" if self.root else "-"
        return (
            f"zhike:{self.kind}:{self.school.organisation.code or self.school.id}:{self.month:%Y-%m}:{self.code}:{root}"
        )


def month_of(text: str, today: date) -> date:
    """The first of ``2026-11``; empty = this month. Raises Invalid (``month``)."""
    if not text:
        return today.replace(day=1)
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise Invalid("month", _l("月份应写成 2026-11 这样。"), where="month") from error


def last_of(month: date) -> date:
    """Last day of the month."""
    return month.replace(day=monthrange(month.year, month.month)[1])


def sheet(
    school_id: uuid.UUID,
    kind: Kind,
    month: date,
    *,
    classes: frozenset[str] | None = None,
    room: uuid.UUID | None = None,
) -> Sheet:
    """The sheet of a month; ``classes``: only these, ``room``: only lessons held there. Raises NotFound (``room``)."""
    school = roster.school_of(school_id)
    held = db.session.get(Room, room) if room else None
    if room and (held is None or held.school_id != school_id):
        raise NotFound("room", _l("本校没有这间教室。"))
    rows = [
        row
        for row in _records(school_id, month)
        if (classes is None or str(row.class_id) in classes)
        and (room is None or row.room_id == room)
        and (kind == "ledger" or row.room_id)
    ]
    return Sheet(
        kind=kind,
        school=school,
        month=month,
        room=held,
        lines=tuple(_lines(school, month, rows)),
        code=_code(school_id, kind, month, rows),
        root=_root(school_id, month),
        made_at=clock.local(clock.now(), school.zone),
    )


def months(school_id: uuid.UUID) -> list[date]:
    """Months that hold a record, newest first."""
    days = db.session.scalars(select(UsageRecord.lesson_on).where(UsageRecord.school_id == school_id).distinct())
    return sorted({day.replace(day=1) for day in days}, reverse=True)


def sheets_with(school_id: uuid.UUID, code: str) -> Sheet | None:
    """The whole-school or whole-room sheet that has this code today; None where none has (any more)."""
    wanted = "".join(code.lower().split()).replace("-", "")
    rooms = db.session.scalars(select(Room.id).where(Room.school_id == school_id)).all()
    for month in months(school_id):
        for found in (
            sheet(school_id, "ledger", month),
            *(sheet(school_id, "lab-log", month, room=room) for room in (None, *rooms)),
        ):
            if found.lines and found.code == wanted:
                return found
    return None


def _records(school_id: uuid.UUID, month: date) -> list[UsageRecord]:
    """The records of the month that stand: a corrected one has given way to its correction."""
    replaced = set(
        db.session.scalars(
            select(UsageRecord.corrects_id).where(
                UsageRecord.school_id == school_id, UsageRecord.corrects_id.is_not(None)
            )
        )
    )
    query = select(UsageRecord).where(
        UsageRecord.school_id == school_id, UsageRecord.lesson_on >= month, UsageRecord.lesson_on <= last_of(month)
    )
    return [
        row
        for row in db.session.scalars(query.order_by(UsageRecord.started_at, UsageRecord.event_seq))
        if row.id not in replaced and row.kind != VOID
    ]


def _lines(school: School, month: date, rows: list[UsageRecord]) -> Iterable[Line]:
    judged = _judged(school, month) if rows else {}
    people = _pairs(select(Person.id, Person.name).where(Person.school_id == school.id, Person.kind == "staff"))
    rooms = _pairs(select(Room.id, Room.name).where(Room.school_id == school.id))
    cohorts = {row.id: row for row in db.session.scalars(select(SchoolClass).where(SchoolClass.school_id == school.id))}
    topics = {
        f"{unit.course}:{unit.code}": f"{unit.code} {unit.title}"
        for unit in db.session.scalars(select(CatalogueUnit).where(CatalogueUnit.school_id == school.id))
    }
    standing = Standing(school.id, clock.now())
    for row in rows:
        devices = [one for one in row.detail.get("devices", ()) if one.get("commands") or one.get("frames")]
        verdict = judged.get(str(row.id))
        yield Line(
            record_id=row.id,
            day=row.lesson_on,
            begins=clock.local(row.started_at, school.zone),
            ends=clock.local(row.ended_at, school.zone),
            class_name=roster.class_name(cohorts[row.class_id], school, row.lesson_on),
            subject=row.subject,
            topic="；".join(topics.get(unit, unit.partition(":")[2]) for unit in row.units)
            or row.detail.get("title")
            or row.subject,
            kind=KIND_NAMES[row.kind],
            hours=row.class_hours,
            minutes=row.minutes,
            roster=row.roster,
            leave=row.on_leave,
            present=row.present,
            teacher=people.get(row.teacher_id, ""),
            room=rooms.get(row.room_id, "") if row.room_id else "",
            devices=len(devices),
            unproved=sum(one.get("stop_confirmed") is False for one in devices),
            evidence=standing.of(row)[0],
            counts=verdict.counts if verdict else None,
            why=verdict.reason if verdict else None,
            corrected=row.corrects_id is not None,
        )


def _judged(school: School, month: date) -> dict[str, JudgedLesson]:
    """What the rule says of each lesson, seen at the end of the month (or today)."""
    try:
        result = judge(school.id, RULE, min(last_of(month), roster.today_of(school)), course_of(school.id))
    except Refused:
        return {}
    return {one.lesson.id: one for cohort in result.classes for one in cohort.lessons}


def _code(school_id: uuid.UUID, kind: Kind, month: date, rows: list[UsageRecord]) -> str:
    """SHA-256 over kind, month and the hashes of the records' links, first 48 bits: a changed, added or missing record changes it."""
    wanted = [row.event_seq for row in rows]
    query = select(EvidenceEvent.seq, EvidenceEvent.hash).where(
        EvidenceEvent.school_id == school_id, EvidenceEvent.seq.in_(wanted)
    )
    links = _pairs(query)
    text = "\n".join([kind, str(school_id), f"{month:%Y-%m}", *(links.get(seq, "-") for seq in sorted(wanted))])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _root(school_id: uuid.UUID, month: date) -> DailyRoot | None:
    query = select(DailyRoot).where(DailyRoot.school_id == school_id, DailyRoot.day <= last_of(month))
    return db.session.scalar(query.order_by(DailyRoot.day.desc()).limit(1))


def _pairs(query: Select[Any, str]) -> dict[Any, str]:
    return {row[0]: row[1] for row in db.session.execute(query)}
