"""Role crawl: every route of lms.programmes and lms.register × every role × own and foreign organisation: only what the level may see.

The routes are found by themselves. A route with an argument that the scene does not know makes the test fail: say in crawl_scene.py what it is.
"""

from __future__ import annotations

import inspect
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.routing import Rule
from werkzeug.routing.converters import UUIDConverter

from lms.core import clock
from lms.core.auth import STAFF_ROLES
from lms.core.db import Base, db, write
from lms.core.models import Account, RoleGrant
from tests.factories import PASSWORD, token
from tests.programmes import places as make
from tests.programmes.crawl_scene import LATER_SECRET, SECRET, Scene, make_scene

ADMINS = ("sys_admin", "sec_admin", "audit_admin")
ROOMS = ("lms.programmes", "lms.register")
HIDDEN, OPENED = {403, 404}, {200, 302, 409}
FORM = {
    "edition": "99",
    "value": "改",
    "action": "recommend",
    "remark": "外人写的",
    "to": "pilot",
    "text": "外人写的",
    "owner": "",
    "slot": "plan",
}
PASSED = {"the city it has not come to", "the province it has not come to"}  # what has its plaque has passed them
PASSED_ROUTES = ("programmes.years.", "programmes.selection.plaque_letter", "programmes.selection.withdraw_plaque")
BELOW = {
    "an expert of the county",
    "the city it has not come to",
    "the province it has not come to",
}  # they may know that the school is there
TEACHERS_MAY = {
    "programmes.comments.add",
    "programmes.comments.settle",
    "programmes.years.cases.create",
}  # of the own school: remarks on parts


@pytest.fixture
def scene(app: Flask, fixed_clock: clock.FixedClock) -> Scene:
    return make_scene(fixed_clock)


def rules_of(app: Flask) -> list[tuple[Rule, str]]:
    """Every rule of the rooms with each of its methods."""
    return [
        (rule, method)
        for rule in app.url_map.iter_rules()
        if app.view_functions[rule.endpoint].__module__.startswith(ROOMS)
        for method in sorted((rule.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"})
    ]


def roles_of(app: Flask, rule: Rule) -> tuple[str, ...]:
    """The roles that its guard lets in; a view without a guard has none to tell."""
    told = inspect.getclosurevars(app.view_functions[rule.endpoint]).nonlocals.get("roles")
    assert told, f"{rule.endpoint} has no @require"
    return tuple(told)


def names_something(rule: Rule) -> bool:
    """Whether it is about one thing of one organisation, by its id."""
    return any(isinstance(one, UUIDConverter) for one in rule._converters.values())


def address(app: Flask, scene: Scene, rule: Rule) -> str:
    values = {name: scene.value(rule, name) for name in rule._converters}
    with app.test_request_context():
        built = rule.build(values)
    assert built, rule
    return built[1]


def door(app: Flask, account: Account) -> tuple[FlaskClient, str]:
    """A signed-in client and its token."""
    client = app.test_client()
    client.post("/sign-in", data={"username": account.username, "password": PASSWORD, "csrf_token": token(client)})
    return client, token(client, "/me")


def knock(at: tuple[FlaskClient, str], scene: Scene, rule: Rule, method: str, path: str) -> Any:
    client, csrf = at
    file = (BytesIO(make.PDF), "a.pdf")
    form = {**FORM, **scene.forms.get(rule.endpoint, {}), "csrf_token": csrf, "file": file}
    return client.open(path, method=method, data=form if method != "GET" else None)


def kept(scene: Scene) -> dict[str, list[str]]:
    """Every row of the rooms' tables that is the school's or its county's."""
    whose = (scene.tree["school"].id, scene.tree["county"].id)
    db.session.rollback()
    return {
        mapper.class_.__tablename__: sorted(map(str, db.session.execute(select(mapper.local_table).where(mapper.class_.school_id.in_(whose)))))
        for mapper in Base.registry.mappers
        if mapper.class_.__module__.startswith(ROOMS) and hasattr(mapper.class_, "school_id")
    }  # fmt: skip


def nobody_from_elsewhere_sees_or_changes_it(app: Flask, scene: Scene) -> None:
    before = kept(scene)
    routes = [(rule, method, address(app, scene, rule)) for rule, method in rules_of(app)]
    wrong = []
    for who, stranger in scene.strangers.items():
        at = door(app, stranger)
        for rule, method, path in routes:
            if who in PASSED and rule.endpoint.startswith(PASSED_ROUTES):
                continue
            answer = knock(at, scene, rule, method, path)
            if names_something(rule) and answer.status_code not in HIDDEN:
                wrong.append((who, method, rule.rule, answer.status_code))
            told = [SECRET, *([] if who in PASSED else [LATER_SECRET]), *([] if who in BELOW else ["丙县一小"])]
            if any(one.encode() in answer.data for one in told):
                wrong.append((who, method, rule.rule, "reads it"))
            if answer.status_code >= 500:
                wrong.append((who, method, rule.rule, answer.status_code))
    assert not wrong, "\n".join(map(str, wrong))
    assert kept(scene) == before


def _with(scene: Scene, role: str | tuple[str, ...]) -> Account:
    """Somebody of the school or its county with the role; one person with all three powers of a system's administration."""
    first, *others = (role,) if isinstance(role, str) else role
    account = make.person(scene.tree["county" if first in ("officer", "expert") else "school"], first)
    with write() as session:
        session.add_all(
            RoleGrant(account_id=account.id, role=one, organisation_id=account.organisation_id) for one in others
        )
    return account


def each_role_opens_what_its_guard_says(app: Flask, scene: Scene) -> None:
    before = kept(scene)
    routes = [(rule, method, address(app, scene, rule), roles_of(app, rule)) for rule, method in rules_of(app)]
    wrong = []
    for role in ("teacher", "school_admin", "officer", "expert", ADMINS):
        at = door(app, _with(scene, role))
        for rule, method, path, roles in routes:
            assert set(roles) <= set(STAFF_ROLES) - set(ADMINS), rule
            if role not in roles and knock(at, scene, rule, method, path).status_code != 403:
                wrong.append((role, method, rule.rule))
    nobody = app.test_client()
    for rule, method, path, _roles in routes:
        if nobody.open(path, method=method).status_code not in (302, 400, 401):
            wrong.append(("nobody", method, rule.rule))
    assert wrong == []
    assert kept(scene) == before


def a_teacher_changes_nothing_that_is_not_his(app: Flask, scene: Scene) -> None:
    before = kept(scene)
    at = door(app, scene.insiders["teacher"])
    for rule, method in rules_of(app):
        if method != "GET" and names_something(rule) and rule.endpoint not in TEACHERS_MAY:
            assert knock(at, scene, rule, method, address(app, scene, rule)).status_code in HIDDEN, rule
    assert kept(scene) == before


def somebody_opens_each_page(app: Flask, scene: Scene) -> None:
    """Else the crawl above would knock at doors that are not there."""
    doors = [door(app, one) for one in scene.insiders.values()]
    for rule, method in rules_of(app):
        if method == "GET":
            answers = [client.get(address(app, scene, rule)).status_code for client, _csrf in doors]
            assert OPENED & set(answers), (rule.rule, answers)


def test_only_what_the_level_may_see(app: Flask, scene: Scene) -> None:
    """One scene for all, because it is large."""
    nobody_from_elsewhere_sees_or_changes_it(app, scene)
    each_role_opens_what_its_guard_says(app, scene)
    a_teacher_changes_nothing_that_is_not_his(app, scene)
    somebody_opens_each_page(app, scene)
