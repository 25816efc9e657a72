"""Who gets in, who is locked out, and what a wrong guess tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core import accounts, auth
from lms.core.clock import FixedClock
from lms.core.db import db, write
from lms.core.errors import Invalid, TooMany
from lms.core.models import Account, AuditEntry, Lockout
from lms.core.passwords import weaknesses
from lms.core.views import local_target
from lms.roster.models import Person
from tests import factories as make
from tests.cheap import HASHERS


def account_of(person: Person) -> Account:
    found = db.session.get(Account, person.account_id)
    assert found is not None
    return found


def attempt(client: FlaskClient, username: str, password: str, **more: str) -> int:
    form = {"username": username, "password": password, "csrf_token": make.token(client), **more}
    return client.post("/sign-in", data=form).status_code


def test_a_teacher_gets_in_and_out(app: Flask, client: FlaskClient) -> None:
    person = make.make_admin(make.make_school())
    make.sign_in(client, person)
    assert client.get("/me").status_code == 200
    client.post("/sign-out", data={"csrf_token": make.token(client, "/me")})
    assert client.get("/me").status_code == 302
    assert db.session.scalars(select(AuditEntry.action).where(AuditEntry.action == "sign-in")).all() == ["sign-in"]


def test_five_wrong_passwords_lock_the_account_even_for_the_right_one(
    app: Flask, client: FlaskClient, fixed_clock: FixedClock
) -> None:
    account = account_of(make.make_admin(make.make_school()))
    for _ in range(auth.FREE_FAILURES):
        assert attempt(client, account.username, "wrong") == 401
    assert attempt(client, account.username, make.PASSWORD) == 429
    fixed_clock.at += timedelta(minutes=auth.LOCK_MINUTES, seconds=1)
    assert attempt(client, account.username, make.PASSWORD) == 302
    assert db.session.scalars(select(Lockout)).all() == []


def test_a_lock_that_ran_out_gives_five_new_tries(app: Flask, client: FlaskClient, fixed_clock: FixedClock) -> None:
    account = account_of(make.make_admin(make.make_school()))
    for _ in range(auth.FREE_FAILURES):
        attempt(client, account.username, "wrong")
    fixed_clock.at += timedelta(minutes=auth.LOCK_MINUTES, seconds=1)
    for _ in range(auth.FREE_FAILURES):
        assert attempt(client, account.username, "wrong") == 401
    assert attempt(client, account.username, "wrong") == 429


def test_one_address_never_locks_another_account(app: Flask, client: FlaskClient) -> None:
    school = make.make_school()
    first, second = make.make_admin(school), make.make_teacher(school)
    for _ in range(auth.FREE_FAILURES + 1):
        attempt(client, account_of(first).username, "wrong")
    assert attempt(client, account_of(second).username, make.PASSWORD) == 302


def test_unknown_names_lock_like_known_ones(app: Flask, client: FlaskClient) -> None:
    make.make_school()
    answers = [attempt(client, "nobody", "wrong") for _ in range(auth.FREE_FAILURES + 1)]
    assert answers == [401] * auth.FREE_FAILURES + [429]


@pytest.fixture
def real_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes as dear as a school's; elsewhere in the tests they are cheap."""
    monkeypatch.setattr(auth, "_passwords", HASHERS["password"])
    monkeypatch.setattr(auth, "_pins", HASHERS["pin"])
    auth._nobody.cache_clear()
    yield
    auth._nobody.cache_clear()


@pytest.mark.usefixtures("real_hashes")
def test_unknown_names_take_as_long_as_known_ones(app: Flask, client: FlaskClient) -> None:
    account = account_of(make.make_admin(make.make_school()))
    attempt(client, "warm-up", "wrong")

    def seconds(username: str) -> float:
        started = time.perf_counter()
        attempt(client, username, "wrong")
        return time.perf_counter() - started

    known = min(seconds(account.username) for _ in range(3))
    unknown = min(seconds(f"nobody-{number}") for number in range(3))
    assert unknown > known / 2


def test_an_administrator_unlocks(app: Flask, client: FlaskClient) -> None:
    school = make.make_school()
    locked, admin = account_of(make.make_teacher(school)), make.make_admin(school)
    auth_subject = f"account:{locked.id}"
    for _ in range(auth.FREE_FAILURES):
        auth.note_failure(school.id, auth_subject)
    db.session.rollback()
    with pytest.raises(TooMany):
        auth.check_lock(auth_subject)
    make.sign_in(client, admin)
    page = client.get("/admin/accounts")
    assert locked.display_name in page.text
    token = make.token(client, "/admin/accounts")
    assert client.post("/admin/unlock", data={"subject": auth_subject, "csrf_token": token}).status_code == 302
    auth.check_lock(auth_subject)


def test_nobody_unlocks_in_another_school(app: Flask, client: FlaskClient) -> None:
    here, there = make.make_school("甲校"), make.make_school("乙校")
    victim = account_of(make.make_teacher(there))
    for _ in range(auth.FREE_FAILURES):
        auth.note_failure(there.id, f"account:{victim.id}")
    make.sign_in(client, make.make_admin(here))
    token = make.token(client, "/admin/accounts")
    assert (
        client.post("/admin/unlock", data={"subject": f"account:{victim.id}", "csrf_token": token}).status_code == 404
    )


def test_old_failures_are_forgotten(app: Flask, fixed_clock: FixedClock) -> None:
    school = make.make_school()
    auth.note_failure(school.id, "seat:1")
    fixed_clock.at += timedelta(days=1, minutes=1)
    auth.forget_old_failures()
    assert db.session.scalars(select(Lockout)).all() == []


def test_a_given_password_must_be_changed_first(app: Flask, client: FlaskClient) -> None:
    person = make.make_admin(make.make_school())
    with write():
        account_of(person).must_change = True
    make.sign_in(client, person)
    assert client.get("/me").headers["Location"] == "/me/password"
    assert client.get("/api/anything", headers={"Accept": "application/json"}).status_code in (403, 404)
    token = make.token(client, "/me/password")
    weak = {"old": make.PASSWORD, "password": "12345678", "again": "12345678", "csrf_token": token}
    assert client.post("/me/password", data=weak).status_code == 422
    good = {"old": make.PASSWORD, "password": "Neues-Wort-9", "again": "Neues-Wort-9", "csrf_token": token}
    assert client.post("/me/password", data=good).status_code == 302
    assert client.get("/me").status_code == 200


def test_a_new_password_ends_the_other_sessions(app: Flask) -> None:
    person = make.make_admin(make.make_school())
    here, there = app.test_client(), app.test_client()
    make.sign_in(here, person)
    make.sign_in(there, person)
    accounts.change_password(account_of(person), make.PASSWORD, "Neues-Wort-9")
    assert here.get("/me").status_code == 302
    assert there.get("/me").status_code == 302


def test_a_closed_account_is_out_at_once(app: Flask, client: FlaskClient) -> None:
    school = make.make_school()
    person, admin = make.make_teacher(school), make.make_admin(school)
    make.sign_in(client, person)
    accounts.set_active(account_of(admin), account_of(person), False, "离职")
    assert client.get("/me").status_code == 302
    assert attempt(client, account_of(person).username, make.PASSWORD) == 401


def test_two_schools_people_of_one_name_say_which(app: Flask, client: FlaskClient) -> None:
    here, there = make.make_school("甲校"), make.make_school("乙校")
    with write():
        here.organisation.code, there.organisation.code = "1001", "1002"
    make.make_teacher(here, username="li")
    make.make_teacher(there, username="li")
    assert attempt(client, "li", make.PASSWORD) == 401
    assert attempt(client, "li@1002", make.PASSWORD) == 302


def test_a_form_without_token_is_refused(app: Flask, client: FlaskClient) -> None:
    make.make_school()
    answer = client.post("/sign-in", data={"username": "x", "password": "y"})
    assert answer.status_code == 400
    assert "页面已过期" in answer.text


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil",
        "/\t/evil.example",
        "javascript:alert(1)",
        "",
        "me",
        "/ /evil",
    ],
)
def test_no_open_redirect(target: str) -> None:
    assert local_target(target) == ""


def test_a_path_of_this_site_is_followed(app: Flask, client: FlaskClient) -> None:
    person = make.make_admin(make.make_school())
    form = {
        "username": account_of(person).username,
        "password": make.PASSWORD,
        "next": "/me?x=1",
        "csrf_token": make.token(client),
    }
    assert client.post("/sign-in", data=form).headers["Location"] == "/me?x=1"


@pytest.mark.parametrize(
    ("password", "found"),
    [
        ("Zhike-2026!", []),
        ("the lamp is on the desk", []),
        ("Ab1!", ["short"]),
        ("abcdefghij", ["simple"]),
        ("Wang-2026-x", ["name"]),
        ("Password1!", ["common"]),
        ("aaaaaaaaaaaaaaaa", ["common"]),
    ],
)
def test_what_a_password_must_be(password: str, found: list[str]) -> None:
    assert weaknesses(password, "wang") == found


@pytest.mark.usefixtures("real_hashes")
def test_hashes_are_argon2id_and_dear_enough() -> None:
    assert auth.hash_password("x").startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert auth.hash_pin("1").startswith("$argon2id$v=19$m=4096,t=1,p=1$")


def test_a_short_password_is_refused(app: Flask) -> None:
    with pytest.raises(Invalid):
        accounts.check_password("short", "me")
