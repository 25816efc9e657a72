"""The crawl: every route × every method as nobody, and every route of the school's rooms × every role × own and foreign organisation.

Routes are found by themselves. The rooms of programmes and register have a crawl with a richer scene of their own (tests/programmes/test_crawl.py).
"""

from __future__ import annotations

import inspect
import json
import zipfile
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.routing import Rule
from werkzeug.routing.converters import AnyConverter, UUIDConverter

from lms.core.auth import STAFF_ROLES
from lms.core.db import Base, db, new_id
from lms.core.models import Account
from tests import factories as make
from tests.core.crawl_scene import SECRET, Scene, make_scene

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
ELSEWHERE = ("lms.programmes", "lms.register")
OPEN = {
    "static": {200}, "core.healthz": {200}, "core.readyz": {200}, "core.metrics": {200}, "core.trust": {404}, "core.ca_certificate": {404},
    "core.sign_in": {200, 401}, "core.home": {302}, "core.locale": {302}, "core.sign_out": {302},
    # The door of a lesson: before a pupil is known, and on a computer that is no seat.
    "teaching.seat": {200}, "teaching.seat_state": {200}, "teaching.thanks": {200}, "teaching.enrol": {422}, "teaching.seat_sign_in": {404},
    "teaching.enter": {404}, "teaching.leave_seat": {302},
    # Machines and offices with a secret of their own, which is wrong here.
    "usage.schoolyear.feed": {404}, "labs.pcs.hello": {422}, "labs.pcs.own_page": {404}, "region.identity": {404}, "region.enrol": {422},
    "region.batches": {404}, "first_run.welcome": {404}, "first_run.welcome_office": {404},
}  # fmt: skip
"""What decides without an account whom it lets in, and what it answers here to somebody who knows nothing."""
NOT_HERE = ("region.", "roster.intake_", "notices.follow", "teaching.start", "activities.work", "labs.device")
"""What nobody opens in this scene: it needs an office, an upload that waits, a number; their own tests open it."""
HIDDEN = {403, 404}
OWN = {"core.sign_out", "core.end_own_sessions", "teaching.leave_seat", "teaching.seat_sign_in"}  # they end the session that knocks
FORM = {"role": "teacher", "name": "外人写的", "reason": "外人写的", "code": "1", "text": "外人写的", "day": "2026-11-25", "ordinal": "3"}


@pytest.fixture
def scene(app: Flask, fixed_clock: Any) -> Scene:
    return make_scene()


def rules_of(app: Flask) -> list[tuple[Rule, str]]:
    """Every rule with each of its methods."""
    return [(rule, method) for rule in app.url_map.iter_rules() for method in sorted((rule.methods or set()) & METHODS)]


def of_the_school(app: Flask) -> list[tuple[Rule, str]]:
    """Those of the rooms that this crawl goes through in every role."""
    return [one for one in rules_of(app) if not app.view_functions[one[0].endpoint].__module__.startswith(ELSEWHERE)]


def guard_of(app: Flask, rule: Rule) -> tuple[str, ...]:
    """The roles that its ``@require`` lets in; empty where the view decides itself."""
    return tuple(inspect.getclosurevars(app.view_functions[rule.endpoint]).nonlocals.get("roles", ()))


def address(app: Flask, scene: Scene, rule: Rule) -> str:
    with app.test_request_context():
        built = rule.build({name: scene.value(rule, name) for name in rule._converters})
    assert built, rule
    return built[1]


def plain_address(app: Flask, rule: Rule) -> str:
    """An address of a rule whose arguments name nothing."""
    words = {
        name: str(new_id()) if isinstance(one, UUIDConverter) else sorted(one.items)[0] if isinstance(one, AnyConverter) else "1"
        for name, one in rule._converters.items()
    }
    with app.test_request_context():
        built = rule.build(words)
    assert built, rule
    return built[1]


def told(answer: Any) -> bool:
    """Whether it says what only the school knows: as a page, as JSON, or inside an Excel file."""
    data: bytes = answer.data
    if data.startswith(b"PK"):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            data = b"".join(archive.read(name) for name in archive.namelist())
    return SECRET.encode() in data or json.dumps(SECRET)[1:-1].encode() in data


def kept(scene: Scene) -> dict[str, list[str]]:
    """Every row that is the school's, but for who was refused or has looked."""
    db.session.rollback()
    found = {}
    for mapper in Base.registry.mappers:
        if mapper.local_table.name not in ("audit_entry", "lockout", "notice", "outbox_message"):
            rows = map(str, db.session.execute(select(mapper.local_table)))
            found[mapper.local_table.name] = sorted(row for row in rows if str(scene.school.id) in row)
    return found


def door(app: Flask, account: Account) -> FlaskClient:
    client = app.test_client()
    client.post("/sign-in", data={"username": account.username, "password": make.PASSWORD})
    return client


def knock(client: FlaskClient, scene: Scene, method: str, path: str) -> Any:
    """Ask with a form that is filled in, with ids that are the school's."""
    if method == "GET":
        return client.get(path)
    ids = {name: str(one) for name, one in scene.ids.items()}
    form = {**FORM, **ids, **{name.removesuffix("_id"): one for name, one in ids.items()}, "id": str(new_id())}
    if path.startswith("/api/"):
        return client.open(path, method=method, json={**form, "units": []})
    return client.open(path, method=method, data=form)


def nobody_is_let_in(app: Flask, scene: Scene) -> None:
    before, wrong = kept(scene), []
    for rule, method in rules_of(app):
        elsewhere = app.view_functions[rule.endpoint].__module__.startswith(ELSEWHERE)
        path = plain_address(app, rule) if elsewhere else address(app, scene, rule)
        answer = app.test_client().open(path, method=method, data={} if method != "GET" else None)
        away = answer.status_code == 302 and "/sign-in?" in answer.headers["Location"]
        expected = OPEN.get(rule.endpoint)
        if told(answer) or not (answer.status_code in expected if expected else away or answer.status_code in (401, 403)):
            wrong.append((method, rule.rule, answer.status_code, rule.endpoint, told(answer)))
    assert not wrong, "\n".join(map(str, wrong))
    assert kept(scene) == before


def each_role_opens_what_its_guard_says(app: Flask, scene: Scene) -> None:
    before, wrong = kept(scene), []
    routes = [(rule, method, address(app, scene, rule), guard_of(app, rule)) for rule, method in of_the_school(app)]
    for role, account in scene.insiders.items():
        client = door(app, account)
        roles = {grant.role for grant in account.grants}
        for rule, method, path, guard in routes:
            assert set(guard) <= {*STAFF_ROLES, "student", "guardian"}, rule
            if guard and not roles & set(guard) and client.open(path, method=method).status_code != 403:
                wrong.append((role, method, rule.rule))
    assert not wrong, "\n".join(map(str, wrong))
    assert kept(scene) == before


def nobody_from_elsewhere_sees_or_changes_it(app: Flask, scene: Scene) -> None:
    before, wrong = kept(scene), []
    routes = [(rule, method, address(app, scene, rule)) for rule, method in of_the_school(app) if rule.endpoint not in OWN]
    for who, account in scene.strangers.items():
        client = door(app, account)
        for rule, method, path in routes:
            answer = knock(client, scene, method, path)
            names = any(name in scene.ids or name == "room_code" for name in rule._converters)
            if told(answer) or answer.status_code >= 500 or (names and answer.status_code not in HIDDEN):
                wrong.append((who, method, rule.rule, answer.status_code, told(answer)))
        assert client.get("/me").status_code == 200, "the knocking ended his session"
    assert not wrong, "\n".join(map(str, wrong))
    assert kept(scene) == before


def a_pupil_opens_no_page_of_staff(app: Flask, scene: Scene) -> None:
    before, wrong = kept(scene), []
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = scene.pupil.get_id(), True
    for rule, method in of_the_school(app):
        guard = guard_of(app, rule)
        if guard and "student" not in guard and client.open(address(app, scene, rule), method=method).status_code != 403:
            wrong.append((method, rule.rule))
    assert not wrong, "\n".join(map(str, wrong))
    assert kept(scene) == before


def somebody_opens_each_page(app: Flask, scene: Scene) -> None:
    """Else the crawl above would knock at doors that are not there."""
    wrong = []
    doors = [({one.role for one in account.grants}, door(app, account)) for account in scene.insiders.values()]
    for rule, method in of_the_school(app):
        guard = set(guard_of(app, rule))
        if method == "GET" and guard and guard != {"student"} and not rule.endpoint.startswith(NOT_HERE):
            path = address(app, scene, rule)
            answers = [client.get(path).status_code for roles, client in doors if roles & guard]
            if not {200, 302, 409, 422} & set(answers):
                wrong.append((rule.rule, answers, path))
    assert not wrong, "\n".join(map(str, wrong))


def test_only_who_should_comes_in(app: Flask, scene: Scene) -> None:
    """One scene for all, because it is large."""
    app.config["WTF_CSRF_ENABLED"] = False  # the guards stand without it
    nobody_is_let_in(app, scene)
    each_role_opens_what_its_guard_says(app, scene)
    nobody_from_elsewhere_sees_or_changes_it(app, scene)
    a_pupil_opens_no_page_of_staff(app, scene)
    somebody_opens_each_page(app, scene)
