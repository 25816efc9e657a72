"""A school with three weeks of lessons, anchored, and what a forger who owns server, clock and database can do to it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import inspect, select

from lms.core import clock
from lms.core.db import db
from lms.core.models import Account
from lms.roster import service as roster
from lms.roster.models import Person, School, SchoolClass, Term, TimetableSlot
from lms.usage import service
from lms.usage.evidence import anchors, packing
from lms.usage.evidence.keys import node_key
from lms.usage.models import UsageRecord
from lms.usage.verifier import verify
from tests.factories import make_admin, make_class, make_pupils, make_school, make_teacher
from tests.usage.makers import closed_lesson

FIRST = date(2026, 11, 2)


@dataclass
class Forged:
    """What the stand-alone verifier said of a pack."""

    code: int
    result: dict[str, Any]


class Victim:
    """The school, its people, and the region that countersigns."""

    def __init__(self, folder: Path, fixed: clock.FixedClock) -> None:
        self.folder, self.clock = folder, fixed
        fixed.at = datetime(2026, 8, 28, 1, 0, tzinfo=UTC)
        self.school: School = make_school()
        self.cohort: SchoolClass = make_class(self.school)
        self.teacher: Person = make_teacher(self.school, self.cohort)
        self.admin: Person = make_admin(self.school)
        self.pupils = make_pupils(self.school, self.cohort, 3)
        self.region = node_key(folder / "region")
        self.slot: TimetableSlot = roster.set_slot(
            self.account(self.admin), self.term, self.cohort, self.teacher, weekday=0, ordinal=2, subject="人工智能"
        )
        self.end_day(date(2026, 8, 28))

    @property
    def term(self) -> Term:
        found = db.session.scalar(select(Term).where(Term.school_id == self.school.id))
        assert found is not None
        return found

    def account(self, person: Person) -> Account:
        found = db.session.get(Account, person.account_id)
        assert found is not None
        return found

    def reload(self) -> None:
        """Read everybody again, after the database was exchanged."""
        self.school, self.cohort, self.teacher, self.admin, *self.pupils = (
            db.session.get_one(type(one), state.identity[0])
            for one, state in ((one, inspect(one)) for one in (self.school, self.cohort, self.teacher, self.admin, *self.pupils))
        )

    def teach(self, day: date, *, keep_clock: bool = False, **more: Any) -> UsageRecord:
        """A lesson that closes on its day, at its slot unless told otherwise; ``keep_clock``: entered at the time that the clock shows."""
        slot = next(iter(roster.slots_on(self.school.id, day, class_id=self.cohort.id)), None)
        times = {"slot_id": slot.slot_id, "slot_start": slot.starts, "slot_end": slot.ends} if slot else {}
        facts = closed_lesson(self.cohort, self.teacher, self.pupils, day, **(times | more))
        if not keep_clock:
            self.clock.at = max(self.clock.at, facts.ended_at + timedelta(minutes=10))
        return service.record_lesson(facts, self.account(self.teacher))

    def end_day(self, day: date, *, anchored: bool = True) -> dict[str, Any] | None:
        """Sign the day after midnight and have the region countersign it; the region's receipt."""
        self.clock.at = datetime(day.year, day.month, day.day, 16, 30, tzinfo=UTC)
        service.sign_daily_roots(self.clock.at)
        if not anchored:
            return None
        answer = anchors.countersign(anchors.request_of(self.school.id, "示范校"), "region", "某区教育局", self.region, self.clock.at)
        anchors.accept(None, self.school.id, answer)
        return answer

    def three_weeks(self) -> None:
        """Three Mondays, each signed and countersigned the same night."""
        for week in range(3):
            self.teach(FIRST + timedelta(weeks=week))
            self.end_day(FIRST + timedelta(weeks=week))

    def pack(self, name: str = "pack.zip") -> Path:
        """The inspector's pack as it is now."""
        db.session.rollback()
        db.session.expire_all()
        packing.write_pack(self.school.id, self.term, self.folder / name, self.clock.at)
        return self.folder / name

    def verify(self, pack: Path, *more: str | Path) -> Forged:
        """The single file alone, in an isolated interpreter that cannot see this project."""
        alone = self.folder / "verify.py"
        shutil.copyfile(str(verify.__file__), alone)
        done = subprocess.run(
            [sys.executable, "-I", str(alone), str(pack), "--json", *map(str, more)], capture_output=True, text=True, check=False, timeout=60, cwd=self.folder
        )
        assert done.returncode in (0, 1), done.stderr
        return Forged(done.returncode, json.loads(done.stdout))


@pytest.fixture
def victim(app: Flask, fixed_clock: clock.FixedClock, tmp_path: Path) -> Victim:
    made = Victim(tmp_path, fixed_clock)
    made.three_weeks()
    return made


Tamper = Callable[[str], None]


@pytest.fixture
def tamper(app: Flask) -> Tamper:
    """Run SQL as the owner of the database, past its triggers."""

    def run(statement: str) -> None:
        db.session.rollback()
        with db.engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                for name in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='trigger'").scalars().all():
                    connection.exec_driver_sql(f"DROP TRIGGER {name}")
                connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            else:
                connection.exec_driver_sql("SET session_replication_role = replica")
            assert connection.exec_driver_sql(statement).rowcount > 0

    return run
