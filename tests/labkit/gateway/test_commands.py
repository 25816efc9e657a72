"""The command line against a running gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from labkit import api, homie
from labkit.api import Lab
from labkit.cli import main
from labkit.links import BrokerAddress, Message
from labkit.model import Datatype, Device, Node, Property
from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD
from tests.labkit.gateway.rig import Rig

PROOF = Property("stop-confirmed", Datatype.BOOLEAN)


def labkit(rig: Rig, *words: str, password: str = ADMIN_PASSWORD) -> subprocess.CompletedProcess[str]:
    """Run ``labkit`` as a trusted client."""
    broker = ["--broker", f"mqtt://127.0.0.1:{rig.broker.config.tcp_port}", "--username", ADMIN]
    return subprocess.run(
        [sys.executable, "-m", "labkit.cli", *words, *broker],
        env={**os.environ, "LABKIT_PASSWORD": password},
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip


def here(rig: Rig, *words: str) -> Result:
    """The same in this process."""
    broker = ["--broker", f"mqtt://127.0.0.1:{rig.broker.config.tcp_port}", "--username", ADMIN]
    return CliRunner().invoke(main, [*words, *broker], env={"LABKIT_PASSWORD": ADMIN_PASSWORD})


def test_list_watch_identify_drive_and_stop(rig: Rig) -> None:
    rows = [json.loads(line) for line in labkit(rig, "--json", "list").stdout.splitlines()]
    assert {(r["device"], r["state"], r["parent"]) for r in rows} >= {
        ("gw-lab1", "ready", None),
        ("mbot-1", "ready", "gw-lab1"),
    }

    watched = labkit(rig, "--json", "watch", "mbot-1", "--seconds", "1").stdout.splitlines()
    assert {"main/range", "$state"} <= {json.loads(line)["property"] for line in watched}

    assert labkit(rig, "identify", "mbot-1").returncode == 0
    with rig.kit.changed:
        assert rig.kit.changed.wait_for(lambda: any(device == 0x22 for device, _ in rig.kit.runs), PATIENCE_S)

    drive = labkit(rig, "--json", "drive", "mbot-1", "--linear", "0.2", "--seconds", "0.6")
    assert drive.returncode == 0, drive.stderr
    assert json.loads(drive.stdout) == {"device": "mbot-1", "stop_confirmed": True}
    assert any(any(motors.values()) for _, motors in rig.kit.moved)
    assert rig.kit.standing()

    stop = labkit(rig, "stop", "--room", "lab1")
    assert (stop.returncode, stop.stdout) == (0, "mbot-1：已停\n")
    assert labkit(rig, "--lang", "en", "stop", "mbot-1").stdout == "mbot-1: stopped, confirmed\n"


def test_what_is_not_confirmed_is_named_and_the_exit_code_tells(rig: Rig) -> None:
    rig.kit.mute = True
    stop = labkit(rig, "stop", "--room", "lab1")
    assert stop.returncode == 1
    assert stop.stdout == "mbot-1（07 号）未确认：没有回应，请拿起来\n"
    assert labkit(rig, "stop", "mbot-1").returncode == 1
    nobody = labkit(rig, "stop", "--room", "lab9")
    assert (nobody.returncode, nobody.stdout) == (1, "没有网关回应：请用手拔掉电源\n")


def test_a_room_with_two_gateways_is_stopped_when_both_have_answered(rig: Rig) -> None:
    """The other one is dead, its robots stand in its list: they are named, whatever this one answers."""
    row = {"device": "car-9", "room": "lab1", "kind": "robot", "sticker": "09"}
    rig.console.publish("zhike/gateway/gw-2/devices", json.dumps([row]).encode(), retain=True)
    stop = labkit(rig, "stop", "--room", "lab1")
    assert (stop.returncode, stop.stdout) == (1, "mbot-1：已停\ncar-9（09 号）未确认：网关没有回应，请拿起来\n")
    rig.console.publish("homie/5/car-9/$state", b"disconnected", retain=True)
    assert labkit(rig, "stop", "--room", "lab1").returncode == 0


def test_devices_are_stopped_at_once_and_each_needs_its_own_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    lab = Lab(BrokerAddress.parse("mqtt://127.0.0.1:1"))
    robots = [Device(name, nodes=(Node("main", properties=(PROOF,)),), root="gw-1") for name in ("mbot-1", "mbot-10")]

    def order(device: str, _property: str, _payload: bytes) -> None:
        told.append(device)
        if told == ["mbot-1", "mbot-10"]:
            lab._hear(Message("homie/5/mbot-10/main/stop-confirmed", b"true", False))

    for robot in robots:
        lab._hear(Message(f"homie/5/{robot.id}/$description", homie.describe(robot), True))
        lab._hear(Message(f"homie/5/{robot.id}/main/stop-confirmed", b"true", True))
    monkeypatch.setattr(lab, "order", order)
    monkeypatch.setattr(api, "STOP_S", 0.1)
    assert lab.stop_all(robots) == {"mbot-1": False, "mbot-10": True}
    assert told == ["mbot-1", "mbot-10", "mbot-1"], "a silent one keeps no other waiting and is told again"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["drive", "mbot-1", "--linear", "50"], "速度应在 -0.4 到 0.4 米/秒之间，不是 50"),
        (["drive", "nosuch"], "没有 nosuch 号小车；有：07"),
        (["identify", "nosuch"], "没有这台设备：nosuch"),
        (["watch", "nosuch"], "没有这台设备：nosuch"),
        (["set", "mbot-1", "nosuchprop", "3"], "mbot-1 没有可以设置的 nosuchprop；有："),
        (["set", "mbot-1", "linear-x", "fast"], "linear-x"),
        (["set", "mbot-1", "range", "3"], "没有可以设置的 range"),
    ],
)
def test_what_cannot_be_done_is_said_in_chinese(rig: Rig, words: list[str], said: str) -> None:
    done = here(rig, *words)
    assert (done.exit_code, said in done.stderr, done.stdout) == (1, True, ""), done.output
    assert rig.kit.moved == [] or not any(any(motors.values()) for _, motors in rig.kit.moved)


def test_a_wrong_firmware_is_not_driven_in_silence(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.kit.firmware = "09.02.001"
    rig.serve()
    rig.wait(lambda: bool(rig.last("homie/5/mbot-1/$alert/firmware")), "no alert")
    done = here(rig, "drive", "mbot-1", "--linear", "0.2")
    assert (done.exit_code, "固件" in done.stderr) == (1, True), done.output
    refused = here(rig, "identify", "mbot-1")
    assert (refused.exit_code, refused.stderr) == (1, "mbot-1：固件不对\n"), refused.output
    stopped = here(rig, "stop", "nosuch", "mbot-1")
    assert (stopped.exit_code, stopped.stdout.splitlines()[-1]) == (1, "mbot-1：已停，已确认")
    assert "没有这台设备：nosuch" in stopped.stdout


def test_a_refused_connection_is_told_in_chinese(rig: Rig) -> None:
    refused = labkit(rig, "list", password="wrong")
    assert refused.returncode == 1
    assert "连不上 MQTT 代理" in refused.stderr
    bad = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "list", "--broker", "http://x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (bad.returncode, "代理地址应像" in bad.stderr) == (1, True)


def test_serve_names_the_line_of_a_wrong_lab_file(rig: Rig) -> None:
    rig.lab.write_text("name: gw-lab1\nroom: lab1\ndevices:\n  - {id: x}\n")
    served = labkit(rig, "serve", "--lab", str(rig.lab), "--run-dir", str(rig.folder))
    assert served.returncode == 1
    assert f"{rig.lab}:4: devices.0：缺少 profile、url" in served.stderr
