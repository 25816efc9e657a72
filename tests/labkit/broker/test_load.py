"""A class at work: everything arrives, in order, at everybody, and a terminal that stops reading harms nobody."""

from __future__ import annotations

import socket

from labkit.broker import ClientSpec, RoleSpec
from tests.labkit.brokers import ADMIN_PASSWORD, RunningBroker

READERS, MESSAGES = 40, 100


def test_forty_terminals_get_every_step_in_order(broker: RunningBroker) -> None:
    bridge, admin = broker.admin()
    names = [f"t-lab1-{n:02}" for n in range(READERS)]
    topic = "zhike/room/lab1/lesson"
    admin.put_many(
        [RoleSpec("pupil", (), (topic,), (topic,))],
        [ClientSpec(name, f"generated-{name}", ("pupil",)) for name in names],
    )
    readers = [broker.person(name, f"generated-{name}", "ws" if n % 2 else "tcp") for n, name in enumerate(names)]
    assert all(reader.subscribe(topic) == [True] for reader in readers)
    for number in range(MESSAGES):
        bridge.client.publish(topic, str(number), 1)
    for reader in readers:
        reader.wait(lambda r=reader: len(r.messages) >= MESSAGES, "messages are missing", 30)  # type: ignore[misc] # bound
        assert [int(m.payload) for m in reader.messages] == list(range(MESSAGES))


def test_one_who_never_reads_does_not_hold_up_the_others(broker: RunningBroker) -> None:
    bridge, _ = broker.admin()
    word = ADMIN_PASSWORD.encode()
    body = b"\x00\x04MQTT\x04\xc2\x00\x3c\x00\x04deaf\x00\x06bridge" + len(word).to_bytes(2, "big") + word
    with socket.create_connection(("127.0.0.1", broker.config.tcp_port)) as deaf:
        deaf.sendall(bytes((0x10, len(body))) + body + b"\x82\x08\x00\x01\x00\x03f/#\x00")
        assert deaf.recv(4)
        other = broker.person("bridge", ADMIN_PASSWORD, client_id="other")
        other.subscribe("f/#", qos=0)
        for _ in range(60):
            bridge.publish("f/frame", b"x" * 400_000)
        other.wait(lambda: other.topics().count("f/frame") == 60, "held up")
    assert broker.process.poll() is None
