"""Simulators as real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.effort import PATIENCE_S
from tests.labkit.simulate.labs import Line, Simulation, write_lab

Start = Callable[..., Simulation]


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Start]:
    """Starts a simulator for the devices given; ends it afterwards."""
    running: list[Simulation] = []

    def start(*devices: dict[str, object], arguments: tuple[str, ...] = ()) -> Simulation:
        running.append(Simulation(write_lab(tmp_path, *devices), tmp_path / "run", *arguments))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(PATIENCE_S)


@pytest.fixture
def plug() -> Iterator[Callable[..., Line]]:
    """Opens a serial line; closes it afterwards."""
    lines: list[Line] = []

    def open_line(port: Path, baud: int = 115200) -> Line:
        lines.append(Line(port, baud))
        return lines[-1]

    yield open_line
    for line in lines:
        line.close()
