"""A broker, and labs whose boards are plugged in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.labkit.brokers import KINDS, RunningBroker, launch
from tests.labkit.gateway.rig import Rig
from tests.labkit.identity.bench import Bench


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """The broker that a school has: Mosquitto where it is installed."""
    running = launch(KINDS[-1], tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Simulated boards."""
    table = Bench(tmp_path)
    yield table
    table.close()


@pytest.fixture
def make_lab(broker: RunningBroker, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Labs by their device lines; ended, and their retained topics cleared."""
    rigs: list[Rig] = []

    def make(*devices: str) -> Rig:
        rigs.append(Rig(broker, tmp_path, list(devices)))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.end()
        rig.kit.close()
        rig.console.publish_all(((topic, b"") for topic in {m.topic for m in list(rig.console.messages)}), retain=True)
        rig.console.leave()
        broker.people.remove(rig.console)
