"""The pupil's page and what it asks of the server, over HTTP with CSRF as in life."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from lms.activities import service as activities
from lms.activities.models import Attempt
from lms.core.db import db, write
from lms.labs import service as labs
from lms.labs.models import Device, TerminalPresence
from lms.teaching import groups
from lms.teaching import service as teaching
from lms.teaching.desk import desk_of, state_of
from lms.teaching.models import LessonSession, RegisterEntry
from lms.teaching.publishing import lesson_state
from tests.activities.lessons import Taught, browser, enter, teach

QUIZ = {"answers": {"see": 0, "many": 64}}


@pytest.fixture
def taught(app: Flask, tmp_path: Path) -> Taught:
    return teach(tmp_path)


class Pupil:
    """A browser without JavaScript that also speaks the page's API."""

    def __init__(self, client: FlaskClient, taught: Taught, index: int = 0) -> None:
        self.client, self.token = client, enter(client, taught.account(index))

    def send(self, method: str, path: str, body: Any, **headers: str) -> Any:
        data = body if isinstance(body, str) else json.dumps(body)
        return self.client.open(path, method=method, data=data, content_type="application/json", headers={"X-CSRFToken": self.token, **headers})

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def attempt(self, name: str, answer: Any, key: str | None = None) -> Any:
        return self.send("POST", "/api/attempts", {"id": key or str(uuid.uuid4()), "activity": name, "answer": answer})


@pytest.fixture
def pupil(app: Flask, taught: Taught) -> Pupil:
    return Pupil(browser(app), taught)


def test_the_page_shows_the_teachers_step_and_no_answer(pupil: Pupil, taught: Taught) -> None:
    assert "第 0 步" in pupil.get("/lesson").text
    for name, shown, secret in (("quiz", "摄像头给机器的是什么", "每个像素是一个数字"), ("why", "说出一个理由", "参考答案在此"), ("faces", "正对镜头", '"count"')):
        taught.push(name)
        html = pupil.get("/lesson").text
        assert shown in html
        assert secret not in html
    assert html.count("dot-past") == 4


def test_an_answer_is_on_disk_before_the_reply(pupil: Pupil, taught: Taught) -> None:
    taught.push("quiz")
    key = str(uuid.uuid4())
    reply = pupil.attempt("quiz", QUIZ, key)
    assert (reply.status_code, reply.json["saved"], reply.json["score"], reply.json["correct"]) == (200, True, 10, True)
    assert reply.json["shown"]["items"][0]["explain"] == "每个像素是一个数字"
    assert pupil.attempt("quiz", QUIZ, key).json == reply.json
    entry = db.session.scalar(sa.select(RegisterEntry).where(RegisterEntry.person_id == taught.pupils[0].id))
    assert entry is not None
    db.session.refresh(entry)
    assert entry.done == ["quiz"]
    assert "全对了" in pupil.get("/lesson").text
    assert "每个像素是一个数字" in pupil.get("/api/lesson/work/quiz").json["html"]
    assert pupil.get("/api/lesson/work/why").status_code == 404


def test_another_pupil_may_not_use_the_id(app: Flask, pupil: Pupil, taught: Taught) -> None:
    key = str(uuid.uuid4())
    assert pupil.attempt("quiz", QUIZ, key).status_code == 200
    other = Pupil(browser(app), taught, 1).attempt("quiz", QUIZ, key)
    assert (other.status_code, other.json["code"]) == (409, "attempt-of-another")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "json"),
        ("[]", "json"),
        ('{"id": NaN}', "json"),
        ("[" * 100_000, "json"),
        ('{"id": "x", "activity": "quiz", "answer": {}}', "attempt-id"),
        ({"activity": "quiz", "answer": QUIZ}, "attempt-id"),
        ({"id": str(uuid.uuid4()), "activity": "quiz", "answer": []}, "answer"),
        ({"id": str(uuid.uuid4()), "activity": "quiz", "answer": {"answers": {"see": 1e999}}}, "json"),
        ('{"id": "01934b8e-0000-7000-8000-000000000001", "activity": "quiz", "answer": {"answers": {"many": 1e999}}}', "answer"),
        ({"id": str(uuid.uuid4()), "activity": "why", "answer": {"text": "x" * 200_000}}, "answer"),
        ({"id": str(uuid.uuid4()), "activity": "why", "answer": {"text": "x" * 1_000_000}}, "too-big"),
        ({"id": str(uuid.uuid4()), "activity": "quiz", "answer": QUIZ, "score": 100}, "unknown-field"),
        ({"id": str(uuid.uuid4()), "activity": "quiz", "answer": QUIZ, "lesson": "x"}, "id"),
    ],
)
def test_malformed_attempts_are_refused_in_words(pupil: Pupil, body: Any, code: str) -> None:
    reply = pupil.send("POST", "/api/attempts", body)
    assert (reply.status_code, reply.json["code"]) == (422, code)
    assert reply.json["where"]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Attempt)) == 0


def test_unknown_activities_and_missing_tokens_are_refused(pupil: Pupil) -> None:
    assert pupil.attempt("nothing", QUIZ).status_code == 404
    assert pupil.attempt({"a": 1}, QUIZ).status_code == 404  # type: ignore[arg-type]  # what a broken page might send
    reply = pupil.send("POST", "/api/attempts", {}, **{"X-CSRFToken": "wrong"})
    assert (reply.status_code, reply.json["code"]) == (400, "csrf")
    assert pupil.get("/api/lesson/token").json["token"]


def test_staff_and_strangers_are_kept_out(app: Flask, taught: Taught) -> None:
    stranger = browser(app)
    assert stranger.get("/api/lesson/state").status_code == 401
    teacher = browser(app)
    with teacher.session_transaction() as session:
        session["_user_id"], session["_fresh"] = taught.teacher.get_id(), True
    assert teacher.get("/api/lesson/state").status_code == 403


def test_forms_work_without_javascript(pupil: Pupil, taught: Taught) -> None:
    taught.push("quiz")
    html = pupil.get("/lesson").text
    key = re.search(r'name="id" value="([^"]+)"', html)
    assert key is not None
    form = {"csrf_token": pupil.token, "id": key[1], "activity": "quiz", "q-see": "0", "q-many": " 64 "}
    assert pupil.client.post("/lesson/answer", data=form).status_code == 302
    assert pupil.client.post("/lesson/answer", data=form).status_code == 302, "the same form sent twice"
    assert "全对了" in pupil.get("/lesson").text
    for name, fields in (("read", {}), ("why", {"text": "因为\r\n光线太暗"}), ("faces", {"predicted-0": "1", "note-0": "中", "conclusion": "像脸的规律"})):
        taught.push(name)
        sent = pupil.client.post("/lesson/answer", data={"csrf_token": pupil.token, "id": str(uuid.uuid4()), "activity": name, **fields})
        assert sent.status_code == 302, sent.text
    saved = activities.attempts(taught.lesson.id)
    assert [row.activity for row in saved] == ["01-all/quiz", "01-all/read", "01-all/why", "01-all/faces"]
    assert saved[2].answer == {"text": "因为\n光线太暗"}
    wrong = pupil.client.post("/lesson/answer", data={"csrf_token": pupil.token, "id": str(uuid.uuid4()), "activity": "why", "text": "短"})
    assert wrong.status_code == 422
    assert "再写一点" in wrong.text


def test_drafts_survive_and_conflicts_tell_the_newer_one(pupil: Pupil, taught: Taught) -> None:
    assert pupil.send("PUT", "/api/drafts/why", {"content": {"text": "一"}, "version": 0}).json == {"version": 1}
    conflict = pupil.send("PUT", "/api/drafts/why", {"content": {"text": "二"}, "version": 0})
    assert (conflict.status_code, conflict.json["code"], conflict.json["version"], conflict.json["content"]) == (409, "draft-conflict", 1, {"text": "一"})
    assert pupil.send("PUT", "/api/drafts/nothing", {"content": {}, "version": 0}).status_code == 404
    assert pupil.send("PUT", "/api/drafts/why", {"content": [], "version": 0}).status_code == 422
    assert pupil.send("PUT", "/api/drafts/why", {"content": {}, "version": "1"}).status_code == 422
    taught.push("why")
    assert '"draft":{"version":1,"content":{"text":"一"}}' in pupil.get("/lesson").text


def test_polling_follows_the_lesson_and_is_a_sign_of_life(pupil: Pupil, taught: Taught) -> None:
    before = pupil.get("/api/lesson/state").json
    taught.push("quiz")
    now = pupil.send("POST", "/api/lesson/heartbeat", {"step": 0, "visible": True, "secure": True}).json
    assert (now["state"], now["step"], now["step_version"] > before["step_version"], now["rev"] > before["rev"]) == ("running", 2, True, True)
    row = db.session.scalar(sa.select(TerminalPresence).where(TerminalPresence.lesson_id == taught.lesson.id))
    assert row is not None
    assert (row.seat_id, row.account_id, row.visible, row.secure) == (taught.seats[0].id, taught.account().id, True, False)
    desk = desk_of(taught.account())
    lesson = db.session.get_one(LessonSession, taught.lesson.id)
    assert desk is not None
    topic = lesson_state(lesson)
    assert {key: value for key, value in state_of(desk).items() if key in topic and key != "at"} == {key: value for key, value in topic.items() if key != "at"}
    step = pupil.get("/api/lesson/step").json
    assert "摄像头给机器的是什么" in step["html"]
    assert step["token"]


def test_raising_and_lowering_the_hand(pupil: Pupil) -> None:
    assert pupil.send("POST", "/api/lesson/help", {"on": True}).json == {"help": True}
    assert pupil.get("/api/lesson/state").json["help"] is True
    pupil.client.post("/lesson/help", data={"csrf_token": pupil.token, "on": "0"})
    assert pupil.get("/api/lesson/state").json["help"] is False
    assert pupil.send("POST", "/api/lesson/help", {"on": 1}).status_code == 422


def test_a_recorded_observation_is_told_on_request(pupil: Pupil) -> None:
    assert pupil.get("/api/lesson/observe?activity=faces&recorded=0").json == {"observed": 1}
    assert pupil.get("/api/lesson/observe?activity=faces&recorded=9").status_code == 422
    assert pupil.get("/api/lesson/observe?activity=quiz&recorded=0").status_code == 404


def test_late_work_is_saved_until_the_record_is_written(pupil: Pupil, taught: Taught) -> None:
    teaching.end_lesson(taught.teacher, taught.lesson)
    assert "谢谢" in pupil.get("/lesson").text
    assert pupil.get("/api/lesson/state").json["state"] == "ended"
    assert pupil.attempt("quiz", QUIZ).json["saved"] is True
    assert activities.attempts(taught.lesson.id)[0].grading["late"] is True
    assert "谢谢" in pupil.get("/lesson/thanks").text
    assert pupil.get("/api/lesson/state").status_code == 401


def test_a_robot_of_the_group_is_named_and_the_wheel_goes_round(app: Flask, pupil: Pupil, taught: Taught) -> None:
    lesson = db.session.get_one(LessonSession, taught.lesson.id)
    with write():
        robot = Device(school_id=taught.school.id, homie_id="car-1", room_id=taught.room.id, kind="robot", title="一号车", sticker="1", state="ready")
        db.session.add_all([robot, Device(school_id=taught.school.id, homie_id="cam-1", room_id=taught.room.id, kind="camera", state="ready")])
    groups.make_groups(taught.teacher, lesson, 3)
    groups.assign_robot(taught.teacher, lesson, 1, robot)
    found = pupil.get("/api/lesson/connection").json
    assert ([kit["id"] for kit in found["robots"]], [kit["id"] for kit in found["cameras"]]) == (["car-1"], ["cam-1"])
    assert [row.secure for row in labs.presence(taught.lesson.id)] == [False]  # over plain HTTP
    assert (found["terminal"], found["room"], len(found["mates"]), bool(found["password"])) == ("t-lab1-01", "lab1", 3, True)
    assert "学生" not in json.dumps(found, ensure_ascii=False)
    second = Pupil(browser(app), taught, 1)
    mates = {mate["seat"]: mate["person"] for mate in found["mates"]}
    assert second.send("POST", "/api/lesson/wheel", {"person": mates["02"]}).json["code"] == "not-driver"
    assert pupil.send("POST", "/api/lesson/wheel", {"person": str(uuid.uuid4())}).json["code"] == "not-in-group"
    assert pupil.send("POST", "/api/lesson/wheel", {"person": mates["02"]}).json == {"driver": mates["02"]}
    assert second.send("POST", "/api/lesson/wheel", {"person": mates["01"]}).status_code == 200


def test_pages_take_few_queries(app: Flask, pupil: Pupil, taught: Taught) -> None:
    taught.push("quiz")
    pupil.attempt("quiz", QUIZ)
    seen: list[str] = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))

    def counted() -> int:
        found = len([statement for statement in seen if not statement.startswith(("BEGIN", "COMMIT", "PRAGMA"))])
        seen.clear()
        return found

    assert pupil.attempt("quiz", QUIZ).status_code == 200
    assert counted() <= 3, "account, desk, insert"
    assert pupil.get("/lesson").status_code == 200
    assert counted() <= 4, "account, desk, draft, last answer"
    assert pupil.get("/api/lesson/state").status_code == 200
    assert counted() <= 2
