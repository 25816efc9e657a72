"""`labkit bench`: what labkit costs against the barest thing that does the same (see `labkit.bench`)."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import click

from labkit.commands.console import Voice, as_path, pass_voice
from labkit.errors import LabkitError


@click.command(help="测量：和最简单的做法相比，labkit 慢多少、用多少处理器和内存。约两分钟，请不要同时做别的事。")
@click.option(
    "--only", "parts", multiple=True, type=click.Choice(["throughput", "estop", "vision", "house"]), help="只测这些"
)
@click.option("--seconds", default=3.0, show_default=True, help="每一段测多久")
@click.option("--folder", type=as_path, help="日志放在哪里（默认是临时目录）")
@click.option("--strict", is_flag=True, help="有一项不达标就以 1 退出")
@pass_voice
def bench(voice: Voice, parts: tuple[str, ...], seconds: float, folder: Path | None, strict: bool) -> None:
    """Measure and print the figures."""
    from labkit.bench.run import PARTS, TARGETS, Bench, met

    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as temporary:
        try:
            figures = Bench(folder or Path(temporary), seconds).run(parts or PARTS)
        except LabkitError as error:
            voice.fail(error)
    if voice.as_json:
        click.echo(json.dumps(figures, ensure_ascii=False))
    else:
        for name, value in figures.items():
            way, limit = TARGETS.get(name, ("", 0.0))
            good = met(name, value)
            mark = "" if good is None else f"  {'✓' if good else '✗'} {way} {limit:g}"
            click.echo(f"{name:24}{'—' if value is None else value}{mark}")
    if strict and any(met(name, value) is False for name, value in figures.items()):
        sys.exit(1)


COMMANDS = (bench,)
