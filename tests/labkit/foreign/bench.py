"""A foreign board's worker without thread and broker: what it is told, and what it publishes and sends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

from labkit import homie
from labkit.codecs.foreign import Send
from labkit.gateway.board import Board
from labkit.gateway.foreign import ForeignKit, Mouth
from labkit.gateway.foreign_homie5 import ForeignHomie5
from labkit.gateway.mailbox import Heard, SetOrder
from labkit.lab import Lab, LabDevice, load_lab
from labkit.links import Broker
from labkit.model import Device, Profile, Value
from labkit.profiles import load_profiles

GATEWAY = "gw-bench"


@cache
def shipped() -> Mapping[str, Profile]:
    """The shipped profiles, read once."""
    return load_profiles()


def lab_of(folder: Path, *devices: str) -> Lab:
    """A lab file with these devices."""
    file = folder / "lab.yaml"
    rows = "".join(f"  - {device}\n" for device in devices)
    file.write_text(f"name: {GATEWAY}\nroom: lab1\ndevices:\n{rows}", encoding="utf-8")
    return load_lab(file, shipped())


def board_of(folder: Path, profile: str, url: str, device_id: str = "kit-1") -> LabDevice:
    """A lab's only device."""
    return lab_of(folder, f'{{id: {device_id}, profile: {profile}, sticker: "F1", url: "{url}"}}').devices[0]


class Wall:
    """Where a notice board hangs: keeps the last payload of every topic, and every event."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.events: list[tuple[str, bytes]] = []

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = True) -> bool:
        """Take a message, as the gateway's connection does."""
        if not retain:
            self.events.append((topic, payload))
        elif payload:
            self.kept[topic] = payload
        else:
            self.kept.pop(topic, None)
        return True


class Bench:
    """One bridged board; `hears` and `set` do what the gateway's threads do."""

    def __init__(self, device: LabDevice) -> None:
        self.device, self.wall = device, Wall()
        self.sent: list[Send] = []
        self.cleared: list[str] = []
        board = Board()
        board.attach(cast(Broker, self.wall))
        self.kit = ForeignKit(device, board, GATEWAY, Mouth(self._say, self.cleared.append))
        self.now = time.monotonic()
        self.kit.begin()

    def _say(self, message: Send) -> bool:
        self.sent.append(message)
        return True

    def hears(self, topic: str, payload: str | bytes, retained: bool = False) -> None:
        """A message comes, now."""
        self.now = time.monotonic()
        data = payload if isinstance(payload, bytes) else payload.encode()
        self.kit.handle(Heard(topic, data, retained))

    def turn(self, seconds: float = 1.0) -> None:
        """Time passes."""
        self.now += seconds
        self.kit.tick(self.now)
        self.kit._flush(self.now)

    def set(self, name: str, payload: str) -> None:
        """A trusted client writes."""
        self.kit.handle(SetOrder(name, payload.encode()))
        self.turn()

    @property
    def shown(self) -> Device:
        """The Homie 5 description."""
        topic = homie.description_topic(self.device.id)
        return homie.parse_description(self.device.id, self.wall.kept[topic])

    def value(self, name: str) -> Value | None:
        """The published value."""
        item = self.shown.property("main", name)
        payload = self.wall.kept.get(homie.value_topic(self.device.id, name))
        return homie.decode(item, payload) if item and payload is not None else None

    @property
    def state(self) -> str:
        """The published state."""
        return self.wall.kept[homie.state_topic(self.device.id)].decode()

    @property
    def refusals(self) -> list[dict[str, object]]:
        """Everything refused so far."""
        topic = homie.value_topic(self.device.id, "refused")
        return [homie.parse_json_object(payload) for at, payload in self.wall.events if at == topic]


class Hub:
    """A foreign Homie 5 root on the bench."""

    def __init__(self, device: LabDevice) -> None:
        self.device, self.wall = device, Wall()
        board = Board()
        board.attach(cast(Broker, self.wall))
        self.kit = ForeignHomie5(device, board, GATEWAY)

    def hears(self, topic: str, payload: str) -> None:
        """A message comes."""
        self.kit.handle(Heard(topic, payload.encode(), False))
