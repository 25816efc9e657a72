"""The state of the tables: which revision they have, which one this program needs, how to get there (数据库结构).

Alembic is imported only where tables are changed or compared: it is heavy, and every process asks for the revision.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, inspect

from lms.core.db import APPEND_ONLY, Base

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(str(files("lms") / "migrations"))


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration for the revisions inside the package."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


@lru_cache(maxsize=1)
def revisions() -> tuple[str, ...]:
    """Revisions in the package, oldest first; their numbers begin the file names."""
    return tuple(sorted(path.name.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py")))


def head() -> str:
    """The revision that this program needs."""
    return revisions()[-1]


def is_known(revision: str) -> bool:
    """Whether this program knows the revision; a newer program's tables are not known."""
    return revision in revisions()


def current(engine: Engine) -> str | None:
    """The revision that the tables have; None for an empty database."""
    with engine.connect() as connection:
        return current_of(connection)


def current_of(connection: Connection) -> str | None:
    """The revision of the tables behind an open connection."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def upgrade(engine: Engine) -> None:
    """Bring the tables to :func:`head` in one transaction; an error leaves them as they were."""
    from alembic import command

    with engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            with connection.begin():
                command.upgrade(config(connection), "head")
            return
        # Tables are copied when a column changes; the pragma does nothing inside a transaction.
        _pragma(connection, "foreign_keys=OFF")
        try:
            with connection.begin():
                command.upgrade(config(connection), "head")
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                if broken:
                    raise RuntimeError(f"foreign keys broken by the migration: {broken[:5]}")
        finally:
            _pragma(connection, "foreign_keys=ON")


def _pragma(connection: Connection, text: str) -> None:
    driver = connection.connection.driver_connection
    if driver is None:
        raise RuntimeError("the connection is closed")
    driver.execute(f"PRAGMA {text}")


def differences(engine: Engine) -> list[Any]:
    """What the models have and the tables have not, or the other way round; triggers of append-only tables included."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[Any] = list(compare_metadata(context, Base.metadata))
        found += [("missing trigger", table) for table in sorted(APPEND_ONLY.keys() - guarded(connection))]
    return found


def guarded(connection: Connection) -> set[str]:
    """Tables whose rows a trigger keeps from being changed or deleted."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(
            "SELECT tbl_name, count(*) FROM sqlite_master WHERE type = 'trigger' GROUP BY tbl_name"
        ).all()
    else:
        rows = connection.exec_driver_sql(
            "SELECT event_object_table, count(DISTINCT event_manipulation) FROM information_schema.triggers"
            " WHERE action_statement LIKE '%%zhike_append_only%%' GROUP BY event_object_table"
        ).all()
    return {table for table, count in rows if count >= 2}


def is_empty(engine: Engine) -> bool:
    """Whether the database holds no table at all."""
    return not inspect(engine).get_table_names()
