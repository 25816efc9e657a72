"""The pupils' door: which names a seat shows, and how a pupil comes in (学生入座). Names appear only for the class now starting."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from flask_babel import lazy_gettext as _l
from sqlalchemy import bindparam, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import check_lock, forget_failures, matches, note_failure
from lms.core.db import db, write
from lms.core.errors import Invalid, NotFound
from lms.core.models import Account
from lms.roster import service as roster
from lms.roster.models import Enrollment, Person, SchoolClass, Seat
from lms.teaching import rules
from lms.teaching.access import school_of, today_of
from lms.teaching.groups import regrant
from lms.teaching.models import LessonSession, RegisterEntry
from lms.teaching.register import Place, take_place

PIN_LENGTH = 4
PICTURES_LENGTH = 3


@dataclass(frozen=True)
class Doorway:
    """What a room's seats may show now. ``lesson``: the running one; without it ``starts`` is the bell of the class that comes."""

    room_id: uuid.UUID
    class_id: uuid.UUID | None = None
    lesson: LessonSession | None = None
    starts: datetime | None = None
    lesson_id: uuid.UUID | None = None

    @property
    def state(self) -> str:
        """``lesson`` | ``starting`` | ``empty``."""
        if self.lesson is not None:
            return "lesson"
        return "starting" if self.class_id is not None else "empty"

    @property
    def version(self) -> str:
        """Changes when the seat's page must change."""
        return f"{self.state}:{self.lesson_id or self.class_id or ''}"


@dataclass(frozen=True)
class Name:
    """A name at the door; ``here``: signed in already, ``pictures``: the PIN is a row of pictures."""

    person_id: uuid.UUID
    roll_no: int
    name: str
    here: bool
    pictures: bool


_RUNNING = (
    select(LessonSession)
    .where(LessonSession.school_id == bindparam("school"), LessonSession.room_id == bindparam("room"), LessonSession.state.in_(rules.LIVE))
    .order_by(LessonSession.started_at.desc())
    .limit(1)
)
_PUPIL = (
    select(Account)
    .join(Person, Person.account_id == Account.id)
    .where(Person.id == bindparam("person"), Person.kind == "student", Account.active.is_(True))
)
_PUPIL_OF_LESSON = _PUPIL.join(RegisterEntry, RegisterEntry.person_id == Person.id).where(
    RegisterEntry.school_id == bindparam("school"), RegisterEntry.lesson_id == bindparam("lesson")
)
_PUPIL_OF_CLASS = _PUPIL.join(Enrollment, Enrollment.person_id == Person.id).where(
    Enrollment.class_id == bindparam("cohort"), Enrollment.ends_on.is_(None)
)


def doorway(school_id: uuid.UUID, room_id: uuid.UUID) -> Doorway:
    """The lesson that runs in the room, else the class whose slot runs or begins within ten minutes, else nothing."""
    lesson = db.session.scalar(_RUNNING, {"school": school_id, "room": room_id})
    if lesson is not None:
        return Doorway(room_id, lesson.class_id, lesson, lesson_id=lesson.id)
    slot = rules.slot_now(roster.slots_on(school_id, today_of(school_of(school_id)), room_id=room_id), clock.now())
    if slot is None or _was_taught(school_id, slot.slot_id, slot.starts):
        return Doorway(room_id)
    return Doorway(room_id, slot.class_id, None, slot.starts)


def _was_taught(school_id: uuid.UUID, slot_id: uuid.UUID, starts: datetime) -> bool:
    """Whether the slot's lesson has ended already: its names leave the door with it."""
    query = select(LessonSession.id).where(
        LessonSession.school_id == school_id, LessonSession.slot_id == slot_id, LessonSession.started_at >= starts - rules.DOOR_OPENS * 2
    )
    return db.session.scalar(query.limit(1)) is not None


def names(door: Doorway) -> list[Name]:
    """Names of the class at this door, by roll number; empty where no class may be shown."""
    if door.class_id is None:
        return []
    cohort = db.session.get_one(SchoolClass, door.class_id)
    if door.lesson is None:
        pupils = roster.roster_of(door.class_id, today_of(school_of(cohort.school_id)))
        accounts = select(Account.id).where(Account.id.in_([pupil.account_id for pupil in pupils]), Account.picture.is_(True))
        pictures = set(db.session.scalars(accounts))
        return [Name(pupil.person_id, pupil.roll_no, pupil.name, False, pupil.account_id in pictures) for pupil in pupils]
    rows = db.session.execute(
        select(RegisterEntry, Person.name, Enrollment.roll_no, Account.picture)
        .join(Person, Person.id == RegisterEntry.person_id)
        .join(Account, Account.id == Person.account_id)
        .outerjoin(Enrollment, (Enrollment.person_id == Person.id) & Enrollment.class_id.in_(door.lesson.classes) & Enrollment.ends_on.is_(None))
        .where(RegisterEntry.school_id == door.lesson.school_id, RegisterEntry.lesson_id == door.lesson.id)
        .order_by(Enrollment.roll_no, Person.name)
    )
    return [
        Name(entry.person_id, roll_no or 0, name, entry.signed_in_at is not None and entry.signed_out_at is None, picture)
        for entry, name, roll_no, picture in rows
    ]


def _pupil_at(door: Doorway, person_id: uuid.UUID) -> Account:
    """Account of a pupil whose name this door shows; raises NotFound for everyone else, so that ids from elsewhere open nothing."""
    account: Account | None = None
    if door.lesson is not None:
        account = db.session.scalar(_PUPIL_OF_LESSON, {"person": person_id, "school": door.lesson.school_id, "lesson": door.lesson.id})
    elif door.class_id is not None:
        account = db.session.scalar(_PUPIL_OF_CLASS, {"person": person_id, "cohort": door.class_id})
    if account is None:
        raise NotFound("not-here", _l("这个座位现在不能登录这位同学。"), remedy=_l("请刷新页面；还是不行请告诉老师。"))
    return account


def come_in(seat: Seat, person_id: uuid.UUID, pin: str) -> tuple[Account, Doorway]:
    """A pupil signs in at a seat: right PIN, own class, own room. With a lesson running the pupil is in the register at once.

    Raises Invalid for a wrong PIN (counted against account and seat), TooMany when locked, NotFound for names this seat does not show.
    """
    door = doorway(seat.school_id, seat.room_id)
    account = _pupil_at(door, person_id)
    subjects = (f"account:{account.id}", f"seat:{seat.id}")
    check_lock(*subjects)
    if not matches(account.pin_hash, pin):
        note_failure(seat.school_id, *subjects)
        raise Invalid("wrong-pin", _l("密码不对，再试一次。"), remedy=_l("忘记密码请举手，老师点一下就能重设。"))
    seat_id, lesson = seat.id, door.lesson
    place = Place(seat.school_id, seat.room_id, seat.id, lesson.id, account.id) if lesson is not None else None
    with write():
        forget_failures(*subjects)
        if place is not None and lesson is not None:
            _sit(place, account, lesson)
        audit(account, "sign-in", "seat", seat_id, lesson=str(door.lesson_id or ""))
    return account, door


def take_seat(account: Account, seat: Seat, lesson: LessonSession) -> RegisterEntry:
    """Seat the pupil and widen the group's lease if the group has a robot; joins the open write."""
    place = Place(seat.school_id, seat.room_id, seat.id, lesson.id, account.id)
    with write():
        return _sit(place, account, lesson)


def _sit(place: Place, account: Account, lesson: LessonSession) -> RegisterEntry:
    entry = take_place(place, account)
    if entry.group_no is not None:
        db.session.flush()
        regrant(account, lesson, entry.group_no)
    return entry
