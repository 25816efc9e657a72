"""``lms demo`` (演示): a school in one command."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from lms.config import get_settings


def register(main: click.Group) -> None:
    """Add ``demo`` to the ``lms`` command."""
    main.add_command(demo)


@click.command()
@click.option("--once", is_flag=True, help="Teach one lesson to its end without a browser, then stop.")
@click.option("--pupils", type=click.IntRange(1, 40), default=40, show_default=True, help="Simulated pupils.")
@click.option("--minutes", type=click.FloatRange(0, 120), default=0.0, help="Stretch the lesson of --once over so many minutes.")
@click.option("--report", "report_file", type=click.Path(dir_okay=False, path_type=Path), help="Write what the lesson left as JSON.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="Keep database, logs and pids/*.pid here; default: a new temporary folder.")
def demo(once: bool, pupils: int, minutes: float, report_file: Path | None, run_dir: Path | None) -> None:
    """A demo school with simulated pupils, robots and a camera (演示学校)."""
    from lms.core.errors import ZhikeError
    from lms.supervisor import StartFailed

    with tempfile.TemporaryDirectory(prefix="zhike-demo-") as temporary:
        folder = (run_dir or Path(temporary)).resolve()
        try:
            status = _run(folder, once, pupils, minutes, report_file)
        except (StartFailed, ZhikeError) as error:
            raise click.ClickException(str(getattr(error, "message", error))) from error
    sys.exit(status)


def _run(folder: Path, once: bool, pupils: int, minutes: float, report_file: Path | None) -> int:
    from lms.demo import run
    from lms.demo.guide import keep_open
    from lms.instance import Instance

    settings = replace(get_settings(), data_dir=folder / "data", run_dir=folder, origin="simulated", database_url="")
    if (folder / "data" / "zhike.sqlite").exists():
        raise click.ClickException(f"{folder} 里已有一个演示学校：请换一个文件夹或删除它。")
    with Instance(settings, say=click.echo) as instance:
        demo_ = run.start(instance, pupils if once else pupils - 1, int(minutes) + 1, click.echo, province=True)
        if not once:
            keep_open(demo_, click.echo)
            run.leave(demo_)
            return 0
        try:
            run.run_once(demo_, minutes, click.echo)
        finally:
            run.leave(demo_)
        found = run.report(demo_)
        if report_file is not None:
            run.write_report(found, report_file)
        click.echo("演示课结束：{present}/{pupils} 人到课，作品 {attempts_saved}/{attempts_sent} 份，证据链{chain}".format(**found, chain="完整" if found["chain_ok"] else "有断点"))
        for problem in found["errors"]:
            click.echo(f"  问题：{problem}", err=True)
        return 1 if run.lost(found) else 0
