"""`labkit bench` runs to its end on a busy machine too and its figures are what they say; ratios are judged by `labkit bench --strict`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.bench.loops import p99_ms
from labkit.bench.run import met


def bench(folder: Path, *words: str) -> dict[str, float]:
    """Run it as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "bench", "--json", "--folder", str(folder), *words],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert isinstance(figures, dict)
    return figures


def test_commands_and_stops_are_measured_both_ways(tmp_path: Path) -> None:
    figures = bench(tmp_path, "--only", "throughput", "--only", "estop", "--seconds", "0.6")
    assert figures["throughput_per_s"] > 20 and figures["bare_per_s"] > 20
    assert figures["direct_per_s"] > 20
    assert 0.05 < figures["throughput_ratio"] < 5
    assert 0 < figures["estop_median_ms"] <= figures["estop_p99_ms"] < 2000, (
        "the list of the unconfirmed comes within 2 s"
    )
    assert figures["estop_ratio"] == pytest.approx(figures["estop_p99_ms"] / figures["bare_estop_p99_ms"], rel=0.02)
    assert figures["command_cpu_us"] > figures["bare_command_cpu_us"] > 0


def test_a_full_room_fits_a_small_computer(tmp_path: Path) -> None:
    figures = bench(tmp_path, "--only", "house", "--seconds", "1")
    assert 0.02 < figures["house_cores"] < 1
    assert 50 < figures["house_rss_mib"] < 250
    assert figures["house_processes"] >= 12, "gateway, broker and ten guards"


def test_p99_is_the_nearest_rank() -> None:
    assert p99_ms([n / 1000 for n in range(1, 101)]) == pytest.approx(99.0)
    assert p99_ms([0.005]) == pytest.approx(5.0)
    assert p99_ms([0.001] * 99 + [1.0] * 2) == pytest.approx(1000.0)


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("throughput_ratio", 0.7, True), ("throughput_ratio", 0.69, False), ("estop_ratio", 3.0, True),
        ("estop_ratio", 3.01, False), ("house_cores", 1.0, False), ("vision_ratio", None, None), ("bare_per_s", 1.0, None),
    ],
)  # fmt: skip
def test_targets(name: str, value: float | None, good: bool | None) -> None:
    assert met(name, value) is good
