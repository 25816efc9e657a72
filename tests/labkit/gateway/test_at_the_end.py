"""Nothing moves that nobody watches: after a worker's end, after a stop, after the lab file was changed; no broker, no process."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from labkit import homie
from labkit.gateway import face
from labkit.gateway.board import Board
from labkit.gateway.mailbox import DriveOrder, EndOrder, Heard
from labkit.gateway.mqtt_kit import MqttKit
from labkit.lab import load_lab
from labkit.links import Broker
from labkit.simulate.mqtt_car import described
from tests.labkit.foreign.bench import Wall


def mqtt_car(folder: Path) -> tuple[MqttKit, Wall]:
    """A board that is ready, as the gateway sees it."""
    file = folder / "lab.yaml"
    file.write_text('name: gw-x\nroom: lab1\ndevices:\n  - {id: car-1, profile: zhike-mqtt-car, url: "mqtt:"}\n')
    device, wall, board = load_lab(file).devices[0], Wall(), Board()
    board.attach(cast(Broker, wall))
    kit = MqttKit(device, board, "gw-x")
    kit.serve(face.robot_properties(device))
    for what, payload in (("$description", homie.describe(described(device))), ("$state", b"ready")):
        topic = f"homie/5/car-1/{what}"
        kit.hear(Heard(topic, payload, True), homie.parse_topic(topic))
    return kit, wall


def test_a_board_is_not_driven_after_its_workers_end(tmp_path: Path) -> None:
    """The router goes on while the gateway ends: nobody would end that drive."""
    kit, wall = mqtt_car(tmp_path)
    kit.start()
    kit.mailbox.put(EndOrder())
    kit.join(5)
    assert not kit.is_alive()
    wall.events.clear()
    kit.mailbox.put(DriveOrder(0.3, 0.0, 500, "t-1", 1))
    assert not [one for one in wall.events if one[0].endswith("/set")]
