"""The demo's lab (演示实验室): simulated robots, a camera that sees a face come and go."""

from __future__ import annotations

from pathlib import Path

import yaml

GATEWAY = "gw-demo"
ROOM = "lab1"
MBOTS = 4
FIRMATA_CARS = 1
MQTT_CARS = 3
CAMERA = "cam-1"


def robots() -> list[str]:
    """Homie ids of the lab's robots."""
    return [name for name, _profile, _url in _robots()]


def _robots() -> list[tuple[str, str, str]]:
    made = [(f"mbot-{number}", "makeblock-mbot", "sim://pty") for number in range(1, MBOTS + 1)]
    made += [(f"uno-{number}", "arduino-firmata-car", "sim://pty") for number in range(1, FIRMATA_CARS + 1)]
    return made + [(f"car-{number}", "zhike-mqtt-car", "mqtt:") for number in range(1, MQTT_CARS + 1)]


def write_lab(folder: Path, *, camera: bool) -> Path:
    """Write ``lab.yaml`` for the gateway and the simulator; stickers run from 01. ``camera``: the vision extra is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    devices: list[dict[str, object]] = [
        {"id": name, "profile": profile, "sticker": f"{number:02d}", "url": url, "simulate": {"seed": number}}
        for number, (name, profile, url) in enumerate(_robots(), 1)
    ]
    if camera:
        clip = (folder / "clip.avi").resolve()
        devices.append(
            {"id": CAMERA, "profile": "generic-camera", "sticker": "C1", "url": f"file://{clip}", "fps": 4, "simulate": {"seed": 1}}
        )
    path = folder / "lab.yaml"
    path.write_text(yaml.safe_dump({"name": GATEWAY, "room": ROOM, "devices": devices}, allow_unicode=True, sort_keys=False), "utf-8")
    return path
