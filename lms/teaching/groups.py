"""Groups of a lesson and the robots they hold (小组、小车)."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account
from lms.core.stages import grade_of
from lms.labs import service as labs
from lms.labs.models import Device, DeviceLease
from lms.roster.models import Enrollment, SchoolClass, Seat
from lms.teaching import rules
from lms.teaching.access import note_event, school_of, steered, times_of
from lms.teaching.models import LessonGroup, LessonSession, RegisterEntry
from lms.teaching.publishing import publish
from lms.teaching.register import entries_of


def groups_of(lesson: LessonSession) -> list[LessonGroup]:
    """The lesson's groups by number."""
    query = select(LessonGroup).where(LessonGroup.school_id == lesson.school_id, LessonGroup.lesson_id == lesson.id)
    return list(db.session.scalars(query.order_by(LessonGroup.number)))


def _roll_numbers(lesson: LessonSession) -> dict[uuid.UUID, int]:
    rows = db.session.execute(select(Enrollment.person_id, Enrollment.roll_no).where(Enrollment.class_id.in_(lesson.classes)))
    return dict(rows.all())


def make_groups(actor: Account, lesson: LessonSession, size: int) -> list[LessonGroup]:
    """Divide those present into groups of about ``size`` neighbours (分组); earlier groups and their robots are given back first.

    With nobody present yet, the whole roster is divided. Raises Invalid for a size outside 1–10.
    """
    if not 1 <= size <= 10:
        raise Invalid("group-size", _l("每组 1 到 10 人。"), where=str(size))
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        _live(lesson)
        _give_back(actor, lesson)
        entries = entries_of(lesson)
        here = [entry for entry in entries if entry.status in rules.PRESENT and entry.status != "left_early"] or entries
        seats = {seat.id: seat for seat in db.session.scalars(select(Seat).where(Seat.room_id == lesson.room_id))}
        rolls = _roll_numbers(lesson)
        by_person = {entry.person_id: entry for entry in entries}
        for entry in entries:
            entry.group_no = None
        places = [_place(entry, seats, rolls) for entry in here]
        made = []
        for number, members in enumerate(rules.make_groups(places, size), 1):
            made.append(LessonGroup(id=new_id(), school_id=lesson.school_id, lesson_id=lesson.id, number=number, driver_id=members[0]))
            for person_id in members:
                by_person[person_id].group_no = number
        db.session.add_all(made)
        _noted(actor, lesson, "groups", size=size, groups=len(made))
        return made


def _place(entry: RegisterEntry, seats: dict[uuid.UUID, Seat], rolls: dict[uuid.UUID, int]) -> rules.Place:
    seat = seats.get(entry.seat_id) if entry.seat_id is not None else None
    roll_no = rolls.get(entry.person_id, 0)
    return rules.Place(entry.person_id, roll_no, seat.row, seat.column) if seat is not None else rules.Place(entry.person_id, roll_no)


def _live(lesson: LessonSession) -> None:
    if lesson.state not in rules.LIVE:
        raise Refused("lesson-state", _l("这节课已经下课，不能这样操作。"), remedy=_l("下课 10 分钟内可以点“继续上课”。"))


def _give_back(actor: Account, lesson: LessonSession) -> None:
    if any(group.device_id is not None for group in groups_of(lesson)):
        labs.release_leases(actor, lesson.id)
    db.session.execute(delete(LessonGroup).where(LessonGroup.school_id == lesson.school_id, LessonGroup.lesson_id == lesson.id))


def _noted(actor: Account, lesson: LessonSession, kind: str, **detail: Any) -> None:
    lesson.rev += 1
    note_event(lesson, kind, actor, clock.now(), **detail)
    audit(actor, f"lesson-{kind}", "lesson", lesson.id, school_id=lesson.school_id, **detail)
    publish(lesson)


def group_of(lesson: LessonSession, number: int) -> LessonGroup:
    """The group; raises NotFound."""
    query = select(LessonGroup).where(
        LessonGroup.school_id == lesson.school_id, LessonGroup.lesson_id == lesson.id, LessonGroup.number == number
    )
    group = db.session.scalar(query)
    if group is None:
        raise NotFound("group", _l("没有这个小组。"), remedy=_l("请先分组。"))
    return group


def _terminals(lesson: LessonSession, number: int) -> dict[uuid.UUID, str]:
    """Terminal of each member of the group who sits at one now, by person."""
    rows = db.session.execute(
        select(RegisterEntry.person_id, Seat.terminal)
        .join(Seat, Seat.id == RegisterEntry.seat_id)
        .where(
            RegisterEntry.school_id == lesson.school_id,
            RegisterEntry.lesson_id == lesson.id,
            RegisterEntry.group_no == number,
            RegisterEntry.signed_in_at.is_not(None),
            RegisterEntry.signed_out_at.is_(None),
        )
        .order_by(Seat.row, Seat.column)
    )
    return dict(rows.all())


def robots_in(lesson: LessonSession) -> list[Device]:
    """Robots of the lesson's room, by sticker."""
    if lesson.room_id is None:
        return []
    return sorted((one for one in labs.devices_in(lesson.room_id) if one.kind == "robot"), key=lambda one: (one.sticker, one.homie_id))


def _lease_of(lesson: LessonSession, number: int) -> DeviceLease | None:
    query = select(DeviceLease).where(
        DeviceLease.school_id == lesson.school_id,
        DeviceLease.lesson_id == lesson.id,
        DeviceLease.group_no == number,
        DeviceLease.released_at.is_(None),
    )
    return db.session.scalar(query.order_by(DeviceLease.id.desc()))


def assign_robot(actor: Account, lesson: LessonSession, group_no: int, device: Device | None) -> LessonGroup:
    """Give a robot of the room to a group (分车), taking it from the group that had it; None takes the group's robot back.

    The lease lasts to the lesson's bell and a quarter of an hour; the group's first terminal drives.
    """
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        _live(lesson)
        group = group_of(lesson, group_no)
        if device is None:
            _release(actor, lesson, group)
        else:
            _lend(actor, lesson, group, device)
        _noted(actor, lesson, "robot", group=group_no, device=device.homie_id if device is not None else "")
        return group


def _release(actor: Account, lesson: LessonSession, group: LessonGroup) -> None:
    """Take one group's robot back; the other groups drive on."""
    for lease in labs.open_leases(lesson.id):
        if lease.group_no == group.number:
            labs.release_lease(actor, lease)
    group.device_id = None


def _lend(actor: Account, lesson: LessonSession, group: LessonGroup, device: Device) -> None:
    if device.room_id != lesson.room_id or device.kind != "robot":
        raise Invalid("robot-room", _l("这台小车不在本教室。"), where=device.homie_id)
    for other in groups_of(lesson):
        if other.device_id == device.id and other.id != group.id:
            other.device_id = None
    if group.device_id not in (None, device.id):
        _release(actor, lesson, group)
    group.device_id = device.id
    terminals = _terminals(lesson, group.number)
    holder = terminals.get(group.driver_id, "") if group.driver_id is not None else ""
    if not holder and terminals:
        group.driver_id, holder = next(iter(terminals.items()))
    labs.grant_lease(
        actor,
        lesson.id,
        device,
        group.number,
        list(dict.fromkeys(terminals.values())),
        holder,
        lease_until(lesson),
        *_caps(lesson, device),
    )


def lease_until(lesson: LessonSession) -> datetime:
    """End of a lease: a quarter of an hour after the bell, at least an hour from now for lessons that overrun."""
    return max(times_of(lesson).bell + timedelta(minutes=15), clock.now() + timedelta(hours=1))


def _caps(lesson: LessonSession, device: Device) -> tuple[float, float]:
    """Speed caps (m/s, rad/s) by the class's grade on the lesson's day, and by the robot: younger pupils get slower robots."""
    cohort, school = db.session.get_one(SchoolClass, lesson.class_id), school_of(lesson.school_id)
    grade = grade_of(cohort.stage, cohort.entry_year, clock.local_date(lesson.started_at, school.zone), school.system)
    return labs.caps_of(device.profile, cohort.stage, grade)


def pass_wheel(actor: Account, lesson: LessonSession, group_no: int, person_id: uuid.UUID) -> LessonGroup:
    """Let another pupil of the group drive (换人驾驶); the teacher, or a pupil of the group who drives now.

    Raises Refused if that pupil sits at no terminal.
    """
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        return hand_wheel(actor, lesson, group_no, person_id)


def hand_wheel(actor: Account, lesson: LessonSession, group_no: int, person_id: uuid.UUID) -> LessonGroup:
    """Hand the wheel over in the open write, without asking who asks."""
    _live(lesson)
    group = group_of(lesson, group_no)
    terminals = _terminals(lesson, group_no)
    if person_id not in terminals:
        raise Refused("not-at-terminal", _l("这位同学没有在终端前登录，不能驾驶。"), remedy=_l("请先让他在座位上登录，或选组里另一位同学。"))
    group.driver_id = person_id
    lease = _lease_of(lesson, group_no)
    if lease is not None:
        if terminals[person_id] in lease.holders:
            labs.pass_wheel(actor, lease, terminals[person_id])
        elif group.device_id is not None:
            robot = db.session.get(Device, group.device_id)
            if robot is not None:
                _lend(actor, lesson, group, robot)
    _noted(actor, lesson, "wheel", group=group_no)
    return group


def regrant(actor: Account, lesson: LessonSession, group_no: int | None) -> None:
    """Widen a group's lease after one of its pupils sat down at a terminal; joins the open write."""
    if group_no is None:
        return
    lease = _lease_of(lesson, group_no)
    if lease is None or set(_terminals(lesson, group_no).values()) <= set(lease.holders):
        return
    group = group_of(lesson, group_no)
    robot = db.session.get(Device, group.device_id) if group.device_id is not None else None
    if robot is not None:
        _lend(actor, lesson, group, robot)
        lesson.rev += 1
        publish(lesson)


def deal_robots(actor: Account, lesson: LessonSession) -> int:
    """Give the room's robots to the groups in order, one each (一键分车); returns how many groups have one."""
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        _live(lesson)
        groups = groups_of(lesson)
        if not groups:
            raise Refused("no-groups", _l("还没有分组。"), remedy=_l("请先点“分组”。"))
        if any(group.device_id is not None for group in groups):
            labs.release_leases(actor, lesson.id)
        for group in groups:
            group.device_id = None
        robots = [robot for robot in robots_in(lesson) if robot.state not in ("lost", "disconnected")]
        for group, robot in zip(groups, robots, strict=False):
            _lend(actor, lesson, group, robot)
        _noted(actor, lesson, "robots", groups=len(groups), robots=len(robots))
        return min(len(groups), len(robots))


def identify(actor: Account, lesson: LessonSession, device: Device) -> None:
    """Let a robot of the lesson's room blink, so that the class can see which one it is (认一认)."""
    if device.room_id != lesson.room_id:
        raise Invalid("robot-room", _l("这台小车不在本教室。"), where=device.homie_id)
    labs.identify(actor, device)
