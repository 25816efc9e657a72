"""The notebook's API against simulated robots: it drives, reads, stops at the end of the block, and speaks Chinese."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

import labkit
from labkit.api import Robot, RobotError, lab
from labkit.cli import main
from labkit.commands.console import Console
from labkit.errors import LinkDown
from labkit.simulate.room import Room
from tests.effort import PATIENCE_S

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "python-api.md"


@pytest.fixture
def here(room: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    """The room as a notebook finds it: by the environment."""
    monkeypatch.setenv("LABKIT_BROKER", room.doors.url)
    monkeypatch.setenv("LABKIT_USERNAME", room.doors.address.username)
    monkeypatch.setenv("LABKIT_PASSWORD", room.doors.address.password)
    return room


def motion(room: Room, device: str) -> list[tuple[float, float]]:
    """Wheel speeds that the robot went through."""
    lines = (room.folder / "sim" / f"{device}.jsonl").read_text().splitlines()
    return [(row["left"], row["right"]) for row in map(json.loads, lines)]


def until(fits: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Wait for something outside."""
    pause, end = threading.Event(), time.monotonic() + timeout_s
    while not fits():
        assert time.monotonic() < end
        pause.wait(0.02)


@pytest.mark.parametrize(("name", "device"), [("07", "mbot-7"), (8, "car-8"), ("car-8", "car-8")])
def test_a_robot_drives_and_stands_after_its_block(here: Room, name: str | int, device: str) -> None:
    before = len(motion(here, device))
    with lab() as one, one.robot(name) as r:
        assert (r.id, r.state) == (device, "ready")
        r.drive(0.2)
        until(lambda: motion(here, device)[-1][0] > 0)
        assert 0 <= float(str(r.read("range"))) <= 400
    speeds = motion(here, device)[before:]
    assert any(left > 0.1 and right > 0.1 for left, right in speeds)
    assert speeds[-1] == (0, 0), "the block was left, and it still drives"


def test_a_drive_goes_on_longer_than_a_lease(here: Room) -> None:
    before = len(motion(here, "car-8"))
    with lab() as one, one.robot("08") as r:
        r.drive(0.05, 1.0)
        r.wait(1.5)
        assert motion(here, "car-8")[-1][0] != 0
        assert len([speed for speed in motion(here, "car-8")[before:] if speed == (0, 0)]) == 0
    assert motion(here, "car-8")[-1] == (0, 0)


def test_a_block_left_by_an_error_stops_the_robot(here: Room) -> None:
    def fail() -> None:
        with lab() as one, one.robot("07") as r:
            r.drive(0.2)
            until(lambda: motion(here, "mbot-7")[-1][0] > 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert motion(here, "mbot-7")[-1] == (0, 0)


def test_a_killed_notebook_leaves_a_standing_robot(here: Room) -> None:
    script = "import labkit, threading\nwith labkit.lab() as l, l.robot('07') as r:\n r.drive(0.2)\n threading.Event().wait(30)"
    notebook = subprocess.Popen([sys.executable, "-c", script])
    until(lambda: motion(here, "mbot-7")[-1][0] > 0)
    notebook.kill()
    notebook.wait(PATIENCE_S)
    until(lambda: motion(here, "mbot-7")[-1] == (0, 0))


@contextlib.contextmanager
def shouting(room: Room, devices: tuple[str, ...]) -> Iterator[Console]:
    """A client that knows nothing of stops and writes speeds to ``/set`` five times a second."""
    ended = threading.Event()
    with Console(room.doors.address) as console:

        def shout() -> None:
            while not ended.wait(0.2):
                for device in devices:
                    console.set(device, "linear-x", "0.2")
                    console.set(device, "angular-z", "0.0")

        thread = threading.Thread(target=shout)
        thread.start()
        try:
            yield console
        finally:
            ended.set()
            thread.join()


def stop_room(console: Console) -> dict[str, list[str]]:
    """The red button; returns the report."""
    console.broker.subscribe("zhike/room/lab1/stopped")
    console.broker.flush(PATIENCE_S)
    order = {"id": uuid.uuid4().hex, "by": "teacher", "at": "now"}
    console.broker.publish("zhike/room/lab1/stop", json.dumps(order).encode(), retain=False)
    report = console.wait_for(lambda m: m.topic.endswith("/stopped") and order["id"].encode() in m.payload, PATIENCE_S)
    assert report
    return cast(dict[str, list[str]], json.loads(report.payload))


def test_an_emergency_stop_ends_the_program(here: Room) -> None:
    devices = ("mbot-7", "car-8")
    before: list[int] = []

    def program(mbot: Robot, car: Robot, console: Console) -> None:
        with mbot, car:
            mbot.drive(0.2)
            car.drive(0.2)
            until(lambda: all(motion(here, device)[-1][0] > 0 for device in devices))
            before.extend(len(motion(here, device)) for device in devices)
            assert sorted(stop_room(console)["confirmed"]) == sorted(devices)
            with pytest.raises(RobotError, match="老师按了急停，07 号已停"):
                mbot.drive(0.1)
            car.wait(PATIENCE_S)

    with lab() as one, Console(here.doors.address) as console:
        mbot, began = one.robot("07"), time.monotonic()
        with pytest.raises(RobotError, match="08 号已停") as caught:
            program(mbot, one.robot("08"), console)
        assert (caught.value.code, time.monotonic() - began < PATIENCE_S / 2) == ("stopped", True)
        after = [motion(here, device)[count:] for device, count in zip(devices, before, strict=True)]
        assert [speed for moved in after for speed in moved if any(speed)] == []
        let_go()
        with mbot:
            mbot.drive(0.1)
            until(lambda: motion(here, "mbot-7")[-1][0] > 0)


def let_go() -> None:
    """Nobody steers for longer than a hold lasts."""
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 0.7)


def test_an_emergency_stop_holds_clients_that_do_not_listen(here: Room) -> None:
    devices = ("mbot-7", "car-8")
    with shouting(here, devices) as console:
        console.broker.subscribe("homie/5/mbot-7/main/refused")
        until(lambda: all(motion(here, device)[-1][0] > 0 for device in devices))
        before = [len(motion(here, device)) for device in devices]
        assert sorted(stop_room(console)["confirmed"]) == sorted(devices)
        refused = console.wait_for(lambda m: m.topic.endswith("/refused"), PATIENCE_S)
        assert refused
        assert json.loads(refused.payload)["code"] == "held"
        # The board takes orders without asking; each one is answered by a stop, and nothing else moves it.
        until(lambda: len(motion(here, "car-8")) >= before[1] + 7)
    mbot, car = (motion(here, device)[count:] for device, count in zip(devices, before, strict=True))
    assert [speed for speed in mbot if any(speed)] == []
    assert car[-1] == (0, 0)
    assert all(not any(later) for speed, later in itertools.pairwise(car) if any(speed)), "it was left driving"
    until(lambda: motion(here, "car-8")[-1] == (0, 0))
    let_go()
    with lab() as one:
        for device in devices:
            with one.robot(device) as r:
                r.drive(0.1)
                until(lambda name=device: motion(here, name)[-1][0] > 0)  # type: ignore[misc]  # a lambda's defaults have no types


def test_a_leased_robot_is_driven_by_its_seat_only_and_within_the_lease(here: Room) -> None:
    lease = {"device": "car-8", "holder": "t-lab1-77", "until": (datetime.now(UTC) + timedelta(minutes=5)).isoformat()}
    lease |= {"max_linear": 0.1, "max_angular": 1.0}  # type: ignore[dict-item]  # a JSON object
    topic = "zhike/room/lab1/lease/car-8"
    with Console(here.doors.address) as console:
        console.broker.publish(topic, json.dumps(lease).encode())
        console.broker.flush(PATIENCE_S)
        try:
            with lab() as one, pytest.raises(RobotError, match="分给了 t-lab1-77") as caught, one.robot("08") as r:
                r.drive(0.2, seconds=5)
            assert caught.value.code == "held-by"
            before = len(motion(here, "car-8"))
            with lab(seat="t-lab1-77") as one, one.robot("08") as r:
                r.drive(0.4)
                until(lambda: any(motion(here, "car-8")[-1]))
            assert max(left for left, _ in motion(here, "car-8")[before:]) == pytest.approx(0.1)
        finally:
            console.broker.publish(topic, b"")
            console.broker.flush(PATIENCE_S)


def test_the_commands_drive_and_stop_a_board_of_its_own(here: Room) -> None:
    address = here.doors.address
    env = {"LABKIT_BROKER": here.doors.url, "LABKIT_USERNAME": address.username, "LABKIT_PASSWORD": address.password}

    def labkit(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, words, env=env)
        return done.exit_code, done.output

    before = len(motion(here, "car-8"))
    assert labkit("drive", "car-8", "--linear", "0.2", "--seconds", "0.4") == (0, "car-8：已停，已确认\n")
    assert any(speed == (0.2, 0.2) for speed in motion(here, "car-8")[before:])
    assert labkit("stop", "car-8", "07") == (0, "car-8：已停，已确认\n07：已停，已确认\n")


def test_mistakes_are_told_in_chinese(here: Room) -> None:
    def code(act: Callable[[], object]) -> tuple[str, str]:
        with pytest.raises(RobotError) as caught:
            act()
        return caught.value.code, caught.value.zh

    with lab() as one:
        assert one.robots == ["07", "08"]
        assert code(lambda: one.robot("99")) == ("no_robot", "没有 99 号小车；有：07、08")
        robot = one.robot(7)
        assert code(lambda: robot.drive(0.1))[0] == "not_in_block"
        with robot as r:
            assert code(lambda: r.drive(9)) == ("too_fast", "速度应在 -0.4 到 0.4 米/秒之间，不是 9")
            assert code(lambda: r.drive(float("nan")))[0] == "too_fast"
            assert code(lambda: r.drive("快"))[0] == "wrong_value"  # type: ignore[arg-type]  # what a student writes
            assert code(lambda: r.read("colour"))[0] == "no_property"
            assert code(lambda: r.drive(0.1, seconds=99))[0] == "wrong_value"
            assert code(lambda: r.set("range", 3))[0] == "wrong_value"


def test_no_broker_is_told() -> None:
    with pytest.raises(LinkDown, match="连不上 MQTT 代理"), lab("mqtt://127.0.0.1:1"):
        pytest.fail("there is no broker")


def test_the_page_runs_as_it_stands(here: Room) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    names: dict[str, object] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    for expected in ("前方", "小车： ['07', '08']", "no_robot 没有 99 号小车", "too_fast 速度应在"):
        assert expected in said.getvalue(), said.getvalue()
    assert motion(here, "mbot-7")[-1] == (0, 0)


def test_the_page_names_every_error() -> None:
    table = set(re.findall(r"^\| `([\w-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert RobotError.__doc__
    named = set(re.findall(r"[a-z_-]+", RobotError.__doc__.partition("``code`` is ")[2].partition(" another")[0])) - {
        "or"
    }
    assert table - {"code"} == named | {"link_down"}


def test_a_bare_import_is_light() -> None:
    script = "import sys, labkit\nassert 'paho' not in ' '.join(sys.modules)\nassert labkit.lab() is not None"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE_S)
    assert callable(labkit.lab)
