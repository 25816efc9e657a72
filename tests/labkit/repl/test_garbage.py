"""Noise on the wire, on both ends: no worker dies, no motor leaves its limits, and afterwards the kit still stops and drives."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.codecs.raw_repl import RawReplCodec
from labkit.gateway.mailbox import Came, SetOrder
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults
from labkit.simulate.physics import Pose, school_table
from labkit.simulate.repl_board import ReplBoard
from tests.effort import examples
from tests.labkit.benchtop import lab_of
from tests.labkit.repl.conftest import BOARDS, ReplBench

Make = Callable[..., ReplBench]


@pytest.mark.parametrize("profile", BOARDS)
def test_bytes_that_no_board_sends_do_not_end_the_worker(bench: Make, profile: str) -> None:
    kit = bench(profile)
    kit.ready()
    chance = random.Random(7)
    for size in [1, 3, 40, 400, 4000]:
        kit.worker.mailbox.put(Came(chance.randbytes(size)))
    for text in (
        b"\x04\x04>OK",
        b"OK=range 1e999\r\n",
        b"=range nan\r\n",
        b"! 0 0\r\n",
        b">>> ",
        b"raw REPL; CTRL-B to exit\r\n>",
    ):
        kit.worker.mailbox.put(Came(text))
    for payload in (b"", b"9999", b"-256", b"NaN", b"1e999", b"left", b"\xff", b"0.5"):
        kit.worker.mailbox.put(SetOrder("left", payload))
    assert kit.stop().failure == ""
    kit.ready()
    kit.watch(kit.drives)
    assert kit.worker.is_alive()


@pytest.mark.parametrize("profile", BOARDS)
def test_on_a_noisy_line_the_kit_still_stops(bench: Make, profile: str, tmp_path: Path) -> None:
    kit = bench(profile, noise=0.1, truncate=0.05, lose=0.001)
    kit.until(lambda: kit.state() == b"ready")
    for _ in range(3):
        kit.drive(0.2)
        kit.until_time(time.monotonic() + 0.2)
        kit.stop()
        kit.watch(lambda: not kit.body.moving)
    limits = kit.device.profile.drive
    assert limits
    for line in (tmp_path / "0" / "sim" / "kit-1.jsonl").read_text().splitlines():
        change = json.loads(line)
        assert abs(change["left"]) <= limits.max_mps + 1e-6
        assert abs(change["right"]) <= limits.max_mps + 1e-6
    assert kit.worker.is_alive()


COMMANDS = [
    b"_a(0,-255);_a(1,255);_w()\x04",
    b"_a(1,100)\x04",
    b'print("=range",_r());_w()\x04',
    b"_s()\x04",
    b"\x03\x03\x01",
    b"\x02",
    b"\x04",
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A command that lost some bytes or got others."""
    data = bytearray(draw(st.sampled_from(COMMANDS)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=3))
    return bytes(data)


@pytest.mark.parametrize("profile", BOARDS)
@settings(max_examples=examples(60))
@given(chunks=st.lists(st.binary(max_size=60) | damaged(), max_size=8))
def test_the_simulated_board_survives_any_bytes_and_stops_afterwards(
    tmp_path: Path, profile: str, chunks: list[bytes]
) -> None:
    device = lab_of(tmp_path, profile).devices[0]
    drive = device.profile.drive
    assert drive and device.profile.safety
    motors = MotorLog(tmp_path / "log")
    body = Body(school_table(), Pose(1.0, 1.0, 0.0), drive, 1, motors, 0.0)
    board, now = ReplBoard(device, body, Faults(), 1, 0.0), 0.0
    one = RawReplCodec(device.profile, device.parameters)
    for data in [one.opening(), *one.program(), *chunks]:
        now += 0.02
        board.feed(data, now)
        board.tick(now)
        assert abs(body.left_mps) <= drive.max_mps + 1e-6
    for _ in range(3):
        for data in one.stop(device.profile.actions[device.profile.safety.stop], 0):
            now += 0.02
            board.feed(data, now)
    for _ in range(60):
        now += 0.02
        board.tick(now)
    motors.close()
    assert not body.moving
