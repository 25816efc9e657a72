"""A stop that was said while the gateway was away is said again until it is answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from lms.core.db import db
from lms.labs import service
from lms.labs.bridge import admin_password_file
from tests.factories import make_room, make_school, make_staff
from tests.labs.test_bridge import Broker, Peer, bridged, provisioned, until


def test_a_gateway_that_comes_back_hears_the_stop(app: Flask, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker(tmp_path / "broker", "embedded", admin_password_file(app.config["ZHIKE"].data_dir))
    broker.start()
    school = make_school()
    room, _ = make_room(school)
    teacher = make_staff(school)
    gateway = service.gateway_credential(school.id, "gw-lab1")
    with bridged(app, school.id, broker):
        until(lambda: provisioned("gw-lab1"))
        event = service.stop_room(teacher.account, room, None)
        until(lambda: "no gateway has answered" in caplog.text)
        lab = Peer(broker.config.tcp_port, gateway, f"zhike/room/{room.code}/stop")
        until(lambda: any(json.loads(payload)["id"] == event.stop_id for _, payload in lab.got))
        lab.say(f"zhike/room/{room.code}/stopped", json.dumps({"id": event.stop_id, "confirmed": ["mbot-1"]}))
        until(lambda: service.stop_report(event.stop_id)["reported"])
        lab.end()
    broker.kill()
    db.session.remove()
