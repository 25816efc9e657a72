"""``labkit agent``: the agent of a lab PC; ``enrol`` types the room's secret into the image, ``quit`` ends it on this PC."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

from labkit.agent import Agent, Enrolment, hardware, read_enrolment, write_enrolment
from labkit.agent.browser import find_browser
from labkit.agent.enrolment import default_path, default_run_dir
from labkit.agent.kiosk import Kiosk
from labkit.agent.office import Office
from labkit.agent.service import QUIT
from labkit.commands.console import Speaking, Voice, as_path, pass_voice
from labkit.errors import LabkitError, LinkDown
from labkit.lab import load_lab

run_dir_option = click.option(
    "--run-dir", type=as_path, default=default_run_dir(), show_default=True, help="运行目录（可以每次开机清空）"
)
config_option = click.option("--config", type=as_path, default=default_path(), show_default=True, help="登记文件")


@click.group(
    "agent",
    cls=Speaking,
    invoke_without_command=True,
    help="学生电脑代理：认座位、接入插在这台电脑上的设备、打开上课页面。先用 labkit agent enrol 登记一次。",
)
@config_option
@run_dir_option
@click.option("--lab", "lab_file", type=as_path, help="这间教室每台电脑会插的设备（lab.yaml 格式，url 用 auto）")
@click.option("--kiosk", is_flag=True, help="全屏打开上课页面，关掉会自动再打开")
@click.option("--browser", default="", help="用这个浏览器（名字或位置）")
@click.option("--browser-flag", "flags", multiple=True, help="另加的浏览器参数")
@click.option("--log-level", default="INFO", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]))
@click.pass_context
def command(
    context: click.Context,
    config: Path,
    run_dir: Path,
    lab_file: Path | None,
    kiosk: bool,
    browser: str,
    flags: tuple[str, ...],
    log_level: str,
) -> None:
    """Run the agent until SIGTERM, SIGINT or ``labkit agent quit``."""
    if context.invoked_subcommand:
        return
    logging.basicConfig(level=log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        enrolment = read_enrolment(config)
        lab = load_lab(lab_file) if lab_file else None
        shown = Kiosk(find_browser(browser), run_dir, flags) if kiosk and _no_root(flags) else None
    except LabkitError as error:
        context.ensure_object(Voice).fail(error)
        return
    told = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        told.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    kits = [device.id for device in lab.devices] if lab else []
    Agent(Office(enrolment, hardware.marks, hardware.host_name(), kits), lab, run_dir, shown).run(told)


def _no_root(flags: Sequence[str]) -> bool:
    """A browser refuses to run as root, for its sandbox would not hold; a flag that switches that off is nobody's default."""
    if "--no-sandbox" not in flags and getattr(os, "geteuid", lambda: 1)() == 0:
        raise LabkitError(
            "kiosk_as_root",
            "不能用 root 身份全屏打开网页（浏览器会拒绝）：请让登录桌面的用户自启动它，登记时用 --owner 写这个用户",
            "no kiosk as root, browsers refuse: let the desktop's user start it, and enrol with --owner",
        )
    return True


@command.command(help="登记一次（在母盘里）：写下服务器和教室口令，并试着报到。")
@click.option("--server", required=True, help="https://zhike.school:8443")
@click.option("--secret", required=True, help="“教室 → 电脑”页上的教室口令")
@click.option("--ca", default="", help="学校 CA 证书文件（浏览器也要装它）")
@click.option("--owner", default="", help="登录桌面、运行代理的用户：登记文件归他（Linux，用管理员身份登记时）")
@config_option
@pass_voice
def enrol(voice: Voice, server: str, secret: str, ca: str, owner: str, config: Path) -> None:
    """Write the enrolment, and say hello with it."""
    enrolment = Enrolment(server.strip().rstrip("/"), secret.strip(), str(Path(ca).absolute()) if ca else "")
    try:
        write_enrolment(config, enrolment, owner)
        standing = Office(enrolment, hardware.marks, hardware.host_name()).hello()
    except LinkDown as error:
        voice.say(
            f"已写入 {config}。{error.zh}；口令还没有核对。",
            f"written to {config}. {error.en}; the secret is not checked yet.",
            config=str(config),
            checked=False,
        )
        return
    except LabkitError as error:
        voice.fail(error)
        return
    seat = f"座位 {standing.seat}" if standing.seat else f"还没有座位，代码 {standing.code}"
    voice.say(
        f"已写入 {config}，口令有效。这台电脑：{seat}。",
        f"written to {config}, the secret is valid. This PC: {standing.state} {standing.seat or standing.code}.",
        config=str(config),
        checked=True,
        state=standing.state,
        code=standing.code,
    )


@command.command("quit", help="技术员：结束这台电脑上的代理和全屏页面（重新开机后恢复）。")
@run_dir_option
@pass_voice
def end_agent(voice: Voice, run_dir: Path) -> None:
    """Tell the agent of this PC to end."""
    if not run_dir.is_dir():
        voice.fail(LabkitError("no_agent", f"{run_dir} 里没有代理在运行", f"no agent runs in {run_dir}"))
    (run_dir / QUIT).touch()
    voice.say("已通知代理结束", "the agent was told to end", told=True)


COMMANDS = (command,)
