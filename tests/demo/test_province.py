"""The demo's province: the three situations that it promises, every state of an application, true steps, and who sees what."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from lms.config import Settings
from lms.core import clock
from lms.core.db import db
from lms.core.models import Account, AuditEntry, Organisation
from lms.demo.places import APPLYING_AREA, CASES, LATE_SCHOOL, NATION, NCET, PLAQUE_SCHOOL, PROVINCE, USERNAMES
from lms.demo.province import Province, make_province
from lms.demo.review import EXPERTS, SEED
from lms.programmes import notices, service, workflow
from lms.programmes.models import Application, ApplicationStep
from lms.programmes.selection import service as selection
from lms.programmes.selection.models import Panel
from lms.programmes.selection.outcome import plaques_of
from lms.programmes.years.models import Inspection, LessonCase, Rectification
from lms.region.models import Subordinate
from lms.usage.judging.standings import standings
from lms.usage.service import verify_chain
from tests import factories as make


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, origin="simulated")


PASSWORD = "Demo-Provinz-2026!"


def named(name: str) -> Organisation:
    return db.session.scalars(select(Organisation).where(Organisation.name == name)).one()


def application_of(name: str, slug: str) -> Application:
    return db.session.scalars(
        select(Application).where(Application.school_id == named(name).id, Application.slug == slug)
    ).one()


def enter(app: Flask, username: str) -> FlaskClient:
    client = app.test_client()
    data = {"username": username, "password": PASSWORD, "csrf_token": make.token(client)}
    assert client.post("/sign-in", data=data).status_code == 302
    return client


@pytest.mark.parametrize("day", [24, 29])  # a Tuesday and a Sunday
def test_a_province_at_work(app: Flask, fixed_clock: clock.FixedClock, day: int) -> None:
    fixed_clock.at = datetime(2026, 11, day, 2, 5, tzinfo=UTC)
    lines: list[str] = []
    province = make_province(PASSWORD, lines.append)
    assert len(lines) == 1
    _three_situations(app, province)
    _every_state()
    _experts_cases_and_an_inspection(app)
    before = db.session.scalar(select(func.count()).select_from(ApplicationStep))
    assert make_province(PASSWORD, lines.append) == province  # again: nothing is made twice
    assert db.session.scalar(select(func.count()).select_from(ApplicationStep)) == before and len(lines) == 1
    _officers_see_their_own(app)


def _three_situations(app: Flask, province: Province) -> None:
    area = application_of(APPLYING_AREA, NCET)
    assert area.status == "at-province" and area.office_id == named(PROVINCE).id
    quota = workflow.quotas_of(area, named(PROVINCE).id)[0]
    assert (quota.used, quota.most) == (4, 5)  # one place is left
    plaque = application_of(PLAQUE_SCHOOL, "hunan-baixiao")
    assert [one.application_id for one, _found, _name in plaques_of(named(PROVINCE).id)] == [plaque.id]
    assert plaque.status == "plaque" and notices.pack_of(plaque).status_name(plaque.status) == "已挂牌"
    late = named(LATE_SCHOOL)
    result = standings(late.id, clock.local_date(clock.now(), "Asia/Shanghai"))["fortnightly"]
    assert result.verdict == "met-approximately"
    assert {one.required - one.counted for one in result.classes} == {1}
    assert verify_chain(late.id).ok
    page = enter(app, dict(province.admins)[LATE_SCHOOL]).get("/compliance").text
    assert "基本达标" in page


def _every_state() -> None:
    rows = db.session.scalars(select(Application)).all()
    assert len(rows) == len(CASES)
    assert {row.slug for row in rows} == {"ncet-pilot", "hunan-baixiao", "henan-experiment", "smart-training"}
    states = Counter(notices.pack_of(row).status_is(row.status) for row in rows)
    assert set(states) == {"draft", "waiting", "returned", "refused", "withdrawn", "active", "warned"}
    assert states["draft"] == 4 and states["warned"] == 3
    assert db.session.scalar(select(func.count()).select_from(Rectification)) == 3
    for row in rows:
        steps = service.steps_of(row)
        times = [step.created_at for step in steps]
        assert times == sorted(times) and all(at < clock.now() for at in times)
        journal = select(func.count()).where(
            AuditEntry.object_id == str(row.id), AuditEntry.action.in_([f"application-{one}" for one in workflow.ACTIONS])
        )
        assert db.session.scalar(journal) == len(steps)


def _experts_cases_and_an_inspection(app: Flask) -> None:
    panel = db.session.scalars(select(Panel)).one()
    assert panel.school_id == named(PROVINCE).id and len(selection.panel_experts(panel)) == 2
    done, asked = selection.progress(panel)
    assert asked >= 4 and done == asked - 1
    assert any(one.place.score is not None for one in selection.ranking(panel))
    expert = enter(app, EXPERTS[0][0]).get("/programmes/selection/reviews")
    assert expert.status_code == 200 and "评分" in expert.text
    states = Counter(db.session.scalars(select(LessonCase.status)))
    assert states == {"selected": 2, "submitted": 1}
    inspection = db.session.scalars(select(Inspection)).one()
    assert inspection.seed == SEED and len(inspection.drawn) == 1 and len(inspection.candidates) >= 2
    province = enter(app, USERNAMES[PROVINCE])
    assert "用数据看家庭用水" in province.get("/programmes/years/cases").text
    assert province.get(f"/programmes/years/inspections/{inspection.id}").status_code == 200


def _officers_see_their_own(app: Flask) -> None:
    people = {row.username for row in db.session.scalars(select(Account).where(Account.kind == "staff"))}
    assert set(USERNAMES.values()) <= people
    client = enter(app, USERNAMES["东山县"])
    county = client.get("/region").text
    foreign = db.session.scalars(select(Subordinate.number).where(Subordinate.name == LATE_SCHOOL)).one()
    own = db.session.scalars(select(Subordinate.number).where(Subordinate.name == "东山县第一小学")).one()
    assert client.get(f"/region/schools/{own}").status_code == 200
    assert client.get(f"/region/schools/{foreign}").status_code == 404
    for path in ("/region/enrolment", "/region/intake", "/hand-up"):  # the nation's office serves this server
        assert client.get(path).status_code == 404 and f'href="{path}"' not in county
    assert client.get("/region.xlsx").status_code == 200
    assert "东山县第一小学" in county and "西河区实验小学" not in county and "示范省实验中学" not in county
    nation = enter(app, USERNAMES[NATION]).get("/region").text
    assert "西河区实验小学" in nation and "东山县第一小学" in nation
