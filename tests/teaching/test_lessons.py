"""Lessons on a real database: open, steer, end, reopen, close, take over."""

from __future__ import annotations

import re
import shutil
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from lms.core.clock import FixedClock
from lms.core.db import db, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import AuditEntry, OutboxMessage
from lms.courses import service as courses
from lms.labs import service as labs
from lms.labs.models import DeviceLease, StopEvent
from lms.teaching import service
from lms.teaching.models import LessonEvent, LessonSession, RegisterEntry
from lms.teaching.register import entries_of
from lms.usage.models import EvidenceEvent, UsageRecord
from lms.usage.service import verify_chain
from tests.effort import PATIENCE_S
from tests.factories import make_admin, make_class, make_pupils, make_room, make_school, make_teacher
from tests.teaching.scene import PACKAGE, Scene, account_of, add_robots, make_scene


@pytest.fixture
def scene(app: Flask, fixed_clock: FixedClock) -> Scene:
    """A school on Tuesday 24 November 2026, 10:05."""
    return make_scene()


def published() -> list[tuple[str, str]]:
    rows = db.session.execute(select(OutboxMessage.topic, OutboxMessage.payload).order_by(OutboxMessage.seq))
    return [(topic, payload) for topic, payload in rows if topic.endswith("/lesson")]


def kinds(lesson: LessonSession) -> list[str]:
    return list(db.session.scalars(select(LessonEvent.kind).where(LessonEvent.lesson_id == lesson.id).order_by(LessonEvent.id)))


def test_opening_writes_session_register_and_publishes(scene: Scene) -> None:
    lesson = scene.open()
    assert (lesson.state, lesson.step, lesson.rev, lesson.with_terminals, lesson.configuration) == ("running", 0, 1, True, 3)
    assert lesson.kind == "regular"
    assert [entry.status for entry in entries_of(lesson)] == ["absent"] * 6
    topic, payload = published()[-1]
    assert topic == "zhike/room/lab1/lesson"
    assert f'"lesson":"{lesson.id}"' in payload
    assert '"state":"running"' in payload
    assert kinds(lesson) == ["started"]


def test_opening_twice_gives_the_same_lesson(scene: Scene) -> None:
    assert scene.open().id == scene.open().id
    assert db.session.scalar(select(func.count()).select_from(LessonSession)) == 1
    assert db.session.scalar(select(func.count()).select_from(RegisterEntry)) == 6


def test_a_running_lesson_holds_its_room_and_its_class(scene: Scene) -> None:
    scene.open()
    other_class = make_class(scene.school, number=2)
    other_teacher = make_teacher(scene.school, other_class, scene.cohort)
    with pytest.raises(Refused, match="room-taken"):
        service.open_lesson(account_of(other_teacher), other_class.id, scene.room.id, None, "")
    other_room, _seats = make_room(scene.school, "lab2")
    with pytest.raises(Refused, match="class-taken"):
        service.open_lesson(account_of(other_teacher), scene.cohort.id, other_room.id, None, "")
    assert service.open_lesson(account_of(other_teacher), other_class.id, other_room.id, None, "").state == "running"


def test_who_may_open(scene: Scene) -> None:
    stranger = make_teacher(scene.school)
    lesson = service.open_lesson(account_of(stranger), scene.cohort.id, None, None, "")
    assert (lesson.kind, lesson.teacher_id) == ("substitute", stranger.id)
    with pytest.raises(NotAllowed):
        service.open_lesson(account_of(scene.pupils[0]), scene.cohort.id, scene.room.id, None, "")
    elsewhere = make_teacher(make_school("另一所学校"))
    with pytest.raises(NotFound):
        service.open_lesson(account_of(elsewhere), scene.cohort.id, scene.room.id, None, "")


def test_only_its_teachers_and_admins_steer(scene: Scene) -> None:
    lesson = scene.open()
    with pytest.raises(NotAllowed):
        service.push_step(account_of(make_teacher(scene.school)), lesson, 1, "")
    service.push_step(account_of(make_admin(scene.school)), lesson, 1, "")
    assert lesson.step == 1
    with pytest.raises(NotFound):
        service.push_step(account_of(make_teacher(make_school("另一所学校"))), lesson, 2, "")


def test_a_unit_must_be_in_a_catalogue_of_the_school(scene: Scene) -> None:
    with pytest.raises(Invalid, match="unit"):
        scene.open(units=["ncet:五上-1"])


def test_what_a_package_says_of_itself_counts_only_with_the_catalogue(scene: Scene, tmp_path: Path) -> None:
    """B2a: a package that names units of a course counts for them only where the school has imported that catalogue."""
    folder = shutil.copytree(PACKAGE, tmp_path / PACKAGE.name)
    lesson = folder / "lessons" / "01-see" / "lesson.yaml"
    told = lesson.read_text("utf-8")
    assert "counts_for: []" in told
    unit = "demo-ncet:五上-1"
    lesson.write_text(told.replace("counts_for: []", f'counts_for: ["ncet:x", "{unit}"]'), "utf-8")
    manifest = folder / "course.yaml"
    manifest.write_text(re.sub(r"(?m)^version: .*$", "version: 9.9.9", manifest.read_text("utf-8")), "utf-8")
    package = courses.install_folder(None, scene.school.id, folder)
    opened = service.open_lesson(scene.actor, scene.cohort.id, scene.room.id, package.id, "01-see")
    assert opened.units == []
    service.end_lesson(scene.actor, opened)
    service.close(opened.id)
    courses.install_folder(None, scene.school.id, PACKAGE.parent / "demo-catalogue")
    assert service.open_lesson(scene.actor, scene.cohort.id, scene.room.id, package.id, "01-see").units == [unit]


def test_steps_rise_once_and_stay_in_range(scene: Scene) -> None:
    lesson = scene.open()
    service.push_step(scene.actor, lesson, 1, "")
    service.push_step(scene.actor, lesson, 1, "")
    assert (lesson.step, lesson.steps_pushed, lesson.rev) == (1, 2, 2)
    with pytest.raises(Invalid, match="step"):
        service.push_step(scene.actor, lesson, 99, "")
    service.pause(scene.actor, lesson)
    service.pause(scene.actor, lesson)
    assert (lesson.state, lesson.rev) == ("paused", 3)
    service.resume(scene.actor, lesson)
    assert [one for one in kinds(lesson) if one != "started"] == ["step", "paused", "resumed"]
    assert len(published()) == 4


def test_ending_stops_robots_releases_leases_and_signs_out(scene: Scene) -> None:
    lesson = scene.open()
    robot = add_robots(scene)[0]
    with write():
        service.seat_pupil(account_of(scene.pupils[0]), scene.seats[0], lesson)
    service.make_groups(scene.actor, lesson, 3)
    service.assign_robot(scene.actor, lesson, 1, robot)
    assert db.session.scalar(select(DeviceLease.holder)) == scene.seats[0].terminal
    service.end_lesson(scene.actor, lesson)
    service.end_lesson(scene.actor, lesson)
    assert lesson.state == "ended"
    assert db.session.scalar(select(func.count()).select_from(StopEvent)) == 1
    assert db.session.scalar(select(DeviceLease.released_at)) is not None
    assert service.seated(account_of(scene.pupils[0])) is None
    assert service.late_work(account_of(scene.pupils[0])) is not None
    assert '"state":"ended"' in published()[-1][1]
    assert db.session.scalar(select(func.count()).select_from(UsageRecord)) == 0


def test_reopening_within_ten_minutes_brings_pupils_back(scene: Scene, fixed_clock: FixedClock) -> None:
    lesson = scene.open()
    with write():
        service.seat_pupil(account_of(scene.pupils[0]), scene.seats[0], lesson)
    fixed_clock.at += timedelta(minutes=10)
    service.end_lesson(scene.actor, lesson)
    fixed_clock.at += timedelta(minutes=6)
    assert service.close_due(fixed_clock.at) == 0
    service.reopen(scene.actor, lesson)
    assert lesson.state == "running"
    assert service.seated(account_of(scene.pupils[0])) is not None
    fixed_clock.at += timedelta(minutes=10)
    service.end_lesson(scene.actor, lesson)
    fixed_clock.at += timedelta(minutes=10)
    with pytest.raises(Refused, match="too-late"):
        service.reopen(scene.actor, lesson)
    assert service.close_due(fixed_clock.at) == 1
    record = db.session.scalars(select(UsageRecord)).one()
    assert record.minutes == 20  # six minutes between the end and the reopening are not taught
    assert lesson.state == "closed"


def test_two_classes_back_to_back(scene: Scene, fixed_clock: FixedClock) -> None:
    first = scene.open()
    with write():
        service.seat_pupil(account_of(scene.pupils[0]), scene.seats[0], first)
    service.end_lesson(scene.actor, first)
    second_class = make_class(scene.school, number=2)
    pupils = make_pupils(scene.school, second_class, 3)
    teacher = make_teacher(scene.school, second_class)
    fixed_clock.at += timedelta(seconds=40)
    second = service.open_lesson(account_of(teacher), second_class.id, scene.room.id, scene.package.id, "01-see")
    assert first.state == "closed"
    assert db.session.scalars(select(UsageRecord.lesson_id)).all() == [first.id]
    with pytest.raises(Refused):
        service.reopen(scene.actor, first)
    assert f'"lesson":"{second.id}"' in published()[-1][1]
    with write():
        service.seat_pupil(account_of(pupils[0]), scene.seats[0], second)
    with pytest.raises(NotFound):
        service.seat_pupil(account_of(scene.pupils[1]), scene.seats[1], second)


def test_reopening_is_refused_while_the_class_is_elsewhere(scene: Scene) -> None:
    first = scene.open()
    service.end_lesson(scene.actor, first)
    other_class = make_class(scene.school, number=2)
    lab2, _seats = make_room(scene.school, "lab2")
    service.open_lesson(account_of(make_teacher(scene.school, other_class)), other_class.id, lab2.id, None, "")
    service.reopen(scene.actor, first)  # another room, another class: nothing in the way
    assert first.state == "running"


def test_forgotten_lesson_is_closed_with_minutes_cut_to_the_slot(scene: Scene, fixed_clock: FixedClock) -> None:
    slot = scene.day_slot(scene.slot(3))
    fixed_clock.at = slot.starts + timedelta(minutes=2)
    lesson = scene.open(slot=slot)
    assert (lesson.planned_start, lesson.planned_end) == (slot.starts, slot.ends)
    assert service.close_due(slot.ends + timedelta(minutes=9)) == 0
    fixed_clock.at = slot.ends + timedelta(hours=3)
    assert service.close_due(fixed_clock.at) == 1
    record = db.session.scalars(select(UsageRecord)).one()
    assert (record.minutes, record.ended_at, lesson.end_reason) == (38, slot.ends, "bell")


def test_the_next_class_displaces_a_forgotten_one_after_the_bell(scene: Scene, fixed_clock: FixedClock) -> None:
    slot = scene.day_slot(scene.slot(3))
    fixed_clock.at = slot.starts
    first = scene.open(slot=slot)
    other = make_class(scene.school, number=2)
    teacher = make_teacher(scene.school, other)
    fixed_clock.at = slot.ends - timedelta(minutes=1)
    with pytest.raises(Refused, match="room-taken"):
        service.open_lesson(account_of(teacher), other.id, scene.room.id, None, "")
    fixed_clock.at = slot.ends + timedelta(minutes=5)
    service.open_lesson(account_of(teacher), other.id, scene.room.id, None, "")
    assert (first.state, first.end_reason, first.ended_at) == ("closed", "handover", slot.ends)
    assert db.session.scalars(select(UsageRecord.minutes)).all() == [40]


def test_a_slot_at_another_time_makes_an_unplanned_lesson(scene: Scene, fixed_clock: FixedClock) -> None:
    slot = scene.day_slot(scene.slot(3))
    fixed_clock.at = slot.ends + timedelta(minutes=30)
    lesson = scene.open(slot=slot)
    assert (lesson.slot_id, lesson.planned_start) == (None, None)
    fixed_clock.at += timedelta(minutes=33)
    service.end_lesson(scene.actor, lesson)
    service.close(lesson.id)
    assert db.session.scalars(select(UsageRecord.minutes)).all() == [33]


def test_double_period_is_planned_as_one_lesson(scene: Scene, fixed_clock: FixedClock) -> None:
    slots = [scene.day_slot(scene.slot(ordinal)) for ordinal in (1, 2)]
    fixed_clock.at = slots[0].starts
    lesson = scene.open(slot=slots[0])
    assert (lesson.planned_start, lesson.planned_end) == (slots[0].starts, slots[1].ends)
    fixed_clock.at = slots[1].ends
    service.end_lesson(scene.actor, lesson)
    service.close(lesson.id)
    record = db.session.scalars(select(UsageRecord)).one()
    assert (record.class_hours, record.minutes) == (2, 95)


def test_taking_over_shuts_the_old_console_out(scene: Scene) -> None:
    lesson = scene.open()
    old = service.take_over(scene.actor, lesson)
    rev = lesson.rev
    new = service.take_over(scene.actor, lesson)
    assert lesson.rev == rev + 1  # the room's topic tells the old console
    with pytest.raises(Refused, match="taken-over"):
        service.push_step(scene.actor, lesson, 1, old)
    service.push_step(scene.actor, lesson, 1, new)
    assert kinds(lesson) == ["started", "taken-over", "step"]


def test_record_is_written_once_by_many_closers(app: Flask, scene: Scene, fixed_clock: FixedClock) -> None:
    lesson = scene.open()
    service.end_lesson(scene.actor, lesson)
    fixed_clock.at += timedelta(minutes=11)
    school_id, lesson_id = scene.school.id, lesson.id
    db.session.remove()
    start, results = threading.Barrier(6), []

    def closer() -> None:
        with app.app_context():
            start.wait(PATIENCE_S)
            results.append(service.close(lesson_id))
            results.append(bool(service.close_due(fixed_clock.at)))

    threads = [threading.Thread(target=closer) for _turn in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(results) == [False] * 11 + [True]
    assert db.session.scalar(select(func.count()).select_from(UsageRecord)) == 1
    assert db.session.scalar(select(func.count()).select_from(EvidenceEvent).where(EvidenceEvent.type == "usage-record")) == 1
    assert verify_chain(school_id).ok


def test_crash_between_record_and_close_leaves_nothing(scene: Scene, fixed_clock: FixedClock) -> None:
    lesson = scene.open()
    service.end_lesson(scene.actor, lesson)
    fixed_clock.at += timedelta(minutes=11)

    class Crash(Exception):
        """The process dies before the commit."""

    def close_and_die() -> None:
        with write():
            service.close(lesson.id)
            raise Crash

    with pytest.raises(Crash):
        close_and_die()
    assert db.session.scalar(select(func.count()).select_from(UsageRecord)) == 0
    assert service.close_due(fixed_clock.at) == 1
    assert service.close_due(fixed_clock.at) == 0
    assert db.session.scalar(select(func.count()).select_from(UsageRecord)) == 1


def test_register_edits_and_their_end(scene: Scene, fixed_clock: FixedClock) -> None:
    lesson = scene.open()
    first, second, third = (pupil.id for pupil in scene.pupils[:3])
    service.mark(scene.actor, lesson, first, "hand")
    service.mark(scene.actor, lesson, first, "hand")
    service.mark(scene.actor, lesson, second, "late")
    service.mark(scene.actor, lesson, third, "leave")
    with pytest.raises(Invalid):
        service.mark(scene.actor, lesson, first, "asleep")
    with pytest.raises(NotFound):
        service.mark(scene.actor, lesson, scene.teacher.id, "hand")
    service.end_lesson(scene.actor, lesson)
    service.mark(scene.actor, lesson, scene.pupils[3].id, "hand")
    fixed_clock.at += timedelta(minutes=11)
    service.close_due(fixed_clock.at)
    record = db.session.scalars(select(UsageRecord)).one()
    assert (record.roster, record.present, record.on_leave) == (6, 3, 1)
    with pytest.raises(Refused, match="register-closed"):
        service.mark(scene.actor, lesson, first, "absent")
    marks = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "mark-register")).all()
    assert len(marks) == 4


def test_a_lesson_without_terminals_runs_from_the_teachers_screen(scene: Scene, fixed_clock: FixedClock) -> None:
    lesson = service.open_lesson(scene.actor, scene.cohort.id, None, scene.package.id, "01-see", configuration=1)
    assert not lesson.with_terminals
    assert service.mark_rest(scene.actor, lesson) == 6
    service.mark(scene.actor, lesson, scene.pupils[5].id, "absent")
    for step in range(1, len(service.steps_of(lesson))):
        service.push_step(scene.actor, lesson, step, "")
    fixed_clock.at += timedelta(minutes=40)
    service.end_lesson(scene.actor, lesson)
    service.close(lesson.id)
    record = db.session.scalars(select(UsageRecord)).one()
    assert (record.present, record.minutes, record.room_id) == (5, 40, None)


def test_shared_terminal_and_moving_seats(scene: Scene) -> None:
    lesson = scene.open()
    first, second = (account_of(pupil) for pupil in scene.pupils[:2])
    with write():
        service.seat_pupil(first, scene.seats[0], lesson)
    with write():
        service.seat_pupil(second, scene.seats[0], lesson)
    entries = {entry.person_id: entry for entry in entries_of(lesson)}
    assert entries[scene.pupils[0].id].status == "shared"
    assert entries[scene.pupils[1].id].status == "terminal"
    epoch = first.epoch
    with write():
        service.seat_pupil(first, scene.seats[3], lesson)
    assert (entries[scene.pupils[0].id].status, entries[scene.pupils[0].id].seat_id) == ("terminal", scene.seats[3].id)
    assert first.epoch == epoch + 1  # the browser at the old seat is signed out


def test_late_stays_late_after_the_sign_in(scene: Scene) -> None:
    lesson = scene.open()
    service.mark(scene.actor, lesson, scene.pupils[0].id, "late")
    with write():
        entry = service.seat_pupil(account_of(scene.pupils[0]), scene.seats[0], lesson)
    assert entry.status == "late"


def test_help_is_raised_and_lowered(scene: Scene) -> None:
    lesson = scene.open()
    pupil = scene.pupils[0]
    assert service.ask_help(account_of(pupil), True) is None
    with write():
        service.seat_pupil(account_of(pupil), scene.seats[0], lesson)
    service.ask_help(account_of(pupil), True)
    assert service.console_state(lesson)["counts"]["help"] == 1
    rev = lesson.rev
    service.lower_hand(scene.actor, lesson, pupil.id)
    assert service.console_state(lesson)["counts"]["help"] == 0
    assert lesson.rev == rev + 1


def test_groups_robots_and_the_wheel(scene: Scene) -> None:
    lesson = scene.open()
    robots = add_robots(scene)
    for number in range(4):
        with write():
            service.seat_pupil(account_of(scene.pupils[number]), scene.seats[number], lesson)
    made = service.make_groups(scene.actor, lesson, 2)
    assert [group.number for group in made] == [1, 2]
    with write():
        robots[0].profile = "makeblock-mbot"
    service.assign_robot(scene.actor, lesson, 1, robots[0])
    service.assign_robot(scene.actor, lesson, 2, robots[0])  # the robot moves to group 2
    open_leases = db.session.scalars(select(DeviceLease).where(DeviceLease.released_at.is_(None))).all()
    assert [(lease.group_no, lease.holder) for lease in open_leases] == [(2, scene.seats[2].terminal)]
    assert open_leases[0].max_linear == 0.2, "the profile's cap for primary pupils"
    service.pass_wheel(scene.actor, lesson, 2, scene.pupils[3].id)
    assert open_leases[0].holder == scene.seats[3].terminal
    with pytest.raises(Refused, match="not-at-terminal"):
        service.pass_wheel(scene.actor, lesson, 2, scene.pupils[5].id)
    state = service.console_state(lesson)
    assert {group["number"]: group["device"] for group in state["groups"]} == {1: None, 2: str(robots[0].id)}


def test_taking_one_robot_back_leaves_the_others_driving(scene: Scene) -> None:
    lesson = scene.open()
    one, two, three = add_robots(scene, 3)
    for number in range(4):
        with write():
            service.seat_pupil(account_of(scene.pupils[number]), scene.seats[number], lesson)
    service.make_groups(scene.actor, lesson, 2)

    def said(since: int) -> list[tuple[str, bool]]:
        """Lease topics published since then: device, and whether a lease was given."""
        query = select(OutboxMessage).where(OutboxMessage.seq > since, OutboxMessage.topic.contains("/lease/")).order_by(OutboxMessage.seq)
        return [(row.topic.rsplit("/", 1)[1], bool(row.payload)) for row in db.session.scalars(query)]

    def newest() -> int:
        return db.session.scalar(select(func.max(OutboxMessage.seq))) or 0

    service.assign_robot(scene.actor, lesson, 1, one)
    service.assign_robot(scene.actor, lesson, 2, two)
    before = newest()
    service.assign_robot(scene.actor, lesson, 1, None)
    assert said(before) == [(one.homie_id, False)]
    assert [(lease.group_no, lease.device_id) for lease in labs.open_leases(lesson.id)] == [(2, two.id)]
    before = newest()
    service.assign_robot(scene.actor, lesson, 1, None)  # it has none any more
    assert said(before) == []
    service.assign_robot(scene.actor, lesson, 2, three)  # another robot for a group that has one
    assert said(before) == [(two.homie_id, False), (three.homie_id, True)]
    assert [(lease.group_no, lease.device_id) for lease in labs.open_leases(lesson.id)] == [(2, three.id)]


def test_console_state_names_every_pupil_once(scene: Scene, fixed_clock: FixedClock) -> None:
    lesson = scene.open()
    with write():
        service.seat_pupil(account_of(scene.pupils[0]), scene.seats[0], lesson)
    state = service.console_state(lesson)
    assert [pupil["name"] for pupil in state["pupils"]] == [pupil.name for pupil in scene.pupils]
    assert state["pupils"][0]["state"] == "here"
    assert state["counts"] == {
        "roster": 6, "present": 1, "leave": 0, "absent": 5, "late": 0, "online": 1, "done": 0, "help": 0, "offline": 0, "locked": 0,
    }  # fmt: skip
    fixed_clock.at += timedelta(seconds=20)
    assert service.console_state(lesson)["pupils"][0]["state"] == "offline"


def test_moment_of_record_is_the_lessons_own_day(scene: Scene, fixed_clock: FixedClock) -> None:
    fixed_clock.at = datetime.fromisoformat("2026-11-23T17:30:00+00:00")  # 24 November, 01:30 in Shanghai
    lesson = scene.open()
    service.end_lesson(scene.actor, lesson)
    service.close(lesson.id)
    assert str(db.session.scalar(select(UsageRecord.lesson_on))) == "2026-11-24"
