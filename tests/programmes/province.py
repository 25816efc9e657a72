"""A made-up province for the self-check: five areas of five to nine schools, as rows written at once; who they are stands in ``AREAS``.

A school's classes are written as ``{grade: classes}``; ``slots`` says which of them the timetable has for 人工智能 and how often.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.models import Account, Organisation, RoleGrant
from lms.core.stages import CLASS_HOUR_MINUTES, entry_year_of, stage_of_grade
from lms.programmes import service
from lms.programmes.models import Application, ApplicationStep
from lms.programmes.notices import frozen, pack_named
from lms.register.models import Activity, Attendance
from lms.roster.models import (
    Enrollment,
    InventoryItem,
    Period,
    Person,
    Room,
    School,
    SchoolClass,
    SchoolStage,
    Seat,
    Term,
    TimetableSlot,
)
from lms.roster.school import apply_national_days

DAY = date(2026, 11, 24)
TUESDAY, WEDNESDAY, FRIDAY = 1, 2, 4


@dataclass(frozen=True)
class S:
    """A school. ``slots``: weekly (Tuesdays) | odd | even (weeks, Wednesdays) | fridays (even weeks), of ``taught`` classes a grade (None: all), only in ``stages_taught``.

    ``stages``: those that take part; ``idle``: declared but not taking part. ``status``: of its application. ``trained``: teachers with an
    activity in the last year. ``lab``: quantities of all_in_one, teacher_terminal, student_terminal, furniture.
    """

    name: str
    kind: str
    stages: tuple[str, ...]
    classes: dict[int, int]
    teachers: tuple[tuple[str, str], ...]
    slots: str = "weekly"
    taught: int | None = None
    stages_taught: tuple[str, ...] | None = None
    code: str = ""
    configuration: int = 2
    system: str = "6-3"
    term: bool = True
    idle: tuple[str, ...] = ()
    status: str = "at-city"
    trained: tuple[str, ...] | None = None
    lab: tuple[int, int, int, int] | None = None
    holidays: bool = False


@dataclass(frozen=True)
class A:
    """An area with its schools; ``team``: (stage, role, name, unit, title); ``research``: 教研 activities that it registered."""

    name: str
    level: str
    schools: tuple[S, ...]
    team: tuple[tuple[str, str, str, str, str], ...]
    research: int = 0


@dataclass
class Province:
    """What was built: applications by name of area or school and notice."""

    areas: dict[str, Application] = field(default_factory=dict)
    schools: dict[str, Application] = field(default_factory=dict)
    others: dict[tuple[str, str], Application] = field(default_factory=dict)


P, J, H = "primary", "junior", "senior"
TWO = {5: 2, 6: 2}  # grades 5 and 6 with two classes each
MIDDLE = {7: 2, 8: 2}
HIGH = {10: 2, 11: 2}


def member(stage: str, number: int, name: str, unit: str, title: str = "一级教师") -> tuple[str, str, str, str, str]:
    return stage, f"成员{number}", name, unit, title


def lead(stage: str, name: str, title: str, unit: str = "教研室") -> tuple[str, str, str, str, str]:
    return stage, "牵头人", name, unit, title


def build(areas: Iterable[A], others: Iterable[tuple[str, str]] = ()) -> Province:
    """The province in the database; ``others``: (school, notice) of further applications."""
    made = Province()
    nation = _organisation("nation", "全国", None)
    province = _organisation("province", "甲省", nation)
    city = _organisation("city", "乙市", province)
    wanted: dict[str, list[str]] = {}
    for name, slug in others:
        wanted.setdefault(name, []).append(slug)
    for number, area in enumerate(areas, 1):
        office = _organisation(area.level, area.name, province if area.level == "city" else city)
        officer = _officer(office)
        for place, one in enumerate(area.schools, 1):
            school = _school(one, office, f"36{number:02d}{place:06d}")
            found = made.schools[one.name] = _application(school, "ncet-pilot", one.stages, one.status)
            if one.status != "draft":
                _listed(found, office)
            for slug in wanted.get(one.name, ()):
                made.others[one.name, slug] = _application(school, slug, one.stages, "draft")
        found = made.areas[area.name] = service.begin(officer, "ncet-pilot", "area", "2026")
        columns = ("stage", "role", "name", "unit", "title")
        rows = [dict(zip(columns, row, strict=True)) for row in area.team]
        if rows:
            service.save_part(officer, found.id, "area-statement.teams", rows, 0)
        with write():
            for day in range(1, area.research + 1):
                db.session.add(_activity(office.id, "跨校教研", date(2026, 10, day), others=30))
    return made


def _organisation(level: str, name: str, above: Organisation | None, code: str = "") -> Organisation:
    with write():
        made = Organisation(
            id=new_id(), parent_id=above.id if above else None, level=level, name=name, code=code, path=""
        )
        made.path = f"{above.path if above else ''}{made.id.hex}/"
        db.session.add(made)
        db.session.flush()
    return made


def _officer(office: Organisation) -> Account:
    with write():
        made = Account(
            id=new_id(), organisation_id=office.id, kind="staff", username=f"o-{uuid.uuid4().hex[:8]}", display_name=f"{office.name}经办人"
        )  # fmt: skip
        db.session.add(made)
        db.session.flush()
        db.session.add(RoleGrant(account_id=made.id, role="officer", organisation_id=office.id))
    return made


def _application(school: Organisation, slug: str, stages: tuple[str, ...], status: str) -> Application:
    with write():
        pack = pack_named(school.id, slug)
        made = Application(
            id=new_id(), school_id=school.id, notice_id=frozen(pack).id, slug=slug, kind="school", batch="2026",
            stages=list(stages), status=pack.status(status) if status in ("draft", "withdrawn", "returned") else status,
            submitted_at=None if status == "draft" else clock.now(),
        )  # fmt: skip
        db.session.add(made)
    return made


def _listed(found: Application, office: Organisation) -> None:
    """The area's office took the school in (列入试点区)."""
    with write():
        db.session.add(
            ApplicationStep(
                id=new_id(), school_id=found.school_id, application_id=found.id, number=2, action="recommend", from_status="at-county",
                to_status=found.status, by_office_id=office.id,
            )
        )  # fmt: skip


def _activity(school_id: uuid.UUID, category: str, day: date, others: int = 0) -> Activity:
    return Activity(
        id=new_id(), school_id=school_id, kind="research", category=category, held_on=day, topic="集体备课", hours=2.0, others=others
    )  # fmt: skip


def _school(one: S, office: Organisation, code: str) -> Organisation:
    own = _organisation("school", one.name, office, one.code or code)
    with write() as session:
        session.add(School(id=own.id, school_type=one.kind, system=one.system))
        session.flush()
        for stage in (*one.stages, *one.idle):
            session.add(
                SchoolStage(
                    school_id=own.id, stage=stage, class_hour_minutes=CLASS_HOUR_MINUTES[stage], solution_config=one.configuration,
                    participates=stage not in one.idle,
                )
            )  # fmt: skip
        teachers = [Person(id=new_id(), school_id=own.id, kind="staff", name=name, title=title) for name, title in one.teachers]
        session.add_all(teachers)
        session.flush()
        room = _lab(own.id, one.lab) if one.lab is not None else None
        if one.term:
            _term(one, own.id, teachers, room)
        for person in teachers:
            if person.name in (one.trained or ()):
                _attended(own.id, person)
    if one.holidays:
        apply_national_days(own.id, date(2026, 9, 1), date(2027, 1, 22))
    return own


def _attended(school_id: uuid.UUID, person: Person) -> None:
    activity = _activity(school_id, "校本教研", date(2026, 10, 20))
    db.session.add(activity)
    db.session.flush()
    db.session.add(Attendance(id=new_id(), school_id=school_id, activity_id=activity.id, person_id=person.id))


def _term(one: S, school_id: uuid.UUID, teachers: list[Person], room: uuid.UUID | None) -> None:
    session = db.session
    term = Term(id=new_id(), school_id=school_id, school_year=2026, ordinal=1, starts_on=date(2026, 9, 1), ends_on=date(2027, 1, 22))  # fmt: skip
    session.add(term)
    periods: dict[tuple[str, int], Period] = {}
    for stage in {stage_of_grade(grade, one.system) for grade in one.classes}:
        for ordinal in range(1, 9):
            hour, minute = divmod(8 * 60 + 55 * (ordinal - 1), 60)
            end = divmod(8 * 60 + 55 * (ordinal - 1) + CLASS_HOUR_MINUTES[stage], 60)
            periods[stage, ordinal] = Period(
                id=new_id(), school_id=school_id, stage=stage, ordinal=ordinal, starts_at=time(hour, minute), ends_at=time(*end)
            )  # fmt: skip
    cohorts = [
        (SchoolClass(
            id=new_id(), school_id=school_id, stage=stage_of_grade(grade, one.system), entry_year=entry_year_of(stage_of_grade(grade, one.system), grade, DAY, one.system),
            number=number, formed_on=date(2026, 9, 1),
        ), number)
        for grade, count in one.classes.items()
        for number in range(1, count + 1)
    ]  # fmt: skip
    session.add_all([*periods.values(), *(cohort for cohort, _number in cohorts)])
    session.flush()
    weeks: dict[str, Any] = {"weekly": ("all", TUESDAY), "odd": ("odd", WEDNESDAY), "even": ("even", WEDNESDAY), "fridays": ("even", FRIDAY)}
    for place, (cohort, number) in enumerate(cohorts):
        if one.slots == "none" or (one.taught is not None and number > one.taught):
            continue
        if one.stages_taught is not None and cohort.stage not in one.stages_taught:
            continue
        every, weekday = weeks[one.slots]
        session.add(
            TimetableSlot(
                school_id=school_id, term_id=term.id, class_id=cohort.id, teacher_id=teachers[place % len(teachers)].id,
                period_id=periods[cohort.stage, place % 8 + 1].id, weekday=weekday, room_id=room, subject="人工智能", weeks=every,
            )
        )  # fmt: skip
    if one.lab is not None:  # the largest class has two pupils
        pupils = [Person(id=new_id(), school_id=school_id, kind="student", name=f"学生{number}") for number in (1, 2)]
        session.add_all(pupils)
        session.flush()
        session.add_all(
            Enrollment(school_id=school_id, person_id=one.id, class_id=cohorts[0][0].id, starts_on=date(2026, 9, 1))
            for one in pupils
        )


def _lab(school_id: uuid.UUID, quantities: tuple[int, int, int, int]) -> uuid.UUID:
    room = Room(id=new_id(), school_id=school_id, code="lab1", name="人工智能实验室", kind="lab", rows=1, columns=2)
    db.session.add(room)
    db.session.flush()
    for number in (1, 2):
        db.session.add(
            Seat(school_id=school_id, room_id=room.id, label=f"0{number}", row=0, column=number - 1, terminal=f"t-{number}")
        )
    names = ("all_in_one", "teacher_terminal", "student_terminal", "furniture")
    for category, quantity in zip(names, quantities, strict=True):
        if quantity:
            db.session.add(
                InventoryItem(school_id=school_id, room_id=room.id, category=category, name=category, quantity=quantity, software="智课")
            )  # fmt: skip
    return room.id
