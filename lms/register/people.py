"""Own staff of a school or an office (本单位人员): whom the register may name."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from lms.core.db import db
from lms.core.models import Account, Organisation
from lms.roster.models import Person


@dataclass(frozen=True)
class Member:
    """A member of staff: ``key`` names them in forms; of a school by person, of an office by account."""

    name: str
    title: str = ""
    person_id: uuid.UUID | None = None
    account_id: uuid.UUID | None = None
    left: bool = False

    @property
    def key(self) -> str:
        """The one id of the two, hex."""
        return (self.person_id or self.account_id or uuid.UUID(int=0)).hex


def staff_of(organisation_id: uuid.UUID) -> list[Member]:
    """Everybody who is or was of the own staff, by name; those who left are marked."""
    level = db.session.get_one(Organisation, organisation_id).level
    if level == "school":
        people = db.session.scalars(
            select(Person).where(Person.school_id == organisation_id, Person.kind == "staff").order_by(Person.name)
        )
        return [Member(row.name, row.title, row.id, None, row.left_on is not None) for row in people]
    accounts = db.session.scalars(
        select(Account)
        .where(Account.organisation_id == organisation_id, Account.kind == "staff")
        .order_by(Account.display_name)
    )
    return [Member(row.display_name, "", None, row.id, not row.active) for row in accounts]


def keys_of(account: Account) -> frozenset[str]:
    """Keys under which the account's owner may stand in the register of the own organisation."""
    person = db.session.scalar(
        select(Person.id).where(Person.account_id == account.id, Person.school_id == account.organisation_id)
    )
    return frozenset(one.hex for one in (person, account.id) if one is not None)


def by_name(staff: Iterable[Member]) -> dict[str, list[Member]]:
    """Members by name without blanks; two of one name stand in one list; those who left only where nobody else has the name."""
    found: dict[str, list[Member]] = {}
    for one in sorted(staff, key=lambda one: one.left):
        same = found.setdefault(one.name.replace(" ", ""), [])
        if not one.left or not same:
            same.append(one)
    return found
