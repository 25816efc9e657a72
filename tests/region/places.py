"""Two installations in one process: a school on SQLite that records lessons, and an office on the test's database."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import make_server

from lms.app import create_app
from lms.config import Settings
from lms.core import clock, schema
from lms.core.db import db
from lms.core.models import Account
from lms.core.origin import claim_origin
from lms.region import office, service, uplink
from lms.roster.models import SchoolClass
from lms.usage import service as usage
from tests import factories as make
from tests.usage.makers import at, closed_lesson

PASSWORD = "Kreis-Amt-2026!"


@dataclass
class Place:
    """An installation: enter it to work in its database."""

    app: Flask
    ids: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def inside(self) -> Iterator[Place]:
        with self.app.app_context():
            try:
                yield self
            finally:
                db.session.remove()

    def close(self) -> None:
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()


def place(folder: Path, url: str) -> Place:
    """An installation on a database that may be empty."""
    app = create_app(Settings(data_dir=folder / "data", database_url=url, secret_key="test-key"), testing=True)
    with app.app_context():
        if schema.current(db.engine) is None:
            schema.upgrade(db.engine)
        claim_origin("real")
        db.session.remove()
    return Place(app)


def sqlite_copy(folder: Path, template: str) -> str:
    """Address of a migrated SQLite database of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "school.sqlite"
    if template.endswith(".sqlite"):
        shutil.copyfile(template, path)
    return f"sqlite:///{path}"


def school(folder: Path, template: str, name: str = "东风小学") -> Place:
    """A school with two grades of two classes."""
    made = place(folder, sqlite_copy(folder, template))
    with made.inside():
        found = make.make_school(name)
        classes = [make.make_class(found, grade=grade, number=number) for grade in (5, 6) for number in (1, 2)]
        teacher = make.make_teacher(found, *classes, name="孙悟空老师")
        admin = make.make_admin(found)
        pupils = {cohort.id: make.make_pupils(found, cohort, 3) for cohort in classes}
        made.ids = {
            "school": found.id,
            "classes": [cohort.id for cohort in classes],
            "teacher": teacher.id,
            "admin": admin.account_id,
            "pupils": {key: [one.id for one in people] for key, people in pupils.items()},
        }
    return made


def teach(
    made: Place, standing: clock.FixedClock, first: date, weeks: Sequence[int], classes: Sequence[int] = (0, 1, 2, 3)
) -> None:
    """One lesson of each class in each of the weeks, recorded when it ends; days are signed as they pass."""
    from lms.roster.models import Person

    with made.inside():
        for week in weeks:
            for index in classes:
                day = first + timedelta(weeks=week, days=index % 4)
                standing.at = at(day) + timedelta(minutes=50)
                cohort = db.session.get_one(SchoolClass, made.ids["classes"][index])
                teacher = db.session.get_one(Person, made.ids["teacher"])
                pupils = [db.session.get_one(Person, key) for key in made.ids["pupils"][cohort.id]]
                usage.record_lesson(closed_lesson(cohort, teacher, pupils, day), None)
            standing.at = at(first + timedelta(weeks=week, days=5))
            usage.sign_daily_roots(standing.at)
            db.session.remove()


def county(folder: Path, url: str, level: str = "county", name: str = "示范区教育局") -> Place:
    """An office with one officer."""
    made = place(folder, url)
    with made.inside():
        made.ids = {"officer": office.found_office(level, name, "区管理员", "officer", PASSWORD).id}
    return made


def enrol_by_key(here: Place, below: Place, organisation: Any, level: str = "school", name: str = "东风小学") -> int:
    """Both read their fingerprints to each other; returns the number of the one below."""
    with below.inside():
        mark = office.own_fingerprint()
    with here.inside():
        actor = db.session.get_one(Account, here.ids["officer"])
        found = office.register_key(actor, level, name, "3100000001" if level == "school" else "", mark)
        number, own, title = found.number, office.own_fingerprint(), office.need_office().name
    with below.inside():
        actor = db.session.get_one(Account, below.ids.get("admin") or below.ids["officer"])
        uplink.join_by_fingerprint(actor, organisation, title, own)
    return number


def file_of(made: Place) -> bytes:
    """What the school would carry on a stick."""
    with made.inside():
        return uplink.as_file(None, made.ids["school"])


def bring(here: Place, data: bytes) -> list[Any]:
    """Import a file at the office."""
    with here.inside():
        return service.take_file(None, data, "stick.zip")


def give_back(made: Place, outcomes: Sequence[Any]) -> None:
    """The receipts go back to the school."""
    with made.inside():
        for one in outcomes:
            if one.receipt:
                uplink.accept(None, made.ids["school"], one.receipt)


@contextmanager
def served(made: Place) -> Iterator[str]:
    """The installation behind HTTP on this machine; yields its address."""
    server = make_server("127.0.0.1", 0, made.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
