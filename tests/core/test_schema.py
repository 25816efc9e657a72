"""The migrations are the models, on both databases; what is append-only stays."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask

from lms.core import schema
from lms.core.audit import audit
from lms.core.db import APPEND_ONLY, Base, db, new_id, write
from lms.core.models import AuditEntry, Organisation


def test_head_equals_the_models(app: Flask) -> None:
    assert schema.current(db.engine) == schema.head()
    assert schema.differences(db.engine) == []


def test_a_missing_column_is_seen(app: Flask) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE instance_state ADD COLUMN stray INTEGER")
    assert any("stray" in str(difference) for difference in schema.differences(db.engine))


def test_upgrade_fills_an_empty_database_and_may_be_repeated(empty_database_url: str) -> None:
    engine = sa.create_engine(empty_database_url)
    assert schema.is_empty(engine)
    assert schema.current(engine) is None
    schema.upgrade(engine)
    schema.upgrade(engine)
    assert schema.current(engine) == schema.head()
    assert schema.is_known(schema.head())
    assert not schema.is_known("ffff")
    engine.dispose()


def test_every_append_only_table_is_guarded(app: Flask) -> None:
    with db.engine.connect() as connection:
        assert schema.guarded(connection) == set(APPEND_ONLY)
    assert {"audit_entry", "attempt", "usage_record", "evidence_event"} <= set(APPEND_ONLY)


@pytest.mark.parametrize("verb", ["update audit_entry set action = 'x'", "delete from audit_entry"])
def test_append_only_rows_cannot_be_changed_or_deleted(app: Flask, verb: str) -> None:
    audit(None, "test", "nothing", 1)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), write() as session:
        session.execute(sa.text(verb))
    assert db.session.scalar(sa.select(AuditEntry.action)) == "test"


def test_foreign_keys_hold(app: Flask) -> None:
    with pytest.raises(sa.exc.IntegrityError), write() as session:
        session.add(Organisation(id=new_id(), parent_id=new_id(), level="school", name="无父", path="x/"))


def test_every_table_of_a_school_begins_its_indexes_with_the_school() -> None:
    loose = {
        index.name
        for table in Base.metadata.tables.values()
        if "school_id" in table.c
        for index in table.indexes
        if index.unique and next(iter(index.columns)).name != "school_id"
    }
    assert loose == set()
