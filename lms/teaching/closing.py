"""How a lesson ends and leaves its usage record, exactly once (下课、结课)."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select

from lms.activities import service as activities
from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.models import Account
from lms.courses import service as courses
from lms.labs import service as labs
from lms.labs.models import Device, DeviceLessonSummary, TerminalPresence
from lms.labs.veyon import service as pcs
from lms.roster.models import Person
from lms.teaching import rules
from lms.teaching.access import found_lesson, note_event, school_of, times_of
from lms.teaching.kinds import pupils_by_class
from lms.teaching.models import LessonEvent, LessonSession
from lms.teaching.publishing import publish, room_of
from lms.teaching.register import end_browser_sessions, entries_of, sign_out_pupils
from lms.usage import service as usage
from lms.usage.evidence import lesson_facts as usage_facts

NOBODY: Account | None = None


def finish(actor: Account | None, lesson: LessonSession, ended_at: datetime, reason: str) -> None:
    """End a live lesson in the open write: robots stop at once, leases go, pupils are signed out, the room hears it."""
    now = clock.now()
    lesson.state, lesson.ended_at, lesson.end_reason = "ended", ended_at, reason
    lesson.reopen_until = now + rules.REOPEN
    lesson.rev += 1
    room = room_of(lesson)
    if room is not None:
        labs.stop_room(actor, room, lesson.id)
        labs.release_leases(actor, lesson.id)
        pcs.end_lesson(actor, room, lesson.id)
    sign_out_pupils(lesson, ended_at)
    publish(lesson)
    note_event(lesson, "ended", actor, now, reason=reason, ended_at=ended_at.isoformat())
    audit(actor, "end-lesson", "lesson", lesson.id, school_id=lesson.school_id, cause=reason)


def close(lesson_id: uuid.UUID) -> bool:
    """Write the record of an ended lesson and close it; False if it was closed before.

    Record, evidence and ``closed_at`` are one transaction under the lesson's row lock: after a crash nothing or everything is there.
    """
    with write():
        lesson = found_lesson(lesson_id, lock=True)
        if lesson.state != "ended" or lesson.ended_at is None:
            return False
        now = clock.now()
        account = _teacher_account(lesson)
        for facts in facts_of_classes(lesson):
            usage.record_lesson(facts, account)
        lesson.state, lesson.closed_at, lesson.reopen_until = "closed", now, None
        lesson.rev += 1
        end_browser_sessions(lesson)
        labs.retire_credentials(lesson.id)
        _clear_room(lesson)
        note_event(lesson, "closed", NOBODY, now)
        audit(NOBODY, "close-lesson", "lesson", lesson.id, school_id=lesson.school_id)
        return True


def displace(actor: Account, lesson: LessonSession) -> None:
    """Make way for the next class: end a lesson whose bell has gone, then close it; joins the open write."""
    if lesson.state in rules.LIVE:
        finish(actor, lesson, rules.end_of(times_of(lesson), clock.now(), by_teacher=False), "handover")
        db.session.flush()
    close(lesson.id)


def close_due(now: datetime) -> int:
    """Close what is due: ended lessons after their ten minutes, forgotten ones after the bell, their minutes cut to the slot.

    Each lesson is a transaction of its own; returns how many were closed. Safe to run twice at the same time.
    """
    closed = 0
    found = db.session.scalars(select(LessonSession.id).where(LessonSession.state.in_(rules.OPEN)).order_by(LessonSession.id)).all()
    for lesson_id in found:
        with write():
            lesson = found_lesson(lesson_id, lock=True)
            if rules.forgotten(lesson.state, times_of(lesson), now):
                finish(NOBODY, lesson, rules.end_of(times_of(lesson), now, by_teacher=False), "bell")
                db.session.flush()
            elif not (lesson.state == "ended" and lesson.reopen_until is not None and lesson.reopen_until <= now):
                continue
            closed += close(lesson_id)
    return closed


def _clear_room(lesson: LessonSession) -> None:
    """Take the ended lesson off the room's retained topic, unless another lesson is there."""
    room = room_of(lesson)
    if room is None:
        return
    other = select(LessonSession.id).where(
        LessonSession.school_id == lesson.school_id,
        LessonSession.room_id == room.id,
        LessonSession.state.in_(rules.OPEN),
        LessonSession.id != lesson.id,
    )
    if db.session.scalar(other) is None:
        labs.publish_lesson(lesson.school_id, room.code, None)


def _teacher_account(lesson: LessonSession) -> Account | None:
    person = db.session.get(Person, lesson.teacher_id)
    return db.session.get(Account, person.account_id) if person is not None and person.account_id is not None else None


def events_of(lesson: LessonSession) -> list[LessonEvent]:
    """The lesson's events in order."""
    query = select(LessonEvent).where(LessonEvent.school_id == lesson.school_id, LessonEvent.lesson_id == lesson.id)
    return list(db.session.scalars(query.order_by(LessonEvent.at, LessonEvent.id)))


def gaps_of(events: Iterable[LessonEvent]) -> list[tuple[datetime, datetime]]:
    """Intervals between an end and the reopening that followed it."""
    gaps, since = [], None
    for event in events:
        if event.kind == "ended":
            since = event.at
        elif event.kind == "reopened" and since is not None:
            gaps.append((since, event.at))
            since = None
    return gaps


def facts_of(lesson: LessonSession) -> usage_facts.LessonFacts:
    """The plain facts that usage needs of an ended lesson (B2a, B10.2)."""
    assert lesson.ended_at is not None
    times, events = times_of(lesson), events_of(lesson)
    minutes = rules.minutes_taught(times, lesson.ended_at, gaps_of(events))
    entries = entries_of(lesson)
    counted = rules.summary(entry.status for entry in entries)
    package = courses.package_of(lesson.package_id) if lesson.package_id is not None else None
    works = activities.artefacts(lesson.id, school_id=lesson.school_id)
    beats = [row for row in labs.presence(lesson.id) if row.beats]
    return usage_facts.LessonFacts(
        school_id=lesson.school_id,
        lesson_id=lesson.id,
        class_id=lesson.class_id,
        teacher_id=lesson.teacher_id,
        room_id=lesson.room_id,
        lesson_on=clock.local_date(lesson.started_at, school_of(lesson.school_id).zone),
        started_at=lesson.started_at,
        ended_at=lesson.ended_at,
        minutes=minutes,
        class_hours=rules.class_hours(times, minutes),
        kind=lesson.kind,
        subject=lesson.subject,
        units=tuple(lesson.units),
        roster=counted.roster,
        present=counted.present,
        on_leave=counted.leave,
        slot_start=lesson.planned_start,
        slot_end=lesson.planned_end,
        modality=_modality(lesson, counted),
        package=(package.slug, package.version, package.content_hash) if package is not None else None,
        lesson_slug=lesson.lesson_slug,
        title=lesson.title,
        devices=tuple(_device_facts(lesson)),
        artefacts=tuple(usage_facts.ArtefactFact(work.attempt_id, work.person_id, work.sha256, work.size, work.at) for work in works),
        register=tuple((entry.person_id, entry.status) for entry in entries),
        witnesses=tuple(_witnesses(lesson, events, beats, [work.at for work in works])),
        exceptions=tuple(_exceptions(lesson, events)),
        end_reason=lesson.end_reason,
        makeup_of=lesson.makeup_of or None,
        part_of=lesson.part_of,
        secure=all(row.secure for row in beats),
        slot_id=lesson.slot_id,
        seats=tuple(usage_facts.SeatFact(row.address, row.beats, row.first_at, row.last_at) for row in beats),
    )


def facts_of_classes(lesson: LessonSession) -> list[usage_facts.LessonFacts]:
    """The facts of every class in the lesson: a combined one (合班) counts for each by its own register (B2a)."""
    whole = facts_of(lesson)
    if not lesson.joined:
        return [whole]
    members = pupils_by_class(lesson, [person_id for person_id, _status in whole.register], whole.lesson_on)
    found = []
    for class_id, people in members.items():
        register = tuple(line for line in whole.register if line[0] in people)
        counted = rules.summary(status for _person, status in register)
        found.append(
            dataclasses.replace(
                whole,
                class_id=class_id,
                register=register,
                roster=counted.roster,
                present=counted.present,
                on_leave=counted.leave,
                artefacts=tuple(work for work in whole.artefacts if work.person_id in people),
                slot_id=whole.slot_id if class_id == lesson.class_id else None,
            )
        )
    return found


def _modality(lesson: LessonSession, counted: rules.Register) -> usage_facts.Modality:
    if not lesson.with_terminals:
        return "teacher-screen"
    return "terminals" if counted.terminal or counted.shared or counted.late else "no-terminals"


def _device_rows(lesson: LessonSession) -> list[tuple[Device, DeviceLessonSummary]]:
    lines = labs.lesson_devices(lesson.id)
    devices = {device.id: device for device in db.session.scalars(select(Device).where(Device.id.in_([line.device_id for line in lines])))}
    return [(devices[line.device_id], line) for line in lines]


def _device_facts(lesson: LessonSession) -> list[usage_facts.DeviceFact]:
    return [
        usage_facts.DeviceFact(
            homie_id=device.homie_id,
            profile=device.profile,
            commands=line.commands,
            stop_confirmed=line.stop_confirmed,
            frames=line.frames,
            faces_max=line.faces_max,
        )
        for device, line in _device_rows(lesson)
    ]


def _witnesses(
    lesson: LessonSession, events: list[LessonEvent], beats: Sequence[TerminalPresence], sent: list[datetime]
) -> list[usage_facts.WitnessFact]:
    """Independent witnesses (B10.2): the teacher at the console, the seats' heartbeats, answers, device logs."""
    found = []
    acts = [event for event in events if event.actor_id is not None]
    if acts:
        found.append(usage_facts.WitnessFact("teacher-sign-in", str(acts[0].actor_id), len(acts), acts[0].at, acts[-1].at))
    first, last = _span(beats)
    if beats:
        found.append(usage_facts.WitnessFact("seat-heartbeats", f"{len(beats)} seats", sum(row.beats for row in beats), first, last))
    if sent:
        found.append(usage_facts.WitnessFact("submissions", str(lesson.id), len(sent), min(sent), max(sent)))
    found += [
        usage_facts.WitnessFact("device-log", device.homie_id, line.commands or line.frames, line.first_at, line.last_at)
        for device, line in _device_rows(lesson)
        if line.commands or line.frames
    ]
    return found


def _span(beats: Sequence[TerminalPresence]) -> tuple[datetime | None, datetime | None]:
    firsts = [row.first_at for row in beats if row.first_at is not None]
    lasts = [row.last_at for row in beats if row.last_at is not None]
    return min(firsts, default=None), max(lasts, default=None)


def _shortened(lesson: LessonSession) -> bool:
    """Whether the teacher ended it more than ten minutes before its bell."""
    return lesson.ended_at is not None and lesson.end_reason == "teacher" and lesson.ended_at < times_of(lesson).bell - rules.BELL_GRACE


def _exceptions(lesson: LessonSession, events: list[LessonEvent]) -> list[str]:
    """What an inspector should know beside the numbers."""
    kinds = {event.kind for event in events}
    marks = {
        "unscheduled": lesson.slot_id is None,
        "substitute": lesson.kind == "substitute",
        "forgotten": lesson.end_reason == "bell",
        "displaced": lesson.end_reason == "handover",
        "aborted": lesson.end_reason == "aborted",
        "shortened": _shortened(lesson),
        "reopened": "reopened" in kinds,
        "taken-over": "taken-over" in kinds,
    }
    return [name for name, holds in marks.items() if holds]
