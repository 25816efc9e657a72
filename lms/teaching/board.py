"""What the console and the projector show of a running lesson (课堂状态)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import select

from lms.activities import service as activities
from lms.core import clock
from lms.core.db import db
from lms.core.models import Lockout
from lms.courses import service as courses
from lms.courses.rules import Step
from lms.labs import service as labs
from lms.labs.models import Device, TerminalPresence
from lms.roster import service as roster
from lms.roster.models import Enrollment, Person, SchoolClass, Seat
from lms.teaching import rules
from lms.teaching.access import school_of, times_of
from lms.teaching.groups import groups_of
from lms.teaching.models import LessonEvent, LessonSession, RegisterEntry
from lms.teaching.publishing import room_of
from lms.teaching.register import content_of


def iso(at: datetime | None) -> str | None:
    """Time for a script: ISO 8601, UTC."""
    return at.isoformat(timespec="milliseconds") if at is not None else None


def steps_of(lesson: LessonSession) -> tuple[Step, ...]:
    """The lesson's steps in its configuration; empty for an open lesson."""
    if lesson.package_id is None:
        return ()
    return tuple(courses.steps_of(courses.lesson_of(lesson.package_id, lesson.lesson_slug), lesson.configuration))


def class_title(lesson: LessonSession) -> str:
    """Display name of the lesson's class on the lesson's day."""
    school = school_of(lesson.school_id)
    cohort = db.session.get_one(SchoolClass, lesson.class_id)
    return roster.class_name(cohort, school, clock.local_date(lesson.started_at, school.zone))


def step_began(lesson: LessonSession) -> datetime:
    """When the present step was pushed."""
    query = select(LessonEvent.at).where(
        LessonEvent.school_id == lesson.school_id, LessonEvent.lesson_id == lesson.id, LessonEvent.kind == "step"
    )
    return db.session.scalar(query.order_by(LessonEvent.id.desc()).limit(1)) or lesson.started_at


def console_state(lesson: LessonSession) -> dict[str, Any]:
    """Everything that changes on the console, with names: for the lesson's teachers only.

    ``lesson``, ``counts``, ``pupils`` (one a line of the register), ``locked_seats``, ``groups``, ``devices``.
    """
    now = clock.now()
    pupils = _pupils(lesson, now)
    return {
        "now": iso(now),
        "lesson": lesson_line(lesson),
        "counts": _counts(pupils),
        "pupils": pupils,
        "locked_seats": _locked_seats(lesson, now),
        "groups": [
            {"number": group.number, "device": str(group.device_id) if group.device_id else None, "driver": str(group.driver_id) if group.driver_id else None}
            for group in groups_of(lesson)
        ],
        "devices": [_device(device) for device in (labs.devices_in(lesson.room_id) if lesson.room_id is not None else [])],
    }


def lesson_line(lesson: LessonSession) -> dict[str, Any]:
    """State and times of the lesson."""
    return {
        "id": str(lesson.id),
        "state": lesson.state,
        "step": lesson.step,
        "rev": lesson.rev,
        "started_at": iso(lesson.started_at),
        "step_at": iso(step_began(lesson)),
        "bell": iso(times_of(lesson).bell),
        "ended_at": iso(lesson.ended_at),
        "reopen_until": iso(lesson.reopen_until),
        "note": lesson.note,
    }


def _pupils(lesson: LessonSession, now: datetime) -> list[dict[str, Any]]:
    rows = db.session.execute(
        select(RegisterEntry, Person.name, Person.account_id, Enrollment.roll_no)
        .join(Person, Person.id == RegisterEntry.person_id)
        .outerjoin(Enrollment, (Enrollment.person_id == RegisterEntry.person_id) & Enrollment.class_id.in_(lesson.classes))
        .where(RegisterEntry.school_id == lesson.school_id, RegisterEntry.lesson_id == lesson.id)
        .order_by(Enrollment.roll_no, Person.name)
    ).all()
    beats = {row.seat_id: row for row in labs.presence(lesson.id)}
    locked = _locked([account_id for _entry, _name, account_id, _roll in rows if account_id is not None], now)
    activity = _activity_of_step(lesson)
    seen: set[uuid.UUID] = set()
    pupils = []
    for entry, name, account_id, roll_no in rows:
        if entry.person_id in seen:  # moved out and back: two enrolments
            continue
        seen.add(entry.person_id)
        beat = beats.get(entry.seat_id) if entry.seat_id is not None else None
        pupils.append(_pupil(entry, name, roll_no or 0, beat, activity, account_id in locked, now))
    return pupils


def _pupil(
    entry: RegisterEntry, name: str, roll_no: int, beat: TerminalPresence | None, activity: str | None, is_locked: bool, now: datetime
) -> dict[str, Any]:
    done = activity is not None and activity in entry.done
    sign = rules.Sign(
        entry.status, entry.signed_in_at, entry.signed_out_at, beat.last_at if beat is not None else None, entry.needs_help_at is not None, done
    )
    return {
        "person": str(entry.person_id),
        "name": name,
        "roll": roll_no,
        "status": entry.status,
        "state": rules.seat_state(sign, now),
        "seat": str(entry.seat_id) if entry.seat_id is not None else None,
        "signed_in_at": iso(entry.signed_in_at),
        "at_terminal": entry.signed_in_at is not None and entry.signed_out_at is None,
        "step": beat.step if beat is not None else entry.step,
        "visible": beat.visible if beat is not None else True,
        "beat_at": iso(beat.last_at) if beat is not None else None,
        "help_at": iso(entry.needs_help_at),
        "done": entry.done,
        "group": entry.group_no,
        "locked": is_locked,
    }


def _locked(accounts: list[uuid.UUID], now: datetime) -> set[uuid.UUID]:
    subjects = {f"account:{account_id}": account_id for account_id in accounts}
    query = select(Lockout.subject).where(Lockout.subject.in_(subjects), Lockout.locked_until > now)
    return {subjects[subject] for subject in db.session.scalars(query)}


def _locked_seats(lesson: LessonSession, now: datetime) -> list[str]:
    """Seats of the lesson's room at which too many wrong PINs were typed."""
    if lesson.room_id is None:
        return []
    seats = {f"seat:{seat_id}": str(seat_id) for seat_id in db.session.scalars(select(Seat.id).where(Seat.room_id == lesson.room_id))}
    locked = select(Lockout.subject).where(Lockout.school_id == lesson.school_id, Lockout.subject.startswith("seat:"), Lockout.locked_until > now)
    return sorted(seats[subject] for subject in db.session.scalars(locked) if subject in seats)


def _activity_of_step(lesson: LessonSession) -> str | None:
    steps = steps_of(lesson)
    return steps[lesson.step].activity_id if lesson.step < len(steps) else None


def _counts(pupils: list[dict[str, Any]]) -> dict[str, int]:
    counted = rules.summary(pupil["status"] for pupil in pupils)
    states = [pupil["state"] for pupil in pupils]
    return {
        "roster": counted.roster,
        "present": counted.present,
        "leave": counted.leave,
        "absent": counted.absent,
        "late": counted.late,
        "online": sum(1 for state in states if state in ("here", "done", "help")),
        "done": states.count("done"),
        "help": states.count("help"),
        "offline": states.count("offline"),
        "locked": sum(1 for pupil in pupils if pupil["locked"]),
    }


def _device(device: Device) -> dict[str, Any]:
    return {
        "id": str(device.id),
        "homie": device.homie_id,
        "kind": device.kind,
        "title": device.title or device.homie_id,
        "sticker": device.sticker,
        "state": device.state,
        "alert": device.alert,
        "battery": device.values.get("main/battery"),
        "moving": device.values.get("main/moving") == "true",
        "acts": labs.acts(device.profile),
    }


def console_content(lesson: LessonSession) -> dict[str, Any]:
    """What does not change during the lesson: steps with the teacher's notes, seats, titles of the activities."""
    content = content_of(lesson)
    titles = {key: activity.title for key, activity in content.activities.items()} if content is not None else {}
    room = room_of(lesson)
    return {
        "steps": [
            {
                "index": step.index,
                "phase": step.phase,
                "title": step.title,
                "minutes": step.minutes,
                "show": step.show_html,
                "teacher": step.teacher_html,
                "activity": step.activity_id,
                "activity_title": titles.get(step.activity_id or "", ""),
            }
            for step in steps_of(lesson)
        ],
        "seats": _seats(room.id) if room is not None and lesson.with_terminals else [],
        "usual": _usual_seats(lesson) if lesson.with_terminals else {},
        "columns": room.columns if room is not None else 0,
        "terminals": lesson.with_terminals,
        "room": room.code if room is not None else None,
        "checklist": list(content.checklist) if content is not None else [],
        "activities": titles,
    }


def _seats(room_id: uuid.UUID) -> list[dict[str, Any]]:
    query = select(Seat).where(Seat.room_id == room_id).order_by(Seat.row, Seat.column)
    return [
        {"id": str(seat.id), "label": seat.label, "row": seat.row, "column": seat.column, "terminal": seat.terminal}
        for seat in db.session.scalars(query)
    ]


def _usual_seats(lesson: LessonSession) -> dict[str, str]:
    """Seat of each pupil in the class's lesson before, in the same room: where the console looks for those who are not here yet."""
    before = (
        select(LessonSession.id)
        .where(
            LessonSession.school_id == lesson.school_id,
            LessonSession.class_id == lesson.class_id,
            LessonSession.room_id == lesson.room_id,
            LessonSession.id != lesson.id,
            LessonSession.started_at < lesson.started_at,
        )
        .order_by(LessonSession.started_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(RegisterEntry.person_id, RegisterEntry.seat_id).where(
            RegisterEntry.school_id == lesson.school_id, RegisterEntry.lesson_id == before, RegisterEntry.seat_id.is_not(None)
        )
    )
    return {str(person_id): str(seat_id) for person_id, seat_id in rows}


def projector_state(lesson: LessonSession, *, with_results: bool) -> dict[str, Any]:
    """What the projector shows: step, clock, figures. No names, no free text of a pupil."""
    steps = steps_of(lesson)
    step = steps[lesson.step] if lesson.step < len(steps) else None
    statuses = db.session.scalars(
        select(RegisterEntry.status).where(RegisterEntry.school_id == lesson.school_id, RegisterEntry.lesson_id == lesson.id)
    )
    counted = rules.summary(statuses)
    state: dict[str, Any] = {
        "now": iso(clock.now()),
        "lesson": lesson_line(lesson),
        "count": len(steps),
        "present": counted.present,
        "roster": counted.roster,
        "step": None,
        "results": None,
    }
    if step is None:
        return state
    state["step"] = {"index": step.index, "phase": step.phase, "title": step.title, "minutes": step.minutes, "show": step.show_html}
    content = content_of(lesson)
    if with_results and content is not None and step.activity_id is not None:
        state["results"] = activities.anonymous_results(lesson.id, content.activities[step.activity_id], school_id=lesson.school_id)
    return state
