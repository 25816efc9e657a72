"""Text kits behind a relay: simulators in a process of their own, a real broker, the gateway as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, KINDS, RunningBroker, launch
from tests.labkit.gateway.conftest import rigs_on
from tests.labkit.gateway.rig import Rig
from tests.labkit.net.relay import Relay
from tests.ports import free_ports

PROFILES = {"tcp": "dji-robomaster-ep", "udp": "ryze-tello-tt"}
WAIT_S = PATIENCE_S


class Net:
    """A lab with text kits ``ep-1`` and ``tello-1`` (those asked for), each behind its relay."""

    def __init__(self, rig: Rig, relays: dict[str, Relay], simulator: subprocess.Popen[bytes]) -> None:
        self.rig, self.relays, self.simulator = rig, relays, simulator

    def changes(self, device: str) -> list[dict[str, Any]]:
        """Every change of a kit's motors; ``at`` is this machine's monotonic clock."""
        path = self.rig.folder / "sim" / "sim" / f"{device}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def moving(self, device: str) -> bool:
        """Whether its motors run."""
        last = self.changes(device)[-1]
        return bool(last["left"] or last["right"])

    def wait_moving(self, device: str, moving: bool, seconds: float = WAIT_S) -> None:
        """Wait until its motors run, or stand."""
        pause, end = threading.Event(), time.monotonic() + seconds
        while self.moving(device) is not moving:
            assert time.monotonic() < end, (self.changes(device)[-5:], self.rig.log.read_text()[-3000:])
            pause.wait(0.01)

    def fly(self, device: str = "tello-1") -> None:
        """The teacher hands it to a terminal (a change of hands in the air would land it) and lets it take off."""
        self.rig.lease(holder=f"t-{device}", device=device, lesson=f"flight {self.rig.seq}")
        pause, end = threading.Event(), time.monotonic() + PATIENCE_S
        while float(self.rig.value("height", device) or 0) < 75:  # just behind a stop a take-off is refused
            if self.rig.value("height", device) in (None, b"0", b"0.0"):
                self.rig.console.publish(f"homie/5/{device}/main/flight/set", b"takeoff")
            assert time.monotonic() < end, f"{device} does not rise\n{self.rig.log.read_text()[-3000:]}"
            pause.wait(0.3)

    def landed(self, device: str = "tello-1") -> None:
        """Wait until it is on the ground."""
        self.rig.wait(lambda: self.rig.value("height", device) in (b"0", b"0.0"), f"{device} does not land")

    def drive(self, device: str, seconds: float = 0.0, **wish: Any) -> None:
        """Wish until it moves, and on for a while; then the terminal dies (says nothing any more)."""
        terminal = f"t-{device}"
        self.rig.lease(holder=terminal, device=device, lesson=f"l{self.rig.seq}")
        pause, end = threading.Event(), time.monotonic() + WAIT_S
        kept = None
        while kept is None or time.monotonic() < kept:
            if device == "tello-1" and self.rig.value("height", device) in (b"0", b"0.0"):
                # A busy machine may have kept it silent for so long that it was landed.
                self.rig.console.publish(f"homie/5/{device}/main/flight/set", b"takeoff")
            self.rig.wish(terminal=terminal, **{"linear_x": 0.2, "ms": 400, **wish})
            if kept is None and self.moving(device):
                kept = time.monotonic() + seconds
            assert time.monotonic() < end, self.rig.log.read_text()[-3000:]
            pause.wait(0.1)


@pytest.fixture(scope="session")
def net_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """The broker that a school has."""
    running = launch(KINDS[-1], tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


def lab_line(device: str, kind: str, port: int, push: int, **more: object) -> str:
    """One device of a lab file."""
    url = f"{kind}://127.0.0.1:{port}?push={push}"
    return json.dumps({"id": device, "profile": PROFILES[kind], "sticker": device, "url": url, **more})


@pytest.fixture(scope="class")
def make_net(net_broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Net]]:
    """Makes labs: ``make_net("tcp", "udp", faults={…})``; the kits are ready when it returns, unless ``ready=False``."""
    nets: list[Net] = []
    with rigs_on(net_broker, tmp_path_factory.mktemp("net")) as make:

        def build(*kinds: str, faults: dict[str, object] | None = None, ready: bool = True) -> Net:
            relays, served, driven = {}, [], []
            for kind in kinds:
                device = {"tcp": "ep-1", "udp": "tello-1"}[kind]
                port, near, far = free_ports(3)
                simulate = {"seed": 5, "start": [0.6, 0.4, 0.0], "faults": faults or {}}
                served.append(lab_line(device, kind, port, near, simulate=simulate))
                relays[device] = Relay(kind, port, (near, far))
                driven.append(lab_line(device, kind, relays[device].port, far))
            rig = make(*driven)
            nets.append(Net(rig, relays, simulators(rig, served)))
            rig.serve()
            if ready:
                for device in relays:
                    rig.until(f"homie/5/{device}/$state", b"ready")
            return nets[-1]

        yield build
        for net in nets:
            net.rig.end()
            net.simulator.terminate()
            assert net.simulator.wait(PATIENCE_S) == 0
            for relay in net.relays.values():
                relay.close()


def simulators(rig: Rig, devices: list[str], run_dir: Path | None = None) -> subprocess.Popen[bytes]:
    """Simulate these devices, in a process of their own."""
    lab: Path = rig.folder / "simulated.yaml"
    lab.write_text("name: gw-sim\nroom: lab1\ndevices:\n" + "".join(f"  - {line}\n" for line in devices))
    url = f"mqtt://127.0.0.1:{rig.broker.config.tcp_port}"
    words = ["--lab", str(lab), "--run-dir", str(run_dir or rig.folder / "sim"), "--broker", url, "--username", ADMIN]
    with (rig.folder / "simulator.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "labkit.cli", "simulate", *words],
            env={**os.environ, "LABKIT_PASSWORD": ADMIN_PASSWORD},
            stderr=log,
        )
