"""The simulated Firmata car, driven by pyFirmata2, the library that schools use, and by raw bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pyfirmata2
import pytest

from tests.effort import PATIENCE_S
from tests.labkit.simulate.conftest import Start
from tests.labkit.simulate.labs import Line, Simulation, drives, firmata_car, stands


@pytest.fixture
def car(simulate: Start) -> Simulation:
    return simulate(firmata_car())


def test_pyfirmata_knows_the_board_drives_it_and_reads_it(car: Simulation) -> None:
    board = pyfirmata2.Arduino(str(car.port("uno-1")), baudrate=57600)
    try:
        # A pty has no DTR line: opening it resets no board, so the version must be asked for.
        board.sp.write(b"\xf9")
        board.samplingOn(50)
        came = threading.Event()
        values: list[float] = []

        def take(value: float) -> None:
            values.append(value)
            came.set()

        board.analog[0].register_callback(take)
        board.analog[0].enable_reporting()
        assert came.wait(PATIENCE_S)
        assert 0 < values[0] <= 1
        assert board.get_firmata_version() == (2, 5)
        board.digital[4].write(0)
        board.get_pin("d:5:p").write(0.5)
        forward = car.wait_motors("uno-1", lambda c: c["left"] > 0)
        assert forward["left"] == pytest.approx(0.5 * 0.45, abs=0.01)
        board.digital[4].write(1)
        car.wait_motors("uno-1", lambda c: c["left"] < 0)
    finally:
        board.exit()


def test_it_says_what_its_pins_can(car: Simulation, plug: Callable[..., Line]) -> None:
    line = plug(car.port("uno-1"), 57600)
    line.quiet(0.2)
    line.send(b"\xf9\xf0\x79\xf7")
    hello = line.until(lambda got: got.endswith(b"\xf7"))
    assert hello.startswith(b"\xf9\x02\x05\xf0\x79\x02\x05S\x00t\x00")
    line.send(b"\xf0\x69\xf7")
    assert line.until(lambda got: got.endswith(b"\xf7")) == b"\xf0\x6a" + b"\x7f" * 14 + bytes(range(6)) + b"\xf7"
    line.send(b"\xf0\x6b\xf7")
    answer = line.until(lambda got: got.endswith(b"\xf7"))
    assert answer.count(b"\x7f") == 20
    assert answer.split(b"\x7f")[5] == bytes([0, 1, 11, 1, 1, 1, 3, 8, 4, 14])


def test_pin_states_prove_a_stop_and_closing_the_port_does_not_stop_it(
    car: Simulation, plug: Callable[..., Line]
) -> None:
    line = plug(car.port("uno-1"), 57600)
    line.quiet(0.2)
    line.send(b"\xf4\x05\x03\xf4\x06\x03\xe5\x48\x01\xe6\x48\x01")
    car.wait_motors("uno-1", lambda c: c["left"] > 0 and c["right"] > 0)
    line.send(b"\xf0\x6d\x05\xf7")
    assert line.until(lambda got: got.endswith(b"\xf7")) == b"\xf0\x6e\x05\x03\x48\x01\xf7"
    line.close()
    again = plug(car.port("uno-1"), 57600)
    again.quiet(0.5)
    assert drives(car.motors("uno-1")[-1])
    again.send(b"\xe5\x00\x00\xe6\x00\x00\xf0\x6d\x05\xf7")
    assert again.until(lambda got: got.endswith(b"\xf7")) == b"\xf0\x6e\x05\x03\x00\xf7"
    assert stands(car.motors("uno-1")[-1])


def test_a_damaged_message_ends_at_the_next_command(car: Simulation, plug: Callable[..., Line]) -> None:
    line = plug(car.port("uno-1"), 57600)
    line.quiet(0.2)
    line.send(b"\xf4\x05\x03" + b"\xe5\x48" + b"\xe6" + b"\x12\x34\x56" + b"\xf0\x79\x01" + b"\xf9")
    assert line.until(lambda got: len(got) >= 3) == b"\xf9\x02\x05"
    assert stands(car.motors("uno-1")[-1])
    line.send(b"\xf4\x7f\x03")
    assert line.until(lambda got: got.endswith(b"\xf7")).startswith(b"\xf0\x71")


def test_digital_and_analogue_reports_come_while_asked_for(car: Simulation, plug: Callable[..., Line]) -> None:
    line = plug(car.port("uno-1"), 57600)
    line.quiet(0.2)
    line.send(b"\xf4\x08\x00\xf4\x0a\x00\xd1\x01")
    report = line.until(lambda got: len(got) >= 3)
    assert report[0] == 0x91
    assert report[1] & 0b101 in (0b101, 0b100, 0b001, 0)
    line.send(b"\xf0\x7a\x32\x00\xf7\xc2\x01")
    assert 8 <= line.quiet(0.8).count(b"\xe2") <= 22
    line.send(b"\xc2\x00")
    line.quiet(0.1)
    assert line.quiet(0.3) == b""
