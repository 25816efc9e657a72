"""The lab before the lesson: what is said, about which seat and sticker, and how long it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labkit.gateway.worker import REASONS
from labkit.health import Health
from labkit.lab_check import FIX, REMEDIES, WATCH, Facts, alerts_of, judge
from labkit.model import Kind, State, Title
from labkit.profiles import load_profile, profiles_dir
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD
from tests.labkit.gateway.rig import ROOM, Rig
from tests.labkit.identity.bench import Bench

WELL = Facts("mbot-7", Kind.ROBOT, "07", "03", "mBot", "gw-1", State.READY, State.READY, proved=True)


def codes(facts: Facts) -> list[tuple[str, str]]:
    return [(f.level, f.code) for f in judge([facts])]


def with_health(**values: str) -> Facts:
    return replace(WELL, values={f"health/{name.replace('_', '-')}": value for name, value in values.items()})


def test_a_device_that_is_well_has_nothing_to_fix() -> None:
    assert codes(with_health(battery="88.0", round_trip="12.0", reading_age="0", reconnects="1")) == []


def test_a_gateways_wrong_clock_is_said_once() -> None:
    gateway = {"clock": "电脑的时钟快了 8 小时：打开自动校时", "mbot-8-lost": "x"}
    told = alerts_of("mbot-7", {}, gateway, ["mbot-7", "mbot-8"])
    (found,) = judge([replace(WELL, alerts=told), replace(WELL, device="mbot-9", alerts=told)])
    assert (found.level, found.code, found.zh) == (WATCH, "clock", "gw-1 电脑的时钟快了 8 小时：打开自动校时")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(WELL, state=None), (FIX, "unseen")),
        (replace(WELL, state=State.LOST, alerts={"unplugged": "x"}), (FIX, "unplugged")),
        (replace(WELL, state=State.INIT, alerts={"unconfirmed": "x"}), (FIX, "unconfirmed")),
        (replace(WELL, state=State.INIT), (FIX, "not-ready")),
        (replace(WELL, proved=False, why="没有回应"), (FIX, "stop")),
        (with_health(battery="12.0"), (FIX, "battery")),
        (with_health(battery="33.0"), (WATCH, "battery")),
        (replace(WELL, values={"main/battery": "9"}), (FIX, "battery")),
        (replace(WELL, kind=Kind.TERMINAL, state=State.LOST, proved=None), (WATCH, "terminal")),
        (replace(WELL, alerts={"abilities": "固件 1 没有：巡线"}), (WATCH, "abilities")),
        (replace(WELL, alerts={"shelf": "柜门没关"}), (FIX, "shelf")),
        (with_health(round_trip="900.0"), (WATCH, "slow")),
        (with_health(reading_age="40"), (WATCH, "old")),
        (with_health(reconnects="9"), (WATCH, "loose")),
    ],
)
def test_what_is_found(facts: Facts, expected: tuple[str, str]) -> None:
    assert codes(facts) == [expected]


def test_findings_name_seat_and_sticker_and_a_gateway_only_once() -> None:
    ill = replace(WELL, state=State.LOST, alerts={"no-answer": "没有回应"})
    assert judge([ill])[0].where == "座位 03 · 07 号"
    assert judge([replace(ill, seat="", sticker="")])[0].where == "mbot-7"
    gone = [replace(ill, device=f"mbot-{n}", root=State.LOST) for n in range(5)]
    assert [(f.device, f.code) for f in judge(gone)] == [("gw-1", "gateway")]


def test_old_firmware_does_not_hide_a_stop_that_was_not_proved() -> None:
    old = replace(WELL, alerts={"abilities": "固件 1 没有：巡线"}, proved=False)
    assert codes(old) == [(WATCH, "abilities"), (FIX, "stop")]


def test_a_bare_reason_gets_its_remedy() -> None:
    for alert, (bare, zh, _) in REMEDIES.items():
        assert REASONS.get(alert.replace("-", "_"), Title(bare, "")).zh == bare
        assert judge([replace(WELL, alerts={alert: bare})])[0].zh == zh
    assert judge([replace(WELL, alerts={"lost": "小车 08：失去连接"})])[0].zh == REMEDIES["lost"][1]


@pytest.mark.parametrize(
    ("alert", "text"),
    [
        ("no-answer", "收不到状态数据：请让防火墙放行这个 UDP 端口"),
        ("unreachable", "本机的 UDP 端口 8890 被别的程序占用"),
        ("camera", "没有安装视觉软件包：请安装 zhike[vision]"),
        ("firmware", "固件不对：读到 '09.01.001'，应符合 ^06；请重新烧录"),
    ],
)
def test_an_alert_that_names_the_cause_is_told_as_it_stands(alert: str, text: str) -> None:
    ill = replace(WELL, state=State.INIT, alerts={alert: text})
    assert [f.zh for f in judge([ill])] == [text]


def test_seats_are_counted_as_people_do() -> None:
    ill = [replace(WELL, seat=seat, sticker=seat, state=State.LOST) for seat in ("10", "A2", "9", "A10", "")]
    assert [f.seat for f in judge(ill)] == ["", "A2", "A10", "9", "10"]


def test_a_board_speaks_through_its_gateway() -> None:
    told = {"car-1-lost": "1", "car-11-lost": "11"}
    assert alerts_of("car-1", {}, told, ["car-1", "car-11"]) == {"lost": "1"}
    assert alerts_of("car-11", {}, told, ["car-1", "car-11"]) == {"lost": "11"}


def test_round_trip_age_and_reconnects() -> None:
    health = Health(load_profile(profiles_dir() / "makeblock-mbot"))
    assert health.due(0.0) == {"reconnects": 0}
    health.connected()
    for turn in range(9):
        health.asked("range", 10.0 + turn)
        health.asked("range", 10.005 + turn)
        health.answered("range", 10.02 + turn + (3.0 if turn == 4 else 0.0))
    health.answered("range", 19.0)
    assert health.due(20.5) == {"round-trip": 20.0, "reading-age": 1, "reconnects": 0}
    health.connected()
    assert health.due(21.0) == {}
    assert health.due(26.0) == {"reading-age": 7, "reconnects": 1}


def run(rig: Rig, *words: str) -> tuple[int, str]:
    url = f"mqtt://127.0.0.1:{rig.broker.config.tcp_port}"
    done = subprocess.run(
        [sys.executable, "-m", "labkit.cli", *words, "--broker", url, "--username", ADMIN],
        env={**os.environ, "LABKIT_PASSWORD": ADMIN_PASSWORD}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def line(number: int, socket: str) -> str:
    url = f"hub:{socket}"
    return (
        f'{{id: robot-{number}, profile: makeblock-mbot, sticker: "{number:02}", seat: "{number + 10}", '
        f'settle_ms: 0, url: "{url}"}}'
    )


def test_the_command_names_what_to_fix_by_seat_and_sticker(make_lab: Callable[..., Rig], bench: Bench) -> None:
    rig = make_lab(
        line(1, "1-1.1"), line(2, "1-1.2"), line(3, "1-1.3"), '{id: car-1, profile: zhike-mqtt-car, url: "mqtt:"}'
    )
    bench.plug("good", "1-1.1", "A")
    bench.plug("old", "1-1.2", "B", firmware="09.01.001")
    rig.serve()
    rig.ready("robot-1")
    rig.wait(lambda: bool(rig.last("homie/5/robot-2/$alert/firmware")), "firmware")
    rig.wait(lambda: bool(rig.last("homie/5/robot-3/$alert/unplugged")), "unplugged")
    code, text = run(rig, "lab-check", "--room", ROOM)
    assert code == 1
    lines = text.splitlines()
    assert [words.split("：")[0] for words in lines[:3]] == [
        "要修  car-1",
        "要修  座位 12 · 02 号",
        "要修  座位 13 · 03 号",
    ]
    assert "09.01.001" in lines[1] and "没有插上" in lines[2]
    code, text = run(rig, "lab-check", "--json")
    found: dict[str, Any] = json.loads(text)
    assert (code, found["ok"], found["devices"], found["stops_proved"]) == (1, False, 4, 1)
    assert found["seconds"] < 30
    assert {(f["device"], f["code"]) for f in found["findings"]} == {
        ("car-1", "unseen"), ("robot-2", "firmware"), ("robot-3", "unplugged"),
    }  # fmt: skip
    rig.kill()
    rig.until("homie/5/gw-lab1/$state", b"lost")
    code, text = run(rig, "lab-check")
    assert code == 1 and "网关 gw-lab1 没有运行" in text and "robot-1" not in text


def test_a_robot_in_use_is_not_stopped_and_confirm_waits_for_ready(make_lab: Callable[..., Rig], bench: Bench) -> None:
    rig = make_lab(line(1, "1-1.1"))
    bench.plug("one", "1-1.1", "A")
    rig.serve()
    rig.ready("robot-1")
    rig.lease(device="robot-1")
    code, text = run(rig, "lab-check", "--json")
    assert (code, json.loads(text)["stops_proved"]) == (0, 0)
    bench.unplug("one")
    rig.until("homie/5/robot-1/$state", b"lost")
    bench.plug("other", "1-1.1", "B")
    rig.wait(lambda: bool(rig.last("homie/5/robot-1/$alert/unconfirmed")), "no alert")
    code, text = run(rig, "lab-check")
    assert code == 1 and "座位 11 · 01 号" in text and "另一块板子" in text
    code, text = run(rig, "confirm", "robot-1")
    assert code == 0, text
    rig.release("robot-1")
    code, text = run(rig, "lab-check", "--json")
    assert (code, json.loads(text)["stops_proved"]) == (0, 1), text


def test_forty_devices_are_checked_well_within_half_a_minute(make_lab: Callable[..., Rig], tmp_path: Path) -> None:
    """36 that are well, two with the wrong firmware, one that answers nothing, one that is not plugged in."""
    ill = {3: "faults: {firmware: '09.01.001'}, ", 4: "faults: {firmware: '09.01.001'}, ", 5: "faults: {deaf: true}, "}
    lines = [
        f'{{id: r-{n:02}, profile: makeblock-mbot, sticker: "{n:02}", seat: "{n}", url: "hub:1-1.{n}", '
        f'simulate: {{{ill.get(n, "")}usb: "1a86:7523:S{n}@1-1.{n if n != 6 else 99}"}}}}'
        for n in range(1, 41)
    ]
    rig = make_lab(*lines)
    where = ["--lab", str(rig.lab), "--run-dir", str(tmp_path)]
    with subprocess.Popen([sys.executable, "-m", "labkit.cli", "simulate", *where]) as simulator:
        try:
            rig.serve()
            well = [n for n in range(1, 41) if n not in (*ill, 6)]
            rig.wait(lambda: all(rig.last(f"homie/5/r-{n:02}/$state") == b"ready" for n in well), "not ready")
            rig.wait(lambda: bool(rig.last("homie/5/r-05/$alert/no-answer")), "the deaf one")
            code, text = run(rig, "lab-check", "--json")
        finally:
            simulator.terminate()
    found: dict[str, Any] = json.loads(text)
    assert (code, found["devices"], found["stops_proved"]) == (1, 40, 36), found
    assert found["seconds"] < 30
    assert [(f["seat"], f["sticker"], f["code"]) for f in found["findings"]] == [
        ("3", "03", "firmware"), ("4", "04", "firmware"), ("5", "05", "no-answer"), ("6", "06", "unplugged"),
    ]  # fmt: skip
