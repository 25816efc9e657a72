"""Retained messages, last wills, take-over, malformed bytes, restarts: on both brokers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from labkit.broker import BrokerConfigError, ClientSpec, RoleSpec, read_config
from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, RunningBroker, launch

DEVICE = RoleSpec("car-1", ("homie/5/car-1/#",), ("homie/5/car-1/#",), ("homie/5/car-1/#",))
PASSWORD = "a-generated-device-password"


def with_car(broker: RunningBroker) -> None:
    _, admin = broker.admin()
    admin.put_many([DEVICE], [ClientSpec("car-1", PASSWORD, ("car-1",))])


def test_a_retained_message_waits_and_an_empty_one_deletes_it(broker: RunningBroker) -> None:
    bridge, _ = broker.admin()
    bridge.publish("homie/5/a/$state", "init", retain=True)
    bridge.publish("homie/5/a/$state", "ready", retain=True)
    bridge.publish("homie/5/a/wish", "now", retain=False)
    first = broker.person(ADMIN, ADMIN_PASSWORD, client_id="first")
    first.subscribe("homie/5/#")
    first.fence(bridge, "homie/5/mark")
    got = [(m.topic, m.payload, m.retain) for m in first.messages]
    assert got[0] == ("homie/5/a/$state", b"ready", True)
    assert "homie/5/a/wish" not in first.topics()
    bridge.publish("homie/5/a/$state", "", retain=True)
    assert first.expect("homie/5/a/$state").payload in (b"", b"ready")
    second = broker.person(ADMIN, ADMIN_PASSWORD, client_id="second")
    second.subscribe("homie/5/#")
    second.fence(bridge, "homie/5/mark")
    assert "homie/5/a/$state" not in second.topics()


def test_quality_is_the_lower_of_both(broker: RunningBroker) -> None:
    bridge, _ = broker.admin()
    for sent, asked, given in [(0, 1, 0), (1, 0, 0), (1, 1, 1), (2, 1, 1)]:
        other = broker.person(ADMIN, ADMIN_PASSWORD, client_id=f"other-{sent}-{asked}")
        other.subscribe("q/+", qos=asked)
        bridge.publish("q/a", "x", qos=sent)
        bridge.publish("q/b", "x", qos=1)
        other.expect("q/b")
        assert [m.qos for m in other.messages if m.topic == "q/a"] == [given], (sent, asked)


def test_two_fitting_filters_bring_a_message_once(broker: RunningBroker) -> None:
    bridge, _ = broker.admin()
    other = broker.person(ADMIN, ADMIN_PASSWORD, client_id="other")
    other.subscribe("o/#", "o/+")
    bridge.publish("o/a", "once")
    other.fence(bridge, "o/mark")
    assert other.topics().count("o/a") == 1


def test_a_vanished_device_is_lost_and_one_that_leaves_is_not(broker: RunningBroker) -> None:
    with_car(broker)
    bridge, _ = broker.admin()
    bridge.subscribe("homie/5/#")
    car = broker.person("car-1", PASSWORD, will=("homie/5/car-1/$state", "lost"))
    car.publish("homie/5/car-1/$state", "ready", retain=True)
    car.leave()
    bridge.fence(bridge, "homie/5/mark")
    assert bridge.expect("homie/5/car-1/$state").payload == b"ready"
    again = broker.person("car-1", PASSWORD, will=("homie/5/car-1/$state", "lost"))
    again.publish("homie/5/car-1/$state", "ready", retain=True)
    again.break_line()
    bridge.wait(lambda: any(m.payload == b"lost" for m in bridge.messages), "no last will")


def test_a_silent_connection_is_lost_after_its_keep_alive(broker: RunningBroker) -> None:
    with_car(broker)
    bridge, _ = broker.admin()
    bridge.subscribe("homie/5/#")
    name, word, topic = b"\x00\x05car-1", PASSWORD.encode(), b"homie/5/car-1/$state"
    body = b"\x00\x04MQTT\x04\xe6\x00\x01" + name + len(topic).to_bytes(2, "big") + topic + b"\x00\x04lost" + name
    body += len(word).to_bytes(2, "big") + word
    with socket.create_connection(("127.0.0.1", broker.config.tcp_port)) as frozen:
        frozen.sendall(bytes((0x10, len(body))) + body)
        assert frozen.recv(4) == b"\x20\x02\x00\x00"
        bridge.wait(lambda: any(m.payload == b"lost" for m in bridge.messages), "never noticed")


def test_a_last_will_is_bound_by_the_rights(broker: RunningBroker) -> None:
    with_car(broker)
    bridge, _ = broker.admin()
    bridge.subscribe("#")
    forger = broker.person("car-1", PASSWORD, will=("zhike/room/lab1/lesson", "forged"))
    forger.break_line()
    forger.wait(lambda: forger.disconnects > 0 or forger.connects[0] != "Success", "still there")
    bridge.fence(bridge, "homie/5/mark")
    assert "zhike/room/lab1/lesson" not in bridge.topics()


def test_the_same_client_connecting_again_takes_over(broker: RunningBroker) -> None:
    with_car(broker)
    first = broker.person("car-1", PASSWORD, client_id="car")
    first.client.loop_stop()
    second = broker.person("car-1", PASSWORD, client_id="car")
    assert second.connects == ["Success"]
    bridge, _ = broker.admin()
    second.subscribe("homie/5/car-1/#")
    second.fence(bridge, "homie/5/car-1/main/linear-x/set")


JUNK = [
    b"\x00" * 400,
    b"\xff" * 4000,
    b"\x10\xff\xff\xff\x7f",
    b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03a",
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x30\x05\x00\x01aaa",
    b"\x82\x06\x00\x01\x00\x01#\x00",
]


def test_malformed_bytes_end_only_their_own_connection(broker: RunningBroker) -> None:
    bridge, _ = broker.admin()
    other = broker.person(ADMIN, ADMIN_PASSWORD, client_id="other")
    other.subscribe("homie/5/mark")
    for junk in JUNK:
        for port in (broker.config.tcp_port, broker.config.ws_port, broker.config.wss_port):
            # The broker may hang up in the middle of it: that is as good as any answer.
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port or 0), timeout=3) as raw:
                raw.sendall(junk)
                raw.shutdown(socket.SHUT_WR)
                raw.recv(1000)
        other.fence(bridge, "homie/5/mark")
    assert broker.process.poll() is None
    assert (bridge.disconnects, other.disconnects) == (0, 0)


def test_an_authenticated_client_cannot_crash_it_either(broker: RunningBroker) -> None:
    bridge, _ = broker.admin()
    other = broker.person(ADMIN, ADMIN_PASSWORD, client_id="other")
    for junk in (
        b"\x36\x05\x00\x01a\x00\x01",
        b"\x30\x04\x00\x02\xff\xfe",
        b"\x30\x05\x00\x03a/+",
        b"\x10\x00",
        b"\x20\x02\x00\x00",
    ):
        before = other.disconnects
        raw = other.client.socket()
        assert raw is not None
        raw.send(junk)
        other.wait_reconnected(before)
    bridge.subscribe("big")
    other.publish("big", b"x" * 500_000)
    other.client.publish("big", b"x" * 600_000, 0)
    other.client.publish("big", b"after", 0)
    bridge.fence(bridge, "big")
    assert 600_000 not in [len(message.payload) for message in bridge.messages]
    assert broker.process.poll() is None


def test_rights_survive_kill_nine_and_publishers_find_their_way_back(broker: RunningBroker) -> None:
    with_car(broker)
    car = broker.person("car-1", PASSWORD)
    broker.kill()
    car.wait(lambda: car.disconnects > 0, "did not notice")
    broker.restart()
    car.wait(lambda: car.client.is_connected(), "did not come back")
    bridge, admin = broker.admin()
    assert admin.list_clients() == [ADMIN, "car-1"]
    car.subscribe("homie/5/car-1/#")
    car.fence(bridge, "homie/5/car-1/main/linear-x/set")


def test_a_changed_admin_password_counts_at_the_next_start(broker: RunningBroker) -> None:
    with_car(broker)
    broker.kill()
    broker.config.admin_password_file.write_text("another-admin-password")
    broker.restart()
    assert broker.person(ADMIN, ADMIN_PASSWORD, client_id="old").connects == ["Not authorized"]
    assert broker.person(ADMIN, "another-admin-password", client_id="new").connects == ["Success"]
    assert broker.person("car-1", PASSWORD).connects == ["Success"]


def test_sigterm_ends_it_cleanly_and_secrets_are_the_owners_alone(broker: RunningBroker) -> None:
    with_car(broker)
    file = broker.config.security_file
    text = file.read_text()
    assert PASSWORD not in text
    assert ADMIN_PASSWORD not in text
    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
    broker.process.send_signal(signal.SIGTERM)
    assert broker.process.wait(PATIENCE_S) == 0


def test_listeners_open_only_where_they_were_told(broker: RunningBroker) -> None:
    ports = {broker.config.tcp_port, broker.config.ws_port, broker.config.wss_port}
    listening = [c.laddr for c in psutil.Process(broker.process.pid).net_connections("tcp") if c.status == "LISTEN"]
    assert {address.port for address in listening} == ports
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_one_brokers_rights_open_under_the_other(tmp_path: Path) -> None:
    first = launch("embedded", tmp_path)
    with_car(first)
    first.stop()
    data = json.loads(first.config_file.read_text())
    first.config_file.write_text(json.dumps({**data, "kind": "auto"}))
    first.people.clear()
    first.restart()
    car = first.person("car-1", PASSWORD)
    assert car.connects == ["Success"]
    assert car.subscribe("homie/5/car-1/#", "homie/5/#") == [True, False]
    first.stop()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tcp_port": 70000}, "tcp_port"),
        ({"tcp_port": "1883"}, "tcp_port"),
        ({"kind": "hivemq"}, "kind"),
        ({"cert": None}, "cert"),
        ({"colour": "red"}, "colour"),
        ({"admin_username": None}, "admin_username"),
        ({"host": "0.0.0.0\nallow_anonymous true"}, "host"),
    ],
)
def test_a_wrong_configuration_names_its_field(tmp_path: Path, change: dict[str, object], field: str) -> None:
    good = {"tcp_port": 1883, "wss_port": 8084, "cert": "c", "key": "k", "data_dir": "d", "admin_username": "a",
            "admin_password_file": "p"}  # fmt: skip
    file = tmp_path / "broker.json"
    file.write_text(json.dumps(good | change))
    with pytest.raises(BrokerConfigError, match=field):
        read_config(file)


def test_a_taken_port_is_said_and_ends_with_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (tmp_path / "p").write_text("secret-enough")
        file = tmp_path / "broker.json"
        file.write_text(
            json.dumps({"kind": "embedded", "tcp_port": taken.getsockname()[1], "data_dir": "d", "admin_username": "a",
                        "admin_password_file": "p"})
        )  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "labkit.broker", "--config", str(file)],
            check=False, capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
    assert done.returncode == 2
    assert str(json.loads(file.read_text())["tcp_port"]) in done.stderr
    assert "Traceback" not in done.stderr
