"""``lms backup | restore | upgrade`` (备份、恢复、升级), and what the commands of every room share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click
from flask import Flask
from sqlalchemy import select

from lms.config import Settings, get_settings
from lms.core import clock, schema
from lms.core.errors import ZhikeError


def register(main: click.Group) -> None:
    """Add the commands to ``lms``."""
    for command in (backup, restore, upgrade):
        main.add_command(command)


@contextmanager
def in_app(settings: Settings | None = None) -> Iterator[Flask]:
    """The app around a command; a refusal becomes its message and exit status 1."""
    from lms.app import create_app
    from lms.core.db import db

    app = create_app(settings or get_settings())
    with app.app_context():
        try:
            yield app
        except ZhikeError as error:
            where = f"（{error.where}）" if error.where else ""
            raise click.ClickException(f"{error.message}{where}{error.remedy}") from error
        finally:
            db.session.remove()
            db.engine.dispose()


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
    with in_app(settings):
        made = archives.backup(settings, target, clock.now())
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
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with in_app(settings):
        if only_check:
            made = archives.check(source)
            click.echo(
                f"备份完好：版本 {made.version}，{made.made_at}，{made.database}，{made.origin}，{len(made.files)} 个文件"
            )
            return
        db.engine.dispose()
        made = archives.restore(settings, source, clock.now())
    with in_app(settings):
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
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with in_app(settings):
        revision, wanted = schema.current(db.engine), schema.head()
        if revision == wanted:
            click.echo(f"数据库已是最新（{wanted}）。")
            return
        if dry_run:
            click.echo(f"将把数据库从 {revision or '空'} 升级到 {wanted}。")
            return
        saved = archives.upgrade(settings, db.engine, clock.now())
        if saved:
            click.echo(f"升级前已备份 → {saved}")
        click.echo(f"数据库已从 {revision or '空'} 升级到 {wanted}。")
