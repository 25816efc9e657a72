"""What a simulated robot's motors did, from ``<run_dir>/lab/sim/<id>.jsonl``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Change:
    """The motors from ``at`` on (seconds of the machine's monotonic clock, as ``time.monotonic()``)."""

    at: float
    left: float
    right: float
    why: str

    @property
    def moving(self) -> bool:
        """Whether a wheel turns."""
        return self.left != 0 or self.right != 0


def changes(run_dir: Path, robot: str) -> list[Change]:
    """Every change of the robot's motors so far, oldest first; a line that is being written is left out."""
    text = (run_dir / "lab" / "sim" / f"{robot}.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [Change(line["at"], line["left"], line["right"], line["why"]) for line in lines]


def moving(run_dir: Path, robot: str) -> bool:
    """Whether the robot drives now."""
    return changes(run_dir, robot)[-1].moving


def still_after(run_dir: Path, robot: str, moment: float) -> float | None:
    """Seconds from ``moment`` until the robot stood: 0 where it stood already, None where it still drives."""
    driving = False
    for change in changes(run_dir, robot):
        if change.at > moment and driving and not change.moving:
            return change.at - moment
        driving = change.moving
    return None if driving else 0.0
