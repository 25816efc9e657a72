"""Over HTTP, on a server of several processes: many schools in the last minute, officers and the last place of a quota; nothing lost, nothing over.

Fifty schools in ``make test-all``, a third of them in ``make test``.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.parse
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from lms.config import Settings
from lms.core import clock
from lms.core.db import db
from lms.core.models import Account, AuditEntry
from lms.programmes import service, workflow
from lms.programmes.models import Application, ApplicationStep
from tests.effort import PATIENCE_S, examples
from tests.factories import PASSWORD
from tests.programmes import places as make
from tests.programmes.crowd_server import WORKERS

SCHOOLS = examples(50)
LAST_MINUTE = datetime(2026, 12, 20, 15, 59, 30, tzinfo=UTC)  # 23:59:30 in Shanghai
TOO_LATE = datetime(2026, 12, 20, 16, 0, 0, tzinfo=UTC)


class Caller:
    """Somebody with a browser that keeps its cookie; signs in at once."""

    def __init__(self, port: int, username: str) -> None:
        self.port, self.cookies, self.workers = port, dict[str, str](), Counter[str]()
        self.csrf = ""
        self.ask("/sign-in")
        status, _text = self.ask("/sign-in", {"username": username, "password": PASSWORD})
        assert status == 302, username
        self.ask("/programmes/")

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """One request on a connection of its own; the token of the page is kept for the next form."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2 * PATIENCE_S)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        body = None
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urllib.parse.urlencode({**form, "csrf_token": self.csrf})
        connection.request("GET" if form is None else "POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _equals, rest = value.partition("=")
                self.cookies[key] = rest.split(";")[0]
        self.workers[answer.headers["X-Worker"]] += 1
        connection.close()
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text)
        self.csrf = token[1] if token else self.csrf
        return answer.status, text


@pytest.fixture
def port(app: Flask, settings: Settings, fixed_clock: clock.FixedClock) -> Iterator[int]:
    fixed_clock.at = LAST_MINUTE
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    tell(settings, LAST_MINUTE)
    metrics = settings.data_dir / "metrics"
    metrics.mkdir()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    command = (sys.executable, "-m", "tests.programmes.crowd_server", str(settings.data_dir), settings.database_url)
    server = subprocess.Popen(
        [*command, str(listener.fileno())],
        pass_fds=[listener.fileno()],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(metrics)},
        cwd=Path(__file__).resolve().parents[2],
    )
    yield int(listener.getsockname()[1])
    server.terminate()
    assert server.wait(PATIENCE_S) == 0
    listener.close()


def tell(settings: Settings, at: datetime) -> None:
    """Put the clock of every worker there, at one stroke."""
    written = settings.data_dir / "clock.new"
    written.write_text(at.isoformat())
    written.replace(settings.data_dir / "clock")


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Let them all go together; what each came back with, in order."""
    gate = threading.Barrier(len(works))
    found: dict[int, Any] = {}

    def run(number: int, work: Callable[[], Any]) -> None:
        gate.wait(2 * PATIENCE_S)
        found[number] = work()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5 * PATIENCE_S)
    assert len(found) == len(works)  # every call was answered
    return [found[number] for number in range(len(works))]


def begun(actor: Account, slug: str, kind: str) -> Application:
    found = service.begin(actor, slug, kind, "2026")
    make.fill_in(actor, found)
    return found


def test_schools_hand_in_in_the_last_minute_and_one_too_late(app: Flask, settings: Settings, port: int) -> None:
    tree = make.tree()
    names, ids = [], []
    for number in range(SCHOOLS + 1):
        admin = make.person(make.school(f"学校{number}", tree["county"]))
        names.append(admin.username)
        ids.append(begun(admin, "smart-training", "school").id)
    province = tree["province"].id
    callers = [Caller(port, name) for name in names]
    late, late_id = callers.pop(), ids.pop()

    def submit(caller: Caller, found: uuid.UUID) -> Callable[[], int]:
        return lambda: caller.ask(f"/programmes/{found}/submit", {})[0]

    twice = [
        submit(*each) for each in zip(callers[::4], ids[::4], strict=True)
    ]  # every fourth presses the button twice
    answers = at_once([submit(*each) for each in zip(callers, ids, strict=True)] + twice)
    assert Counter(answers) == {302: SCHOOLS, 409: len(twice)}
    assert len(sum((caller.workers for caller in callers), Counter[str]())) == WORKERS
    tell(settings, TOO_LATE)
    status, text = late.ask(f"/programmes/{late_id}/submit", {})
    assert status == 409 and "2026-12-20" in text and "已经过了" in text
    db.session.rollback()
    db.session.expire_all()
    rows = [db.session.get_one(Application, found) for found in ids]
    assert {row.status for row in rows} == {"at-province"}
    assert len({row.receipt for row in rows}) == SCHOOLS and all(row.submitted_at == LAST_MINUTE for row in rows)
    assert {row.id for row in workflow.inbox(province)} == set(ids)
    for counted, where in (
        (func.count(ApplicationStep.id), ApplicationStep.action == "submit"),
        (func.count(AuditEntry.id), AuditEntry.action == "application-submit"),
    ):
        assert db.session.scalar(select(counted).where(where)) == SCHOOLS
    assert db.session.get_one(Application, late_id).status == "draft"


def test_officers_and_the_last_place_of_a_quota(app: Flask, settings: Settings, port: int) -> None:
    before = datetime(2026, 12, 1, tzinfo=UTC)
    clock.set_clock(clock.FixedClock(before))
    tell(settings, before)
    tree = make.tree()
    province = make.person(tree["province"])
    officers = [province.username, *(make.person(tree["province"]).username for _number in range(3))]
    ids = []
    for number in range(8):
        admin = make.person(make.organisation("county", f"县{number}", tree["province"]))
        ids.append(workflow.submit(admin, begun(admin, "ncet-pilot", "area").id).id)
    for found in ids[:4]:
        workflow.act(province, found, "recommend")
    callers = [Caller(port, name) for name in officers]

    def recommend(caller: Caller, found: uuid.UUID) -> Callable[[], tuple[int, str]]:
        return lambda: caller.ask(
            f"/programmes/{found}/act", {"action": "recommend", "remark": "", "accept": "1", "reason": "正在建设"}
        )

    for _round in range(3):
        answers = at_once([recommend(*each) for each in zip(callers, ids[4:], strict=True)])
        assert sorted(status for status, _text in answers) == [302, 409, 409, 409]
        assert all("名额已满" in text for status, text in answers if status == 409)
        db.session.rollback()
        db.session.expire_all()
        sent = [found for found in ids if db.session.get_one(Application, found).status == "at-nation"]
        assert len(sent) == 5
        given = sent[-1]
        assert callers[0].ask(f"/programmes/{given}/recall", {"remark": "重来"})[0] == 302
    same = at_once([recommend(caller, ids[4]) for caller in callers])  # and all of them the same one
    assert sorted(status for status, _text in same) == [302, 409, 409, 409]
    db.session.rollback()
    db.session.expire_all()
    found = db.session.get_one(Application, ids[4])
    assert workflow.quotas_of(found, tree["province"].id)[0].used == 5
    last = service.steps_of(found)[-1]
    assert (found.status, last.action) == ("at-nation", "recommend")
