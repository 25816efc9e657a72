"""``labkit strangers``: boards of other makers that nobody has named; ``labkit adopt``: name one in the lab file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from labkit.adoption import append, entry, own_id
from labkit.commands.console import Console, Voice, as_path, broker_options, pass_voice
from labkit.errors import LabkitError
from labkit.links import BrokerAddress

LOOK_S = 1.0


@click.command(help="列出代理上还没有写进 lab.yaml 的外来板卡（Homie 4/5、ESPHome、Tasmota）。")
@broker_options
@pass_voice
def strangers(voice: Voice, address: BrokerAddress) -> None:
    """All boards that gateways have seen and no lab file names."""
    found = _look(address)
    for row in found.values():
        line = "\t".join((row["id"], row["convention"], row["state"], row["name"], row["url"]))
        voice.say(line, line, **row)
    if not found and not voice.as_json:
        voice.say("没有未认领的板卡", "no unknown boards")


@click.command(help="认领一块外来板卡：把它写进 lab.yaml。STRANGER 是 labkit strangers 列出的第一栏。写好后重启网关。")
@click.argument("stranger")
@click.option("--lab", "lab_file", type=as_path, required=True, help="lab.yaml")
@click.option(
    "--id", "device_id", default="", help="在本实验室的代号（小写字母、数字、连字符）；默认由它自己的名字得出"
)
@click.option("--profile", default="", help="设备档案；默认按它的协议选")
@click.option("--sticker", default="", help="贴纸编号")
@broker_options
@pass_voice
def adopt(
    voice: Voice, address: BrokerAddress, stranger: str, lab_file: Path, device_id: str, profile: str, sticker: str
) -> None:
    """Write a stranger into the lab file, if the file is good afterwards."""
    try:
        row = _look(address).get(stranger)
        if row is None:
            raise LabkitError(
                "no_stranger", f"没有未认领的板卡 {stranger}，用 labkit strangers 查看", f"no unknown board {stranger}"
            )
        chosen = profile or row["profile"]
        if not chosen or not row["url"]:
            raise LabkitError(
                "profile_needed",
                f"{stranger} 没有说清自己是什么：请手工写进 lab.yaml（见档案的 README）",
                f"{stranger} does not say what it is: write it into the lab file by hand",
            )
        name = device_id or own_id(stranger, chosen)
        line = entry(name, chosen, row["url"], sticker)
        append(lab_file, line, name)
    except LabkitError as error:
        voice.fail(error)
        return
    voice.say(
        f"已写进 {lab_file}：{line}\n请给它账号（lms labs credential {name} --board --lab {lab_file}），再重启网关",
        f"written into {lab_file}: {line}\nmake its credential, then start the gateway again",
        device=name,
        line=line,
        lab=str(lab_file),
    )


def _look(address: BrokerAddress) -> dict[str, dict[str, str]]:
    """What all gateways list; a board that one gateway has is no stranger for another."""
    with Console(address) as console:
        console.broker.subscribe("zhike/gateway/+/strangers")
        console.broker.subscribe("zhike/gateway/+/devices")
        heard = console.hear(LOOK_S)
    rows: dict[str, dict[str, str]] = {}
    taken: set[str] = set()
    for message in heard:
        try:
            given = json.loads(message.payload or b"[]")
        except ValueError:
            continue
        for row in given if isinstance(given, list) else []:
            if message.topic.endswith("/devices"):
                taken.add(str(row.get("device", "")))
            else:
                rows[str(row["id"])] = {
                    k: str(row.get(k, "")) for k in ("id", "convention", "name", "state", "url", "profile")
                }
    return {name: row for name, row in sorted(rows.items()) if name not in taken}


COMMANDS = (strangers, adopt)
