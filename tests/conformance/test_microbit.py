"""The micro:bit's own MicroPython in QEMU, driven by the profile of the micro:bit car alone."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from labkit.profiles import load_profiles
from tests.conformance.conftest import driver, labs_on, lend
from tests.conformance.microbit import Microbit
from tests.effort import PATIENCE_S
from tests.labkit.brokers import RunningBroker
from tests.labkit.gateway.rig import Rig

PROFILE = load_profiles()["microbit-car"]
LEFT, RIGHT = PROFILE.parameters["left_dir"], PROFILE.parameters["right_dir"]
BACKWARD = {LEFT: 1, RIGHT: 1}
STANDING = {LEFT: 0, RIGHT: 0}
LEASE_S = 0.5
ON_THE_WAY_S = 2.0
"""Broker, gateway, guard, and QEMU's turn on two slow cores; the lease itself is the gateway's and its guard's."""
BUSY_CLOCK_S = 2.0
"""QEMU's clock falls behind while its processor is busy and so is this machine: up to 1.5 s for 1 s were seen."""


@pytest.fixture(scope="module")
def microbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Microbit]:
    """A board with its cable plugged in."""
    board = Microbit(tmp_path_factory.mktemp("microbit"))
    yield board
    board.end()


@pytest.fixture(scope="module")
def served(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory, microbit: Microbit) -> Iterator[Rig]:
    """A lab with the car on it."""
    with labs_on(broker, tmp_path_factory.mktemp("lab")) as make:
        yield make(car(microbit))


def car(board: Microbit) -> str:
    """A line of a lab file."""
    return f'{{id: mb-1, profile: microbit-car, sticker: "41", url: "serial://{board.path}"}}'


@pytest.fixture
def lab(served: Rig, microbit: Microbit) -> Rig:
    """The lab, with the car standing and leased to a terminal."""
    one = lend(served, "mb-1")
    microbit.gives(STANDING, 5)
    return one


@pytest.fixture
def driving(lab: Rig, microbit: Microbit) -> Iterator[subprocess.Popen[bytes]]:
    """A terminal's process that drives the car backwards all the time."""
    with driver(lab, -0.2) as process:
        microbit.gives(BACKWARD, 5)
        yield process


def test_the_firmware_is_read_and_a_stop_is_proved(
    lab: Rig, microbit: Microbit, driving: subprocess.Popen[bytes]
) -> None:
    assert lab.value("firmware", "mb-1") == b"micro:bit with nRF51822"
    report = lab.room_stop()
    assert (report["confirmed"], report["unconfirmed"]) == (["mb-1"], [])
    microbit.gives(STANDING, 0.05)


def test_outputs_are_0_within_the_lease_of_a_dead_client(
    lab: Rig, microbit: Microbit, driving: subprocess.Popen[bytes]
) -> None:
    driving.kill()
    microbit.gives(STANDING, LEASE_S + ON_THE_WAY_S)
    lab.until("homie/5/mb-1/main/stop-confirmed", b"true")


def test_the_boards_own_deadman_stops_it_when_gateway_and_guard_are_dead(
    lab: Rig, microbit: Microbit, driving: subprocess.Popen[bytes]
) -> None:
    assert lab.gateway
    lab.gateway.send_signal(signal.SIGSTOP)  # or it would start another guard
    for process in [*psutil.Process(lab.gateway.pid).children(), lab.gateway]:
        process.send_signal(signal.SIGKILL)
    assert PROFILE.safety and PROFILE.safety.device_deadman_ms
    microbit.gives(STANDING, PROFILE.safety.device_deadman_ms / 1000 + BUSY_CLOCK_S)
    lab.gateway.wait(PATIENCE_S)


@pytest.mark.parametrize(
    "loop",
    [
        f"while True:\n pin{LEFT}.write_digital(1)\n pin{LEFT}.write_digital(0)",
        f"pin{LEFT}.write_digital(1)\nwhile True: pass",
        f"pin{LEFT}.write_digital(1)\nsleep(1000000)",
        f"pin{LEFT}.write_digital(1)\nwhile True: print('x' * 40)",
    ],
    ids=["pins", "pass", "sleep", "print"],
)
def test_an_endless_loop_is_stopped_within_a_second(
    lab: Rig, microbit: Microbit, driving: subprocess.Popen[bytes], loop: str
) -> None:
    driving.send_signal(signal.SIGSTOP)
    microbit.inject(b"\x03\x03" + loop.encode() + b"\x04")
    microbit.gives({LEFT: 1, RIGHT: 1}, 1)
    began = time.monotonic()
    report = lab.room_stop()
    assert time.monotonic() - began < 1.0
    assert report["confirmed"] == ["mb-1"]
    assert not microbit.changes(LEFT), "the loop still runs"
    assert microbit.gives(STANDING, 0.05) < 0.05
    lab.until("homie/5/mb-1/$state", b"ready")
    driving.send_signal(signal.SIGCONT)


def test_a_board_that_hangs_for_ever_is_listed_within_2_s_and_comes_back(lab: Rig, microbit: Microbit) -> None:
    """Not even its interrupt key helps, only its reset button does; the list says for which robot."""
    for attempt in range(4):  # the gateway speaks at the same time: its words and these may spoil each other
        microbit.inject(b"\x03\x03\rtemperature()\x04")
        try:
            lab.until("homie/5/mb-1/$state", b"lost")
            break
        except AssertionError:
            assert attempt < 3, "it does not hang"
    began = time.monotonic()
    report = lab.room_stop()
    assert time.monotonic() - began < 2.0
    assert [(robot["device"], robot["sticker"]) for robot in report["unconfirmed"]] == [("mb-1", "41")]
    microbit.reset()
    lab.until("homie/5/mb-1/$state", b"ready")
    assert lab.room_stop()["confirmed"] == ["mb-1"]
