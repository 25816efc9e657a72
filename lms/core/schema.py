"""The state of the tables: which revision they have, which one this program needs, how to get there (数据库结构)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from lms.core.db import APPEND_ONLY, Base


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration for the revisions inside the package."""
    made = Config()
    made.set_main_option("script_location", str(files("lms") / "migrations").replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


@lru_cache(maxsize=1)
def head() -> str:
    """The revision that this program needs."""
    found = ScriptDirectory.from_config(config()).get_current_head()
    assert found is not None, "the package carries no revision"
    return found


def current(engine: Engine) -> str | None:
    """The revision that the tables have; None for an empty database."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def is_known(revision: str) -> bool:
    """Whether this program knows the revision; a newer program's tables are not known."""
    return any(script.revision == revision for script in ScriptDirectory.from_config(config()).walk_revisions())


def upgrade(engine: Engine) -> None:
    """Bring the tables to :func:`head` in one transaction; an error leaves them as they were."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            # Tables are copied when a column changes; the pragma does nothing inside a transaction.
            connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")  # type: ignore[union-attr]
        try:
            with connection.begin():
                command.upgrade(config(connection), "head")
                if connection.dialect.name == "sqlite":
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                    if broken:
                        raise RuntimeError(f"foreign keys broken by the migration: {broken[:5]}")
        finally:
            if connection.dialect.name == "sqlite":
                connection.connection.driver_connection.execute("PRAGMA foreign_keys=ON")  # type: ignore[union-attr]


def differences(engine: Engine) -> list[Any]:
    """What the models have and the tables have not, or the other way round; triggers of append-only tables included."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[Any] = list(compare_metadata(context, Base.metadata))
        found += [("missing trigger", table) for table in sorted(APPEND_ONLY - guarded(connection))]
    return found


def guarded(connection: Connection) -> set[str]:
    """Tables whose rows a trigger keeps from being changed or deleted."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(
            "SELECT tbl_name, count(*) FROM sqlite_master WHERE type = 'trigger' GROUP BY tbl_name"
        ).all()
        return {table for table, count in rows if count >= 2}
    rows = connection.exec_driver_sql(
        "SELECT event_object_table, count(DISTINCT event_manipulation) FROM information_schema.triggers"
        " WHERE action_statement LIKE '%%zhike_append_only%%' GROUP BY event_object_table"
    ).all()
    return {table for table, count in rows if count >= 2}


def is_empty(engine: Engine) -> bool:
    """Whether the database holds no table at all."""
    return not inspect(engine).get_table_names()
