"""Good rows into the roster (写入): called inside one short transaction, after everything was judged."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, insert, select

from lms.core.db import db, new_id
from lms.core.models import Account
from lms.roster.classes import create_class, move_pupil
from lms.roster.intake.pupils import Judged, PupilRow
from lms.roster.intake.slots import JudgedSlot
from lms.roster.intake.snapshot import class_ids
from lms.roster.intake.staff import JudgedStaff, StaffRow
from lms.roster.models import Enrollment, GuardianLink, Period, Person, PersonAlias, SchoolClass, TimetableSlot
from lms.roster.people import assign, create_staff
from lms.roster.rules import Cohort
from lms.roster.school import term_on


def store_pupils(actor: Account | None, school_id: uuid.UUID, judged: Sequence[Judged], on: date) -> None:
    """New pupils in bulk, changed ones one by one; missing classes are made."""
    classes = class_ids(school_id)
    for cohort in sorted({each.pupil.cohort for each in judged if each.pupil.cohort} - set(classes)):
        classes[cohort] = create_class(actor, school_id, cohort).id
    db.session.flush()
    for each in judged:
        if each.verdict.status == "changed":
            _change(actor, school_id, each.pupil, classes, on)
    db.session.flush()
    _insert(school_id, [each.pupil for each in judged if each.verdict.status == "new"], classes, on)


def _insert(school_id: uuid.UUID, rows: Sequence[PupilRow], classes: dict[Cohort, uuid.UUID], on: date) -> None:
    since, last_roll = _starts(school_id, on), _last_rolls(school_id)
    of_school = select(SchoolClass.id, SchoolClass.pin_style).where(SchoolClass.school_id == school_id)
    styles = dict(db.session.execute(of_school).all())
    accounts: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    aliases: list[dict[str, Any]] = []
    enrollments: list[dict[str, Any]] = []
    for row in rows:
        assert row.cohort is not None
        class_id, account_id, person_id = classes[row.cohort], new_id(), new_id()
        roll_no = row.roll_no or last_roll[class_id] + 1
        last_roll[class_id] = max(last_roll[class_id], roll_no)
        accounts.append(
            {
                "id": account_id,
                "organisation_id": school_id,
                "kind": "student",
                "username": f"s-{row.student_no or person_id.hex}",
                "display_name": row.name,
                "picture": styles[class_id] == "pictures",
            }
        )
        people.append({"id": person_id, "school_id": school_id, "kind": "student", "name": row.name, "sex": row.sex, "account_id": account_id})
        for scheme, value in (("student_no", row.student_no), ("registry_hmac", row.registry)):
            if value:
                aliases.append({"school_id": school_id, "person_id": person_id, "scheme": scheme, "value": value})
        enrollments.append(
            {"school_id": school_id, "person_id": person_id, "class_id": class_id, "roll_no": roll_no, "starts_on": since.get(class_id, on)}
        )
    for model, values in ((Account, accounts), (Person, people), (PersonAlias, aliases), (Enrollment, enrollments)):
        if values:
            db.session.execute(insert(model), values)
    for row, person in zip(rows, people, strict=True):
        _guardian(school_id, person["id"], row)


def _starts(school_id: uuid.UUID, on: date) -> dict[uuid.UUID, date]:
    """From when new pupils are in a class without pupils yet: the running term's first day or the 分班 date; elsewhere from today (插班)."""
    term = term_on(school_id, on)
    filled = set(db.session.scalars(select(Enrollment.class_id).where(Enrollment.school_id == school_id).distinct()))
    return {
        class_id: min(on, max(formed_on, term.starts_on) if term else formed_on)
        for class_id, formed_on in db.session.execute(select(SchoolClass.id, SchoolClass.formed_on).where(SchoolClass.school_id == school_id))
        if class_id not in filled
    }


def _last_rolls(school_id: uuid.UUID) -> dict[uuid.UUID, int]:
    rows = db.session.execute(
        select(Enrollment.class_id, func.max(Enrollment.roll_no)).where(Enrollment.school_id == school_id).group_by(Enrollment.class_id)
    )
    found: dict[uuid.UUID, int] = defaultdict(int)
    found.update(rows.all())
    return found


def _change(actor: Account | None, school_id: uuid.UUID, row: PupilRow, classes: dict[Cohort, uuid.UUID], on: date) -> None:
    person = db.session.get(Person, uuid.UUID(row.person_id))
    assert person is not None
    account = db.session.get(Account, person.account_id) if person.account_id else None
    if "name" in row.changes:
        person.name = row.name
        if account is not None:
            account.display_name = row.name
    if "sex" in row.changes:
        person.sex = row.sex
    if "returns" in row.changes:
        person.left_on = None
        if account is not None:
            account.active = True
    for field, scheme, value in (("student_no", "student_no", row.student_no), ("registry_no", "registry_hmac", row.registry)):
        if field in row.changes:
            _set_alias(school_id, person.id, scheme, value)
    if "class" in row.changes and row.cohort is not None:
        cohort = db.session.get(SchoolClass, classes[row.cohort])
        assert cohort is not None
        _end_today(person.id, on)
        move_pupil(actor, person, cohort, on, roll_no=row.roll_no)
    elif "roll_no" in row.changes:
        for enrollment in db.session.scalars(select(Enrollment).where(Enrollment.person_id == person.id, Enrollment.ends_on.is_(None))):
            enrollment.roll_no = row.roll_no
    if "guardian" in row.changes:
        _guardian(school_id, person.id, row)


def _end_today(person_id: uuid.UUID, on: date) -> None:
    """Enrolments that were to end today or later end yesterday, so that who returns today is in one class only."""
    for enrollment in db.session.scalars(select(Enrollment).where(Enrollment.person_id == person_id, Enrollment.ends_on >= on)):
        if enrollment.starts_on >= on:
            db.session.delete(enrollment)
        else:
            enrollment.ends_on = on - timedelta(days=1)


def _set_alias(school_id: uuid.UUID, person_id: uuid.UUID, scheme: str, value: str) -> None:
    alias = db.session.scalar(select(PersonAlias).where(PersonAlias.person_id == person_id, PersonAlias.scheme == scheme))
    if alias is None:
        db.session.add(PersonAlias(school_id=school_id, person_id=person_id, scheme=scheme, value=value))
    else:
        alias.value = value


def _guardian(school_id: uuid.UUID, student_id: uuid.UUID, row: PupilRow) -> None:
    if not (row.guardian or row.phone):
        return
    link = db.session.scalar(select(GuardianLink).where(GuardianLink.school_id == school_id, GuardianLink.student_id == student_id).limit(1))
    if link is None:
        guardian = Person(id=new_id(), school_id=school_id, kind="guardian", name=row.guardian or "监护人")
        db.session.add(guardian)
        db.session.flush()
        link = GuardianLink(school_id=school_id, student_id=student_id, guardian_id=guardian.id)
        db.session.add(link)
    else:
        stored = db.session.get(Person, link.guardian_id)
        assert stored is not None
        stored.name = row.guardian or "监护人"
    link.relation, link.phone = row.relation, row.phone


def store_staff(actor: Account | None, school_id: uuid.UUID, judged: Sequence[JudgedStaff]) -> None:
    """New staff with the role teacher and no password yet; duties are added, never taken away."""
    classes = class_ids(school_id)
    made: dict[str, Person] = {}
    usernames = set(db.session.scalars(select(Account.username).where(Account.organisation_id == school_id)))
    for each in judged:
        if each.verdict.status not in ("new", "changed"):
            continue
        row = each.row
        person = db.session.get(Person, uuid.UUID(row.person_id)) if row.person_id else made.get(row.key)
        if person is None:
            username = row.staff_no if row.staff_no not in usernames else f"t-{row.staff_no}"
            person = made[row.key] = create_staff(actor, school_id, row.name, staff_no=row.staff_no, username=username, title=row.title)
            usernames.add(username)
        _change_staff(actor, school_id, person, row, classes)


def _change_staff(actor: Account | None, school_id: uuid.UUID, person: Person, row: StaffRow, classes: dict[Cohort, uuid.UUID]) -> None:
    if row.title:
        person.title = row.title
    if row.sex:
        person.sex = row.sex
    if row.staff_no:
        _set_alias(school_id, person.id, "staff_no", row.staff_no)
        db.session.flush()
    for cohort in row.classes:
        target = db.session.get(SchoolClass, classes[cohort])
        assert target is not None
        assign(actor, person, target, row.subject)


def store_slots(school_id: uuid.UUID, term_id: uuid.UUID, judged: Sequence[JudgedSlot]) -> None:
    """New slots, and changed ones in their place."""
    classes = class_ids(school_id)
    periods = {(period.stage, period.ordinal): period.id for period in db.session.scalars(select(Period).where(Period.school_id == school_id))}
    for each in judged:
        row = each.row
        if each.verdict.status not in ("new", "changed") or row.cohort is None:
            continue
        slot = db.session.get(TimetableSlot, uuid.UUID(row.slot_id)) if row.slot_id else None
        if slot is None:
            slot = TimetableSlot(id=new_id(), school_id=school_id, term_id=term_id)
            db.session.add(slot)
        slot.class_id, slot.teacher_id = classes[row.cohort], uuid.UUID(row.teacher)
        slot.room_id = uuid.UUID(row.room) if row.room else None
        slot.period_id = periods[row.cohort.stage, row.ordinal]
        slot.weekday, slot.subject, slot.weeks = row.weekday, row.subject, row.weeks

