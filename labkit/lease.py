"""Who may drive what, until when, how fast: a wish becomes a capped command or a refusal with its reason.

Pure: frozen values in and out, the clock is passed in. The lease comes from the lesson (the web side), the wish from a
pupil's terminal; a terminal never addresses a robot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from labkit.errors import Malformed
from labkit.homie import is_id, parse_json_object

MAX_DRIVE_MS = 500
MAX_PAYLOAD_BYTES = 4096
REPLAY_WINDOW = timedelta(seconds=1)
HANDS_OFF = timedelta(milliseconds=600)


@dataclass(frozen=True)
class Lease:
    """A robot handed to a group: ``holder`` drives, all ``holders`` may stop and see it. Speeds in m/s and rad/s."""

    device: str
    holder: str
    holders: tuple[str, ...]
    lesson: str
    until: datetime
    max_linear: float
    max_angular: float


@dataclass(frozen=True)
class Wish:
    """What a terminal wants of its robot: drive, stop or identify; ``device`` only where it holds several."""

    seq: int
    linear_x: float = 0.0
    angular_z: float = 0.0
    ms: int = MAX_DRIVE_MS
    stop: bool = False
    identify: bool = False
    device: str = ""


@dataclass(frozen=True)
class Steer:
    """What a trusted client wants of a robot (``/set``, a notebook): either speed or both (None = as before); ``by`` who it says it is."""

    linear_x: float | None = None
    angular_z: float | None = None
    by: str = ""


@dataclass(frozen=True)
class Caps:
    """The most that a robot's profile allows: m/s, rad/s, ms of one drive."""

    max_linear: float
    max_angular: float
    lease_ms: int = MAX_DRIVE_MS


@dataclass(frozen=True)
class Command:
    """Drive at these speeds for at most ``ms``; ``capped`` = slower than wished."""

    linear_x: float
    angular_z: float
    ms: int
    capped: bool = False


@dataclass(frozen=True)
class Halt:
    """Stop now."""


@dataclass(frozen=True)
class Blink:
    """Show which robot it is."""


@dataclass(frozen=True)
class Refusal:
    """Why nothing is done, and what to do about it."""

    code: str
    zh: str
    en: str


Decision = Command | Halt | Blink | Refusal


@dataclass(frozen=True)
class Wheel:
    """The steering wheel of one robot: its lease and what was last asked of it.

    ``held`` after an emergency stop: no drive until the pupil has let go for 0.6 s or a new lease came.
    ``steered``: the two speeds that trusted clients asked for last (None = not told), ``steered_at`` when; ``steer_held``: the same
    hold for them. It outlives the leases, which the lesson's end takes away. ``ahead``: how far this PC's clock is before the
    server's, which wrote the lease's end; ``over``: that end has been acted upon.
    """

    device: str
    caps: Caps
    lease: Lease | None = None
    last_seq: int = -1
    last_wish_at: datetime | None = None
    held: bool = False
    steered: tuple[float | None, float | None] = (None, None)
    steered_at: datetime | None = None
    steer_held: bool = False
    ahead: timedelta = timedelta()
    over: bool = False


def parse_steer(payload: bytes) -> Steer:
    """``{"linear_x", "angular_z", "by"?}``; raises Malformed (no JSON, NaN, infinity, wrong types)."""
    data = _object(payload)
    by = data.get("by", "")
    if not isinstance(by, str) or (by and not is_id(by)):
        raise Malformed("by 不是设备号", "by is not an id")
    return Steer(_number(data, "linear_x", 0.0), _number(data, "angular_z", 0.0), by)


def parse_lease(device: str, payload: bytes) -> Lease | None:
    """A lease topic's payload; empty = released. Raises Malformed."""
    if not payload.strip():
        return None
    data = _object(payload)
    if not data:
        return None
    if data.get("device", device) != device:
        raise Malformed("租约里的设备与主题不同", "the lease names another device than its topic")
    holder = _id(data, "holder")
    holders = data.get("holders", [holder])
    if not isinstance(holders, list) or not all(isinstance(h, str) and is_id(h) for h in holders):
        raise Malformed("holders 应为终端列表", "holders should be a list of terminals")
    return Lease(
        device=device,
        holder=holder,
        holders=tuple(dict.fromkeys([holder, *holders])),
        lesson=str(data.get("lesson", "")),
        until=_instant(data.get("until")),
        max_linear=_speed(data, "max_linear"),
        max_angular=_speed(data, "max_angular"),
    )


def parse_wish(payload: bytes) -> Wish:
    """A wish topic's payload; raises Malformed (no JSON, no seq, NaN, infinity, wrong types)."""
    data = _object(payload)
    seq = data.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq < 2**53:
        raise Malformed("seq 应为不小于 0 的整数", "seq should be a whole number from 0")
    device = data.get("device", "")
    if not isinstance(device, str) or (device and not is_id(device)):
        raise Malformed("device 不是设备号", "device is not a device id")
    if data.get("stop") is True:
        return Wish(seq, stop=True, device=device)
    if data.get("identify") is True:
        return Wish(seq, identify=True, device=device)
    ms = _number(data, "ms", MAX_DRIVE_MS)
    if ms < 1:
        raise Malformed("ms 应大于 0", "ms should be above 0")
    if "linear_x" not in data and "angular_z" not in data:
        raise Malformed("既没有速度也没有 stop 或 identify", "neither a speed nor stop nor identify")
    return Wish(
        seq,
        linear_x=_number(data, "linear_x", 0.0),
        angular_z=_number(data, "angular_z", 0.0),
        ms=int(min(ms, MAX_DRIVE_MS)),
        device=device,
    )


def granted(wheel: Wheel, lease: Lease | None) -> Wheel:
    """The wheel under a new lease (None = released); a changed lease ends a hold and forgets the last wish."""
    if lease == wheel.lease:
        return wheel
    return replace(wheel, lease=lease, last_seq=-1, last_wish_at=None, held=False, over=False)


def with_clock(wheel: Wheel, ahead: timedelta) -> Wheel:
    """The server's clock is known better: a lease that seemed over may not be."""
    return replace(wheel, ahead=ahead, over=False)


def must_stop(before: Wheel, after: Wheel) -> bool:
    """Whether a change of lease takes the wheel out of the hand that may be driving."""
    old, new = before.lease, after.lease
    return old is not None and (new is None or new.holder != old.holder)


def hold(wheel: Wheel, now: datetime) -> Wheel:
    """After an emergency stop: hands off first, pupils and trusted clients."""
    return replace(let_go(wheel), held=True, last_wish_at=now, steer_held=True, steered_at=now)


def let_go(wheel: Wheel) -> Wheel:
    """After a stop nothing is left of the speeds that were asked for before."""
    return replace(wheel, steered=(None, None))


def steer(wheel: Wheel, wanted: Steer, now: datetime) -> tuple[Wheel, Decision]:
    """What a trusted client's speeds lead to, and the wheel afterwards.

    One speed alone leaves the other as it was told within the last 0.6 s. Two zeros are never refused.
    """
    rested = wheel.steered_at is None or now - wheel.steered_at >= HANDS_OFF
    before = (None, None) if rested else wheel.steered
    linear, angular = (
        old if new is None else new for old, new in zip(before, (wanted.linear_x, wanted.angular_z), strict=True)
    )
    stands = (linear, angular) == (0.0, 0.0)
    held = wheel.steer_held and not rested and not stands
    after = replace(wheel, steered=(linear, angular), steered_at=now, steer_held=held)
    if held:
        return after, Refusal(
            "held", "老师按了急停：先停下程序，再重新开始", "emergency stop: end the program first, then start again"
        )
    lease = wheel.lease if wheel.lease and not _is_over(wheel.lease, wheel, now) else None
    if lease and lease.holder != wanted.by and (linear or angular):
        return replace(after, steered=(None, None)), Refusal(
            "held-by",
            f"这台设备分给了 {lease.holder}：请先收回，或由它驾驶",
            f"this robot is assigned to {lease.holder}: take it back first",
        )
    return after, capped(Wish(0, linear or 0.0, angular or 0.0), lease, wheel.caps)


def expired(wheel: Wheel, now: datetime) -> bool:
    """Whether the lease's time is over, and nobody has done anything about it."""
    return wheel.lease is not None and not wheel.over and _is_over(wheel.lease, wheel, now)


def ended(wheel: Wheel) -> Wheel:
    """The wheel after its lease's end was acted upon; the lease stays, to tell its holder why nothing moves."""
    return replace(wheel, over=True)


def _is_over(lease: Lease, wheel: Wheel, now: datetime) -> bool:
    return now - wheel.ahead >= lease.until


def decide(wheel: Wheel, terminal: str, wish: Wish, now: datetime) -> tuple[Wheel, Decision]:
    """What a wish leads to, and the wheel afterwards."""
    lease = wheel.lease
    if lease is None:
        return wheel, Refusal(
            "no_lease", "这台设备还没有分给小组，请老师分配", "this robot is not assigned: ask the teacher"
        )
    if terminal not in lease.holders:
        return wheel, Refusal("not_yours", "这台设备属于别的小组", "this robot belongs to another group")
    if wish.stop:
        return replace(wheel, last_seq=wish.seq, last_wish_at=now), Halt()
    if _is_over(lease, wheel, now):
        return wheel, Refusal("lease_over", "使用时间已到，请老师重新分配", "the time is over: ask the teacher")
    if wish.identify:
        return wheel, Blink()
    if terminal != lease.holder:
        return wheel, Refusal(
            "not_driver", "现在由同组同学驾驶，请先交换方向盘", "another pupil of the group drives now"
        )
    return _drive(wheel, lease, wish, now)


def _drive(wheel: Wheel, lease: Lease, wish: Wish, now: datetime) -> tuple[Wheel, Decision]:
    last = wheel.last_wish_at
    if wheel.held and last is not None and now - last < HANDS_OFF:
        kept = replace(wheel, last_wish_at=now, last_seq=wish.seq)
        return kept, Refusal("held", "老师按了急停：先松手，再开始", "emergency stop: let go first, then start again")
    if last is not None and wish.seq <= wheel.last_seq and now - last < REPLAY_WINDOW:
        return wheel, Refusal("stale", "旧的指令，已忽略", "an old wish, ignored")
    after = replace(wheel, last_seq=wish.seq, last_wish_at=now, held=False)
    return after, capped(wish, lease, wheel.caps)


def capped(wish: Wish, lease: Lease | None, caps: Caps) -> Command:
    """A wish within the lease's and the profile's speeds and the longest drive."""
    max_linear = min(caps.max_linear, lease.max_linear) if lease else caps.max_linear
    max_angular = min(caps.max_angular, lease.max_angular) if lease else caps.max_angular
    linear = min(max(wish.linear_x, -max_linear), max_linear)
    angular = min(max(wish.angular_z, -max_angular), max_angular)
    ms = min(wish.ms, caps.lease_ms)
    return Command(linear, angular, ms, capped=(linear, angular) != (wish.linear_x, wish.angular_z))


def _object(payload: bytes) -> dict[str, object]:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Malformed("内容太长", "the payload is too long")
    return parse_json_object(payload)


def _id(data: dict[str, object], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not is_id(value):
        raise Malformed(f"{key} 不是终端号", f"{key} is not a terminal id")
    return value


def _number(data: dict[str, object], key: str, default: float) -> float:
    value = data.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Malformed(f"{key} 应为数", f"{key} should be a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise Malformed(f"{key} 太大", f"{key} is too large") from error
    if not math.isfinite(number):
        raise Malformed(f"{key} 不是有限的数", f"{key} is not finite")
    return number


def _speed(data: dict[str, object], key: str) -> float:
    value = _number(data, key, math.inf) if key in data else math.nan
    if not value >= 0:
        raise Malformed(f"{key} 应为不小于 0 的数", f"{key} should be a number from 0")
    return value


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise Malformed("until 应为 ISO 时间", "until should be an ISO time")
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise Malformed("until 缺少时区", "until lacks its zone")
        return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed("until 应为 ISO 时间", "until should be an ISO time") from error
