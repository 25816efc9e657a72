"""Both brokers, as real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labkit.brokers import KINDS, RunningBroker, launch


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    """A running broker of each kind that this machine has."""
    running = launch(request.param, tmp_path)
    yield running
    running.stop()
