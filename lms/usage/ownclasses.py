"""Which classes of the school a person may see (可见班级)."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select

from lms.core.auth import may
from lms.core.db import db
from lms.core.models import Account
from lms.roster import service as roster
from lms.roster.models import TeachingAssignment


def own_classes(account: Account, today: date) -> frozenset[str] | None:
    """Ids of the classes that the account may see; None for all (admin)."""
    if may(account, ("school_admin",)):
        return None
    person = roster.teacher_of(account)
    if person is None:
        return frozenset()
    query = select(TeachingAssignment.class_id).where(
        TeachingAssignment.school_id == person.school_id,
        TeachingAssignment.teacher_id == person.id,
        roster.assigned(today),
    )
    return frozenset(str(class_id) for class_id in db.session.scalars(query))
