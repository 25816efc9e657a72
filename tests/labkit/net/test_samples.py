"""The samples of the text kits: what their codec sends and understands, and what their simulator answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labkit import yamlfile
from labkit.codecs import Noise, Reported, create
from labkit.codecs.events import Event
from labkit.codecs.text_sdk import TextCodec
from labkit.lab import load_lab
from labkit.model import Profile
from labkit.profiles import load_profiles
from labkit.simulate.backwards import TextBackwards
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults
from labkit.simulate.physics import Pose, school_table
from labkit.simulate.tello import TelloFirmware

KITS = {"dji-robomaster-ep": TextBackwards, "ryze-tello-tt": TelloFirmware}


def rows() -> list[Any]:
    found = []
    for kit in KITS:
        profile = load_profiles()[kit]
        data = yamlfile.read(Path(profile.folder) / "samples" / "exchanges.yaml").data
        assert isinstance(data, dict)
        found += [pytest.param(profile, row, id=f"{kit}: {row['title']}") for row in data["exchanges"]]
    return found


def codec_of(profile: Profile) -> TextCodec:
    codec = create(profile.transport.codec, profile)
    assert isinstance(codec, TextCodec)
    return codec


def sends(codec: TextCodec, profile: Profile, do: dict[str, Any]) -> bytes:
    if "read" in do:
        return codec.read(profile.properties[do["read"]])
    if "write" in do:
        return b"".join(codec.write(profile.properties[name], value) for name, value in do["write"].items())
    if "drive" in do:
        return codec.drive(*do["drive"])
    number = do["stop"]
    codec.expect_stop(number, 3)
    return b"".join(codec.stop(profile.actions["stop"], 0)).replace(b"{n}", b"%d" % number)


def given(events: list[Event]) -> dict[str, object]:
    return {e.property: e.value for e in events if isinstance(e, Reported)}


def told(events: list[Event]) -> list[str]:
    return [type(e).__name__ for e in events if not isinstance(e, Reported)]


@pytest.mark.parametrize(("profile", "row"), rows())
def test_the_samples_are_what_the_codec_says(profile: Profile, row: dict[str, Any]) -> None:
    codec = codec_of(profile)
    if "do" in row:
        assert sends(codec, profile, row["do"]) == row["sends"].encode()
    answers = row.get("answers", [])
    events = [e for a in ([answers] if isinstance(answers, str) else answers) for e in codec.feed(a.encode())]
    if "pushes" in row:
        events += codec.push(row["pushes"].encode())
    assert (given(events), told(events)) == (row.get("gives", {}), row.get("tells", []))
    later = [e for p in row.get("then_pushes", []) for e in codec.push(p.encode())]
    assert told(later) == row.get("then_tells", [])


@pytest.mark.parametrize(("profile", "row"), [r for r in rows() if "do" in r.values[1]])
def test_the_simulator_answers_the_samples(profile: Profile, row: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    scheme = profile.transport.type
    file.write_text(f"name: gw-x\nroom: r\ndevices: [{{id: kit-1, profile: {profile.id}, url: 'sim://{scheme}'}}]\n")
    device = load_lab(file).devices[0]
    assert device.profile.drive
    lacks = "range" if row["title"].startswith("no range") else ""
    motors = MotorLog(tmp_path / "log")
    body = Body(school_table(), Pose(1.0, 1.0, 0.0), device.profile.drive, 1, motors, 0.0)
    kit = KITS[profile.id](device, body, Faults(lacks=lacks), 1, 0.0)
    codec = codec_of(profile)
    for line in codec.opening().splitlines():
        for answer in kit.feed(line, 0.1):
            codec.feed(answer)
    answers = [a for line in sends(codec, profile, row["do"]).splitlines() for a in kit.feed(line, 0.2)]
    answers += [a for tick in range(60) for a in kit.tick(0.2 + tick / 20)]
    motors.close()
    events = [e for answer in answers for e in codec.feed(answer)]
    assert not [e for e in events if isinstance(e, Noise)]
    if "unknown" not in str(row.get("answers")):
        assert set(row.get("gives", {})) <= set(given(events))
        if "earlier stop" not in row["title"]:
            assert set(row.get("tells", [])) <= set(told(events))
