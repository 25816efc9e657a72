"""The web edge: refusals, headers, caching, health, metrics."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from lms.app import create_app
from lms.config import Settings, settings_from, to_environ
from lms.core import schema
from lms.core.db import db, new_id, write
from lms.core.errors import Refused
from lms.core.logs import JsonLines
from lms.core.proxies import networks
from lms.roster.models import Person, Seat
from lms.roster.rooms import seat_of_request
from tests import factories as make


def test_every_answer_carries_the_headers(app: Flask, client: FlaskClient) -> None:
    headers = client.get("/healthz").headers
    assert "script-src 'self' 'wasm-unsafe-eval'" in headers["Content-Security-Policy"]
    assert "'unsafe-inline'" not in headers["Content-Security-Policy"].split("script-src")[1].split(";")[0]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_static_files_are_kept_by_browsers(app: Flask, client: FlaskClient) -> None:
    make.make_school()
    page = client.get("/sign-in").text
    stamped = page.split('href="/static/css/zhike.css?v=')[1].split('"')[0]
    answer = client.get(f"/static/css/zhike.css?v={stamped}")
    assert answer.headers["Cache-Control"] == "public, max-age=604800, immutable"
    assert client.get("/static/logo.svg").headers["Cache-Control"] == "no-cache"  # without a stamp it is asked for anew


def test_a_missing_page_says_what_to_do(app: Flask, client: FlaskClient) -> None:
    answer = client.get("/nothing-here")
    assert answer.status_code == 404
    assert "请检查地址" in answer.text


def test_a_script_gets_problem_json(app: Flask, client: FlaskClient) -> None:
    answer = client.get("/api/nothing-here")
    assert answer.mimetype == "application/problem+json"
    assert answer.json is not None
    assert {"status", "code", "title", "remedy", "request"} <= set(answer.json)


def test_a_refusal_rises_to_the_edge(settings: Settings) -> None:
    app = create_app(settings, testing=True)

    def refuse() -> str:
        raise Refused("busy", "教室有课", remedy="请换一间", clause="B2", where="lab1", room="lab1")

    app.add_url_rule("/api/refuse", "refuse", refuse)
    answer = app.test_client().get("/api/refuse")
    assert answer.status_code == 409
    assert answer.json is not None
    assert (answer.json["code"], answer.json["remedy"], answer.json["where"], answer.json["room"]) == (
        "busy",
        "请换一间",
        "lab1",
        "lab1",
    )
    with app.app_context():
        db.engine.dispose()


def test_an_unexpected_error_hides_itself_and_keeps_a_number(settings: Settings) -> None:
    app = create_app(settings)

    def fail() -> str:
        raise RuntimeError("a secret of the inside")

    app.add_url_rule("/api/fail", "fail", fail)
    answer = app.test_client().get("/api/fail")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json is not None
    assert len(answer.json["request"]) == 12
    with app.app_context():
        db.engine.dispose()


def test_ready_means_the_right_tables(app: Flask, client: FlaskClient) -> None:
    assert client.get("/readyz").text == "ready real\n"
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'old'")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert schema.head() in answer.text


def test_metrics_are_for_this_machine_and_system_admins(app: Flask, client: FlaskClient) -> None:
    client.get("/healthz")
    assert 'zhike_http_requests_total{method="GET",rule="/healthz",status="200"}' in client.get("/metrics").text
    away = {"REMOTE_ADDR": "10.1.2.3"}
    assert client.get("/metrics", environ_overrides=away).status_code == 403
    make.sign_in(client, make.make_staff(make.make_school(), "sys_admin"))
    assert client.get("/metrics", environ_overrides=away).status_code == 200


def test_without_a_certificate_there_is_nothing_to_install(app: Flask, client: FlaskClient) -> None:
    assert client.get("/ca.crt").status_code == 404


@pytest.mark.parametrize("base", ["http://localhost", "https://localhost"])
def test_each_door_has_its_own_cookie(app: Flask, base: str) -> None:
    make.make_school()
    answer = app.test_client().get("/sign-in", base_url=base)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("zhike_s=" if base.startswith("https") else "zhike=")
    assert ("Secure" in cookie) == base.startswith("https")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


FORGED = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}


@pytest.fixture
def behind(settings: Settings) -> Iterator[FlaskClient]:
    """An app that believes 10.0.0.5 and 10.1.0.0/16 and says who it thinks is asking."""
    app = create_app(replace(settings, trusted_proxies="10.0.0.5, 10.1.0.0/16"), testing=True)
    app.add_url_rule("/asks", "asks", lambda: f"{request.remote_addr} {request.scheme} {request.host}")
    yield app.test_client()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize("peer", ["10.0.0.5", "10.1.7.7", "::ffff:10.0.0.5"])
def test_a_listed_proxy_says_who_asks(behind: FlaskClient, peer: str) -> None:
    answer = behind.get("/asks", headers=FORGED, environ_overrides={"REMOTE_ADDR": peer})
    assert answer.text == "127.0.0.1 https evil.example"


@pytest.mark.parametrize("peer", ["192.168.1.66", "10.0.0.6", "10.2.0.1", "::1", ""])
def test_nobody_else_says_who_asks(behind: FlaskClient, peer: str) -> None:
    answer = behind.get("/asks", headers=FORGED, environ_overrides={"REMOTE_ADDR": peer})
    assert answer.text == f"{peer} http localhost"


def test_forged_headers_open_no_metrics_and_no_seat(behind: FlaskClient) -> None:
    with behind.application.app_context():
        _room, seats = make.make_room(make.make_school())
        with write():
            db.session.get_one(Seat, seats[0].id).host_name = "127.0.0.1"
        label = seats[0].label
    behind.application.add_url_rule("/sits", "sits", lambda: getattr(seat_of_request(), "label", "nowhere"))
    away = {"REMOTE_ADDR": "192.168.1.66"}
    assert behind.get("/metrics", headers=FORGED, environ_overrides=away).status_code == 403
    assert behind.get("/sits", headers=FORGED, environ_overrides=away).text == "nowhere"
    proxy = {"REMOTE_ADDR": "10.0.0.5"}
    assert behind.get("/metrics", headers=FORGED, environ_overrides=proxy).status_code == 200
    assert behind.get("/sits", headers=FORGED, environ_overrides=proxy).text == label


def test_a_proxy_that_is_no_address_is_named() -> None:
    with pytest.raises(ValueError, match="nginx"):
        networks("10.0.0.5, nginx")


def test_logs_are_json_without_addresses() -> None:
    record = logging.makeLogRecord({"name": "lms.web", "msg": "request", "levelname": "INFO", "rule": "/me", "ms": 1.5})
    line = json.loads(JsonLines("web").format(record))
    assert (line["process"], line["message"], line["rule"], line["ms"]) == ("web", "request", "/me", 1.5)


@pytest.mark.parametrize("broken", ["same id", "no kind"])
def test_errors_of_the_database_are_logged_without_what_a_row_says(app: Flask, broken: str) -> None:
    school = make.make_school()
    person = make.make_teacher(school, name="张小明")
    id_, kind = (person.id, "staff") if broken == "same id" else (new_id(), None)
    with pytest.raises(IntegrityError) as error, write():
        db.session.execute(insert(Person).values(id=id_, school_id=school.id, kind=kind, name="张小明"))
    record = logging.LogRecord("lms.web", logging.ERROR, "", 0, "unexpected", (), (error.type, error.value, error.tb))
    line = json.loads(JsonLines("web").format(record))
    assert "IntegrityError" in line["error"]
    assert "INSERT INTO person" in line["error"]
    told = str([error.value, error.value.orig]) + line["error"]
    assert not any(one in told.replace('name="张小明"', "") for one in ("张小明", str(id_), id_.hex))


def test_requests_are_logged_by_rule_not_by_address(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", logger="lms.web"):
        client.get("/admin/accounts?name=王小明")
    assert [vars(record)["rule"] for record in caplog.records if record.message == "request"] == ["/admin/accounts"]
    assert "王小明" not in caplog.text


def test_settings_come_from_the_environment() -> None:
    made = settings_from({"ZHIKE_HTTP_PORT": "81", "ZHIKE_HTTPS": "0", "ZHIKE_DATA_DIR": "/srv/zhike", "OTHER": "x"})
    assert (made.http_port, made.https, str(made.data_dir)) == (81, False, "/srv/zhike")
    assert settings_from(to_environ(made)) == made
    with pytest.raises(ValueError, match="ZHIKE_HTTP_PORT"):
        settings_from({"ZHIKE_HTTP_PORT": "many"})


def test_the_first_page_waits_for_a_school(app: Flask, client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 503
    assert "还没有学校" in answer.text
