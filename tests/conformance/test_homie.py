"""Devices of others on the broker: a lamp made with the library Homie4, a Homie 5 root with children."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit import homie
from labkit.gateway.foreign_homie5 import boards_topic
from tests.conformance.uno import BUILD
from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, RunningBroker
from tests.labkit.gateway.rig import Rig

HERE = Path(__file__).parent
PYTHON = BUILD / "homie4" / "bin" / "python"
LAMP = '{id: lamp-1, profile: homie4-board, sticker: "31", url: "mqtt:lamp-1"}'
ROOT = '{id: hub-1, profile: homie5-board, sticker: "32", url: "mqtt:hub-1?children=hub-1-a,hub-1-b"}'
LEVEL = "homie/5/lamp-1/main/dimmer-dimmer"
BOARDS = boards_topic("gw-lab1", "hub-1")


@pytest.fixture
def run(broker: RunningBroker) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts devices of others."""
    started: list[subprocess.Popen[str]] = []

    def start(python: str, script: str, device: str) -> subprocess.Popen[str]:
        words = [python, str(HERE / script), str(broker.config.tcp_port), ADMIN, ADMIN_PASSWORD, device]
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait(PATIENCE_S)
        assert one.stdout is not None
        one.stdout.close()


def test_a_foreign_lamp_is_read_set_refused_and_lost(
    make_lab: Callable[..., Rig], run: Callable[..., subprocess.Popen[str]]
) -> None:
    if not PYTHON.exists():
        pytest.skip("没有 Homie4 0.4.0 / no Homie4 0.4.0: make conformance")
    lab = make_lab(LAMP)
    lab.console.subscribe("homie/lamp-1/#")  # cleared away afterwards
    lab.serve()
    lamp = run(str(PYTHON), "homie4_lamp.py", "lamp-1")
    lab.until("homie/5/lamp-1/$state", b"ready")
    lab.until(LEVEL, b"10")

    def level() -> homie.Property | None:
        described = homie.parse_description("lamp-1", lab.last("homie/5/lamp-1/$description") or b"{}")
        return described.property("main", "dimmer-dimmer")

    known = homie.Property("dimmer-dimmer", homie.Datatype.INTEGER, "Dimmer", "%", "0:100", settable=True)
    lab.wait(lambda: level() == known, f"{known} expected")
    lab.console.publish(f"{LEVEL}/set", b"42")
    assert lamp.stdout is not None
    assert float(lamp.stdout.readline()) == 42
    lab.until(LEVEL, b"42")

    lab.console.publish(f"{LEVEL}/set", b"142")
    lab.wait(lambda: bool(lab.value("refused", "lamp-1")), "142 % is not refused")
    lab.console.publish(f"{LEVEL}/set", b"7")
    assert float(lamp.stdout.readline()) == 7, "142 % has reached the lamp"

    lamp.kill()
    lab.until("homie/5/lamp-1/$state", b"lost")
    lab.until("homie/5/lamp-1/main/online", b"false")
    assert lab.last("homie/5/lamp-1/$alert/lost")


def test_children_of_a_killed_root_are_marked(
    make_lab: Callable[..., Rig], run: Callable[..., subprocess.Popen[str]]
) -> None:
    lab = make_lab(ROOT)
    lab.serve()

    def children() -> dict[str, str]:
        found: dict[str, str] = json.loads(lab.last(BOARDS) or b"{}").get("children", {})
        return found

    hub = run(sys.executable, "homie5_root.py", "hub-1")
    lab.wait(lambda: children() == {"hub-1-a": "ready", "hub-1-b": "ready"}, "its children are not seen")
    hub.kill()
    lab.wait(lambda: children() == {"hub-1-a": "lost", "hub-1-b": "lost"}, "its children are not marked")
    assert lab.last("homie/5/hub-1-a/$state") == b"ready", "their own topics are theirs"
    assert lab.last("homie/5/gw-lab1/$alert/hub-1-lost")
    assert lab.last("homie/5/gw-lab1/$alert/hub-1-a-lost")
    run(sys.executable, "homie5_root.py", "hub-1")
    lab.wait(lambda: children() == {"hub-1-a": "ready", "hub-1-b": "ready"}, "its children do not come back")
    lab.until("homie/5/gw-lab1/$alert/hub-1-a-lost", b"")
