"""`labkit simulate --room`: the whole example room, and what its terminals and its arena do."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labkit.broker import wait_ready
from labkit.commands.console import Console
from labkit.commands.simulate import EXAMPLE
from labkit.errors import LabkitError
from labkit.homie import parse_description
from labkit.lab import load_lab
from labkit.links import BrokerAddress
from labkit.simulate import physics
from labkit.simulate.physics import Pose
from labkit.simulate.room import Room
from labkit.simulate.terminals import describe, terminal_ids
from tests.effort import PATIENCE_S


def test_forty_terminals_and_twenty_robots_come_up(tmp_path: Path) -> None:
    words = ["simulate", "--room", "example", "--run-dir", str(tmp_path), "--drive", "--json"]
    command = subprocess.Popen([sys.executable, "-m", "labkit.cli", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert command.stdout
        told = json.loads(command.stdout.readline())
        assert (told["robots"], told["terminals"]) == (20, 40)
        address = BrokerAddress.parse(told["broker"], told["username"], told["password"])
        beats, driven = set(), set()
        with Console(address) as console:
            console.broker.subscribe("homie/5/+/terminal/heartbeat")
            console.broker.subscribe("homie/5/+/main/moving")
            end = time.monotonic() + 30
            while (len(beats), len(driven)) != (40, 20) and time.monotonic() < end:
                for message in console.hear(0.5):
                    (beats if "heartbeat" in message.topic else driven).add(message.topic.split("/")[2])
        assert beats == set(terminal_ids("lab1", 40))
        assert len(driven) == 20
    finally:
        command.send_signal(signal.SIGINT)
        assert command.wait(PATIENCE_S) == 0
        assert command.stdout
        command.stdout.close()
    for log in tmp_path.glob("sim/*.jsonl"):
        last = json.loads(log.read_text().splitlines()[-1])
        assert (last["left"], last["right"]) == (0, 0), f"{log.name} still drives"


def test_a_room_in_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab.yaml").write_text("name: gw-x\nroom: r\ndevices: []\n")
    monkeypatch.chdir(tmp_path)
    with Room(load_lab(Path("lab.yaml")), Path("run"), processes=()) as room:
        room.check()
    assert (tmp_path / "run" / "broker" / "broker.json").is_file()


def test_a_broker_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab.yaml").write_text("name: gw-x\nroom: r\ndevices: []\n")
    monkeypatch.setattr("labkit.simulate.room.wait_ready", lambda config: wait_ready(config, 1.0))
    monkeypatch.setattr("labkit.simulate.room.secrets.token_urlsafe", lambda _: "")
    room = Room(load_lab(tmp_path / "lab.yaml"), tmp_path / "run", processes=())
    with pytest.raises(LabkitError) as caught, room:
        pass
    assert "broker" in caught.value.zh and "password" in caught.value.zh


def test_a_terminal_is_a_homie_device() -> None:
    device = parse_description("t-lab1-01", json.dumps({"homie": "5.0", "version": 1}).encode())
    assert device.root is None
    own = describe("t-lab1-01")
    assert {node.id for node in own.nodes} == {"terminal", "wish"}
    drive = own.property("wish", "drive")
    assert drive and not drive.retained


def test_the_example_arena_has_walls_line_and_light() -> None:
    arena = physics.read_arena(load_lab(EXAMPLE).arena)
    assert physics.range_cm(arena, Pose(4.62, 1.0, 0.0)) == pytest.approx(10.0)
    assert physics.range_cm(arena, Pose(1.92, 1.55, 0.0)) == pytest.approx(20.0), "the box is an obstacle"
    on_line = Pose(2.0 - physics.LINE_SENSOR_AHEAD_M, 0.8, 0.0)
    assert physics.line_bits(arena, on_line) == (False, False)
    assert physics.line_bits(arena, Pose(2.0, 0.5, 0.0)) == (True, True)
    assert physics.light(arena, Pose(0.3, 2.9, 0)) > 900 > 300 > physics.light(arena, Pose(4.5, 0.3, 0))
    pose, held = physics.drive(arena, Pose(4.5, 1.0, 0.0), 0.3, 0.3, 0.12, 2.0)
    assert held and pose.x == pytest.approx(4.8 - physics.ROBOT_RADIUS_M, abs=0.02)


@pytest.mark.parametrize(
    ("arena", "where"),
    [
        ("{size: [4]}", "size"), ("{size: [4, 900]}", "size"), ("{boxes: [[1, 2, 3]]}", "boxes"), ("{lamps: [[1, 2, -3]]}", "lamps"),
        ("{gravity: 9.81}", "gravity"), ("{size: [1, 1], boxes: [[0, 0, 1, 1]]}", "太满"),
    ],
)  # fmt: skip
def test_a_wrong_arena_names_its_line(tmp_path: Path, arena: str, where: str) -> None:
    (tmp_path / "lab.yaml").write_text(f"name: gw-a\nroom: a\nsimulate:\n  arena: {arena}\ndevices: []\n")
    done = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "check", str(tmp_path / "lab.yaml"), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    faults = json.loads(done.stdout)["faults"]
    assert done.returncode == 1 and faults[0]["line"] == 4 and where in faults[0]["en"] + faults[0]["zh"]


def test_an_arena_may_be_left_out_or_small() -> None:
    small = physics.read_arena({"size": [0.5, 0.5]})
    place = physics.free_pose(small, 1)
    assert physics.fits(small, place.x, place.y)
    assert math.isclose(max(wall.bx for wall in physics.read_arena({}).walls), 2.4)
