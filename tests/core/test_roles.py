"""Permission = role × organisation subtree; three powers apart; the journal sees it all."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core import accounts, audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import NotAllowed, NotFound, Refused
from lms.core.models import Account, AuditEntry, Organisation, RoleGrant
from lms.roster.models import Person
from tests import factories as make


def account_of(person: Person) -> Account:
    found = db.session.get(Account, person.account_id)
    assert found is not None
    return found


def officer_of(organisation: Organisation) -> Account:
    with write():
        account = Account(
            id=new_id(), organisation_id=organisation.id, kind="staff", username="officer", display_name="区教研员"
        )
        db.session.add(account)
        db.session.flush()
        db.session.add(RoleGrant(account_id=account.id, role="officer", organisation_id=organisation.id))
    return account


def test_an_officer_sees_the_schools_below_and_no_other(app: Flask) -> None:
    here, there = make.make_school("甲校"), make.make_school("乙校")
    county = db.session.get(Organisation, here.organisation.parent_id)
    assert county is not None
    officer = officer_of(county)
    assert may(officer, ("officer",), here.id)
    assert not may(officer, ("officer",), there.id)
    assert not may(officer, ("school_admin",), here.id)


def test_a_role_ends_when_revoked(app: Flask) -> None:
    school = make.make_school()
    admin, teacher = account_of(make.make_admin(school)), account_of(make.make_teacher(school))
    grant = accounts.grant(admin, teacher, "school_admin", school.id)
    assert may(teacher, ("school_admin",))
    accounts.revoke(admin, grant)
    assert not may(teacher, ("school_admin",))
    accounts.grant(admin, teacher, "school_admin", school.id)
    assert may(teacher, ("school_admin",))


def test_three_powers_are_three_people(app: Flask) -> None:
    school = make.make_school()
    admin, person = account_of(make.make_admin(school)), account_of(make.make_staff(school, "sys_admin"))
    with pytest.raises(Refused, match="roles-apart"):
        accounts.grant(admin, person, "audit_admin", school.id)


def test_nobody_raises_oneself(app: Flask) -> None:
    school = make.make_school()
    admin = account_of(make.make_admin(school))
    with pytest.raises(Refused, match="own-role"):
        accounts.grant(admin, admin, "audit_admin", school.id)


def test_a_teacher_grants_nothing(app: Flask) -> None:
    school = make.make_school()
    teacher, other = account_of(make.make_teacher(school)), account_of(make.make_teacher(school))
    with pytest.raises(NotAllowed):
        accounts.grant(teacher, other, "school_admin", school.id)


def test_an_admin_manages_no_account_of_another_school(app: Flask) -> None:
    here, there = make.make_school("甲校"), make.make_school("乙校")
    with pytest.raises(NotFound):
        accounts.managed_account(account_of(make.make_admin(here)), account_of(make.make_teacher(there)).id)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("teacher", set()),
        ("school_admin", {"/admin/accounts", "/admin/journal", "/admin/system"}),
        ("sec_admin", {"/admin/accounts"}),
        ("audit_admin", {"/admin/journal"}),
        ("sys_admin", {"/admin/system"}),
    ],
)
def test_who_opens_which_page(app: Flask, client: FlaskClient, role: str, allowed: set[str]) -> None:
    make.sign_in(client, make.make_staff(make.make_school(), role))
    pages = {"/admin/accounts", "/admin/journal", "/admin/system"}
    assert {page for page in pages if client.get(page).status_code == 200} == allowed
    assert all(client.get(page).status_code == 403 for page in pages - allowed)


def test_roles_are_given_and_taken_on_the_page(app: Flask, client: FlaskClient) -> None:
    school = make.make_school()
    teacher = account_of(make.make_teacher(school))
    make.sign_in(client, make.make_admin(school))
    token = make.token(client, "/admin/accounts")
    client.post(f"/admin/accounts/{teacher.id}/grant", data={"role": "audit_admin", "csrf_token": token})
    assert may(teacher, ("audit_admin",))
    grant = db.session.scalars(select(RoleGrant).where(RoleGrant.role == "audit_admin")).one()
    client.post(f"/admin/grants/{grant.id}/revoke", data={"csrf_token": token})
    db.session.expire_all()
    assert not may(teacher, ("audit_admin",))


def test_the_journal_shows_who_looked(app: Flask, client: FlaskClient) -> None:
    school = make.make_school()
    auditor = make.make_staff(school, "audit_admin", name="审计员")
    audit.access(account_of(make.make_teacher(school, name="钱老师")), "view-roster", "class", "c1", people=40)
    make.sign_in(client, auditor)
    page = client.get("/admin/journal?action=access:")
    assert "access:view-roster" in page.text
    assert "钱老师" in page.text
    assert "people=40" in page.text
    again = client.get("/admin/journal?person=审计员")
    assert "access:journal" in again.text
    assert client.get("/admin/journal?day=gestern").status_code == 422


def test_whose_data_was_read_sees_it_in_its_journal(app: Flask, client: FlaskClient) -> None:
    """A school learns that an office opened its things; another school does not; the office still sees what its people did."""
    ours, other, office = (make.make_school(name) for name in ("被看的学校", "别的学校", "看的单位"))
    reader = account_of(make.make_staff(office, "teacher", name="经办人"))
    audit.access(reader, "application-file", "application", "a1", school_id=ours.id)
    seen = []
    for school in (ours, other, office):
        make.sign_in(client, make.make_staff(school, "audit_admin"))
        text = client.get("/admin/journal?action=access:").text
        seen.append("access:application-file" in text and "经办人" in text)
    assert seen == [True, False, True]


def test_an_access_entry_outlives_the_refusal_that_follows(app: Flask) -> None:
    teacher = account_of(make.make_teacher(make.make_school()))
    audit.access(teacher, "export", "class", "c1", people=3)
    with pytest.raises(Refused), write():
        raise Refused("no", "no")
    assert db.session.scalars(select(AuditEntry.action).where(AuditEntry.action == "access:export")).all() == [
        "access:export"
    ]


def test_the_journal_of_another_school_is_not_shown(app: Flask, client: FlaskClient) -> None:
    here, there = make.make_school("甲校"), make.make_school("乙校")
    audit.audit(account_of(make.make_teacher(there)), "secret-action", "x", 1)
    make.sign_in(client, make.make_staff(here, "audit_admin"))
    assert "secret-action" not in client.get("/admin/journal").text
