"""A servo arm by Firmata: samples, limits, limited speed, and a stop that holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import codecs, yamlfile
from labkit.codecs import Reported
from labkit.gateway.arm_kit import ArmKit
from labkit.gateway.mailbox import SetOrder
from labkit.profiles import load_profile, profiles_dir
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults
from labkit.simulate.firmata_car import NO_WHEELS, FirmataBoard
from labkit.simulate.physics import Pose, school_table
from tests.labkit.benchtop import Bench, lab_of

PROFILE = load_profile(profiles_dir() / "arduino-firmata-arm")
BASE, GRIPPER = 9, 6


class Arm(FirmataBoard):
    """Remembers where its servos have been."""

    path: list[int]

    def tick(self, now: float) -> list[bytes]:
        at = self.angle(BASE)
        if at is not None and (not self.path or self.path[-1] != at):
            self.path.append(at)
        return super().tick(now)


@pytest.fixture
def motors(tmp_path: Path) -> Iterator[MotorLog]:
    log = MotorLog(tmp_path / "log")
    yield log
    log.close()


def arm(folder: Path, motors: MotorLog, now: float) -> Arm:
    device = lab_of(folder, PROFILE.id).devices[0]
    body = Body(school_table(), Pose(1.0, 1.0, 0.0), NO_WHEELS, 1, motors, now)
    board = Arm(device, body, Faults(), 1, now)
    board.path = []
    return board


def rows() -> list[dict[str, object]]:
    data = yamlfile.read(Path(PROFILE.folder) / "samples" / "exchanges.yaml").data
    assert isinstance(data, dict)
    return list(data["exchanges"])


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row["title"]))
def test_the_samples_are_what_the_codec_says_and_the_board_answers(
    tmp_path: Path, motors: MotorLog, row: dict[str, object]
) -> None:
    one, board = codecs.create("firmata", PROFILE), arm(tmp_path, motors, 0.0)
    one.feed(b"".join(board.tick(0.01) + board.feed(one.opening(), 0.02)))
    do = row["do"]
    assert isinstance(do, dict)
    assert PROFILE.safety
    if "read" in do:
        data = one.read(PROFILE.properties[do["read"]])
    elif "write" in do:
        data = b"".join(one.write(PROFILE.properties[name], value) for name, value in do["write"].items())
    else:
        data = b"".join(one.stop(PROFILE.actions[PROFILE.safety.stop], 0))
    assert data.hex(" ") == row["sends"]
    for answers in (b"".join(board.feed(data, 0.1)), bytes.fromhex(str(row.get("answers", "")))):
        one.expect_stop()
        events = one.feed(answers)
        gives, tells = row.get("gives", {}), row.get("tells", [])
        assert {e.property: e.value for e in events if isinstance(e, Reported)} == gives
        assert [type(e).__name__ for e in events if not isinstance(e, Reported)] == tells


class ArmBench(Bench):
    def __init__(self, folder: Path, motors: MotorLog) -> None:
        self.arm = arm(folder, motors, time.monotonic())
        super().__init__(folder, lab_of(folder, PROFILE.id), self.arm, ArmKit)

    def turn(self, joint: str, angle: str) -> None:
        self.worker.mailbox.put(SetOrder(joint, angle.encode()))


@pytest.fixture
def bench(tmp_path: Path, motors: MotorLog) -> Iterator[ArmBench]:
    one = ArmBench(tmp_path, motors)
    yield one
    one.close()


def test_a_joint_turns_in_small_steps_and_stops_where_it_is_told_to(bench: ArmBench) -> None:
    bench.ready()
    bench.turn("base", "120")
    bench.watch(lambda: bench.arm.angle(BASE) == 120)
    assert len(bench.arm.path) > 3
    assert all(0 < b - a <= 8 for a, b in zip([90, *bench.arm.path], bench.arm.path, strict=False))
    bench.until(lambda: bench.value("moving") == b"false" and bench.value("stop-confirmed") == b"true")
    assert bench.value("base") == b"120"


def test_a_stop_holds_the_arm_on_its_way(bench: ArmBench) -> None:
    bench.ready()
    bench.turn("base", "170")
    bench.watch(lambda: (bench.arm.angle(BASE) or 0) > 95)
    assert bench.stop().failure == ""
    held = bench.arm.angle(BASE)
    assert held is not None and held < 165
    pause = time.monotonic() + 0.3
    bench.watch(lambda: time.monotonic() > pause)
    assert bench.arm.angle(BASE) == held


@pytest.mark.parametrize("angle", ["171", "9", "-1", "1e9", "NaN", "", "left"])
def test_no_angle_outside_the_limits_reaches_the_servo(bench: ArmBench, angle: str) -> None:
    bench.ready()
    bench.turn("base", angle)
    bench.turn("gripper", "61")
    bench.watch(lambda: bench.arm.angle(GRIPPER) == 61)
    assert bench.arm.path == []


def test_an_arm_is_not_driven(bench: ArmBench) -> None:
    bench.ready()
    bench.drive(0.2)
    bench.until(lambda: bench.value("refused") is not None)
    assert b"wheels" in (bench.value("refused") or b"")
    assert not bench.value("linear-x")
