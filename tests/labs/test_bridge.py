"""The bridge between a real broker, Mosquitto and the embedded one, and a real database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from flask import Flask
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import select

from labkit.broker import BrokerConfig, wait_ready
from lms.core import clock
from lms.core.db import db, new_id, write
from lms.labs import service
from lms.labs.bridge import ADMIN, Bridge, admin_password_file
from lms.labs.models import BrokerCredential, Device, DeviceLessonSummary, StopEvent, TerminalPresence
from tests.effort import PATIENCE_S
from tests.factories import make_room, make_school, make_staff
from tests.labkit.brokers import SERVING
from tests.ports import free_port

KINDS = SERVING


def until(check: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """The first true answer of ``check``, asked at most ``seconds`` long."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        db.session.rollback()
        if found := check():
            return found
        pause.wait(0.05)
    raise AssertionError("nothing came")


class Broker:
    """A broker process that can be killed and started again on its port."""

    def __init__(self, folder: Path, kind: Any, password_file: Path, ws_port: int | None = None) -> None:
        folder.mkdir()
        self.config = BrokerConfig(
            data_dir=folder, admin_username=ADMIN, admin_password_file=password_file, kind=kind, tcp_port=free_port(), ws_port=ws_port, log_file=folder / "log"
        )
        self.file = folder / "broker.json"
        self.file.write_text(json.dumps(self.config.to_json()))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "labkit.broker", "--config", str(self.file)])
        wait_ready(self.config, 20)

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, app: Flask, tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path / "broker", request.param, admin_password_file(app.config["ZHIKE"].data_dir))
    made.start()
    yield made
    made.kill()


@contextmanager
def bridged(app: Flask, school_id: Any, broker: Broker) -> Iterator[None]:
    """A bridge at work."""
    bridge = Bridge(app, school_id, "127.0.0.1", broker.config.tcp_port)
    thread = threading.Thread(target=bridge.run)
    thread.start()
    try:
        yield
    finally:
        bridge.stop()
        thread.join(PATIENCE_S)


class Peer:
    """A real MQTT client with a credential of ours."""

    def __init__(self, port: int, credential: service.Credential, *topics: str) -> None:
        self.got: list[tuple[str, str]] = []
        self.connected = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=credential.client_id, protocol=mqtt.MQTTv311)
        self.client.username_pw_set(credential.username, credential.password)
        self.client.on_message = lambda client, data, message: self.got.append((message.topic, message.payload.decode()))
        self.client.on_subscribe = lambda *args: self.connected.set()
        self.client.on_connect = lambda *args: self.client.subscribe([(topic, 1) for topic in topics])
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.connected.wait(PATIENCE_S)

    def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(PATIENCE_S)

    def end(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def provisioned(username: str) -> bool:
    row = db.session.scalar(select(BrokerCredential).where(BrokerCredential.username == username))
    return row is not None and row.applied_rev == row.rev


def test_lesson_reaches_terminal_and_its_life_reaches_the_tables(app: Flask, broker: Broker) -> None:
    school = make_school()
    room, seats = make_room(school)
    teacher = make_staff(school)
    lesson_id = new_id()
    assert teacher.account is not None
    service.open_terminals(room, lesson_id)
    service.publish_lesson(school.id, room.code, {"lesson": str(lesson_id), "state": "running", "step": 0})
    gateway = service.gateway_credential(school.id, "gw-lab1")
    with bridged(app, school.id, broker):
        until(lambda: provisioned(seats[0].terminal) and provisioned("gw-lab1"))
        seat = Peer(broker.config.tcp_port, service.terminal_credential(seats[0], room, lesson_id), f"zhike/room/{room.code}/lesson")
        until(lambda: any(str(lesson_id) in payload for _, payload in seat.got))
        lab = Peer(broker.config.tcp_port, gateway, f"zhike/room/{room.code}/stop", "zhike/clock")
        lab.say("zhike/gateway/gw-lab1/devices", json.dumps([{"device": "mbot-1", "profile": "makeblock-mbot", "kind": "robot", "room": room.code, "sticker": "07"}]), retain=True)
        device = until(lambda: db.session.scalar(select(Device)))
        seat.say(f"homie/5/{seats[0].terminal}/terminal/lesson", str(lesson_id), retain=True)
        seat.say(f"homie/5/{seats[0].terminal}/terminal/step", "2", retain=True)
        seat.say(f"homie/5/{seats[0].terminal}/terminal/heartbeat", "2026-11-24T02:05:00Z")
        for count in (3, 9, 12):
            lab.say("homie/5/mbot-1/main/commands", str(count))
        present = until(lambda: db.session.scalar(select(TerminalPresence)))
        assert (present.seat_id, present.step, present.beats) == (seats[0].id, 2, 1)
        until(lambda: (row := db.session.scalar(select(DeviceLessonSummary))) and row.commands == 9)

        event = service.stop_room(teacher.account, room, lesson_id)
        until(lambda: any(event.stop_id in payload for _, payload in lab.got))
        lab.say(f"zhike/room/{room.code}/stopped", json.dumps({"id": event.stop_id, "confirmed": ["mbot-1"], "unconfirmed": [{"device": "car-1", "sticker": "08"}]}))
        report = until(lambda: (found := service.stop_report(event.stop_id))["reported"] and found)
        assert report["confirmed"] == ["mbot-1"]
        assert report["unconfirmed"][0]["sticker"] == "08"
        assert until(lambda: db.session.scalar(select(DeviceLessonSummary).where(DeviceLessonSummary.device_id == device.id))).stop_confirmed is True
        beat = until(lambda: next((text for topic, text in lab.got if topic == "zhike/clock"), None))
        assert abs((clock.now() - datetime.fromisoformat(json.loads(beat)["at"])).total_seconds()) < PATIENCE_S
        for peer in (seat, lab):
            peer.end()


def test_pupil_can_forge_nothing(app: Flask, broker: Broker) -> None:
    school = make_school()
    room, seats = make_room(school)
    lesson_id = new_id()
    service.open_terminals(room, lesson_id)
    listener = service.gateway_credential(school.id, "gw-lab1")
    with bridged(app, school.id, broker):
        until(lambda: provisioned(seats[0].terminal) and provisioned("gw-lab1"))
        lab = Peer(broker.config.tcp_port, listener, "homie/5/#", "zhike/#")
        pupil = Peer(broker.config.tcp_port, service.terminal_credential(seats[0], room, lesson_id), "homie/5/#", "zhike/#", f"zhike/room/{room.code}/lesson")
        for topic in (f"homie/5/{seats[1].terminal}/terminal/heartbeat", "homie/5/mbot-1/main/linear-x/set", f"zhike/room/{room.code}/lesson", f"zhike/room/{room.code}/stop"):
            pupil.say(topic, "forged")
        pupil.say(f"homie/5/{seats[0].terminal}/terminal/heartbeat", "mine")
        until(lambda: any(payload == "mine" for _, payload in lab.got))
        assert not [payload for _, payload in lab.got if payload == "forged"]
        lab.say("homie/5/t-other-01/terminal/heartbeat", "secret")
        lab.say(f"zhike/room/{room.code}/lesson", "for all")
        until(lambda: any(payload == "for all" for _, payload in pupil.got))
        assert not [payload for _, payload in pupil.got if payload == "secret"]
        for peer in (lab, pupil):
            peer.end()


def test_pupil_cannot_take_over_another_client(app: Flask, broker: Broker) -> None:
    school = make_school()
    room, seats = make_room(school)
    lesson_id = new_id()
    service.open_terminals(room, lesson_id)
    with bridged(app, school.id, broker):
        until(lambda: provisioned(seats[0].terminal))
        mine = service.terminal_credential(seats[0], room, lesson_id)
        refused = threading.Event()
        forger = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="lms-bridge", protocol=mqtt.MQTTv311)
        forger.username_pw_set(mine.username, mine.password)
        forger.on_connect = lambda client, data, flags, reason, properties: reason.is_failure and refused.set()
        forger.connect("127.0.0.1", broker.config.tcp_port)
        forger.loop_start()
        assert refused.wait(PATIENCE_S)
        forger.loop_stop()
        service.publish_lesson(school.id, room.code, {"lesson": str(lesson_id), "state": "running"})
        peer = Peer(broker.config.tcp_port, mine, f"zhike/room/{room.code}/lesson")
        until(lambda: peer.got)  # the bridge is still there and publishes
        peer.end()


def test_broker_killed_and_back_everything_is_there_again(app: Flask, broker: Broker) -> None:
    school = make_school()
    room, seats = make_room(school)
    lesson_id = new_id()
    service.open_terminals(room, lesson_id)
    service.publish_lesson(school.id, room.code, {"lesson": str(lesson_id), "state": "running", "step": 4})
    with bridged(app, school.id, broker):
        until(lambda: provisioned(seats[0].terminal))
        broker.kill()
        for left in broker.config.data_dir.glob("*"):
            if left != broker.file:
                left.unlink()  # even the broker's own memory is gone
        service.publish_lesson(school.id, room.code, {"lesson": str(lesson_id), "state": "running", "step": 5})
        broker.start()
        credential = service.terminal_credential(seats[0], room, lesson_id)

        def reached() -> bool:
            try:
                peer = Peer(broker.config.tcp_port, credential, f"zhike/room/{room.code}/lesson")
            except AssertionError:
                return False
            arrived = bool(until(lambda: any('"step":5' in payload for _, payload in peer.got)))
            peer.end()
            return arrived

        assert until(reached, 2 * PATIENCE_S)


def test_retired_terminal_is_shut_out(app: Flask, broker: Broker) -> None:
    school = make_school()
    room, seats = make_room(school)
    lesson_id = new_id()
    service.open_terminals(room, lesson_id)
    with bridged(app, school.id, broker):
        until(lambda: provisioned(seats[0].terminal))
        peer = Peer(broker.config.tcp_port, service.terminal_credential(seats[0], room, lesson_id), f"zhike/room/{room.code}/lesson")
        dropped = threading.Event()
        peer.client.on_disconnect = lambda *args: dropped.set()
        service.retire_credentials(lesson_id)
        assert dropped.wait(PATIENCE_S)
        peer.end()


def test_late_web_finds_the_stop_that_the_console_published(app: Flask) -> None:
    from lms.labs.intake import WEB_GRACE, Intake

    school = make_school()
    room, _ = make_room(school)
    teacher = make_staff(school)
    intake = Intake(school.id)
    at = clock.now()
    intake.take(f"zhike/room/{room.code}/stopped", b'{"id":"s1","confirmed":["mbot-1"]}', retained=False, at=at)
    with write():
        intake.store(at)
    assert db.session.scalar(select(StopEvent)) is None
    service.stop_room(teacher.account, room, None, "s1")
    with write():
        intake.store(at)
    assert service.stop_report("s1")["confirmed"] == ["mbot-1"]
    intake.take(f"zhike/room/{room.code}/stopped", b'{"id":"s2","confirmed":[]}', retained=False, at=at)
    with write():
        intake.store(at + WEB_GRACE)
    assert service.stop_report("s2")["reported"]


def test_alerts_stand_on_their_device_until_cleared(app: Flask) -> None:
    from lms.labs.intake import Intake

    school = make_school()
    room, _ = make_room(school)
    intake = Intake(school.id)

    def say(topic: str, text: str) -> dict[str, str]:
        """One retained message; then the alert of each device."""
        intake.take(topic, text.encode(), retained=True, at=clock.now())
        with write():
            intake.store(clock.now())
        return {row.homie_id: row.alert for row in db.session.scalars(select(Device))}

    boards = [{"device": name, "profile": "zhike-mqtt-car", "kind": "robot", "room": room.code, "sticker": name[-1]} for name in ("car-1", "car-1-b")]
    say("homie/5/gw-lab1/$alert/car-1-lost", "小车 1：失去连接")  # before the list of devices
    assert say("zhike/gateway/gw-lab1/devices", json.dumps(boards)) == {"car-1": "小车 1：失去连接", "car-1-b": ""}
    assert say("homie/5/gw-lab1/$alert/car-1-b-lost", "小车 1b：失去连接")["car-1-b"] == "小车 1b：失去连接"
    assert say("homie/5/car-1/$alert/battery", "电量只剩 9%")["car-1"] == "电量只剩 9%；小车 1：失去连接"
    assert say("homie/5/gw-lab2/$alert/car-1-lost", "别的网关")["car-1"] == "电量只剩 9%；小车 1：失去连接"
    assert say("homie/5/gw-lab1/$alert/car-1-lost", "") == {"car-1": "电量只剩 9%", "car-1-b": "小车 1b：失去连接"}
    assert say("homie/5/car-1/$alert/battery", "")["car-1"] == ""
    intake.reconnected()  # cleared while nobody listened: the broker has nothing to tell any more
    assert say("homie/5/gw-lab1/$state", "ready") == {"car-1": "", "car-1-b": ""}


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"[", b"[" * 60000, b"null", b'{"id": 5}', b'{"id":"x","confirmed":{"a":1}}', b"NaN", b"9" * 100000])
def test_malformed_messages_are_dropped(app: Flask, payload: bytes) -> None:
    from lms.labs.intake import Intake

    school = make_school()
    room, seats = make_room(school)
    intake = Intake(school.id)
    for topic in (
        f"zhike/room/{room.code}/stopped", f"zhike/room/{room.code}/lesson", "zhike/gateway/g/devices", f"homie/5/{seats[0].terminal}/terminal/step",
        f"homie/5/{seats[0].terminal}/terminal/heartbeat", "homie/5/mbot-1/main/commands", "homie/5/mbot-1/main/faces", "homie/5/x", "homie/5//", "zhike/room//stopped",
    ):  # fmt: skip
        intake.take(topic, payload, retained=False, at=clock.now())
    with write():
        intake.store(clock.now() + timedelta(hours=1))
    assert db.session.scalar(select(TerminalPresence)) is None
