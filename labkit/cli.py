"""The command line ``labkit``: Chinese first, ``--lang en`` for English, ``--json`` for programs.

Exit codes: 0 done, 1 refused or not confirmed, 2 wrong call.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click

from labkit import commands, homie, samples
from labkit.api import Lab, RobotError
from labkit.commands.console import Console, Speaking, Voice, as_path, broker_options, pass_voice
from labkit.commands.room_answers import RoomAnswers
from labkit.errors import BadDocument, Fault, LabkitError, Malformed
from labkit.gateway import Gateway, face
from labkit.lab import load_lab
from labkit.links import BrokerAddress, Message
from labkit.model import Device, State
from labkit.profiles import load_profile, load_profiles

LOOK_S = 0.8
CONFIRM_S = 2.0


@click.group(cls=Speaking, help="实验室设备：网关、查看、驾驶、停止、检查设备档案。")
@click.option("--lang", type=click.Choice(["zh", "en"]), default="zh", envvar="LABKIT_LANG", help="语言 / language")
@click.option("--json", "as_json", is_flag=True, help="输出 JSON")
@click.pass_context
def main(context: click.Context, lang: str, as_json: bool) -> None:
    """The lab's devices."""
    context.obj = Voice(lang, as_json)


@main.command(help="启动网关：连接设备并把它们变成 Homie 设备，直到收到 SIGTERM。")
@click.option("--lab", "lab_file", type=as_path, required=True, help="lab.yaml")
@click.option("--run-dir", type=as_path, required=True, help="运行目录（模拟串口在其 dev/ 下）")
@click.option("--log-level", default="INFO", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]))
@broker_options
def serve(address: BrokerAddress, lab_file: Path, run_dir: Path, log_level: str) -> None:
    """Run one gateway until SIGTERM or SIGINT."""
    logging.basicConfig(level=log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    gateway = Gateway(load_lab(lab_file), address, run_dir)
    told = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        told.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    gateway.start()
    while not told.wait(0.5):
        if gateway.failed.is_set():
            raise LabkitError(
                "gateway_failed", f"网关出错：{gateway.failure}", f"the gateway failed: {gateway.failure}"
            )
    gateway.stop()


@main.command(help="检查设备档案和它的样例；不带参数时检查全部随附档案。有错时逐条给出 文件:行:原因，退出码 1。")
@click.argument("folders", nargs=-1, type=as_path)
@pass_voice
def check(voice: Voice, folders: tuple[Path, ...]) -> None:
    """Check profile folders with their samples, or lab files (``*.yaml``)."""
    faults: list[Fault] = []
    checked: list[str] = []
    unread: set[str] = set()
    for folder in folders or (None,):
        try:
            if folder is not None and folder.is_file() and folder.name != "profile.yaml":
                checked.append(load_lab(folder).name)
                continue
            named = load_profiles().values() if folder is None else [load_profile(_folder(folder))]
            for profile in named:
                wrong = list(samples.faults(profile))
                faults.extend(wrong)
                checked.extend([] if wrong else [profile.id])
                unread |= set() if samples.checker(profile) else {profile.id}
        except BadDocument as error:
            faults.extend(error.faults)
    if voice.as_json:
        rows = [{"file": str(f.place.path), "line": f.place.line, "zh": f.zh, "en": f.en} for f in faults]
        found = {"ok": not faults, "checked": checked, "samples_not_compared": sorted(unread), "faults": rows}
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        for fault in faults:
            click.echo(fault.message(voice.lang))
        for name in checked:
            more = ("（样例未核对）", " (samples not compared)") if name in unread else ("", "")
            voice.say(f"{name}: 通过{more[0]}", f"{name}: ok{more[1]}")
    sys.exit(1 if faults else 0)


def _folder(path: Path) -> Path:
    return path.parent if path.is_file() else path


@main.command("list", help="列出代理上的 Homie 设备和状态。")
@broker_options
@pass_voice
def list_devices(voice: Voice, address: BrokerAddress) -> None:
    """All Homie devices with their effective state."""
    with Console(address) as console:
        console.broker.subscribe("homie/5/+/$description")
        console.broker.subscribe("homie/5/+/$state")
        heard = console.hear(LOOK_S)
    devices: dict[str, Device] = {}
    states: dict[str, State] = {}
    for message in heard:
        device_id = message.topic.split("/")[2]
        try:
            if message.topic.endswith("$state"):
                states[device_id] = homie.parse_state(message.payload)
            else:
                devices[device_id] = homie.parse_description(device_id, message.payload)
        except Malformed as error:
            click.echo(f"{device_id}: {error.message(voice.lang)}", err=True)
    for device_id, device in sorted(devices.items()):
        own = states.get(device_id, State.LOST)
        state = homie.effective_state(own, states.get(device.root) if device.root else None)
        line = f"{device_id}\t{state.value}\t{device.type}\t{device.name}"
        voice.say(
            line, line, device=device_id, state=state.value, type=device.type, name=device.name, parent=device.parent
        )


@main.command(help="显示一台设备的读数。")
@click.argument("device")
@click.option("--seconds", default=10.0, show_default=True, help="看多久")
@broker_options
@pass_voice
def watch(voice: Voice, address: BrokerAddress, device: str, seconds: float) -> None:
    """Readings of one device as they come."""
    with Console(address) as console:
        console.broker.subscribe(f"homie/5/{device}/#")
        if homie.is_id(device) is False or console.wait_for(_describes, LOOK_S) is None:
            raise RobotError(
                "no_robot", f"没有这台设备：{device}。labkit list 列出在的设备", f"no device {device}: see labkit list"
            )
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            message = console.wait_for(lambda m: not m.topic.endswith("$description"), left)
            if message is None:
                break
            name = message.topic.removeprefix(f"homie/5/{device}/")
            text = message.payload.decode("utf-8", "replace")
            voice.say(f"{name}\t{text}", f"{name}\t{text}", property=name, value=text, retained=message.retained)


def _describes(message: Message) -> bool:
    return message.topic.endswith("/$description") and bool(message.payload)


@main.command(help="驾驶一台小车（需要有权直接写设备的账号），到时停车并等待确认。")
@click.argument("device")
@click.option("--linear", default=0.0, help="米/秒")
@click.option("--angular", default=0.0, help="弧度/秒，左转为正")
@click.option("--seconds", default=1.0, show_default=True, help="开多久，最长 10 秒")
@broker_options
@pass_voice
def drive(voice: Voice, address: BrokerAddress, device: str, linear: float, angular: float, seconds: float) -> None:
    """Drive for a while, then stop and wait for the proof."""
    try:
        with Lab(address) as lab, lab.robot(device) as robot:
            robot.drive(linear, angular, seconds)
    except RobotError as error:
        if error.code != "not_stopped":
            raise
        _tell_stopped(voice, device, confirmed=False)
        sys.exit(1)
    _tell_stopped(voice, device, confirmed=True)


@main.command(help="停止：给出设备名，或用 --room 停止整间教室。未确认的会列出，退出码 1。")
@click.argument("devices", nargs=-1)
@click.option("--room", help="教室代号")
@broker_options
@pass_voice
def stop(voice: Voice, address: BrokerAddress, devices: tuple[str, ...], room: str | None) -> None:
    """Stop devices or a whole room."""
    if not devices and not room:
        raise click.UsageError("请给出设备名或 --room / name a device or --room")
    if room:
        with Console(address) as console:
            _stop_room(voice, console, room)
        return
    with Lab(address) as lab:
        confirmed = _stop_each(voice, lab, devices)
    sys.exit(0 if confirmed else 1)


@main.command(help="让设备亮灯或鸣叫，认出是哪一台。")
@click.argument("device")
@broker_options
@pass_voice
def identify(voice: Voice, address: BrokerAddress, device: str) -> None:
    """Blink."""
    with Lab(address) as lab:
        lab.tell(lab.device(device), face.IDENTIFY, b"identify")
    voice.say(f"{device}：已发出", f"{device}: sent", device=device, sent=True)


def _stop_each(voice: Voice, lab: Lab, names: Sequence[str]) -> bool:
    """Stop first, whatever is known of them; then each one's own proof. Whether all have confirmed."""
    for name in filter(homie.is_id, names):
        lab.order(name, face.STOP, b"stop")
    found: dict[str, Device] = {}
    for name in names:
        try:
            found[name] = lab.device(name)
        except RobotError as error:
            voice.say(error.zh, error.en, device=name, stop_confirmed=False, error=error.code)
    stands = lab.stop_all(list(found.values()))
    for name, device in found.items():
        _tell_stopped(voice, name, stands[device.id])
    return len(found) == len(names) and all(stands.values())


def _stop_room(voice: Voice, console: Console, room: str) -> None:
    stop_id = str(uuid.uuid4())
    for topic in (f"zhike/room/{room}/stopped", "zhike/gateway/+/devices", "homie/5/+/$state"):
        console.broker.subscribe(topic)
    answers = RoomAnswers(room, stop_id)
    for known in console.hear(0.1):
        answers.take(known)
    order = {"id": stop_id, "by": "labkit", "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    console.broker.publish(f"zhike/room/{room}/stop", json.dumps(order).encode(), retain=False)
    end = time.monotonic() + CONFIRM_S
    while not answers.complete and (left := end - time.monotonic()) > 0:
        message = console.wait_for(lambda _: True, left)
        if message is not None:
            answers.take(message)
    if not answers.answered:
        voice.say(
            "没有网关回应：请用手拔掉电源",
            "no gateway answered: switch the robots off by hand",
            room=room,
            answered=False,
        )
        sys.exit(1)
    report = answers.report()
    if voice.as_json:
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        _say_report(voice, report)
    sys.exit(1 if report["unconfirmed"] else 0)


def _say_report(voice: Voice, report: dict[str, Any]) -> None:
    for device in report.get("confirmed", []):
        voice.say(f"{device}：已停", f"{device}: stopped")
    for row in report.get("unconfirmed", []):
        voice.say(
            f"{row['device']}（{row['sticker']} 号）未确认：{row['reason']}，请拿起来",
            f"{row['device']} (sticker {row['sticker']}) not confirmed: {row.get('reason_en', row['reason'])}; lift it",
        )


def _tell_stopped(voice: Voice, device: str, confirmed: bool) -> None:
    voice.say(
        f"{device}：{'已停，已确认' if confirmed else '停止未确认，请拿起来'}",
        f"{device}: {'stopped, confirmed' if confirmed else 'stop not confirmed, lift it'}",
        device=device,
        stop_confirmed=confirmed,
    )


commands.add_to(main)

if __name__ == "__main__":
    main()
