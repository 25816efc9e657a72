"""``lms backup | restore | upgrade`` (备份、恢复、升级), and what the commands of every room share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click
from flask import Flask
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from lms.config import Settings, get_settings
from lms.core import belonging, clock, schema
from lms.core.errors import ZhikeError


def register(main: click.Group) -> None:
    """Add the commands to ``lms``."""
    for command in (backup, restore, upgrade):
        main.add_command(command)


@contextmanager
def sentences() -> Iterator[None]:
    """A refusal becomes its message and exit status 1."""
    try:
        yield
    except ZhikeError as error:
        where = f"（{error.where}）" if error.where else ""
        raise click.ClickException(f"{error.message}{where}{error.remedy}") from error


@contextmanager
def in_app(settings: Settings | None = None, *, old_tables: bool = False) -> Iterator[Flask]:
    """The app around a command, on a database that is there; a refusal becomes its message and exit status 1.

    ``old_tables``: those of an earlier version do, else they must be this program's. Makes no folder and no database.
    """
    from lms.app import create_app
    from lms.core.db import db

    settings = settings or get_settings()
    _check_is_there(settings)
    try:
        app = create_app(settings)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    with app.app_context():
        try:
            with sentences():
                _check_tables(settings, db.engine, old_tables)
                belonging.check(settings)
                yield app
        finally:
            db.session.remove()
            db.engine.dispose()


def _check_is_there(settings: Settings) -> None:
    from lms.core.backup import sqlite_path

    place = sqlite_path(settings) if settings.is_sqlite else settings.data_dir
    if not place.exists():
        raise click.ClickException(_nothing_here(settings))


def _check_tables(settings: Settings, engine: Engine, old_tables: bool) -> None:
    try:
        revision = schema.current(engine)
    except SQLAlchemyError as error:
        raise click.ClickException(f"数据库打不开（{type(error).__name__}）。请检查 ZHIKE_DATABASE_URL，以及数据库是否在运行。") from error
    if revision is None:
        raise click.ClickException(_nothing_here(settings))
    if revision != schema.head() and not old_tables:
        raise click.ClickException(f"数据库的版本是 {revision}，程序需要 {schema.head()}：请先运行 lms upgrade。")


def _nothing_here(settings: Settings) -> str:
    return (
        f"{settings.data_dir.resolve()} 里没有智课的数据。请用 --data-dir 指明数据文件夹"
        "（例如 lms --data-dir /srv/zhike …），或设置环境变量 ZHIKE_DATA_DIR；还没有学校时，先运行 lms up。"
    )


def schools(wanted: str | None = None) -> list[tuple[uuid.UUID, str]]:
    """Schools of this instance as (id, name); ``wanted``: id, code or name of one."""
    from lms.core.db import db
    from lms.core.models import Organisation

    query = select(Organisation).where(Organisation.level == "school").order_by(Organisation.name)
    found = db.session.scalars(query).all()
    return [(one.id, one.name) for one in found if not wanted or wanted in (str(one.id), one.id.hex, one.code, one.name)]


def the_school(wanted: str | None) -> tuple[uuid.UUID, str]:
    """The school that ``--school`` means, or the only one; raises ClickException."""
    found = schools(wanted)
    if len(found) == 1:
        return found[0]
    names = "、".join(name for _, name in found or schools())
    raise click.ClickException(f"请用 --school 指明学校：{names or '还没有学校'}")


@click.command()
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
def backup(target: Path) -> None:
    """Save database, keys, packages and files into TARGET (a zip), while the school works on."""
    from lms.core import backup as archives

    settings = get_settings()
    with in_app(settings, old_tables=True):
        try:
            made = archives.backup(settings, target, clock.now())
        except OSError as error:
            raise click.ClickException(f"写不到 {target}：{error.strerror}。请检查文件夹是否存在、是否可写、空间是否够。") from error
    size = target.stat().st_size / 2**20
    click.echo(f"已备份 {len(made.files)} 个文件，{size:.1f} MiB → {target}")
    click.echo("备份里有密钥和个人信息：请保存在只有管理员能拿到的地方。")


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", "only_check", is_flag=True, help="Only check the archive and say what is in it.")
def restore(source: Path, only_check: bool) -> None:
    """Put the backup SOURCE in the place of what is here; the old content is kept in before-restore."""
    from lms.core import backup as archives
    from lms.core.db import db

    settings = get_settings()
    with sentences():
        if only_check:
            made = archives.check(source)
            click.echo(
                f"备份完好：版本 {made.version}，{made.made_at}，{made.database}，{made.origin}，{len(made.files)} 个文件"
            )
            return
        made = archives.restore(settings, source, clock.now())
    with in_app(settings, old_tables=True):
        schema.upgrade(db.engine)
        archives.after_restore(archives.Restored(datetime.fromisoformat(made.made_at), clock.now()))
        db.engine.dispose()
    click.echo(f"已恢复到 {made.made_at} 的状态；原来的内容在 {settings.data_dir / 'before-restore'}。")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def upgrade(dry_run: bool) -> None:
    """Bring the tables up to this version; a backup is made first."""
    from lms.core import backup as archives
    from lms.core.db import db

    settings = get_settings()
    with in_app(settings, old_tables=True):
        revision, wanted = schema.current(db.engine), schema.head()
        if revision == wanted:
            click.echo(f"数据库已是最新（{wanted}）。")
            return
        if dry_run:
            click.echo(f"将把数据库从 {revision} 升级到 {wanted}。")
            return
        saved = archives.upgrade(settings, db.engine, clock.now())
        click.echo(f"升级前已备份 → {saved}")
        click.echo(f"数据库已从 {revision} 升级到 {wanted}。")
