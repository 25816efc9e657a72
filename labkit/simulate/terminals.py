"""Forty pupils' terminals without pupils: Homie 5 root devices over MQTT/WebSocket (or TCP), as the lesson page is one.

Each says seat, step and heartbeat, reads its room's lesson and leases, and — where a lease gives it a robot — wishes to drive
it ``wish_hz`` times a second on a wandering way that a seed decides. No content of pupils exists here.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from labkit import homie
from labkit.model import Datatype, Device, Node, Property, State

log = logging.getLogger("labkit.simulate")

HEARTBEAT_S = 5.0
STEP_S = 60.0
TURN_S = (1.0, 3.0)
TICK_S = 0.02
KEEPALIVE_S = 10
SETTINGS = {
    "heartbeat": Datatype.DATETIME, "seat": Datatype.STRING, "lesson": Datatype.STRING, "step": Datatype.INTEGER,
    "needs-help": Datatype.BOOLEAN, "visible": Datatype.BOOLEAN,
}  # fmt: skip


@dataclass(frozen=True)
class Door:
    """How terminals reach the broker: host, port, ``ws`` or ``tcp``, and one account (each has its own client id)."""

    host: str
    port: int
    websocket: bool = True
    username: str = ""
    password: str = ""


def terminal_ids(room: str, count: int) -> list[str]:
    """``t-<room>-01`` …"""
    return [f"t-{room}-{number:02d}" for number in range(1, count + 1)]


def describe(terminal: str) -> Device:
    """The terminal as a Homie root device: what it says of itself, and its wishes."""
    said = tuple(Property(name, datatype, name) for name, datatype in SETTINGS.items())
    drive = Property("drive", Datatype.JSON, "drive", format="{}", retained=False)
    nodes = (Node("terminal", "terminal", properties=said), Node("wish", "wish", properties=(drive,)))
    return Device(terminal, terminal, "zhike-terminal", nodes)


class Terminal:
    """One seat; its network thread only keeps what it hears, `tick` does the rest."""

    def __init__(self, terminal: str, room: str, door: Door, wish_hz: float, seed: int) -> None:
        self.id, self._room = terminal, room
        self._random = random.Random(f"terminal {seed} {terminal}")
        self._wish_s = 1 / wish_hz if wish_hz else 0.0
        self._leases: dict[str, bool] = {}
        self._seq = 0
        self._way = (0.0, 0.0)
        self._turn_at = 0.0
        self._up = False
        started = time.monotonic()
        # Pupils do not open their pages in the same moment.
        self._beat_at = started + self._random.uniform(0, HEARTBEAT_S)
        self._wish_at = started + self._random.uniform(0, self._wish_s)
        self._step_at = started + self._random.uniform(0, STEP_S)
        self._step = 1
        self._client = self._connect(door)

    def tick(self, now: float) -> None:
        """Send what is due at the monotonic time ``now``."""
        if not self._up:
            return
        if now >= self._beat_at:
            self._beat_at = now + HEARTBEAT_S
            self._beat()
        if now >= self._step_at:
            self._step_at = now + STEP_S
            self._step += 1
            self._say("terminal/step", str(self._step))
        if self._wish_s and now >= self._wish_at and True in list(self._leases.values()):
            self._wish_at = max(self._wish_at + self._wish_s, now - self._wish_s)
            self._wish(now)

    def close(self) -> None:
        """Say goodbye as a closed page does."""
        if self._up:
            self._say("$state", State.DISCONNECTED.value)
        self._client.disconnect()
        self._client.loop_stop()

    def _beat(self) -> None:
        self._say("terminal/heartbeat", datetime.now(UTC).isoformat(timespec="milliseconds"))

    def _wish(self, now: float) -> None:
        if now >= self._turn_at:
            self._turn_at = now + self._random.uniform(*TURN_S)
            self._way = round(self._random.uniform(0.05, 0.2), 3), round(self._random.uniform(-2, 2), 3)
        self._seq += 1
        wanted = {"seq": self._seq, "linear_x": self._way[0], "angular_z": self._way[1], "ms": 500}
        self._client.publish(f"{homie.BASE}/{self.id}/wish/drive", json.dumps(wanted), qos=0)

    def _say(self, topic: str, text: str) -> None:
        self._client.publish(f"{homie.BASE}/{self.id}/{topic}", text, qos=1, retain=True)

    def _connect(self, door: Door) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.id,
            protocol=MQTTProtocolVersion.MQTTv311,
            transport="websockets" if door.websocket else "tcp",
        )
        client.username_pw_set(door.username or self.id, door.password)
        client.reconnect_delay_set(1, 4)
        client.will_set(homie.state_topic(self.id), State.LOST.value, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._heard
        client.connect_async(door.host, door.port, KEEPALIVE_S)
        client.loop_start()
        return client

    def _connected(
        self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.warning("%s: the broker refuses: %s", self.id, reason)
            return
        room = f"zhike/room/{self._room}"
        client.subscribe([(f"{room}/lesson", 1), (f"{room}/stopped", 1), (f"{room}/lease/+", 1)])
        self._say("$state", State.INIT.value)
        client.publish(homie.description_topic(self.id), homie.describe(describe(self.id)), qos=1, retain=True)
        seat = self.id.rpartition("-")[2]
        for name, text in (("seat", seat), ("step", str(self._step)), ("needs-help", "false"), ("visible", "true")):
            self._say(f"terminal/{name}", text)
        self._say("$state", State.READY.value)
        self._beat()
        self._up = True

    def _disconnected(self, *_: object) -> None:
        self._up = False

    def _heard(self, client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        levels = message.topic.split("/")
        if levels[3] != "lease":
            return
        device = levels[4]
        try:
            lease = json.loads(message.payload) if message.payload else {}
        except ValueError:
            lease = {}
        mine = isinstance(lease, dict) and lease.get("holder") == self.id
        if mine and device not in self._leases:
            # Like a page, a driver looks at its own robot.
            client.subscribe(f"{homie.BASE}/{device}/#", 1)
        if mine or device in self._leases:
            self._leases[device] = mine


def run(room: str, count: int, door: Door, wish_hz: float, seed: int, told: threading.Event) -> None:
    """Run ``count`` terminals in this thread until ``told`` is set."""
    terminals = [Terminal(name, room, door, wish_hz, seed) for name in terminal_ids(room, count)]
    while not told.wait(TICK_S):
        now = time.monotonic()
        for terminal in terminals:
            terminal.tick(now)
    for terminal in terminals:
        terminal.close()


def main(arguments: list[str] | None = None) -> int:
    """``python -m labkit.simulate.terminals --room lab1 --count 40 --port 8083``; the password in ``LABKIT_PASSWORD``."""
    parser = argparse.ArgumentParser(prog="python -m labkit.simulate.terminals", description="模拟学生终端")
    parser.add_argument("--room", required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tcp", action="store_true", help="MQTT straight on TCP instead of WebSocket")
    parser.add_argument("--username", default="")
    parser.add_argument("--wish-hz", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    told = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        told.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    password = os.environ.get("LABKIT_PASSWORD", "")
    door = Door(options.host, options.port, not options.tcp, options.username, password)
    run(options.room, options.count, door, options.wish_hz, options.seed, told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
