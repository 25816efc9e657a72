"""The teacher's pages of work: a class with all its attempts, one answer; only for who teaches the class."""

from __future__ import annotations

import uuid
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from lms.activities import service
from lms.activities.models import Attempt
from lms.core.db import db, new_id, write
from lms.core.models import Account
from lms.courses import service as courses
from lms.roster.models import TeachingAssignment
from lms.teaching.desk import desk_of
from tests import factories as make
from tests.activities.lessons import Browser, Taught, browser, teach
from tests.activities.test_service import ANSWERS, activity, context
from tests.factories import make_admin, make_class, make_teacher


@pytest.fixture
def taught(app: Flask, tmp_path: Path) -> Taught:
    return teach(tmp_path)


def enter(app: Flask, account: Account) -> Browser:
    client = browser(app)
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = account.get_id(), True
    return client


def answer_everything(taught: Taught) -> dict[str, uuid.UUID]:
    """One answer of the first pupil to every activity; ids by activity."""
    desk = desk_of(taught.account())
    assert desk is not None
    lesson: Any = courses.lesson_of(taught.package_id, "01-all")
    return {name: service.save_attempt(desk.context, uuid.uuid4(), lesson.activities[name], answer).id for name, answer in ANSWERS.items()}


def test_the_teacher_sees_the_class_and_each_answer(app: Flask, taught: Taught) -> None:
    made = answer_everything(taught)
    teacher = enter(app, taught.teacher)
    page = teacher.get(f"/classes/{taught.cohort.id}/work").text
    for words in ("学生01", "学生03", "小测验", "待评", "5 次作答"):
        assert words in page
    assert "0 次作答" in teacher.get(f"/classes/{taught.cohort.id}/work?lesson={uuid.uuid4()}").text
    shown = {"read": "已读", "quiz": "八八六十四", "why": "因为小明说光线太暗", "faces": "正对镜头", "stop": "robot.stop()"}
    for name, words in shown.items():
        answer = teacher.get(f"/work/{made[name]}")
        assert answer.status_code == 200
        assert words in answer.text


def test_only_who_teaches_the_class_sees_its_work(app: Flask, taught: Taught) -> None:
    made = answer_everything(taught)
    stranger = make_teacher(taught.school, make_class(taught.school, number=2), name="李老师")
    for path in (f"/classes/{taught.cohort.id}/work", f"/work/{made['why']}"):
        assert enter(app, db.session.get_one(Account, stranger.account_id)).get(path).status_code == 403
        assert enter(app, db.session.get_one(Account, make_admin(taught.school).account_id)).get(path).status_code == 200
        assert enter(app, taught.account(1)).get(path).status_code == 403
        assert browser(app).get(path).status_code == 302
    assert enter(app, taught.teacher).get(f"/classes/{uuid.uuid4()}/work").status_code == 404
    assert enter(app, taught.teacher).get(f"/work/{uuid.uuid4()}").status_code == 404


def test_the_teacher_marks_what_no_program_can(app: Flask, taught: Taught) -> None:
    made = answer_everything(taught)
    teacher = enter(app, taught.teacher)
    path = f"/work/{made['why']}"
    token = make.token(teacher, path)
    for wrong in ("", "-1", "99", "1.3", "nan", "一"):
        refused = teacher.post(path, data={"csrf_token": token, "score": wrong, "comment": "写得清楚"})
        assert refused.status_code == 422
        assert "写得清楚" in refused.text
    assert teacher.post(path, data={"csrf_token": token, "score": "4.5", "comment": "写得清楚"}).headers["Location"].startswith(f"/classes/{taught.cohort.id}/work")
    teacher.post(path, data={"csrf_token": token, "score": "5", "comment": "改过后更好"})
    page = teacher.get(f"/classes/{taught.cohort.id}/work").text
    assert "待评</a>" not in page
    assert "改过后更好" in teacher.get(path).text
    attempt = db.session.get_one(Attempt, made["why"])
    shown = service.shown_answer(attempt)["given"]
    assert (shown.score, shown.comment) == (5, "改过后更好")
    assert teacher.post(f"/work/{made['quiz']}", data={"csrf_token": token, "score": "1"}).status_code == 409
    pupil = enter(app, taught.account(1))
    own = {"csrf_token": make.token(pupil, "/lesson"), "score": "5"}
    assert pupil.post(path, data=own).status_code == 403


def test_marking_goes_on_with_the_next_pupil(app: Flask, taught: Taught) -> None:
    why = [service.save_attempt(context(taught, index), new_id(), activity(taught, "why"), ANSWERS["why"]).id for index in range(3)]
    teacher, seen = enter(app, taught.teacher), [str(why[0])]
    token = make.token(teacher, f"/work/{why[0]}")
    for _ in range(2):
        seen.append(teacher.post(f"/work/{seen[-1]}", data={"csrf_token": token, "score": "1"}).headers["Location"].rpartition("/")[2])
    assert seen == [str(one) for one in why]
    assert "work?lesson=" in teacher.post(f"/work/{seen[-1]}", data={"csrf_token": token, "score": "1"}).headers["Location"]


def test_who_taught_the_class_once_sees_its_work_no_more(app: Flask, taught: Taught) -> None:
    """An assignment that has ended opens neither the class's work nor an answer, and marks nothing."""
    made = answer_everything(taught)
    duty = db.session.scalars(select(TeachingAssignment).where(TeachingAssignment.class_id == taught.cohort.id)).one()
    teacher = enter(app, taught.teacher)
    path = f"/work/{made['why']}"
    token = make.token(teacher, path)
    with write():
        duty.ends_on = date(2025, 7, 1)
    for closed in (f"/classes/{taught.cohort.id}/work", path, f"/school/classes/{taught.cohort.id}"):
        answer = teacher.get(closed)
        assert answer.status_code == 403, closed
        assert "学生01" not in answer.text
    assert teacher.post(path, data={"csrf_token": token, "score": "4"}).status_code == 403
