"""Every shipped profile end to end: simulated kits in a process of their own, a real broker, the gateway, a camera clip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, RunningBroker
from tests.labkit.gateway.conftest import rigs_on
from tests.labkit.gateway.rig import Rig

SIMULATED = [
    '{id: mbot-9, profile: makeblock-mbot, sticker: "09", url: "sim://pty", simulate: {seed: 9}}',
    '{id: uno-1, profile: arduino-firmata-car, sticker: "21", url: "sim://pty", simulate: {seed: 3}}',
    '{id: car-1, profile: zhike-mqtt-car, sticker: "03", url: "mqtt:", simulate: {seed: 5}}',
]


@contextmanager
def simulated(rig: Rig, kits: list[str]) -> Iterator[None]:
    """Run the simulators of a rig's lab; its kits appear at the gateway's ports."""
    url = f"mqtt://127.0.0.1:{rig.broker.config.tcp_port}"
    run_dir = rig.folder / "sim"
    words = ["--lab", str(rig.lab), "--run-dir", str(run_dir), "--broker", url, "--username", ADMIN]
    with (rig.folder / "simulator.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "labkit.cli", "simulate", *words],
            env={**os.environ, "LABKIT_PASSWORD": ADMIN_PASSWORD},
            stderr=log,
        )
    for kit in kits:
        (rig.folder / "dev" / kit).symlink_to(run_dir / "dev" / kit)
    try:
        yield
    finally:
        process.terminate()
        ended = process.wait(PATIENCE_S)
    assert ended == 0


@pytest.fixture(scope="class")
def fleet(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """All kinds of robots and a camera, served and ready."""
    folder = tmp_path_factory.mktemp("fleet")
    camera = f'{{id: cam-1, profile: generic-camera, sticker: "C1", url: "file://{folder}/clip.avi", simulate: {{}}}}'
    with rigs_on(broker, folder) as make:
        rig = make(*SIMULATED, camera)
        with simulated(rig, ["mbot-9", "uno-1"]):
            rig.serve()
            for device in ("mbot-9", "uno-1", "car-1"):
                rig.until(f"homie/5/{device}/$state", b"ready")
            yield rig


def motion(rig: Rig, device: str) -> list[tuple[float, float]]:
    """Wheel speeds that the simulated robot went through."""
    lines = (rig.folder / "sim" / "sim" / f"{device}.jsonl").read_text().splitlines()
    return [(row["left"], row["right"]) for row in map(json.loads, lines)]


class TestFleet:
    """One lab for all of them: what a test disturbs it puts right again."""

    def test_every_robot_drives_and_its_stop_is_confirmed(self, fleet: Rig) -> None:
        devices = ["mbot-9", "uno-1", "car-1"]
        for number, device in enumerate(devices):
            fleet.lease(holder=f"t-lab1-0{number}", device=device, max_linear=0.2)
            for _ in range(3):
                fleet.wish(terminal=f"t-lab1-0{number}", linear_x=0.15, angular_z=0.5, ms=500)
        for device in devices:
            fleet.until(f"homie/5/{device}/main/moving", b"true")
        report = fleet.room_stop()
        assert sorted(report["confirmed"]) == ["car-1", "mbot-1", "mbot-9", "uno-1"], report
        for device in devices:
            fleet.until(f"homie/5/{device}/main/moving", b"false")
            fleet.until(f"homie/5/{device}/main/stop-confirmed", b"true")
            fleet.wait(lambda d=device: int(fleet.value("commands", d) or 0) >= 2, "commands")  # type: ignore[misc]  # a lambda's defaults have no types
            speeds = motion(fleet, device)
            assert any(right > left > 0 for left, right in speeds), speeds
            assert speeds[-1] == (0, 0)

    def test_sensors_and_camera_are_published(self, fleet: Rig) -> None:
        for device, property_id in (("mbot-9", "range"), ("mbot-9", "line"), ("uno-1", "range"), ("uno-1", "battery"),
                                    ("car-1", "range")):  # fmt: skip
            fleet.wait(lambda d=device, p=property_id: fleet.value(p, d) is not None, f"no {property_id} of {device}")  # type: ignore[misc]  # as above
        fleet.until("homie/5/cam-1/$state", b"ready")
        fleet.until("homie/5/cam-1/main/stale", b"false")
        seen = {m.payload for m in fleet.console.messages if m.topic == "homie/5/cam-1/main/faces"}
        fleet.wait(lambda: fleet.value("faces", "cam-1") == b"1", "no face seen")
        fleet.wait(lambda: fleet.value("faces", "cam-1") == b"0", "a face that never goes")
        assert seen <= {b"0", b"1"}

    def test_a_lost_board_is_told_and_listed(self, fleet: Rig) -> None:
        fleet.console.publish("homie/5/car-1/$state", b"lost", retain=True)
        fleet.wait(lambda: bool(fleet.last("homie/5/gw-lab1/$alert/car-1-lost")), "no alert")
        rows = fleet.room_stop()["unconfirmed"]
        assert [(r["device"], r["sticker"], r["code"]) for r in rows] == [("car-1", "03", "lost")]
        fleet.console.publish("homie/5/car-1/$state", b"ready", retain=True)
        fleet.until("homie/5/gw-lab1/$alert/car-1-lost", b"")

    def test_the_list_of_devices_is_published(self, fleet: Rig) -> None:
        rows = json.loads(fleet.last("zhike/gateway/gw-lab1/devices") or b"[]")
        assert {r["device"]: (r["kind"], r["room"], r["sticker"], r["parent"]) for r in rows} == {
            "mbot-1": ("robot", "lab1", "07", "gw-lab1"),
            "mbot-9": ("robot", "lab1", "09", "gw-lab1"),
            "uno-1": ("robot", "lab1", "21", "gw-lab1"),
            "car-1": ("robot", "lab1", "03", ""),
            "cam-1": ("camera", "lab1", "C1", "gw-lab1"),
        }


def test_a_board_that_browns_out_is_set_up_again_and_drives(make_rig: Callable[..., Rig]) -> None:
    faults = "{seed: 1, faults: {brown_out_s: 0.4}}"
    rig = make_rig(f'{{id: uno-2, profile: arduino-firmata-car, sticker: "22", url: "sim://pty", simulate: {faults}}}')
    with simulated(rig, ["uno-2"]):
        rig.serve()
        rig.until("homie/5/uno-2/$state", b"ready")
        rig.lease(device="uno-2")

        def drive_until(done: Callable[[], bool]) -> None:
            for _ in range(150):
                rig.wish(linear_x=0.2, ms=500)
                if done():
                    return
                threading.Event().wait(0.1)
            pytest.fail(rig.log.read_text()[-3000:])

        restarts = rig.log.read_text().count("started anew")
        drive_until(lambda: rig.log.read_text().count("started anew") > restarts)
        before = len(motion(rig, "uno-2"))
        drive_until(lambda: any(speed != (0, 0) for speed in motion(rig, "uno-2")[before:]))
