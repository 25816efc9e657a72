"""A school ready for a lesson: class, pupils, teacher, lab, package, timetable."""

from __future__ import annotations

import contextvars
import uuid
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from lms.core.db import db, new_id, write
from lms.core.models import Account
from lms.courses import service as courses
from lms.courses.models import PackageVersion
from lms.labs.models import Device
from lms.roster import service as roster
from lms.roster.models import Period, Person, Room, School, SchoolClass, Seat, Term, TimetableSlot
from lms.teaching import service
from lms.teaching.models import LessonSession
from tests.factories import PIN, make_class, make_pupils, make_room, make_school, make_teacher, token

PACKAGE = Path(__file__).parents[2] / "courses" / "p5-senses"


@dataclass
class Scene:
    """What a test needs of a school."""

    school: School
    cohort: SchoolClass
    pupils: list[Person]
    teacher: Person
    room: Room
    seats: list[Seat]
    package: PackageVersion
    others: dict[str, Any] = field(default_factory=dict)

    @property
    def actor(self) -> Account:
        """The teacher's account."""
        return account_of(self.teacher)

    def open(self, **wishes: Any) -> LessonSession:
        """Open the first lesson of the package for the class in the lab."""
        return service.open_lesson(self.actor, self.cohort.id, self.room.id, self.package.id, "01-see", **wishes)

    def slot(self, ordinal: int, cohort: SchoolClass | None = None, teacher: Person | None = None, room: Room | None = None) -> TimetableSlot:
        """A weekly slot on Tuesdays (the fixed clock's day)."""
        cohort = cohort or self.cohort
        with write():
            period = db.session.scalar(
                select(Period).where(Period.school_id == self.school.id, Period.stage == cohort.stage, Period.ordinal == ordinal)
            )
            term = db.session.scalar(select(Term).where(Term.school_id == self.school.id))
            assert period is not None
            assert term is not None
            slot = TimetableSlot(
                id=new_id(),
                school_id=self.school.id,
                term_id=term.id,
                class_id=cohort.id,
                teacher_id=(teacher or self.teacher).id,
                room_id=(room or self.room).id,
                period_id=period.id,
                weekday=1,
                subject="人工智能",
            )
            db.session.add(slot)
        return slot

    def day_slot(self, slot: TimetableSlot) -> roster.DaySlot:
        """The slot as it falls on the fixed clock's day."""
        day = roster.today_of(self.school)
        return next(one for one in roster.slots_on(self.school.id, day) if one.slot_id == slot.id)


def account_of(person: Person) -> Account:
    """The person's account."""
    account = db.session.get(Account, person.account_id)
    assert account is not None
    return account


class Browser(FlaskClient):
    """A test client whose requests share nothing with the test's open app context, as in life; the test then reads anew."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Send one request."""
        db.session.rollback()
        answer = contextvars.Context().run(super().open, *args, **kwargs)
        db.session.rollback()
        return answer


def browser(app: Flask) -> FlaskClient:
    """A browser of its own."""
    return Browser(app, app.response_class, use_cookies=True)


def make_scene(pupils: int = 6, seats: int = 6) -> Scene:
    """A primary school with class 五年级1班, its teacher and a lab of ``seats`` seats."""
    school = make_school()
    cohort = make_class(school)
    people = make_pupils(school, cohort, pupils)
    teacher = make_teacher(school, cohort)
    room, places = make_room(school, seats=seats)
    return Scene(school, cohort, people, teacher, room, places, courses.install_folder(None, school.id, PACKAGE))


def set_period(school: School, ordinal: int, starts: time, ends: time) -> None:
    """Move a period of the primary stage."""
    with write():
        period = db.session.scalar(select(Period).where(Period.school_id == school.id, Period.stage == "primary", Period.ordinal == ordinal))
        assert period is not None
        period.starts_at, period.ends_at = starts, ends


def add_robots(scene: Scene, count: int = 2) -> list[Device]:
    """Robots of the lab."""
    with write():
        devices = [
            Device(
                id=new_id(),
                school_id=scene.school.id,
                homie_id=f"mbot-{number}",
                room_id=scene.room.id,
                kind="robot",
                title="小车",
                sticker=f"{number:02d}",
                state="ready",
                values={},
            )
            for number in range(1, count + 1)
        ]
        db.session.add_all(devices)
    return devices


def seat_client(app: Flask, scene: Scene, seat: Seat) -> FlaskClient:
    """A browser enrolled at a seat through the door that computers use."""
    code = roster.issue_enrol_code(scene.actor, seat)
    client = browser(app)
    made = client.post("/seat/enrol", data={"code": code, "csrf_token": token(client, "/seat")})
    assert made.status_code == 302, made.text
    return client


def door(client: FlaskClient) -> dict[str, Any]:
    """The door's JSON."""
    answer = client.get("/seat", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def come_in(client: FlaskClient, person_id: uuid.UUID, pin: str = PIN, csrf: str = "") -> Any:
    """A pupil signs in at this browser's seat, as a script."""
    csrf = csrf or door(client)["csrf_token"]
    return client.post(
        "/seat/sign-in", json={"person": str(person_id), "pin": pin}, headers={"X-CSRFToken": csrf, "Accept": "application/json"}
    )


def send(client: FlaskClient, csrf: str, lesson: LessonSession, path: str, **body: Any) -> Any:
    """The console's script calls the server."""
    return client.post(f"/api/lessons/{lesson.id}/{path}", json=body, headers={"X-CSRFToken": csrf})
