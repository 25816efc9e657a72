"""RoboMaster and Tello end to end: wishes over a real broker, the gateway, its guards, a relay, the simulated kits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from tests.effort import PATIENCE_S, SOON_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD
from tests.labkit.net.conftest import Net

KITS = ["ep-1", "tello-1"]
LEASE_S = 0.5
SLACK_S = SOON_S


@pytest.fixture(scope="class")
def net(make_net: Callable[..., Net]) -> Net:
    """Both kits on a good link."""
    return make_net("tcp", "udp")


def last_stop_s(net: Net, device: str) -> tuple[float, float]:
    """When it was last told to move, and when its motors stood after that."""
    changes = net.changes(device)
    moved = max(number for number, c in enumerate(changes) if c["left"] or c["right"])
    return changes[moved]["at"], changes[moved + 1]["at"]


class TestGoodLink:
    """One lab for all: what a test disturbs it puts right again."""

    @pytest.mark.parametrize("device", KITS)
    def test_it_drives_and_its_stop_is_confirmed(self, net: Net, device: str) -> None:
        if device == "tello-1":
            net.fly()
        net.drive(device, angular_z=0.4)
        speeds = net.changes(device)[-1]
        assert speeds["right"] > speeds["left"] > 0
        report = net.rig.room_stop(devices=[device])
        assert (report["confirmed"], report["unconfirmed"]) == ([device], [])
        assert not net.moving(device)
        net.rig.until(f"homie/5/{device}/main/stop-confirmed", b"true")
        if device == "tello-1":
            net.landed()

    @pytest.mark.parametrize("device", KITS)
    def test_a_dead_client_stops_it_within_the_lease(self, net: Net, device: str) -> None:
        if device == "tello-1":
            net.fly()
        net.drive(device, seconds=1.0)
        net.wait_moving(device, False)
        moved, stood = last_stop_s(net, device)
        told_for = stood - moved
        assert told_for < 1.0 + LEASE_S + SLACK_S
        net.rig.until(f"homie/5/{device}/main/moving", b"false")
        net.rig.until(f"homie/5/{device}/main/stop-confirmed", b"true")
        if device == "tello-1":
            net.landed()

    def test_sensors_are_published(self, net: Net) -> None:
        for device, name in (("ep-1", "range"), ("ep-1", "battery"), ("ep-1", "yaw"), ("tello-1", "battery"),
                             ("tello-1", "controller")):  # fmt: skip
            net.rig.wait(lambda d=device, p=name: net.rig.value(p, d) is not None, f"no {name} of {device}")  # type: ignore[misc]  # a lambda's defaults have no types
        net.rig.until("homie/5/ep-1/main/standing", b"1")

    def test_a_drone_on_the_ground_is_not_driven(self, net: Net) -> None:
        net.landed()
        before = len(net.changes("tello-1"))
        net.rig.lease(holder="t-9", device="tello-1", lesson="grounded")
        net.rig.wish(terminal="t-9", linear_x=0.3, ms=400)
        net.rig.wait(lambda: b'"grounded"' in (net.rig.value("refused", "tello-1") or b""), "not refused")
        assert len(net.changes("tello-1")) == before

    def test_a_drone_hovers_while_it_is_held_and_lands_when_it_is_let_go(self, net: Net) -> None:
        net.fly()
        net.drive("tello-1")
        pause = threading.Event()
        for _ in range(15):
            net.rig.wish(terminal="t-tello-1", linear_x=0.0, ms=400)
            pause.wait(0.1)
        assert not net.moving("tello-1")
        assert float(net.rig.value("height", "tello-1") or 0) >= 75
        net.landed()

    def test_commands_that_do_not_fit_are_refused(self, net: Net) -> None:
        for payload in (b"up", b"takeoff; land", b"", b"\xff", b"takeoff\nemergency"):
            net.rig.console.publish("homie/5/tello-1/main/flight/set", payload)
        for payload in (b"9", b"NaN", b"1e999", b"0.2;quit"):
            net.rig.console.publish("homie/5/ep-1/main/linear-x/set", payload)
        net.drive("ep-1")
        net.wait_moving("ep-1", False)
        assert net.rig.value("height", "tello-1") in (b"0", b"0.0")
        assert "Traceback" not in net.rig.log.read_text()

    def test_identify_blinks(self, net: Net) -> None:
        for device in KITS:
            before = int(net.rig.value("commands", device) or 0)
            net.rig.console.publish(f"homie/5/{device}/main/identify/set", b"identify")
            net.rig.wait(
                lambda d=device, n=before: int(net.rig.value("commands", d) or 0) > n, f"{device} has no light"
            )  # type: ignore[misc]  # as above

    def test_the_command_line_lets_it_take_off(self, net: Net) -> None:
        net.landed()
        url = f"mqtt://127.0.0.1:{net.rig.broker.config.tcp_port}"
        words = ["set", "tello-1", "flight", "takeoff", "--broker", url, "--username", ADMIN]
        env = {**os.environ, "LABKIT_PASSWORD": ADMIN_PASSWORD}
        subprocess.run([sys.executable, "-m", "labkit.cli", *words], env=env, check=True, timeout=PATIENCE_S)
        net.rig.wait(lambda: float(net.rig.value("height", "tello-1") or 0) >= 75, "it does not rise")
        assert net.rig.room_stop(devices=["tello-1"])["confirmed"] == ["tello-1"]
        net.landed()

    def test_a_killed_gateway_leaves_standing_robots(self, net: Net) -> None:
        """The guards outlive it; last, because the lab is served anew."""
        net.fly()
        net.drive("tello-1", seconds=0.3)
        net.drive("ep-1", seconds=0.3)
        net.rig.kill()
        for device in KITS:
            net.wait_moving(device, False)
            moved, stood = last_stop_s(net, device)
            assert stood - moved < 0.3 + LEASE_S + SLACK_S
        net.rig.console.publish("homie/5/tello-1/main/height", b"", retain=True)
        net.rig.serve()
        net.landed()
        assert net.simulator.poll() is None
