"""A real broker for the tools' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labkit.lab import load_lab
from labkit.simulate.room import Room
from tests.labkit.brokers import KINDS, RunningBroker, launch


@pytest.fixture(scope="session", params=KINDS[-1:])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """The broker that a school has: Mosquitto where it is installed."""
    running = launch(request.param, tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


LAB = """name: gw-api
room: lab1
simulate: {terminals: 2}
devices:
  - {id: mbot-7, profile: makeblock-mbot, sticker: "07", url: "sim://pty", simulate: {seed: 7, start: [0.6, 0.4, 0.0]}}
  - {id: car-8, profile: zhike-mqtt-car, sticker: "08", url: "mqtt:", simulate: {seed: 8}}
"""


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Two robots and two terminals."""
    folder = tmp_path_factory.mktemp("room")
    (folder / "lab.yaml").write_text(LAB)
    with Room(load_lab(folder / "lab.yaml"), folder / "run") as one:
        one.wait_ready(60)
        yield one
