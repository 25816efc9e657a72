"""A small wheeled robot on a table with walls: motion, collision and what its sensors see. Pure, no clock, no I/O.

Metres, seconds, radians; heading 0 looks along x, counter-clockwise is positive, as in ROS 2.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from labkit.errors import LabkitError

ROBOT_RADIUS_M = 0.08
POSE_TRIES = 500
MAX_STEP_M = 0.01
MAX_RANGE_CM = 400.0
BEAM_HALF_ANGLE = math.radians(12)
TAPE_HALF_WIDTH_M = 0.012
LINE_SENSOR_AHEAD_M, LINE_SENSOR_ASIDE_M = 0.06, 0.009


@dataclass(frozen=True, slots=True)
class Segment:
    """A straight line on the table: a wall, or a piece of black tape."""

    ax: float
    ay: float
    bx: float
    by: float


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the robot's centre is and where it looks."""

    x: float
    y: float
    heading: float


@dataclass(frozen=True, slots=True)
class Lamp:
    """A light above the table; `level` is what the light sensor (0–1023) reads right below it."""

    x: float
    y: float
    level: float


@dataclass(frozen=True, slots=True)
class Arena:
    """A table: walls that stop a robot and echo, tape that is black, lamps."""

    walls: tuple[Segment, ...]
    tape: tuple[Segment, ...] = ()
    lamps: tuple[Lamp, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()  # left, bottom, width, height; their sides are walls too
    ambient: float = 220.0


def rectangle(left: float, bottom: float, width: float, height: float) -> tuple[Segment, ...]:
    """Four walls."""
    right, top = left + width, bottom + height
    return (
        Segment(left, bottom, right, bottom),
        Segment(right, bottom, right, top),
        Segment(right, top, left, top),
        Segment(left, top, left, bottom),
    )


def oval(cx: float, cy: float, rx: float, ry: float, pieces: int = 36) -> tuple[Segment, ...]:
    """A closed track of straight pieces."""
    corners = [
        (cx + rx * math.cos(2 * math.pi * n / pieces), cy + ry * math.sin(2 * math.pi * n / pieces))
        for n in range(pieces)
    ]
    return tuple(Segment(*corners[n - 1], *corners[n]) for n in range(pieces))


def school_table() -> Arena:
    """The table of the simulated lab: 2.4 × 1.6 m with a border, two boxes, an oval of tape and a lamp in one corner."""
    return Arena(
        walls=rectangle(0, 0, 2.4, 1.6) + rectangle(1.1, 0.68, 0.24, 0.2) + rectangle(1.85, 1.3, 0.2, 0.12),
        tape=oval(1.2, 0.78, 0.8, 0.5),
        lamps=(Lamp(0.2, 1.4, 700.0),),
        boxes=((1.1, 0.68, 0.24, 0.2), (1.85, 1.3, 0.2, 0.12)),
    )


def read_arena(data: Mapping[str, object]) -> Arena:
    """The arena of a lab file (``simulate: {arena: …}``, checked by the schema).

    ``size`` [width, height] gives the border (default 2.4 × 1.6 m); ``boxes`` [left, bottom, width, height]; ``walls``
    [ax, ay, bx, by]; ``line`` corners [x, y] of the tape; ``lamps`` [x, y, level]; ``ambient`` 0–1023. Metres throughout.
    """
    size = _rows([data.get("size", [2.4, 1.6])])[0]
    walls = rectangle(0, 0, size[0], size[1])
    boxes = _rows(data.get("boxes", []))
    for box in boxes:
        walls += rectangle(box[0], box[1], box[2], box[3])
    walls += tuple(Segment(row[0], row[1], row[2], row[3]) for row in _rows(data.get("walls", [])))
    corners = _rows(data.get("line", []))
    ambient = data.get("ambient", 220.0)
    return Arena(
        walls=walls,
        tape=tuple(Segment(a[0], a[1], b[0], b[1]) for a, b in pairwise(corners)),
        lamps=tuple(Lamp(row[0], row[1], row[2]) for row in _rows(data.get("lamps", []))),
        boxes=tuple((box[0], box[1], box[2], box[3]) for box in boxes),
        ambient=float(ambient) if isinstance(ambient, (int, float)) else 220.0,
    )


def _rows(value: object) -> list[list[float]]:
    assert isinstance(value, list)
    return [[float(number) for number in row] for row in value]


def fits(arena: Arena, x: float, y: float, room_m: float = 0.0) -> bool:
    """Whether a robot can stand there: on the table, in no box, with ``room_m`` to every wall."""
    xs = [edge for wall in arena.walls for edge in (wall.ax, wall.bx)]
    ys = [edge for wall in arena.walls for edge in (wall.ay, wall.by)]
    if not (min(xs) < x < max(xs) and min(ys) < y < max(ys)):
        return False
    if any(left < x < left + width and low < y < low + height for left, low, width, height in arena.boxes):
        return False
    return all(distance(wall, x, y) >= ROBOT_RADIUS_M + room_m for wall in arena.walls)


def free_pose(arena: Arena, seed: int) -> Pose:
    """A place on the table with 20 cm of room on all sides (5 cm on a full table), chosen by `seed`; raises LabkitError no_room."""
    chance = random.Random(f"pose {seed}")
    xs = [edge for wall in arena.walls for edge in (wall.ax, wall.bx)]
    ys = [edge for wall in arena.walls for edge in (wall.ay, wall.by)]
    for room_m in (0.2, 0.05):
        for _ in range(POSE_TRIES):
            x, y = chance.uniform(min(xs), max(xs)), chance.uniform(min(ys), max(ys))
            if fits(arena, x, y, room_m):
                return Pose(x, y, chance.uniform(-math.pi, math.pi))
    raise LabkitError(
        "no_room",
        "桌面太小或太满，放不下小车：把 arena.size 改大，或少放障碍",
        "the table is too small or too full for a robot: enlarge arena.size, or take obstacles away",
    )


def drive(
    arena: Arena, pose: Pose, left_mps: float, right_mps: float, wheel_base_m: float, seconds: float
) -> tuple[Pose, bool]:
    """Move on an arc for `seconds`; a robot that meets a wall turns on the spot but goes no further.

    Returns the new pose and whether a wall held it. Steps are at most 1 cm, so that no wall is jumped over.
    """
    speed, turn = (left_mps + right_mps) / 2, (right_mps - left_mps) / wheel_base_m
    if seconds <= 0 or (speed == 0 and turn == 0):
        return pose, False
    steps = max(1, math.ceil(abs(speed) * seconds / MAX_STEP_M), math.ceil(abs(turn) * seconds / 0.2))
    pause, held = seconds / steps, False
    for _ in range(steps):
        middle = pose.heading + turn * pause / 2
        way = speed * pause
        wanted = Pose(
            pose.x + way * math.cos(middle), pose.y + way * math.sin(middle), _angle(pose.heading + turn * pause)
        )
        if _touches(arena, wanted, pose):
            wanted, held = replace(wanted, x=pose.x, y=pose.y), True
        pose = wanted
    return pose, held


def _touches(arena: Arena, wanted: Pose, pose: Pose) -> bool:
    """Whether the way leads (further) into a wall; a robot that was put against one may leave it."""
    for wall in arena.walls:
        after = distance(wall, wanted.x, wanted.y)
        if after < ROBOT_RADIUS_M and after < distance(wall, pose.x, pose.y):
            return True
    return False


def distance(segment: Segment, x: float, y: float) -> float:
    """Metres from a point to the nearest point of a segment."""
    dx, dy = segment.bx - segment.ax, segment.by - segment.ay
    length = dx * dx + dy * dy
    along = 0.0 if length == 0 else min(1.0, max(0.0, ((x - segment.ax) * dx + (y - segment.ay) * dy) / length))
    return math.hypot(x - segment.ax - along * dx, y - segment.ay - along * dy)


def range_cm(arena: Arena, pose: Pose) -> float:
    """What an ultrasonic sensor at the front reads: the nearest echo of its beam, 0–400 cm; 400 = no echo."""
    x, y = pose.x + ROBOT_RADIUS_M * math.cos(pose.heading), pose.y + ROBOT_RADIUS_M * math.sin(pose.heading)
    angles = (pose.heading, pose.heading - BEAM_HALF_ANGLE, pose.heading + BEAM_HALF_ANGLE)
    nearest = min((ray_m(arena.walls, x, y, angle) for angle in angles), default=math.inf)
    return min(MAX_RANGE_CM, 100 * nearest)


def ray_m(walls: Iterable[Segment], x: float, y: float, angle: float) -> float:
    """Metres from a point along a direction to the first wall, or infinity."""
    ux, uy = math.cos(angle), math.sin(angle)
    nearest = math.inf
    for wall in walls:
        dx, dy = wall.bx - wall.ax, wall.by - wall.ay
        across = ux * dy - uy * dx
        if abs(across) < 1e-12:
            continue
        ex, ey = wall.ax - x, wall.ay - y
        ahead, along = (ex * dy - ey * dx) / across, (ex * uy - ey * ux) / across
        if ahead >= 0 and -1e-9 <= along <= 1 + 1e-9:
            nearest = min(nearest, ahead)
    return nearest


def line_bits(arena: Arena, pose: Pose) -> tuple[bool, bool]:
    """What the left and the right line sensor see: True = white, False = black tape."""
    return _is_white(arena, pose, LINE_SENSOR_ASIDE_M), _is_white(arena, pose, -LINE_SENSOR_ASIDE_M)


def _is_white(arena: Arena, pose: Pose, aside: float) -> bool:
    x = pose.x + LINE_SENSOR_AHEAD_M * math.cos(pose.heading) - aside * math.sin(pose.heading)
    y = pose.y + LINE_SENSOR_AHEAD_M * math.sin(pose.heading) + aside * math.cos(pose.heading)
    return all(distance(piece, x, y) > TAPE_HALF_WIDTH_M for piece in arena.tape)


def light(arena: Arena, pose: Pose) -> float:
    """Light level 0–1023: ambient, and each lamp falling off with the square of its distance."""
    total = arena.ambient
    for lamp in arena.lamps:
        total += lamp.level / (1 + (4 * math.hypot(pose.x - lamp.x, pose.y - lamp.y)) ** 2)
    return min(1023.0, total)


@dataclass(frozen=True, slots=True)
class Battery:
    """Energy left, in watt-hours, of a pack that holds `full_wh`; a robot that stands is on its charger, for nobody plugs it in."""

    left_wh: float
    full_wh: float = 7.4
    charge_w: float = 3.7
    idle_w: float = 0.6
    motor_w: float = 2.5

    def after(self, seconds: float, effort: float) -> Battery:
        """The battery after `seconds` at `effort` (0–2: the sum of both motors' shares of full power)."""
        used_w = self.idle_w + self.motor_w * effort if effort > 0 else -self.charge_w
        return replace(self, left_wh=min(self.full_wh, max(0.0, self.left_wh - used_w * max(0.0, seconds) / 3600)))

    @property
    def percent(self) -> float:
        """Charge, 0–100."""
        return 100 * self.left_wh / self.full_wh


def _angle(angle: float) -> float:
    return math.remainder(angle, 2 * math.pi)
