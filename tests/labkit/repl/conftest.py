"""MicroPython boards on a bench."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit.gateway.repl_kit import ReplKit
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import read_faults
from labkit.simulate.physics import Pose, school_table
from labkit.simulate.repl_board import ReplBoard
from tests.labkit.benchtop import Bench, lab_of
from tests.labkit.brokers import KINDS, RunningBroker, launch
from tests.labkit.gateway.conftest import rigs_on
from tests.labkit.gateway.rig import Rig

BOARDS = ["microbit-car", "esp32-micropython-car", "mpython-handpy"]


class ReplBench(Bench):
    """One board, its worker and its body."""

    def __init__(self, folder: Path, profile: str, faults: dict[str, object]) -> None:
        lab = lab_of(folder, profile)
        device = lab.devices[0]
        assert device.profile.drive
        now = time.monotonic()
        self._log = MotorLog(folder / "sim" / "kit-1.jsonl")
        self.body = Body(school_table(), Pose(1.0, 1.0, 0.0), device.profile.drive, 1, self._log, now)
        self.board = ReplBoard(device, self.body, read_faults(device.id, faults), 1, now)
        super().__init__(folder, lab, self.board, ReplKit)

    def drives(self) -> bool:
        """Drive on, as a hand on the stick does, and look whether the wheels turn."""
        self.drive(0.2)
        return self.body.moving

    def run(self, source: str) -> None:
        """Run a pupil's own program on the board."""
        self.pause()
        self.board.start(source)
        self.go_on()

    def close(self) -> None:
        super().close()
        self._log.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., ReplBench]]:
    """Makes benches; clears them away."""
    made: list[ReplBench] = []

    def make(profile: str = "microbit-car", **faults: object) -> ReplBench:
        made.append(ReplBench(tmp_path / str(len(made)), profile, faults))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """The broker that a school has."""
    running = launch(KINDS[-1], tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


@pytest.fixture
def make_rig(broker: RunningBroker, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Labs of this test: mbot-1 and more devices."""
    with rigs_on(broker, tmp_path) as make:
        yield make
