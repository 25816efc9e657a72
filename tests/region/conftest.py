"""A school and an office, each with its own database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lms.core import clock
from tests.region.places import Place, county, school


@pytest.fixture
def here(tmp_path: Path, database_url: str, fixed_clock: clock.FixedClock) -> Iterator[Place]:
    """The county's office."""
    made = county(tmp_path / "county", database_url)
    yield made
    made.close()


@pytest.fixture
def below(tmp_path: Path, migrated: str, fixed_clock: clock.FixedClock) -> Iterator[Place]:
    """A school."""
    made = school(tmp_path / "school", migrated)
    yield made
    made.close()
