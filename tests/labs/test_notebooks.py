"""The account of a class's notebooks at a real broker: it drives its room's robots, and may do nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select

from labkit import homie
from labkit.api import Robot, RobotError, lab
from labkit.broker import ClientSpec, RoleSpec
from labkit.gateway import face
from labkit.lab import LabDevice, load_lab
from labkit.simulate.mqtt_car import described
from lms.core.db import db, write
from lms.labs import cli, rules, service
from lms.labs.models import BrokerCredential, Device
from lms.roster.models import Room
from tests.factories import make_room, make_school
from tests.labkit.brokers import KINDS, Person, RunningBroker, launch

LAB = """name: gw-lab1
room: lab1
devices:
  - {id: mbot-7, profile: makeblock-mbot, sticker: "07", url: "sim://pty"}
  - {id: car-8, profile: zhike-mqtt-car, sticker: "08", url: "mqtt:"}
  - {id: tello-9, profile: ryze-tello-tt, sticker: "09", url: "sim://udp"}
  - {id: cam-1, profile: generic-camera, url: "file:///clip.avi"}
"""
MAY = [
    "homie/5/mbot-7/main/linear-x/set", "homie/5/mbot-7/main/angular-z/set", "homie/5/mbot-7/main/stop/set", "homie/5/mbot-7/main/identify/set",
    "homie/5/car-8/main/stop/set", "homie/5/tello-9/main/linear-x/set", "zhike/gateway/gw-lab1/steer/mbot-7", "zhike/gateway/gw-lab1/steer/car-8",
]
MAY_NOT = [
    "homie/5/car-8/main/linear-x/set",  # a board obeys whoever writes to it: by its gateway only
    "homie/5/tello-9/main/flight/set", "homie/5/mbot-7/main/confirm/set", "homie/5/mbot-7/main/left/set", "homie/5/mbot-7/$state",
    "homie/5/mbot-7/main/range", "homie/5/robot-other/main/linear-x/set", "zhike/gateway/gw-lab1/steer/robot-other", "zhike/gateway/gw-lab1/adopt",
    "zhike/room/lab1/lease/mbot-7", "zhike/room/lab1/stop", "zhike/room/lab1/stopped", "zhike/room/lab1/lesson", "homie/5/t-lab1-01/wish/drive",
    "homie/5/$broadcast/stop/lab1", "zhike/clock", "$CONTROL/dynamic-security/v1",
]
HEARS = ["homie/5/mbot-7/main/range", "homie/5/car-8/$state", "homie/5/gw-lab1/$state", "zhike/gateway/gw-lab1/devices", "zhike/room/lab1/stopped"]
HEARS_NOT = [
    "homie/5/t-lab1-01/$state", "homie/5/t-lab1-01/$description", "homie/5/cam-1/$state", "homie/5/robot-other/$state", "homie/5/robot-other/$description",
    "zhike/gateway/gw-other/devices", "zhike/room/lab2/stop", "zhike/room/lab2/stopped",
]


@pytest.fixture(scope="module", params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """Both brokers: the rights are the same data."""
    running = launch(request.param, tmp_path_factory.mktemp("notebook-broker"))
    yield running
    running.stop()


@pytest.fixture
def devices(tmp_path: Path) -> tuple[LabDevice, ...]:
    (tmp_path / "lab.yaml").write_text(LAB, "utf-8")
    return load_lab(tmp_path / "lab.yaml").devices


@pytest.fixture
def room(app: Flask, devices: tuple[LabDevice, ...]) -> Room:
    school = make_school()
    made, _ = make_room(school)
    with write():
        for one in devices:
            kind, profile = one.profile.kind.value, one.profile.id
            db.session.add(Device(school_id=school.id, homie_id=one.id, room_id=made.id, gateway="gw-lab1", profile=profile, kind=kind, sticker=one.sticker))
        db.session.add(Device(school_id=school.id, homie_id="robot-other", room_id=None, gateway="gw-lab1", profile="makeblock-mbot", kind="robot"))
    return made


@pytest.fixture
def teacher(broker: RunningBroker, room: Room) -> Person:
    """Somebody who sees everything, after the bridge has made the account as the database holds it."""
    made = service.notebook_credential(room)
    granted = db.session.scalars(select(BrokerCredential).where(BrokerCredential.username == made.username)).one().rights
    person, admin = broker.admin()
    role = RoleSpec(made.username, *(tuple(granted[key]) for key in ("send", "receive", "subscribe")))
    admin.put_many([role], [ClientSpec(made.username, made.password, (made.username,))])
    return person


def test_a_notebook_says_and_hears_only_what_is_its_rooms(broker: RunningBroker, room: Room, teacher: Person) -> None:
    assert room.code == "lab1"
    made = service.notebook_credential(room)
    notebook = broker.person(made.username, made.password, client_id=made.client_id)
    assert notebook.subscribe(*service.LOOKS, "homie/5/mbot-7/main/+") == [True] * (len(service.LOOKS) + 1)
    assert notebook.subscribe("#", "homie/5/#", "zhike/#", "zhike/room/+/lease/+", "zhike/room/lab1/lesson", "homie/5/t-lab1-01/#", "$SYS/#") == [False] * 7
    teacher.subscribe("homie/#", "zhike/#")
    for topic in MAY_NOT:
        notebook.publish(topic, b"forged")
    for topic in MAY:
        notebook.publish(topic, b"mine")
    teacher.expect(MAY[-1])
    said = {m.topic: bytes(m.payload) for m in list(teacher.messages) if m.payload in (b"mine", b"forged")}
    assert said == dict.fromkeys(MAY, b"mine")
    for topic in (*HEARS_NOT, *HEARS):
        teacher.publish(topic, b"news", retain=False)
    notebook.expect(HEARS[-1])
    assert {m.topic for m in list(notebook.messages)} == set(HEARS)


def test_the_python_api_works_with_it(broker: RunningBroker, room: Room, teacher: Person, devices: tuple[LabDevice, ...]) -> None:
    made = service.notebook_credential(room)
    listing = [{"device": one.id, "room": one.room, "sticker": one.sticker} for one in devices]
    teacher.publish("zhike/gateway/gw-lab1/devices", json.dumps(listing), retain=True)
    teacher.publish("homie/5/gw-lab1/$state", b"ready", retain=True)
    for one in devices[:2]:
        shown = face.kit_device(one, "gw-lab1", 1) if one.bridged else described(one)
        teacher.publish(f"homie/5/{one.id}/$description", homie.describe(shown), retain=True)
        teacher.publish(f"homie/5/{one.id}/$state", b"ready", retain=True)
    teacher.subscribe("zhike/gateway/+/steer/+")
    with lab(f"mqtt://127.0.0.1:{broker.config.tcp_port}", made.username, made.password) as one:
        assert one.robots == ["07", "08"]
        robot = one.robot("08")
        with pytest.raises(RobotError) as caught:
            drive_until_stopped(robot, teacher)
    assert caught.value.code == "stopped"


def drive_until_stopped(robot: Robot, teacher: Person) -> None:
    """A program, and the red button while it drives."""
    with robot as r:
        r.drive(0.1)
        teacher.expect("zhike/gateway/gw-lab1/steer/car-8")
        teacher.publish("zhike/room/lab1/stop", json.dumps({"id": "s-1", "by": "teacher"}))
        r.wait(30)


def test_the_command_names_the_room_and_what_is_missing(app: Flask, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lms.core.cli.get_settings", lambda: app.config["ZHIKE"])

    def labs(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli.labs, ["credential", *words])
        return done.exit_code, done.output

    code, text = labs("lab1", "--notebook")
    assert (code, json.loads(text)["username"]) == (0, rules.notebook_user("lab1"))
    assert labs("lab9", "--notebook") == (1, "Error: 没有代号为 lab9 的教室；有：lab1\n")
    with app.app_context(), write():
        for device in db.session.scalars(select(Device)):
            device.room_id = None
    code, text = labs("lab1", "--notebook")
    assert (code, "还没有小车：先启动它的网关" in text) == (1, True)
    assert labs("lab1", "--notebook", "--board")[0] == 2
