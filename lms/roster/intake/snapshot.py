"""The roster as plain facts for judging imports (现状快照)."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import date

from sqlalchemy import or_, select

from lms.core.db import db
from lms.roster.access import assigned, school_of, today_of
from lms.roster.intake.pupils import Known, KnownPupil
from lms.roster.intake.slots import KnownSlot, SlotWorld
from lms.roster.intake.staff import KnownStaff
from lms.roster.intake.verdicts import Shape
from lms.roster.models import (
    Enrollment,
    GuardianLink,
    Period,
    Person,
    PersonAlias,
    Room,
    SchoolClass,
    TeachingAssignment,
    TimetableSlot,
)
from lms.roster.rules import Cohort, squeeze
from lms.roster.school import stages_of


def shape_of(school_id: uuid.UUID) -> Shape:
    """Stages, system and today of the school."""
    school = school_of(school_id)
    return Shape(tuple(stage.stage for stage in stages_of(school_id)), school.system, today_of(school))


def class_ids(school_id: uuid.UUID) -> dict[Cohort, uuid.UUID]:
    """Administrative classes that are not closed, by identity."""
    rows = db.session.execute(
        select(SchoolClass.stage, SchoolClass.entry_year, SchoolClass.number, SchoolClass.id).where(
            SchoolClass.school_id == school_id, SchoolClass.kind == "administrative", SchoolClass.closed_on.is_(None)
        )
    )
    return {Cohort(stage, entry_year, number): class_id for stage, entry_year, number, class_id in rows}


def _aliases(school_id: uuid.UUID, schemes: Iterable[str]) -> dict[tuple[uuid.UUID, str], str]:
    rows = db.session.execute(
        select(PersonAlias.person_id, PersonAlias.scheme, PersonAlias.value).where(
            PersonAlias.school_id == school_id, PersonAlias.scheme.in_(list(schemes))
        )
    )
    return {(person_id, scheme): value for person_id, scheme, value in rows}


def known_pupils(school_id: uuid.UUID, on: date) -> Known:
    """Every pupil, also those who left, and every class."""
    cohorts = class_ids(school_id)
    by_id = {class_id: cohort for cohort, class_id in cohorts.items()}
    places = {
        person_id: (by_id.get(class_id), roll_no)
        for person_id, class_id, roll_no in db.session.execute(
            select(Enrollment.person_id, Enrollment.class_id, Enrollment.roll_no).where(
                Enrollment.school_id == school_id, Enrollment.starts_on <= on, or_(Enrollment.ends_on.is_(None), Enrollment.ends_on >= on)
            )
        )
        if class_id in by_id
    }
    aliases = _aliases(school_id, ("student_no", "registry_hmac"))
    guardians = {
        student_id: (name, phone)
        for student_id, name, phone in db.session.execute(
            select(GuardianLink.student_id, Person.name, GuardianLink.phone)
            .join(Person, Person.id == GuardianLink.guardian_id)
            .where(GuardianLink.school_id == school_id)
        )
    }
    pupils = []
    for person_id, name, sex, left_on in db.session.execute(
        select(Person.id, Person.name, Person.sex, Person.left_on).where(Person.school_id == school_id, Person.kind == "student")
    ):
        cohort, roll_no = places.get(person_id, (None, 0))
        pupils.append(
            KnownPupil(
                str(person_id),
                name,
                sex,
                cohort,
                roll_no,
                aliases.get((person_id, "student_no"), ""),
                aliases.get((person_id, "registry_hmac"), ""),
                left_on is not None,
                guardians.get(person_id, ("", "")),
            )
        )
    return Known(tuple(pupils), frozenset(cohorts))


def known_staff(school_id: uuid.UUID, on: date) -> tuple[KnownStaff, ...]:
    """Staff who have not left, with their duties."""
    by_id = {class_id: cohort for cohort, class_id in class_ids(school_id).items()}
    duties: dict[uuid.UUID, set[tuple[Cohort, str]]] = defaultdict(set)
    for teacher_id, class_id, subject in db.session.execute(
        select(TeachingAssignment.teacher_id, TeachingAssignment.class_id, TeachingAssignment.subject).where(
            TeachingAssignment.school_id == school_id, assigned(on)
        )
    ):
        if class_id in by_id:
            duties[teacher_id].add((by_id[class_id], subject))
    aliases = _aliases(school_id, ("staff_no",))
    rows = db.session.execute(
        select(Person.id, Person.name, Person.title).where(Person.school_id == school_id, Person.kind == "staff", Person.left_on.is_(None))
    )
    return tuple(
        KnownStaff(str(person_id), name, aliases.get((person_id, "staff_no"), ""), title, frozenset(duties.get(person_id, ())))
        for person_id, name, title in rows
    )


def slot_world(school_id: uuid.UUID, term_id: uuid.UUID, on: date) -> SlotWorld:
    """Classes, staff, rooms, period times and the term's slots."""
    cohorts = class_ids(school_id)
    by_id = {class_id: cohort for cohort, class_id in cohorts.items()}
    rooms: dict[str, str] = {}
    for room_id, code, name in db.session.execute(select(Room.id, Room.code, Room.name).where(Room.school_id == school_id)):
        rooms[code.lower()] = rooms[squeeze(name).lower()] = str(room_id)
    periods = {
        (period.stage, period.ordinal): (period.starts_at, period.ends_at)
        for period in db.session.scalars(select(Period).where(Period.school_id == school_id))
    }
    slots = tuple(
        KnownSlot(
            str(slot.id),
            by_id[slot.class_id],
            slot.weekday,
            ordinal,
            slot.weeks,
            slot.subject,
            str(slot.teacher_id),
            str(slot.room_id) if slot.room_id else "",
        )
        for slot, ordinal in db.session.execute(
            select(TimetableSlot, Period.ordinal)
            .join(Period, Period.id == TimetableSlot.period_id)
            .where(TimetableSlot.school_id == school_id, TimetableSlot.term_id == term_id)
        )
        if slot.class_id in by_id
    )
    return SlotWorld(frozenset(cohorts), known_staff(school_id, on), rooms, periods, slots)
