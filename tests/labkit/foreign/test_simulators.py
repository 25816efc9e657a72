"""Every foreign profile runs backwards: its simulated board stays in its own topics, is understood, obeys, and dies as it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit import homie
from labkit.boards import space
from labkit.model import Value
from labkit.simulate.foreign_scripts import Said, script
from tests.labkit.foreign.bench import Bench, Hub, board_of

BOARDS: list[tuple[str, str, str, Value]] = [
    ("homie4-board", "mqtt:lamp", "bench-level", 42),
    ("esphome-board", "mqtt:plant-1", "relay", True),
    ("tasmota-board", "mqtt:tasmota_C3D4E5?mac=A0B1C2C3D4E5", "relay", True),
    ("zigbee2mqtt-device", "mqtt:window-1?ieee=0x00158d0001020304", "switch", True),
    ("dfrobot-siot-board", "mqtt:class3-07", "brightness", 42),
]


@pytest.mark.parametrize(("profile", "url", "name", "value"), BOARDS)
def test_a_simulated_board_lives(profile: str, url: str, name: str, value: Value, tmp_path: Path) -> None:
    device = board_of(tmp_path, profile, url)
    bench, own = Bench(device), space(device.profile, device.id, device.url)
    board = script(device.profile, own, 1)

    def tell(messages: list[Said]) -> None:
        for said in messages:
            assert own.tells(said.topic) or own.announces(said.topic), said
            bench.hears(said.topic, said.payload)
        bench.turn()

    tell(board.hello(0.0))
    tell(board.report(30.0))
    assert bench.state == "ready"
    assert bench.refusals == []
    temperature = (
        "air-temperature" if profile == "homie4-board" else "sht3x-temperature" if "mac" in url else "temperature"
    )
    assert isinstance(bench.value(temperature), float)

    item = bench.shown.property("main", name)
    assert item
    bench.set(name, homie.encode(item, value).decode())
    (order,) = bench.sent
    answer = board.obey(order.topic, order.payload.decode())
    # On a topic that both sides use, the broker gives the order back.
    tell(answer or [Said(order.topic, order.payload.decode())])
    assert bench.value(name) == value
    if board.will:
        tell([board.will])
        assert bench.state == "lost"
    else:
        bench.turn(31)
        assert bench.state == "lost"


def test_a_simulated_hub_lives(tmp_path: Path) -> None:
    device = board_of(tmp_path, "homie5-board", "mqtt:?children=leaf-5", "hub-5")
    own = space(device.profile, device.id, device.url)
    board, hub = script(device.profile, own, 1), Hub(device)
    for said in board.hello(0.0):
        assert own.tells(said.topic)
        hub.hears(said.topic, said.payload)
    assert hub.kit.state.value == "ready"
    assert board.obey("homie/5/hub-5/bench/level/set", "42")[-1].payload == "42"
    assert board.obey("homie/5/hub-5/bench/level/set", "142")[-1].payload == "42"
