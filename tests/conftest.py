"""A real, fresh database for every test: SQLite, or PostgreSQL where ZHIKE_TEST_DATABASE names a server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from lms.app import create_app
from lms.config import Settings
from lms.core import clock
from lms.core.db import APPEND_ONLY, append_only_ddl, db

SERVER = os.environ.get("ZHIKE_TEST_DATABASE", "")


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """Address of an empty database that is dropped afterwards."""
    if not SERVER:
        yield f"sqlite:///{tmp_path / 'test.sqlite'}"
        return
    name = f"zhike_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.engine.make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings of an instance in a folder of its own."""
    return Settings(data_dir=tmp_path / "data", database_url=database_url, secret_key="test-key")


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """An app on its own database, with its context open."""
    app = create_app(settings, testing=True)
    with app.app_context():
        db.create_all()
        with db.engine.begin() as connection:
            for table in sorted(APPEND_ONLY):
                for statement in append_only_ddl(table, db.engine.dialect.name):
                    connection.exec_driver_sql(statement.replace("%", "%%"))
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without JavaScript; CSRF is checked as in life (factories.token reads it)."""
    return app.test_client()


@pytest.fixture
def fixed_clock() -> Iterator[clock.FixedClock]:
    """A clock that stands at Tuesday 2026-11-24 10:05 Shanghai until the test moves it."""
    before = clock.get_clock()
    fixed = clock.FixedClock(datetime(2026, 11, 24, 2, 5, tzinfo=UTC))
    clock.set_clock(fixed)
    yield fixed
    clock.set_clock(before)
