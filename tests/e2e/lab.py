"""A whole school on this machine for a real browser: instance, HTTPS name, class of three, lab with two simulated robots."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml
from flask import Flask

from lms.config import Settings
from lms.core import clock
from lms.core.db import db, write
from lms.core.stages import entry_year_of, school_year
from lms.courses import service as courses
from lms.demo import lab as demo_lab
from lms.demo.plan import demo_bells, demo_calendar, demo_zone
from lms.instance import Instance
from lms.roster import rules
from lms.roster import service as roster
from lms.roster.models import Period, Person, School
from lms.usage import service as usage
from tests.ports import free_ports

HOST = "lab.school.test"
COURSES = Path(__file__).parents[2] / "courses"
COURSE = Path(__file__).with_name("course")
PASSWORD = "correct-horse-7"
NAMES = ("丁小雨", "何晓峰", "白若云")
ROBOTS = (("mbot-1", "makeblock-mbot", "sim://pty"), ("car-1", "zhike-mqtt-car", "mqtt:"))


@dataclass(frozen=True)
class Seated:
    """A pupil-to-be: id, name, PIN, and the enrolment code of the computer at the seat."""

    person_id: uuid.UUID
    name: str
    pin: str
    code: str


@dataclass(frozen=True)
class Lab:
    """A running school."""

    instance: Instance
    app: Flask
    school_id: uuid.UUID
    class_id: uuid.UUID
    pupils: tuple[Seated, ...]

    @property
    def url(self) -> str:
        """Where the school's computers open it."""
        return f"https://{HOST}:{self.instance.settings.https_port}"

    @property
    def run_dir(self) -> Path:
        """Pids, logs, the robots' motor logs."""
        return self.instance.settings.run


def settings_of(folder: Path, broker: str, database_url: str) -> Settings:
    """Settings of a simulated school at HOST on free ports."""
    http, https, mqtt, ws, wss = free_ports(5)
    return Settings(
        data_dir=folder / "data",
        run_dir=folder,
        database_url=database_url,
        host_name=HOST,
        listen="127.0.0.1",
        http_port=http,
        https_port=https,
        broker=broker,
        mqtt_port=mqtt,
        mqtt_ws_port=ws,
        mqtt_wss_port=wss,
        origin="simulated",
    )


def open_lab(instance: Instance) -> Lab:
    """Found the school and start every process, robots included."""
    app = instance.prepare()
    with app.app_context():
        school_id, class_id, pupils = _found_school()
        db.session.remove()
    instance.start()
    instance.start_bridge()
    _start_robots(instance, app)
    return Lab(instance, app, school_id, class_id, pupils)


def _found_school() -> tuple[uuid.UUID, uuid.UUID, tuple[Seated, ...]]:
    zone = demo_zone(clock.now())
    now = clock.now().astimezone(ZoneInfo(zone))
    plan = demo_calendar(now.date())
    school = roster.create_school(None, "湖畔小学", "小学", code="3100000001", above=(("county", "示范区"),), zone=zone)
    usage.set_course(None, school.id, "demo-ncet")
    roster.add_stage(None, school.id, "primary", solution_config=3, admitted_on=plan.starts_on)
    ordinal = 1 if plan.today.month >= 8 or plan.today.month == 1 else 2
    term = roster.add_term(None, school.id, school_year(plan.today), ordinal, plan.starts_on, plan.ends_on)
    roster.set_day(None, school.id, plan.today, is_school=True, follows=plan.make_up, reason="补课")
    cohort = roster.create_class(None, school.id, rules.Cohort("primary", entry_year_of("primary", 5, plan.today), 1), formed_on=plan.starts_on)
    room = roster.create_room(None, school.id, demo_lab.ROOM, "人工智能实验室", rows=2, columns=3)
    people = [roster.add_pupil(None, cohort, name, student_no=f"202601{roll:02d}", roll_no=roll) for roll, name in enumerate(NAMES, 1)]
    roster.create_staff(None, school.id, "教务主任", username="admin", roles=("school_admin",), password=PASSWORD)
    teacher = roster.create_staff(None, school.id, "王老师", username="teacher", roles=("teacher",), password=PASSWORD)
    roster.assign(None, teacher, cohort, "人工智能")
    courses.install_folder(None, school.id, COURSES / "demo-catalogue")
    courses.pin(None, cohort.id, courses.install_folder(None, school.id, COURSE).id)
    bell = _ring(school)
    roster.set_slot(None, term, cohort, teacher, weekday=plan.weekday, ordinal=bell, subject="人工智能", room=room)
    return school.id, cohort.id, _seats(people, cohort.id, room.id, teacher)


def _ring(school: School) -> int:
    """Bells by which a lesson is on now; its number."""
    now = clock.now().astimezone(ZoneInfo(school.zone))
    bells, running = demo_bells(now, 40)
    with write():
        for period in roster.periods_of(school.id, "primary"):
            db.session.delete(period)
        db.session.flush()
        db.session.add_all(
            Period(school_id=school.id, stage="primary", ordinal=bell.ordinal, starts_at=bell.starts_at, ends_at=bell.ends_at) for bell in bells
        )
    return running.ordinal


def _seats(people: list[Person], class_id: uuid.UUID, room_id: uuid.UUID, teacher: Person) -> tuple[Seated, ...]:
    assert teacher.account is not None
    codes = list(roster.issue_enrol_codes(teacher.account, roster.seats_of(room_id)[: len(people)]).values())
    pins = {card.person_id: card.pin for card in roster.pin_cards(teacher.account, class_id)}
    return tuple(Seated(person.id, person.name, pins[person.id], code) for person, code in zip(people, codes, strict=True))


def _start_robots(instance: Instance, app: Flask) -> None:
    devices = [{"id": name, "profile": profile, "sticker": f"{number:02d}", "url": url, "simulate": {"seed": number}} for number, (name, profile, url) in enumerate(ROBOTS, 1)]
    lab = instance.settings.run / "lab.yaml"
    lab.write_text(yaml.safe_dump({"name": "gw-e2e", "room": demo_lab.ROOM, "devices": devices}, allow_unicode=True), "utf-8")
    instance.start_lab(app, lab, simulate=True)
