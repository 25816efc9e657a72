"""Verbs on people: pupils, staff, their accounts, PINs and duties (人员、账号、口令、任课)."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from flask_babel import lazy_gettext as _l
from sqlalchemy import or_, select, update

from lms.core.audit import audit
from lms.core.auth import hash_password, hash_pin, unlock
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account, Lockout, RoleGrant
from lms.roster.access import assigned, need_admin, need_class, school_of, today_of
from lms.roster.classes import class_name, class_of, roster_of
from lms.roster.models import Enrollment, Person, PersonAlias, SchoolClass, TeachingAssignment
from lms.roster.rules import PICTURES, weak_pin

ROLES = ("teacher", "school_admin")
_EASY_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class Card:
    """A pupil's PIN card (口令卡): ``pin`` as digits, or ``pictures`` for the youngest; shown once."""

    person_id: uuid.UUID
    name: str
    class_name: str
    roll_no: int
    pin: str
    pictures: tuple[str, ...] = ()


def new_pin() -> str:
    """Four random digits that are not too easy to guess."""
    while weak_pin(pin := f"{secrets.randbelow(10000):04d}"):
        pass
    return pin


def new_picture_row() -> str:
    """Three random pictures as the row that is hashed, e.g. ``cat-sun-fish``."""
    return "-".join(secrets.choice(PICTURES) for _place in range(3))


def new_password() -> str:
    """A first password for staff: twelve letters and digits that are not mistaken for one another, in groups of four."""
    letters = "".join(secrets.choice(_EASY_LETTERS) for _place in range(12))
    return "-".join(letters[start : start + 4] for start in (0, 4, 8))


def add_pupil(actor: Account | None, cohort: SchoolClass, name: str, *, student_no: str = "", sex: str = "", roll_no: int = 0) -> Person:
    """Enrol one pupil from today (插班); many come by import. The account has no PIN until its card is printed."""
    need_admin(actor, cohort.school_id)
    name = name.strip()
    if not name or len(name) > 50:
        raise Invalid("name", _l("请填写姓名（不超过 50 字）。"), where="name")
    today = today_of(school_of(cohort.school_id))
    with write():
        if student_no and _alias(cohort.school_id, "student_no", student_no):
            raise Refused("number-taken", _l("学号 %(no)s 已经有人用了。", no=student_no), remedy=_l("请核对学号。"))
        person_id = new_id()
        account = Account(
            id=new_id(),
            organisation_id=cohort.school_id,
            kind="student",
            username=f"s-{student_no or person_id.hex}",
            display_name=name,
            picture=cohort.pin_style == "pictures",
        )
        person = Person(id=person_id, school_id=cohort.school_id, kind="student", name=name, sex=sex, account_id=account.id)
        db.session.add(account)
        db.session.flush()
        db.session.add(person)
        db.session.flush()
        if student_no:
            db.session.add(PersonAlias(school_id=cohort.school_id, person_id=person.id, scheme="student_no", value=student_no))
        db.session.add(Enrollment(school_id=cohort.school_id, person_id=person.id, class_id=cohort.id, roll_no=roll_no, starts_on=today))
        audit(actor, "add-pupil", "person", person.id, school_id=cohort.school_id)
    return person


def _alias(school_id: uuid.UUID, scheme: str, value: str) -> PersonAlias | None:
    return db.session.scalar(
        select(PersonAlias).where(PersonAlias.school_id == school_id, PersonAlias.scheme == scheme, PersonAlias.value == value)
    )


def pin_class(person: Person) -> SchoolClass:
    """The class whose teachers may reset the pupil's PIN."""
    cohort = class_of(person.id, today_of(school_of(person.school_id))) if person.kind == "student" else None
    if cohort is None:
        raise NotFound("no-class", _l("这名学生现在不在任何班级。"), remedy=_l("请先在班级页把学生编入班级。"))
    return cohort


def set_pin(actor: Account, person: Person) -> str:
    """Give a pupil a new PIN (digits, or a row of pictures as ``a-b-c``) and lift a lock; the return is shown once, only its hash is kept."""
    cohort = pin_class(person)
    need_class(actor, cohort)
    if person.account_id is None:
        raise NotFound("no-account", _l("这名学生还没有账号。"), remedy=_l("请重新导入名单。"))
    picture = cohort.pin_style == "pictures"
    pin = new_picture_row() if picture else new_pin()
    hashed = hash_pin(pin)
    with write():
        account = db.session.get(Account, person.account_id)
        assert account is not None
        account.pin_hash, account.picture = hashed, picture
        lock = db.session.get(Lockout, f"account:{account.id}")
        if lock is not None:
            db.session.delete(lock)
        audit(actor, "set-pin", "person", person.id, school_id=person.school_id)
    return pin


def unlock_pupil(actor: Account, person: Person) -> None:
    """Lift the lock of a pupil's account (解锁), by the class's teacher or the admin."""
    need_class(actor, pin_class(person))
    unlock(actor, f"account:{person.account_id}")


def pin_cards(actor: Account | None, class_id: uuid.UUID, *, only_missing: bool = False) -> list[Card]:
    """New PINs for the whole class (or for those without one) as cards to print; earlier PINs stop working. Shown once."""
    cohort = db.session.get(SchoolClass, class_id)
    if cohort is None:
        raise NotFound("not-here", _l("找不到这个班。"), remedy=_l("请回到班级列表重新选择。"))
    need_class(actor, cohort)
    school = school_of(cohort.school_id)
    today = today_of(school)
    picture = cohort.pin_style == "pictures"
    pupils = [pupil for pupil in roster_of(class_id, today) if pupil.account_id is not None]
    if only_missing:
        bare = set(db.session.scalars(select(Account.id).where(Account.id.in_([pupil.account_id for pupil in pupils]), Account.pin_hash.is_(None))))
        pupils = [pupil for pupil in pupils if pupil.account_id in bare]
    pins = [new_picture_row() if picture else new_pin() for _pupil in pupils]
    rows = [
        {"id": pupil.account_id, "pin_hash": hash_pin(pin), "picture": picture} for pupil, pin in zip(pupils, pins, strict=True)
    ]
    with write():
        if rows:
            db.session.execute(update(Account), rows)
        audit(actor, "print-pin-cards", "school_class", class_id, school_id=cohort.school_id, cards=len(rows))
    name = class_name(cohort, school, today)
    return [
        Card(pupil.person_id, pupil.name, name, pupil.roll_no, "" if picture else pin, tuple(pin.split("-")) if picture else ())
        for pupil, pin in zip(pupils, pins, strict=True)
    ]


def create_staff(
    actor: Account | None,
    school_id: uuid.UUID,
    name: str,
    *,
    staff_no: str = "",
    username: str = "",
    roles: Sequence[str] = ("teacher",),
    password: str | None = None,
    title: str = "",
) -> Person:
    """A member of staff with an account (教职工): signs in with ``username`` or the 工号; without ``password`` not before one is set."""
    need_admin(actor, school_id)
    if not name.strip() or len(name) > 50:
        raise Invalid("name", _l("请填写姓名（不超过 50 字）。"), where="name")
    if not roles or any(role not in ROLES for role in roles):
        raise Invalid("roles", _l("请选择教师或学校管理员。"), where="roles")
    hashed = hash_password(password) if password else None
    with write():
        person_id = new_id()
        wanted = username.strip() or staff_no.strip() or f"t-{person_id.hex[-8:]}"
        if db.session.scalar(select(Account.id).where(Account.organisation_id == school_id, Account.username == wanted)):
            raise Refused("username-taken", _l("用户名 %(name)s 已经有人用了。", name=wanted), remedy=_l("请换一个用户名或核对工号。"))
        account = Account(
            id=new_id(), organisation_id=school_id, kind="staff", username=wanted, display_name=name.strip(), password_hash=hashed, must_change=hashed is None
        )
        db.session.add(account)
        db.session.flush()
        db.session.add_all(RoleGrant(account_id=account.id, role=role, organisation_id=school_id) for role in roles)
        person = Person(id=person_id, school_id=school_id, kind="staff", name=name.strip(), title=title.strip(), account_id=account.id)
        db.session.add(person)
        db.session.flush()
        if staff_no.strip():
            db.session.add(PersonAlias(school_id=school_id, person_id=person.id, scheme="staff_no", value=staff_no.strip()))
        audit(actor, "create-staff", "person", person.id, school_id=school_id, roles=list(roles))
    return person


def reset_password(actor: Account, person: Person) -> str:
    """Give a member of staff a new first password; shown once, to be changed at the next sign-in. Ends the account's sessions."""
    need_admin(actor, person.school_id)
    account = db.session.get(Account, person.account_id) if person.account_id else None
    if account is None or account.kind != "staff":
        raise NotFound("no-account", _l("这个人没有教职工账号。"), remedy=_l("请先在“人员”页建立账号。"))
    password = new_password()
    hashed = hash_password(password)
    with write():
        account.password_hash, account.must_change = hashed, True
        account.epoch += 1
        lock = db.session.get(Lockout, f"account:{account.id}")
        if lock is not None:
            db.session.delete(lock)
        audit(actor, "reset-password", "person", person.id, school_id=person.school_id)
    return password


def assign(actor: Account | None, teacher: Person, cohort: SchoolClass, subject: str) -> TeachingAssignment:
    """Note that a teacher teaches a subject to a class (任课); a duty that had ended begins again."""
    need_admin(actor, cohort.school_id)
    if teacher.school_id != cohort.school_id or teacher.kind != "staff" or not subject.strip():
        raise Invalid("assignment", _l("请选择本校教师、班级和学科。"), where="subject")
    with write():
        row = db.session.scalar(
            select(TeachingAssignment).where(
                TeachingAssignment.teacher_id == teacher.id, TeachingAssignment.class_id == cohort.id, TeachingAssignment.subject == subject.strip()
            )
        )
        if row is None:
            row = TeachingAssignment(
                id=new_id(), school_id=cohort.school_id, teacher_id=teacher.id, class_id=cohort.id, subject=subject.strip()[:32]
            )
            db.session.add(row)
        row.ends_on = None
        audit(actor, "assign", "teaching_assignment", row.id, school_id=cohort.school_id)
    return row


def day_before(day: date) -> date:
    """Yesterday: the last day of what ends at once."""
    return day - timedelta(days=1)


def end_assignment(actor: Account | None, row: TeachingAssignment, on: date) -> None:
    """End a duty; ``on`` is its last day."""
    need_admin(actor, row.school_id)
    with write():
        row.ends_on = on
        audit(actor, "end-assignment", "teaching_assignment", row.id, school_id=row.school_id)


@dataclass(frozen=True)
class StaffLine:
    """A member of staff as the people page shows one."""

    id: uuid.UUID
    name: str
    username: str
    title: str
    roles: tuple[str, ...]
    has_password: bool
    duties: tuple[tuple[uuid.UUID, str, str], ...]  # assignment id, class name, subject


def staff_of(school_id: uuid.UUID) -> list[StaffLine]:
    """Staff who have not left, by name, with roles and duties."""
    school = school_of(school_id)
    today = today_of(school)
    people = db.session.execute(
        select(Person, Account)
        .outerjoin(Account, Account.id == Person.account_id)
        .where(Person.school_id == school_id, Person.kind == "staff", or_(Person.left_on.is_(None), Person.left_on >= today))
        .order_by(Person.name)
    ).all()
    roles: dict[uuid.UUID, list[str]] = {}
    for account_id, role in db.session.execute(
        select(RoleGrant.account_id, RoleGrant.role).where(
            RoleGrant.account_id.in_([account.id for _person, account in people if account]), RoleGrant.revoked_at.is_(None)
        )
    ):
        roles.setdefault(account_id, []).append(role)
    duties: dict[uuid.UUID, list[tuple[uuid.UUID, str, str]]] = {}
    for duty, cohort in db.session.execute(
        select(TeachingAssignment, SchoolClass)
        .join(SchoolClass, SchoolClass.id == TeachingAssignment.class_id)
        .where(TeachingAssignment.school_id == school_id, assigned(today))
        .order_by(SchoolClass.entry_year.desc(), SchoolClass.number)
    ):
        duties.setdefault(duty.teacher_id, []).append((duty.id, class_name(cohort, school, today), duty.subject))
    return [
        StaffLine(
            person.id,
            person.name,
            account.username if account else "",
            person.title,
            tuple(sorted(roles.get(account.id, []))) if account else (),
            bool(account and account.password_hash),
            tuple(duties.get(person.id, [])),
        )
        for person, account in people
    ]
