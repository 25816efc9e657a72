"""``labkit ports``: what is plugged in, and how to name it in lab.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import click

from labkit.binding import FILE
from labkit.commands.console import Voice, as_path, pass_voice
from labkit.ports import lab_ports, system_ports
from labkit.profiles import load_profiles


@click.command(help="列出插着的板子，以及在 lab.yaml 里怎样写它们的 url。")
@click.option("--run-dir", type=as_path, help="网关的运行目录：也说出哪块板子已绑定给哪台设备")
@pass_voice
def ports(voice: Voice, run_dir: Path | None) -> None:
    """Every USB serial port with its names, the profiles that know its USB id, and the device that it is bound to."""
    found = [port for port in (lab_ports(run_dir) if run_dir else system_ports)() if port.kind]
    profiles = load_profiles()
    bound = _bound(run_dir) if run_dir else {}
    for port in found:
        url = f"usb:{port.board}" if port.serial else f"hub:{port.location}"
        fits = [name for name, profile in profiles.items() if port.kind in (usb.lower() for usb in profile.match.usb)]
        device = bound.get(port.board if port.serial else f"{port.board}@{port.location}", "")
        line = f"{url}\t{port.path}\t{port.title}\t{','.join(fits)}\t{device}"
        voice.say(
            line,
            line,
            url=url,
            hub=f"hub:{port.location}",
            path=port.path,
            title=port.title,
            profiles=fits,
            device=device,
        )
    if not found and not voice.as_json:
        voice.say("没有插着的板子（labkit doctor 可查原因）", "nothing is plugged in (labkit doctor tells why)")


def _bound(run_dir: Path) -> dict[str, str]:
    """Board (without a serial number: board and socket) → device, as the gateway has bound them."""
    try:
        rows = json.loads((run_dir / FILE).read_text("utf-8"))["bindings"].items()
    except (OSError, ValueError, KeyError, AttributeError):
        return {}
    return {
        row["board"] if not row["board"].endswith(":") else f"{row['board']}@{row['location']}": device
        for device, row in rows
        if row.get("board")
    }


COMMANDS = (ports,)
