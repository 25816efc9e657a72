"""Brokers and rigs for the gateway's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.labkit.brokers import KINDS, RunningBroker, launch
from tests.labkit.gateway.rig import Rig

MBOT = '{id: mbot-1, profile: makeblock-mbot, sticker: "07", url: "sim://pty"}'


@pytest.fixture(scope="session", params=KINDS[-1:])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """The broker that a school has: Mosquitto where it is installed."""
    running = launch(request.param, tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


@contextmanager
def rigs_on(broker: RunningBroker, folder: Path) -> Iterator[Callable[..., Rig]]:
    """Makes labs with mbot-1 and, if wanted, more devices; ends them and clears their retained topics afterwards."""
    rigs: list[Rig] = []

    def make(*more: str) -> Rig:
        rigs.append(Rig(broker, folder, [MBOT, *more]))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.end()
        rig.kit.close()
        rig.console.publish_all(((topic, b"") for topic in {m.topic for m in list(rig.console.messages)}), retain=True)
        rig.console.leave()
        broker.people.remove(rig.console)


@pytest.fixture
def make_rig(broker: RunningBroker, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Labs of this test."""
    with rigs_on(broker, tmp_path) as make:
        yield make


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A lab with one mBot, served and ready."""
    one = make_rig()
    one.serve()
    one.ready()
    return one
