"""Faults come by their seed: the same seed breaks the same bytes, and about as many as were asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import LabkitError
from labkit.simulate.faults import Faults, FaultyLine, read_faults

REPLIES = [bytes([n % 256, n // 256, 0x55]) for n in range(1000)]


@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1))
def test_a_seed_repeats_itself(seed: int, noise: float, truncate: float) -> None:
    def heard(number: int) -> list[bytes]:
        line = FaultyLine(Faults(noise=noise, truncate=truncate), number)
        return [line.from_kit(reply) for reply in REPLIES[:50]]

    assert heard(seed) == heard(seed)


def test_another_seed_breaks_other_bytes() -> None:
    lines = [FaultyLine(Faults(lose=0.2), seed) for seed in (1, 2)]
    assert lines[0].to_kit(bytes(range(200))) != lines[1].to_kit(bytes(range(200)))


@pytest.mark.parametrize("name", ["noise", "truncate"])
def test_as_many_replies_break_as_were_asked_for(name: str) -> None:
    line = FaultyLine(Faults(**{name: 0.3}), 7)
    broken = sum(line.from_kit(reply) != reply for reply in REPLIES)
    assert 240 < broken < 360
    assert all(FaultyLine(Faults(), 7).from_kit(reply) == reply for reply in REPLIES[:20])


def test_a_deaf_kit_says_nothing_and_a_lost_byte_is_gone() -> None:
    assert FaultyLine(Faults(deaf=True), 1).from_kit(b"ok") == b""
    assert 700 < len(FaultyLine(Faults(lose=0.2), 1).to_kit(bytes(1000))) < 900


@pytest.mark.parametrize("fault", [{"noise": 2}, {"delay_ms": -1}, {"gravity": 1}, {"deaf": 1}, {"firmware": "版本"}])
def test_an_impossible_fault_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(LabkitError, match="mbot-1"):
        read_faults("mbot-1", fault)
