"""Erasing a pupil: no table holds the name afterwards, the chain verifies, the counts stay; page, command and yearly proposal."""

from __future__ import annotations

import json
import uuid
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from lms.activities import marking
from lms.activities.models import Attempt, Draft, Marking
from lms.config import to_environ
from lms.core.clock import FixedClock
from lms.core.db import Base, db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, AuditEntry
from lms.labs.models import TerminalPresence
from lms.notices.models import Notice
from lms.roster.cli import roster
from lms.roster.erasing import service
from lms.roster.models import Enrollment, GuardianLink, Person, PersonAlias, SchoolClass
from lms.teaching import service as teaching
from lms.teaching.models import RegisterEntry
from lms.usage import service as usage
from lms.usage.models import EvidenceSalt, UsageRecord
from tests.activities.lessons import Taught, teach
from tests.activities.test_views import answer_everything
from tests.factories import make_admin, make_class, make_pupils, make_school, sign_in, token

NAME, GUARDIAN = "欧阳小蘑菇", "欧阳大蘑菇"
REASON = "监护人书面申请"


@pytest.fixture
def taught(app: Flask, fixed_clock: FixedClock, tmp_path: Path) -> Taught:
    """A closed lesson whose first pupil, of a name that nobody else has, left work, marks, a draft, a seat and a guardian."""
    found = teach(tmp_path)
    pupil, account = found.pupils[0], found.account()
    with write():
        pupil.name = account.display_name = NAME
        guardian = Person(id=new_id(), school_id=found.school.id, kind="guardian", name=GUARDIAN)
        db.session.add_all([guardian, PersonAlias(school_id=found.school.id, person_id=pupil.id, scheme="student_no", value="2026050177")])
        db.session.flush()
        db.session.add(GuardianLink(school_id=found.school.id, student_id=pupil.id, guardian_id=guardian.id, phone="13900000077"))
        db.session.add(
            Draft(school_id=found.school.id, person_id=pupil.id, lesson_id=found.lesson.id, activity="01-all/why", content={"text": f"我是{NAME}"}, updated_at=fixed_clock.at)
        )
        db.session.add(TerminalPresence(school_id=found.school.id, lesson_id=new_id(), seat_id=found.seats[0].id, account_id=account.id))
    made = answer_everything(found)
    marking.mark(found.teacher, db.session.get_one(Attempt, made["why"]), "4.5", f"{NAME}写得清楚")
    fixed_clock.at += timedelta(minutes=40)
    teaching.end_lesson(found.teacher, found.lesson)
    teaching.close(found.lesson.id)
    return found


def rows_with(words: str) -> list[str]:
    """Every table and column of the database in which the words stand, plain or as JSON escapes them."""
    found = []
    for table in Base.metadata.sorted_tables:
        for row in db.session.execute(sa.select(table)).mappings():
            for column, value in row.items():
                text = json.dumps(value, default=str) + json.dumps(value, default=str, ensure_ascii=False)
                if words in text or json.dumps(words)[1:-1] in text:
                    found.append(f"{table.name}.{column}")
    return found


def admin_of(taught: Taught) -> Account:
    return db.session.get_one(Account, make_admin(taught.school).account_id)


def test_nothing_holds_the_name_and_the_chain_stays_whole(taught: Taught) -> None:
    admin, pupil = admin_of(taught), taught.pupils[0]
    before = {name: len(rows_with(name)) for name in (NAME, GUARDIAN, "2026050177", "13900000077")}
    assert min(before.values()) >= 1 and before[NAME] >= 4, before
    held = sa.select(sa.func.count()).select_from(EvidenceSalt).where(EvidenceSalt.person_id == pupil.id)
    assert db.session.scalar(held)
    lines = db.session.scalar(sa.select(sa.func.count()).select_from(RegisterEntry))
    record = db.session.scalars(sa.select(UsageRecord)).one()
    counts = record.present, record.roster
    plan = service.plan(admin, pupil)
    assert plan.mentions == () and sum(count for _what, count in plan.lines) >= 10
    assert rows_with(NAME), "a plan changes nothing"
    service.erase(admin, pupil, f" {NAME} ", REASON)
    db.session.expire_all()
    for name in before:
        assert rows_with(name) == [], name
    assert db.session.scalar(held) == 0
    for model in (Attempt, Marking, Draft):
        assert db.session.scalar(sa.select(sa.func.count()).select_from(model)) == 0
    account = db.session.get_one(Account, pupil.account_id)
    assert (account.active, account.pin_hash, pupil.name, pupil.sex) == (False, None, service.ERASED, "")
    assert db.session.scalars(sa.select(Enrollment.ends_on).where(Enrollment.person_id == pupil.id)).one() is not None
    assert usage.verify_chain(taught.school.id).ok
    assert db.session.scalar(sa.select(sa.func.count()).select_from(RegisterEntry)) == lines
    assert (record.present, record.roster) == counts
    entry = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "erase-person")).one()
    assert (entry.actor_id, entry.object_id, entry.reason) == (admin.id, str(pupil.id), REASON)
    with pytest.raises(Refused, match="erased"):
        service.erase(admin, pupil, service.ERASED, REASON)


def test_others_keep_what_is_theirs(taught: Taught) -> None:
    """A brother's guardian stays; another pupil's work cannot be deleted by anybody; texts that may mean another are named."""
    admin, pupil, brother = admin_of(taught), taught.pupils[0], taught.pupils[1]
    guardian = db.session.scalars(sa.select(Person).where(Person.kind == "guardian")).one()
    with write():
        db.session.add(GuardianLink(school_id=taught.school.id, student_id=brother.id, guardian_id=guardian.id))
        taught.lesson.note = f"{NAME}帮助了同学"
        db.session.add(Draft(school_id=taught.school.id, person_id=brother.id, lesson_id=taught.lesson.id, activity="x", content={}, updated_at=taught.lesson.started_at))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), write() as session:
        session.execute(sa.delete(Marking))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), write() as session:
        session.execute(sa.delete(Attempt))
    gone = service.erase(admin, pupil, NAME, REASON)
    assert [(one.table, one.column, one.count) for one in gone.mentions] == [("lesson_session", "note", 1)]
    db.session.expire_all()
    assert guardian.name == GUARDIAN
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Draft)) == 1


@pytest.mark.parametrize(("name", "reason", "where"), [("欧阳", REASON, "name"), (NAME, " ", "reason"), (NAME, f"{NAME}的家长申请", "reason")])
def test_what_is_typed_wrong_erases_nothing(taught: Taught, name: str, reason: str, where: str) -> None:
    with pytest.raises(Invalid) as refusal:
        service.erase(admin_of(taught), taught.pupils[0], name, reason)
    assert refusal.value.where == where
    db.session.expire_all()
    assert taught.pupils[0].name == NAME and taught.pupils[0].erased_on is None
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Attempt))


def test_only_the_admin_and_only_pupils(taught: Taught) -> None:
    with pytest.raises(NotAllowed):
        service.erase(taught.teacher, taught.pupils[0], NAME, REASON)
    staff = db.session.scalars(sa.select(Person).where(Person.account_id == taught.teacher.id)).one()
    with pytest.raises(Refused, match="not-a-pupil"):
        service.plan(admin_of(taught), staff)


def test_the_page_asks_twice(taught: Taught, client: FlaskClient) -> None:
    admin = make_admin(taught.school)
    sign_in(client, admin)
    url = f"/school/pupils/{taught.pupils[0].id}/erase"
    found = client.get(f"/school/erase?q={NAME}").text
    assert url in found and "现在没有到期的学生" in found
    text = client.get(url).text
    for words in ("会删除", "会保留", "作答和作品", "监护关系和电话", "证据链：保持完整", "再输入一次学生的姓名"):
        assert words in text
    form = {"csrf_token": token(client, url), "name": "别人", "reason": REASON}
    assert "不一致" in client.post(url, data=form, follow_redirects=True).text
    assert rows_with(NAME)
    assert "已删除：" in client.post(url, data=form | {"name": NAME}, follow_redirects=True).text
    assert rows_with(NAME) == []
    assert client.get(url).status_code == 409


def test_a_year_after_leaving_the_admin_is_asked_and_decides(app: Flask, client: FlaskClient) -> None:
    school = make_school()
    running, admin = make_class(school, "primary", 5), make_admin(school)
    ended = make_class(school, "primary", 5, 2)
    gone, fresh, here = make_pupils(school, running, 3)
    (graduate,) = make_pupils(school, ended, 1)
    with write():
        gone.left_on, fresh.left_on = date(2025, 11, 1), date(2026, 6, 30)
        gone.name = "离校的学生"
        db.session.get_one(SchoolClass, ended.id).entry_year = 2018
    day = date(2026, 11, 24)
    assert {one.id for one in service.due(school.id, day)} == {gone.id, graduate.id}
    assert service.propose(day) == service.propose(day) == 1
    assert [(one.account_id, one.link) for one in db.session.scalars(sa.select(Notice))] == [(admin.account_id, "/school/erase")], "once a year"
    sign_in(client, admin)
    text = client.get("/school/erase").text
    assert "离校满一年（2 人）" in text and "离校的学生" in text
    form = {"csrf_token": token(client, "/school/erase"), "person": [str(gone.id), str(here.id)], "reason": "保存期已到", "count": "2"}
    assert "人数不一致" in client.post("/school/erase", data=form, follow_redirects=True).text, "who is still here is not among them"
    assert "已删除 1 名" in client.post("/school/erase", data=form | {"count": "1"}, follow_redirects=True).text
    db.session.expire_all()
    assert (gone.name, here.erased_on, graduate.erased_on) == (service.ERASED, None, None)


def test_the_command_shows_first(taught: Taught, app: Flask) -> None:
    environ = to_environ(app.config["ZHIKE"])
    db.session.remove()
    shown = CliRunner().invoke(roster, ["erase", "2026050177"], env=environ)
    assert (shown.exit_code, f"会删除：{NAME}" in shown.output, "没有改动" in shown.output) == (0, True, True), shown.output
    assert rows_with(NAME)
    refused = CliRunner().invoke(roster, ["erase", NAME, "--yes"], env=environ)
    assert refused.exit_code == 1 and "依据" in refused.output
    done = CliRunner().invoke(roster, ["erase", NAME, "--yes", "--reason", REASON], env=environ)
    assert done.exit_code == 0 and NAME not in done.output, done.output
    db.session.rollback()  # a fresh snapshot
    assert rows_with(NAME) == []
    assert "0 名" in CliRunner().invoke(roster, ["erase"], env=environ).output


def test_a_pupil_is_found_by_number_name_or_id(taught: Taught) -> None:
    school, pupil = taught.school.id, taught.pupils[0]
    for wanted in ("2026050177", NAME, str(pupil.id), "小蘑菇"):
        assert service.pupil_of(school, wanted).id == pupil.id
    with pytest.raises(NotFound):
        service.pupil_of(school, str(uuid.uuid4()))
    with pytest.raises(Refused, match="two-pupils"):
        service.pupil_of(school, "学生")
