"""The clock of the process; passed into rules, never read inside them (时钟)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Gives the present moment."""

    def now(self) -> datetime:
        """Aware UTC time."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Aware UTC time of the machine."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands until it is set; for tests and rehearsals."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """The moment last set."""
        return self.at


_clock: Clock = SystemClock()


def get_clock() -> Clock:
    """The clock in force."""
    return _clock


def set_clock(clock: Clock) -> None:
    """Put another clock in force for this process."""
    global _clock
    _clock = clock


def now() -> datetime:
    """Present moment, aware UTC."""
    return _clock.now()


def local(at: datetime, zone: str) -> datetime:
    """``at`` in the school's zone."""
    return at.astimezone(ZoneInfo(zone))


def local_date(at: datetime, zone: str) -> date:
    """Calendar day of ``at`` in the school's zone."""
    return local(at, zone).date()
