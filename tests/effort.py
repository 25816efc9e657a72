"""How hard the tests try: how long they wait, how many cases they make up, which of them get a second try."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ALL = bool(os.environ.get("ZHIKE_TEST_ALL"))
# A wait ends as soon as what it waits for is there; a loaded machine must not end it earlier.
PATIENCE_S = 60.0
# What takes half a second, on such a machine. How fast it really is, the benches measure (tests/bench).
SOON_S = 3.0
# Processes, browsers and clocks that really run: what another program does to the machine must not refuse a change.
REAL_TIME = re.compile(
    r"tests/(chaos|conformance|e2e|labs|wheel)/|tests/labkit/(agent|broker|foreign|gateway|identity|net|ownkit|repl|simulate|tools|vision)/"
    r"|/test_(guard|supervisor|instance|server|group_commit|browser|pages|\w+_browser)\.py"
)

# `make test` makes up the same cases every time and `make test-all` new ones; how long they take is no matter of theirs.
settings.register_profile(
    "zhike",
    derandomize=not ALL,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("zhike")


def examples(count: int) -> int:
    """``count`` made-up cases in ``make test-all``, a third of them in ``make test``."""
    return count if ALL else count // 3


def second_try(item: Any) -> None:
    """A test that depends on the machine may fail once; the summary then says RERUN. What hypothesis found stays found."""
    if REAL_TIME.search(item.nodeid) and not getattr(item.obj, "is_hypothesis_test", False):
        item.add_marker(pytest.mark.flaky(reruns=1))
