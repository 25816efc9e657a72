"""Credentials of boards that others made: what the lab file names, and nothing else."""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from sqlalchemy import select

from labkit.boards import gateway_role
from lms.core.db import db
from lms.labs import rules, service
from lms.labs.models import BrokerCredential
from lms.labs.service import _granted
from tests.factories import make_school

LAB = """name: gw-lab1
room: lab1
devices:
  - {id: plant-1, profile: esphome-board, sticker: "E1", url: "mqtt:plant-1"}
  - {id: car-1, profile: zhike-mqtt-car, sticker: "03", url: "mqtt:"}
"""


def rights_of(username: str) -> dict[str, list[str]]:
    row = db.session.scalars(select(BrokerCredential).where(BrokerCredential.username == username)).one()
    rights: dict[str, list[str]] = row.rights
    return rights


def test_a_board_of_others_gets_the_topics_of_its_entry(app: Flask, tmp_path: Path) -> None:
    school, lab = make_school(), tmp_path / "lab.yaml"
    lab.write_text(LAB, "utf-8")
    service.board_credential(school.id, "plant-1", lab)
    own = rights_of("plant-1")
    assert own["send"] == ["plant-1/#", "homeassistant/+/plant-1/+/config"]
    assert own["receive"] == own["subscribe"] == ["plant-1/+/+/command"]
    service.board_credential(school.id, "car-1", lab)
    assert rights_of("car-1") == rules.board_rights("car-1").to_json()


def test_its_gateway_hears_it_and_may_tell_it_but_never_rules_the_broker(app: Flask, tmp_path: Path) -> None:
    school, lab = make_school(), tmp_path / "lab.yaml"
    lab.write_text(LAB, "utf-8")
    service.gateway_credential(school.id, "gw-lab1")
    assert rights_of("gw-lab1") == _granted(gateway_role("gw-lab1", [])).to_json()
    service.gateway_credential(school.id, "gw-lab1", lab)
    rights = rights_of("gw-lab1")
    assert set(rights["send"]) == {"homie/5/#", "zhike/#", "plant-1/+/+/command"}
    assert {"plant-1/#", "homie/#", "homeassistant/#", "zhike/#"} <= set(rights["receive"])
    assert not [topic for topic in rights["send"] + rights["receive"] if topic.startswith(("$", "#", "+"))]
