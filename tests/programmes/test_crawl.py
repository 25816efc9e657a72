"""Role crawl: every route of lms.programmes and lms.register × every role × own and foreign organisation: only what the level may see.

The routes are found by themselves. A route with an argument that SCENE does not know makes the test fail: say there what it is.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.routing import Rule
from werkzeug.routing.converters import AnyConverter, UUIDConverter

from lms.core import clock
from lms.core.auth import STAFF_ROLES
from lms.core.db import Base, db
from lms.core.models import Account, Organisation
from lms.programmes import attachments, comments, service, workflow
from lms.programmes.editor import binding, drafts
from lms.register import intake
from lms.register import service as register
from lms.register.intake import Line
from lms.register.people import staff_of
from lms.roster.models import School
from tests import factories
from tests.factories import PASSWORD, token
from tests.programmes import places as make
from tests.programmes.test_originals import word_file
from tests.register.test_register import AWARD, TEXTS

ROOMS = ("lms.programmes", "lms.register")
SECRET = "只有本校知道的一段话"
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
BELOW = {
    "an expert of the county",
    "the city it has not come to",
    "the province it has not come to",
}  # they may know that the school is there
TEACHERS_MAY = {"programmes.comments.add", "programmes.comments.settle"}  # of the own school: remarks on parts


@dataclass
class Scene:
    """A school with an application at its county, a register, and people of every level here and elsewhere."""

    tree: dict[str, Organisation]
    insiders: dict[str, Account]
    strangers: dict[str, Account]
    given: dict[str, Any] = field(default_factory=dict)
    """What an argument of a route stands for: by ``endpoint:argument``, ``blueprint:argument`` (outer ones too) or ``argument``."""

    def value(self, rule: Rule, name: str) -> str:
        """The argument of this scene; a new one has to be told here."""
        parts = rule.endpoint.split(".")
        for key in (*(f"{'.'.join(parts[:size])}:{name}" for size in range(len(parts), 0, -1)), name):
            if key in self.given:
                return str(self.given[key])
        converter = rule._converters[name]
        if isinstance(converter, AnyConverter):
            return sorted(converter.items)[0]
        pytest.fail(f"{rule.endpoint} has an argument <{name}> that tests/programmes/test_crawl.py does not know")


@pytest.fixture
def scene(app: Flask, fixed_clock: clock.FixedClock) -> Scene:
    tree = make.tree()
    far = make.organisation("province", "远省", tree["nation"])
    far_city = make.organisation("city", "远市", far)
    far_county = make.organisation("county", "远县", far_city)
    near_county = make.organisation("county", "邻县", tree["city"])
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    made = Scene(
        tree,
        {"admin": admin, "teacher": make.person(tree["school"], "teacher"), "county": county, "nation": make.person(tree["nation"])},
        {
            "another school": make.person(make.school("丙县二小", tree["county"])),
            "a teacher of another school": make.person(tree["city-school"], "teacher"),
            "a school far away": make.person(make.school("远校", far_county)),
            "another county": make.person(near_county),
            "another city": make.person(far_city),
            "another province": make.person(far),
            "an expert of the county": make.person(tree["county"], "expert"),
            "the city it has not come to": make.person(tree["city"]),
            "the province it has not come to": make.person(tree["province"]),
        },
    )  # fmt: skip
    found = service.begin(admin, "ncet-pilot", "school", "2026")
    make.fill_in(admin, found)
    service.save_part(admin, found.id, "school-statement.basics", SECRET, 1)
    file = attachments.add_file(admin, found.id, "training", "证明.pdf", make.PDF)
    workflow.submit(admin, found.id)
    workflow.act(county, found.id, "return", "请补充")
    workflow.submit(admin, found.id)
    remark = comments.remark(county, found.id, "school-statement.basics", SECRET)
    factories.make_teacher(db.session.get_one(School, tree["school"].id), name="王老师")
    [member] = [one for one in staff_of(tree["school"].id) if one.name == "王老师"]
    activity = register.save_activity(admin, None, {**TEXTS, "主题": SECRET}, [member.key])
    achievement = register.save_achievement(admin, None, {**AWARD, "姓名": member.name, "成果名称": SECRET})
    scan = register.add_file(admin, activity, "证书.pdf", make.PDF)
    intake.apply(admin, "achievements", [Line("第 2 行", {**AWARD, "姓名": member.name, "成果名称": "另一项"})])
    draft = drafts.begin(county, "hunan-baixiao")
    binding.upload(county, draft.id, "application", "申报书.docx", word_file())
    made.given = {
        "draft_id": draft.id,
        "programmes.editor:form": "application",
        "application_id": found.id,
        "key": "school-statement.basics",
        "comment_id": remark.id,
        "programmes:file_id": file.id,
        "programmes.document:name": "school-statement",
        "programmes.bundle:name": "school",
        "slug": "ncet-pilot",
        "activity_id": activity.id,
        "achievement_id": achievement.id,
        "row_id": achievement.id,
        "register:file_id": scan.id,
        "import_id": intake.imports_of(tree["school"].id)[0].id,
    }
    return made


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


def knock(client: FlaskClient, csrf: str, method: str, path: str) -> Any:
    return client.open(path, method=method, data={**FORM, "csrf_token": csrf} if method != "GET" else None)


def kept(scene: Scene) -> dict[str, list[str]]:
    """Every row of the rooms' tables that is the school's or its county's."""
    whose = (scene.tree["school"].id, scene.tree["county"].id)
    db.session.rollback()
    return {
        mapper.class_.__tablename__: sorted(map(str, db.session.execute(select(mapper.local_table).where(mapper.class_.school_id.in_(whose)))))
        for mapper in Base.registry.mappers
        if mapper.class_.__module__.startswith(ROOMS) and hasattr(mapper.class_, "school_id")
    }  # fmt: skip


def test_nobody_from_elsewhere_sees_or_changes_it(app: Flask, scene: Scene) -> None:
    before = kept(scene)
    routes = [(rule, method, address(app, scene, rule)) for rule, method in rules_of(app)]
    wrong = []
    for who, stranger in scene.strangers.items():
        client, csrf = door(app, stranger)
        for rule, method, path in routes:
            answer = knock(client, csrf, method, path)
            if names_something(rule) and answer.status_code not in HIDDEN:
                wrong.append((who, method, rule.rule, answer.status_code))
            if SECRET.encode() in answer.data or (
                who != "an expert of the county" and "丙县一小".encode() in answer.data
            ):
                wrong.append((who, method, rule.rule, "reads it"))
            if answer.status_code >= 500:
                wrong.append((who, method, rule.rule, answer.status_code))
    assert wrong == []
    assert kept(scene) == before


def test_each_role_opens_what_its_guard_says(app: Flask, scene: Scene) -> None:
    before = kept(scene)
    routes = [(rule, method, address(app, scene, rule), roles_of(app, rule)) for rule, method in rules_of(app)]
    wrong = []
    for role in STAFF_ROLES:
        client, csrf = door(app, make.person(scene.tree["county" if role in ("officer", "expert") else "school"], role))
        for rule, method, path, roles in routes:
            assert set(roles) <= set(STAFF_ROLES), rule
            if role not in roles and knock(client, csrf, method, path).status_code != 403:
                wrong.append((role, method, rule.rule))
    nobody = app.test_client()
    for rule, method, path, _roles in routes:
        if nobody.open(path, method=method).status_code not in (302, 400, 401):
            wrong.append(("nobody", method, rule.rule))
    assert wrong == []
    assert kept(scene) == before


def test_a_teacher_reads_and_changes_nothing_that_is_not_his(app: Flask, scene: Scene) -> None:
    before = kept(scene)
    client, csrf = door(app, scene.insiders["teacher"])
    for rule, method in rules_of(app):
        if method != "GET" and names_something(rule) and rule.endpoint not in TEACHERS_MAY:
            assert knock(client, csrf, method, address(app, scene, rule)).status_code in HIDDEN, rule
    assert kept(scene) == before


def test_somebody_opens_each_page(app: Flask, scene: Scene) -> None:
    """Else the crawl above would knock at doors that are not there."""
    doors = [door(app, one) for one in scene.insiders.values()]
    for rule, method in rules_of(app):
        if method == "GET":
            answers = [client.get(address(app, scene, rule)).status_code for client, _csrf in doors]
            assert OPENED & set(answers), (rule.rule, answers)
