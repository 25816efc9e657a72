"""A real, fresh, migrated database for every test: SQLite, or PostgreSQL where ZHIKE_TEST_DATABASE names a server."""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from lms.app import create_app, load_models
from lms.config import Settings
from lms.core import clock, schema
from lms.core.db import db
from tests.browsing import debian_chromium, notebook, served
from tests.cheap import make_cheap, without_fsync
from tests.effort import second_try

SERVER = os.environ.get("ZHIKE_TEST_DATABASE", "")
make_cheap()


def _loopback_only(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to leave this machine: no test needs to."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
        if host not in ("localhost", "") and not ipaddress.ip_address(host).is_loopback:
            raise RuntimeError(f"a test wants to leave this machine: {arguments[1]}")


sys.addaudithook(_loopback_only)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See :func:`second_try`."""
    for item in items:
        second_try(item)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated, empty database to copy: the path of a SQLite file, or the name of a PostgreSQL template."""
    folder = tmp_path_factory.mktemp("migrated")
    if not SERVER:
        path = folder / "template.sqlite"
        make(f"sqlite:///{path}")
        yield str(path)
        return
    name = f"zhike_template_{uuid.uuid4().hex[:8]}"
    statement(f"CREATE DATABASE {name}")
    make(database_address(name))
    yield name
    statement(f"DROP DATABASE {name} WITH (FORCE)")


def make(url: str) -> None:
    """Migrate an empty database; it must be what the models say."""
    load_models()
    engine = sa.create_engine(url)
    schema.upgrade(engine)
    found = schema.differences(engine)
    engine.dispose()
    if found:
        pytest.exit(
            f"models and migrations differ, run `make migration`: {[str(item)[:160] for item in found]}", returncode=3
        )


def database_address(name: str) -> str:
    """Address of a database on the test server."""
    return sa.engine.make_url(SERVER).set(database=name).render_as_string(hide_password=False)


def statement(text: str) -> None:
    """Run a statement that no transaction may hold on the test server."""
    admin = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(text)
    admin.dispose()


@pytest.fixture
def empty_database_url(tmp_path: Path) -> Iterator[str]:
    """Address of a database without any table, dropped afterwards."""
    if not SERVER:
        yield f"sqlite:///{tmp_path / 'empty.sqlite'}"
        return
    name = f"zhike_{uuid.uuid4().hex[:12]}"
    statement(f"CREATE DATABASE {name}")
    yield database_address(name)
    statement(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(tmp_path: Path, migrated: str) -> Iterator[str]:
    """Address of a migrated database without any row, dropped afterwards."""
    if not SERVER:
        path = tmp_path / "test.sqlite"
        shutil.copyfile(migrated, path)
        yield f"sqlite:///{path}"
        return
    name = f"zhike_{uuid.uuid4().hex[:12]}"
    statement(f"CREATE DATABASE {name} TEMPLATE {migrated}")
    yield database_address(name)
    statement(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings of an instance in a folder of its own."""
    return Settings(data_dir=tmp_path / "data", database_url=database_url, secret_key="test-key")


class Browser(FlaskClient):
    """A client whose every request has an app context of its own, as in life: its own session, user and CSRF token.

    What the test read before is forgotten, so that it sees what the request wrote.
    """

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """One request."""
        kwargs.setdefault("buffered", True)
        db.session.rollback()
        with self.application.app_context():
            answer = super().open(*args, **kwargs)
        db.session.rollback()
        return answer


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """An app on its own database, with its context open."""
    app = create_app(settings, testing=True)
    app.test_client_class = Browser
    with app.app_context():
        without_fsync()
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without JavaScript; CSRF is checked as in life (factories.token reads it)."""
    return app.test_client()


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Address of the app, for a real browser."""
    with served(app) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """A real browser."""
    with debian_chromium() as found:
        yield found


@pytest.fixture
def page(chromium: Chromium) -> Iterator[Page]:
    """A window of a real browser, that nobody has signed in to."""
    found = notebook(chromium)
    yield found
    found.context.close()


@pytest.fixture(autouse=True)
def _clock_goes_on() -> Iterator[None]:
    """No test leaves its clock to the next one."""
    before = clock.get_clock()
    yield
    clock.set_clock(before)


@pytest.fixture
def fixed_clock(_clock_goes_on: None) -> clock.FixedClock:
    """A clock that stands at Tuesday 2026-11-24 10:05 Shanghai until the test moves it."""
    fixed = clock.FixedClock(datetime(2026, 11, 24, 2, 5, tzinfo=UTC))
    clock.set_clock(fixed)
    return fixed
