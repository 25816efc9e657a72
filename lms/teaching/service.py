"""Verbs of teaching: open, steer, end and reopen a lesson (开课、授课、下课). The room's public door.

Every verb takes the acting account, writes one transaction, publishes the lesson's state through the outbox of the same
transaction, appends a lesson event and a journal line, and may be repeated safely.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account
from lms.courses import service as courses
from lms.labs import service as labs
from lms.roster import service as roster
from lms.roster.models import Person, Room, SchoolClass, Seat
from lms.teaching import kinds, rules
from lms.teaching.access import (
    class_teachers,
    is_admin,
    note_event,
    person_id_of,
    school_of,
    stage_of,
    steered,
    times_of,
    today_of,
)
from lms.teaching.board import console_state, steps_of
from lms.teaching.closing import close, close_due, displace, finish
from lms.teaching.groups import assign_robot, make_groups, pass_wheel
from lms.teaching.models import LessonSession, RegisterEntry
from lms.teaching.publishing import lesson_state, publish, room_of
from lms.teaching.register import (
    Seated,
    ask_help,
    content_of,
    late_work,
    lower_hand,
    mark,
    mark_many,
    mark_rest,
    note_done,
    restore_signed_out,
    seat_pupil,
    seated,
    sign_out_pupils,
)

__all__ = [
    "Seated",
    "ask_help",
    "assign_robot",
    "close",
    "close_due",
    "console_state",
    "content_of",
    "end_lesson",
    "late_work",
    "lesson_state",
    "lower_hand",
    "make_groups",
    "mark",
    "mark_many",
    "mark_rest",
    "note_done",
    "open_lesson",
    "pass_wheel",
    "pause",
    "push_step",
    "reopen",
    "resume",
    "seat_pupil",
    "seated",
    "set_note",
    "set_units",
    "sign_out_pupils",
    "steps_of",
    "stop_robots",
    "take_over",
]


def open_lesson(
    actor: Account,
    class_id: uuid.UUID,
    room_id: uuid.UUID | None,
    package_id: uuid.UUID | None,
    lesson_slug: str,
    *,
    slot: roster.DaySlot | None = None,
    units: Sequence[str] = (),
    subject: str = "人工智能",
    title: str = "",
    kind: str = "regular",
    configuration: int | None = None,
    with_terminals: bool | None = None,
    wishes: kinds.Wishes | None = None,
    hours: int = 1,
) -> LessonSession:
    """Start a lesson of a class (开始上课), from a slot of the day or ad hoc (``slot`` None).

    A slot that is over, or begins in more than twenty minutes, makes an unplanned lesson: its minutes count from its own start.
    An ended or overdue lesson that holds the room or the class is closed first. Opening the same lesson twice gives the same one.
    ``wishes``: make-up, parts, other classes (before ``kind``). ``hours``: class hours of a lesson outside the timetable, 1 or 2.
    Raises Refused where class or room is in another lesson, NotAllowed, NotFound, Invalid for a choice that cannot be.
    """
    now = clock.now()
    wanted = wishes or kinds.Wishes(kind)
    with write():
        cohort, room = _locked_class_and_room(actor.organisation_id, class_id, room_id)
        teacher_id, standing = _teacher_for(actor, cohort, slot)
        same = _make_way(actor, cohort, room, teacher_id)
        if same is not None:
            return same
        content = courses.lesson_of(package_id, lesson_slug) if package_id is not None else None
        if package_id is not None and content is not None:
            _pin_if_needed(actor, class_id, package_id)
        starts, ends = _planned(actor.organisation_id, class_id, slot)
        if starts is not None and ends is not None and not rules.slot_fits(starts, ends, now):
            slot, starts, ends = None, None, None
        lesson = LessonSession(
            id=new_id(),
            school_id=cohort.school_id,
            class_id=class_id,
            room_id=room_id,
            teacher_id=teacher_id,
            slot_id=slot.slot_id if slot is not None else None,
            package_id=package_id,
            lesson_slug=lesson_slug if package_id is not None else "",
            title=(title or (content.title if content is not None else subject))[:120],
            subject=subject,
            units=_checked_units(cohort.school_id, units) or _known_units(cohort.school_id, content.counts_for if content is not None else ()),
            kind=wanted.kind,
            configuration=configuration or stage_of(cohort.school_id, cohort.stage)[1],
            planned_start=starts,
            planned_end=ends,
            started_at=now,
            with_terminals=_has_terminals(room) if with_terminals is None else with_terminals,
        )
        _settle(lesson, cohort, wanted, standing, 1 if slot is not None else hours)
        db.session.add(lesson)
        db.session.flush()
        _open_register(lesson, now)
        if room is not None and lesson.with_terminals:
            labs.open_terminals(room, lesson.id)
        publish(lesson)
        note_event(lesson, "started", actor, now, standing=standing, slot=str(lesson.slot_id or ""))
        audit(actor, "open-lesson", "lesson", lesson.id, school_id=lesson.school_id, class_id=str(class_id), room=str(room_id or ""))
        return lesson


def _locked_class_and_room(school_id: uuid.UUID, class_id: uuid.UUID, room_id: uuid.UUID | None) -> tuple[SchoolClass, Room | None]:
    """Both rows, locked in this order, so that two openings of the same class or room take turns on every database."""
    cohort = db.session.get(SchoolClass, class_id, with_for_update=True)
    if cohort is None or cohort.school_id != school_id:
        raise NotFound("class", _l("没有这个班级。"))
    if room_id is None:
        return cohort, None
    room = db.session.get(Room, room_id, with_for_update=True)
    if room is None or room.school_id != school_id:
        raise NotFound("room", _l("没有这间教室。"))
    return cohort, room


def _teacher_for(actor: Account, cohort: SchoolClass, slot: roster.DaySlot | None) -> tuple[uuid.UUID, str]:
    person_id = person_id_of(actor)
    teachers = class_teachers(cohort.id, today_of(school_of(cohort.school_id)))
    standing = rules.standing(
        person_id,
        is_admin=is_admin(actor, cohort.school_id),
        is_teacher=may(actor, ("teacher",), cohort.school_id),
        class_teachers=teachers,
        slot_teacher=slot.teacher_id if slot is not None else None,
    )
    teacher_id = person_id
    if standing == "admin":
        teacher_id = slot.teacher_id if slot is not None else person_id
    if standing is None or teacher_id is None:
        raise NotAllowed("not-a-teacher", _l("您不是这个学校的任课教师，不能开课。"), remedy=_l("请管理员在名册里添加任课。"), clause="B2a")
    return teacher_id, standing


def _make_way(actor: Account, cohort: SchoolClass, room: Room | None, teacher_id: uuid.UUID) -> LessonSession | None:
    """Close what has ended in this class or room; the running lesson itself if it is the one asked for."""
    now = clock.now()
    places = [LessonSession.class_id == cohort.id] + ([LessonSession.room_id == room.id] if room is not None else [])
    query = select(LessonSession).where(LessonSession.school_id == cohort.school_id, LessonSession.state.in_(rules.OPEN), or_(*places))
    for other in db.session.scalars(query.with_for_update()).all():
        if rules.may_be_displaced(other.state, times_of(other), now):
            displace(actor, other)
            continue
        if other.class_id == cohort.id and other.teacher_id == teacher_id and other.room_id == (room.id if room is not None else None):
            return other
        if other.class_id == cohort.id:
            raise Refused("class-taken", _l("这个班正在上另一节课。"), remedy=_l("请先在那节课的控制台点“下课”。"), lesson=str(other.id))
        raise Refused("room-taken", _l("这间教室正在上另一节课。"), remedy=_l("请等那节课下课，或换一间教室。"), lesson=str(other.id))
    return None


def _pin_if_needed(actor: Account, class_id: uuid.UUID, package_id: uuid.UUID) -> None:
    if all(package.id != package_id for package in courses.pinned(class_id)):
        courses.pin(actor, class_id, package_id)


def _planned(school_id: uuid.UUID, class_id: uuid.UUID, slot: roster.DaySlot | None) -> tuple[datetime | None, datetime | None]:
    """Start and end of the slot, of both periods where it is a double one (连堂)."""
    if slot is None:
        return None, None
    day = clock.local_date(slot.starts, school_of(school_id).zone)
    for run in rules.joined(roster.slots_on(school_id, day, class_id=class_id)):
        if any(one.slot_id == slot.slot_id for one in run):
            return run[0].starts, run[-1].ends
    return slot.starts, slot.ends


def _checked_units(school_id: uuid.UUID, units: Sequence[str]) -> list[str]:
    """``units`` without doubles; raises Invalid for one that no catalogue of the school holds."""
    wanted = list(dict.fromkeys(unit for unit in units if unit))
    known = _known_units(school_id, wanted)
    for unit in wanted:
        if unit not in known:
            raise Invalid("unit", _l("学校的教材目录里没有这一课。"), remedy=_l("请先在“课程”里导入教材目录。"), where=unit, clause="B2a")
    return wanted


def _known_units(school_id: uuid.UUID, units: Sequence[str]) -> list[str]:
    """Those of ``units`` that a catalogue of the school holds: what a package says of itself counts for nothing without one (B2a)."""
    known = {f"{unit.course}:{unit.code}" for unit in courses.units(school_id)} if units else set()
    return [unit for unit in dict.fromkeys(units) if unit in known]


def _settle(lesson: LessonSession, cohort: SchoolClass, wanted: kinds.Wishes, standing: str, hours: int) -> None:
    """What kind of lesson it is, its bell where it is a double one outside the timetable, and its other classes, which must be free."""
    if hours == 2:
        minutes = 2 * stage_of(cohort.school_id, cohort.stage)[0]
        lesson.planned_start, lesson.planned_end = lesson.started_at, lesson.started_at + timedelta(minutes=minutes)
    kinds.settle(lesson, cohort, wanted)
    if standing == "substitute" and lesson.kind == "regular":
        lesson.kind = "substitute"
    live = select(LessonSession).where(LessonSession.school_id == cohort.school_id, LessonSession.state.in_(rules.LIVE))
    for other in db.session.scalars(live):
        if set(lesson.classes) & set(other.classes) and not rules.may_be_displaced(other.state, times_of(other), lesson.started_at):
            raise Refused("class-taken", _l("一起上课的班级正在上另一节课。"), remedy=_l("请等那节课下课，或不选那个班。"), lesson=str(other.id))


def _has_terminals(room: Room | None) -> bool:
    return room is not None and db.session.scalar(select(Seat.id).where(Seat.room_id == room.id).limit(1)) is not None


def _open_register(lesson: LessonSession, now: datetime) -> None:
    on = clock.local_date(now, school_of(lesson.school_id).zone)
    pupils = {pupil.person_id: pupil for class_id in lesson.classes for pupil in roster.roster_of(class_id, on)}
    db.session.add_all(
        RegisterEntry(id=new_id(), school_id=lesson.school_id, lesson_id=lesson.id, person_id=pupil.person_id, done=[], updated_at=now)
        for pupil in pupils.values()
    )
    db.session.flush()


def _changed(actor: Account, lesson: LessonSession, kind: str, **detail: Any) -> None:
    """What every steering verb leaves: a higher rev, the room told, event and journal."""
    lesson.rev += 1
    publish(lesson)
    note_event(lesson, kind, actor, clock.now(), **detail)
    audit(actor, f"lesson-{kind}", "lesson", lesson.id, school_id=lesson.school_id, **detail)


def _need(verb: str, lesson: LessonSession) -> None:
    if not rules.allowed(verb, lesson.state):
        raise Refused("lesson-state", _l("这节课已经下课，不能这样操作。"), remedy=_l("下课 10 分钟内可以点“继续上课”。"), state=lesson.state)


def push_step(actor: Account, lesson: LessonSession, step: int, controller: str = "") -> LessonSession:
    """Bring every screen to a step (0-based); the step they are on changes nothing.

    ``controller``: the console's token; empty only for callers inside the product. Raises Invalid, Refused.
    """
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        _need("push", lesson)
        check_controller(lesson, controller)
        count = len(steps_of(lesson))
        if not 0 <= step < max(1, count):
            raise Invalid("step", _l("没有这一步。"), where=str(step))
        if step != lesson.step:
            lesson.step = step
            lesson.steps_pushed += 1
            _changed(actor, lesson, "step", step=step)
        return lesson


def check_controller(lesson: LessonSession, controller: str) -> None:
    """Raise Refused if another console steers the lesson now; an unclaimed lesson and an empty token pass."""
    if controller and lesson.controller and not secrets.compare_digest(controller, lesson.controller):
        raise Refused("taken-over", _l("这节课正由另一台设备控制。"), remedy=_l("需要时点“由本机控制”。"))


def pause(actor: Account, lesson: LessonSession, controller: str = "") -> LessonSession:
    """Quiet all screens (全班静屏)."""
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        if lesson.state != "paused":
            _need("pause", lesson)
            check_controller(lesson, controller)
            lesson.state = "paused"
            _changed(actor, lesson, "paused")
        return lesson


def resume(actor: Account, lesson: LessonSession, controller: str = "") -> LessonSession:
    """Give the screens back."""
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        if lesson.state != "running":
            _need("resume", lesson)
            check_controller(lesson, controller)
            lesson.state = "running"
            _changed(actor, lesson, "resumed")
        return lesson


def end_lesson(actor: Account, lesson: LessonSession, reason: str = "teacher") -> LessonSession:
    """End the lesson (下课): robots stop, pupils are signed out, the room is free. Ending twice changes nothing."""
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        if lesson.state in rules.LIVE:
            finish(actor, lesson, clock.now(), reason)
        return lesson


def reopen(actor: Account, lesson: LessonSession) -> LessonSession:
    """Go on with a lesson that ended less than ten minutes ago (继续上课), unless its room or class is in another one.

    Pupils whom the end signed out are in it again without their PIN.
    """
    now = clock.now()
    with write():
        _locked_class_and_room(lesson.school_id, lesson.class_id, lesson.room_id)
        lesson = steered(actor, lesson.id, lock=True)
        if lesson.state in rules.LIVE:
            return lesson
        if not rules.may_reopen(lesson.state, lesson.reopen_until, now) or lesson.ended_at is None:
            raise Refused("too-late", _l("下课已超过 10 分钟，使用记录已经写入。"), remedy=_l("请重新开一节课。"))
        places = [LessonSession.class_id == lesson.class_id]
        if lesson.room_id is not None:
            places.append(LessonSession.room_id == lesson.room_id)
        taken = select(LessonSession.id).where(
            LessonSession.school_id == lesson.school_id, LessonSession.state.in_(rules.LIVE), LessonSession.id != lesson.id, or_(*places)
        )
        if db.session.scalar(taken) is not None:
            raise Refused("room-taken", _l("教室或班级已经开始了下一节课。"), remedy=_l("请在那节课里继续。"))
        restore_signed_out(lesson, lesson.ended_at)
        lesson.state, lesson.ended_at, lesson.reopen_until, lesson.end_reason = "running", None, None, ""
        _changed(actor, lesson, "reopened")
        return lesson


def take_over(actor: Account, lesson: LessonSession) -> str:
    """Steer the lesson from this console from now on; the one before is told. Returns the new controller token."""
    token = secrets.token_urlsafe(24)
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        if lesson.state == "closed":
            raise Refused("lesson-state", _l("这节课已经结课。"))
        first = not lesson.controller
        lesson.controller = token
        if not first:
            _changed(actor, lesson, "taken-over")
        return token


def set_units(actor: Account, lesson: LessonSession, units: Sequence[str]) -> LessonSession:
    """Name the catalogue units that the lesson teaches; until its record is written."""
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        _need("mark", lesson)
        lesson.units = _checked_units(lesson.school_id, units)
        note_event(lesson, "units", actor, clock.now(), units=lesson.units)
        audit(actor, "lesson-units", "lesson", lesson.id, school_id=lesson.school_id, units=lesson.units)
        return lesson


def set_note(actor: Account, lesson: LessonSession, note: str) -> LessonSession:
    """Keep the teacher's note on the lesson, at most 500 characters; until its record is written."""
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        _need("mark", lesson)
        if len(note) > 500:
            raise Invalid("note", _l("备注最多 500 字。"))
        lesson.note = note.strip()
        audit(actor, "lesson-note", "lesson", lesson.id, school_id=lesson.school_id, length=len(lesson.note))
        return lesson


def stop_robots(actor: Account, lesson: LessonSession, stop_id: str | None = None) -> dict[str, Any]:
    """Stop every robot of the room (全部停车), in any state of the lesson and from any console; the same id twice is one stop."""
    with write():
        lesson = steered(actor, lesson.id)
        room = room_of(lesson)
        if room is None:
            raise Refused("no-room", _l("这节课没有教室，系统里没有小车。"), remedy=_l("请关小车电源开关。"))
        event = labs.stop_room(actor, room, lesson.id, stop_id)
        note_event(lesson, "stop", actor, clock.now(), stop=event.stop_id)
        return {"stop": event.stop_id}


def teacher_name(lesson: LessonSession) -> str:
    """Name of the lesson's teacher."""
    return db.session.scalar(select(Person.name).where(Person.id == lesson.teacher_id)) or ""
