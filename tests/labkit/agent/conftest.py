"""Brokers and desks of the agent's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labkit.agent.desk import Desk
from tests.labkit.brokers import SERVING, RunningBroker, launch


@pytest.fixture(scope="module", params=SERVING)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """Each broker that a school may have."""
    running = launch(request.param, tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


@pytest.fixture
def desk(broker: RunningBroker, tmp_path: Path) -> Iterator[Desk]:
    """A PC at seat 03; its agent is not started yet."""
    made = Desk(broker, tmp_path)
    yield made
    made.end()
