"""The worker of MicroPython boards against simulated ones: installing, driving, stopping, the board's own deadman."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from labkit.gateway.mailbox import IdentifyOrder
from tests.effort import SOON_S
from tests.labkit.repl.conftest import BOARDS, ReplBench

Make = Callable[..., ReplBench]


@pytest.mark.parametrize("profile", BOARDS)
def test_a_board_gets_its_program_drives_reads_and_stops(bench: Make, profile: str) -> None:
    kit = bench(profile)
    kit.ready()
    kit.drive(0.2)
    kit.watch(lambda: kit.body.left_mps > 0.1 and kit.body.right_mps > 0.1)
    order = kit.stop()
    assert order.failure == ""
    assert not kit.body.moving
    sensor = "range" if "range" in kit.device.profile.properties else "light"
    kit.until(lambda: kit.value(sensor) is not None)
    assert float(kit.value(sensor) or b"nan") > 0
    assert kit.value("stop-confirmed") == b"true"


@pytest.mark.parametrize("profile", BOARDS)
@pytest.mark.parametrize("loop", ["while True:\n pass", "while True:\n try:\n  pass\n except OSError:\n  pass"])
def test_an_endless_loop_on_the_board_is_stopped(bench: Make, profile: str, loop: str) -> None:
    kit = bench(profile)
    kit.ready()
    kit.watch(kit.drives)
    kit.run(loop)
    assert kit.watch(lambda: not kit.body.moving) < SOON_S
    assert kit.stop().failure == ""
    kit.watch(kit.drives)


def test_a_loop_that_swallows_every_interrupt_is_listed_and_the_boards_own_timer_stops_it(bench: Make) -> None:
    kit = bench("esp32-micropython-car")
    kit.ready()
    kit.watch(kit.drives)
    kit.run("while True:\n try:\n  while True:\n   pass\n except:\n  pass")
    assert kit.stop().failure == "no_answer"
    assert not kit.body.moving


def test_a_micro_bit_v1_that_swallows_every_interrupt_is_listed_and_taken_back_after_a_reset(
    bench: Make,
) -> None:
    kit = bench("microbit-car")
    kit.ready()
    kit.watch(kit.drives)
    kit.run("while True:\n try:\n  while True:\n   pass\n except:\n  pass")
    began = time.monotonic()
    assert kit.stop().failure == "no_answer"
    assert time.monotonic() - began < 2 * SOON_S
    assert kit.body.moving  # nothing on a V1 can help: a person has to lift it
    assert kit.value("stop-confirmed") == b"false"
    kit.pause()
    kit.board.power_cycle(time.monotonic())
    kit.go_on()
    kit.watch(lambda: not kit.body.moving)
    kit.until(lambda: kit.state() != b"ready")
    kit.ready()
    assert kit.stop().failure == ""


@pytest.mark.parametrize("profile", BOARDS)
def test_the_boards_own_deadman_stops_it_when_the_guard_is_dead_too(bench: Make, profile: str) -> None:
    kit = bench(profile)
    kit.ready()
    deadman_ms = kit.device.profile.safety.device_deadman_ms if kit.device.profile.safety else None
    assert deadman_ms
    kit.watch(kit.drives)
    kit.pause()
    guard = kit.worker.guard_pid
    assert guard
    os.kill(guard, signal.SIGSTOP)
    kit.go_on()
    try:
        assert kit.watch(lambda: not kit.body.moving) < deadman_ms / 1000 + SOON_S
    finally:
        os.kill(guard, signal.SIGCONT)


@pytest.mark.parametrize("profile", BOARDS)
def test_a_stop_works_when_a_program_has_taken_its_names(bench: Make, profile: str) -> None:
    kit = bench(profile)
    kit.ready()
    kit.watch(kit.drives)
    kit.run("_s=5\n_V=0")
    assert kit.stop().failure == ""
    assert not kit.body.moving


def test_without_its_program_a_driving_board_is_stopped_when_the_port_opens(bench: Make) -> None:
    kit = bench()
    kit.pause()
    kit.board.start("from microbit import *\npin13.write_analog(1000)\npin15.write_analog(1000)\nwhile True:\n pass")
    kit.go_on()
    kit.watch(lambda: kit.body.moving)
    kit.watch(lambda: not kit.body.moving)
    kit.ready()


def test_a_board_that_starts_anew_gets_its_program_again(bench: Make) -> None:
    kit = bench()
    kit.ready()
    kit.watch(kit.drives)
    kit.pause()
    kit.board.power_cycle(time.monotonic())
    kit.go_on()
    kit.until(lambda: kit.state() != b"ready")
    kit.ready()
    kit.watch(kit.drives)


def test_the_wrong_board_gets_no_program_and_is_never_driven(bench: Make) -> None:
    kit = bench(firmware="calculator with nRF52840")
    kit.until(lambda: any("firmware" in topic and "$alert" in topic for topic in kit.notices.values))
    kit.drive(0.2)
    kit.until(lambda: kit.value("refused") is not None)
    assert b"wrong_firmware" in (kit.value("refused") or b"")
    assert kit.state() == b"init"
    assert not kit.body.moving


def test_identify_shows_a_face(bench: Make) -> None:
    kit = bench()
    kit.ready()
    shown = kit.board.shows
    kit.worker.mailbox.put(IdentifyOrder())
    kit.watch(lambda: kit.board.shows >= shown + 2)
