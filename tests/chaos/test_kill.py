"""``kill -9`` in the middle of a lesson: started again, nothing lost, robots stand within their lease."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from lms.demo import lab, run
from tests.chaos.lesson import Lesson, lesson, settings_of
from tests.chaos.motors import changes, still_after
from tests.labkit.brokers import SERVING

PUPILS = 12
MINUTES = 0.3
BROKERS = SERVING[::-1]
LEASE_S = 0.5
MARGIN_S = 2.0
LONGEST_DRIVE_S = 8.0  # a pupil drives for 2.4 s; this machine may be slow to let it stop


@pytest.mark.parametrize(("victim", "broker"), [("web", "auto"), ("bridge", "auto"), ("gateway", "auto"), *(("broker", kind) for kind in BROKERS)])
def test_nothing_is_lost_when_a_process_is_killed(victim: str, broker: str, tmp_path: Path, database_url: str) -> None:
    with lesson(settings_of(tmp_path / "run", broker, database_url), PUPILS, MINUTES) as taught:
        taught.until(lambda: taught.reached(1) and taught.driving(), "no robot drives")
        driving = taught.driving()
        killed = taught.kill(victim)
        taught.until(lambda: all(stood(taught, robot, killed) for robot in driving), "a robot drives on")
        after = {robot: still_after(taught.run_dir, robot, killed) for robot in driving}
        found = taught.finish()
    print(victim, broker, driving, after, found)
    assert found["restarts"] == {victim: 1}
    assert_complete(found)
    if victim in ("gateway", "broker"):  # who drives is cut off: the robot's own lease ends its drive
        assert [robot for robot, seconds in after.items() if seconds is None or seconds > LEASE_S + MARGIN_S] == [], after
    for robot in lab.robots():
        assert_short_drives(tmp_path / "run", robot)


@pytest.mark.parametrize("victim", ["gateway", "broker"])
def test_a_process_is_killed_as_the_lesson_ends(victim: str, tmp_path: Path, database_url: str) -> None:
    """The stop of the end falls into the moment in which nobody carries or hears it; it is confirmed all the same."""

    def shoot(taught: Lesson) -> None:
        os.kill(taught.pid(victim), signal.SIGKILL)

    with lesson(settings_of(tmp_path / "run", "auto", database_url), PUPILS, 0.0, at_end=shoot) as taught:
        found = taught.finish()
    assert found["restarts"] == {victim: 1}
    assert_complete(found)
    for robot in lab.robots():
        assert_short_drives(tmp_path / "run", robot)


def stood(taught: Lesson, robot: str, moment: float) -> bool:
    return still_after(taught.run_dir, robot, moment) is not None


def assert_complete(found: dict[str, Any]) -> None:
    assert not run.lost(found), found
    assert found["attempts_saved"] == found["attempts_sent"] >= PUPILS * 4
    assert found["present"] == found["pupils"] == PUPILS
    assert found["chain_ok"] is True
    assert found["usage_record"]["hash"]
    assert found["errors"] == []
    assert all(row["stop_confirmed"] for row in found["devices"].values() if "stop_confirmed" in row)


def assert_short_drives(run_dir: Path, robot: str) -> None:
    """The robot stands at last, and never drove on by itself."""
    since: float | None = None
    for change in changes(run_dir, robot):
        if change.moving and since is None:
            since = change.at
        elif not change.moving and since is not None:
            assert change.at - since < LONGEST_DRIVE_S, f"{robot} drove for {change.at - since:.1f} s"
            since = None
    assert since is None, f"{robot} still drives"
