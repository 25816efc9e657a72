"""The scene of the crawl of all rooms: a school with one row of everything that an address can name, and people here and elsewhere."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, time
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from werkzeug.routing import Rule
from werkzeug.routing.converters import AnyConverter

from lms.activities.models import Attempt
from lms.core import clock
from lms.core.db import Base, UtcDateTime, db, new_id, write
from lms.core.models import Account, Organisation, RoleGrant
from lms.courses.models import PackageVersion
from lms.labs.cameras.models import Recording, RecordingPolicy
from lms.labs.models import Device, RoomPc, StopEvent
from lms.notices.models import Channel, Notice
from lms.roster.models import (
    CalendarDay,
    InventoryItem,
    Person,
    Room,
    School,
    SchoolClass,
    Seat,
    SlotMove,
    TeachingAssignment,
    TimetableSlot,
)
from lms.teaching import service as seating
from lms.teaching.models import LessonSession
from lms.usage.corrections.models import CorrectionProposal
from lms.usage.models import UsageRecord
from lms.usage.past.models import PastImport
from tests import factories as make
from tests.teaching import scene as teaching

SECRET = "只有本校知道"
NAMED: dict[str, type[Any]] = {
    "account_id": Account, "grant_id": RoleGrant, "class_id": SchoolClass, "package_id": PackageVersion, "device_id": Device,
    "policy_id": RecordingPolicy, "recording_id": Recording, "room_id": Room, "pc_id": RoomPc, "stop_id": StopEvent, "notice_id": Notice,
    "channel_id": Channel, "person_id": Person, "duty_id": TeachingAssignment, "item_id": InventoryItem, "seat_id": Seat,
    "slot_id": TimetableSlot, "move_id": SlotMove, "lesson_id": LessonSession, "proposal_id": CorrectionProposal,
    "record_id": UsageRecord, "import_id": PastImport, "entry_id": CalendarDay, "attempt_id": Attempt,
}  # fmt: skip
"""What an argument is the id of."""
WORDS = {
    "room_code": "secretlab", "number": "01", "slug": "01-see", "part": "plan", "content_hash": "0" * 64, "path:name": "a.png",
    "stage": "primary", "kind": "classes", "token": "0" * 32, "ticket": "0" * 32, "month": "2026-11", "form": "xlsx", "year": "2026",
    "activity_id": "see", "usage.papers:kind": "ledger", "usage.rulebook:name": "fortnightly", "name": "a.png", "filename": "logo.svg",
    "region:number": "1",
}  # fmt: skip
"""What other arguments say: by ``blueprint:argument`` or ``argument``."""


SAID = {"grade_of_evidence": "A", "origin": "real"}
"""What columns of made-up rows say."""


@dataclass
class Scene:
    """A school where a lesson goes on, its people by role, and people of elsewhere."""

    school: School
    insiders: dict[str, Account]
    strangers: dict[str, Account]
    pupil: Account
    ids: dict[str, uuid.UUID]

    def value(self, rule: Rule, name: str) -> str:
        """The argument of this scene; a new one has to be told in ``NAMED`` or ``WORDS``."""
        if name in self.ids:
            return str(self.ids[name])
        for key in (f"{rule.endpoint.rpartition('.')[0]}:{name}", name):
            if key in WORDS:
                return WORDS[key]
        converter = rule._converters[name]
        if isinstance(converter, AnyConverter):
            return sorted(converter.items)[0]
        pytest.fail(f"{rule.endpoint} has an argument <{name}> that crawl_scene.py does not know")


def account_of(organisation: Organisation, *roles: str) -> Account:
    """A member of staff with the roles there."""
    with write() as session:
        account = Account(
            id=new_id(), organisation_id=organisation.id, kind="staff", username=f"u{new_id().hex[-10:]}", display_name="来人",
            password_hash=make.hash_password(make.PASSWORD),
        )  # fmt: skip
        session.add(account)
        session.flush()
        session.add_all(RoleGrant(account_id=account.id, role=role, organisation_id=organisation.id) for role in roles)
    return account


def make_scene() -> Scene:
    """A new one."""
    here = teaching.make_scene(pupils=2, seats=2)
    with write():
        here.room.code, here.room.name = WORDS["room_code"], f"{SECRET}的教室"
        for person in (*here.pupils, here.teacher):
            person.name = name = f"{SECRET}的人{person.id.hex[-4:]}"
            db.session.get_one(Account, person.account_id).display_name = name
    lesson = here.open(slot=here.day_slot(here.slot(3)))
    with write():
        pupil = db.session.get_one(Account, here.pupils[0].account_id)
        seating.seat_pupil(pupil, here.seats[0], lesson)
    ids = {name: one_of(model, here.school.id).id for name, model in NAMED.items()}
    ids |= {"lesson_id": lesson.id, "person_id": here.pupils[0].id}
    county = db.session.get_one(Organisation, here.school.organisation.parent_id)
    other = make.make_school("另一所学校")
    with write():
        db.session.add(SchoolClass(school_id=other.id, stage="primary", entry_year=2022, number=1, formed_on=date(2026, 9, 1)))
    own = here.school.organisation
    insiders = {role: account_of(county if role in ("officer", "expert") else own, role) for role in ("school_admin", "officer", "expert")}
    insiders |= {"teacher": teaching.account_of(here.teacher), "system": account_of(own, "sys_admin", "sec_admin", "audit_admin")}
    elsewhere = db.session.get_one(Organisation, other.organisation.parent_id)
    strangers = {
        "another school": account_of(other.organisation, "teacher", "school_admin"),
        "its system": account_of(other.organisation, "sys_admin", "sec_admin", "audit_admin"),
        "another county": account_of(elsewhere, "officer", "expert"),
    }
    return Scene(here.school, insiders, strangers, pupil, ids)


def one_of(model: type[Any], school_id: uuid.UUID) -> Any:
    """A row of the school; one that is made up where there is none."""
    whose = next((getattr(model, name) for name in ("school_id", "organisation_id") if hasattr(model, name)), None)
    assert whose is not None, model
    found = db.session.scalar(select(model).where(whose == school_id).limit(1))
    if found is not None:
        return found
    values = {column.key: _made_up(column, school_id) for column in model.__table__.columns if _is_needed(column)}
    with write() as session:
        row = model(**values)
        session.add(row)
    return row


def _is_needed(column: sa.Column[Any]) -> bool:
    return not column.nullable and column.default is None and column.server_default is None


def _made_up(column: sa.Column[Any], school_id: uuid.UUID) -> Any:
    if column.key in ("school_id", "organisation_id"):
        return school_id
    for key in column.foreign_keys:
        model = next(one.class_ for one in Base.registry.mappers if one.local_table is key.column.table)
        return getattr(one_of(model, school_id), key.column.key)
    kind: Any = column.type
    if isinstance(kind, UtcDateTime):
        return clock.now()
    made: dict[type[Any], Any] = {
        sa.Uuid: new_id(), sa.Boolean: False, sa.DateTime: clock.now(), sa.Date: date(2026, 11, 24), sa.Time: time(8), sa.JSON: {},
        sa.Integer: 1, sa.BigInteger: 1, sa.Float: 1.0, sa.LargeBinary: b"x",
    }  # fmt: skip
    for one, value in made.items():
        if isinstance(kind, one):
            return value
    return SAID.get(column.key, SECRET[: kind.length or 20])


