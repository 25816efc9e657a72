"""Run the demo (运行演示): make the school, start everything, keep a class in a lesson; or one lesson to its end with a report."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select

from lms.activities.models import Attempt
from lms.core import clock
from lms.core.db import db, write
from lms.demo import lab
from lms.demo.province import Province, make_province
from lms.demo.pupils import Pupil, Tally, Terminal
from lms.demo.school import CODE, DemoSchool, make_school
from lms.demo.teacher import Teacher
from lms.instance import Instance
from lms.labs import service as labs
from lms.roster import service as roster
from lms.roster.models import Person
from lms.teaching import service as teaching
from lms.teaching.access import note_event
from lms.teaching.models import LessonSession, RegisterEntry
from lms.usage import service as usage
from lms.usage.models import EvidenceEvent, UsageRecord

RULES = ("fortnightly", "twice_a_month")
GROUP_SIZE = 5
SEATED_S = 90.0
STEP_S = 60.0
STOP_S = 8.0
HOST = "127.0.0.1"


@dataclass
class Demo:
    """A running demo: its instance, school, lesson, pupils."""

    instance: Instance
    app: Flask
    school: DemoSchool
    lesson_id: uuid.UUID
    terminals: list[Terminal]
    tally: Tally
    stopping: threading.Event
    began: float
    province: Province | None


def start(
    instance: Instance, pupils: int, extra_minutes: int, say: Callable[[str], None], *, devices: bool = True, province: bool = False
) -> Demo:
    """Make the demo school, start every process, open the lesson and seat the simulated pupils.

    ``devices``: robots and camera too; ``province``: the offices above it and their other schools too.
    """
    began = time.monotonic()
    app = instance.prepare()
    with app.app_context():
        school = make_school(extra_minutes, say)
        around = make_province(school.password, say, school.zone) if province else None
        db.session.remove()
    say("正在启动：消息服务器、网页、后台任务、桥 …")
    instance.start()
    instance.start_bridge(CODE)
    if devices:
        _start_devices(instance, app, say)
    with app.app_context():
        lesson_id, seated = _open(school, pupils)
        db.session.remove()
    demo = Demo(instance, app, school, lesson_id, [], Tally(), threading.Event(), began, around)
    settings = instance.settings
    demo.terminals = [Terminal(one, HOST, settings.http_port, settings.mqtt_ws_port, demo.tally, demo.stopping) for one in seated]
    say(f"{len(seated)} 个模拟学生正在走到座位上 …")
    for terminal in demo.terminals:
        terminal.start()
    return demo


def has_vision() -> bool:
    """Whether the vision extra is installed."""
    return all(importlib.util.find_spec(name) for name in ("cv2", "mediapipe"))


def _start_devices(instance: Instance, app: Flask, say: Callable[[str], None]) -> None:
    path = lab.write_lab(instance.settings.run / "lab", camera=has_vision())
    say(f"正在启动模拟设备：{len(lab.robots())} 台机器人{'、1 个摄像头' if has_vision() else '（未安装视觉组件，没有摄像头）'} …")
    instance.start_lab(app, path, CODE, simulate=True)


def _open(school: DemoSchool, pupils: int) -> tuple[uuid.UUID, list[Pupil]]:
    """Open today's lesson with the clock at its bell (it has been on for a while), and hand out seats and PINs."""
    teacher = db.session.get_one(Person, school.teacher_id)
    assert teacher.account is not None
    slots = roster.slots_on(school.school_id, school.calendar.today, class_id=school.class_id)
    slot = next(slot for slot in slots if slot.starts <= clock.now() < slot.ends)
    before = clock.get_clock()
    clock.set_clock(clock.FixedClock(slot.starts))
    try:
        lesson = teaching.open_lesson(
            teacher.account, school.class_id, school.room_id, school.package_id, school.lesson_slug, slot=slot, units=[school.unit], subject="信息科技"
        )
    finally:
        clock.set_clock(before)
    with write():
        note_event(lesson, "step", teacher.account, clock.now(), step=0)  # the step's own clock begins now
    seats = roster.seats_of(school.room_id)
    codes = roster.issue_enrol_codes(teacher.account, seats[:pupils])
    pins = {card.person_id: card.pin for card in roster.pin_cards(teacher.account, school.class_id)}
    people = roster.roster_of(school.class_id, school.calendar.today)[:pupils]
    seated = [
        Pupil(str(person.person_id), pins[person.person_id], codes[seat.id], number)
        for number, (person, seat) in enumerate(zip(people, seats, strict=False), 1)
    ]
    return lesson.id, seated


def run_once(demo: Demo, minutes: float, say: Callable[[str], None]) -> None:
    """Teach the lesson to its end as its teacher would: groups, robots, every step; then the record is written."""
    settings = demo.instance.settings
    teacher = Teacher(HOST, settings.http_port, demo.stopping, demo.school.teacher_login, demo.school.password)
    teacher.take(demo.lesson_id)
    _until(lambda: len(demo.tally.signed_in) >= len(demo.terminals) or demo.tally.errors, SEATED_S)
    say(f"{len(demo.tally.signed_in)} 个学生已入座")
    with demo.app.app_context():
        _until(lambda: _devices_ready(demo), STEP_S)
    teacher.group(GROUP_SIZE)
    steps = demo.school.steps
    pause_s = minutes * 60 / steps
    for step in range(steps):
        began = time.monotonic()
        if step:
            teacher.push(step)
        done = _until(partial(_settled, demo, step), STEP_S + pause_s)
        say(f"第 {step + 1}/{steps} 步：{'全班完成' if done else '有人没有完成'}，已交 {len(demo.tally.sent)} 份作品")
        if not done:
            late = [terminal.name for terminal in demo.terminals if demo.tally.settled.get(terminal.pupil.person, -1) < step]
            demo.tally.error(f"step {step}: {', '.join(late)[:200]}")
        demo.stopping.wait(max(0.0, pause_s - (time.monotonic() - began)))
    say("下课：机器人停车，学生退出 …")
    teacher.end()
    with demo.app.app_context():
        _until(lambda: _all_stopped(demo), STOP_S)
        db.session.remove()
    teacher.write_record()
    teacher.close()


def _settled(demo: Demo, step: int) -> bool:
    """Whether every pupil has done what the step asks."""
    return sum(1 for reached in list(demo.tally.settled.values()) if reached >= step) >= len(demo.terminals)


def _devices_ready(demo: Demo) -> bool:
    db.session.rollback()
    devices = {device.homie_id: device.state for device in labs.devices_in(demo.school.room_id)}
    return all(devices.get(name) == "ready" for name in lab.robots())


def _all_stopped(demo: Demo) -> bool:
    db.session.rollback()
    events = labs.stop_events(demo.lesson_id)
    summaries = {row.device_id: row.stop_confirmed for row in labs.lesson_devices(demo.lesson_id)}
    robots = [device for device in labs.devices_in(demo.school.room_id) if device.kind == "robot"]
    return bool(events) and events[-1].reported_at is not None and all(summaries.get(device.id) for device in robots)


def _until(check: Callable[[], object], seconds: float) -> bool:
    """Wait until ``check`` is true, at most so long."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.1)
    return True


def leave(demo: Demo) -> None:
    """Send the pupils home and stop every process."""
    demo.stopping.set()
    for terminal in demo.terminals:
        terminal.join(15)
    demo.instance.stop()


def report(demo: Demo) -> dict[str, Any]:
    """What the lesson left, read from the database after everything has stopped."""
    with demo.app.app_context():
        db.session.rollback()
        lesson = db.session.get_one(LessonSession, demo.lesson_id)
        entries = list(db.session.scalars(select(RegisterEntry).where(RegisterEntry.lesson_id == lesson.id)))
        ids = [uuid.UUID(text) for text in demo.tally.sent]
        saved = set(db.session.scalars(select(Attempt.id).where(Attempt.lesson_id == lesson.id))) & set(ids)
        record = db.session.scalar(select(UsageRecord).where(UsageRecord.lesson_id == lesson.id))
        chain = usage.verify_chain(lesson.school_id)
        errors = list(demo.tally.errors)
        if lesson.state != "closed" or record is None:
            errors.append(f"lesson {lesson.state}, record {'written' if record else 'missing'}")
        devices, frames, faces = _devices(demo)
        return {
            "pupils": len(demo.terminals),
            "present": sum(1 for entry in entries if entry.status in ("terminal", "shared", "hand", "late")),
            "steps_pushed": lesson.steps_pushed,
            "attempts_sent": len(ids),
            "attempts_saved": len(saved),
            "devices": devices,
            "camera_frames": frames,
            "faces_max": faces,
            "usage_record": {"id": str(record.id), "hash": _hash(record)} if record else None,
            "chain_ok": chain.ok,
            "compliance": _compliance(demo),
            "restarts": dict(demo.instance.supervisor.restarts),
            "errors": errors,
            "duration_s": round(time.monotonic() - demo.began, 1),
        }


def _devices(demo: Demo) -> tuple[dict[str, Any], int, int]:
    rows = {row.device_id: row for row in labs.lesson_devices(demo.lesson_id)}
    devices: dict[str, Any] = {}
    frames = faces = 0
    for device in labs.devices_in(demo.school.room_id):
        row = rows.get(device.id)
        if device.kind == "robot":
            devices[device.homie_id] = {"commands": row.commands if row else 0, "stop_confirmed": bool(row and row.stop_confirmed)}
        elif row is not None:
            devices[device.homie_id] = {"commands": row.commands}
            frames, faces = frames + row.frames, max(faces, row.faces_max)
    return devices, frames, faces


def _hash(record: UsageRecord) -> str:
    query = select(EvidenceEvent.hash).where(EvidenceEvent.school_id == record.school_id, EvidenceEvent.seq == record.event_seq)
    return db.session.scalar(query) or ""


def _compliance(demo: Demo) -> dict[str, Any]:
    """Per rule: the school's verdict, and what the class that was taught has counted of what it needs."""
    found = {}
    today = clock.local_date(clock.now(), demo.school.zone)
    for rule in RULES:
        result = usage.evaluate(demo.school.school_id, rule, today)
        mine = result["classes"][str(demo.school.class_id)]
        found[rule] = {"verdict": result["verdict"], "counted": mine["counted"], "required": mine["required"]}
    return found


def lost(found: dict[str, Any]) -> bool:
    """Whether anything of the lesson was lost."""
    robots = [row for row in found["devices"].values() if "stop_confirmed" in row]
    return bool(
        found["errors"]
        or found["present"] != found["pupils"]
        or not found["attempts_sent"]
        or found["attempts_saved"] != found["attempts_sent"]
        or not found["chain_ok"]
        or not found["usage_record"]
        or not robots
        or not all(row["stop_confirmed"] for row in robots)
    )


def write_report(found: dict[str, Any], path: Path) -> None:
    """Write the report as JSON."""
    path.write_text(json.dumps(found, ensure_ascii=False, indent=2), "utf-8")
