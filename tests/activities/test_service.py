"""Work on a real database: idempotent, append-only, one owner; drafts; results without names; the class report."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, render_template

from lms.activities import service
from lms.activities.models import Attempt
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.courses import service as courses
from lms.courses.rules import Activity
from lms.teaching.desk import desk_of
from tests.activities.lessons import Taught, teach
from tests.effort import PATIENCE_S

QUIZ = {"answers": {"see": 0, "many": 64}}


@pytest.fixture
def taught(app: Flask, tmp_path: Path) -> Taught:
    return teach(tmp_path)


def context(taught: Taught, index: int = 0) -> service.WorkContext:
    desk = desk_of(taught.account(index))
    assert desk is not None
    return desk.context


def activity(taught: Taught, name: str) -> Activity:
    return service.activity_of(courses.lesson_of(taught.package_id, "01-all"), name)


def rows() -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(Attempt)) or 0


def test_the_same_attempt_twice_is_one_row(taught: Taught) -> None:
    key = uuid.uuid4()
    first = service.save_attempt(context(taught), key, activity(taught, "quiz"), QUIZ)
    again = service.save_attempt(context(taught), key, activity(taught, "quiz"), QUIZ)
    assert (first.id, again.id, rows()) == (key, key, 1)
    assert (again.score, again.max_score, again.done, again.activity) == (10, 10, True, "01-all/quiz")
    assert again.seat_id == taught.seats[0].id
    assert again.grading["correct"] is True


def test_an_id_belongs_to_one_person_and_one_answer(taught: Taught) -> None:
    key = uuid.uuid4()
    service.save_attempt(context(taught), key, activity(taught, "quiz"), QUIZ)
    with pytest.raises(Refused, match="attempt-of-another"):
        service.save_attempt(context(taught, 1), key, activity(taught, "quiz"), QUIZ)
    with pytest.raises(Refused, match="attempt-id-used"):
        service.save_attempt(context(taught), key, activity(taught, "quiz"), {"answers": {"see": 1}})
    with pytest.raises(Refused, match="attempt-id-used"):
        service.save_attempt(context(taught), key, activity(taught, "why"), {"text": "因为光线太暗"})
    assert rows() == 1


def test_a_malformed_answer_leaves_nothing_and_the_retry_is_saved(taught: Taught) -> None:
    key = uuid.uuid4()
    for wrong in ({"answers": {"see": "x"}}, {"answers": {"see": float("nan")}}, {"text": "x" * 1_000_000}, {"answers": {"nobody": 1}}, {}):
        with pytest.raises(Invalid):
            service.save_attempt(context(taught), key, activity(taught, "quiz"), wrong)
    assert rows() == 0
    assert service.save_attempt(context(taught), key, activity(taught, "quiz"), QUIZ).score == 10


def test_a_failed_transaction_keeps_nothing_and_the_retry_is_saved(taught: Taught) -> None:
    key = uuid.uuid4()

    def interrupted() -> None:
        with write():
            service.save_attempt(context(taught), key, activity(taught, "quiz"), QUIZ)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power"):
        interrupted()
    assert rows() == 0
    service.save_attempt(context(taught), key, activity(taught, "quiz"), QUIZ)
    assert rows() == 1


def test_eight_threads_with_one_id_leave_one_row(app: Flask, taught: Taught) -> None:
    key, ctx, quiz = uuid.uuid4(), context(taught), activity(taught, "quiz")
    db.session.rollback()
    start, seen, errors = threading.Barrier(8), [], []

    def send() -> None:
        with app.app_context():
            start.wait(PATIENCE_S)
            try:
                seen.append(service.save_attempt(ctx, key, quiz, QUIZ).id)
            except Exception as error:
                errors.append(error)
                raise
            finally:
                db.session.remove()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert (errors, seen) == ([], [key] * 8)
    assert rows() == 1


def test_work_is_append_only(taught: Taught) -> None:
    attempt = service.save_attempt(context(taught), uuid.uuid4(), activity(taught, "quiz"), QUIZ)
    for statement in (sa.update(Attempt).values(score=10), sa.delete(Attempt)):
        with pytest.raises(sa.exc.DatabaseError, match="append-only"), write() as session:
            session.execute(statement.where(Attempt.id == attempt.id))
    assert rows() == 1


def test_saving_is_one_statement(taught: Taught) -> None:
    ctx, quiz = context(taught), activity(taught, "quiz")
    seen: list[str] = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    service.save_attempt(ctx, uuid.uuid4(), quiz, QUIZ)
    assert len([statement for statement in seen if not statement.startswith(("BEGIN", "COMMIT"))]) == 1


def test_drafts_are_versioned_and_the_newer_one_is_told(taught: Taught) -> None:
    ctx = context(taught)
    first = service.save_draft(ctx, "why", {"text": "一"}, 0)
    assert first.version == 1
    assert service.save_draft(ctx, "why", {"text": "一二"}, 1).version == 2
    with pytest.raises(Refused, match="draft-conflict") as refused:
        service.save_draft(ctx, "why", {"text": "别的"}, 1)
    assert refused.value.facts == {"version": 2, "content": {"text": "一二"}}
    assert service.save_draft(ctx, "why", {"text": "一二"}, 0).version == 2, "the same text again is no conflict"
    assert {name: draft.content for name, draft in service.drafts(ctx).items()} == {"why": {"text": "一二"}}
    assert service.drafts(context(taught, 1)) == {}
    with pytest.raises(Invalid):
        service.save_draft(ctx, "why", {"text": "x" * 1_000_000}, 2)


def test_old_drafts_are_forgotten(taught: Taught) -> None:
    draft = service.save_draft(context(taught), "why", {"text": "一"}, 0)
    assert service.forget_drafts(draft.updated_at + timedelta(days=29)) == 0
    assert service.forget_drafts(draft.updated_at + timedelta(days=31)) == 1


ANSWERS: dict[str, dict[str, Any]] = {
    "read": {"read": True},
    "quiz": QUIZ,
    "why": {"text": "因为小明说光线太暗"},
    "faces": {"trials": [{"predicted": 1, "source": "recorded", "recorded": 0}], "conclusion": ""},
    "stop": {"mode": "python", "robot": "virtual", "program": "robot.stop()", "checks": [{"name": "停在 10～20 厘米", "passed": True}], "telemetry": {"last_range_cm": 15.5}},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_projector_sees_figures_and_no_child(taught: Taught, app: Flask, name: str) -> None:
    for index in (0, 0, 1):
        service.save_attempt(context(taught, index), uuid.uuid4(), activity(taught, name), ANSWERS[name])
    found = service.anonymous_results(taught.lesson.id, activity(taught, name), school_id=taught.school.id)
    assert (found["people"], found["kind"]) == (2, activity(taught, name).kind)
    assert found == service.anonymous_results(taught.lesson.id, activity(taught, name))
    with app.test_request_context("/"):
        html = render_template(found["template"], results=found)
    for secret in ("学生01", "小明", str(taught.pupils[0].id), "robot.stop"):
        assert secret not in html + str(found["results"])


def test_the_newest_answer_counts_in_the_results(taught: Taught) -> None:
    quiz = activity(taught, "quiz")
    service.save_attempt(context(taught), uuid.uuid4(), quiz, {"answers": {"see": 1, "many": 60}})
    service.save_attempt(context(taught), uuid.uuid4(), quiz, QUIZ)
    found = service.anonymous_results(taught.lesson.id, quiz)
    assert (found["mean"], found["done"]) == (100, 1)
    assert [bar["count"] for bar in found["results"]["questions"][0]["bars"]] == [1, 0]
    assert found["results"]["questions"][0]["bars"][0]["good"]


def test_best_standing_and_artefacts(taught: Taught) -> None:
    for answers in ({"see": 1}, {"see": 0, "many": 64}, {"see": 0}):
        service.save_attempt(context(taught), uuid.uuid4(), activity(taught, "quiz"), {"answers": answers})
    service.save_attempt(context(taught, 1), uuid.uuid4(), activity(taught, "why"), ANSWERS["why"])
    best = service.best(taught.lesson.id, taught.pupils[0].id)
    assert (best["quiz"].score, best["quiz"].tries, best["quiz"].done) == (10, 3, True)
    assert set(service.standing(taught.lesson.id)) == {(taught.pupils[0].id, "quiz"), (taught.pupils[1].id, "why")}
    assert service.standing(taught.lesson.id)[taught.pupils[1].id, "why"].score is None
    found = service.artefacts(taught.lesson.id)
    assert [one.attempt_id for one in found] == [one.id for one in service.attempts(taught.lesson.id)]
    assert len({one.sha256 for one in found}) == 4
    assert all(one.size > 10 for one in found)


def test_the_class_report_takes_three_queries(app: Flask, tmp_path: Path) -> None:
    taught = teach(tmp_path, pupils=30)
    with write():
        for index in range(30):
            for name in ("quiz", "why", "stop"):
                service.save_attempt(context(taught, index), new_id(), activity(taught, name), ANSWERS[name])
    service.class_report(taught.cohort.id, school_id=taught.school.id)  # lessons are in memory from here
    seen: list[str] = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    report = service.class_report(taught.cohort.id, school_id=taught.school.id)
    assert len([statement for statement in seen if statement.startswith("SELECT")]) == 3
    assert (len(report.lines), report.attempts, [column.title for column in report.columns]) == (30, 90, ["小测验", "会停的小车", "为什么"])
    assert report.lines[0].percent == 67  # quiz 10 of 10, robot 10 of 20; the text waits for its teacher
    assert service.class_report(taught.cohort.id, new_id(), school_id=taught.school.id).attempts == 0


def test_unknown_activities_are_not_found(taught: Taught) -> None:
    with pytest.raises(NotFound):
        activity(taught, "nothing")
    with pytest.raises(NotFound):
        service.activity_named(taught.school.id, "no-such-hash", "01-all/quiz")
