"""Labs whose kits are real things: real firmware in a simulator of its chip, foreign devices, a streaming camera."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, KINDS, RunningBroker, launch
from tests.labkit.gateway.rig import Rig


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """The broker that a school has: Mosquitto where it is installed."""
    running = launch(KINDS[-1], tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def open_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A broker that boards on another network can reach."""
    running = launch(KINDS[-1], tmp_path_factory.mktemp("open-broker"))
    running.process.terminate()
    running.process.wait(PATIENCE_S)
    settings = json.loads(running.config_file.read_text()) | {"tcp_host": "0.0.0.0"}
    running.config_file.write_text(json.dumps(settings))
    running.restart()
    yield running
    running.stop()


@contextmanager
def labs_on(broker: RunningBroker, folder: Path) -> Iterator[Callable[..., Rig]]:
    """Makes labs of the given devices (lines of a lab file), ends them and clears their retained topics afterwards."""
    labs: list[Rig] = []

    def make(*devices: str, broker: RunningBroker = broker) -> Rig:
        labs.append(Rig(broker, folder, list(devices)))
        return labs[-1]

    try:
        yield make
    finally:
        for lab in labs:
            lab.end()
            lab.kit.close()
            topics = {m.topic for m in list(lab.console.messages)}
            lab.console.publish_all(((topic, b"") for topic in topics), retain=True)
            lab.console.leave()
            lab.broker.people.remove(lab.console)


@pytest.fixture
def make_lab(broker: RunningBroker, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Labs of one test."""
    with labs_on(broker, tmp_path) as make:
        yield make


@contextmanager
def driver(lab: Rig, linear_x: float) -> Iterator[subprocess.Popen[bytes]]:
    """A terminal's process that wants to drive all the time, until it is killed."""
    script = Path(__file__).with_name("terminal.py")
    port = str(lab.broker.config.tcp_port)
    process = subprocess.Popen([sys.executable, script, port, ADMIN, ADMIN_PASSWORD, "t-lab1-01", str(linear_x)])
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_S)


def lend(lab: Rig, device: str) -> Rig:
    """A new lease for the terminal, with a gateway that runs and a device that is ready."""
    if lab.gateway is None or lab.gateway.poll() is not None:
        lab.console.messages.clear()
        lab.serve()
    lab.until(f"homie/5/{device}/$state", b"ready")
    lab.release(device)
    lab.lease(device=device)
    return lab
