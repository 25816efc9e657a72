"""Labs whose kits are real things: real firmware in a simulator of its chip, foreign devices, a streaming camera."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.labkit.brokers import KINDS, RunningBroker, launch
from tests.labkit.gateway.rig import Rig


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """The broker that a school has: Mosquitto where it is installed."""
    running = launch(KINDS[-1], tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def open_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A broker that boards on another network can reach."""
    running = launch(KINDS[-1], tmp_path_factory.mktemp("open-broker"))
    running.process.terminate()
    running.process.wait(10)
    settings = json.loads(running.config_file.read_text()) | {"tcp_host": "0.0.0.0"}
    running.config_file.write_text(json.dumps(settings))
    running.restart()
    yield running
    running.stop()


@pytest.fixture
def make_lab(broker: RunningBroker, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Makes a lab of the given devices (lines of a lab file), ends it and clears its retained topics afterwards."""
    labs: list[Rig] = []

    def make(*devices: str, broker: RunningBroker = broker) -> Rig:
        labs.append(Rig(broker, tmp_path, list(devices)))
        return labs[-1]

    yield make
    for lab in labs:
        lab.end()
        lab.kit.close()
        lab.console.publish_all(((topic, b"") for topic in {m.topic for m in list(lab.console.messages)}), retain=True)
        lab.console.leave()
        lab.broker.people.remove(lab.console)
