"""What the commands share: the folder and the school that are meant, refusals as sentences."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask

from lms.cli import main
from lms.config import Settings, get_settings
from lms.core.cli import in_app, the_school
from lms.core.db import db
from lms.core.errors import Refused
from tests.conftest import SERVER
from tests.factories import make_school


def test_the_only_school_needs_no_name(app: Flask) -> None:
    with pytest.raises(click.ClickException, match="还没有学校"):
        the_school(None)
    school = make_school()
    assert the_school(None) == the_school("") == (school.id, school.organisation.name)


def test_one_of_several_schools_is_named(app: Flask) -> None:
    one, other = make_school(), make_school()
    one.organisation.name, other.organisation.name, other.organisation.code = "东校", "西校", "4301000002"
    db.session.flush()
    for wanted in (str(other.id), other.id.hex, "4301000002", "西校"):
        assert the_school(wanted) == (other.id, "西校")
    for wanted in (None, "", "南校"):
        with pytest.raises(click.ClickException, match="东校、西校"):
            the_school(wanted)


def test_a_refusal_is_a_sentence(settings: Settings) -> None:
    settings.data_dir.mkdir()
    with pytest.raises(click.ClickException, match="现在不行（甲）请明天再来"), in_app(settings):
        raise Refused("busy", "现在不行", remedy="请明天再来", where="甲")
    with pytest.raises(ZeroDivisionError), in_app(settings):
        raise ZeroDivisionError


def lms(*words: str | Path) -> Result:
    """The command line in a process that has no settings."""
    get_settings.cache_clear()
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing in it to call commands from."""
    folder = tmp_path / "away"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("ZHIKE_DATA_DIR", "ZHIKE_RUN_DIR", "ZHIKE_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def installation(away: Path, migrated: str) -> Path:
    """The data folder of an installation, elsewhere."""
    folder = away.parent / "srv"
    folder.mkdir()
    if not SERVER:
        shutil.copyfile(migrated, folder / "zhike.sqlite")
    return folder


@pytest.mark.parametrize(
    "words",
    [("backup", "all.zip"), ("upgrade",), ("upgrade", "--dry-run"), ("bridge",), ("labs", "credential", "gw"), ("usage", "verify")],
    ids=lambda words: "-".join(words),
)
def test_where_nothing_is_a_command_says_so_and_makes_nothing(away: Path, words: tuple[str, ...]) -> None:
    for told in ((), ("--data-dir", away / "nowhere")):
        answer = lms(*told, *words)
        assert answer.exit_code == 1
        assert "--data-dir" in answer.output and "lms up" in answer.output
        assert answer.exception is None or isinstance(answer.exception, SystemExit)
    assert list(away.iterdir()) == []


@pytest.mark.skipif(bool(SERVER), reason="where the folder holds the database")
def test_the_data_folder_is_told_before_or_after_the_command(installation: Path, away: Path) -> None:
    before = get_settings()
    assert "已备份" in lms("--data-dir", installation, "backup", away / "one.zip").output
    assert "已备份" in lms("backup", "--data-dir", installation, away / "two.zip").output
    assert "还没有学校" in lms("labs", "--data-dir", installation, "credential", "gw").output
    assert "数据库已是最新" in lms("upgrade", "--data-dir", installation).output
    assert "备份完好" in lms("restore", "--check", away / "one.zip").output
    assert get_settings() == before, "what one command is told holds for the next"
    assert sorted(path.name for path in away.iterdir()) == ["one.zip", "two.zip"]
    done = lms("--data-dir", away / "new", "restore", away / "one.zip")
    assert "已恢复到" in done.output, done.output
    assert (away / "new" / "zhike.sqlite").exists()


@pytest.mark.skipif(bool(SERVER), reason="where the folder holds the database")
def test_a_backup_that_cannot_be_written_is_a_sentence(installation: Path, away: Path) -> None:
    answer = lms("--data-dir", installation, "backup", away / "no-such-folder" / "one.zip")
    assert (answer.exit_code, "写不到" in answer.output) == (1, True)


@pytest.mark.skipif(bool(SERVER), reason="where the folder holds the database")
def test_old_tables_are_named_before_they_are_read(installation: Path) -> None:
    with closing(sqlite3.connect(installation / "zhike.sqlite")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0000'")
    assert "lms upgrade" in lms("--data-dir", installation, "usage", "verify").output


def test_every_command_takes_the_data_folder() -> None:
    def leaves(command: click.Command) -> list[click.Command]:
        below = command.commands.values() if isinstance(command, click.Group) else ()
        return [leaf for one in below for leaf in leaves(one)] or [command]

    lacking = [leaf.name for leaf in leaves(main) if not any("--data-dir" in option.opts for option in leaf.params)]
    assert lacking == []
