"""Hand-up between two real installations: a school on SQLite and an office on PostgreSQL, each with its own server and jobs processes."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import threading
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from lms.config import Settings
from lms.core import clock
from lms.core.certificates import Certificates
from lms.core.db import db, write
from lms.instance import Instance
from lms.region import batches
from lms.region.office import found_office
from lms.roster.models import Person, SchoolClass
from lms.usage import service as usage
from tests import factories as make
from tests.chaos.cutting import SWALLOW, CuttingLine
from tests.ports import free_ports
from tests.postgres import cluster
from tests.usage.makers import closed_lesson

OFFICER = ("officer", "Kreis-Amt-2026!")
CUTS = (0, 200, SWALLOW, 900, 40_000, SWALLOW, 5_000, SWALLOW, 120_000, SWALLOW)
GRACE_S = 120.0


class Door:
    """An installation through its HTTP door, as a browser without JavaScript."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.base = f"http://localhost:{instance.settings.http_port}"
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar()))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str) -> bytes:
        with self._opener.open(self.base + path, timeout=60) as answer:
            return bytes(answer.read())

    def post(self, path: str, page: str, **fields: str) -> str:
        return self._send(
            path, urlencode({**fields, "csrf_token": self._token(page)}).encode(), "application/x-www-form-urlencoded"
        )

    def upload(self, path: str, page: str, data: bytes, field: str = "file") -> str:
        mark = uuid.uuid4().hex
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{self._token(page)}\r\n'.encode()
        ]
        parts.append(
            f'--{mark}\r\nContent-Disposition: form-data; name="{field}"; filename="stick"\r\n\r\n'.encode()
            + data
            + b"\r\n"
        )
        return self._send(path, b"".join(parts) + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}")

    def _token(self, page: str) -> str:
        found = re.search(r'name="csrf-token" content="([^"]+)"', self.get(page).decode())
        assert found is not None, page
        return found[1]

    def _send(self, path: str, data: bytes, kind: str) -> str:
        try:
            with self._opener.open(
                urllib.request.Request(self.base + path, data, {"Content-Type": kind}), timeout=60
            ) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as refusal:
            return str(refusal.read().decode())

    def sign_in(self, username: str, password: str) -> None:
        assert "sign-out" in self.post("/sign-in", "/sign-in", username=username, password=password)


def settings_of(folder: Path, database_url: str) -> Settings:
    http, https, mqtt, ws, wss = free_ports(5)
    return Settings(
        data_dir=folder / "data", run_dir=folder, database_url=database_url, listen="127.0.0.1", http_port=http, https_port=https,
        broker="embedded", mqtt_port=mqtt, mqtt_ws_port=ws, mqtt_wss_port=wss,
    )  # fmt: skip


@contextmanager
def running(settings: Settings, prepare: Callable[[Instance], object]) -> Iterator[Instance]:
    with Instance(settings, say=print) as instance:
        app = instance.prepare()
        with app.app_context():
            prepare(instance)
            db.session.remove()
            db.engine.dispose()
        instance.start()
        yield instance


def school_with(lessons_a_class: int) -> uuid.UUID:
    """A school whose four classes had a lesson on each of the last days."""
    school = make.make_school("东风小学")
    classes = [make.make_class(school, grade=grade, number=number) for grade in (5, 6) for number in (1, 2)]
    make.make_admin(school, "admin")
    make.make_teacher(school, *classes)
    for cohort in classes:
        make.make_pupils(school, cohort, 12)
    teach(classes, lessons_a_class)
    return school.id


def teach(classes: list[SchoolClass], days: int) -> None:
    teacher = db.session.scalars(sa.select(Person).where(Person.kind == "staff").order_by(Person.id.desc())).first()
    pupils = list(db.session.scalars(sa.select(Person).where(Person.kind == "student")))
    assert teacher is not None
    today = clock.local_date(clock.now(), "Asia/Shanghai")
    with write():
        for back in range(days, 0, -1):
            for cohort in classes:
                usage.record_lesson(closed_lesson(cohort, teacher, pupils, today - timedelta(days=back)), None)


@pytest.fixture
def postgres() -> Iterator[str]:
    with cluster() as address:
        yield address


def until(holds: Callable[[], bool], complaint: Callable[[], str]) -> None:
    pause, deadline = threading.Event(), time.monotonic() + GRACE_S
    while not holds():
        assert time.monotonic() < deadline, complaint()
        pause.wait(0.1)


def scalar(engine: sa.Engine, text: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(sa.text(text)).scalar_one())


def code_of(page: str) -> str:
    found = re.search(r"[0-9A-Z]{5}(?:-[0-9A-Z]{5}){4}", page)
    assert found is not None, page
    return found[0]


def test_interrupted_ten_times_twice_out_of_order_and_tampered(tmp_path: Path, postgres: str) -> None:
    there = settings_of(tmp_path / "county", postgres)
    here = settings_of(tmp_path / "school", "")
    officer_made = lambda instance: found_office("county", "示范区教育局", "区管理员", *OFFICER)  # noqa: E731
    with running(there, officer_made) as county, running(here, lambda instance: school_with(110)) as school:
        office, desk = Door(county), Door(school)
        office.sign_in(*OFFICER)
        desk.sign_in("admin", make.PASSWORD)
        ours, theirs = sa.create_engine(here.database), sa.create_engine(there.database)
        with CuttingLine(there.http_port, CUTS) as line:
            code = code_of(
                office.post(
                    "/region/enrolment", "/region/enrolment", way="line", level="school", name="东风小学", code="31"
                )
            )
            joined = desk.post("/hand-up/join", "/hand-up", way="line", url=f"http://127.0.0.1:{line.port}", code=code)
            assert "示范区教育局" in joined
            interrupted(desk, county, line)
        assert line.cut == len(CUTS)
        assert_counts_agree(ours, theirs)
        assert scalar(theirs, "SELECT count(*) FROM handed_batch WHERE state <> 'applied'") == 0
        by_stick(school, desk, office, theirs)
        assert_counts_agree(ours, theirs)
        over_https(desk, office, there)
        refreshed = Path(there.data_dir) / "region" / "results" / "fortnightly"
        until(lambda: any(refreshed.glob("weeks-*.parquet")), lambda: county.supervisor.tail("jobs"))
        assert "东风小学" in office.get("/region").decode()
        ours.dispose()
        theirs.dispose()


def interrupted(desk: Door, county: Instance, line: CuttingLine) -> None:
    """Press the button again after each cut; the office's server is killed once in between."""
    killed = False
    while line.cut < len(CUTS):
        before = line.cut
        desk.post("/hand-up/send", "/hand-up")
        until(lambda before=before: line.cut > before, lambda: desk.instance.supervisor.tail("jobs"))  # type: ignore[misc]  # default argument
        if line.cut >= 5 and not killed:
            killed = True
            pid = county.supervisor.pid("web")
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            until(county.web_answers, lambda: county.supervisor.tail("web"))
    desk.post("/hand-up/send", "/hand-up")
    until(lambda: "全部已签收" in desk.get("/hand-up").decode(), lambda: desk.instance.supervisor.tail("jobs"))


def assert_counts_agree(ours: sa.Engine, theirs: sa.Engine) -> None:
    held = scalar(theirs, "SELECT count(*) FROM handed_record")
    assert held == scalar(ours, "SELECT count(*) FROM usage_record") > 430
    with ours.connect() as one, theirs.connect() as other:
        receipted = one.execute(sa.text("SELECT seq, hash FROM uplink")).one()
        assert tuple(receipted) == tuple(other.execute(sa.text("SELECT seq, hash FROM subordinate")).one())
        # what is left is an anchor that came from a receipt: it goes with the next lesson
        assert (
            receipted.seq
            >= one.execute(sa.text("SELECT max(seq) FROM evidence_event WHERE type <> 'anchor'")).scalar_one()
        )


def by_stick(school: Instance, desk: Door, office: Door, theirs: sa.Engine) -> None:
    """Two files out of order, one of them twice, one changed on the way."""
    early, late = more_lessons(school, desk), more_lessons(school, desk)
    inner = next(iter(batches.unzipped(late).values()))
    parts = batches.unzipped(inner)
    lines = parts["chain.jsonl"].decode().split("\n")
    record = json.loads(lines[-2])["payload"]["record"]["id"]
    parts["chain.jsonl"] = "\n".join([*lines[:-2], lines[-2].replace('"present":48', '"present":49'), ""]).encode()
    held = scalar(theirs, "SELECT count(*) FROM handed_record")
    refused = office.upload("/region/intake", "/region/intake", batches.zipped(parts))
    assert record in refused
    assert "记录被改动" in refused
    assert scalar(theirs, "SELECT count(*) FROM handed_record") == held
    last = next(iter(batches.unzipped(late).values()))
    first = next(iter(batches.unzipped(early).values()))
    assert zipfile.is_zipfile(io.BytesIO(last))
    assert "已签收" in office.upload("/region/intake", "/region/intake", last)  # it holds the earlier links too
    for again in (first, last, first):
        assert "早已收到" in office.upload("/region/intake", "/region/intake", again)
    number = re.search(r"/region/schools/(\d+)/receipts.json", office.get("/region/schools/1").decode())
    assert number is not None
    receipts = office.get(f"/region/schools/{number[1]}/receipts.json")
    assert "份回执" in desk.upload("/hand-up/receipts", "/hand-up", receipts, "receipt")


def more_lessons(school: Instance, desk: Door) -> bytes:
    """Four more lessons, and what is not receipted as a file."""
    from lms.app import create_app

    with create_app(school.settings).app_context():
        teach(list(db.session.scalars(sa.select(SchoolClass))), 1)
        db.session.remove()
        db.engine.dispose()
    return desk.get("/hand-up/file")


def over_https(desk: Door, office: Door, there: Settings) -> None:
    """Enrol anew over HTTPS: the office's own CA comes with its signed identity, and nothing is sent twice."""
    code = code_of(office.post("/region/schools/1/code", "/region/schools/1"))
    joined = desk.post("/hand-up/join", "/me", way="line", url=f"https://localhost:{there.https_port}", code=code)
    assert f"https://localhost:{there.https_port}" in joined
    assert Certificates(there.data_dir / "tls").ca.exists()
    desk.post("/hand-up/send", "/hand-up")
    until(lambda: "全部已签收" in desk.get("/hand-up").decode(), lambda: desk.instance.supervisor.tail("jobs"))
