"""Deadlines (截止): end of day in Shanghai, by the level that receives; a level may set an earlier day, never a later one (B9); pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

LEVELS = ("school", "county", "city", "province", "nation")
ZONE = ZoneInfo("Asia/Shanghai")


def day_of(text: str) -> date:
    """A day as the pack writes it; raises ValueError."""
    return date.fromisoformat(text)


def end_of(day: date) -> datetime:
    """The first moment that is too late."""
    return datetime.combine(day + timedelta(days=1), time(), ZONE)


def due_at(
    batch: Mapping[str, Any],
    chain: Sequence[str],
    level: str,
    own: Mapping[str, date] | None = None,
    names: Sequence[str] = (),
) -> date | None:
    """Day by whose end it must have come to ``level``: the earliest of that level's and of those above it in the chain.

    ``own``: earlier days that offices on the way set themselves, by level; ``names``: names of the offices on the way, for the
    notice's local dates. None where the notice sets no day.
    """
    above = [one for one in LEVELS if LEVELS.index(one) >= LEVELS.index(level) and (one in chain or one == level)]
    days = [day_of(batch["due"][one]) for one in above if one in batch["due"]]
    days += [day_of(one["due"]) for one in batch.get("local", ()) if one["level"] in above and one["office"] in names]
    days += [day for one, day in (own or {}).items() if one in above]
    return min(days, default=None)
