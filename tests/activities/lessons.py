"""A lesson with one activity of every kind, running in a room, with pupils in their seats."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from flask import Flask, g
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lms.core.db import db, write
from lms.core.models import Account
from lms.courses import service as courses
from lms.roster.models import Person, Room, School, SchoolClass, Seat
from lms.teaching import service as teaching
from lms.teaching.models import LessonSession
from tests import factories as make

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><rect width="4" height="4"/></svg>'
STOP_WALL = """near = 3

for step in range(60):
    if robot.range() < near:
        break
    robot.forward(0.15, 0.2)
robot.stop()
last = robot.range()
print("停在离墙", last, "厘米")
say("我停了")
"""
ACTIVITIES: dict[str, dict[str, Any]] = {
    "read": {"kind": "reading", "title": "像素", "points": 5, "settings": {"text": "一个小格子叫**像素**。", "figure": "media/fig1.svg"}},
    "quiz": {
        "kind": "quiz",
        "title": "小测验",
        "points": 10,
        "settings": {
            "questions": [
                {"id": "see", "type": "choice", "prompt": "摄像头给机器的是什么？", "options": ["数字", "照片纸"], "answer": 0, "explain": "每个像素是一个数字", "points": 5},
                {"id": "many", "type": "number", "prompt": "8×8 有几个像素？", "answer": 64, "explain": "八八六十四", "points": 5},
            ]
        },
    },
    "why": {"kind": "text", "title": "为什么", "settings": {"min_chars": 5, "max_chars": 100, "rubric": ["说出一个理由"], "example_answer": "参考答案在此"}},
    "faces": {
        "kind": "camera",
        "title": "数人脸",
        "settings": {"signal": "faces", "trials": 2, "ask": "会数出几张脸？", "recorded": [{"label": "正对镜头", "count": 1}, {"label": "转过身", "count": 0}], "conclude": "它数的是什么？"},
    },
    "stop": {
        "kind": "robot",
        "title": "会停的小车",
        "points": 20,
        "settings": {
            "mode": "both",
            "robot": "either",
            "needs": ["linear_x", "range"],
            "starter": STOP_WALL,
            "arena": {"size": [150, 80], "start": [30, 40, 0], "walls": [[120, 0, 120, 80]]},
            "goal": {"type": "stop_before", "min_cm": 10, "max_cm": 20},
            "checks": [{"name": "停在 10～20 厘米", "code": "10 <= last <= 20"}],
            "report": "near 选多少？",
        },
    },
    "table": {
        "kind": "robot",
        "title": "认叶子",
        "settings": {
            "mode": "python",
            "robot": "none",
            "starter": "rows = table('leaves.csv')\nright = len(rows)\nprint(right)\n",
            "checks": [{"name": "三片", "code": "right == 3"}],
        },
    },
}
STEPS = ("intro", *ACTIVITIES)


def write_lesson(folder: Path) -> Path:
    """Write the package: step 0 has no activity, then one step an activity."""
    lesson = folder / "lessons" / "01-all"
    (lesson / "activities").mkdir(parents=True)
    (lesson / "media").mkdir()
    (lesson / "media" / "fig1.svg").write_text(SVG, "utf-8")
    (lesson / "media" / "leaves.csv").write_text("编号,种类\n1,银杏\n2,柳树\n3,银杏\n", "utf-8")
    for part in ("plan", "text", "task-sheet", "answers"):
        (lesson / f"{part}.md").write_text(f"# {part}\n", "utf-8")
    course = {"schema": "zhike-course/1", "id": "p5-all", "kind": "package", "title": {"zh": "样样都有"}, "stage": "primary", "grade": 5, "version": "1.0.0", "licence": "CC-BY-SA-4.0", "lessons": ["01-all"]}
    _dump(folder / "course.yaml", course)
    phases = {"intro": "导入"}
    steps = [
        {"id": name, "phase": phases.get(name, "实践"), "title": {"zh": name}, "minutes": 4 if index == 0 else 6, "show": f"## 第 {index} 步 {name}", **({"activity": name} if index else {})}
        for index, name in enumerate(STEPS)
    ]
    _dump(
        lesson / "lesson.yaml",
        {
            "schema": "zhike-lesson/1",
            "id": "01-all",
            "title": {"zh": "样样都有"},
            "minutes": 40,
            "objectives": ["都试一试"],
            "literacies": ["信息意识"],
            "big_ideas": ["perception"],
            "modules": ["concepts"],
            "plan": "plan.md",
            "text": "text.md",
            "task_sheet": "task-sheet.md",
            "answers": "answers.md",
            "media": ["media/fig1.svg", "media/leaves.csv"],
            "steps": steps,
        },
    )
    for name, facts in ACTIVITIES.items():
        _dump(lesson / "activities" / f"{name}.yaml", {"schema": "zhike-activity/1", "id": name, "prompt": "请完成。", **facts, "title": {"zh": facts["title"]}})
    return folder


def _dump(path: Path, value: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(value, allow_unicode=True, sort_keys=False), "utf-8")


@dataclass
class Taught:
    """A running lesson with everyone in place."""

    school: School
    cohort: SchoolClass
    teacher: Account
    room: Room
    seats: list[Seat]
    pupils: list[Person]
    lesson: LessonSession
    package_id: uuid.UUID

    def account(self, index: int = 0) -> Account:
        """Account of a pupil."""
        return db.session.get_one(Account, self.pupils[index].account_id)

    def push(self, name: str) -> None:
        """The teacher goes to the step of an activity."""
        teaching.push_step(self.teacher, db.session.get_one(LessonSession, self.lesson.id), STEPS.index(name))


def teach(folder: Path, pupils: int = 3) -> Taught:
    """A school, a class, a lesson that runs, and the pupils signed in at their seats."""
    school = make.make_school()
    cohort = make.make_class(school)
    people = make.make_pupils(school, cohort, pupils)
    teacher = db.session.get_one(Account, make.make_teacher(school, cohort).account_id)
    room, seats = make.make_room(school, seats=max(6, pupils))
    package = courses.install_folder(None, school.id, write_lesson(folder / "p5-all"))
    lesson = teaching.open_lesson(teacher, cohort.id, room.id, package.id, "01-all", configuration=3)
    with write():
        for person, seat in zip(people, seats, strict=False):
            teaching.seat_pupil(db.session.get_one(Account, person.account_id), seat, lesson)
    return Taught(school, cohort, teacher, room, seats, people, lesson, package.id)


class Browser(FlaskClient):
    """A client of its own: the fixture's open app context would lend it the user of the request before."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """One request with an empty ``g``."""
        for name in list(g):
            g.pop(name)
        return super().open(*args, **kwargs)


def browser(app: Flask) -> Browser:
    """A browser without JavaScript that nobody has used yet."""
    return Browser(app, app.response_class, use_cookies=True)


def enter(client: FlaskClient, account: Account) -> str:
    """Sign a pupil in as the door does; returns the page's CSRF token."""
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = account.get_id(), True
    return make.token(client, "/lesson")
