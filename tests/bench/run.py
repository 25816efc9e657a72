"""``make bench``: how fast and how large the product is, with forty other terminals live; JSON to ``build/bench.json``.

``--beside COMMAND`` runs a yardstick afterwards on the same machine; it prints rows like ours (one JSON object a line with ``name``,
``conc``, ``rps``, ``p99_ms``), and the ratios are added. Absolute times of a noisy machine prove nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from lms.config import get_settings
from lms.core.db import db
from lms.demo import run as demo_run
from lms.demo.browser import TOKEN
from lms.instance import Instance
from lms.roster import service as roster
from lms.roster.models import Person, SchoolClass
from lms.teaching import service as teaching
from tests.bench import compliance, evidence, regional
from tests.bench.closed_loop import Client, load
from tests.bench.memory import pss_mib
from tests.ports import free_ports

HOST = "127.0.0.1"
PUPILS = 30
BLOCKS = ((1, 60), (30, 300))
PROCESSES = ("web", "bridge", "jobs", "broker")


@dataclass(frozen=True)
class Bench:
    """The measured class: its pupils' signed-in sessions, its teacher's, and what they ask for."""

    pupils: list[Client]
    logins: list[dict[str, str]]
    tokens: list[str]
    teachers: list[Client]
    report: str
    activity: str
    answer: dict[str, Any]


def second_class(demo: demo_run.Demo) -> tuple[uuid.UUID, list[tuple[str, str, str]]]:
    """Open a lesson for another class in another room; (class id, [(person, PIN, enrolment code)])."""
    school = demo.school
    teacher = db.session.get_one(Person, school.teacher_id)
    cohort = db.session.scalars(select(SchoolClass).where(SchoolClass.stage == "primary", SchoolClass.number == 2).order_by(SchoolClass.entry_year.desc())).first()
    assert teacher.account is not None and cohort is not None
    room = roster.create_room(None, school.school_id, "lab2", "第二实验室", rows=5, columns=6, seats=PUPILS)
    lesson = teaching.open_lesson(teacher.account, cohort.id, room.id, school.package_id, school.lesson_slug, units=[school.unit], subject="信息科技")
    steps = demo.school.steps
    teaching.push_step(teacher.account, lesson, quiz_step(demo, steps), "")
    seats = roster.seats_of(room.id)
    codes = roster.issue_enrol_codes(teacher.account, seats)
    pins = {card.person_id: card.pin for card in roster.pin_cards(teacher.account, cohort.id)}
    people = roster.roster_of(cohort.id, school.calendar.today)[:PUPILS]
    return cohort.id, [(str(one.person_id), pins[one.person_id], codes[seat.id]) for one, seat in zip(people, seats, strict=True)]


def quiz_step(demo: demo_run.Demo, steps: int) -> int:
    """The first step with a quiz."""
    from lms.courses import service as courses

    lesson = courses.lesson_of(demo.school.package_id, demo.school.lesson_slug)
    for step in courses.steps_of(lesson, 3)[:steps]:
        if step.activity_id and lesson.activities[step.activity_id].kind == "quiz":
            return step.index
    raise RuntimeError("the demo's lesson has no quiz")


def quiz_answer(demo: demo_run.Demo) -> tuple[str, dict[str, Any]]:
    """Activity id and right answers of that quiz."""
    from lms.courses import service as courses

    lesson = courses.lesson_of(demo.school.package_id, demo.school.lesson_slug)
    activity = next(one for one in lesson.activities.values() if one.kind == "quiz")
    given = {question["id"]: question["answer"][0] if question["type"] == "fill" else question["answer"] for question in activity.settings["questions"]}
    return activity.id, {"answers": given}


def signed_in(port: int, person: str, pin: str, code: str) -> tuple[Client, dict[str, str], str]:
    """A pupil's session through the door: enrolled seat, name, PIN."""
    client = Client(HOST, port)
    found = TOKEN.search(client.request("GET", "/seat").decode())
    assert found is not None
    header = {"X-CSRFToken": found[1], "Accept": "application/json"}
    client.request("POST", "/seat/enrol", body={"code": code}, headers=header)
    login = {"person": person, "pin": pin}
    answer = json.loads(client.request("POST", "/seat/sign-in", body=login, headers=header))
    client.request("GET", "/lesson")
    return client, login, answer["csrf_token"]


def teacher_session(port: int, username: str, password: str) -> Client:
    """A teacher's session."""
    client = Client(HOST, port)
    found = TOKEN.search(client.request("GET", "/sign-in").decode())
    assert found is not None
    client.request("POST", "/sign-in", form={"username": username, "password": password, "csrf_token": found[1]})
    return client


def prepare(demo: demo_run.Demo, port: int) -> Bench:
    """Seat the measured class."""
    with demo.app.app_context():
        class_id, people = second_class(demo)
        activity, answer = quiz_answer(demo)
        db.session.remove()
    sessions = [signed_in(port, *one) for one in people]
    school = demo.school
    first = teacher_session(port, school.teacher_login, school.password)
    teachers = [first]
    for _ in range(PUPILS - 1):
        other = Client(HOST, port)
        other.cookies.update(first.cookies)
        teachers.append(other)
    return Bench([one[0] for one in sessions], [one[1] for one in sessions], [one[2] for one in sessions], teachers, f"/classes/{class_id}/work", activity, answer)


def blocks(bench: Bench) -> list[dict[str, Any]]:
    """Measure the four doors at 1 and at 30 sessions."""
    everyone = bench.pupils + bench.teachers

    def header(index: int) -> dict[str, str]:
        return {"X-CSRFToken": bench.tokens[index], "Accept": "application/json"}

    def sign_in(index: int) -> None:
        answer = bench.pupils[index].request("POST", "/seat/sign-in", body=bench.logins[index], headers=header(index))
        bench.tokens[index] = json.loads(answer)["csrf_token"]

    def attempt(index: int) -> None:
        body = {"id": str(uuid.uuid4()), "activity": bench.activity, "answer": bench.answer}
        bench.pupils[index].request("POST", "/api/attempts", body=body, headers=header(index))

    def lesson(index: int) -> None:
        bench.pupils[index].request("GET", "/lesson")

    def report(index: int) -> None:
        bench.teachers[index].request("GET", bench.report)

    doors: dict[str, Callable[[int], None]] = {"signin": sign_in, "lesson": lesson, "attempt": attempt, "report": report}

    def block(name: str, conc: int, total: int) -> dict[str, Any]:
        return load(name, [lambda i, k=k: doors[name](k) for k in range(conc)], total, everyone)  # type: ignore[misc]  # default argument

    for name in doors:  # once unmeasured, so that every worker has met every door
        block(name, PUPILS, PUPILS)
    rows = []
    for conc, total in BLOCKS:
        for name in doors:
            rows.append(block(name, conc, total))
            print(json.dumps(rows[-1]), flush=True)
    return rows


def memory(instance: Instance) -> dict[str, float]:
    """PSS of each process with its children, and their sum, MiB."""
    found = {name: pss_mib(pid) for name in PROCESSES if (pid := instance.supervisor.pid(name)) is not None}
    return {**found, "sum": round(sum(found.values()), 1)}


def measure(folder: Path) -> dict[str, Any]:
    """Start an instance with a live class of forty, measure, stop."""
    http, https, mqtt, ws, wss = free_ports(5)
    settings = replace(
        get_settings(), data_dir=folder / "data", run_dir=folder, database_url="", origin="simulated",
        http_port=http, https_port=https, mqtt_port=mqtt, mqtt_ws_port=ws, mqtt_wss_port=wss,
    )  # fmt: skip
    with Instance(settings, say=lambda line: None) as instance:
        demo = demo_run.start(instance, 40, 60, lambda line: print(line, flush=True), devices=False)
        try:
            until(lambda: len(demo.tally.settled) == 40, 120, lambda: f"{len(demo.tally.settled)} of 40 pupils sit: {demo.tally.errors}")
            idle = memory(instance)
            bench = prepare(demo, http)
            rows = blocks(bench)
            after = memory(instance)
            live = sum(1 for terminal in demo.terminals if terminal.is_alive())
        finally:
            demo_run.leave(demo)
    return {
        "http": rows,
        "live_terminals": live,
        "startup_s": startup(folder),
        "pss_mib": {"idle": idle, "after_load": after},
        "machine": machine(),
        "errors": demo.tally.errors,
    }


def until(check: Callable[[], bool], seconds: float, says: Callable[[], str]) -> None:
    """Wait for a condition; raises TimeoutError with what ``says`` tells."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(says())
        pause.wait(0.1)


def startup(folder: Path) -> float:
    """Seconds from nothing to the first 200 of the school just measured, broker and jobs included."""
    http, https, mqtt, ws, wss = free_ports(5)
    settings = replace(
        get_settings(), data_dir=folder / "data", run_dir=folder / "again", database_url="", origin="simulated",
        http_port=http, https_port=https, mqtt_port=mqtt, mqtt_ws_port=ws, mqtt_wss_port=wss,
    )  # fmt: skip
    began = time.monotonic()
    with Instance(settings, say=lambda line: None) as instance:
        instance.prepare()
        instance.start()
        return round(time.monotonic() - began, 2)


def machine() -> dict[str, Any]:
    """What it ran on."""
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


def beside(command: str, ours: list[dict[str, Any]]) -> dict[str, Any]:
    """Run the yardstick and set our rows beside its rows of the same door and concurrency: ours / theirs."""
    out = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True).stdout
    theirs = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    ratios = {}
    for row in ours:
        for other in theirs:
            if row["name"] in other["name"].lower() and row["conc"] == other["conc"] and other["rps"]:
                ratios[f"{row['name']} {row['conc']} / {other['name']}"] = {
                    "rps": round(row["rps"] / other["rps"], 1),
                    "p99": round(row["p99_ms"] / other["p99_ms"], 3),
                }
    return {"rows": theirs, "said": [line for line in out.splitlines() if not line.startswith("{")], "ratios": ratios}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--beside", default="", help="command of a yardstick that prints rows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zhike-bench-") as folder:
        found = measure(Path(folder))
        found["regional"] = regional.measure(Path(folder) / "region")
        found["compliance_page"] = compliance.measure(Path(folder) / "compliance")
        found["evidence"] = evidence.verify_ratio()
        found["verify_ratio"] = found["evidence"]["verify_ratio"]
        found["close_lesson"] = evidence.close_lesson(Path(folder))
    if options.beside:
        found["beside"] = beside(options.beside, found["http"])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, ensure_ascii=False, indent=1), "utf-8")
    print(json.dumps({key: value for key, value in found.items() if key != "http"}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
