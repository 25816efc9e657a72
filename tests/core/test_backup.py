"""A backup brings everything back; a damaged one changes nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from lms.app import create_app
from lms.config import Settings
from lms.core import backup as archives
from lms.core import schema
from lms.core.db import db, write
from lms.core.errors import Invalid, Refused
from lms.core.models import InstanceState, Organisation
from lms.core.origin import claim_origin
from tests import factories as make
from tests.conftest import SERVER

NOW = datetime(2026, 11, 24, 2, 5, tzinfo=UTC)


@pytest.fixture
def school(app: Flask, settings: Settings) -> Settings:
    """A data folder with a school, a package file and a key."""
    claim_origin("real")
    make.make_school("备份小学")
    (settings.data_dir / "packages" / "abc").mkdir(parents=True)
    (settings.data_dir / "packages" / "abc" / "课程.md").write_text("# 第一课", "utf-8")
    (settings.data_dir / "keys").mkdir(exist_ok=True)
    (settings.data_dir / "keys" / "evidence").write_text("secret", "ascii")
    (settings.run / "pids").mkdir(parents=True)
    return settings


def names() -> list[str]:
    with db.engine.connect() as connection:
        return list(connection.scalars(select(Organisation.name).where(Organisation.level == "school")))


def test_everything_comes_back(school: Settings, tmp_path: Path) -> None:
    target = tmp_path / "school.zip"
    made = archives.backup(school, target, NOW)
    assert made.revision == schema.head()
    assert target.stat().st_mode & 0o077 == 0
    with write():
        organisation = db.session.scalars(select(Organisation).where(Organisation.level == "school")).one()
        organisation.name = "后来的名字"
    (school.data_dir / "packages" / "abc" / "课程.md").unlink()
    db.session.remove()
    db.engine.dispose()
    archives.restore(school, target, NOW)
    assert names() == ["备份小学"]
    assert (school.data_dir / "packages" / "abc" / "课程.md").read_text("utf-8") == "# 第一课"
    assert (school.data_dir / "keys" / "evidence").stat().st_mode & 0o077 == 0
    assert (school.data_dir / "before-restore" / "keys" / "evidence").exists()


def test_what_was_there_can_be_had_again(school: Settings, tmp_path: Path) -> None:
    """The database that a restore replaces is kept: the file of SQLite, a dump of PostgreSQL."""
    target = tmp_path / "school.zip"
    archives.backup(school, target, NOW)
    with write():
        db.session.scalars(select(Organisation).where(Organisation.level == "school")).one().name = "后来的名字"
    db.session.remove()
    db.engine.dispose()
    archives.restore(school, target, NOW)
    kept = school.data_dir / "before-restore"
    if SERVER:
        assert (kept / "database").stat().st_mode & 0o077 == 0
        archives._load_postgres(school, kept / "database")
    else:
        archives.sqlite_path(school).write_bytes((kept / archives.sqlite_path(school).name).read_bytes())
    assert names() == ["后来的名字"]
    assert not list(school.data_dir.parent.glob("data.*"))


@pytest.mark.skipif(not SERVER, reason="PostgreSQL loads a dump by a program of its own")
def test_a_dump_that_postgresql_refuses_changes_nothing(school: Settings, tmp_path: Path) -> None:
    target = tmp_path / "school.zip"
    made = archives.backup(school, target, NOW)
    with zipfile.ZipFile(target) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["database"] = members["database"][:-200]
    checksums = {**made.files, "database": hashlib.sha256(members["database"]).hexdigest()}
    members["manifest.json"] = json.dumps({**asdict(made), "files": checksums}).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    before = sorted(path.name for path in school.data_dir.parent.rglob("*"))
    with pytest.raises(Refused, match="postgres-failed"):
        archives.restore(school, target, NOW)
    assert names() == ["备份小学"]
    assert sorted(path.name for path in school.data_dir.parent.rglob("*")) == before


@pytest.mark.parametrize("harm", ["cut", "flip", "missing", "foreign", "traversal", "no-zip"])
def test_a_damaged_archive_changes_nothing(school: Settings, tmp_path: Path, harm: str) -> None:
    target = tmp_path / "school.zip"
    archives.backup(school, target, NOW)
    damage(target, harm)
    before = sorted(path.name for path in school.data_dir.rglob("*"))
    with pytest.raises((Invalid, Refused)):
        archives.restore(school, target, NOW)
    assert sorted(path.name for path in school.data_dir.rglob("*")) == before
    assert names() == ["备份小学"]


def damage(target: Path, harm: str) -> None:
    """Spoil an archive in one way."""
    content = target.read_bytes()
    if harm == "cut":
        target.write_bytes(content[: len(content) // 2])
    elif harm == "no-zip":
        target.write_bytes(b"not a zip")
    elif harm == "flip":
        with zipfile.ZipFile(target) as archive:
            entry = archive.getinfo("files/keys/evidence")
        at = (
            entry.header_offset
            + 30
            + len(entry.filename)
            + int.from_bytes(content[entry.header_offset + 28 :][:2], "little")
            + 2
        )
        target.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
    else:
        with zipfile.ZipFile(target) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        if harm == "missing":
            del members["files/keys/evidence"]
        elif harm == "foreign":
            members["manifest.json"] = members["manifest.json"].replace(schema.head().encode(), b"9999")
        else:
            members["files/../../outside"] = b"x"
            members["manifest.json"] = members["manifest.json"].replace(
                b'"files": {',
                b'"files": {"files/../../outside": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",',
            )
        with zipfile.ZipFile(target, "w") as archive:
            for name, body in members.items():
                archive.writestr(name, body)


def test_real_and_simulated_do_not_mix(school: Settings, tmp_path: Path) -> None:
    target = tmp_path / "school.zip"
    archives.backup(school, target, NOW)
    with pytest.raises(Refused) as refusal:
        archives.restore(replace(school, origin="simulated"), target, NOW)
    assert refusal.value.code == "origin-differs"


def test_a_running_school_is_not_overwritten(school: Settings, tmp_path: Path) -> None:
    target = tmp_path / "school.zip"
    archives.backup(school, target, NOW)
    sleeper = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        (school.run / "pids" / "web.pid").write_text(str(sleeper.pid), "ascii")
        with pytest.raises(Refused) as refusal:
            archives.restore(school, target, NOW)
    finally:
        sleeper.communicate()
    assert refusal.value.code == "running"


def test_hooks_hear_of_a_restore(app: Flask) -> None:
    heard: list[archives.Restored] = []
    archives.on_restore(heard.append)
    archives.after_restore(archives.Restored(NOW, NOW))
    assert heard == [archives.Restored(NOW, NOW)]
    archives._hooks.remove(heard.append)


def test_upgrade_saves_first(school: Settings) -> None:
    saved = archives.upgrade(school, db.engine, NOW)
    assert saved is not None
    assert archives.check(saved).database == ("postgresql" if SERVER else "sqlite")


def test_tables_of_a_newer_program_are_left_alone(app: Flask, settings: Settings) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Refused):
        archives.upgrade(settings, db.engine, NOW)


def test_the_origin_of_a_database_stays(app: Flask, settings: Settings) -> None:
    claim_origin("simulated")
    claim_origin("simulated")
    with pytest.raises(Refused):
        claim_origin("real")
    assert db.session.get(InstanceState, "origin") is not None
    again = create_app(settings, testing=True)
    with again.app_context():
        with pytest.raises(Refused):
            claim_origin("real")
        db.session.remove()
        db.engine.dispose()
