"""The notebook's API against simulated robots: it drives, reads, stops at the end of the block, and speaks Chinese."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import labkit
from labkit.api import RobotError, lab
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
    table = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert RobotError.__doc__
    named = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", RobotError.__doc__))
    assert table - {"code"} == named | {"link_down"}


def test_a_bare_import_is_light() -> None:
    script = "import sys, labkit\nassert 'paho' not in ' '.join(sys.modules)\nassert labkit.lab() is not None"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE_S)
    assert callable(labkit.lab)
