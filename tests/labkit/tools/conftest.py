"""A real broker for the tools' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.labkit.brokers import KINDS, RunningBroker, launch


@pytest.fixture(scope="session", params=KINDS[-1:])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """The broker that a school has: Mosquitto where it is installed."""
    running = launch(request.param, tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()
