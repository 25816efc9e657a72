"""The demo school itself (演示学校): founded, filled from a messy Excel roster, with courses, lab, timetable and earlier weeks."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from flask import current_app

from lms.core import clock
from lms.core.db import db, write
from lms.core.resources import bundled
from lms.core.stages import entry_year_of, school_year, stage_of_grade
from lms.courses import service as courses
from lms.courses.models import PackageVersion
from lms.demo import lab
from lms.demo.history import before_term, past_lessons, record_past
from lms.demo.places import ABOVE_DEMO
from lms.demo.plan import DemoCalendar, demo_bells, demo_calendar, demo_zone
from lms.demo.training import fill_register
from lms.roster import rules as roster_rules
from lms.roster import service as roster
from lms.roster.intake.service import import_file
from lms.roster.models import Period, Person, Room, School, SchoolClass, Term, TimetableSlot
from lms.roster.people import new_password
from lms.roster.samples import sample_workbook
from lms.roster.timetable import WeekSlot, clash, remove_slot, week_slots
from lms.usage import service as usage

NAME = "示范实验学校（演示）"
CODE = "0000000000"
COURSE = "demo-ncet"
GRADES = (5, 5, 6, 6, 7, 7, 8, 8, 10, 10, 11, 11)
VOLUMES = {"primary": ("五上", "五下"), "junior": ("七上",), "senior": ("高一",)}
CONFIGURATION = {"primary": 3, "junior": 2, "senior": 1}
SEATS = 48
TEACHER, ADMIN = "teacher", "admin"


@dataclass(frozen=True)
class DemoSchool:
    """What the rest of the demo needs of its school; ``steps`` of the lesson that is taught."""

    school_id: uuid.UUID
    class_id: uuid.UUID
    room_id: uuid.UUID
    teacher_id: uuid.UUID
    package_id: uuid.UUID
    lesson_slug: str
    unit: str
    steps: int
    calendar: DemoCalendar
    zone: str
    teacher_login: str
    admin_login: str
    password: str


def make_school(extra_minutes: int, say: Callable[[str], None]) -> DemoSchool:
    """Make the school in an empty database; raises what the services raise."""
    zone = demo_zone(clock.now())
    now = clock.now().astimezone(ZoneInfo(zone))
    plan = demo_calendar(now.date())
    say(f"正在建立{NAME} …")
    school = roster.create_school(
        None, NAME, "十二年一贯制", code=CODE, above=ABOVE_DEMO, zone=zone
    )
    usage.set_course(None, school.id, COURSE)
    for stage, configuration in CONFIGURATION.items():
        roster.add_stage(None, school.id, stage, solution_config=configuration, admitted_on=plan.starts_on)
    with before_term(plan, zone):
        term = roster.add_term(None, school.id, school_year(plan.today), 1 if plan.today.month >= 8 or plan.today.month == 1 else 2, plan.starts_on, plan.ends_on)
        roster.set_day(None, school.id, plan.today, is_school=True, follows=plan.make_up, reason="演示上课日")
    _set_bells(school, now, extra_minutes)
    room = make_lab(school.id)
    classes = _classes(school, plan)
    with before_term(plan, zone):
        _import(school, say)
    password = new_password()
    admin = roster.create_staff(None, school.id, "教务主任", username=ADMIN, roles=("school_admin",), password=password)
    teacher = roster.create_staff(None, school.id, "王老师", username=TEACHER, roles=("teacher",), password=password)
    for cohort in classes[:4]:
        roster.assign(None, teacher, cohort, "人工智能")
    for cohort in classes:
        roster.pin_cards(admin.account, cohort.id, only_missing=True)
    assert admin.account is not None
    fill_register(admin.account, teacher.name)
    say("正在安装课程包 …")
    packages = _install(school, classes)
    units = {stage: [f"{COURSE}:{unit.code}" for unit in courses.units(school.id, COURSE) if unit.volume in volumes] for stage, volumes in VOLUMES.items()}
    with before_term(plan, zone):
        _slot_now(school, term, classes[0], teacher, room, plan, now)
    calendar = roster.school_calendar(school.id, term)
    past = past_lessons(plan, calendar, GRADES)
    for count in record_past(school, past, classes, teacher, room, units):
        if count in (1, len(past)):
            say(f"正在补记前 9 周的示范课 {count}/{len(past)} …")
    package = packages["primary"]
    slug = package.manifest["lessons"][0]["id"]
    steps = courses.steps_of(courses.lesson_of(package.id, slug), CONFIGURATION["primary"])
    return DemoSchool(
        school.id, classes[0].id, room.id, teacher.id, package.id, slug, units["primary"][5], len(steps), plan, zone, TEACHER, ADMIN, password
    )


def _set_bells(school: School, now: datetime, extra_minutes: int) -> None:
    """One bell for the whole school, which shares its lab and teachers; it rings so that a lesson is on now."""
    bells, _running = demo_bells(now, 45, extra_minutes=extra_minutes)
    with write():
        for stage in CONFIGURATION:
            for period in roster.periods_of(school.id, stage):
                db.session.delete(period)
            db.session.flush()
            db.session.add_all(
                Period(school_id=school.id, stage=stage, ordinal=bell.ordinal, starts_at=bell.starts_at, ends_at=bell.ends_at) for bell in bells
            )


def make_lab(school_id: uuid.UUID, code: str = lab.ROOM) -> Room:
    """The laboratory of a school, with its seats and the inventory that notices ask for (HN-19, HA-09)."""
    room = roster.create_room(None, school_id, code, "人工智能实验室", rows=6, columns=8, seats=SEATS)
    for category, name, quantity, software in (
        ("all_in_one", "86 寸教学一体机", 1, ""),
        ("teacher_terminal", "教师电脑", 1, "智课教师端"),
        ("student_terminal", "学生电脑", SEATS, "浏览器"),
        ("robot", "教学机器人", len(lab.robots()), ""),
        ("camera", "实验摄像头", 1, ""),
        ("furniture", "可拼接课桌", 24, ""),
    ):
        roster.set_item(None, room, category, name, quantity, software=software)
    return room


def _classes(school: School, plan: DemoCalendar) -> list[SchoolClass]:
    made = []
    for index, grade in enumerate(GRADES):
        stage = stage_of_grade(grade)
        cohort = roster_rules.Cohort(stage, entry_year_of(stage, grade, plan.today), index % 2 + 1)
        made.append(roster.create_class(None, school.id, cohort, formed_on=plan.starts_on))
    return made


def _import(school: School, say: Callable[[str], None]) -> None:
    """The messy workbook goes through the same import as a school's own, people first."""
    today = clock.local_date(clock.now(), school.zone)
    book = sample_workbook(on=today, school=NAME)
    (Path(current_app.config["ZHIKE"].data_dir) / "示范花名册.xlsx").write_bytes(book)
    for kind, words in (("pupils", "学生名单"), ("staff", "教师名单"), ("slots", "课表")):
        done = import_file(None, school.id, kind, book, "示范花名册.xlsx")
        say(f"已导入{words}：{done.new} 条")


def _install(school: School, classes: list[SchoolClass]) -> dict[str, PackageVersion]:
    found = {row.stage: row for row in courses.install_bundled(school.id, bundled("courses")) if row.kind == "package"}
    for cohort in classes:
        courses.pin(None, cohort.id, found[cohort.stage].id)
    return found


def _slot_now(school: School, term: Term, cohort: SchoolClass, teacher: Person, room: Room, plan: DemoCalendar, now: datetime) -> None:
    """Put the class into the lab now, in place of what the imported timetable has there."""
    at = now.time()
    period = next(one for one in roster.periods_of(school.id, "primary") if one.starts_at <= at < one.ends_at)
    wanted = WeekSlot(uuid.uuid4(), cohort.id, teacher.id, room.id, plan.weekday, "all", period.ordinal, period.starts_at, period.ends_at)
    for other in week_slots(school.id, term.id):
        if clash(wanted, other):
            remove_slot(None, db.session.get_one(TimetableSlot, other.id))
    roster.set_slot(None, term, cohort, teacher, weekday=plan.weekday, ordinal=period.ordinal, subject="信息科技", room=room)
