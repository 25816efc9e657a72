"""Verbs on classes and who is in them (班级、在班、转班、离校)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, or_, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, Refused
from lms.core.models import Account, Lockout
from lms.core.stages import SCHOOL_TYPES, grade_of, school_year
from lms.roster import rules
from lms.roster.access import assigned, need_admin, need_class, school_of, teacher_of, today_of
from lms.roster.models import Enrollment, Person, PersonAlias, School, SchoolClass, TeachingAssignment


@dataclass(frozen=True)
class Pupil:
    """A pupil of a class on a day."""

    person_id: uuid.UUID
    account_id: uuid.UUID | None
    name: str
    roll_no: int


@dataclass(frozen=True)
class PupilLine:
    """A pupil as the class page shows one: number, sex, whether a PIN is set and whether the account is locked."""

    person_id: uuid.UUID
    account_id: uuid.UUID | None
    name: str
    roll_no: int
    student_no: str
    sex: str
    has_pin: bool
    picture: bool
    locked: bool


@dataclass(frozen=True)
class ClassLine:
    """A class as the list shows it; ``pupils`` in it today, ``without_pin`` of them cannot sign in yet."""

    id: uuid.UUID
    name: str
    stage: str
    grade: int
    entry_year: int
    number: int
    pupils: int
    without_pin: int
    teachers: tuple[str, ...]


def cohort_facts(cohort: SchoolClass) -> rules.Cohort:
    """The class's identity as a plain fact."""
    return rules.Cohort(cohort.stage, cohort.entry_year, cohort.number)


def class_name(cohort: SchoolClass, school: School, on: date) -> str:
    """Display name of the class on a day in the school's style; a teaching class (走班) goes by its label."""
    if cohort.label:
        return cohort.label
    many = len(SCHOOL_TYPES.get(school.school_type, ())) > 1
    return rules.class_name(cohort_facts(cohort), on, style=school.class_style, system=school.system, many_stages=many)


def _in_force(on: date) -> tuple[object, ...]:
    return Enrollment.starts_on <= on, or_(Enrollment.ends_on.is_(None), Enrollment.ends_on >= on)


def roster_of(class_id: uuid.UUID, on: date) -> list[Pupil]:
    """Pupils of a class on a day, by roll number, then name."""
    rows = db.session.execute(
        select(Person.id, Person.account_id, Person.name, Enrollment.roll_no)
        .join(Enrollment, Enrollment.person_id == Person.id)
        .where(Enrollment.class_id == class_id, *_in_force(on))  # type: ignore[arg-type]  # conditions of one table
        .order_by(Enrollment.roll_no, Person.name)
    )
    return [Pupil(*row) for row in rows]


def class_of(person_id: uuid.UUID, on: date) -> SchoolClass | None:
    """The administrative class that a pupil is in on a day."""
    return db.session.scalar(
        select(SchoolClass)
        .join(Enrollment, Enrollment.class_id == SchoolClass.id)
        .where(Enrollment.person_id == person_id, *_in_force(on))  # type: ignore[arg-type]  # SQLAlchemy cannot type a tuple of conditions
        .order_by(SchoolClass.kind)
    )


def class_page(actor: Account, cohort: SchoolClass) -> list[PupilLine]:
    """The class's list for its teacher or the admin; the access is journalled (view-roster)."""
    need_class(actor, cohort)
    now, today = clock.now(), today_of(school_of(cohort.school_id))
    student_no = select(func.min(PersonAlias.value)).where(PersonAlias.person_id == Person.id, PersonAlias.scheme == "student_no").scalar_subquery()
    rows = db.session.execute(
        select(Person.id, Person.account_id, Person.name, Enrollment.roll_no, student_no, Person.sex, Account.pin_hash, Account.picture)
        .join(Enrollment, Enrollment.person_id == Person.id)
        .outerjoin(Account, Account.id == Person.account_id)
        .where(Enrollment.class_id == cohort.id, *_in_force(today))  # type: ignore[arg-type]  # SQLAlchemy cannot type a tuple of conditions
        .order_by(Enrollment.roll_no, Person.name)
    ).all()
    locked = set(db.session.scalars(select(Lockout.subject).where(Lockout.school_id == cohort.school_id, Lockout.locked_until > now)))
    audit(actor, "view-roster", "school_class", cohort.id, school_id=cohort.school_id, pupils=len(rows))
    return [
        PupilLine(person, account, name, roll, number or "", sex, pin is not None, bool(picture), f"account:{account}" in locked)
        for person, account, name, roll, number, sex, pin, picture in rows
    ]


def classes_of(school_id: uuid.UUID, *, left: bool = False) -> list[SchoolClass]:
    """Classes that run, by stage, grade (lowest first) and number; with ``left`` the graduated and closed ones instead."""
    school = school_of(school_id)
    today = today_of(school)
    found = db.session.scalars(select(SchoolClass).where(SchoolClass.school_id == school_id)).all()

    def gone(cohort: SchoolClass) -> bool:
        return rules.has_left(cohort_facts(cohort), today, school.system) or (cohort.closed_on is not None and cohort.closed_on < today)

    chosen = [cohort for cohort in found if gone(cohort) == left]
    return sorted(chosen, key=lambda each: (grade_of(each.stage, each.entry_year, today, school.system), each.number, each.kind))


def class_lines(actor: Account, school_id: uuid.UUID, *, mine_only: bool = False, left: bool = False) -> list[ClassLine]:
    """The list of classes with counts; ``mine_only`` shows those that the actor teaches."""
    school = school_of(school_id)
    today = today_of(school)
    counts = {
        class_id: (pupils, without)
        for class_id, pupils, without in db.session.execute(
            select(Enrollment.class_id, func.count(), func.count().filter(Account.pin_hash.is_(None)))
            .join(Person, Person.id == Enrollment.person_id)
            .outerjoin(Account, Account.id == Person.account_id)
            .where(Enrollment.school_id == school_id, *_in_force(today))  # type: ignore[arg-type]  # SQLAlchemy cannot type a tuple of conditions
            .group_by(Enrollment.class_id)
        )
    }
    teachers: dict[uuid.UUID, list[tuple[uuid.UUID, str]]] = {}
    for class_id, person_id, name in db.session.execute(
        select(TeachingAssignment.class_id, Person.id, Person.name)
        .join(Person, Person.id == TeachingAssignment.teacher_id)
        .where(TeachingAssignment.school_id == school_id, assigned(today))
        .order_by(Person.name)
    ):
        teachers.setdefault(class_id, []).append((person_id, name))
    me = teacher_of(actor)
    lines = []
    for cohort in classes_of(school_id, left=left):
        taught = teachers.get(cohort.id, [])
        if mine_only and (me is None or me.id not in {person_id for person_id, _name in taught}):
            continue
        pupils, without = counts.get(cohort.id, (0, 0))
        lines.append(
            ClassLine(
                cohort.id,
                class_name(cohort, school, today),
                cohort.stage,
                grade_of(cohort.stage, cohort.entry_year, today, school.system),
                cohort.entry_year,
                cohort.number,
                pupils,
                without,
                tuple(dict.fromkeys(name for _id, name in taught)),
            )
        )
    return lines


def create_class(
    actor: Account | None, school_id: uuid.UUID, cohort: rules.Cohort, *, formed_on: date | None = None, kind: str = "administrative", label: str = ""
) -> SchoolClass:
    """Found a class (建班). ``formed_on`` is the 分班 date (B2), default 1 September of the running school year; its pupils' PINs
    start as pictures in grades 1 and 2."""
    need_admin(actor, school_id)
    school = school_of(school_id)
    if not 1 <= cohort.number <= rules.MAX_CLASS_NUMBER:
        raise Invalid("class-number-range", _l("班号应在 1 到 60 之间。"), where="number")
    with write():
        same = select(SchoolClass.id).where(
            SchoolClass.school_id == school_id,
            SchoolClass.stage == cohort.stage,
            SchoolClass.entry_year == cohort.entry_year,
            SchoolClass.number == cohort.number,
            SchoolClass.kind == kind,
        )
        if db.session.scalar(same):
            raise Refused("class-exists", _l("这个班已经有了。"), remedy=_l("请在班级列表中打开它。"))
        today = today_of(school)
        grade = grade_of(cohort.stage, cohort.entry_year, today, school.system)
        row = SchoolClass(
            id=new_id(),
            school_id=school_id,
            stage=cohort.stage,
            entry_year=cohort.entry_year,
            number=cohort.number,
            kind=kind,
            label=label.strip(),
            formed_on=formed_on or date(max(school_year(today), cohort.entry_year), 9, 1),
            pin_style="pictures" if grade <= 2 else "digits",
        )
        db.session.add(row)
        audit(actor, "create-class", "school_class", row.id, school_id=school_id)
    return row


def set_pin_style(actor: Account, cohort: SchoolClass, style: str) -> None:
    """Choose digits or pictures for the class's new PINs; PINs already printed stay as they are."""
    need_class(actor, cohort)
    if style not in ("digits", "pictures"):
        raise Invalid("pin-style", _l("请选择数字或图片。"), where="pin_style")
    with write():
        cohort.pin_style = style
        audit(actor, "set-pin-style", "school_class", cohort.id, school_id=cohort.school_id, style=style)


def move_pupil(actor: Account | None, person: Person, to: SchoolClass, on: date, *, roll_no: int = 0) -> Enrollment:
    """Move a pupil to another class from a day on (转班); the old enrolment ends the day before, so that records keep their class."""
    need_admin(actor, person.school_id)
    if to.school_id != person.school_id or person.kind != "student":
        raise Invalid("move", _l("只能把学生转到本校的班级。"), where="class_id")
    with write():
        for old in _open_enrollments(person.id):
            if old.class_id == to.id:
                raise Refused("already-there", _l("这名学生已经在这个班。"))
            _end(old, on - timedelta(days=1))
        row = Enrollment(id=new_id(), school_id=person.school_id, person_id=person.id, class_id=to.id, roll_no=roll_no, starts_on=on)
        db.session.add(row)
        audit(actor, "move-pupil", "person", person.id, school_id=person.school_id, to=str(to.id), on=on.isoformat())
    return row


def leave(actor: Account | None, person: Person, on: date, reason: str = "") -> None:
    """A pupil or member of staff leaves (离校、离职); ``on`` is the last day. The account closes and its sessions end."""
    need_admin(actor, person.school_id)
    with write():
        for enrollment in _open_enrollments(person.id):
            _end(enrollment, on)
        for duty in db.session.scalars(select(TeachingAssignment).where(TeachingAssignment.teacher_id == person.id, TeachingAssignment.ends_on.is_(None))):
            duty.ends_on = on
        person.left_on = on
        account = db.session.get(Account, person.account_id) if person.account_id else None
        if account is not None:
            account.active = False
            account.epoch += 1
        audit(actor, "leave", "person", person.id, reason or None, school_id=person.school_id, on=on.isoformat())


def _open_enrollments(person_id: uuid.UUID) -> Sequence[Enrollment]:
    return db.session.scalars(select(Enrollment).where(Enrollment.person_id == person_id, Enrollment.ends_on.is_(None))).all()


def _end(enrollment: Enrollment, last_day: date) -> None:
    if last_day < enrollment.starts_on:  # it never began: a correction of the same day
        db.session.delete(enrollment)
    else:
        enrollment.ends_on = last_day
