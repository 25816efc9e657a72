"""Each profile's recorded capture: its codec and its simulator understand what was said on its line and on the bus."""

from __future__ import annotations

import copy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from labkit import capture, codecs, homie
from labkit.capture import BusFrame, SerialFrame
from labkit.codecs import Noise, Reported, StopProved
from labkit.gateway import face
from labkit.homie import Part
from labkit.lab import LabDevice, load_lab
from labkit.model import MAIN_NODE, Affordance, Device, Profile
from labkit.profiles import profiles_dir
from labkit.simulate import physics
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults
from labkit.simulate.firmata_car import FirmataBoard
from labkit.simulate.mbot import MbotFirmware
from labkit.simulate.physics import Pose

CAPTURES = sorted(profiles_dir().glob("[!_]*/samples/capture.jsonl*"))
FIRMWARES: dict[str, Any] = {"makeblock-mbot": MbotFirmware, "arduino-firmata-car": FirmataBoard}
ADDED = (face.COMMANDS, face.STOP_CONFIRMED, face.REFUSED)
SERIAL = [path for path in CAPTURES if path.parents[1].name in FIRMWARES]


def name(path: Path) -> str:
    return path.parents[1].name


def test_there_are_captures() -> None:
    assert {name(path) for path in CAPTURES} >= {"makeblock-mbot", "arduino-firmata-car", "zhike-mqtt-car"}


@pytest.mark.parametrize("path", SERIAL, ids=name)
def test_the_codec_reads_what_the_kit_said(path: Path, tmp_path: Path) -> None:
    device = _device(path, tmp_path)
    codec = codecs.create(device.profile.transport.codec, device.profile)
    asked = [item for item in device.profile.properties.values() if item.form("readproperty")]
    events, tries = [], 256
    for frame in capture.read(path):
        if isinstance(frame, SerialFrame) and not frame.to_kit:
            events += codec.feed(frame.data)
        elif isinstance(frame, SerialFrame):
            codec = _asking(codec, asked, frame.data, tries)
            codec.expect_stop()
            tries = 1
    assert not [event for event in events if isinstance(event, Noise)]
    assert [event for event in events if isinstance(event, StopProved)]
    readings = [event for event in events if isinstance(event, Reported)]
    assert len(readings) > 10
    for reading in readings:
        item = face.sensor(device.profile.properties[reading.property])
        assert homie.decode(item, homie.encode(item, reading.value)) is not None


@pytest.mark.parametrize("path", SERIAL, ids=name)
def test_the_simulator_drives_and_stands_as_it_was_told(path: Path, tmp_path: Path) -> None:
    device = _device(path, tmp_path)
    assert device.profile.drive
    motors = MotorLog(tmp_path / "motors.jsonl")
    body = Body(physics.school_table(), Pose(0.6, 0.4, 0.0), device.profile.drive, 1, motors, 0.0)
    firmware = FIRMWARES[name(path)](device, body, Faults(), 1, 0.0)
    moved, answers = False, 0
    firmware.feed(codecs.create(device.profile.transport.codec, device.profile).opening(), 3.0)
    for frame in capture.read(path):
        if isinstance(frame, SerialFrame) and frame.to_kit:
            answers += len(firmware.feed(frame.data, 5.0 + frame.t))
            moved = moved or body.moving
    motors.close()
    assert moved and not body.moving
    assert answers


@pytest.mark.parametrize("path", CAPTURES, ids=name)
def test_the_bus_keeps_to_the_description(path: Path) -> None:
    devices: dict[str, Device] = {}
    values = 0
    frames = [frame for frame in capture.read(path) if isinstance(frame, BusFrame)]
    for frame in sorted(frames, key=lambda one: not one.topic.endswith("$description")):
        address = homie.parse_topic(frame.topic)
        if address.part is Part.DESCRIPTION:
            devices[address.device] = homie.parse_description(address.device, frame.payload)
        elif address.part in (Part.VALUE, Part.SET):
            item = devices[address.device].property(address.node, address.property)
            if item is None:
                added = address.node != MAIN_NODE or address.property in ADDED
                assert added, f"{frame.topic} is neither the board's nor the gateway's"
                continue
            homie.decode(item, frame.payload)
            values += 1
    assert values > 10


def _asking(codec: codecs.Codec, items: list[Affordance], data: bytes, tries: int) -> codecs.Codec:
    """The codec after it has asked as the recorded one did: a recording begins in the middle of a conversation."""
    # Read-only mappings cannot be copied and need not be.
    kept = {id(part): part for part in vars(codec).values() if isinstance(part, MappingProxyType | Profile)}
    ahead = copy.deepcopy(codec, dict(kept))
    for _ in range(tries):
        for item in items:
            trial = copy.deepcopy(ahead, dict(kept))
            if trial.read(item) == data:
                return trial
        if items:
            ahead.read(items[0])
    return codec


def _device(path: Path, folder: Path) -> LabDevice:
    """A lab with this profile alone."""
    row = {"id": "kit-1", "profile": name(path), "url": "sim://pty"}
    (folder / "lab.yaml").write_text(yaml.safe_dump({"name": "gw-s", "room": "s", "devices": [row]}))
    return load_lab(folder / "lab.yaml").devices[0]
