"""The register and the pupils in their seats (点名册、入座)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from flask_babel import lazy_gettext as _l
from sqlalchemy import bindparam, select, update

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account
from lms.courses import service as courses
from lms.courses.rules import Lesson
from lms.roster.models import Person, Seat
from lms.teaching import rules
from lms.teaching.access import found_lesson, steered
from lms.teaching.models import LessonSession, RegisterEntry
from lms.teaching.publishing import publish


@dataclass(frozen=True)
class Seated:
    """A pupil in a lesson: the session, the line in the register, the seat, the lesson's content (None for an open lesson)."""

    lesson: LessonSession
    entry: RegisterEntry
    seat: Seat | None
    content: Lesson | None


def content_of(lesson: LessonSession) -> Lesson | None:
    """The lesson's content from its package; None for an open lesson."""
    return courses.lesson_of(lesson.package_id, lesson.lesson_slug) if lesson.package_id is not None else None


def entries_of(lesson: LessonSession) -> list[RegisterEntry]:
    """The lines of the register."""
    query = select(RegisterEntry).where(RegisterEntry.school_id == lesson.school_id, RegisterEntry.lesson_id == lesson.id)
    return list(db.session.scalars(query))


def statuses_of(lesson: LessonSession) -> list[str]:
    """Statuses of the register's lines, in no order."""
    return [entry.status for entry in entries_of(lesson)]


def entry_of(lesson: LessonSession, person_id: uuid.UUID, *, lock: bool = False) -> RegisterEntry:
    """The pupil's line; raises NotFound for someone who is not on this lesson's roster."""
    query = select(RegisterEntry).where(
        RegisterEntry.school_id == lesson.school_id, RegisterEntry.lesson_id == lesson.id, RegisterEntry.person_id == person_id
    )
    entry = db.session.scalar(query.with_for_update() if lock else query)
    if entry is None:
        raise NotFound("not-on-roster", _l("这位同学不在本节课的名单里。"), remedy=_l("请管理员核对班级名单。"))
    return entry


def mark(actor: Account, lesson: LessonSession, person_id: uuid.UUID, status: str) -> RegisterEntry:
    """The teacher's word on one pupil (点名); the same word twice changes nothing.

    Raises Invalid for an unknown status, Refused once the record is written.
    """
    return mark_many(actor, lesson, [person_id], status)[0]


def mark_many(actor: Account, lesson: LessonSession, people: Iterable[uuid.UUID], status: str) -> list[RegisterEntry]:
    """The same word on several pupils, in one transaction."""
    if status not in rules.STATUSES:
        raise Invalid("status", _l("没有这种考勤状态。"), where=status)
    now = clock.now()
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        _may_mark(lesson)
        changed = []
        for person_id in people:
            entry = entry_of(lesson, person_id)
            changed.append(entry)
            if entry.status == status:
                continue
            audit(actor, "mark-register", "register", entry.id, before=entry.status, after=status)
            entry.status, entry.set_by, entry.updated_at = status, actor.id, now
            if status in ("absent", "leave", "left_early") and entry.signed_in_at is not None and entry.signed_out_at is None:
                entry.signed_out_at = now
            if status in ("absent", "leave"):
                entry.needs_help_at = None
        return changed


def mark_rest(actor: Account, lesson: LessonSession, status: str = "hand") -> int:
    """Mark everyone who is still absent (其余全到), for a room without terminals; returns how many."""
    waiting = [entry.person_id for entry in entries_of(lesson) if entry.status == "absent"]
    return len(mark_many(actor, lesson, waiting, status)) if waiting else 0


def _may_mark(lesson: LessonSession) -> None:
    if not rules.allowed("mark", lesson.state):
        raise Refused(
            "register-closed", _l("这节课的使用记录已经写入，点名册不能再改。"), remedy=_l("确有错误，请管理员做更正记录（需要两人）。"), clause="B10.5"
        )


def seat_pupil(account: Account, seat: Seat, lesson: LessonSession) -> RegisterEntry:
    """Let a pupil take a seat in a running lesson, after the PIN; joins the open write.

    A second pupil at the same terminal shares it: the first one's status becomes ``shared``. A pupil who moves to another
    seat is signed out at the old one. Raises Refused if the lesson has ended or is in another room.
    """
    return take_place(Place(seat.school_id, seat.room_id, seat.id, lesson.id, account.id), account)


@dataclass(frozen=True)
class Place:
    """Who sits down where, by ids: rows need not be read again inside the transaction."""

    school_id: uuid.UUID
    room_id: uuid.UUID
    seat_id: uuid.UUID
    lesson_id: uuid.UUID
    account_id: uuid.UUID


_SHARE = update(RegisterEntry.__table__).where(  # type: ignore[arg-type]  # a Table
    RegisterEntry.school_id == bindparam("at_school"),
    RegisterEntry.lesson_id == bindparam("at_lesson"),
    RegisterEntry.seat_id == bindparam("at_seat"),
    RegisterEntry.id != bindparam("newcomer"),
    RegisterEntry.status == "terminal",
    RegisterEntry.signed_out_at.is_(None),
)
_ENTRY = (
    select(RegisterEntry, LessonSession.state, LessonSession.room_id)
    .join(Person, Person.id == RegisterEntry.person_id)
    .join(LessonSession, LessonSession.id == RegisterEntry.lesson_id)
    .where(RegisterEntry.school_id == bindparam("school"), RegisterEntry.lesson_id == bindparam("lesson"), Person.account_id == bindparam("account"))
    .with_for_update(of=RegisterEntry)
)


def take_place(place: Place, account: Account) -> RegisterEntry:
    """As seat_pupil, for the door, where a whole class comes in at once."""
    now = clock.now()
    school_id, lesson_id, seat_id = place.school_id, place.lesson_id, place.seat_id
    with write():
        entry = _entry_to_take(school_id, lesson_id, place.account_id, place.room_id)
        at_terminal = entry.signed_in_at is not None and entry.signed_out_at is None
        if at_terminal and entry.seat_id not in (None, seat_id):
            account.epoch += 1  # the browser at the old seat is signed out
        db.session.connection().execute(
            _SHARE, {"at_school": school_id, "at_lesson": lesson_id, "at_seat": seat_id, "newcomer": entry.id, "updated_at": now, "status": "shared"}
        )
        entry.status = rules.status_at_sign_in(entry.status)
        entry.seat_id = seat_id
        if not at_terminal:
            entry.signed_in_at, entry.signed_out_at = now, None
        entry.updated_at = now
        return entry


def _entry_to_take(school_id: uuid.UUID, lesson_id: uuid.UUID, account_id: uuid.UUID, room_id: uuid.UUID) -> RegisterEntry:
    """The pupil's line in a live lesson of this room, locked; one query, since a class signs in at once."""
    found = db.session.execute(_ENTRY, {"school": school_id, "lesson": lesson_id, "account": account_id}).first()
    if found is None:
        raise NotFound("not-on-roster", _l("这位同学不在本节课的名单里。"), remedy=_l("请管理员核对班级名单。"))
    entry, state, lesson_room = found
    if state not in rules.LIVE or lesson_room != room_id:
        raise Refused("lesson-over", _l("这节课已经结束。"), remedy=_l("请等老师开始上课。"))
    return entry


def sign_out_pupils(lesson: LessonSession, at: datetime | None = None) -> int:
    """Sign every pupil of the lesson out of it; joins the open write, returns how many."""
    moment = at or clock.now()
    with write():
        result = db.session.execute(
            update(RegisterEntry)
            .where(
                RegisterEntry.school_id == lesson.school_id,
                RegisterEntry.lesson_id == lesson.id,
                RegisterEntry.signed_in_at.is_not(None),
                RegisterEntry.signed_out_at.is_(None),
            )
            .values(signed_out_at=moment, needs_help_at=None, updated_at=moment)
            .execution_options(synchronize_session="fetch")
        )
        return int(result.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it, Result's stub does not


def restore_signed_out(lesson: LessonSession, ended_at: datetime) -> None:
    """Take back the sign-outs that the lesson's end caused; joins the open write."""
    db.session.execute(
        update(RegisterEntry)
        .where(RegisterEntry.school_id == lesson.school_id, RegisterEntry.lesson_id == lesson.id, RegisterEntry.signed_out_at == ended_at)
        .values(signed_out_at=None)
        .execution_options(synchronize_session="fetch")
    )


def end_browser_sessions(lesson: LessonSession) -> None:
    """Let every cookie of this lesson's pupils die; joins the open write.

    Pupils who already sit in a later lesson keep theirs.
    """
    later = select(RegisterEntry.person_id).where(
        RegisterEntry.school_id == lesson.school_id,
        RegisterEntry.lesson_id.in_(
            select(LessonSession.id).where(
                LessonSession.school_id == lesson.school_id, LessonSession.state.in_(rules.LIVE), LessonSession.id != lesson.id
            )
        ),
        RegisterEntry.signed_in_at.is_not(None),
    )
    people = select(Person.account_id).where(
        Person.id.in_(
            select(RegisterEntry.person_id).where(
                RegisterEntry.school_id == lesson.school_id, RegisterEntry.lesson_id == lesson.id, RegisterEntry.signed_in_at.is_not(None)
            )
        ),
        Person.id.not_in(later),
        Person.account_id.is_not(None),
    )
    db.session.execute(
        update(Account).where(Account.id.in_(people)).values(epoch=Account.epoch + 1).execution_options(synchronize_session=False)
    )


def _in_lesson(account: Account, states: tuple[str, ...]) -> Seated | None:
    found = db.session.execute(
        select(LessonSession, RegisterEntry, Seat)
        .join(RegisterEntry, RegisterEntry.lesson_id == LessonSession.id)
        .join(Person, Person.id == RegisterEntry.person_id)
        .outerjoin(Seat, Seat.id == RegisterEntry.seat_id)
        .where(
            LessonSession.school_id == account.organisation_id,
            LessonSession.state.in_(states),
            RegisterEntry.school_id == account.organisation_id,
            Person.account_id == account.id,
            RegisterEntry.signed_in_at.is_not(None),
        )
        .order_by(LessonSession.started_at.desc())
    ).first()
    if found is None:
        return None
    lesson, entry, seat = found
    return Seated(lesson, entry, seat, content_of(lesson))


def seated(account: Account) -> Seated | None:
    """The running lesson that the pupil is signed in to; None otherwise."""
    found = _in_lesson(account, rules.LIVE)
    return found if found is not None and found.entry.signed_out_at is None else None


def late_work(account: Account) -> Seated | None:
    """Where a pupil's unsent work still belongs: the running lesson, else the ended one whose record is not written yet."""
    return seated(account) or _in_lesson(account, ("ended",))


def ask_help(account: Account, wanted: bool) -> RegisterEntry | None:
    """A pupil raises or lowers the hand (举手); None where the pupil is in no lesson."""
    now = clock.now()
    with write():
        place = seated(account)
        if place is None:
            return None
        if wanted != (place.entry.needs_help_at is not None):
            place.entry.needs_help_at = now if wanted else None
            place.entry.updated_at = now
        return place.entry


def lower_hand(actor: Account, lesson: LessonSession, person_id: uuid.UUID) -> RegisterEntry:
    """The teacher has helped (已帮助)."""
    with write():
        lesson = steered(actor, lesson.id, lock=True)
        entry = entry_of(lesson, person_id, lock=True)
        if entry.needs_help_at is not None:
            entry.needs_help_at, entry.updated_at = None, clock.now()
            lesson.rev += 1  # the pupil's page lowers its hand too
            publish(lesson)
        return entry


def note_done(lesson_id: uuid.UUID, person_id: uuid.UUID, activity_id: str) -> None:
    """A pupil's answer to an activity is saved; joins the open write that saved it."""
    with write():
        lesson = found_lesson(lesson_id)
        entry = entry_of(lesson, person_id, lock=True)
        if activity_id not in entry.done:
            entry.done = [*entry.done, activity_id]
            entry.updated_at = clock.now()
