"""A gateway shows its serial lines while somebody asks, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from labkit import capture
from labkit.api import lab
from labkit.capture import BusFrame, SerialFrame
from labkit.commands.console import Console
from labkit.simulate.room import Room
from tests.effort import PATIENCE_S

STOP = bytes.fromhex("ff 55 07 00 02 05 00 00 00 00")


def test_a_drive_and_its_stop_are_recorded_from_the_line(room: Room, tmp_path: Path) -> None:
    address, path = room.doors.address, tmp_path / "drive.jsonl"
    words = ["--broker", room.doors.url, "--username", address.username, "--device", "mbot-7", "--mirror", "gw-api"]
    with lab(room.doors.url, address.username, address.password) as one, one.robot("07") as r:
        recording = subprocess.Popen(
            [sys.executable, "-m", "labkit.cli", "record", str(path), *words, "--seconds", "6"],
            env={**os.environ, "LABKIT_PASSWORD": address.password},
        )
        with Console(address) as console:
            console.broker.subscribe("zhike/gateway/gw-api/frames/mbot-7/in")
            assert console.wait_for(lambda _: True, 15), "the gateway mirrors nothing"
        for _ in range(3):
            r.drive(0.2, seconds=0.3)
    assert recording.wait(PATIENCE_S) == 0
    frames = list(capture.read(path))
    serial = [frame for frame in frames if isinstance(frame, SerialFrame)]
    assert {frame.device for frame in serial} == {"mbot-7"}
    assert any(frame.to_kit and STOP in frame.data for frame in serial), "the stop went by unseen"
    assert any(frame.to_kit and b"\xff\x55\x06\x00\x02\x0a\x09" in frame.data for frame in serial), "and the motor too"
    assert any(not frame.to_kit and frame.data.endswith(b"\r\n") for frame in serial)
    assert any(isinstance(frame, BusFrame) and frame.topic.endswith("/main/moving") for frame in frames)
    assert [frame.t for frame in frames] == sorted(frame.t for frame in frames)


def test_nothing_is_mirrored_unasked(room: Room) -> None:
    with Console(room.doors.address) as console:
        console.broker.publish("zhike/gateway/gw-api/mirror", b'{"devices": ["nobody"]}', qos=1, retain=False)
        console.broker.flush(2.0)
        console.broker.subscribe("zhike/gateway/gw-api/frames/#")
        console.broker.subscribe("homie/5/mbot-7/main/range")
        heard = console.hear(1.5)
    assert [m for m in heard if m.topic.endswith("range")], "the kit is polled"
    assert not [m for m in heard if "/frames/" in m.topic]
