"""``lms bridge`` and ``lms labs gateway`` (桥与网关凭证)."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lms.core.cli import in_app, the_school

if TYPE_CHECKING:
    from lms.roster.models import Room


def register(main: click.Group) -> None:
    """Add the bridge and lab commands to the ``lms`` command."""
    main.add_command(bridge)
    main.add_command(labs)


@click.command()
@click.option("--school", default="", help="Name or code of the school; needed where there are several.")
@click.option("--host", default="127.0.0.1", help="Host of the broker.")
def bridge(school: str, host: str) -> None:
    """Run the bridge between broker and database (桥)."""
    from lms.labs.bridge import run_bridge

    with in_app() as app:
        school_id, _ = the_school(school)
    run_bridge(app, school_id, host, app.config["ZHIKE"].mqtt_port)


@click.group()
def labs() -> None:
    """Gateways and boards of the labs (实验室)."""


@labs.command()
@click.argument("lab", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where the boards' accounts go: RUN_DIR/boards.json of labkit simulate.")
@click.option("--school", default="")
def credentials(lab: Path, out: Path | None, school: str) -> None:
    """Make the credentials of a whole LAB file at once: its gateway, every board on the broker, the simulated tables of its rooms."""
    from labkit.lab import load_lab
    from lms.labs.service import board_passwords, gateway_credential, write_passwords

    with in_app():
        school_id, _ = the_school(school)
        gateway = gateway_credential(school_id, load_lab(lab).name, lab)
        made = board_passwords(school_id, lab)
    if out is not None:
        write_passwords(out, made)
    click.echo(json.dumps({"username": gateway.username, "password": gateway.password, "boards": made if out is None else str(out)}, ensure_ascii=False))


@labs.command()
@click.argument("name")
@click.option("--board", is_flag=True, help="A board that speaks Homie itself, not a gateway.")
@click.option("--notebook", is_flag=True, help="NAME is a room's code: the account of its Python notebooks.")
@click.option("--lab", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The lab file, which names boards of other makers.")
@click.option("--school", default="")
def credential(name: str, board: bool, notebook: bool, lab: Path | None, school: str) -> None:
    """Make or show the broker credential of gateway NAME (gw-…), of a board, or of a room's notebooks."""
    from lms.labs.service import board_credential, gateway_credential, notebook_credential

    if board and notebook:
        raise click.UsageError("--board 和 --notebook 只能选一个 / --board or --notebook, not both")
    with in_app():
        school_id, _ = the_school(school)
        if notebook:
            made = notebook_credential(_room(school_id, name))
        else:
            made = (board_credential if board else gateway_credential)(school_id, name, lab)
    click.echo(json.dumps({"username": made.username, "password": made.password}))


def _room(school_id: uuid.UUID, code: str) -> Room:
    """The room with this code that has devices; raises ClickException."""
    from sqlalchemy import select

    from lms.core.db import db
    from lms.labs.service import devices_in
    from lms.roster.models import Room

    rooms = {room.code: room for room in db.session.scalars(select(Room).where(Room.school_id == school_id).order_by(Room.code))}
    if code not in rooms:
        raise click.ClickException(f"没有代号为 {code} 的教室；有：{'、'.join(rooms) or '还没有教室'}")
    if not any(device.kind == "robot" for device in devices_in(rooms[code].id)):
        raise click.ClickException(f"教室 {code} 还没有小车：先启动它的网关，在“设备”页看到小车后再运行一次")
    return rooms[code]
