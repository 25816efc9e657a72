"""At once: two officers and the last place, two people and one part, many schools in the last minute; SQLite and PostgreSQL."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence

from flask import Flask
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import Refused
from lms.core.models import Account
from lms.programmes import service, workflow
from lms.programmes.models import Application, NoticeVersion
from tests.programmes import places as make


def at_once(app: Flask, works: Sequence[Callable[[], None]]) -> list[str]:
    """Run each in a thread with a context of its own, all let go together; the codes of what was refused."""
    gate, refused, broken = threading.Barrier(len(works)), [], []

    def run(work: Callable[[], None]) -> None:
        with app.app_context():
            gate.wait(60)
            try:
                work()
            except Refused as error:
                refused.append(error.code)
            except Exception as error:  # noqa: BLE001  (handed to the test below)
                broken.append(error)
            finally:
                db.session.remove()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not broken, broken
    db.session.rollback()
    db.session.expire_all()
    return refused


def recommend(officer: uuid.UUID, found: uuid.UUID) -> Callable[[], None]:
    return lambda: workflow.act(db.session.get_one(Account, officer), found, "recommend") and None


def test_the_last_place_goes_to_one(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    officers = [make.person(tree["province"]) for _number in range(4)]
    rows = []
    for number in range(8):
        admin = make.person(make.organisation("county", f"县{number}", tree["province"]))
        found = service.begin(admin, "ncet-pilot", "area", "2026")
        make.fill_in(admin, found)
        rows.append(workflow.submit(admin, found.id))
    for row in rows[:4]:
        workflow.act(officers[0], row.id, "recommend")
    refused = at_once(app, [recommend(officer.id, row.id) for officer, row in zip(officers, rows[4:], strict=True)])
    assert refused == ["quota"] * 3
    sent = [row for row in rows if db.session.get_one(Application, row.id).status == "at-nation"]
    assert len(sent) == 5


def test_two_officers_and_the_same_application(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    officers = [make.person(tree["county"]) for _number in range(2)]
    admin = make.person(tree["school"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    workflow.submit(admin, found.id)
    assert at_once(app, [recommend(one.id, found.id) for one in officers]) == ["not-here"]
    assert [step.action for step in service.steps_of(found)] == ["submit", "recommend"]


def test_two_people_and_one_part(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    people = [make.person(tree["school"]).id for _number in range(3)]
    found = service.begin(db.session.get_one(Account, people[0]), "hunan-baixiao", "school", "2026").id

    def write(person: uuid.UUID, text: str) -> Callable[[], None]:
        return lambda: (
            service.save_part(db.session.get_one(Account, person), found, "application.plan", text, 0) and None
        )

    assert at_once(app, [write(person, f"第{number}份") for number, person in enumerate(people)]) == ["conflict"] * 2
    assert len(service.history_of(db.session.get_one(Account, people[0]), found, "application.plan")) == 1


def test_many_schools_in_the_last_minute(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    rows = []
    for number in range(12):
        admin = make.person(make.school(f"学校{number}", tree["county"]))
        found = service.begin(admin, "smart-training", "school", "2026")
        make.fill_in(admin, found)
        rows.append((admin.id, found.id))

    def submit(person: uuid.UUID, found: uuid.UUID) -> Callable[[], None]:
        return lambda: workflow.submit(db.session.get_one(Account, person), found) and None

    assert at_once(app, [submit(*row) for row in rows]) == []
    receipts = {db.session.get_one(Application, found).receipt for _person, found in rows}
    assert len(receipts) == 12 and len(workflow.inbox(tree["province"].id)) == 12


def test_many_begin_at_once_and_one_twice(app: Flask, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    people = [make.person(make.school(f"学校{number}", tree["county"])).id for number in range(5)]
    people += [people[0], people[0]]

    def begin(person: uuid.UUID) -> Callable[[], None]:
        return lambda: service.begin(db.session.get_one(Account, person), "hunan-baixiao", "school", "2026") and None

    assert at_once(app, [begin(one) for one in people]) == []
    assert len(db.session.scalars(select(Application)).all()) == 5
    assert len(db.session.scalars(select(NoticeVersion)).all()) == 1
