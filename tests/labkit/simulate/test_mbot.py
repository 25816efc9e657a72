"""The simulated mBot over a real pty behaves as Makeblock's firmware does, with its faults."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from labkit.errors import LabkitError
from labkit.simulate.faults import read_faults
from tests.effort import PATIENCE_S
from tests.labkit.simulate.conftest import Start
from tests.labkit.simulate.labs import Line, drives, mbot, stands

OK = b"\xff\x55\r\n"
VERSION = b"\xff\x55\x03\x07\x01\x00"
VERSION_REPLY = b"\xff\x55\x07\x04\x0906.01.009\r\n"


def motor(port: int, pwm: int) -> bytes:
    return b"\xff\x55\x06\x00\x02\x0a" + bytes([port]) + struct.pack("<h", pwm)


def ultrasonic(index: int) -> bytes:
    return b"\xff\x55\x04" + bytes([index]) + b"\x01\x01\x03"


def number(reply: bytes) -> float:
    assert reply[3] == 2
    assert reply.endswith(b"\r\n")
    return float(struct.unpack("<f", reply[4:8])[0])


@pytest.fixture
def bot(simulate: Start, plug: Callable[..., Line]) -> Line:
    return plug(simulate(mbot()).port("mbot-1"))


def test_it_tells_its_version_and_what_it_sees(bot: Line) -> None:
    assert bot.ask(VERSION, len(VERSION_REPLY)) == VERSION_REPLY
    assert 2 <= number(bot.ask(ultrasonic(9), 10)) <= 400
    assert number(bot.ask(b"\xff\x55\x04\x02\x01\x11\x02", 10)) in (0, 1, 2, 3)
    assert 0 <= number(bot.ask(b"\xff\x55\x04\x03\x01\x03\x06", 10)) <= 1023
    assert bot.ask(b"\xff\x55\x03\x04\x01\x60", 5) == b"\xff\x55\x04\r\n"


def test_it_drives_towards_the_box_and_sees_it_come_nearer(simulate: Start, plug: Callable[..., Line]) -> None:
    running = simulate(mbot(start=[0.4, 0.78, 0.0]))
    bot = plug(running.port("mbot-1"))
    before = number(bot.ask(ultrasonic(1), 10))
    assert bot.ask(motor(9, -200) + motor(10, 200), 8) == OK + OK
    change = running.wait_motors("mbot-1", lambda c: c["left"] > 0 and c["right"] > 0)
    assert change["left"] == change["right"] == pytest.approx(200 / 255 * 0.40, abs=0.001)
    assert number(bot.ask(ultrasonic(2), 10)) <= before + 2
    bot.quiet(0.6)
    assert number(bot.ask(ultrasonic(3), 10)) < before - 10


def test_it_drives_on_when_the_pc_is_gone(simulate: Start, plug: Callable[..., Line]) -> None:
    running = simulate(mbot())
    bot = plug(running.port("mbot-1"))
    bot.ask(motor(9, -80), 4)
    bot.close()
    again = plug(running.port("mbot-1"))
    again.quiet(1.0)
    assert drives(running.motors("mbot-1")[-1])
    again.ask(b"\xff\x55\x07\x00\x02\x05\x00\x00\x00\x00" + b"\xff\x55\x03\x00\x04\x00", 8)
    assert stands(running.motors("mbot-1")[-1])


def test_a_truncated_frame_swallows_the_next_one_and_zeros_set_it_right(
    simulate: Start, plug: Callable[..., Line]
) -> None:
    running = simulate(mbot())
    bot = plug(running.port("mbot-1"))
    # Two bytes short: the next frame's FF 55 becomes the speed, and the car races.
    assert bot.ask(motor(10, 100)[:-2] + VERSION, 4) == OK
    assert running.wait_motors("mbot-1", drives)["right"] == pytest.approx(0.40)
    assert bot.quiet(0.3) == b""
    bot.send(b"\xff\x55\x20\x01" + VERSION)
    assert bot.quiet(0.3) == b""
    bot.send(bytes(52))
    bot.quiet(0.1)
    assert bot.ask(VERSION, len(VERSION_REPLY)) == VERSION_REPLY


def test_one_byte_short_the_next_frame_is_still_found(bot: Line) -> None:
    assert bot.ask(motor(9, -100)[:-1] + VERSION, 4 + len(VERSION_REPLY)) == OK + VERSION_REPLY


def test_the_profiles_own_stop_stops_it_in_the_middle_of_a_frame(simulate: Start, plug: Callable[..., Line]) -> None:
    running = simulate(mbot())
    bot = plug(running.port("mbot-1"))
    bot.ask(motor(9, -80), 4)
    bot.send(b"\xff\x55\x09\x00\x02\x05")
    bot.send(bytes(52) + b"\xff\x55\x07\x00\x02\x05\x00\x00\x00\x00\xff\x55\x03\x00\x04\x00")
    since = len(running.motors("mbot-1")) - 1
    running.wait_motors("mbot-1", stands, since)


def test_noise_and_truncation_follow_the_seed(simulate: Start, plug: Callable[..., Line]) -> None:
    running = simulate(
        mbot("mbot-1", seed=5, faults={"noise": 0.3, "truncate": 0.3}),
        mbot("mbot-2", seed=5, faults={"noise": 0.3, "truncate": 0.3}),
        mbot("mbot-3", seed=6, faults={"noise": 0.3, "truncate": 0.3}),
    )
    heard = []
    for name in ("mbot-1", "mbot-2", "mbot-3"):
        line = plug(running.port(name))
        line.send(VERSION * 40)
        heard.append(line.quiet(0.5))
    assert heard[0] == heard[1]
    assert heard[0] != heard[2]
    assert 5 < heard[0].count(VERSION_REPLY) < 40


def test_lost_bytes_a_wrong_firmware_delay_and_deafness(simulate: Start, plug: Callable[..., Line]) -> None:
    running = simulate(
        mbot("mbot-1", seed=1, faults={"lose": 0.2}),
        mbot("mbot-2", faults={"firmware": "02.00.001"}),
        mbot("mbot-3", faults={"delay_ms": 300}),
        mbot("mbot-4", faults={"deaf": True}),
    )
    one, two, three, four = (plug(running.port(f"mbot-{n}")) for n in (1, 2, 3, 4))
    one.send(VERSION * 40)
    assert one.quiet(0.4).count(VERSION_REPLY) < 30
    assert two.ask(VERSION, 16) == VERSION_REPLY.replace(b"06.01.009", b"02.00.001")
    three.send(VERSION)
    assert three.quiet(0.2) == b""
    assert three.until(lambda got: len(got) >= 16) == VERSION_REPLY
    four.send(motor(9, -90))
    running.wait_motors("mbot-4", drives)
    assert four.quiet(0.2) == b""


def test_a_brown_out_stops_it_and_it_comes_back(simulate: Start, plug: Callable[..., Line]) -> None:
    running = simulate(mbot(faults={"brown_out_s": 0.05}))
    bot = plug(running.port("mbot-1"))
    bot.send(motor(9, -200))
    assert running.wait_motors("mbot-1", lambda c: c["why"] == "brown-out")["left"] == 0
    bot.send(VERSION)
    assert VERSION_REPLY not in bot.quiet(0.5)
    bot.quiet(1.0)
    assert VERSION_REPLY in bot.ask(VERSION, 16)


def test_its_port_is_gone_after_sigterm_and_back_at_the_next_start(simulate: Start) -> None:
    running = simulate(mbot())
    port = running.port("mbot-1")
    assert running.end() == 0
    assert not port.is_symlink()
    killed = simulate(mbot())
    killed.port("mbot-1")
    killed.process.kill()
    killed.process.wait(PATIENCE_S)
    assert port.is_symlink()
    assert not port.exists()
    assert simulate(mbot()).port("mbot-1").exists()


@pytest.mark.parametrize(
    "faults",
    [{"noice": 1}, {"noise": 2}, {"noise": True}, {"delay_ms": -1}, {"delay_ms": 1.5}, {"firmware": 6}, {"deaf": 1}],
)
def test_a_wrong_fault_is_named(faults: dict[str, object]) -> None:
    with pytest.raises(LabkitError, match=next(iter(faults))):
        read_faults("mbot-1", faults)
