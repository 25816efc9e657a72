"""Records and evidence on a real database."""

from __future__ import annotations

import json
import multiprocessing
import threading
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from lms.app import create_app
from lms.config import Settings
from lms.core import clock
from lms.core.db import db, write
from lms.core.errors import Invalid, NotAllowed, Refused
from lms.core.models import Account
from lms.roster.models import CalendarDay, FlaggedWeek, Person, School, SchoolClass
from lms.usage import service
from lms.usage.evidence.grades import Sealed
from lms.usage.evidence.keys import rotate
from lms.usage.models import DailyRoot, EvidenceEvent, EvidenceSalt, UsageRecord
from tests.factories import make_admin, make_class, make_pupils, make_school, make_teacher
from tests.usage.makers import at, closed_lesson, witnesses

TODAY = date(2026, 11, 24)


class World:
    """A school with one class, its teacher, an admin and three pupils."""

    def __init__(self) -> None:
        self.school: School = make_school()
        self.cohort: SchoolClass = make_class(self.school)
        self.teacher: Person = make_teacher(self.school, self.cohort)
        self.admin: Person = make_admin(self.school)
        self.pupils = make_pupils(self.school, self.cohort, 3)

    def account(self, person: Person) -> Account:
        found = db.session.get(Account, person.account_id)
        assert found is not None
        return found

    def record(self, day: date = TODAY, **more: object) -> UsageRecord:
        return service.record_lesson(closed_lesson(self.cohort, self.teacher, self.pupils, day, **more), self.account(self.teacher))


@pytest.fixture
def world(app: Flask, fixed_clock: clock.FixedClock) -> World:
    fixed_clock.at = at(TODAY, 3)
    return World()


def bodies(school: School) -> list[EvidenceEvent]:
    return list(db.session.scalars(select(EvidenceEvent).where(EvidenceEvent.school_id == school.id).order_by(EvidenceEvent.seq)))


def tamper(statement: str) -> None:
    """Change history as the owner of the database could."""
    with db.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            for name in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type='trigger'").scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        else:
            connection.exec_driver_sql("SET session_replication_role = replica")
        assert connection.exec_driver_sql(statement).rowcount > 0


def test_a_record_and_its_link_are_one(world: World) -> None:
    record = world.record()
    opened, link = bodies(world.school)
    assert (opened.type, opened.seq, link.type, link.seq, link.prev) == ("chain-opened", 1, "usage-record", 2, opened.hash)
    body = json.loads(link.body)
    assert body["payload"]["record"]["id"] == str(record.id)
    assert (record.event_seq, record.grade_of_evidence, record.origin, body["origin"]) == (2, "A", "real", "real")
    assert set(body) == {"v", "seq", "prev", "origin", "key_id", "type", "at", "school", "payload", "commitments"}
    report = service.verify_chain(world.school.id)
    assert (report.ok, report.length, report.head) == (True, 2, link.hash)


def test_no_person_is_in_the_chain(world: World) -> None:
    world.record()
    everything = "".join(event.body for event in bodies(world.school))
    people = [*world.pupils, world.teacher, world.admin]
    for person in people:
        assert person.name not in everything
        assert str(person.id) not in everything
        assert person.id.hex not in everything
        assert str(person.account_id) not in everything


def test_a_rolled_back_lesson_leaves_nothing(world: World) -> None:
    def cut_off() -> None:
        with write():
            world.record()
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cut_off()
    assert bodies(world.school) == []
    assert db.session.scalar(select(func.count()).select_from(UsageRecord)) == 0


def test_a_lesson_is_recorded_once(world: World) -> None:
    facts = closed_lesson(world.cohort, world.teacher, world.pupils, TODAY)
    first = service.record_lesson(facts, None)
    assert service.record_lesson(facts, None).id == first.id
    assert len(bodies(world.school)) == 2


@pytest.mark.parametrize(
    ("change", "grade"),
    [
        ({}, "A"),
        ({"witnesses": witnesses(at(TODAY), at(TODAY), "teacher-sign-in", "submissions", "device-log")}, "A"),
        ({"witnesses": witnesses(at(TODAY), at(TODAY), "teacher-sign-in", "device-log", "device-log")}, "B"),
        ({"witnesses": ()}, "B"),
        ({"secure": False}, "B"),
        ({"exceptions": ("plain-http",)}, "B"),
        ({"manual": True}, "C"),
    ],
)
def test_evidence_grade(world: World, change: dict[str, object], grade: str) -> None:
    assert world.record(**change).grade_of_evidence == grade


def test_late_entries_are_grade_c(world: World, fixed_clock: clock.FixedClock) -> None:
    fixed_clock.at = at(TODAY, 2, 40) + timedelta(hours=72)
    assert world.record().grade_of_evidence == "A"
    fixed_clock.at += timedelta(seconds=1)
    assert world.record().grade_of_evidence == "C"


@pytest.mark.parametrize(
    "change",
    [{"kind": "party"}, {"minutes": -1}, {"present": -1}, {"class_hours": 0}, {"ended_at": at(TODAY, 1)}, {"class_id": uuid.UUID(int=1)}],
)
def test_impossible_lessons_are_refused(world: World, change: dict[str, object]) -> None:
    facts = closed_lesson(world.cohort, world.teacher, world.pupils, TODAY)
    with pytest.raises(Invalid):
        service.record_lesson(replace(facts, **change), None)  # type: ignore[arg-type]  # wrong on purpose
    assert bodies(world.school) == []


def test_erasing_a_person_keeps_the_chain_whole(world: World) -> None:
    world.record()
    pupil = world.pupils[0]
    held = select(func.count()).select_from(EvidenceSalt).where(EvidenceSalt.person_id == pupil.id)
    assert db.session.scalar(held) == 1
    assert service.erase_person(world.account(world.admin), world.school.id, pupil.id, "家长申请删除") == 1
    assert db.session.scalar(held) == 0
    report = service.verify_chain(world.school.id)
    assert (report.ok, report.length) == (True, 3)


def test_a_correction_is_a_new_row_by_two_people(world: World) -> None:
    old = world.record(present=0)
    teacher, admin = world.account(world.teacher), world.account(world.admin)
    with pytest.raises(Refused, match="two-people"):
        service.correct_record(teacher, teacher, old.id, {"present": 3}, "点名漏记")
    with pytest.raises(Invalid):
        service.correct_record(teacher, admin, old.id, {"present": 3}, " ")
    with pytest.raises(Invalid):
        service.correct_record(teacher, admin, old.id, {"grade_of_evidence": "A"}, "想要 A")
    other = world.account(make_teacher(world.school, name="李老师"))
    with pytest.raises(NotAllowed, match="correct-admin"):
        service.correct_record(teacher, other, old.id, {"present": 3}, "点名漏记")
    new = service.correct_record(teacher, admin, old.id, {"present": 3}, "点名漏记，王小明补登")
    assert (new.corrects_id, new.present, new.grade_of_evidence, old.present) == (old.id, 3, "B", 0)
    assert "王小明" not in "".join(event.body for event in bodies(world.school))
    with pytest.raises(Refused, match="corrected-already"):
        service.correct_record(teacher, admin, old.id, {"present": 2}, "再改一次")
    assert [row.id for row in service.facts_of(world.school.id, TODAY, "ncet").lessons] == [str(new.id)]
    assert service.verify_chain(world.school.id).ok


TAMPERED = [
    ("UPDATE evidence_event SET body = replace(body, '\"present\":3', '\"present\":2') WHERE seq = 3", 3, "changed"),
    ("DELETE FROM evidence_event WHERE seq = 3", 3, "missing"),
    ("UPDATE evidence_event SET at = '2026-09-01 00:00:00.000000' WHERE seq = 3", 3, "columns"),
    ("UPDATE usage_record SET present = 40 WHERE event_seq = 3", 3, "record-changed"),
    ("DELETE FROM usage_record WHERE event_seq = 3", 3, "record-missing"),
    ("UPDATE usage_record SET event_seq = 1 WHERE event_seq = 3", 1, "record-forged"),
    ("UPDATE evidence_salt SET value = '{\"person\": \"x\"}' WHERE seq = 3 AND field = 'pupil/001'", 3, "opening"),
    ("UPDATE chain_head SET seq = 3, hash = (SELECT hash FROM evidence_event WHERE seq = 3)", None, ""),
    ("DELETE FROM evidence_event WHERE seq = 4", 4, "record-forged"),
    ("UPDATE daily_root SET root = '" + "0" * 64 + "'", 1, "root"),
]


@pytest.mark.parametrize(("statement", "seq", "code"), TAMPERED)
def test_tampering_is_found(world: World, statement: str, seq: int | None, code: str) -> None:
    for day in range(3):
        world.record(TODAY - timedelta(days=day))
    service.sign_daily_roots(clock.now() + timedelta(days=1))
    assert service.verify_chain(world.school.id).ok
    tamper(statement)
    report = service.verify_chain(world.school.id)
    if seq is None:  # a head set back hides the tail, but the signed root has seen it
        assert (report.ok, report.code) == (False, "truncated")
        return
    assert (report.ok, report.first_broken, report.code) == (False, seq, code), report.in_words()


def test_daily_roots_are_signed_once_a_day(world: World, fixed_clock: clock.FixedClock) -> None:
    world.record()
    assert service.sign_daily_roots(fixed_clock.at) == 0  # the day is not over
    fixed_clock.at = datetime(2026, 11, 24, 16, 30, tzinfo=UTC)  # half past midnight in Shanghai
    assert service.sign_daily_roots(fixed_clock.at) == 1
    assert service.sign_daily_roots(fixed_clock.at) == 0
    fixed_clock.at = at(date(2026, 11, 25), 3)
    world.record(date(2026, 11, 25))
    fixed_clock.at = at(date(2026, 11, 24), 3)  # the clock is set back a day
    world.record(date(2026, 11, 24))
    fixed_clock.at = at(date(2026, 11, 27), 3)
    assert service.sign_daily_roots(fixed_clock.at) == 1
    rows = db.session.scalars(select(DailyRoot).order_by(DailyRoot.day)).all()
    assert [(row.day, row.first_seq, row.last_seq) for row in rows] == [(date(2026, 11, 24), 1, 2), (date(2026, 11, 25), 3, 4)]
    report = service.verify_chain(world.school.id)
    assert (report.ok, report.signed_until) == (True, 4)
    assert len(report.remarks) == 1


def test_a_new_key_is_handed_over_on_the_chain(world: World, app: Flask) -> None:
    world.record()
    rotate(app.config["ZHIKE"].data_dir)
    service.sign_daily_roots(clock.now() + timedelta(days=1))  # the day before is signed by the new key, after it was announced
    world.record(TODAY - timedelta(days=1))
    assert [event.type for event in bodies(world.school)] == ["chain-opened", "usage-record", "key-changed", "usage-record"]
    service.sign_daily_roots(clock.now() + timedelta(days=2))
    report = service.verify_chain(world.school.id)
    assert (report.ok, report.signed_until) == (True, 4), report.in_words()


def test_a_replaced_key_without_hand_over_is_found(world: World, app: Flask) -> None:
    world.record()
    (app.config["ZHIKE"].data_dir / "keys" / "node.pem").unlink()
    world.record(TODAY - timedelta(days=1))
    report = service.verify_chain(world.school.id)
    assert (report.ok, report.first_broken, report.code) == (False, 3, "key-replaced")


def test_a_real_database_refuses_simulated_rows(world: World, app: Flask) -> None:
    world.record()
    app.config["ZHIKE"] = replace(app.config["ZHIKE"], origin="simulated")
    with pytest.raises(Refused, match="origin"):
        world.record(TODAY - timedelta(days=1))
    app.config["ZHIKE"] = replace(app.config["ZHIKE"], origin="real")
    assert world.record(TODAY - timedelta(days=2)).origin == "real"
    assert world.record(TODAY - timedelta(days=3), manual=True).origin == "manual"
    assert service.verify_chain(world.school.id).origins == ("manual", "real")


def test_a_simulated_database_marks_everything(app: Flask, fixed_clock: clock.FixedClock) -> None:
    app.config["ZHIKE"] = replace(app.config["ZHIKE"], origin="simulated")
    world = World()
    assert world.record(manual=True).origin == "simulated"
    assert service.course_of(world.school.id) == "demo-ncet"
    app.config["ZHIKE"] = replace(app.config["ZHIKE"], origin="real")
    with pytest.raises(Refused, match="origin"):
        world.record(TODAY - timedelta(days=1))


def append_many(app: Flask, school_id: object, count: int) -> None:
    with app.app_context():
        for number in range(count):
            with write():
                service.append_event(school_id, "note", {"n": number}, [Sealed("who", {"n": number})], clock.now())  # type: ignore[arg-type]  # a uuid
        db.session.remove()


def append_elsewhere(settings: Settings, school_id: object, count: int) -> None:
    append_many(create_app(settings, testing=True), school_id, count)


def test_eight_writers_in_two_processes_keep_the_chain_whole(world: World, app: Flask, settings: Settings) -> None:
    world.record()
    school_id = world.school.id
    db.session.remove()
    other = multiprocessing.get_context("spawn").Process(target=append_elsewhere, args=(settings, school_id, 20))
    threads = [threading.Thread(target=append_many, args=(app, school_id, 20)) for _ in range(7)]
    other.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    other.join(120)
    assert other.exitcode == 0
    report = service.verify_chain(school_id)
    assert (report.ok, report.length) == (True, 2 + 8 * 20), report.in_words()
    assert db.session.scalar(select(func.count()).select_from(EvidenceSalt).where(EvidenceSalt.field == "who")) == 160


def test_facts_come_from_the_roster(world: World, fixed_clock: clock.FixedClock) -> None:
    now, entered = fixed_clock.at, datetime(2026, 11, 1, tzinfo=UTC)
    fixed_clock.at = entered
    with write():
        rows = [
            CalendarDay(school_id=world.school.id, day=date(2026, 10, 1), is_school=False, source="national", entered_at=entered),
            CalendarDay(school_id=world.school.id, day=date(2026, 10, 10), is_school=True, follows=2, source="school", entered_at=entered),
            CalendarDay(school_id=world.school.id, day=date(2026, 9, 20), is_school=True, source="national", entered_at=entered),
            FlaggedWeek(school_id=world.school.id, monday=date(2026, 11, 9), reason="期中考试", entered_at=entered, grades=[5]),
        ]
        db.session.add_all(rows)
    fixed_clock.at = now
    world.record(units=("ncet:五上-3", "zhike:x"))
    world.record(TODAY - timedelta(days=1), units=("zhike:x",))
    facts = service.facts_of(world.school.id, TODAY)
    assert (facts.course, facts.term_start, facts.school.stages) == ("ncet", date(2026, 9, 1), ("primary",))
    assert [(fact.day.day, fact.is_school) for fact in facts.days] == [(1, False), (10, True)]  # 20 September is not declared yet
    assert [(flag.monday, flag.entered, flag.grades) for flag in facts.flags] == [(date(2026, 11, 9), date(2026, 11, 1), frozenset({5}))]
    assert [(cohort.grade, cohort.roster) for cohort in facts.classes] == [(5, 3)]
    assert [(row.course, row.units, row.teacher_registered) for row in facts.lessons] == [(None, (), True), ("ncet", ("五上-3",), True)]
    result = service.evaluate(world.school.id, "fortnightly", TODAY)
    assert result["classes"][str(world.cohort.id)]["counted"] == 1
    assert result["verdict"] == "structurally-impossible"


def test_course_of_a_school_can_be_chosen(world: World) -> None:
    service.set_course(world.account(world.admin), world.school.id, "zhike")
    assert service.course_of(world.school.id) == "zhike"
    world.record(units=("zhike:x",))
    assert service.evaluate(world.school.id, "fortnightly", TODAY)["classes"][str(world.cohort.id)]["raw"] == 1
