"""``labkit lab-check``: the lab before the lesson, and ``labkit confirm``: this board is that device."""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from labkit import homie, lab_check
from labkit.commands.console import Console, Voice, as_path, broker_options, pass_voice
from labkit.errors import LabkitError, Malformed
from labkit.gateway import face
from labkit.homie import Part
from labkit.lab import load_lab
from labkit.lab_check import FIX, Facts, Finding
from labkit.links import BrokerAddress, Message
from labkit.model import Kind, State

LOOK_S = 1.0
QUIET_S = 0.5
STOP_S = 2.5
CONFIRM_S = 4.0
TERMINAL = re.compile(r"t-(.+)-([0-9a-z]+)")


@dataclass
class Seen:
    """Everything that the broker keeps about the lab."""

    listed: dict[str, dict[str, str]] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    alerts: dict[str, dict[str, str]] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    leased: set[str] = field(default_factory=set)
    reports: list[dict[str, object]] = field(default_factory=list)

    def take(self, message: Message, now: datetime) -> None:
        """Note one message; what cannot be read is no news of a device."""
        levels = message.topic.split("/")
        try:
            if levels[:2] == ["zhike", "gateway"] and levels[-1] == "devices":
                for entry in json.loads(message.payload or b"[]"):
                    self.listed[str(entry["device"])] = {**entry, "gateway": levels[2]}
            elif levels[:2] == ["zhike", "room"]:
                self._room(levels, message.payload, now)
            elif levels[0] == homie.DOMAIN:
                self._homie(homie.parse_topic(message.topic), message.payload)
        except (Malformed, ValueError, TypeError, KeyError):
            return

    def _room(self, levels: list[str], payload: bytes, now: datetime) -> None:
        if levels[3] == "stopped":
            self.reports.append(homie.parse_json_object(payload))
        elif levels[3] == "lease" and payload:
            until = datetime.fromisoformat(str(homie.parse_json_object(payload)["until"]))
            if until > now:
                self.leased.add(levels[4])

    def _homie(self, address: homie.Address, payload: bytes) -> None:
        text = payload.decode("utf-8", "replace")
        if address.part is Part.STATE:
            self.states[address.device] = homie.parse_state(payload)
        elif address.part is Part.ALERT:
            told = self.alerts.setdefault(address.device, {})
            told.pop(address.item, None)
            if text:
                told[address.item] = text
        elif address.part is Part.VALUE:
            self.values.setdefault(address.device, {})[f"{address.node}/{address.property}"] = text

    def facts(self, device: str) -> Facts:
        """What is known of one listed device."""
        entry = self.listed[device]
        gateway = entry["gateway"]
        return Facts(
            device=device,
            kind=Kind(entry["kind"]),
            sticker=str(entry.get("sticker", "")),
            seat=str(entry.get("seat", "")),
            title=str(entry.get("title", "")),
            gateway=gateway,
            state=self.states.get(device),
            root=self.states.get(gateway),
            alerts=lab_check.alerts_of(device, self.alerts.get(device, {}), self.alerts.get(gateway, {}), self.listed),
            values=self.values.get(device, {}),
        )


@click.command(
    "lab-check", help="课前检查：所有设备同时检查（小车试停一次），按座位和贴纸号说出要修什么；要修时退出码 1。"
)
@click.option("--room", default="", help="只查一间教室")
@click.option("--lab", "lab_file", type=as_path, help="lab.yaml：也说出网关还不知道的设备")
@click.option("--stop/--no-stop", "try_stop", default=True, show_default=True, help="让不在使用的小车试停一次")
@broker_options
@pass_voice
def check_lab(voice: Voice, address: BrokerAddress, room: str, lab_file: Path | None, try_stop: bool) -> None:
    """Check every device at once and say what to fix."""
    began = time.monotonic()
    with Console(address) as console:
        seen = look(console)
        chosen = [d for d, entry in seen.listed.items() if not room or entry.get("room") == room]
        stopped = stop_all(console, seen, chosen) if try_stop else {}
    facts = [replace(seen.facts(d), **stopped.get(d, {})) for d in chosen]  # type: ignore[arg-type]  # proved and why
    facts += _missing(lab_file, room, seen) if lab_file else []
    facts += _lost_terminals(seen, room)
    if not facts:
        raise LabkitError("no_devices", "没有设备：先启动网关（labkit serve）", "no devices: start the gateway first")
    _tell(voice, facts, lab_check.judge(facts), time.monotonic() - began)


def look(console: Console) -> Seen:
    """What the broker keeps; ends when nothing new has come for a while, at the latest after three times `LOOK_S`."""
    for topic in ("zhike/gateway/+/devices", "zhike/room/+/lease/+", "zhike/room/+/stopped", "homie/5/#"):
        console.broker.subscribe(topic)
    seen, end = Seen(), time.monotonic() + 3 * LOOK_S
    quiet_at = time.monotonic() + LOOK_S
    while time.monotonic() < min(end, quiet_at):
        message = console.wait_for(lambda _: True, QUIET_S)
        if message is None:
            continue
        if message.retained:
            quiet_at = time.monotonic() + QUIET_S
        seen.take(message, datetime.now(UTC))
    return seen


def stop_all(console: Console, seen: Seen, chosen: list[str]) -> dict[str, dict[str, object]]:
    """Let every robot that nobody uses prove a stop, all at once; device → ``proved`` and ``why``."""
    robots = [d for d in chosen if seen.listed[d].get("kind") == Kind.ROBOT.value and d not in seen.leased]
    asked = {d for d in robots if seen.states.get(d) is State.READY}
    rooms: dict[str, list[str]] = {}
    for device in sorted(asked):
        rooms.setdefault(str(seen.listed[device].get("room")), []).append(device)
    seen.reports.clear()
    stop_id = f"check-{uuid.uuid4().hex}"
    for room, devices in rooms.items():
        order = {"id": stop_id, "by": "lab-check", "at": datetime.now(UTC).isoformat(), "devices": devices}
        console.broker.publish(lab_check.stop_topics(room)[0], json.dumps(order).encode(), retain=False)
    answers: dict[str, dict[str, object]] = {}
    end = time.monotonic() + STOP_S
    while answers.keys() < asked and (left := end - time.monotonic()) > 0:
        message = console.wait_for(lambda _: True, left)
        if message is not None:
            seen.take(message, datetime.now(UTC))
        for report in seen.reports:
            if report.get("id") == stop_id:
                answers |= _answers(report)
    return {d: answers.get(d, {"proved": False, "why": "网关没有回应"}) for d in asked}


def _answers(report: dict[str, object]) -> dict[str, dict[str, object]]:
    confirmed, unconfirmed = report.get("confirmed"), report.get("unconfirmed")
    found: dict[str, dict[str, object]] = {}
    for device in confirmed if isinstance(confirmed, list) else ():
        found[str(device)] = {"proved": True}
    for row in unconfirmed if isinstance(unconfirmed, list) else ():
        if isinstance(row, dict):
            found[str(row.get("device"))] = {"proved": False, "why": str(row.get("reason", ""))}
    return found


def _missing(lab_file: Path, room: str, seen: Seen) -> list[Facts]:
    """Devices of the lab file that no gateway knows."""
    lab = load_lab(lab_file)
    return [
        Facts(d.id, d.profile.kind, d.sticker, d.seat, d.title.zh, lab.name, None, seen.states.get(lab.name))
        for d in lab.devices
        if d.id not in seen.listed and room in ("", d.room)
    ]


def _lost_terminals(seen: Seen, room: str) -> list[Facts]:
    """Terminals whose connection broke (``t-<room>-<seat>``); one that was switched off in order is no fault."""
    found = []
    for device, state in seen.states.items():
        match = TERMINAL.fullmatch(device)
        if match and state is State.LOST and device not in seen.listed and room in ("", match[1]):
            found.append(Facts(device, Kind.TERMINAL, seat=match[2], state=state))
    return found


def _tell(voice: Voice, facts: list[Facts], findings: list[Finding], seconds: float) -> None:
    to_fix = [f for f in findings if f.level == FIX]
    if voice.as_json:
        rows = [
            {k: getattr(f, k) for k in ("device", "sticker", "seat", "level", "code", "zh", "en")} for f in findings
        ]
        proved = sum(f.proved is True for f in facts)
        found = {"ok": not to_fix, "devices": len(facts), "stops_proved": proved, "seconds": round(seconds, 2)}
        click.echo(json.dumps(found | {"findings": rows}, ensure_ascii=False))
    else:
        for one in findings:
            mark = ("要修", "FIX") if one.level == FIX else ("留意", "watch")
            voice.say(f"{mark[0]}  {one.where}：{one.zh}", f"{mark[1]}  {one.where_en}: {one.en}")
        bad = len({f.device for f in to_fix})
        voice.say(
            f"{len(facts)} 台设备，{bad} 处要修，用了 {seconds:.1f} 秒" if bad else f"{len(facts)} 台设备都可以上课",
            f"{len(facts)} devices, {bad} to fix, {seconds:.1f} s" if bad else f"all {len(facts)} devices are well",
        )
    sys.exit(1 if to_fix else 0)


@click.command(help="确认：现在插着的板子就是这些设备（先用 labkit identify 看清是哪一台）。")
@click.argument("devices", nargs=-1, required=True)
@broker_options
@pass_voice
def confirm(voice: Voice, address: BrokerAddress, devices: tuple[str, ...]) -> None:
    """Say that the boards which are plugged in now are these devices, and wait until they are ready."""
    failed = False
    with Console(address) as console:
        for device in devices:
            console.broker.subscribe(homie.state_topic(device))
            console.set(device, face.CONFIRM, "confirm")
            topic = homie.state_topic(device)
            ready = console.wait_for(
                lambda m, topic=topic: m.topic == topic and m.payload == b"ready",  # type: ignore[misc]  # bound per turn
                CONFIRM_S,
            )
            failed |= ready is None
            voice.say(
                f"{device}：{'已确认，可以驱动' if ready else '还没准备好：看看它的提示（labkit lab-check）'}",
                f"{device}: {'confirmed, it may be driven' if ready else 'not ready: see labkit lab-check'}",
                device=device,
                ready=ready is not None,
            )
    sys.exit(1 if failed else 0)


COMMANDS = (check_lab, confirm)
