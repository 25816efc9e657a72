"""Boards plugged in, out and into each other's sockets while the gateway runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.errors import BadDocument
from labkit.gateway import Gateway
from labkit.lab import load_lab
from labkit.links import BrokerAddress
from labkit.profiles import load_profile, profiles_dir
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, RunningBroker
from tests.labkit.gateway.rig import Rig
from tests.labkit.identity.bench import Bench

Labs = Callable[..., Rig]


def kit(number: int, url: str) -> str:
    return f'{{id: robot-{number}, profile: makeblock-mbot, sticker: "0{number}", settle_ms: 0, url: "{url}"}}'


HUB = (kit(1, "hub:1-1.1"), kit(2, "hub:1-1.2"))


def alert(rig: Rig, device: str, name: str) -> str:
    return (rig.last(f"homie/5/{device}/$alert/{name}") or b"").decode()


def drive(rig: Rig, device: str) -> None:
    """A pupil with a lease drives."""
    rig.lease(device=device)
    rig.wish(linear_x=0.2, ms=300, device=device)


def moves(rig: Rig, bench: Bench, board: str) -> bool:
    return bool(bench.bodies[board].moving)


def refusal(rig: Rig, device: str) -> str:
    """The code with which the newest command was refused."""
    found = rig.value("refused", device)
    return str(json.loads(found)["code"]) if found else ""


@pytest.mark.parametrize("serials", [("A", "B"), ("", "")], ids=["serial numbers", "no serial numbers"])
def test_two_identical_boards_swapped_are_refused_until_confirmed(
    make_lab: Labs, bench: Bench, serials: tuple[str, str]
) -> None:
    rig = make_lab(*HUB)
    bench.plug("one", "1-1.1", serials[0])
    bench.plug("two", "1-1.2", serials[1])
    rig.serve()
    rig.ready("robot-1")
    rig.ready("robot-2")
    bench.unplug("one", "two")
    rig.until("homie/5/robot-1/$state", b"lost")
    rig.until("homie/5/robot-2/$state", b"lost")
    bench.plug("two", "1-1.1", serials[1])
    bench.plug("one", "1-1.2", serials[0])
    rig.wait(lambda: "未确认" in alert(rig, "robot-1", "unconfirmed"), "no alert of robot-1")
    rig.wait(lambda: "labkit confirm robot-2" in alert(rig, "robot-2", "unconfirmed"), "no alert of robot-2")
    drive(rig, "robot-1")
    rig.wait(lambda: refusal(rig, "robot-1") == "unconfirmed", f"refused: {refusal(rig, 'robot-1')}")
    assert not moves(rig, bench, "two")
    blinks = bench.bodies["two"].blinks
    rig.console.publish("homie/5/robot-1/main/identify/set", "identify")
    rig.wait(lambda: bench.bodies["two"].blinks > blinks, "it does not show itself")
    assert rig.room_stop()["confirmed"] == ["robot-1", "robot-2"], "an unconfirmed board must stop all the same"
    rig.console.publish("homie/5/robot-1/main/confirm/set", "confirm")
    rig.ready("robot-1")
    rig.wait(lambda: not alert(rig, "robot-1", "unconfirmed"), "the alert stays")
    if serials[0]:
        assert rig.last("homie/5/robot-2/$state") == b"init", "one word is not enough for both"
    drive(rig, "robot-1")
    rig.wait(lambda: moves(rig, bench, "two"), "confirmed, and still does not drive")


def test_the_doubt_survives_a_killed_gateway(make_lab: Labs, bench: Bench) -> None:
    rig = make_lab(*HUB)
    bench.plug("one", "1-1.1", "A")
    bench.plug("two", "1-1.2", "B")
    rig.serve()
    rig.ready("robot-1")
    rig.ready("robot-2")
    rig.kill()
    bench.unplug("one", "two")
    bench.plug("two", "1-1.1", "B")
    bench.plug("one", "1-1.2", "A")
    rig.console.messages.clear()
    rig.serve()
    for device in ("robot-1", "robot-2"):
        rig.wait(lambda device=device: bool(alert(rig, device, "unconfirmed")), f"no alert of {device}")  # type: ignore[misc]  # a bound loop variable
        assert rig.last(f"homie/5/{device}/$state") == b"init"


def test_a_board_named_by_serial_number_comes_back_alone_in_another_socket(make_lab: Labs, bench: Bench) -> None:
    rig = make_lab(kit(1, "usb:1a86:7523:A"), kit(2, "auto"))
    bench.plug("one", "1-1.1", "A")
    bench.plug("two", "1-1.2", "B")
    rig.serve()
    rig.ready("robot-1")
    rig.ready("robot-2")
    bench.unplug("one", "two")
    rig.until("homie/5/robot-1/$state", b"lost")
    assert "没有插上" in alert(rig, "robot-1", "unplugged")
    bench.plug("one", "1-1.4", "A")
    bench.plug("two", "1-1.1", "B")
    rig.ready("robot-1")
    rig.ready("robot-2")
    drive(rig, "robot-1")
    rig.wait(lambda: moves(rig, bench, "one"), "it does not drive")
    rig.wait(lambda: rig.last("homie/5/robot-1/health/reconnects") == b"1", "reconnects not counted")
    rig.wait(lambda: float(rig.last("homie/5/robot-1/health/round-trip") or 0) > 0, "no round trip")
    rig.wait(lambda: rig.last("homie/5/robot-1/health/reading-age") == b"0", "no age")


def test_wrong_firmware_is_named_and_right_firmware_drives_without_a_restart(make_lab: Labs, bench: Bench) -> None:
    rig = make_lab(kit(1, "auto"))
    bench.plug("old", "1-1.1", "A", firmware="09.01.001")
    rig.serve()
    rig.wait(lambda: "09.01.001" in alert(rig, "robot-1", "firmware"), "the firmware is not named")
    drive(rig, "robot-1")
    rig.wait(lambda: refusal(rig, "robot-1") == "wrong_firmware", "not refused")
    bench.unplug("old")
    bench.plug("flashed", "1-1.1", "A")
    rig.ready("robot-1")
    rig.wait(lambda: not alert(rig, "robot-1", "firmware"), "the alert stays")


def test_what_a_firmware_lacks_is_named_not_asked_for_and_refused(
    broker: RunningBroker, make_lab: Labs, bench: Bench, tmp_path: Path
) -> None:
    rig = make_lab(kit(1, "auto"))
    folder = tmp_path / "makeblock-mbot"
    shutil.copytree(profiles_dir() / "makeblock-mbot", folder)
    file = folder / "profile.yaml"
    probe = 'probe: {read: firmware, pattern: "^06\\\\.01\\\\."'
    text = file.read_text()
    assert probe in text
    newer = '"^06\\\\.01\\\\.1"'
    file.write_text(text.replace(probe, f"{probe}, abilities: {{line: {newer}, identify: {newer}}}"))
    profile = load_profile(folder)
    bench.plug("one", "1-1.1", "A", firmware="06.01.009")
    address = BrokerAddress("127.0.0.1", broker.config.tcp_port, ADMIN, ADMIN_PASSWORD)
    gateway = Gateway(load_lab(rig.lab, {profile.id: profile}), address, tmp_path)
    gateway.start()
    try:
        rig.ready("robot-1")
        assert "06.01.009 没有：巡线、亮灯鸣叫" in alert(rig, "robot-1", "abilities")
        rig.wait(lambda: rig.value("range", "robot-1") is not None, "no range")
        rig.console.publish("homie/5/robot-1/main/identify/set", "identify")
        rig.wait(lambda: refusal(rig, "robot-1") == "lacking", "not refused")
        assert "亮灯鸣叫" in json.loads(rig.value("refused", "robot-1") or b"{}")["zh"]
        assert rig.value("line", "robot-1") is None and bench.bodies["one"].blinks == 0
        drive(rig, "robot-1")
        rig.wait(lambda: moves(rig, bench, "one"), "what it has does not work")
    finally:
        gateway.stop()


def test_a_vital_ability_belongs_into_the_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "makeblock-mbot"
    shutil.copytree(profiles_dir() / "makeblock-mbot", folder)
    file = folder / "profile.yaml"
    probe = "probe: {read: firmware,"
    file.write_text(file.read_text().replace(probe, f"{probe} abilities: {{stop: x, wings: x, line: '('}},"))
    with pytest.raises(BadDocument) as caught:
        load_profile(folder)
    assert len(caught.value.faults) == 3, caught.value
