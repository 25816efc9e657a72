"""Plans fixed early (课表与校历承诺), B10.1: every change of timetable, swaps and calendar is a link of the chain in the same transaction.

A link holds what changed (``set``, ``removed``) and the SHA-256 of the whole plan afterwards, so that a verifier replays it: a lesson is
*scheduled* where the timetable of week 1 had it, *changed* where a later change or a swap (调课) entered before the bell has it, else
*unscheduled*. Slots carry no teacher in clear; who teaches is a salted commitment.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flask import has_app_context
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session, object_session

from lms.core import clock
from lms.core.db import SchoolRow, db, write
from lms.roster import service as roster
from lms.roster.models import (
    CalendarDay,
    Enrollment,
    FlaggedWeek,
    Period,
    School,
    SchoolClass,
    SchoolStage,
    SlotMove,
    Term,
    TimetableSlot,
)
from lms.usage.evidence import windows
from lms.usage.evidence.chain import canonical, stamp
from lms.usage.evidence.grades import Sealed
from lms.usage.evidence.ledger import append_event, chain_is_open
from lms.usage.evidence.lesson_facts import LessonFacts
from lms.usage.models import ChainHead, EvidenceEvent
from lms.usage.verifier.verify import digest

TIMETABLE = ("timetable-published", "timetable-changed")
CALENDAR, SIGNED = "calendar-changed", "calendar-countersigned"
SCHEDULED, CHANGED, UNSCHEDULED = "scheduled", "changed", "unscheduled"
_PLANS = (TimetableSlot, SlotMove, FlaggedWeek, CalendarDay)
_BOUNDS = (Term, SchoolStage, SchoolClass)
_CHANGED, _MOVED = "zhike_plans_changed", "zhike_bounds_moved"


@dataclass(frozen=True)
class Plan:
    """Whether a lesson was planned before its bell: ``slot`` names the timetable's row, ``seq`` the link that entered it."""

    status: str
    slot: str = ""
    seq: int = 0

    def plain(self) -> dict[str, Any]:
        """As the record's link holds it."""
        return {"status": self.status, "slot": self.slot or None, "seq": self.seq or None}


def _note(mapper: Any, connection: Any, row: SchoolRow) -> None:
    session = object_session(row)
    if session is not None:
        session.info.setdefault(_MOVED if isinstance(row, _BOUNDS) else _CHANGED, set()).add(row.school_id)


def _commit_noted(session: Session) -> None:
    if not session.info.get("zhike_writing") or not has_app_context():
        return
    session.flush()
    changed, moved = session.info.pop(_CHANGED, set()), session.info.pop(_MOVED, set())
    for school_id in sorted(changed | moved):
        if school_id in changed or chain_is_open(school_id):  # what bounds the window does not open a chain
            commit_plans(school_id, clock.now())


def _forget(session: Session) -> None:
    for key in (_CHANGED, _MOVED):
        session.info.pop(key, None)


for _model in (*_PLANS, *_BOUNDS):
    for _moment in ("after_insert", "after_update", "after_delete"):
        event.listen(_model, _moment, _note)
event.listen(db.session, "before_commit", _commit_noted)
event.listen(db.session, "after_soft_rollback", lambda session, transaction: _forget(session))


def commit_plans(school_id: uuid.UUID, now: datetime) -> list[int]:
    """Write what changed since the last commitment, each term and the calendar; in the open write. Returns the new links."""
    school = db.session.get(School, school_id)
    if school is None:
        return []
    found = [
        _commit_term(school, term, now)
        for term in db.session.scalars(select(Term).where(Term.school_id == school_id).order_by(Term.starts_on))
    ]
    found.append(_commit_calendar(school, now))
    return [seq for seq in found if seq]


def commit_all(now: datetime) -> int:
    """By the clock: what bounds the window enters each open chain at first, and what was changed past this program enters it late."""
    done = 0
    for school_id in db.session.scalars(select(ChainHead.school_id).where(ChainHead.seq > 0)).all():
        with write():
            done += len(commit_plans(school_id, now))
    return done


def _commit_term(school: School, term: Term, now: datetime) -> int:
    rows = _term_rows(school.id, term)
    known = replay(school.id, TIMETABLE, str(term.id))
    change = _difference(known, rows)
    if not (change["set"] or change["removed"]):
        return 0
    roster_now, classes = _roster(school, term, now)
    payload = {
        **change,
        "term": str(term.id),
        "starts_on": term.starts_on.isoformat(),
        "ends_on": term.ends_on.isoformat(),
        "zone": school.zone,
        "roster": roster_now,
        "classes": classes,
    }
    teachers = {
        row[0].hex: str(row[1])
        for row in db.session.execute(
            select(TimetableSlot.id, TimetableSlot.teacher_id).where(TimetableSlot.term_id == term.id)
        )
    }
    sealed = [Sealed("teachers", {"sha256": digest(canonical(teachers))})]
    return append_event(school.id, TIMETABLE[1] if known else TIMETABLE[0], payload, sealed, now).seq


def _term_rows(school_id: uuid.UUID, term: Term) -> dict[str, dict[str, Any]]:
    query = (
        select(TimetableSlot, Period)
        .join(Period, Period.id == TimetableSlot.period_id)
        .where(TimetableSlot.term_id == term.id)
    )
    rows: dict[str, dict[str, Any]] = {}
    for slot, period in db.session.execute(query.where(TimetableSlot.school_id == school_id)):
        rows[str(slot.id)] = {
            "id": str(slot.id),
            "class": str(slot.class_id),
            "weekday": slot.weekday,
            "weeks": slot.weeks,
            "starts": f"{period.starts_at:%H:%M}",
            "ends": f"{period.ends_at:%H:%M}",
            "subject": slot.subject,
            "room": str(slot.room_id) if slot.room_id else None,
        }
    moves = (
        select(SlotMove, Period)
        .outerjoin(Period, Period.id == SlotMove.to_period_id)
        .where(SlotMove.school_id == school_id)
    )
    for move, period in db.session.execute(moves):
        if str(move.slot_id) in rows:
            rows[str(move.id)] = {
                "id": str(move.id),
                "class": rows[str(move.slot_id)]["class"],
                "moves": str(move.slot_id),
                "day": move.day.isoformat(),
                "to_day": move.to_day.isoformat() if move.to_day else None,
                "starts": f"{period.starts_at:%H:%M}" if period else None,
                "ends": f"{period.ends_at:%H:%M}" if period else None,
                "room": str(move.room_id) if move.room_id else None,
            }
    return rows


def _roster(school: School, term: Term, now: datetime) -> tuple[str, dict[str, int]]:
    """Roster version: SHA-256 over the classes' pupils (random ids), and how many each class has."""
    day = min(max(clock.local_date(now, school.zone), term.starts_on), term.ends_on)
    query = select(Enrollment.class_id, Enrollment.person_id).where(
        Enrollment.school_id == school.id, Enrollment.starts_on <= day
    )
    members: dict[str, list[str]] = {}
    for class_id, person_id in db.session.execute(query.where(func.coalesce(Enrollment.ends_on, day) >= day)):
        members.setdefault(str(class_id), []).append(str(person_id))
    version = digest(canonical({key: sorted(people) for key, people in members.items()}))
    return version, {key: len(people) for key, people in sorted(members.items())}


def _commit_calendar(school: School, now: datetime) -> int:
    rows: dict[str, dict[str, Any]] = {}
    for flag in db.session.scalars(
        select(FlaggedWeek).where(FlaggedWeek.school_id == school.id, FlaggedWeek.withdrawn_at.is_(None))
    ):
        rows[str(flag.id)] = _closed(flag, flag.monday, "week", False) | {"follows": None, "source": "school"}
    for day in db.session.scalars(
        select(CalendarDay).where(CalendarDay.school_id == school.id, CalendarDay.withdrawn_at.is_(None))
    ):
        rows[str(day.id)] = _closed(day, day.day, "day", day.is_school) | {
            "follows": day.follows,
            "source": day.source if day.entered_by is None else "school",  # a holiday entered here is a closure
        }
    rows |= _window_rows(school.id)
    change = _difference(replay(school.id, (CALENDAR,)), rows)
    if not (change["set"] or change["removed"]):
        return 0
    offset = clock.local(now, school.zone).utcoffset() or timedelta()
    return append_event(school.id, CALENDAR, {**change, "offset": int(offset.total_seconds() // 60)}, (), now).seq


def _window_rows(school_id: uuid.UUID) -> dict[str, dict[str, Any]]:
    """What bounds the window W: terms, pilot admission of stages, 分班 dates of classes."""
    bounds: list[tuple[str, str, date | None, date | None]] = []
    for term in db.session.scalars(select(Term).where(Term.school_id == school_id)):
        bounds.append(("term", windows.term_name(term.school_year, term.ordinal), term.starts_on, term.ends_on))
    for stage in db.session.execute(select(SchoolStage.stage, SchoolStage.admitted_on).where(SchoolStage.school_id == school_id)):
        bounds.append(("stage", stage.stage, stage.admitted_on, None))
    for cohort in db.session.execute(select(SchoolClass.id, SchoolClass.formed_on).where(SchoolClass.school_id == school_id)):
        bounds.append(("class", str(cohort.id), cohort.formed_on, None))
    rows = (windows.row_of(school_id, *one) for one in bounds)
    return {row["id"]: row for row in rows}


def windows_of(school: School) -> dict[str, dict[str, Any]]:
    """What bounds the window W as the chain has it, and changes that came too late (windows.taken): id -> row."""
    found: dict[str, dict[str, Any]] = {}
    for link in _events(school.id, (CALENDAR, SIGNED)):
        payload, on = json.loads(link.body)["payload"], clock.local_date(link.at, school.zone).isoformat()
        for row in payload.get("set", ()):
            if row["kind"] in windows.WINDOWS:
                found[row["id"]] = windows.taken(found.get(row["id"]), row, on)
        for key in payload.get("entries", ()):
            if key in found:
                found[key]["countersigned"] = on
    return found


def _closed(row: FlaggedWeek | CalendarDay, on: date, kind: str, is_school: bool) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "kind": kind,
        "on": on.isoformat(),
        "school": is_school,
        "grades": row.grades,
        "reason": row.reason,
    }


def _difference(known: dict[str, dict[str, Any]], rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "set": [rows[key] for key in sorted(rows) if known.get(key) != rows[key]],
        "removed": sorted(known.keys() - rows.keys()),
        "state": digest(canonical([rows[key] for key in sorted(rows)])),
    }


def _events(school_id: uuid.UUID, types: Iterable[str]) -> list[EvidenceEvent]:
    query = select(EvidenceEvent).where(EvidenceEvent.school_id == school_id, EvidenceEvent.type.in_(types))
    return list(db.session.scalars(query.order_by(EvidenceEvent.seq)))


def replay(school_id: uuid.UUID, types: Iterable[str], term: str = "") -> dict[str, dict[str, Any]]:
    """Rows of a plan as the chain has them: id -> row."""
    rows: dict[str, dict[str, Any]] = {}
    for link in _events(school_id, types):
        payload = json.loads(link.body)["payload"]
        if payload.get("term", "") == term:
            rows.update({row["id"]: row for row in payload["set"]})
            for one in payload["removed"]:
                rows.pop(one, None)
    return rows


def closures_entered(school_id: uuid.UUID) -> dict[str, datetime]:
    """When the chain first saw each flagged week and calendar day as it is now: row id -> time. A back-dated table row does not change it."""
    seen: dict[str, datetime] = {}
    for link in _events(school_id, (CALENDAR,)):
        payload = json.loads(link.body)["payload"]
        seen.update({row["id"]: link.at for row in payload["set"]})
    return seen


def plan_of(facts: LessonFacts) -> Plan:
    """Whether the timetable on the chain held the lesson before its bell (B10.1)."""
    if facts.slot_id is None or facts.slot_start is None:
        return Plan(UNSCHEDULED)
    day = roster.slots_on(facts.school_id, facts.lesson_on, class_id=facts.class_id)
    move = next((one.move_id for one in day if one.slot_id == facts.slot_id and one.move_id), None)
    wanted, bell = str(move or facts.slot_id), stamp(facts.slot_start)
    last: tuple[int, str, dict[str, Any] | None, str] | None = None
    for link in _events(facts.school_id, TIMETABLE):
        if stamp(link.at) > bell:
            continue
        payload = json.loads(link.body)["payload"]
        if wanted in payload["removed"]:
            last = None
        for row in payload["set"]:
            if row["id"] == wanted:
                last = (link.seq, stamp(link.at), row, payload["starts_on"])
    if last is None or last[2] is None or last[2]["class"] != str(facts.class_id):
        return Plan(UNSCHEDULED, wanted)
    begins = date.fromisoformat(last[3])
    second_week = begins + timedelta(days=7 - begins.weekday())
    early = move is None and last[1][:10] < second_week.isoformat()
    return Plan(SCHEDULED if early else CHANGED, wanted, last[0])
