"""Told once, read, taken back, ended; nobody reads another's; and out of the school by real servers on this machine."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, current_app
from flask.testing import FlaskClient
from sqlalchemy import delete, select

from lms.core import clock
from lms.core.db import db, write
from lms.core.errors import Invalid
from lms.core.models import Account, OutboxMessage
from lms.notices import service
from lms.notices.models import Channel, Notice
from lms.notices.wires import NotSent, send
from lms.roster.models import Person, Term
from lms.usage.digest import digest_due
from tests.factories import make_admin, make_school, make_teacher, sign_in, token
from tests.usage.makers import at
from tests.usage.test_views import Campus

MATTER = service.Matter("deadline:1", "申报书后天截止", "还差两张表", "/compliance", date(2026, 11, 26))


def account_of(person: Person) -> Account:
    found = db.session.get(Account, person.account_id)
    assert found
    return found


def test_a_matter_is_told_once_and_not_again_when_it_is_done(app: Flask) -> None:
    school = make_school()
    admin, teacher = account_of(make_admin(school)), account_of(make_teacher(school))
    assert service.tell(school.id, [admin.id, teacher.id], MATTER) == 2
    assert service.tell(school.id, [admin.id, teacher.id], MATTER) == 0
    assert (service.unread(admin), service.unread(teacher)) == (1, 1)
    service.mark_read(admin)
    assert (service.unread(admin), service.unread(teacher)) == (0, 1)
    service.mark_read(admin, service.notices_of(admin)[0].id, again=True)
    assert service.unread(admin) == 1
    service.end(school.id, MATTER.key)
    assert (service.unread(admin), service.unread(teacher)) == (0, 0)


def test_the_page_shows_it_and_leads_on(app: Flask, client: FlaskClient) -> None:
    school = make_school()
    person, other = make_admin(school), make_teacher(school)
    service.tell(school.id, [account_of(person).id, account_of(other).id], MATTER)
    sign_in(client, person)
    assert client.get("/notices/count").json == {"unread": 1}
    text = client.get("/notices/").text
    assert "申报书后天截止" in text and "还差两张表" in text and "2026-11-26 前" in text
    mine, theirs = (service.notices_of(account_of(each))[0].id for each in (person, other))
    assert client.get(f"/notices/{mine}").headers["Location"].endswith("/compliance")
    assert client.get("/notices/count").json == {"unread": 0}
    assert client.get(f"/notices/{theirs}").status_code == 404


def test_a_link_never_leads_out(app: Flask, client: FlaskClient) -> None:
    school = make_school()
    person = make_admin(school)
    service.tell(school.id, [account_of(person).id], service.Matter("x", "x", link="//evil.example/"))
    sign_in(client, person)
    assert (
        client.get(f"/notices/{service.notices_of(account_of(person))[0].id}").headers["Location"].endswith("/notices/")
    )


class Robot:
    """A group robot as the three makers answer; ``answer`` is what it says next."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.answer: tuple[int, bytes] = (200, b'{"errcode": 0, "code": 0}')
        robot = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                robot.heard.append((self.path, json.loads(body)))
                status, text = robot.answer
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_port}/send?key=k"


@pytest.fixture
def robot() -> Iterator[Robot]:
    made = Robot()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_wecom_gets_markdown(robot: Robot) -> None:
    send("wecom", {"url": robot.url}, "", "周报", "五年级1班：还差 2 次")
    assert robot.heard[0][1] == {"msgtype": "markdown", "markdown": {"content": "**周报**\n五年级1班：还差 2 次"}}


def test_dingtalk_is_signed_by_its_rule(robot: Robot) -> None:
    send("dingtalk", {"url": robot.url}, "SEC1", "周报", "一\n二")
    path, body = robot.heard[0]
    asked = parse_qs(urlsplit(path).query)
    stamp = asked["timestamp"][0]
    expected = hmac.new(b"SEC1", f"{stamp}\nSEC1".encode(), hashlib.sha256).digest()
    assert base64.b64decode(asked["sign"][0]) == expected and asked["key"] == ["k"]
    assert body["markdown"] == {"title": "周报", "text": "### 周报\n\n一\n\n二"}


def test_feishu_is_signed_by_its_rule(robot: Robot) -> None:
    send("feishu", {"url": robot.url}, "S", "周报", "一")
    body = robot.heard[0][1]
    expected = hmac.new(f"{body['timestamp']}\nS".encode(), b"", hashlib.sha256).digest()
    assert base64.b64decode(body["sign"]) == expected
    assert (body["msg_type"], body["content"]) == ("text", {"text": "周报\n一"})


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((200, b'{"errcode": 310000, "errmsg": "sign not match"}'), "sign not match"),
        ((200, b"<html>"), "HTTP 200"),
        ((500, b""), "500"),
        ((302, b""), "302"),
        ((200, b"[]"), r"\[\]"),
    ],
)
def test_what_the_robot_did_not_take_is_no_success(robot: Robot, answer: tuple[int, bytes], why: str) -> None:
    robot.answer = answer
    with pytest.raises(NotSent, match=why):
        send("dingtalk", {"url": robot.url}, "", "a", "b")


def test_nobody_there_is_said_without_the_secret() -> None:
    with pytest.raises(NotSent) as caught:
        send("feishu", {"url": "http://127.0.0.1:1/"}, "verysecret", "a", "b")
    assert "verysecret" not in str(caught.value)


class Post(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a delivery needs."""

    mails: list[str] = []  # noqa: RUF012  # one test server at a time

    def handle(self) -> None:
        self.say("220 post")
        lines: list[str] | None = None
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            verb = line[:4].upper()
            if verb == "DATA":
                self.say("354 go on")
                lines = []
                while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(text)
                self.mails.append("\n".join(lines))
                self.say("250 kept")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("550 nobody" if "nobody@" in line else "250 ok")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def post() -> Iterator[int]:
    Post.mails = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def mail_settings(port: int, *recipients: str) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "username": "",
        "sender": "zhike@school.example",
        "recipients": list(recipients),
    }


def test_a_mail_goes_to_all(post: int) -> None:
    send("smtp", mail_settings(post, "a@school.example", "b@school.example"), "", "开课周报", "各班都够数")
    (mail,) = Post.mails
    assert "To: a@school.example, b@school.example" in mail and mail.endswith("各班都够数")


def test_a_mail_that_is_refused_is_no_success(post: int) -> None:
    with pytest.raises(NotSent, match="nobody"):
        send("smtp", mail_settings(post, "nobody@school.example"), "", "a", "b")


@pytest.mark.parametrize(
    ("form", "where"),
    [
        ({"kind": "wecom", "name": "群", "url": "ftp://x"}, "url"),
        ({"kind": "pigeon", "name": "群", "url": "https://x"}, "kind"),
        ({"kind": "wecom", "name": " ", "url": "https://x.example"}, "name"),
        (
            {"kind": "smtp", "name": "邮", "host": "h", "port": "465", "sender": "a@b", "recipients": "c@d, wrong"},
            "recipients",
        ),
        ({"kind": "smtp", "name": "邮", "host": "", "port": "465", "sender": "a@b", "recipients": "c@d"}, "host"),
        ({"kind": "smtp", "name": "邮", "host": "h", "port": "70000", "sender": "a@b", "recipients": "c@d"}, "port"),
    ],
)
def test_a_wrong_channel_is_refused_at_its_field(app: Flask, form: dict[str, str], where: str) -> None:
    admin = account_of(make_admin(make_school()))
    with pytest.raises(Invalid) as caught:
        service.add_channel(admin, form["kind"], form)
    assert caught.value.where == where
    assert not service.channels_of(admin.organisation_id)


def test_a_secret_is_a_private_file_and_goes_with_its_channel(app: Flask, robot: Robot) -> None:
    admin = account_of(make_admin(make_school()))
    row = service.add_channel(admin, "dingtalk", {"name": "群", "url": robot.url, "secret": "SEC9"})
    path = Path(current_app.config["ZHIKE"].data_dir) / "keys" / f"notice-{row.id.hex}"
    assert path.read_text() == "SEC9" and path.stat().st_mode & 0o777 == 0o600
    assert "SEC9" not in json.dumps(row.settings)
    assert service.try_channel(row, "a", "b") == "" and "sign=" in robot.heard[0][0]
    robot.answer = (200, b'{"errcode": 1, "errmsg": "keywords not in content"}')
    row = service.channels_of(admin.organisation_id)[0]
    assert service.try_channel(row, "a", "b") == "keywords not in content"
    assert db.session.scalar(select(Channel.problem)) == "keywords not in content"
    service.remove_channel(admin, service.channels_of(admin.organisation_id)[0])
    assert not path.exists()


def test_only_the_admin_sets_channels(app: Flask, client: FlaskClient) -> None:
    person = make_teacher(make_school())
    sign_in(client, person)
    assert "机器人" not in client.get("/notices/").text
    form = {"kind": "wecom", "name": "群", "url": "https://x.example", "csrf_token": token(client)}
    assert client.post("/notices/channels", data=form).status_code == 403


@pytest.fixture
def campus(app: Flask, fixed_clock: clock.FixedClock) -> Campus:
    return Campus(fixed_clock)


def test_the_digest_comes_on_monday_at_seven_once(campus: Campus, fixed_clock: clock.FixedClock, robot: Robot) -> None:
    admin, teacher = account_of(campus.admin), account_of(campus.teacher)
    with write():
        service.add_channel(admin, "wecom", {"name": "群", "url": robot.url})
    for day, hour in ((22, 23), (23, 22)):  # Monday the 23rd, 07:00 in Shanghai is 23:00 UTC of the 22nd
        fixed_clock.at = at(date(2026, 11, day), hour - 1 if day == 22 else hour)
        assert digest_due() == 0
    fixed_clock.at = at(date(2026, 11, 22), 23)
    assert (digest_due(), digest_due()) == (1, 0)
    (whole,) = service.notices_of(admin)
    assert whole.title.startswith("开课周报：") and "六年级1班：" in whole.body and "平均每两周左右1次：" in whole.body
    (own,) = service.notices_of(teacher)
    assert "五年级1班" in own.body or "目前够数" in own.body
    assert "六年级" not in own.body
    sent = [row for row in db.session.scalars(select(OutboxMessage)) if row.topic == "send-notice"]
    assert len(sent) == 1 and "六年级1班" in json.loads(sent[0].payload)["text"]
    names = [pupil.name for pupil in campus.pupils]
    assert not any(name in whole.body + own.body for name in names)


def test_a_server_that_was_off_on_monday_tells_the_next_day_and_once_a_week(campus: Campus, fixed_clock: clock.FixedClock) -> None:
    told = []
    for day in (date(2026, 11, 26), date(2026, 11, 27), date(2026, 11, 29), date(2026, 11, 30), date(2026, 12, 4), date(2026, 12, 8)):
        fixed_clock.at = at(day, 6)  # Thursday 14:00 in Shanghai, Friday, Sunday, Monday, Friday, Tuesday
        told.append(digest_due())
    assert told == [1, 0, 0, 1, 0, 1]
    assert len(service.notices_of(account_of(campus.admin))) == 3


def test_a_school_without_a_term_gets_none_and_stops_nobody(app: Flask, fixed_clock: clock.FixedClock) -> None:
    school = make_school("没有学期的学校")
    make_admin(school)
    with write() as session:
        session.execute(delete(Term).where(Term.school_id == school.id))
    fixed_clock.at = at(date(2026, 11, 22), 23)
    assert digest_due() == 0
    assert not db.session.scalars(select(Notice)).all()
