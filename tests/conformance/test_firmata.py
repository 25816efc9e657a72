"""Arduino's own StandardFirmata on a simulated ATmega328P, driven by the profile of the Firmata car alone."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from labkit.profiles import load_profiles
from tests.conformance.conftest import driver, labs_on, lend
from tests.conformance.uno import Uno
from tests.effort import PATIENCE_S
from tests.labkit.brokers import RunningBroker
from tests.labkit.gateway.rig import Rig

PROFILE = load_profiles()["arduino-firmata-car"]
LEFT, RIGHT = PROFILE.parameters["left_pwm"], PROFILE.parameters["right_pwm"]
FORWARD = {LEFT: 170, RIGHT: 170}  # 0.3 m/s of 0.45 m/s
STANDING = {LEFT: 0, RIGHT: 0}
LEASE_S = 0.5
ON_THE_WAY_S = 2.0
"""Broker, gateway and two slow cores; the lease itself is the gateway's and its guard's."""


@pytest.fixture(scope="module")
def uno(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uno]:
    """A board with its cable plugged in."""
    board = Uno(tmp_path_factory.mktemp("uno") / "tty")
    yield board
    board.end()


@pytest.fixture(scope="module")
def served(broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory, uno: Uno) -> Iterator[Rig]:
    """A lab with the car on it."""
    with labs_on(broker, tmp_path_factory.mktemp("lab")) as make:
        yield make(f'{{id: uno-1, profile: arduino-firmata-car, sticker: "21", url: "serial://{uno.path}"}}')


@pytest.fixture
def lab(served: Rig, uno: Uno) -> Rig:
    """The lab, with the car standing and leased to a terminal."""
    one = lend(served, "uno-1")
    uno.gives(STANDING, 5)
    return one


@pytest.fixture
def driving(lab: Rig, uno: Uno) -> Iterator[subprocess.Popen[bytes]]:
    """A terminal's process that drives the car forward all the time."""
    with driver(lab, 0.3) as process:
        uno.gives(FORWARD, 5)
        yield process


def test_the_firmware_is_read_and_a_stop_is_proved(lab: Rig, uno: Uno, driving: subprocess.Popen[bytes]) -> None:
    assert lab.value("firmware", "uno-1") == b"StandardFirmata.ino 2.4"
    report = lab.room_stop()
    assert (report["confirmed"], report["unconfirmed"]) == (["uno-1"], [])
    assert all(uno.outputs[pin] == 0 for pin in STANDING)


def test_backwards_turns_the_direction_pins(lab: Rig, uno: Uno) -> None:
    with driver(lab, -0.3):
        uno.gives(FORWARD | {PROFILE.parameters["left_dir"]: 255, PROFILE.parameters["right_dir"]: 255}, 5)


def test_voltages_are_read(lab: Rig, uno: Uno) -> None:
    uno.order(f"adc {PROFILE.parameters['light_channel']} 2500")
    lab.wait(lambda: abs(int(lab.value("light", "uno-1") or 0) - 511) <= 3, f"{lab.value('light', 'uno-1')!r}")
    uno.order(f"adc {PROFILE.parameters['light_channel']} 1000")
    lab.wait(lambda: abs(int(lab.value("light", "uno-1") or 0) - 204) <= 3, f"{lab.value('light', 'uno-1')!r}")


def test_outputs_are_0_within_the_lease_of_a_dead_client(lab: Rig, uno: Uno, driving: subprocess.Popen[bytes]) -> None:
    driving.kill()
    took = uno.gives(STANDING, LEASE_S + ON_THE_WAY_S)
    assert took > 0.05, "it stood before its client died"
    lab.until("homie/5/uno-1/main/stop-confirmed", b"true")


def test_outputs_are_0_within_the_lease_of_a_dead_gateway(lab: Rig, uno: Uno, driving: subprocess.Popen[bytes]) -> None:
    assert lab.gateway
    lab.gateway.send_signal(signal.SIGKILL)
    uno.gives(STANDING, LEASE_S + ON_THE_WAY_S)
    lab.gateway.wait(PATIENCE_S)


def test_outputs_are_0_within_the_lease_of_a_broker_that_hangs(
    lab: Rig, uno: Uno, driving: subprocess.Popen[bytes]
) -> None:
    lab.broker.process.send_signal(signal.SIGSTOP)
    try:
        uno.gives(STANDING, LEASE_S + ON_THE_WAY_S)
    finally:
        lab.broker.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    "remains",
    [f"E{LEFT} 64", f"9{LEFT // 8}", "F0", f"F0 6D 0{LEFT}", "F0 79"],
    ids=["a motor's value", "a port", "a sysex", "a question", "a firmware question"],
)
def test_a_stop_after_a_truncated_frame_stops(
    lab: Rig, uno: Uno, driving: subprocess.Popen[bytes], remains: str
) -> None:
    """What is left of a message whose end the cable swallowed lies in the board's parser when the stop comes."""
    driving.send_signal(signal.SIGSTOP)
    uno.order(f"wire {remains.replace(' ', '')}")
    began = time.monotonic()
    report = lab.room_stop()
    assert report["confirmed"] == ["uno-1"]
    assert all(uno.outputs[pin] == 0 for pin in STANDING)
    assert time.monotonic() - began < LEASE_S, "it was the lease that stopped it"


def test_a_board_that_is_reset_stands_and_can_be_driven_again(
    lab: Rig, uno: Uno, driving: subprocess.Popen[bytes]
) -> None:
    uno.order("reset")
    uno.gives(STANDING, 1)
    uno.gives(FORWARD, 10)
    driving.kill()
    uno.gives(STANDING, LEASE_S + ON_THE_WAY_S)
