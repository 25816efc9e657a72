"""Who may drive what, until when, how fast."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import lease, server_clock
from labkit.errors import Malformed
from labkit.lease import Blink, Caps, Command, Halt, Lease, Refusal, Steer, Wheel, Wish
from labkit.server_clock import ServerClock

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
GRANT = Lease("mbot-1", "t-1", ("t-1", "t-2"), "l", NOW + timedelta(minutes=5), 0.2, 1.0)
WHEEL = Wheel("mbot-1", Caps(0.4, 4.0, 500), GRANT)


def after(milliseconds: int) -> datetime:
    return NOW + timedelta(milliseconds=milliseconds)


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(numbers, numbers, st.integers(1, 10**9))
def test_no_command_is_faster_or_longer_than_allowed(linear: float, angular: float, ms: int) -> None:
    wish = lease.parse_wish(json.dumps({"seq": 1, "linear_x": linear, "angular_z": angular, "ms": ms}).encode())
    _, decision = lease.decide(WHEEL, "t-1", wish, NOW)
    assert isinstance(decision, Command)
    assert abs(decision.linear_x) <= 0.2
    assert abs(decision.angular_z) <= 1.0
    assert 1 <= decision.ms <= 500
    assert decision.capped is (abs(linear) > 0.2 or abs(angular) > 1.0)


def test_the_profile_caps_a_generous_lease() -> None:
    wheel = Wheel("mbot-1", Caps(0.4, 4.0, 200), Lease("mbot-1", "t-1", ("t-1",), "l", after(9000), 99.0, 99.0))
    _, decision = lease.decide(wheel, "t-1", Wish(1, 50.0, -50.0), NOW)
    assert decision == Command(0.4, -4.0, 200, capped=True)


@pytest.mark.parametrize(
    ("terminal", "wish", "at", "expected"),
    [
        ("t-1", Wish(1, 0.1), NOW, Command(0.1, 0.0, 500)),
        ("t-1", Wish(1, 0.1), GRANT.until, "lease_over"),
        ("t-2", Wish(1, 0.1), NOW, "not_driver"),
        ("t-3", Wish(1, 0.1), NOW, "not_yours"),
        ("t-1", Wish(1, stop=True), NOW, Halt()),
        ("t-2", Wish(1, stop=True), NOW, Halt()),
        ("t-2", Wish(1, stop=True), GRANT.until, Halt()),
        ("t-3", Wish(1, stop=True), NOW, "not_yours"),
        ("t-2", Wish(1, identify=True), NOW, Blink()),
        ("t-1", Wish(1, identify=True), GRANT.until, "lease_over"),
    ],
)
def test_who_may_what(terminal: str, wish: Wish, at: datetime, expected: Any) -> None:
    _, decision = lease.decide(WHEEL, terminal, wish, at)
    assert (decision.code if isinstance(decision, Refusal) else decision) == expected


def test_without_a_lease_nobody_drives() -> None:
    _, decision = lease.decide(Wheel("mbot-1", Caps(1, 1)), "t-1", Wish(1, 0.1), NOW)
    assert isinstance(decision, Refusal)
    assert decision.code == "no_lease"


def test_old_wishes_are_refused_until_the_page_is_loaded_anew() -> None:
    wheel, decision = lease.decide(WHEEL, "t-1", Wish(7, 0.1), NOW)
    assert isinstance(decision, Command)
    for seq in (7, 3):
        _, decision = lease.decide(wheel, "t-1", Wish(seq, 0.1), after(500))
        assert isinstance(decision, Refusal)
        assert decision.code == "stale"
    _, decision = lease.decide(wheel, "t-1", Wish(1, 0.1), after(1500))
    assert isinstance(decision, Command)


def test_after_an_emergency_stop_hands_off_first() -> None:
    wheel = lease.hold(WHEEL, NOW)
    for step in range(1, 6):
        wheel, decision = lease.decide(wheel, "t-1", Wish(step, 0.1), after(step * 300))
        assert isinstance(decision, Refusal)
        assert decision.code == "held"
    wheel, decision = lease.decide(wheel, "t-1", Wish(9, 0.1), after(5 * 300 + 600))
    assert isinstance(decision, Command)
    assert not wheel.held


def test_a_new_lease_ends_the_hold_and_the_same_one_does_not() -> None:
    held = lease.hold(WHEEL, NOW)
    assert lease.granted(held, GRANT).held
    assert not lease.granted(held, Lease("mbot-1", "t-2", ("t-2",), "l", GRANT.until, 0.2, 1.0)).held


def test_a_change_of_hands_stops() -> None:
    other = Lease("mbot-1", "t-2", ("t-1", "t-2"), "l", GRANT.until, 0.2, 1.0)
    longer = Lease("mbot-1", "t-1", ("t-1",), "l", GRANT.until + timedelta(minutes=1), 0.2, 1.0)
    assert lease.must_stop(WHEEL, lease.granted(WHEEL, None))
    assert lease.must_stop(WHEEL, lease.granted(WHEEL, other))
    assert not lease.must_stop(WHEEL, lease.granted(WHEEL, longer))
    assert not lease.must_stop(lease.granted(WHEEL, None), WHEEL)


def test_a_lease_is_read() -> None:
    payload = {"device": "mbot-1", "holder": "t-1", "holders": ["t-1", "t-2"], "lesson": "l",
               "until": "2026-11-23T09:05:00+08:00", "max_linear": 0.2, "max_angular": 1}  # fmt: skip
    assert lease.parse_lease("mbot-1", json.dumps(payload).encode()) == GRANT
    assert lease.parse_lease("mbot-1", b"") is None
    assert lease.parse_lease("mbot-1", b"{}") is None


@pytest.mark.parametrize("until", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-23T09:05:00"])
def test_a_lease_to_a_day_that_is_none_is_refused(until: str) -> None:
    """Anything else than Malformed would end the gateway, and again after each start, for a lease is retained."""
    payload = {"holder": "t-1", "until": until, "max_linear": 0.2, "max_angular": 1}
    with pytest.raises(Malformed):
        lease.parse_lease("mbot-1", json.dumps(payload).encode())


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    for read in (lease.parse_wish, lambda data: lease.parse_lease("mbot-1", data)):
        try:
            read(payload)
        except Malformed:
            continue


values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.integers(), max_size=2)
)


@given(st.dictionaries(st.sampled_from(["seq", "linear_x", "angular_z", "ms", "stop", "identify", "device"]), values))
def test_any_wish_of_that_shape_is_read_or_refused(data: dict[str, Any]) -> None:
    try:
        wish = lease.parse_wish(json.dumps(data).encode())
    except Malformed:
        return
    assert 1 <= wish.ms <= 500


FREE = Wheel("mbot-1", Caps(0.4, 4.0, 500))
STEADY = (Steer(linear_x=0.2), Steer(angular_z=0.0))


def steered(wheel: Wheel, *orders: tuple[int, Steer]) -> tuple[Wheel, list[object]]:
    """What comes of each order: a command's two speeds, or a refusal's code."""
    said: list[object] = []
    for milliseconds, wanted in orders:
        wheel, decision = lease.steer(wheel, wanted, after(milliseconds))
        said.append(decision.code if isinstance(decision, Refusal) else (decision.linear_x, decision.angular_z))  # type: ignore[union-attr]  # a steer is no blink
    return wheel, said


def test_trusted_clients_change_one_speed_and_keep_the_other() -> None:
    wheel, said = steered(FREE, (0, Steer(linear_x=0.2)), (50, Steer(angular_z=1.0)), (100, Steer(linear_x=9.0)))
    assert said == [(0.2, 0.0), (0.2, 1.0), (0.4, 1.0)]
    assert steered(lease.let_go(wheel), (150, Steer(angular_z=1.0)))[1] == [(0.0, 1.0)]
    assert steered(wheel, (800, Steer(angular_z=1.0)))[1] == [(0.0, 1.0)], "an old speed is no speed"


@pytest.mark.parametrize("pair", [STEADY, (Steer(linear_x=0.0), Steer(angular_z=1.0)), (Steer(0.2, 0.0),)])
def test_an_emergency_stop_holds_whoever_goes_on_steering(pair: tuple[Steer, ...]) -> None:
    moving, _ = steered(FREE, *((0, one) for one in pair))
    held = lease.hold(moving, NOW)
    held, said = steered(held, *((at, one) for at in range(100, 3000, 200) for one in pair))
    assert set(said) == {"held"}
    taken = lease.granted(lease.granted(held, GRANT), None)
    assert steered(taken, (3000, Steer(0.2, 0.0)))[1] == ["held"], "the lesson ends, the program goes on"
    assert steered(held, (3500, Steer(0.2, 0.0)))[1] == [(0.2, 0.0)]


def test_a_zero_command_lets_go() -> None:
    held = lease.hold(steered(FREE, *((0, one) for one in STEADY))[0], NOW)
    orders = [Steer(linear_x=0.0), Steer(angular_z=0.0), Steer(linear_x=0.1)]
    assert steered(held, *((100 + i, one) for i, one in enumerate(orders)))[1] == ["held", (0.0, 0.0), (0.1, 0.0)]
    assert steered(held, (100, Steer(0.0, 0.0)), (150, Steer(0.1, 0.0)))[1] == [(0.0, 0.0), (0.1, 0.0)]


def test_a_leased_robot_is_steered_by_its_holder_only_within_the_lease() -> None:
    assert steered(WHEEL, (0, Steer(0.4, 0.0)), (50, Steer(linear_x=0.4)))[1] == ["held-by", "held-by"]
    assert steered(WHEEL, (0, Steer(0.4, 0.0, "t-2")), (50, Steer(0.0, 0.0)))[1] == ["held-by", (0.0, 0.0)]
    assert steered(WHEEL, (0, Steer(0.4, -3.0, "t-1")))[1] == [(0.2, -1.0)]
    assert steered(WHEEL, (5 * 60_000, Steer(0.4, 0.0)))[1] == [(0.4, 0.0)], "the lease is over"


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"linear_x": NaN}', b'{"linear_x": "fast"}', b'{"by": "T 1"}'])
def test_broken_steering_is_refused(payload: bytes) -> None:
    with pytest.raises(Malformed):
        lease.parse_steer(payload)


@pytest.mark.parametrize("hours", [8, -8])
def test_a_pc_with_a_wrong_clock_keeps_the_servers_leases(hours: int) -> None:
    pc = NOW + timedelta(hours=hours)
    wheel = lease.with_clock(WHEEL, timedelta(hours=hours))
    assert isinstance(lease.decide(wheel, "t-1", Wish(1, 0.1), pc)[1], Command)
    assert not lease.expired(wheel, pc)
    assert steered_code(wheel, pc) == "held-by"
    end = pc + timedelta(minutes=5)
    assert lease.expired(wheel, end)
    after_end = lease.ended(wheel)
    assert not lease.expired(after_end, end), "it is acted upon once"
    decision = lease.decide(after_end, "t-1", Wish(1, 0.1), end)[1]
    assert isinstance(decision, Refusal)
    assert decision.code == "lease_over"


def steered_code(wheel: Wheel, now: datetime) -> str:
    decision = lease.steer(wheel, Steer(0.1, 0.0), now)[1]
    return decision.code if isinstance(decision, Refusal) else ""


def test_a_lease_that_seemed_over_counts_again_once_the_clock_is_known() -> None:
    pc = NOW + timedelta(hours=8)
    assert lease.expired(WHEEL, pc)
    wheel = lease.with_clock(lease.ended(WHEEL), timedelta(hours=8))
    assert isinstance(lease.decide(wheel, "t-1", Wish(1, 0.1), pc)[1], Command)


def test_the_servers_beats_tell_how_far_the_pc_is_ahead() -> None:
    clock = ServerClock()

    def hear(ahead_s: float, late_s: float = 0.0) -> bool:
        beat = json.dumps({"at": NOW.isoformat()}).encode()
        return clock.hear(beat, NOW + timedelta(seconds=ahead_s + late_s))

    assert not hear(0.1) and not clock.wrong
    assert not hear(0.0, late_s=20), "a late beat is not a wrong clock"
    clock = ServerClock()
    assert hear(28_800) and clock.wrong
    assert server_clock.remedy(clock.ahead)[0].startswith("电脑的时钟快了 8 小时：")
    assert [hear(0), clock.wrong] == [True, False]
    assert server_clock.remedy(timedelta(seconds=-45))[0].startswith("电脑的时钟慢了 45 秒：")
    for payload in (b"", b'{"at": "noon"}', b'{"at": "2026-11-23T01:00:00"}'):
        with pytest.raises(Malformed):
            clock.hear(payload, NOW)
