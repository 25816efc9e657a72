"""`labkit td` and `labkit schema`: profiles for other people's tools."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import click

from labkit import td as thing
from labkit.profiles import load_profile, profiles_dir

SCHEMAS = ("profile", "lab")


@click.command(help="把设备档案输出为 W3C 物描述（Thing Description 1.1）JSON。PROFILE：随附档案的代号，或档案目录。")
@click.argument("profile")
def td(profile: str) -> None:
    """Print a profile's Thing Description."""
    shipped = profiles_dir() / profile
    folder = shipped if profile == Path(profile).name and shipped.is_dir() else Path(profile)
    if not folder.is_dir():
        raise click.UsageError(
            f"没有这个设备档案：{profile} 既不是随附档案的代号，也不是目录 / neither the id of a shipped profile nor a folder"
        )
    click.echo(json.dumps(thing.thing_description(load_profile(folder)), ensure_ascii=False, indent=1))


@click.command(help="输出发布的 JSON Schema：编辑器用它补全和查错。例：labkit schema profile > profile.schema.json")
@click.argument("name", type=click.Choice(SCHEMAS))
def schema(name: str) -> None:
    """Print a published JSON Schema."""
    text = resources.files("labkit").joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8")
    click.echo(text.rstrip("\n"))


COMMANDS = (td, schema)
