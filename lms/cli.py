"""The ``lms`` command (命令行); every room adds its own subcommands in its ``cli.py``."""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lms.config import export, get_settings, metrics_environ, told

if TYPE_CHECKING:
    from flask import Flask

    from lms.instance import Instance

ROOMS = ("core", "roster", "courses", "usage", "labs", "region", "programmes", "demo")


def _tell(context: click.Context, option: click.Parameter, value: Path | None) -> None:
    """A folder of the command line, in force until the command ends."""
    if value is not None:
        context.with_resource(told(**{option.human_readable_name: value}))


def folders() -> list[click.Option]:
    """The options ``--data-dir`` and ``--run-dir``; the group and every command of it have them."""
    kind = click.Path(path_type=Path, file_okay=False)
    return [
        click.Option(["--data-dir"], type=kind, expose_value=False, callback=_tell, help="Database, keys, packages; default: ZHIKE_DATA_DIR, or zhike-data here."),
        click.Option(["--run-dir"], type=kind, expose_value=False, callback=_tell, help="Logs and pid files; default: <data-dir>/run."),
    ]  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zhike")
def main() -> None:
    """智课 Zhike: the LMS of a school's AI lab (人工智能实验室教学平台).

    Settings come from ZHIKE_… variables, see docs/how-to/settings.md. An empty folder and `lms up` are enough to begin.
    """


@main.command()
@click.option(
    "--lab",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="lab.yaml of the devices plugged in here.",
)
@click.option("--simulate", is_flag=True, help="No hardware: simulate the devices of the lab file too (模拟设备).")
def up(lab: Path | None, simulate: bool) -> None:
    """Run a school on this machine: broker, web, bridge, jobs (启动全部服务)."""
    from lms.core.cli import sentences
    from lms.instance import Instance
    from lms.supervisor import StartFailed

    with Instance(get_settings()) as instance, sentences():
        try:
            run_until_stopped(instance, lab, simulate=simulate)
        except (StartFailed, ValueError) as error:
            raise click.ClickException(str(error)) from error


def run_until_stopped(instance: Instance, lab: Path | None, *, simulate: bool = False) -> None:
    """Start everything, say where it is, watch until SIGTERM or SIGINT; on an empty folder the bridge follows the first-run page."""
    from lms.first_run import is_founded, welcome_path

    app = instance.prepare()
    instance.start()
    with app.app_context():
        founded = is_founded()
        first = "" if founded else welcome_path(instance.settings)
    click.echo("智课已启动：")
    for address in instance.addresses():
        click.echo(f"  {address}{first}")
    if instance.certificates:
        click.echo(f"  其他电脑首次使用：先在浏览器打开 …/ca.crt 安装校内证书（{instance.certificates.ca}）")
    if not founded:
        click.echo("  这里还没有学校：请打开上面的地址，完成首次设置。")
    follower = threading.Thread(target=start_rest, args=(instance, app, lab, simulate), name="first-run", daemon=True)
    follower.start()
    instance.supervisor.wait()
    click.echo("正在停止 …")


def start_rest(instance: Instance, app: object, lab: Path | None, simulate: bool) -> None:
    """Start the bridge as soon as there is a school, then the gateway of ``lab``, with ``simulate`` its devices too."""
    from flask import Flask

    from lms.first_run import wait_for_school

    assert isinstance(app, Flask)
    if not wait_for_school(app, instance.supervisor.ended):
        return
    instance.start_bridge()
    if lab is not None:
        instance.start_lab(app, lab, simulate=simulate)


@main.command()
def prepare() -> None:
    """Make or upgrade tables, certificates and the broker's configuration, for processes that start alone (准备)."""
    from lms.core.cli import sentences
    from lms.first_run import is_founded, welcome_path
    from lms.instance import Instance

    instance = Instance(get_settings())
    with sentences():
        try:
            app = instance.prepare(warm=False)
            instance.broker_spec()
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    with app.app_context():
        path = "" if is_founded() else welcome_path(instance.settings)
    for address in instance.addresses():
        click.echo(address + path)


@main.command()
@click.option("--sockets", default="", hidden=True, help="Descriptors of listening sockets that the supervisor holds.")
def web(sockets: str) -> None:
    """Run the web server alone (网页服务)."""
    settings = get_settings()
    export(metrics_environ(settings))
    (settings.run / "metrics").mkdir(parents=True, exist_ok=True)
    from lms.app import shared_app
    from lms.core.certificates import Certificates
    from lms.core.logs import log_to_stderr
    from lms.server import WebServer

    log_to_stderr(settings.log_level, "web")
    pair = None
    if settings.https:
        files = Certificates(settings.data_dir / "tls")
        if not sockets:  # nobody has prepared this folder
            from lms.core import clock, tls

            tls.ensure(files.folder, settings.host_name, clock.now())
        pair = (files.server, files.server_key)
    checked(shared_app(settings))
    WebServer(
        settings, lambda: shared_app(settings), pair, [int(number) for number in sockets.split(",") if number]
    ).run()


@main.command()
def jobs() -> None:
    """Run the background jobs alone (后台任务)."""
    from lms.app import shared_app
    from lms.core.jobs import Jobs
    from lms.core.logs import log_to_stderr

    settings = get_settings()
    log_to_stderr(settings.log_level, "jobs")
    Jobs(checked(shared_app(settings)), settings.data_dir).run()


def checked(app: Flask) -> Flask:
    """The app of a process that starts alone, on the data folder that belongs to its database."""
    from lms.core.belonging import check_app
    from lms.core.cli import sentences

    with sentences():
        check_app(app)
    return app


def load_rooms() -> None:
    """Let each room that has a ``cli.py`` add its commands; a broken one stops the program."""
    for room in ROOMS:
        if find_spec(f"lms.{room}") and find_spec(f"lms.{room}.cli"):
            import_module(f"lms.{room}.cli").register(main)
    give_folders(main)


def give_folders(command: click.Command) -> None:
    """Let the command and all below it take the folders, unless it has such an option of its own."""
    own = {name for option in command.params for name in option.opts}
    command.params += [option for option in folders() if not own & set(option.opts)]
    if isinstance(command, click.Group):
        for below in command.commands.values():
            give_folders(below)


load_rooms()

if __name__ == "__main__":
    sys.exit(main())
