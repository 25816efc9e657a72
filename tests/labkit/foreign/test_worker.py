"""The worker of a bridged board: silence, pace, stops, descriptions that change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labkit import homie
from labkit.gateway.mailbox import EndOrder, SetOrder, StopOrder
from labkit.model import Datatype, Property
from labkit.profiles import load_profiles
from tests.labkit.foreign.bench import Bench, board_of

SWITCH = {"name": "Pump", "stat_t": "plant-1/switch/pump/state", "cmd_t": "plant-1/switch/pump/command"}


@pytest.fixture
def plant(tmp_path: Path) -> Bench:
    """An ESPHome board with a pump that runs."""
    bench = Bench(board_of(tmp_path, "esphome-board", "mqtt:plant-1"))
    bench.hears("homeassistant/switch/plant-1/pump/config", json.dumps(SWITCH), retained=True)
    bench.hears("plant-1/switch/pump/state", "ON")
    bench.turn()
    assert (bench.state, bench.value("pump")) == ("ready", True)
    return bench


def test_a_stop_switches_off_and_waits_for_the_boards_own_word(plant: Bench) -> None:
    order = StopOrder("room")
    plant.kit.handle(order)
    assert [(m.topic, m.payload) for m in plant.sent] == [("plant-1/switch/pump/command", b"OFF")]
    plant.turn(0.4)
    assert len(plant.sent) == 2, "it is said again"
    assert not order.done.is_set()
    plant.hears("plant-1/switch/pump/state", "OFF")
    plant.turn(0.1)
    plant.turn(0.1)
    assert (order.done.is_set(), order.failure) == (True, "")


def test_a_stop_that_the_board_does_not_confirm_is_no_stop(plant: Bench) -> None:
    order = StopOrder("room")
    plant.kit.handle(order)
    plant.hears("plant-1/switch/pump/state", "ON")
    plant.turn(1.6)
    assert (order.done.is_set(), order.failure) == (True, "no_answer")


def test_a_stop_throws_away_what_waits(plant: Bench) -> None:
    plant.set("pump", "true")
    plant.kit._waiting["pump"] = True
    plant.sent.clear()
    plant.kit.handle(StopOrder("room"))
    plant.turn()
    assert {m.payload for m in plant.sent} == {b"OFF"}


def test_the_gateways_end_switches_off(plant: Bench) -> None:
    plant.kit.mailbox.put(EndOrder())
    plant.kit.end()
    assert [m.payload for m in plant.sent] == [b"OFF"]
    assert plant.state == "disconnected"


def test_a_flood_of_orders_is_thinned_and_the_last_one_wins(tmp_path: Path) -> None:
    bench = Bench(board_of(tmp_path, "dfrobot-siot-board", "mqtt:class3-07"))
    bench.hears("class3-07/temperature", "20")
    bench.turn()
    for level in range(100):
        bench.kit.handle(SetOrder("brightness", str(level).encode()))
    bench.turn()
    assert [m.payload for m in bench.sent] == [b"99"]


def test_silence_is_loss_and_a_word_is_return(tmp_path: Path) -> None:
    bench = Bench(board_of(tmp_path, "dfrobot-siot-board", "mqtt:class3-07"))
    bench.hears("class3-07/temperature", "20")
    bench.turn()
    assert bench.state == "ready"
    bench.turn(29)
    assert bench.state == "ready"
    bench.turn(2)
    assert (bench.state, bench.value("online")) == ("lost", False)
    bench.set("led", "true")
    assert (bench.sent, bench.refusals[-1]["code"]) == ([], "lost")
    bench.hears("class3-07/temperature", "21")
    bench.turn()
    assert (bench.state, bench.value("temperature")) == ("ready", 21.0)


def test_a_board_that_was_never_seen_is_lost(tmp_path: Path) -> None:
    bench = Bench(board_of(tmp_path, "homie4-board", "mqtt:lamp"))
    bench.turn(5)
    assert bench.state == "init"
    bench.turn(2)
    assert bench.state == "lost"
    assert "没有接上电".encode() in bench.wall.kept[homie.alert_topic("kit-1", "lost")]


def test_what_a_board_no_longer_has_is_taken_away(plant: Bench) -> None:
    plant.hears("homeassistant/switch/plant-1/pump/config", "")
    plant.turn()
    assert plant.shown.property("main", "pump") is None
    assert homie.value_topic("kit-1", "pump") not in plant.wall.kept
    plant.sent.clear()
    plant.set("pump", "true")
    assert (plant.sent, plant.refusals[-1]["code"]) == ([], "not_settable")


def test_the_profile_narrows_what_the_board_says(tmp_path: Path) -> None:
    bench = Bench(board_of(tmp_path, "esphome-board", "mqtt:plant-1"))
    sensor = {"unit_of_meas": "°C", "stat_t": "plant-1/t"}
    bench.hears("homeassistant/sensor/plant-1/temperature/config", json.dumps(sensor))
    bench.hears("plant-1/t", "900")
    bench.turn()
    item = bench.shown.property("main", "temperature")
    assert item == Property("temperature", Datatype.FLOAT, "温度", "°C", "-40:125")
    assert bench.value("temperature") is None


def test_nothing_can_be_set_before_the_board_has_described_itself(tmp_path: Path) -> None:
    bench = Bench(board_of(tmp_path, "esphome-board", "mqtt:plant-1"))
    bench.set("relay", "true")
    assert (bench.sent, bench.refusals[-1]["code"]) == ([], "not_settable")


def test_no_profile_of_a_foreign_board_drives() -> None:
    assert {p.kind.value for p in load_profiles().values() if p.foreign} == {"sensor"}
