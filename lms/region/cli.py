"""``lms region`` for an office, ``lms usage hand-up`` for a school (命令行)."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lms.core.cli import in_app, the_school
from lms.usage.cli import usage


def register(main: click.Group) -> None:
    """Add ``region`` to the ``lms`` command and ``hand-up`` to ``lms usage``."""
    main.add_command(region)
    usage.add_command(hand_up)


@click.command("hand-up")
@click.option("--school", help="Id or code of the school; not needed where there is one only.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a file for a USB stick or e-mail.")
@click.option(
    "--receipt",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take in a receipt that came as a file.",
)
def hand_up(school: str | None, out: Path | None, receipt: Path | None) -> None:
    """Hand up to the office above: over the line, or as a file with --out (上报)."""
    with in_app():
        from lms.region import uplink

        school_id, _ = the_school(school)
        if receipt:
            click.echo(f"已收下 {uplink.accept_file(None, school_id, receipt.read_bytes())} 份回执")
        elif out:
            data = uplink.as_file(None, school_id)
            out.write_bytes(data)
            click.echo(f"已写入 {out}（{len(data)} 字节），请交给 {uplink.need_uplink(school_id).name}")
        else:
            sent = uplink.send(school_id)
            click.echo(f"已上报 {sent} 次，上级已收到第 {uplink.need_uplink(school_id).seq} 环")


@click.group()
def region() -> None:
    """Many schools: found an office, enrol, import, count (主管部门)."""


@region.command("found")
@click.option("--level", type=click.Choice(["county", "city", "province", "nation"]), required=True)
@click.option("--name", required=True, help="Name of the office, e.g. 示范区教育局.")
@click.option("--officer", required=True, help="Name of the first officer.")
@click.option("--username", required=True)
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, envvar="ZHIKE_OFFICER_PASSWORD")
def found(level: str, name: str, officer: str, username: str, password: str) -> None:
    """Make this empty installation that of an office; run `lms prepare` before (建立主管部门)."""
    with in_app():
        from lms.region import service

        service.found_office(level, name, officer, username, password)
    click.echo(f"已建立：{name}，用户名 {username}")


@region.command("officer")
@click.option("--name", required=True, help="The officer's own name.")
@click.option("--username", required=True)
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, envvar="ZHIKE_OFFICER_PASSWORD")
def officer(name: str, username: str, password: str) -> None:
    """Add one more officer to this office (增加人员)."""
    with in_app():
        from lms.region.office import add_officer

        add_officer(name, username, password)
    click.echo(f"已增加：{name}，用户名 {username}，首次登录须修改密码")


@region.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--receipts", type=click.Path(file_okay=False, path_type=Path), help="Folder for the receipts, one file a school."
)
def import_files(files: tuple[Path, ...], receipts: Path | None) -> None:
    """Import files from USB sticks or e-mail; what is known already is skipped (导入)."""
    with in_app():
        from lms.region import service

        for path in files:
            for one in service.take_file(None, path.read_bytes(), path.name):
                click.echo(f"{path.name}: {one.status} 第 {one.first_seq}–{one.last_seq} 环，现持有至第 {one.seq} 环")
                for gap in one.gaps:
                    click.echo(f"  缺第 {gap.first_seq}–{gap.last_seq} 环：{gap.after or '开始'} 到 {gap.before}")
                if receipts and one.receipt:
                    receipts.mkdir(parents=True, exist_ok=True)
                    target = receipts / f"{one.school_id}.json"
                    target.write_text(json.dumps(one.receipt, ensure_ascii=False), "utf-8")
        service.refresh()


@region.command("refresh")
def refresh() -> None:
    """Bring the result files up to date (更新统计)."""
    with in_app():
        from lms.region import service

        click.echo(f"已更新 {service.refresh()} 所学校")


@region.command("synthesize")
@click.option("--schools", default=1000, show_default=True, type=click.IntRange(1, 100_000))
def synthesize(schools: int) -> None:
    """Fill a simulated office with made-up schools, to try the pages (模拟全区)."""
    with in_app():
        from datetime import timedelta

        from lms.core import clock
        from lms.region import service, synthetic
        from lms.usage.judging.calendar import monday_of

        today = clock.now().date()
        plan = synthetic.Plan(schools=schools, monday=monday_of(today) - timedelta(weeks=synthetic.Plan.weeks))
        synthetic.populate(service.results_folder(), plan)
    click.echo(f"已生成 {schools} 所模拟学校")
