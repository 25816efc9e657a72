"""``labkit doctor``: what is wrong with this lab PC, cause by cause, each with its fix."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from labkit import doctor, lab_check
from labkit.agent.browser import check_browser
from labkit.binding import Choice, PortBook
from labkit.commands.console import Console, Voice, as_path, broker_options, pass_voice
from labkit.commands.lab_check import look
from labkit.doctor import FIX, Machine, Trouble
from labkit.errors import BadDocument, LabkitError
from labkit.lab import Lab, load_lab
from labkit.lab_check import remedy
from labkit.links import BrokerAddress
from labkit.model import State
from labkit.ports import lab_ports, system_ports


@click.command(
    "doctor", help="体检：端口、权限、驱动、占用、固件、代理、密码、视频组件；说出原因和解决办法。要修时退出码 1。"
)
@click.option("--lab", "lab_file", type=as_path, help="lab.yaml：检查其中每台设备")
@click.option("--run-dir", type=as_path, help="网关的运行目录（绑定和模拟端口）")
@click.option("--probe/--no-probe", default=True, show_default=True, help="没有网关时打开端口问固件（会让小车停下）")
@click.option("--kiosk", is_flag=True, help="也检查全屏上课用的浏览器")
@broker_options
@pass_voice
def command(
    voice: Voice, address: BrokerAddress, lab_file: Path | None, run_dir: Path | None, probe: bool, kiosk: bool
) -> None:
    """Look at everything that keeps a lab from working."""
    machine = doctor.this_machine(lab_ports(run_dir) if run_dir else system_ports)
    troubles: list[Trouble] = []
    lab: Lab | None = None
    if lab_file:
        try:
            lab = load_lab(lab_file)
        except BadDocument as error:
            troubles += [_bad_line(str(f.place), f.zh, f.en) for f in error.faults]
    troubles += check_browser() if kiosk else []
    troubles += examine(machine, lab, run_dir, address, probe)
    _tell(voice, list(dict.fromkeys(troubles)))


def examine(
    machine: Machine, lab: Lab | None, run_dir: Path | None, address: BrokerAddress, probe: bool
) -> list[Trouble]:
    """All troubles, the cause before what follows from it."""
    choices: dict[str, Choice] = {}
    if lab:
        book = PortBook(lab, run_dir or lab.path.parent, machine.ports)
        choices = {d.id: book.choice(d.id) for d in lab.devices}
    ports = [c.port for c in choices.values() if c.port] if lab else [p for p in machine.ports() if p.kind]
    troubles = [*doctor.check_drivers(machine), *doctor.check_ports(machine, lab, choices)]
    closed = [*doctor.check_access(machine, ports), *doctor.check_busy(machine, ports)]
    broker = list(doctor.check_broker(address))
    told = [] if broker or lab is None else _ask_gateway(lab, address)
    troubles += closed
    troubles += broker
    if told:
        troubles += [one for one in told if one is not None]
    elif lab and probe:
        bad = {one.subject for one in closed} | {p.path for p in ports if any(h.ours for h in machine.holders(p.path))}
        kits, lost = doctor.text_kits(lab.devices, run_dir or lab.path.parent)
        troubles += lost
        troubles += doctor.check_firmware([*doctor.probeable(lab.devices, choices, bad), *kits])
    troubles += [*doctor.check_cameras(machine, lab), *doctor.check_video(machine, lab)]
    return troubles


def _ask_gateway(lab: Lab, address: BrokerAddress) -> list[Trouble | None]:
    """What a running gateway has found out about firmware and identity; [None] = all is well, [] = there is no gateway."""
    try:
        with Console(address) as console:
            seen = look(console)
    except LabkitError as error:
        return [Trouble("no-broker", f"{address.host}:{address.port}", error.zh, "再试一次", error.en, "try again")]
    if seen.states.get(lab.name) is not State.READY:
        return []
    found: list[Trouble | None] = [None]
    if lab_check.CLOCK in seen.alerts.get(lab.name, {}):
        (why, _, fix) = seen.alerts[lab.name][lab_check.CLOCK].partition("：")
        found.append(
            Trouble("clock", lab.name, why, fix, "its clock is wrong", "let it set itself: timedatectl set-ntp true")
        )
    for device in lab.devices:
        alerts = seen.alerts.get(device.id, {})
        if "firmware" in alerts:
            found.append(
                Trouble(
                    "wrong-firmware", doctor.named(device), alerts["firmware"],
                    f"给 {device.profile.title.zh} 重新烧录出厂固件，或在 lab.yaml 换成对的 profile",
                    "wrong firmware (see the Chinese text)", "flash the factory firmware, or name the right profile",
                )
            )  # fmt: skip
        for alert in alerts.keys() & {"unreachable", "no-answer"}:
            zh, en = remedy(alert, alerts[alert])
            (why_zh, _, fix_zh), (why_en, _, fix_en) = zh.partition("："), en.partition(": ")
            if not fix_zh:
                fix_zh, fix_en = "按这句话处理，网关会自己再试", "do what it says; the gateway tries again by itself"
            found.append(Trouble(alert, doctor.named(device), why_zh, fix_zh, why_en, fix_en))
        if "unconfirmed" in alerts:
            found.append(
                Trouble(
                    "unconfirmed", doctor.named(device), alerts["unconfirmed"],
                    f"labkit identify {device.id} 看清是哪台，再 labkit confirm {device.id}",
                    "perhaps another board", f"labkit identify {device.id}, then labkit confirm {device.id}",
                )
            )  # fmt: skip
    return found


def _bad_line(place: str, zh: str, en: str) -> Trouble:
    return Trouble("lab-file", place, zh, "改好这一行（labkit check 可再查）", en, "correct this line (labkit check)")


def _tell(voice: Voice, troubles: list[Trouble]) -> None:
    to_fix = [one for one in troubles if one.level == FIX]
    if voice.as_json:
        click.echo(json.dumps({"ok": not to_fix, "troubles": [asdict(one) for one in troubles]}, ensure_ascii=False))
    else:
        for one in troubles:
            marks = ("要修", "FIX") if one.level == FIX else ("留意", "watch")
            voice.say(
                f"{marks[0]}  {one.subject}：{one.zh}\n      → {one.fix_zh}",
                f"{marks[1]}  {one.subject}: {one.en}\n      → {one.fix_en}",
            )
        if not troubles:
            voice.say("都正常", "all is well")
    sys.exit(1 if to_fix else 0)


COMMANDS = (command,)
