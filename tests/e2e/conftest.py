"""A running school for each kind of broker, and Chromium that trusts the school's authority and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from lms.core.db import db
from lms.instance import Instance
from tests.e2e.lab import HOST, Lab, open_lab, settings_of
from tests.e2e.trust import trusting_home
from tests.labkit.brokers import SERVING

CHROMIUM = "/usr/bin/chromium"
BROKERS = SERVING[::-1]


@pytest.fixture(params=BROKERS)
def lab(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> Iterator[Lab]:
    """A school with all its processes; what they said is printed when the test fails."""
    with Instance(settings_of(tmp_path / "run", request.param, database_url), say=print) as instance:
        made = open_lab(instance)
        yield made
    with made.app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def chromium(lab: Lab, tmp_path: Path) -> Iterator[Browser]:
    """Headless Chromium in a home of its own."""
    assert lab.instance.certificates is not None
    home = trusting_home(tmp_path / "home", lab.instance.certificates.ca)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", f"--host-resolver-rules=MAP {HOST} 127.0.0.1"],
            env={**os.environ, "HOME": str(home)},
        )
        yield made
        made.close()
