"""The simulated MQTT car at real brokers: Homie 5, its deadman, its last will, and its return after the broker died."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit import homie
from labkit.broker import BrokerAdmin, ClientSpec, RoleSpec
from tests.labkit.brokers import SERVING, Person, RunningBroker, launch
from tests.labkit.simulate.conftest import Start
from tests.labkit.simulate.labs import Simulation, drives, mqtt_car, stands

PASSWORD = "a-generated-board-password"
BASE = "homie/5/car-1"


@pytest.fixture(params=SERVING)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    running = launch(request.param, tmp_path)
    yield running
    running.stop()


def board_role(device: str) -> RoleSpec:
    wishes = f"homie/5/{device}/main/+/set"
    return RoleSpec(device, (f"homie/5/{device}/#",), (wishes,), (wishes,))


@pytest.fixture
def drive_in(
    broker: RunningBroker, simulate: Start, tmp_path: Path
) -> Callable[..., tuple[Simulation, Person, BrokerAdmin]]:
    """Provisions car-1, starts it, and waits until it is ready."""

    def start(**settings: object) -> tuple[Simulation, Person, BrokerAdmin]:
        bridge, admin = broker.admin()
        admin.put_many([board_role("car-1")], [ClientSpec("car-1", PASSWORD, ("car-1",))])
        bridge.subscribe("homie/5/#")
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "boards.json").write_text(json.dumps({"car-1": PASSWORD}))
        car = simulate(
            mqtt_car("car-1", **settings), arguments=("--broker", f"mqtt://127.0.0.1:{broker.config.tcp_port}")
        )
        wait_state(bridge, "ready")
        return car, bridge, admin

    return start


def wait_state(bridge: Person, state: str, since: int = 0) -> None:
    bridge.wait(
        lambda: any(m.topic == f"{BASE}/$state" and m.payload == state.encode() for m in bridge.messages[since:]),
        f"car-1 is not {state}",
        20,
    )


def last(bridge: Person, name: str) -> bytes:
    return bytes(bridge.expect(f"{BASE}/main/{name}").payload)


def wait_value(bridge: Person, name: str, payload: bytes, since: int = 0) -> None:
    bridge.wait(
        lambda: any(m.topic == f"{BASE}/main/{name}" and m.payload == payload for m in bridge.messages[since:]),
        f"{name} does not become {payload!r}",
    )


def test_it_describes_itself_drives_and_stops_by_itself(
    drive_in: Callable[..., tuple[Simulation, Person, BrokerAdmin]],
) -> None:
    car, bridge, _ = drive_in()
    device = homie.parse_description("car-1", bytes(bridge.expect(f"{BASE}/$description").payload))
    (node,) = device.nodes
    assert {item.id for item in node.properties if item.settable} == {"linear-x", "angular-z", "stop", "identify"}
    for item in node.properties:
        if item.retained:
            homie.decode(item, last(bridge, item.id))
    since = len(bridge.messages)
    bridge.publish(f"{BASE}/main/linear-x/set", "0.2", qos=0)
    on = car.wait_motors("car-1", drives)
    assert (on["left"], on["right"]) == (0.2, 0.2)
    off = car.wait_motors("car-1", stands, since=2)
    assert off["why"] == "deadman"
    assert 0.45 <= off["at"] - on["at"] <= 0.65
    wait_value(bridge, "moving", b"true", since)
    wait_value(bridge, "moving", b"false", since)
    assert float(last(bridge, "linear-x")) == 0


def test_repeated_wishes_keep_it_going_and_stop_is_confirmed_every_time(
    drive_in: Callable[..., tuple[Simulation, Person, BrokerAdmin]],
) -> None:
    car, bridge, _ = drive_in()
    for _ in range(6):
        since = len(bridge.messages)
        bridge.publish(f"{BASE}/main/angular-z/set", "1.0", qos=0)
        wait_value(bridge, "angular-z", b"1.0", since)
    assert drives(car.motors("car-1")[-1])
    assert car.motors("car-1")[-1]["left"] < 0 < car.motors("car-1")[-1]["right"]
    for _ in range(2):
        since = len(bridge.messages)
        bridge.publish(f"{BASE}/main/stop/set", "stop", qos=0)
        wait_value(bridge, "linear-x", b"0.0", since)
        wait_value(bridge, "moving", b"false", since)
    assert stands(car.motors("car-1")[-1])


def test_a_senseless_wish_moves_nothing(drive_in: Callable[..., tuple[Simulation, Person, BrokerAdmin]]) -> None:
    car, bridge, _ = drive_in()
    for payload in (b"9", b"nan", b"", b"\xff", b"0,2", b"[1]", b"1e400"):
        bridge.publish(f"{BASE}/main/linear-x/set", payload)
    bridge.publish(f"{BASE}/main/range/set", "3")
    since = len(bridge.messages)
    bridge.publish(f"{BASE}/main/stop/set", "stop")
    wait_value(bridge, "moving", b"false", since)
    assert all(stands(change) for change in car.motors("car-1"))
    assert car.process.poll() is None


def test_it_stops_by_itself_when_the_broker_dies_and_is_back_with_everything(
    broker: RunningBroker, drive_in: Callable[..., tuple[Simulation, Person, BrokerAdmin]]
) -> None:
    car, bridge, _ = drive_in()
    bridge.publish(f"{BASE}/main/linear-x/set", "0.1")
    on = car.wait_motors("car-1", drives)
    broker.kill()
    off = car.wait_motors("car-1", stands, since=2)
    assert off["at"] - on["at"] <= 0.65
    broker.restart()
    fresh = broker.person("bridge", "a-generated-admin-password", client_id="fresh")
    fresh.subscribe("homie/5/#")
    wait_state(fresh, "ready")
    for name in ("linear-x", "angular-z", "moving", "range", "battery"):
        fresh.expect(f"{BASE}/main/{name}")
    fresh.expect(f"{BASE}/$description")
    assert car.process.poll() is None


def test_killed_it_is_lost_and_ended_it_is_disconnected(
    drive_in: Callable[..., tuple[Simulation, Person, BrokerAdmin]], simulate: Start
) -> None:
    car, bridge, _ = drive_in()
    car.process.kill()
    wait_state(bridge, "lost")
    since = len(bridge.messages)
    again = simulate(mqtt_car(), arguments=("--broker", f"mqtt://127.0.0.1:{bridge.client.port}"))
    wait_state(bridge, "ready", since)
    assert again.end() == 0
    wait_state(bridge, "disconnected", since)


def test_refused_it_asks_for_its_new_password(
    drive_in: Callable[..., tuple[Simulation, Person, BrokerAdmin]], tmp_path: Path
) -> None:
    _, bridge, admin = drive_in()
    since = len(bridge.messages)
    admin.put_client("car-1", "renewed-board-password", ["car-1"])
    (tmp_path / "run" / "boards.json").write_text(json.dumps({"car-1": {"password": "renewed-board-password"}}))
    wait_state(bridge, "ready", since)


def test_a_board_without_deadman_and_one_that_answers_nothing(
    drive_in: Callable[..., tuple[Simulation, Person, BrokerAdmin]],
) -> None:
    car, bridge, _ = drive_in(faults={"deadman_ms": 0, "deaf": True})
    bridge.publish(f"{BASE}/main/linear-x/set", "0.05")
    car.wait_motors("car-1", drives)
    since = len(bridge.messages)
    bridge.publish(f"{BASE}/main/stop/set", "stop")
    car.wait_motors("car-1", stands, since=2)
    assert not [m for m in bridge.messages[since:] if m.topic == f"{BASE}/main/moving"]


def test_a_brown_out_stops_it_and_takes_it_off_the_air_for_a_while(
    drive_in: Callable[..., tuple[Simulation, Person, BrokerAdmin]],
) -> None:
    car, bridge, _ = drive_in(faults={"brown_out_s": 0.05, "deadman_ms": 0})
    since = len(bridge.messages)
    bridge.publish(f"{BASE}/main/linear-x/set", "0.1")
    off = car.wait_motors("car-1", stands, since=2)
    assert off["why"] == "brown-out"
    wait_state(bridge, "lost", since)
    wait_state(bridge, "ready", since)
    assert car.process.poll() is None
