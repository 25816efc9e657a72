"""``lms programmes check`` (通知包命令)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from lms.programmes.pack import EXAMPLE, SHIPPED, check_folder


def register(main: click.Group) -> None:
    """Add the ``programmes`` group to the ``lms`` command."""
    main.add_command(programmes)


@click.group()
def programmes() -> None:
    """Notices as data: check packs (通知包)."""


@programmes.command()
@click.argument("packs", nargs=-1)
def check(packs: tuple[str, ...]) -> None:
    """Check packs (names or folders; default: all that ship); every problem with file, line and cause; exit 1 if there is one."""
    folders = [_folder(one) for one in packs] or sorted(path.parent for path in SHIPPED.glob("*/pack.yaml"))
    bad = False
    for folder in folders:
        pack, problems = check_folder(folder)
        for problem in problems:
            click.echo(f"{folder.name}/{problem}", err=True)
        if pack is not None and not problems:
            click.echo(f"✓ {pack.slug} {pack.version} {pack.title} {pack.digest[:12]}")
        bad = bad or bool(problems)
    if bad:
        sys.exit(1)


@programmes.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--like", default="", help="a notice that ships; without it the smallest example")
def new(folder: Path, like: str) -> None:
    """Begin a notice: copy one that ships, or the smallest example, into a new folder."""
    if folder.exists():
        raise click.ClickException(f"{folder} 已经存在，请换一个名字")
    shutil.copytree(_folder(like) if like else EXAMPLE, folder)
    click.echo(
        f"✓ {folder}/pack.yaml：先改 notice（代号）和 version（年份.次数），再运行 lms programmes check {folder}"
    )


def _folder(name: str) -> Path:
    for folder in (Path(name), SHIPPED / name):
        if folder.is_dir():
            return folder
    raise click.ClickException(
        f"没有通知包 {name}：请写文件夹，或随附的通知之一：{'、'.join(sorted(path.parent.name for path in SHIPPED.glob('*/pack.yaml')))}"
    )
