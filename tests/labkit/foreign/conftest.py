"""A broker with rights, boards of other makers with credentials of their own, and the gateway's process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.labkit.brokers import SERVING, RunningBroker, launch
from tests.labkit.foreign.rig import ForeignRig


@pytest.fixture(scope="package", params=SERVING)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """The broker that a school has: Mosquitto where it is installed."""
    running = launch(request.param, tmp_path_factory.mktemp("foreign-broker"))
    yield running
    running.stop()


@pytest.fixture
def make_rig(broker: RunningBroker, tmp_path: Path) -> Iterator[Callable[..., ForeignRig]]:
    """Labs of this test; ended, and their retained topics cleared, afterwards."""
    rigs: list[ForeignRig] = []

    def make(*devices: str) -> ForeignRig:
        rigs.append(ForeignRig(broker, tmp_path, devices))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.end()
