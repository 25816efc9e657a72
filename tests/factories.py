"""Small makers of real rows; a test says what it needs and no more."""

from __future__ import annotations

import re
import uuid
from datetime import date, time
from typing import Any

from flask.testing import FlaskClient

from lms.core.auth import hash_password, hash_pin
from lms.core.db import db, new_id, write
from lms.core.models import Account, Organisation, RoleGrant
from lms.core.stages import CLASS_HOUR_MINUTES, entry_year_of
from lms.roster.models import (
    Enrollment,
    Period,
    Person,
    PersonAlias,
    Room,
    School,
    SchoolClass,
    SchoolStage,
    Seat,
    TeachingAssignment,
    Term,
)

TODAY = date(2026, 11, 24)
PASSWORD = "correct-horse-7"
PIN = "2468"


def make_school(
    name: str = "示范实验学校", stages: tuple[str, ...] = ("primary",), *, configuration: int = 3
) -> School:
    """A school with its tree, stages, autumn term 2026 and eight periods a stage."""
    with write():
        nation = Organisation(id=new_id(), level="nation", name="全国", path="")
        nation.path = f"{nation.id.hex}/"
        county = Organisation(id=new_id(), parent_id=nation.id, level="county", name="示范区", path="")
        county.path = f"{nation.path}{county.id.hex}/"
        organisation = Organisation(
            id=new_id(), parent_id=county.id, level="school", name=name, code="3100000001", path=""
        )
        organisation.path = f"{county.path}{organisation.id.hex}/"
        db.session.add(nation)
        db.session.flush()
        db.session.add(county)
        db.session.flush()
        db.session.add(organisation)
        db.session.flush()
        school = School(id=organisation.id, school_type="九年一贯制" if len(stages) > 1 else "小学")
        db.session.add(school)
        db.session.add(
            Term(
                school_id=school.id, school_year=2026, ordinal=1, starts_on=date(2026, 9, 1), ends_on=date(2027, 1, 22)
            )
        )
        for stage in stages:
            minutes = CLASS_HOUR_MINUTES[stage]
            db.session.add(
                SchoolStage(school_id=school.id, stage=stage, class_hour_minutes=minutes, solution_config=configuration)
            )
            for ordinal in range(1, 9):
                start = 8 * 60 + (ordinal - 1) * 55 + (60 if ordinal > 4 else 0)
                end = start + minutes
                db.session.add(
                    Period(
                        school_id=school.id,
                        stage=stage,
                        ordinal=ordinal,
                        starts_at=time(start // 60, start % 60),
                        ends_at=time(end // 60, end % 60),
                    )
                )
    return school


def make_class(school: School, stage: str = "primary", grade: int = 5, number: int = 1) -> SchoolClass:
    """An administrative class that is in ``grade`` in autumn 2026."""
    with write():
        cohort = SchoolClass(
            school_id=school.id,
            stage=stage,
            entry_year=entry_year_of(stage, grade, TODAY, school.system),
            number=number,
            formed_on=date(2026, 9, 1),
        )
        db.session.add(cohort)
    return cohort


def _account(school: School, kind: str, username: str, name: str, **secrets: Any) -> Account:
    account = Account(
        id=new_id(), organisation_id=school.id, kind=kind, username=username, display_name=name, **secrets
    )
    db.session.add(account)
    db.session.flush()
    return account


def make_pupils(school: School, cohort: SchoolClass, count: int = 3) -> list[Person]:
    """Pupils with accounts (PIN ``PIN``) enrolled in the class."""
    pin_hash = hash_pin(PIN)
    people = []
    with write():
        for roll_no in range(1, count + 1):
            number = f"{cohort.entry_year}{cohort.number:02d}{roll_no:02d}"
            name = f"学生{roll_no:02d}"
            account = _account(school, "student", f"{cohort.stage[0]}{number}", name, pin_hash=pin_hash)
            person = Person(id=new_id(), school_id=school.id, kind="student", name=name, account_id=account.id)
            db.session.add(person)
            db.session.flush()
            db.session.add(
                PersonAlias(school_id=school.id, person_id=person.id, scheme="student_no", value=account.username)
            )
            db.session.add(
                Enrollment(
                    school_id=school.id,
                    person_id=person.id,
                    class_id=cohort.id,
                    roll_no=roll_no,
                    starts_on=date(2026, 9, 1),
                )
            )
            people.append(person)
    return people


def make_staff(school: School, role: str = "teacher", username: str = "", name: str = "王老师") -> Person:
    """A member of staff with a role over the school and the password ``PASSWORD``."""
    with write():
        account = _account(
            school, "staff", username or f"{role}-{uuid.uuid4().hex[:6]}", name, password_hash=hash_password(PASSWORD)
        )
        db.session.add(RoleGrant(account_id=account.id, role=role, organisation_id=school.id))
        person = Person(id=new_id(), school_id=school.id, kind="staff", name=name, account_id=account.id)
        db.session.add(person)
    return person


def make_teacher(school: School, *classes: SchoolClass, name: str = "王老师", username: str = "") -> Person:
    """A teacher of the subject 人工智能 in the classes given."""
    person = make_staff(school, "teacher", username, name)
    with write():
        for cohort in classes:
            db.session.add(
                TeachingAssignment(school_id=school.id, teacher_id=person.id, class_id=cohort.id, subject="人工智能")
            )
    return person


def make_admin(school: School, username: str = "") -> Person:
    """A school admin."""
    return make_staff(school, "school_admin", username, "教务主任")


def make_room(school: School, code: str = "lab1", seats: int = 6, *, kind: str = "lab") -> tuple[Room, list[Seat]]:
    """A room with numbered seats, six a row."""
    with write():
        room = Room(id=new_id(), school_id=school.id, code=code, name="人工智能实验室", kind=kind)
        db.session.add(room)
        db.session.flush()
        made = [
            Seat(
                id=new_id(),
                school_id=school.id,
                room_id=room.id,
                label=f"{number:02d}",
                row=(number - 1) // 6,
                column=(number - 1) % 6,
                terminal=f"t-{code}-{number:02d}",
            )
            for number in range(1, seats + 1)
        ]
        db.session.add_all(made)
    return room, made


def token(client: FlaskClient, page: str = "/sign-in") -> str:
    """CSRF token of a page, as the browser sees it."""
    found = re.search(r'name="csrf-token" content="([^"]+)"', client.get(page, follow_redirects=True).text)
    assert found, f"{page} has no CSRF token"
    return found[1]


def sign_in(client: FlaskClient, person: Person, password: str = PASSWORD) -> None:
    """Sign a member of staff in through the door that people use."""
    account = db.session.get(Account, person.account_id)
    assert account is not None
    answer = client.post(
        "/sign-in", data={"username": account.username, "password": password, "csrf_token": token(client)}
    )
    assert answer.status_code == 302, answer.text
