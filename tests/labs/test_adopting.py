"""Boards that nobody has named are adopted from the device page, by the school's admin only; one command makes a lab's accounts."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core.db import db, new_id, write
from lms.labs import rules, service
from lms.labs.models import BrokerCredential, Device
from lms.roster.models import School
from tests.factories import make_room, make_school, make_staff, sign_in
from tests.labs.test_device_pages import post, sent
from tests.labs.test_foreign_boards import LAB, rights_of
from tests.teaching.scene import browser

STRANGER = {"gateway": "gw-lab1", "id": "old-bench", "convention": "homie4", "profile": "homie4-board", "url": "mqtt:old-bench", "sticker": "H4"}
PLUGGED = {"gateway": "gw-lab1", "id": "usb-1-1-2", "convention": "usb", "profile": "makeblock-mbot", "url": "usb:1a86:7523:B", "sticker": "08"}


@pytest.fixture
def school(app: Flask) -> School:
    made = make_school()
    make_room(made)
    service.gateway_credential(made.id, "gw-lab1")
    return made


def signed_in(app: Flask, school: School, role: str) -> FlaskClient:
    client = browser(app)
    sign_in(client, make_staff(school, role))
    return client


def orders() -> list[dict[str, Any]]:
    return [json.loads(text) for text in sent("zhike/gateway/gw-lab1/adopt")]


def test_a_board_on_the_broker_gets_its_account_and_the_gateway_its_topics(app: Flask, school: School) -> None:
    admin = signed_in(app, school, "school_admin")
    assert "strangers-data" in admin.get("/devices").text
    answer = post(admin, "/api/labs/adopt", STRANGER).get_json()
    assert answer["device"] == answer["account"]["username"] == "old-bench"
    assert orders() == [{"id": "old-bench", "profile": "homie4-board", "device": "old-bench", "sticker": "H4"}]
    assert any(topic.startswith("homie/old-bench/") for topic in rights_of("gw-lab1")["send"])
    assert rights_of("old-bench")["send"] and all("old-bench" in topic for topic in rights_of("old-bench")["send"])
    service.gateway_credential(school.id, "gw-lab1")
    assert any(topic.startswith("homie/old-bench/") for topic in rights_of("gw-lab1")["send"]), "asking for the password takes nothing away"


def test_a_board_on_a_cable_needs_no_account(app: Flask, school: School) -> None:
    before = rights_of("gw-lab1")
    answer = post(signed_in(app, school, "school_admin"), "/api/labs/adopt", PLUGGED).get_json()
    assert (answer["device"], answer["account"]) == ("kit-08", None)
    assert [order["device"] for order in orders()] == ["kit-08"]
    assert rights_of("gw-lab1") == before


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"gateway": "gw-other"}, 404),
        ({"gateway": "console-1"}, 404),
        ({"url": "mqtt:zhike/room"}, 422),
        ({"url": "mqtt:#"}, 422),
        ({"profile": "makeblock-mbot"}, 422),
        ({"profile": "../x"}, 422),
        ({"profile": ""}, 422),
        ({"id": "板"}, 422),
        ({"id": ""}, 422),
    ],
)
def test_what_is_no_board_of_this_school_opens_no_topic(app: Flask, school: School, change: dict[str, str], status: int) -> None:
    before = rights_of("gw-lab1")
    assert post(signed_in(app, school, "school_admin"), "/api/labs/adopt", {**STRANGER, **change}).status_code == status
    assert (orders(), rights_of("gw-lab1")) == ([], before)


@pytest.mark.parametrize("name", ["gw-lab1", "t-lab1-01", "bridge", "mbot-1"])
def test_a_board_takes_nobody_elses_name(app: Flask, school: School, name: str) -> None:
    """Its account would get the topics of the one who has the name, or take his rights away."""
    service.board_credential(school.id, "t-lab1-01")
    with write():
        db.session.add(Device(id=new_id(), school_id=school.id, homie_id="mbot-1", kind="robot", gateway="gw-lab1", values={}))
    before = {row.username: row.rights for row in db.session.scalars(select(BrokerCredential))}
    order = {**STRANGER, "id": name, "url": f"mqtt:{name}"}
    assert post(signed_in(app, school, "school_admin"), "/api/labs/adopt", order).status_code in (409, 422)
    db.session.rollback()
    assert {row.username: row.rights for row in db.session.scalars(select(BrokerCredential))} == before
    assert orders() == []


def test_a_board_may_be_adopted_again(app: Flask, school: School) -> None:
    admin = signed_in(app, school, "school_admin")
    first, again = (post(admin, "/api/labs/adopt", STRANGER).get_json() for _ in range(2))
    assert first["account"] == again["account"]


def test_a_teacher_adopts_nothing(app: Flask, school: School) -> None:
    teacher = signed_in(app, school, "teacher")
    assert "strangers-data" not in teacher.get("/devices").text
    assert post(teacher, "/api/labs/adopt", STRANGER).status_code == 403
    assert orders() == []


def test_another_schools_admin_adopts_nothing_here(app: Flask, school: School) -> None:
    assert post(signed_in(app, make_school(), "school_admin"), "/api/labs/adopt", STRANGER).status_code == 404
    assert orders() == []


def test_one_command_makes_all_accounts_of_a_lab(app: Flask, school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from lms.labs import cli

    monkeypatch.setattr("lms.core.cli.get_settings", lambda: app.config["ZHIKE"])
    lab, out = tmp_path / "lab.yaml", tmp_path / "run" / "boards.json"
    lab.write_text(LAB, "utf-8")
    done = CliRunner().invoke(cli.labs, ["credentials", str(lab), "--out", str(out)])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["username"] == "gw-lab1" and told["boards"] == str(out)
    assert set(json.loads(out.read_text())) == {"plant-1", "car-1", "arena-lab1"}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    users = set(db.session.scalars(select(BrokerCredential.username)))
    assert {"gw-lab1", "plant-1", "car-1", rules.table_of("lab1")} <= users
