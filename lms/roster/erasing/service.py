"""Erase a pupil: every room says what it holds, all of it goes in one transaction, counts and evidence stay whole (删除, PIPL 47).

What counts refer to stays as an empty shell named 已删除: the person's row, its account, its days in classes and its lines in registers.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from flask_babel import lazy_gettext as _l
from sqlalchemy import JSON, ColumnElement, String, Text, cast, delete, func, or_, select, update

from lms.core.audit import audit
from lms.core.db import Base, db, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.jobs import every
from lms.core.models import Account, Lockout
from lms.core.stages import grade_of, last_grade
from lms.notices import service as notices
from lms.roster.access import need_admin, school_of, today_of
from lms.roster.models import Enrollment, GuardianLink, Person, PersonAlias, School, SchoolClass

ERASED: Final = "已删除"
KEPT_AFTER_LEAVING: Final = timedelta(days=365)


@dataclass(frozen=True)
class Part:
    """What a room holds of a person, ``what`` in words: rows of ``model`` that are deleted, or emptied to ``values``."""

    what: Any
    model: type[Base]
    condition: ColumnElement[bool]
    values: Mapping[str, Any] | None = None


Parts = Callable[[Person], Iterable[Part]]
Act = Callable[[Account | None, Person, str], object]
_ROOMS: list[tuple[Parts, Act | None]] = []


def holds(parts: Parts, act: Act | None = None) -> None:
    """Declare at import time what a room holds of a person; ``act`` erases it where plain statements do not do."""
    _ROOMS.append((parts, act))


@dataclass(frozen=True)
class Mention:
    """A text that still has the name in it, to be looked at by hand: another person may be meant."""

    table: str
    column: str
    count: int


@dataclass(frozen=True)
class Plan:
    """What would go: (words, rows); ``mentions``: what only a person can judge."""

    person: Person
    lines: tuple[tuple[Any, int], ...]
    mentions: tuple[Mention, ...]


def plan(actor: Account | None, person: Person) -> Plan:
    """What erasing the pupil would do; nothing is changed. Raises NotAllowed, Refused (``not-a-pupil``, ``erased``)."""
    need_admin(actor, person.school_id)
    if person.kind != "student":
        text = _l("只有学生的个人信息可以这样删除。")
        raise Refused("not-a-pupil", text, remedy=_l("教师的开课记录要保留到项目结束后三年；离职请用“教职工”页。"), clause="PIPL 47")
    if person.erased_on is not None:
        raise Refused("erased", _l("这名学生的个人信息已经删除。"))
    counted = [(part.what, _count(part)) for parts, _act in _ROOMS for part in parts(person)]
    return Plan(person, tuple(line for line in counted if line[1]), _mentions(person))


def _count(part: Part) -> int:
    return db.session.scalar(select(func.count()).select_from(part.model).where(part.condition)) or 0


def erase(actor: Account | None, person: Person, name: str, reason: str) -> Plan:
    """Erase the pupil for good; ``name`` is typed once more by whoever decides. Returns what went.

    A pupil who is still at the school leaves it. Raises Invalid where the name differs or the reason is missing or holds the name.
    """
    with write() as session:
        session.refresh(person, with_for_update=True)
        found = plan(actor, person)
        if "".join(name.split()) != "".join(person.name.split()):
            raise Invalid("erase-name", _l("输入的姓名与这名学生不一致，没有删除。"), where="name")
        if not reason.strip() or person.name in reason:
            raise Invalid("reason", _l("请写明删除的依据（如“监护人申请”），不要写姓名。"), where="reason", clause="PIPL 47")
        today = today_of(school_of(person.school_id))
        person.erased_on = today  # first: the guards of append-only tables ask for it
        person.left_on = person.left_on or today
        session.flush()
        for parts, act in _ROOMS:
            for part in () if act else parts(person):
                change = delete(part.model) if part.values is None else update(part.model).values(part.values)
                session.execute(change.where(part.condition), execution_options={"synchronize_session": "fetch"})
            if act:
                act(actor, person, reason.strip())
        person.name, person.sex = ERASED, ""
        told = {"rows": sum(count for _what, count in found.lines), "mentions": sum(one.count for one in found.mentions)}
        audit(actor, "erase-person", "person", person.id, reason.strip(), school_id=person.school_id, **told)
    return found


# --- what the roster itself holds


def _own(person: Person) -> Iterable[Part]:
    today = today_of(school_of(person.school_id))
    others = select(GuardianLink.guardian_id).where(GuardianLink.student_id != person.id)
    only_here = select(GuardianLink.guardian_id).where(GuardianLink.student_id == person.id, GuardianLink.guardian_id.not_in(others))
    guardians = Person.id.in_(db.session.scalars(only_here).all())
    accounts = {person.account_id, *db.session.scalars(select(Person.account_id).where(guardians))} - {None}
    mine = Enrollment.person_id == person.id
    yield Part(_l("在班登记（到今天为止，只留人数）"), Enrollment, mine & or_(Enrollment.ends_on.is_(None), Enrollment.ends_on > today), {"ends_on": today})
    yield Part(_l("座号"), Enrollment, mine & (Enrollment.roll_no != 0), {"roll_no": 0})
    yield Part(_l("学号、学籍号"), PersonAlias, PersonAlias.person_id == person.id)
    yield Part(_l("监护关系和电话"), GuardianLink, GuardianLink.student_id == person.id)
    yield Part(_l("只与这名学生有关的监护人的姓名"), Person, guardians, {"name": ERASED, "sex": "", "erased_on": today})
    yield Part(_l("登录失败次数"), Lockout, Lockout.subject.in_([f"account:{one}" for one in accounts]))
    for one in accounts:
        shell = {"username": f"erased-{one.hex}", "display_name": ERASED, "password_hash": None, "pin_hash": None, "picture": False}
        yield Part(_l("账号和口令"), Account, Account.id == one, shell | {"active": False, "epoch": Account.epoch + 1})


holds(_own)


# --- texts that only a person can judge


def _mentions(person: Person) -> tuple[Mention, ...]:
    """Texts of the school, outside the tables that are emptied, in which the name stands."""
    covered = {part.model.__tablename__ for parts, _act in _ROOMS for part in parts(person)} | {"person", "account"}
    escaped = json.dumps(person.name)[1:-1]  # as JSON columns hold it
    found = []
    for table in Base.metadata.sorted_tables:
        if table.name in covered:
            continue
        for column in table.columns:
            if not isinstance(column.type, String | Text | JSON) or column.foreign_keys:
                continue
            text = cast(column, Text)
            hit = text.contains(person.name, autoescape=True) | text.contains(escaped, autoescape=True)
            query = select(func.count()).select_from(table).where(hit)
            if "school_id" in table.columns:
                query = query.where(table.columns.school_id == person.school_id)
            count = db.session.scalar(query) or 0
            if count:
                found.append(Mention(table.name, column.name, count))
    return tuple(found)


# --- whom to erase


def pupil_of(school_id: uuid.UUID, wanted: str) -> Person:
    """The pupil of an id, a school number or a name that only one has; raises NotFound, Refused (``two-pupils``)."""
    found = search(school_id, wanted)
    exact = [one for one in found if str(one.id) == wanted] or [one for one in found if one.name == wanted] or found
    if not exact:
        raise NotFound("pupil", _l("没有找到这名学生：%(wanted)s", wanted=wanted), remedy=_l("请写学号、姓名或编号。"))
    if len(exact) > 1:
        raise Refused("two-pupils", _l("有 %(n)s 名学生都对得上。", n=len(exact)), remedy=_l("请写学号。"))
    return exact[0]


def search(school_id: uuid.UUID, wanted: str) -> Sequence[Person]:
    """Pupils, also those who left, by id, school number or name; at most 50."""
    wanted = wanted.strip()
    if not wanted:
        return ()
    numbered = select(PersonAlias.person_id).where(PersonAlias.school_id == school_id, PersonAlias.scheme == "student_no", PersonAlias.value == wanted)
    hit = Person.name.contains(wanted, autoescape=True) | Person.id.in_(numbered)
    with contextlib.suppress(ValueError):
        hit |= Person.id == uuid.UUID(wanted)
    query = select(Person).where(Person.school_id == school_id, Person.kind == "student", Person.erased_on.is_(None), hit)
    return db.session.scalars(query.order_by(Person.name, Person.id).limit(50)).all()


def due(school_id: uuid.UUID, today: date) -> list[Person]:
    """Pupils who left, or whose class ended its stage, more than a year ago and are not erased yet."""
    school, limit = school_of(school_id), today - KEPT_AFTER_LEAVING
    waiting = Person.school_id == school_id, Person.kind == "student", Person.erased_on.is_(None)
    left = db.session.scalars(select(Person).where(*waiting, Person.left_on < limit)).all()
    still = select(Person, SchoolClass).join(Enrollment, Enrollment.person_id == Person.id).join(SchoolClass, SchoolClass.id == Enrollment.class_id)
    newest: dict[Person, int] = {}
    for person, cohort in db.session.execute(still.where(*waiting, Person.left_on.is_(None))).all():
        beyond = grade_of(cohort.stage, cohort.entry_year, limit, school.system) - last_grade(cohort.stage, school.system)
        newest[person] = min(beyond, newest.get(person, beyond))
    gone = [person for person, beyond in newest.items() if beyond > 0]
    return sorted((*left, *gone), key=lambda one: (one.left_on or date.min, one.name, one.id))


def propose(today: date | None = None) -> int:
    """Once a year: tell the admins of each school who may be erased now; they decide. Returns how many schools have some."""
    count = 0
    here = select(Person.school_id).where(Person.kind == "student", Person.erased_on.is_(None)).distinct()
    for school in db.session.scalars(select(School).where(School.id.in_(here))).all():
        day = today or today_of(school)
        found, key = due(school.id, day), f"erase-due-{day.year}"
        if not found:
            notices.end(school.id, key)
            continue
        count += 1
        title = f"有 {len(found)} 名离校满一年的学生，个人信息应当删除"
        matter = notices.Matter(key, title, "请核对名单后确认删除；开课记录和证据链不受影响。", "/school/erase")
        notices.tell(school.id, notices.holders(school.id, "school_admin"), matter)
    return count


def _propose() -> None:
    propose()


every(58, "propose-erasing", _propose)
