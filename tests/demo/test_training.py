"""The demo school's register: what the pages and the drafts of an application show in the first minute."""

from __future__ import annotations

from flask import Flask

from lms.core import clock
from lms.core.db import db
from lms.core.models import Account
from lms.demo.training import fill_register
from lms.programmes import drafts, selfcheck, service
from lms.programmes.notices import pack_of
from lms.register import service as register
from tests import factories


def test_the_register_of_the_demo_fills_an_application(app: Flask, fixed_clock: clock.FixedClock) -> None:
    school = factories.make_school()
    factories.make_teacher(school, factories.make_class(school), name="王老师")
    admin = db.session.get_one(Account, factories.make_admin(school).account_id)
    fill_register(admin, "王老师")
    assert len(register.activities_of(school.id)) == 6 and len(register.achievements_of(school.id)) == 4
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    proposed = drafts.filled("application.pupils", pack_of(found).part("application.pupils"), found)
    assert proposed is not None and [row["number"] for row in proposed.rows] == ["1", "12"]
    states = {one.criterion["id"]: one.outcome.state for one in selfcheck.check(found)}
    assert (states["HN-20"], states["HN-21"]) == ("met", "met")
