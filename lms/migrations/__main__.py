"""For developers: ``python -m lms.migrations`` writes the initial revision anew; ``--add TEXT`` writes the next one; ``--check`` compares.

Until the first release there is one revision, written from the models; from then on a released revision is never changed.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from alembic import command
from alembic.script import Script
from sqlalchemy import Engine, create_engine

from lms.app import load_models
from lms.core import schema
from lms.core.db import APPEND_ONLY

VERSIONS = Path(str(files("lms") / "migrations" / "versions"))
INITIAL = "0001"


@click.command()
@click.option("--check", is_flag=True, help="exit 1 where models and revisions differ")
@click.option("--add", "message", default="", help="write the next revision, with this title")
def main(check: bool, message: str) -> None:
    """Write or check revisions against the models."""
    load_models()
    with TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/models.sqlite")
        if check:
            sys.exit(compare(engine))
        if not message:
            for old in VERSIONS.glob("*.py"):
                old.unlink()
            revise(engine, "Initial tables", INITIAL)
            return
        schema.upgrade(engine)
        revise(engine, message, f"{len(list(VERSIONS.glob('*.py'))) + 1:04d}")


def compare(engine: Engine) -> int:
    """Print what differs between the revisions and the models."""
    schema.upgrade(engine)
    found = schema.differences(engine)
    for difference in found:
        click.echo(f"differs: {difference}")
    return 1 if found else 0


def one(made: Script | list[Script | None] | None) -> Script:
    """The one revision that was written."""
    if not isinstance(made, Script):
        raise click.ClickException(f"expected one revision, got {made!r}")
    return made


def revise(engine: Engine, message: str, number: str) -> None:
    """Write one revision from the difference, with the guards of new append-only tables, and format it."""
    with engine.connect() as connection:
        before = set() if number == INITIAL else schema.guarded(connection)
        made = command.revision(schema.config(connection), message, autogenerate=True, rev_id=number)
        path = Path(one(made).path)
    new = {table: APPEND_ONLY[table] for table in sorted(APPEND_ONLY.keys() - before)}
    if new:
        text = path.read_text("utf-8").replace(
            "from alembic import op\n", "from alembic import op\n\nfrom lms.core.db import append_only_ddl\n"
        )
        text = text.replace("depends_on = None\n", f"depends_on = None\n\nAPPEND_ONLY = {new!r}\n")
        text += (
            "    for table, person in APPEND_ONLY.items():\n"
            "        for statement in append_only_ddl(table, op.get_bind().dialect.name, person):\n"
            '            op.get_bind().exec_driver_sql(statement.replace("%", "%%"))\n'
        )
        path.write_text(text, "utf-8")
    for arguments in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        subprocess.run([Path(sys.executable).with_name("ruff"), *arguments, path], check=True)
    click.echo(path)


if __name__ == "__main__":
    main()
