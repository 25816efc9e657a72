"""Boards that nobody has named: listed, never told anything; and a broker full of rubbish does not hurt the gateway."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from labkit.boards import space
from labkit.lab import load_lab
from labkit.simulate.foreign_scripts import script
from tests.labkit.foreign.bench import board_of
from tests.labkit.foreign.rig import GATEWAY, ForeignRig
from tests.labkit.foreign.test_gateway import BOARDS
from tests.labkit.foreign.test_hostile import BROKEN

LISTED = f"zhike/gateway/{GATEWAY}/strangers"
ONE = BOARDS[2]
CAR = '{id: mbot-1, profile: makeblock-mbot, sticker: "07", url: "sim://pty"}'


def strangers(rig: ForeignRig) -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in json.loads(rig.last(LISTED) or b"[]")}


@pytest.mark.parametrize(
    ("line", "own_id", "convention"),
    [
        (BOARDS[0], "old-bench", "homie4"),
        (BOARDS[1], "hub-5", "homie5"),
        (BOARDS[2], "plant-1", "homeassistant"),
        (BOARDS[3], "A0B1C2C3D4E5", "tasmota"),
    ],
)
def test_a_stranger_is_listed_and_told_nothing(
    make_rig: Callable[..., ForeignRig], line: str, own_id: str, convention: str
) -> None:
    rig = make_rig(CAR)
    described = rig.folder / "stranger"
    described.mkdir()
    file = described / "lab.yaml"
    file.write_text(f"name: gw-x\nroom: x\ndevices:\n  - {line}\n", encoding="utf-8")
    device = load_lab(file).devices[0]
    said = script(device.profile, space(device.profile, device.id, device.url), 1).hello(0.0)
    rig.console.publish_all(((one.topic, one.payload) for one in said), retain=True)
    rig.serve()
    rig.wait(lambda: own_id in strangers(rig), f"{own_id} is not listed")
    row = strangers(rig)[own_id]
    assert row["convention"] == convention
    # What is listed can be put into the lab file as it stands.
    adopted = board_of(described, row["profile"], row["url"], device.id)
    assert space(adopted.profile, adopted.id, adopted.url) == space(device.profile, device.id, device.url)

    before = len(rig.console.messages)
    for path in ("relay", "bench-level", "level"):
        for name in (device.id, own_id.lower()):
            rig.console.publish(f"homie/5/{name}/main/{path}/set", "true")
    rig.console.publish(f"zhike/gateway/{GATEWAY}/mirror", json.dumps({"devices": []}))
    rig.console.publish("homie/5/mbot-1/main/moving/set", "fence")
    told = [m.topic for m in list(rig.console.messages)[before:] if m.topic.startswith(("homie/old", "plant", "cmnd"))]
    assert told == []
    assert rig.last(f"homie/5/{device.id}/main/refused") is None


def test_a_lab_device_is_no_stranger(make_rig: Callable[..., ForeignRig]) -> None:
    rig = make_rig(*BOARDS)
    rig.boards()
    rig.serve()
    rig.console.publish("homie/wild-1/$homie", "4.0.0", retain=True)
    rig.until("homie/5/bench-4/$state", "ready")
    rig.until("homie/5/plant-1/$state", "ready")
    rig.wait(lambda: "wild-1" in strangers(rig), "wild-1 is not listed")
    assert list(strangers(rig)) == ["wild-1"]


def test_rubbish_is_refused_and_the_gateway_goes_on(make_rig: Callable[..., ForeignRig]) -> None:
    rig = make_rig(*BOARDS)
    rig.boards()
    gateway = rig.serve()
    rig.until("homie/5/plant-1/$state", "ready")
    rig.until("homie/5/bench-4/main/bench-level", "0")
    for number, (_, payload, _) in enumerate(BROKEN):
        for topic in (
            "homeassistant/switch/plant-1/evil/config", f"homeassistant/sensor/unknown-{number}/x/config",
            "homeassistant/climate/plant-1/x/config", "homeassistant/device/plant-1/config",
            "tasmota/discovery/A0B1C2C3D4E5/config", f"tasmota/discovery/{number}/config",
            "homie/old-bench/bench/level", "homie/old-bench/$state", "homie/5/hub-5/$state", "homie/5/leaf-5/$description",
            "class3-07/temperature", "tele/tasmota_C3D4E5/SENSOR", "plant-1/status",
        ):  # fmt: skip
            rig.console.publish(topic, payload)
    for topic in ("homie/$state", "homie/5", "homie/5/", "homie//$homie", "homie/a/b/c/d/e/f", "homeassistant/config"):
        rig.console.publish(topic, b"x")
    rig.console.publish("homie/old-bench/bench/level/set", "99", retain=True)
    rig.console.publish("class3-07/led", "on", retain=True)
    rig.console.publish("homie/5/hub-5/bench/level/set", "99", retain=True)
    rig.console.publish("homie/5/plant-1/main/relay/set", "true", retain=True)

    rig.console.publish("homie/5/plant-1/main/level/set", "7")
    rig.until("homie/5/plant-1/main/level", "7")
    assert gateway.poll() is None
    log = rig.log.read_text()
    assert "Traceback" not in log
    for reason in ("not JSON", "holds NaN", "more than 16384 bytes", "is not this board's", "is not used"):
        assert reason in log, reason


def test_retained_orders_are_taken_away(make_rig: Callable[..., ForeignRig]) -> None:
    rig = make_rig(*BOARDS)
    kept = (
        "homie/old-bench/bench/level/set",
        "homie/5/hub-5/bench/level/set",
        "plant-1/switch/relay/command",
        "class3-07/led",
    )
    rig.console.subscribe(*kept)
    rig.console.publish_all(((topic, b"99") for topic in kept), retain=True)
    rig.serve()
    for topic in kept:
        rig.until(topic, b"")
    again = rig.person("bridge", "a-generated-admin-password")
    again.subscribe(*kept)
    again.publish("class3-07/end", b"fence")
    assert not again.messages
