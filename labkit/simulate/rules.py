"""What a lab file may ask of the simulator: faults that the kit can have, a table with room, a start that lies on it; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labkit.errors import LabkitError, Malformed
from labkit.model import Profile
from labkit.simulate import physics
from labkit.simulate.faults import honoured

Where = tuple[str | int, ...]


def simulate_faults(data: Mapping[str, Any], known: Mapping[str, Profile]) -> Iterator[tuple[Where, Malformed]]:
    """What is wrong with the simulated parts of a lab file (checked by its schema), with the place in the file."""
    own = data.get("simulate", {}).get("arena", {})
    arena = physics.read_arena(own) if own else physics.school_table()
    try:
        physics.free_pose(arena, 0)
    except LabkitError as error:
        yield ("simulate", "arena"), Malformed(error.zh, error.en)
    for index, item in enumerate(data["devices"]):
        profile, asked = known.get(item["profile"]), item.get("simulate", {})
        if profile is None:
            continue
        where = ("devices", index, "simulate")
        can = honoured(profile)
        for name in sorted(asked.get("faults", {}).keys() - can):
            names = "、".join(sorted(can)) or "没有"
            yield (
                (*where, "faults", name),
                Malformed(f"{profile.id} 的模拟没有故障 {name}；有：{names}", f"{profile.id} cannot have the fault {name}"),
            )
        start = asked.get("start")
        if start and profile.drive and not physics.fits(arena, start[0], start[1]):
            yield (
                (*where, "start"),
                Malformed(
                    f"起点 ({start[0]:g}, {start[1]:g}) 不在桌面上，或压着墙和障碍（小车半径 {physics.ROBOT_RADIUS_M * 100:g} 厘米）",
                    f"the start ({start[0]:g}, {start[1]:g}) is off the table, or in a wall or box",
                ),
            )
