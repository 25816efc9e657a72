"""The whole way of a pupil's PC: the image's secret, a code on its screen, one click, and its kit is in the room; taken away again."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.serving import make_server

from labkit.broker import BrokerConfig
from lms.core.db import db
from lms.labs import kits, pcs
from lms.labs.bridge import admin_password_file
from lms.labs.models import Device, RoomPc
from lms.roster.models import Room, Seat
from tests.effort import PATIENCE_S
from tests.factories import make_admin
from tests.labkit.agent.desk import LAB
from tests.labkit.gateway.kits import ScriptedMbot
from tests.labs.test_bridge import KINDS, Broker, bridged, until
from tests.ports import free_port
from tests.teaching.scene import Scene, account_of, make_scene


@dataclasses.dataclass
class Pc:
    """A PC with a kit on its USB socket, and the school around it."""

    scene: Scene
    folder: Path
    argv: list[str]
    agent: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(self.argv, stderr=log)

    def kill(self) -> None:
        assert self.agent
        self.agent.send_signal(signal.SIGKILL)
        self.agent.wait(PATIENCE_S)

    @property
    def row(self) -> RoomPc | None:
        return db.session.scalar(select(RoomPc))

    def bind(self, number: int) -> None:
        row = until(lambda: self.row)
        pcs.bind(self.scene.actor, row, db.session.get_one(Seat, self.scene.seats[number].id))

    def kit(self, terminal: str) -> ScriptedMbot:
        return ScriptedMbot(self.folder / "run" / "dev" / f"{terminal}-car")

    def device(self, terminal: str, state: str) -> None:
        """Wait until the school sees the kit in this state."""
        query = select(Device).where(Device.homie_id == f"{terminal}-car", Device.state == state)
        try:
            until(lambda: db.session.scalar(query.execution_options(populate_existing=True)))
        except AssertionError as error:
            raise AssertionError((self.folder / "agent.log").read_text()[-3000:]) from error


@pytest.fixture(params=KINDS)
def pc(request: pytest.FixtureRequest, app: Flask, tmp_path: Path) -> Iterator[Pc]:
    """The agent is not started yet."""
    ws_port = free_port()
    app.config["ZHIKE"] = dataclasses.replace(app.config["ZHIKE"], mqtt_ws_port=ws_port)
    broker = Broker(tmp_path / "broker", request.param, admin_password_file(app.config["ZHIKE"].data_dir))
    values = {field.name: getattr(broker.config, field.name) for field in dataclasses.fields(broker.config)}
    broker.config = BrokerConfig(**{**values, "ws_port": ws_port})
    broker.file.write_text(json.dumps(broker.config.to_json()))
    broker.start()
    scene = make_scene()
    secret = pcs.new_image(account_of(make_admin(scene.school)), scene.room)
    db.session.rollback()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    (tmp_path / "pc.yaml").write_text(LAB, "utf-8")
    config = tmp_path / "agent.json"
    config.write_text(json.dumps({"server": f"http://127.0.0.1:{server.server_port}", "secret": secret}), "utf-8")
    argv = [sys.executable, "-m", "labkit.cli", "agent", "--config", str(config), "--run-dir", str(tmp_path / "run"), "--lab", str(tmp_path / "pc.yaml")]
    made = Pc(scene, tmp_path, argv)
    with bridged(app, scene.school.id, broker):
        yield made
        if made.agent and made.agent.poll() is None:
            made.agent.terminate()
            made.agent.wait(PATIENCE_S)
    server.shutdown()
    thread.join(PATIENCE_S)
    broker.kill()


def test_from_the_image_to_the_lesson_and_away(pc: Pc) -> None:
    kit = pc.kit("t-lab1-01")
    pc.boot()
    pc.bind(0)
    pc.device("t-lab1-01", "ready")
    room = db.session.get_one(Room, pc.scene.room.id)
    found = kits.kit_of(pc.scene.school.id, room.code, "01")
    assert (found.device.homie_id, found.device.gateway, found.drives) == ("t-lab1-01-car", "t-lab1-01", True)
    pc.kill()
    pc.device("t-lab1-01", "lost")
    pc.boot()  # the disk may be another one: nothing is typed
    pc.device("t-lab1-01", "ready")
    moved = pc.kit("t-lab1-02")
    pc.bind(1)
    pc.device("t-lab1-02", "ready")
    db.session.expire_all()
    assert [one.device.homie_id for one in kits.kits_in(room)] == ["t-lab1-02-car"]
    row = pc.row
    assert row is not None
    pcs.release(pc.scene.actor, row)
    until(lambda: not kits.kits_in(room))
    assert "has no seat (waiting)" in (pc.folder / "agent.log").read_text()
    for one in (kit, moved):
        assert one.standing()
        one.close()
