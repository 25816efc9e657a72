"""The new serial kits behind a whole gateway: simulators as a process, a broker, a room stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.labkit.gateway.rig import Rig
from tests.labkit.simulate.labs import Simulation, drives, stands

KITS = {
    "bit-1": "microbit-car",
    "esp-1": "esp32-micropython-car",
    "handpy-1": "mpython-handpy",
    "orion-1": "makeblock-orion",
    "arm-1": "arduino-firmata-arm",
    "husky-1": "dfrobot-huskylens",
}
CARS = [name for name in KITS if name not in ("arm-1", "husky-1")]


@pytest.fixture
def room(make_rig: Callable[..., Rig], tmp_path: Path) -> Iterator[tuple[Rig, Simulation]]:
    """A rig with every kit, simulated and ready."""
    rows = [
        f'{{id: {name}, profile: {profile}, sticker: "{number}", url: "sim://pty"}}'
        for number, (name, profile) in enumerate(KITS.items(), 20)
    ]
    rig = make_rig(*rows)
    file = tmp_path / "simulated.yaml"
    file.write_text("name: gw-lab1\nroom: lab1\ndevices:\n" + "".join(f"  - {row}\n" for row in rows))
    simulation = Simulation(file, tmp_path)
    for name in KITS:
        simulation.port(name)
    rig.serve()
    for name in KITS:
        rig.until(f"homie/5/{name}/$state", b"ready")
    yield rig, simulation
    simulation.end()


def test_every_new_kit_drives_or_tells_and_the_room_stop_confirms_all(room: tuple[Rig, Simulation]) -> None:
    rig, simulation = room
    for name in CARS:
        since = len(simulation.motors(name))
        rig.lease(device=name)
        rig.wish(device=name, linear_x=0.2, ms=500)
        simulation.wait_motors(name, drives, since)
    rig.console.publish("homie/5/arm-1/main/base/set", b"150")
    rig.until("homie/5/arm-1/main/moving", b"true")
    report = rig.room_stop()
    assert sorted(report["confirmed"]) == sorted(["mbot-1", "arm-1", *CARS])
    assert report["unconfirmed"] == []
    for name in CARS:
        assert stands(simulation.motors(name)[-1])


def test_the_camera_takes_its_algorithm_and_the_arm_refuses_to_drive(room: tuple[Rig, Simulation]) -> None:
    rig, _ = room
    rig.console.publish("homie/5/husky-1/main/algorithm/set", b"line-tracking")
    rig.wait(lambda: bool(json.loads(rig.value("objects", "husky-1") or b"{}").get("arrows")), "no arrow")
    rig.console.publish("homie/5/arm-1/main/linear-x/set", b"0.2")
    rig.console.publish("homie/5/husky-1/main/stop/set", b"stop")
    rig.console.publish("homie/5/arm-1/main/gripper/set", b"100")
    rig.until("homie/5/arm-1/main/gripper", b"100")
    assert rig.value("linear-x", "arm-1") is None
