"""The pupil's place in a lesson in one query: pages and the saving of work ask for it at every request (课桌)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import Select, and_, bindparam, or_, select

from lms.activities.service import WorkContext
from lms.core import clock
from lms.core.db import db
from lms.core.errors import Refused
from lms.core.models import Account
from lms.courses.models import PackageVersion
from lms.labs import service as labs
from lms.labs.models import Device
from lms.labs.veyon import service as pcs
from lms.roster.models import Person, Room, Seat
from lms.teaching.models import LessonGroup, LessonSession, RegisterEntry


@dataclass(frozen=True)
class Desk:
    """Where a pupil sits and what runs there. ``state``: running | paused | ended; ``content_hash`` empty for an open lesson."""

    school_id: uuid.UUID
    lesson_id: uuid.UUID
    class_id: uuid.UUID
    room_id: uuid.UUID | None
    package_id: uuid.UUID | None
    lesson_slug: str
    title: str
    configuration: int
    state: str
    step: int
    steps_pushed: int
    rev: int
    person_id: uuid.UUID
    name: str
    entry_id: uuid.UUID
    seat_id: uuid.UUID | None
    group_no: int | None
    done: Sequence[str]
    needs_help_at: datetime | None
    seat_label: str
    terminal: str
    room_code: str
    content_hash: str
    screens_until: datetime | None

    @property
    def live(self) -> bool:
        """Whether the lesson goes on."""
        return self.state in ("running", "paused")

    @property
    def context(self) -> WorkContext:
        """Whose work it is."""
        return WorkContext(
            self.school_id, self.lesson_id, self.class_id, self.person_id, self.seat_id, self.group_no, self.content_hash, self.lesson_slug
        )


def _query() -> Select[*tuple[Any, ...]]:
    lesson, entry = LessonSession, RegisterEntry
    return (
        select(
            lesson.school_id,
            lesson.id.label("lesson_id"),
            lesson.class_id,
            lesson.room_id,
            lesson.package_id,
            lesson.lesson_slug,
            lesson.title,
            lesson.configuration,
            lesson.state,
            lesson.step,
            lesson.steps_pushed,
            lesson.rev,
            entry.person_id,
            Person.name,
            entry.id.label("entry_id"),
            entry.seat_id,
            entry.group_no,
            entry.done,
            entry.needs_help_at,
            Seat.label.label("seat_label"),
            Seat.terminal,
            Room.code.label("room_code"),
            PackageVersion.content_hash,
            pcs.screens_until(lesson.school_id, lesson.id).label("screens_until"),
        )
        .join(entry, and_(entry.lesson_id == lesson.id, entry.school_id == lesson.school_id))
        .join(Person, Person.id == entry.person_id)
        .outerjoin(Seat, Seat.id == entry.seat_id)
        .outerjoin(Room, Room.id == lesson.room_id)
        .outerjoin(PackageVersion, PackageVersion.id == lesson.package_id)
        .where(lesson.school_id == bindparam("school"), Person.account_id == bindparam("account"), entry.signed_in_at.is_not(None))
        .order_by(lesson.started_at.desc())
        .limit(1)
    )


_NOW = _query().where(
    or_(and_(LessonSession.state.in_(("running", "paused")), RegisterEntry.signed_out_at.is_(None)), LessonSession.state == "ended")
)
_NAMED = _query().where(LessonSession.id == bindparam("lesson"))


def desk_of(account: Account, lesson_id: uuid.UUID | None = None) -> Desk | None:
    """The pupil's place in the lesson that runs (or ended and has no record yet), or in the lesson named; None in no lesson."""
    facts: dict[str, Any] = {"school": account.organisation_id, "account": account.id}
    row = db.session.connection().execute(_NAMED if lesson_id else _NOW, facts | ({"lesson": lesson_id} if lesson_id else {})).first()
    if row is None:
        return None
    found = dict(row._mapping)
    return Desk(**{**found, **{name: found[name] or "" for name in ("seat_label", "terminal", "room_code", "content_hash")}})


def working_desk(account: Account, lesson_id: uuid.UUID | None = None) -> Desk:
    """The place that work belongs to; raises Refused where there is none or its record is written."""
    desk = desk_of(account, lesson_id)
    if desk is None:
        raise Refused("no-lesson", _l("现在没有正在上的课。"), remedy=_l("请告诉老师；写好的内容还留在这台电脑上。"))
    if desk.state == "closed":
        raise Refused("lesson-closed", _l("这节课的记录已经写好，不能再交。"), remedy=_l("请告诉老师；写好的内容还留在这台电脑上。"))
    return desk


def state_of(desk: Desk) -> dict[str, Any]:
    """What the room's lesson topic says, for pages that poll."""
    now = clock.now()
    return {
        "lesson": str(desk.lesson_id),
        "state": "ended" if desk.state == "closed" else desk.state,
        "step": desk.step,
        "step_version": desk.steps_pushed,
        "rev": desk.rev,
        "at": now.isoformat(timespec="milliseconds"),
        "help": desk.needs_help_at is not None,
        "group": desk.group_no,
        "watched_until": pcs.told(desk.screens_until, now),
    }


@dataclass(frozen=True)
class Kit:
    """A robot of the group or a camera of the room, as a page names it."""

    id: str
    kind: str
    title: str
    sticker: str
    drives: bool


def kits_of(desk: Desk) -> list[Kit]:
    """The robot that the pupil's group holds and the room's cameras, in one query."""
    if desk.room_id is None:
        return []
    mine = select(LessonGroup.device_id).where(
        LessonGroup.school_id == desk.school_id, LessonGroup.lesson_id == desk.lesson_id, LessonGroup.number == (desk.group_no or -1)
    )
    rows = db.session.execute(
        select(Device.homie_id, Device.kind, Device.title, Device.sticker, Device.profile)
        .where(Device.school_id == desk.school_id, Device.room_id == desk.room_id, or_(Device.kind == "camera", Device.id.in_(mine)))
        .order_by(Device.kind.desc(), Device.homie_id)
    )
    return [Kit(row.homie_id, row.kind, row.title, row.sticker, labs.drives(row.profile)) for row in rows]


def mates_of(desk: Desk) -> list[dict[str, str]]:
    """Members of the group who sit at a terminal, the pupil too: ``terminal``, ``seat``, ``person``; never a name."""
    if desk.group_no is None:
        return []
    rows = db.session.execute(
        select(Seat.terminal, Seat.label, RegisterEntry.person_id)
        .join(Seat, Seat.id == RegisterEntry.seat_id)
        .where(
            RegisterEntry.school_id == desk.school_id,
            RegisterEntry.lesson_id == desk.lesson_id,
            RegisterEntry.group_no == desk.group_no,
            RegisterEntry.signed_in_at.is_not(None),
            RegisterEntry.signed_out_at.is_(None),
        )
        .order_by(Seat.label)
    )
    return [{"terminal": terminal, "seat": label, "person": str(person)} for terminal, label, person in rows]
