"""From ``linear_x`` and ``angular_z`` to a kit's own properties; pure."""

from __future__ import annotations

import math

from labkit.model import Drive


def wheels(drive: Drive, linear_x: float, angular_z: float) -> dict[str, int]:
    """PWM of both wheels of a differential drive, by property.

    ``linear_x`` in m/s, ``angular_z`` in rad/s (left turn positive). Too fast a pair is slowed down together, so that the
    curve keeps its radius; a speed above zero gets at least ``min_pwm``.
    """
    half_turn = angular_z * drive.wheel_base_m / 2
    left, right = linear_x - half_turn, linear_x + half_turn
    fastest = max(abs(left), abs(right))
    if fastest > drive.max_mps:
        left, right = left * drive.max_mps / fastest, right * drive.max_mps / fastest
    return {name: _pwm(drive, name, speed) for name, speed in ((drive.left, left), (drive.right, right))}


def _pwm(drive: Drive, wheel: str, speed_mps: float) -> int:
    share = min(abs(speed_mps) / drive.max_mps, 1.0)
    size = round(drive.min_pwm + (drive.max_pwm - drive.min_pwm) * share) if share > 1e-6 else 0
    sign = math.copysign(1, speed_mps) * (-1 if wheel in drive.invert else 1)
    return int(sign * size)
