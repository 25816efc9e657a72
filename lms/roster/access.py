"""Who may see and change what in the roster (权限): the school's admin everything, a teacher the classes taught."""

from __future__ import annotations

import uuid
from datetime import date
from typing import TypeVar

from flask_babel import lazy_gettext as _l
from sqlalchemy import BindParameter, ColumnElement, Date, bindparam, or_, select

from lms.core import clock
from lms.core.auth import may
from lms.core.db import SchoolRow, db
from lms.core.errors import NotAllowed, NotFound
from lms.core.models import Account
from lms.roster.models import Person, School, SchoolClass, TeachingAssignment

ADMIN = ("school_admin",)
STAFF = ("teacher", "school_admin")


Row = TypeVar("Row", bound=SchoolRow)


def get_row(model: type[Row], row_id: uuid.UUID, school_id: uuid.UUID) -> Row:
    """The row, if the school owns it; NotFound otherwise, so that ids of other schools tell nothing."""
    row = db.session.get(model, row_id)
    if row is None or row.school_id != school_id:
        raise NotFound("not-here", _l("找不到这一项，可能已被删除。"), remedy=_l("请回到列表重新选择。"))
    return row


def school_of(school_id: uuid.UUID) -> School:
    """The school; NotFound where the organisation is none."""
    school = db.session.get(School, school_id)
    if school is None:
        raise NotFound("no-school", _l("您的账号不属于任何一所学校。"), remedy=_l("请用学校的账号登录。"))
    return school


def today_of(school: School) -> date:
    """Today in the school's zone."""
    return clock.local_date(clock.now(), school.zone)


def person_of(account_id: uuid.UUID) -> Person | None:
    """The person behind an account."""
    return db.session.scalar(select(Person).where(Person.account_id == account_id))


def teacher_of(account: Account) -> Person | None:
    """The member of staff behind an account; None for pupils and for accounts without a person."""
    person = person_of(account.id)
    return person if person is not None and person.kind == "staff" else None


def assigned(on: date | BindParameter[date]) -> ColumnElement[bool]:
    """The condition that a teaching assignment holds on a day."""
    return or_(TeachingAssignment.ends_on.is_(None), TeachingAssignment.ends_on >= on)


_TEACHES = (
    select(TeachingAssignment.id)
    .join(Person, Person.id == TeachingAssignment.teacher_id)
    .where(
        TeachingAssignment.school_id == Person.school_id,
        TeachingAssignment.class_id == bindparam("cohort"),
        Person.account_id == bindparam("account"),
        Person.kind == "staff",
        assigned(bindparam("on", type_=Date)),
    )
    .limit(1)
)  # made once: pages with a class ask it each time


def teaches(account: Account, class_id: uuid.UUID, on: date) -> bool:
    """Whether the account's person has a teaching assignment for the class on a day (任课)."""
    facts = {"cohort": class_id, "account": account.id, "on": on}
    return db.session.connection().execute(_TEACHES, facts).first() is not None


def need_admin(actor: Account | None, school_id: uuid.UUID) -> None:
    """Refuse whoever is not an admin of the school; ``None`` is the installation itself (first run, demo)."""
    if actor is not None and not may(actor, ADMIN, school_id):
        raise NotAllowed("admin-only", _l("只有学校管理员可以做这件事。"), remedy=_l("请联系学校管理员。"))


def need_class(actor: Account | None, cohort: SchoolClass) -> None:
    """Refuse whoever neither administers the school nor teaches the class."""
    if actor is None or may(actor, ADMIN, cohort.school_id):
        return
    if not (may(actor, STAFF, cohort.school_id) and teaches(actor, cohort.id, today_of(school_of(cohort.school_id)))):
        raise NotAllowed("not-your-class", _l("您没有任教这个班，不能查看或修改它的名单、作业和记录。"), remedy=_l("请管理员在“人员”页为您登记任教班级。"))
