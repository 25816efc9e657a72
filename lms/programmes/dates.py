"""Deadlines (截止): end of day in Shanghai, by the level that receives; a level may set an earlier day, never a later one (B9); pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid
from lms.programmes.places import same_place
from lms.programmes.rules import Station
from lms.roster.calendar import national_days

LEVELS = ("school", "county", "city", "province", "nation")
ZONE = ZoneInfo("Asia/Shanghai")


def day_of(text: str) -> date:
    """A day as the pack writes it; raises ValueError."""
    return date.fromisoformat(text)


def day_in(value: str | None) -> date | None:
    """A day that was typed into a form, None for none; raises Invalid."""
    try:
        return date.fromisoformat(value) if value else None
    except ValueError as error:
        raise Invalid("date", _l("日期写得不对，应像 2026-11-24。"), where="date") from error


def end_of(day: date) -> datetime:
    """The first moment that is too late."""
    return datetime.combine(day + timedelta(days=1), time(), ZONE)


def working_day(day: date, count: int) -> date:
    """The ``count``-th working day (工作日) after ``day``, by the national table of holidays and 调休."""
    while count:
        day += timedelta(days=1)
        told = next((one.is_school for one in national_days(day.year) if one.day == day), day.weekday() < 5)
        count -= told
    return day


def local_of(batch: Mapping[str, Any], names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Local arrangements of a batch (本地安排) for offices of these names or codes: their earlier day, their own channel (HN-01)."""
    return [one for one in batch.get("local", ()) if any(same_place(one["office"], name) for name in names)]


def channel_of(batch: Mapping[str, Any], station: Station) -> str:
    """How an office takes papers in (报送方式): as it does locally, else as the notice says for its level (HN-01, HN-02)."""
    office = station.office
    own = [
        one["channel"]
        for one in local_of(batch, (office.name, office.code))
        if one["level"] == office.level and "channel" in one
    ]
    return str(own[0]) if own else station.channel


def due_at(
    batch: Mapping[str, Any],
    chain: Sequence[str],
    level: str,
    own: Mapping[str, date] | None = None,
    names: Sequence[str] = (),
) -> date | None:
    """Day by whose end it must have come to ``level``: the earliest of that level's and of those above it in the chain.

    ``own``: earlier days that offices on the way set themselves, by level; ``names``: names and codes of the offices on the way, for
    the notice's local dates. None where the notice sets no day.
    """
    above = [one for one in LEVELS if LEVELS.index(one) >= LEVELS.index(level) and (one in chain or one == level)]
    days = [day_of(batch["due"][one]) for one in above if one in batch["due"]]
    days += [day_of(one["due"]) for one in local_of(batch, names) if one["level"] in above]
    days += [day for one, day in (own or {}).items() if one in above]
    return min(days, default=None)
