"""Bare MQTT for the bench: many paho clients in one thread, and what all its parts agree on."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from labkit.links.mqtt import undelayed

ROOM = "bench"
ROBOTS = 20
HOST = "127.0.0.1"
BOARDS = tuple(f"bench-{number:02d}" for number in range(1, ROBOTS + 1))
PILOTS = tuple(f"t-bench-{number:02d}" for number in range(1, ROBOTS + 1))
Hear = Callable[[paho.Client, str, bytes], None]


def connect(port: int, client_id: str, filters: list[str], hear: Hear, ready: Callable[[], None]) -> paho.Client:
    """A connected client without a thread; ``ready`` is called when it has subscribed. The account comes from the environment."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv311)
    client.username_pw_set(os.environ["LABKIT_USERNAME"], os.environ["LABKIT_PASSWORD"])

    def on_message(one: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        hear(one, message.topic, bytes(message.payload))

    client.on_message = on_message
    client.on_subscribe = lambda *_: ready()
    client.on_connect = lambda one, *_: one.subscribe([(topic, 0) for topic in filters])
    undelayed(client)  # the bare loop at its best: paho by itself would make some messages wait for 40 ms
    client.connect(HOST, port, keepalive=60)
    return client


def serve(clients: list[paho.Client]) -> None:
    """Serve clients in this thread until the process is told to end (SIGTERM)."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            sock = client.socket()
            assert sock is not None
            selector.register(sock, selectors.EVENT_READ, client)
        while True:
            ready = selector.select(1.0)
            for key, _ in ready:
                key.data.loop_read()
            for client in clients if not ready else [key.data for key, _ in ready]:
                while client.want_write():
                    client.loop_write()
                client.loop_misc()
