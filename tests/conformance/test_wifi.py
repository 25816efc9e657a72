"""A car on bad Wi-Fi: three of ten packets lost in each direction, then no link at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from labkit.profiles import load_profiles
from tests.conformance.conftest import driver
from tests.conformance.wifi import SCHOOL, Wifi
from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, RunningBroker
from tests.labkit.gateway.rig import Rig

LIST_S = 2.0
DEVICE = '{id: car-1, profile: zhike-mqtt-car, sticker: "03", url: "mqtt:", simulate: {seed: 5}}'
SAFETY = load_profiles()["zhike-mqtt-car"].safety


@pytest.fixture
def wifi() -> Iterator[Wifi]:
    """A network that is still good."""
    network = Wifi()
    yield network
    network.end()


@pytest.fixture
def lab(make_lab: Callable[..., Rig], open_broker: RunningBroker, wifi: Wifi) -> Iterator[Rig]:
    """A lab whose car is behind the Wi-Fi, driven by a terminal that is on the cable."""
    one = make_lab(DEVICE, broker=open_broker)
    url = f"mqtt://{SCHOOL}:{open_broker.config.tcp_port}"
    words = ["simulate", "--lab", str(one.lab), "--run-dir", str(one.folder), "--broker", url, "--username", ADMIN]
    with ExitStack() as running:
        log = running.enter_context((one.folder / "car.log").open("wb"))
        environment = {**os.environ, "LABKIT_PASSWORD": ADMIN_PASSWORD}
        car = wifi.inside(sys.executable, "-m", "labkit.cli", *words)
        running.callback(end, subprocess.Popen(car, env=environment, stderr=log))
        one.serve()
        one.until("homie/5/car-1/$state", b"ready")
        one.lease(device="car-1")
        running.enter_context(driver(one, 0.2))
        one.until("homie/5/car-1/main/moving", b"true")
        yield one


def end(process: subprocess.Popen[bytes]) -> None:
    """kill -9."""
    process.kill()
    process.wait(PATIENCE_S)


def motors(lab: Rig) -> list[dict[str, Any]]:
    """What the car has done with its motors so far."""
    lines = (lab.folder / "sim" / "car-1.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_stop_over_lossy_wifi_is_proved_or_the_car_is_listed_within_2_s(lab: Rig, wifi: Wifi) -> None:
    wifi.lose(30)
    for _ in range(3):
        began = time.monotonic()
        report = lab.room_stop()
        assert time.monotonic() - began < LIST_S
        listed = [robot["device"] for robot in report["unconfirmed"]]
        assert sorted(report["confirmed"] + listed) == ["car-1"]
        if report["confirmed"]:
            assert motors(lab)[-1]["left"] == 0


def test_a_car_without_a_link_stands_and_is_listed_within_2_s(lab: Rig, wifi: Wifi) -> None:
    wifi.lose(30)
    wifi.down()
    cut = time.monotonic()
    report = lab.room_stop()
    assert time.monotonic() - cut < LIST_S
    assert report["confirmed"] == []
    assert [(robot["device"], robot["sticker"]) for robot in report["unconfirmed"]] == [("car-1", "03")]
    lab.until("homie/5/car-1/$state", b"lost")
    assert SAFETY is not None and SAFETY.device_deadman_ms is not None
    last = motors(lab)[-1]
    assert (last["left"], last["right"]) == (0, 0)
    assert last["at"] - cut < SAFETY.device_deadman_ms / 1000 + 0.2, "only its deadman could stop it"
    assert lab.room_stop()["unconfirmed"][0]["code"] == "lost"
    wifi.lose(0)
    wifi.up()
    lab.until("homie/5/car-1/$state", b"ready")
    assert lab.room_stop()["confirmed"] == ["car-1"]
