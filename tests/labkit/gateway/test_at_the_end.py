"""Nothing moves that nobody watches: after a worker's end, and while devices are adopted at run time; no broker, no process."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from labkit import homie
from labkit.binding import PortBook
from labkit.gateway import Gateway, face
from labkit.gateway.adopting import Adopting
from labkit.gateway.board import Board
from labkit.gateway.foreign_router import ForeignRouter
from labkit.gateway.mailbox import DriveOrder, EndOrder, Heard, Item, StopOrder
from labkit.gateway.mqtt_kit import MqttKit
from labkit.lab import Lab, LabDevice, load_lab
from labkit.links import Broker, BrokerAddress, Message
from labkit.simulate.mqtt_car import described
from tests.effort import PATIENCE_S
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
    kit.join(PATIENCE_S)
    assert not kit.is_alive()
    wall.events.clear()
    kit.mailbox.put(DriveOrder(0.3, 0.0, 500, "t-1", 1))
    assert not [one for one in wall.events if one[0].endswith("/set")]


MBOT = '{{id: {0}, profile: makeblock-mbot, settle_ms: 0, url: "sim://pty"}}'
NOBODY = BrokerAddress("127.0.0.1", 9)


def lab_of(folder: Path, *devices: str) -> Lab:
    file = folder / "lab.yaml"
    file.write_text("name: gw-x\nroom: lab1\ndevices:\n" + "".join(f"  - {MBOT.format(name)}\n" for name in devices))
    return load_lab(file)


def test_an_adopted_kit_is_no_ghost_after_a_reconnect(tmp_path: Path) -> None:
    """Its description names this gateway as root: it must not be taken for one that an earlier process left."""
    lab = lab_of(tmp_path, "mbot-1")
    gateway = Gateway(lab, NOBODY, tmp_path)
    cleared: list[str] = []
    broker = SimpleNamespace(
        publish=lambda topic, payload, **_: cleared.append(topic),
        subscribe=lambda *_: None,
        unsubscribe=lambda *_: None,
    )
    gateway._ghosts._broker = cast(Broker, broker)
    adopted = replace(lab.devices[0], id="kit-08")
    gateway._grow(replace(lab, devices=(*lab.devices, adopted)), adopted)
    shown = homie.describe(face.kit_device(adopted, lab.name, 1))
    gateway._ghosts.connected()
    gateway._ghosts.hear(Message(homie.description_topic(adopted.id), shown, True))
    worker = gateway.workers[adopted.id]
    worker.mailbox.put(EndOrder())
    worker.join(PATIENCE_S)
    assert cleared == []


def adopting(lab: Lab, folder: Path, grown: list[Lab], board: Any) -> Adopting:
    row = {"id": "usb-1", "convention": "usb", "profile": "makeblock-mbot", "url": "hub:1-1.2"}
    foreign = SimpleNamespace(stranger=lambda _id: row, plugged=lambda _rows: None)

    def grow(lab: Lab, _device: LabDevice) -> None:
        grown.append(lab)

    return Adopting(lab, PortBook(lab, folder), board, cast(ForeignRouter, foreign), grow)


class Answers(Board):
    """Keeps what is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[dict[str, Any]] = []

    def event(self, topic: str, payload: bytes) -> None:
        self.said.append(json.loads(payload))


def test_adopting_takes_nothing_of_what_runs_away(tmp_path: Path) -> None:
    """Somebody has edited the lab file meanwhile: a running kit keeps its place and its name until the next start."""
    lab, grown, board = lab_of(tmp_path, "mbot-1", "mbot-2"), list[Lab](), Answers()
    desk = adopting(lab, tmp_path, grown, board)
    lab_of(tmp_path, "mbot-2")

    def order(name: str) -> dict[str, Any]:
        asked = len(board.said)
        desk.take(json.dumps({"id": "usb-1", "device": name}).encode())
        pause = threading.Event()
        for _ in range(1000):
            desk.tick()
            if len(board.said) > asked:
                return board.said[-1]
            pause.wait(0.02)
        raise AssertionError("no answer")

    assert order("mbot-1")["ok"] is False
    assert grown == []
    assert order("mbot-9")["ok"] is True
    assert [one.id for one in grown[-1].devices] == ["mbot-1", "mbot-2", "mbot-9"]


def test_a_stop_overtakes_a_flood_of_wishes_before_the_router(tmp_path: Path) -> None:
    gateway = Gateway(lab_of(tmp_path, "mbot-1"), NOBODY, tmp_path)
    gateway._describe()
    worker = gateway._worker(gateway.lab.devices[0])
    gateway.workers["mbot-1"] = worker
    first = threading.Event()

    def put(item: Item) -> bool:
        if isinstance(item, StopOrder):
            item.settle("")
            first.set()
        return True

    worker.is_alive = lambda: True  # type: ignore[method-assign]  # it is not started
    worker.mailbox.put = put  # type: ignore[method-assign]
    wish = Message("homie/5/t-lab1-01/wish/drive", b'{"seq": 1, "linear_x": 0.2}', False)
    for _ in range(40_000):
        gateway._heard(wish)
    gateway._heard(Message("zhike/room/lab1/stop", b'{"id": "s-1"}', False))
    assert gateway._turn(), "wishes wait"
    assert first.is_set(), "and the stop does not"


def test_a_gateway_does_not_answer_for_devices_of_another(tmp_path: Path) -> None:
    """With its answer the stop would count as heard, and not be said again to the gateway that was away."""
    gateway, answered = Gateway(lab_of(tmp_path, "mbot-1"), NOBODY, tmp_path), threading.Event()
    gateway._stopped = lambda *_: answered.set()  # type: ignore[method-assign]
    gateway._room_stop("lab1", Message("", b'{"id": "s-1", "devices": ["car-9"]}', False))
    assert not answered.wait(0.5)
    gateway._room_stop("lab1", Message("", b'{"id": "s-2"}', False))
    assert answered.wait(PATIENCE_S)
