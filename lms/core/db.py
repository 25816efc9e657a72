"""The database: typed models, ids, and the one way to write (数据库).

Readers need nothing. Writers open :func:`write`: the transaction is committed before a response exists,
and on SQLite writers of all processes take turns, so that none starves behind SQLite's unfair busy handler.
"""

from __future__ import annotations

import fcntl
import os
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uuid_utils
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import JSON, DateTime, Dialect, Engine, ExceptionContext, ForeignKey, MetaData, Uuid, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, declared_attr, mapped_column
from sqlalchemy.types import TypeDecorator

from lms.core import clock
from lms.core.metrics import WRITE_WAIT


def new_id() -> uuid.UUID:
    """A UUIDv7: unique everywhere, ordered by time."""
    return uuid.UUID(int=uuid_utils.uuid7().int)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC time; refuses naive values, returns aware ones on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (read by SQLAlchemy)
        uuid.UUID: Uuid(),
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
        list[str]: JSON(),
        list[int]: JSON(),
    }


class SchoolRow:
    """A row that belongs to one school (school_id comes first in its indexes and uniqueness)."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    @declared_attr
    @classmethod
    def school_id(cls) -> Mapped[uuid.UUID]:
        return mapped_column(ForeignKey("organisation.id"))


db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})

APPEND_ONLY: dict[str, str] = {}


def append_only(table: str, person: str = "") -> None:
    """Declare a table append-only (只增不改): triggers refuse UPDATE and DELETE on both databases.

    ``person``: SQL for the id of the person whose the row OLD is; it may be deleted once that person is erased (``person.erased_on``).
    """
    APPEND_ONLY[table] = person


def append_only_ddl(table: str, dialect: str, person: str = "") -> list[str]:
    """Statements that guard ``table``, see :func:`append_only`; the migrations run them."""
    erased = f"EXISTS (SELECT 1 FROM person WHERE person.id = {person} AND person.erased_on IS NOT NULL)"
    if dialect == "sqlite":
        unless = {"UPDATE": "", "DELETE": f"WHEN NOT {erased} " if person else ""}
        return [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {when}"
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for verb, when in unless.items()
        ]
    if person:
        return [
            f"CREATE OR REPLACE FUNCTION zhike_append_only_{table}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF TG_OP = 'DELETE' AND {erased} THEN RETURN OLD; END IF; "
            "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION zhike_append_only_{table}()",
        ]
    return [
        "CREATE OR REPLACE FUNCTION zhike_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION zhike_append_only()",
    ]


class WriterQueue:
    """Turns among the writers of one SQLite file: first come first served here, one lock file between processes."""

    def __init__(self, lock_path: Path) -> None:
        self._path = lock_path
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._busy = False
        self._descriptor: int | None = None
        self._pid = 0

    def acquire(self) -> None:
        """Wait for this writer's turn."""
        with self._mutex:
            turn = None
            if self._busy:
                turn = threading.Event()
                self._waiting.append(turn)
            self._busy = True
        if turn is not None:
            turn.wait()
        fcntl.flock(self._file(), fcntl.LOCK_EX)

    def release(self) -> None:
        """Hand the turn to the next writer."""
        fcntl.flock(self._file(), fcntl.LOCK_UN)
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._busy = False

    def _file(self) -> int:
        if self._descriptor is None or self._pid != os.getpid():  # a forked worker must not share its parent's lock
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._pid = os.getpid()
        return self._descriptor


def init_db(app: Flask) -> None:
    """Bind the app to its database and set SQLite's pragmas."""
    url: str = app.config["SQLALCHEMY_DATABASE_URI"]
    options: dict[str, Any] = {"pool_pre_ping": not url.startswith("sqlite"), "hide_parameters": True}
    if url.startswith("sqlite"):
        options["connect_args"] = {"timeout": 30, "check_same_thread": False}
        options["pool_size"] = app.config.get("ZHIKE_POOL", 20)
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        app.extensions["zhike_writers"] = WriterQueue(path.with_suffix(".writers"))
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    with app.app_context():
        event.listen(db.engine, "handle_error", _forget_values)
        if url.startswith("sqlite"):
            _tune_sqlite(db.engine)


def _forget_values(context: ExceptionContext) -> None:
    """PostgreSQL's details quote the row ("Key (name)=(…) already exists"); errors are logged, and logs hold no names."""
    error, told = context.original_exception, context.sqlalchemy_exception
    diagnosis = getattr(error, "diag", None)
    if getattr(diagnosis, "message_detail", None) is None:
        return
    before, after = str(error), getattr(diagnosis, "message_primary", None) or type(error).__name__
    error.args = (after,)
    if told is not None:
        told.args = tuple(one.replace(before, after) if isinstance(one, str) else one for one in told.args)


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy says BEGIN, see on_begin
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-16000",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        immediate = connection.get_execution_options().get("zhike_write")
        driver = connection.connection.dbapi_connection  # straight to sqlite3: this runs for every request
        driver.execute("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def write() -> Iterator[Session]:
    """Open the writing transaction; commit at the end, roll back on any error. An inner ``write()`` joins the outer.

    What was read before is read again inside, so that decisions rest on what the lock protects.
    """
    session = db.session()
    if session.info.get("zhike_writing"):
        yield session
        return
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("objects were changed outside write()")
    with _turn():
        session.rollback()  # ends the reading transaction; its snapshot may be old
        session.info["zhike_writing"] = True
        try:
            session.connection(execution_options={"zhike_write": True})
            session.expire_all()
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.info.pop("zhike_writing", None)


@contextmanager
def _turn() -> Iterator[None]:
    writers: WriterQueue | None = current_app.extensions.get("zhike_writers")
    if writers is None:
        yield
        return
    with WRITE_WAIT.time():
        writers.acquire()
    try:
        yield
    finally:
        writers.release()


@contextmanager
def write_apart() -> Iterator[Session]:
    """A transaction of its own that no later rollback erases: refusals, failed sign-ins, access entries.

    Must not be opened inside :func:`write` (the turn is taken): call it before, or after the refusal has ended it.
    """
    if db.session().info.get("zhike_writing"):
        raise RuntimeError("write_apart() inside write()")
    with _turn(), Session(db.engine, expire_on_commit=False) as session:
        session.connection(execution_options={"zhike_write": True})
        yield session
        session.commit()
