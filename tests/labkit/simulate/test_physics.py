"""The table: nothing goes through a wall, energy only falls, sensors see what stands there."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.simulate.physics import (
    MAX_RANGE_CM,
    ROBOT_RADIUS_M,
    Arena,
    Battery,
    Pose,
    Segment,
    distance,
    drive,
    free_pose,
    light,
    line_bits,
    range_cm,
    rectangle,
    school_table,
)

TABLE = school_table()
speeds = st.floats(-0.5, 0.5)


@given(st.integers(0, 10_000), st.lists(st.tuples(speeds, speeds, st.floats(0, 3)), max_size=12))
def test_a_robot_never_enters_a_wall(seed: int, moves: list[tuple[float, float, float]]) -> None:
    pose = free_pose(TABLE, seed)
    for left, right, seconds in moves:
        pose, _ = drive(TABLE, pose, left, right, 0.115, seconds)
        assert min(distance(wall, pose.x, pose.y) for wall in TABLE.walls) >= ROBOT_RADIUS_M - 1e-9
        assert 0 < pose.x < 2.4
        assert 0 < pose.y < 1.6
        assert -math.pi <= pose.heading <= math.pi


@given(st.integers(0, 10_000), speeds, speeds, st.floats(0, 2))
def test_a_robot_goes_no_further_than_its_wheels_turn(seed: int, left: float, right: float, seconds: float) -> None:
    start = free_pose(TABLE, seed)
    end, _ = drive(TABLE, start, left, right, 0.115, seconds)
    way = math.hypot(end.x - start.x, end.y - start.y)
    assert way <= (abs(left) + abs(right)) / 2 * seconds + 1e-9


@given(st.lists(st.tuples(st.floats(0, 600), st.floats(0, 2)), max_size=30))
def test_driving_takes_energy_standing_gives_it_back(hours: list[tuple[float, float]]) -> None:
    battery = Battery(1.0)
    for seconds, effort in hours:
        after = battery.after(seconds, effort)
        assert 0 <= after.left_wh <= after.full_wh
        if effort > 0:
            assert after.left_wh < battery.left_wh or seconds < 1e-6 or battery.left_wh == 0
        else:
            assert after.left_wh >= battery.left_wh
        battery = after


def test_a_night_in_the_cupboard_fills_an_empty_battery() -> None:
    assert Battery(0.0).after(12 * 3600, 0.0).percent == 100


def test_straight_on_and_on_the_spot() -> None:
    empty = Arena(walls=())
    pose, held = drive(empty, Pose(0, 0, 0), 0.2, 0.2, 0.115, 2.0)
    assert [pose.x, pose.y] == pytest.approx([0.4, 0])
    assert not held
    pose, _ = drive(empty, Pose(0, 0, 0), -0.1, 0.1, 0.1, math.pi / 4)
    assert [pose.x, pose.heading] == pytest.approx([0, math.pi / 2])


def test_a_wall_ahead_is_measured_and_holds() -> None:
    wall = Arena(walls=(Segment(1, -1, 1, 1),))
    assert range_cm(wall, Pose(0, 0, 0)) == pytest.approx(92.0)
    assert range_cm(wall, Pose(0, 0, math.pi)) == MAX_RANGE_CM
    pose, held = drive(wall, Pose(0, 0, 0), 0.4, 0.4, 0.115, 10)
    assert held
    assert pose.x == pytest.approx(1 - ROBOT_RADIUS_M, abs=0.011)
    assert range_cm(wall, pose) < 2
    back, held = drive(wall, pose, -0.4, -0.4, 0.115, 1)
    assert not held
    assert back.x < pose.x - 0.3


@given(st.integers(0, 10_000))
def test_an_echo_is_never_farther_than_the_table(seed: int) -> None:
    assert 0 <= range_cm(TABLE, free_pose(TABLE, seed)) <= 100 * math.hypot(2.4, 1.6)


def test_tape_is_black_under_one_sensor_then_the_other() -> None:
    table = Arena(walls=rectangle(-1, -1, 2, 2), tape=(Segment(-1, 0, 1, 0),))
    assert line_bits(table, Pose(0, 0.3, 0)) == (True, True)
    assert line_bits(table, Pose(0, 0, 0)) == (False, False)
    assert line_bits(table, Pose(0, 0.014, 0)) == (True, False)
    assert line_bits(table, Pose(0, -0.014, 0)) == (False, True)


def test_it_is_brighter_under_the_lamp() -> None:
    assert light(TABLE, Pose(0.2, 1.4, 0)) > 800 > 300 > light(TABLE, Pose(2.2, 0.2, 0)) >= TABLE.ambient
