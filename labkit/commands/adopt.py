"""``labkit strangers``: boards of other makers that nobody has named; ``labkit adopt``: name one in the lab file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import yaml

from labkit.commands.console import Console, Voice, as_path, broker_options, pass_voice
from labkit.errors import BadDocument, LabkitError, Malformed
from labkit.lab import load_lab
from labkit.links import BrokerAddress

LOOK_S = 1.0
_ID = re.compile(r"[a-z0-9]+")


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
        own_id = device_id or (stranger if chosen == "homie5-board" else "-".join(_ID.findall(stranger.lower())))
        line = entry(own_id, chosen, row["url"], sticker)
        append(lab_file, line, own_id)
    except LabkitError as error:
        voice.fail(error)
        return
    voice.say(
        f"已写进 {lab_file}：{line}\n请给它账号（lms labs credential {own_id} --board --lab {lab_file}），再重启网关",
        f"written into {lab_file}: {line}\nmake its credential, then start the gateway again",
        device=own_id,
        line=line,
        lab=str(lab_file),
    )


def entry(device_id: str, profile: str, url: str, sticker: str) -> str:
    """A line of ``devices``; every text is quoted as JSON, which YAML reads."""
    fields = {"id": device_id, "profile": profile, "sticker": sticker, "url": url}
    return "{" + ", ".join(f"{key}: {json.dumps(v, ensure_ascii=False)}" for key, v in fields.items() if v) + "}"


def append(lab_file: Path, line: str, device_id: str) -> None:
    """Add a line at the end of the lab file's devices; raises LabkitError, and leaves the file as it was, when that is not good."""
    before = lab_file.read_text(encoding="utf-8")
    known = load_lab(lab_file)
    indent = next((m[1] for m in re.finditer(r"^( *)- ", before, re.MULTILINE)), "  ")
    text = before if before.endswith("\n") else before + "\n"
    draft = lab_file.with_suffix(".draft.yaml")
    draft.write_text(f"{text}{indent}- {line}\n", encoding="utf-8")
    try:
        after = load_lab(draft)
        if [d.id for d in after.devices] != [*(d.id for d in known.devices), device_id]:
            raise Malformed("devices 不在文件末尾", "devices do not stand at the end of the file")
        draft.replace(lab_file)
    except (BadDocument, Malformed, yaml.YAMLError) as error:
        why = error if isinstance(error, LabkitError) else Malformed(str(error), str(error))
        raise LabkitError(
            "not_adopted", f"没有写进去：{why.zh}\n请手工加上：{line}", f"not written: {why.en}; add by hand: {line}"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


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
    return {own_id: row for own_id, row in sorted(rows.items()) if own_id not in taken}


COMMANDS = (strangers, adopt)
