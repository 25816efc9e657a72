"""Decisions of teaching: states of a lesson, its minutes, the register, groups, who may act (授课规则); pure, clock passed in."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, TypeVar

State = Literal["running", "paused", "ended", "closed"]
Standing = Literal["teacher", "substitute", "admin"]
SeatState = Literal["absent", "leave", "hand", "here", "done", "help", "offline", "left"]

LIVE: Final = ("running", "paused")
OPEN: Final = ("running", "paused", "ended")
REOPEN: Final = timedelta(minutes=10)
DOOR_OPENS: Final = timedelta(minutes=10)
"""Names may be shown this long before a slot begins (B2a, roster door)."""
BELL_GRACE: Final = timedelta(minutes=10)
"""A lesson that runs this long past its bell was forgotten."""
ONLINE_FOR: Final = timedelta(seconds=15)
"""A terminal is offline when its heartbeat (every 5 s) is older: two beats may be lost."""

STATUSES: Final = ("absent", "terminal", "shared", "hand", "late", "leave", "left_early")
PRESENT: Final = frozenset({"terminal", "shared", "hand", "late", "left_early"})
"""Came to the lesson (B2a); late and left early are present and listed apart."""

KINDS: Final = ("regular", "makeup", "combined", "substitute", "online", "club", "exam")
TRANSITIONS: Final[Mapping[str, frozenset[str]]] = {
    "pause": frozenset({"running"}),
    "resume": frozenset({"paused"}),
    "push": frozenset({"running", "paused"}),
    "end": frozenset({"running", "paused"}),
    "reopen": frozenset({"ended"}),
    "close": frozenset({"running", "paused", "ended"}),
    "mark": frozenset({"running", "paused", "ended"}),
}


@dataclass(frozen=True)
class Times:
    """Moments of a lesson, aware UTC; ``planned_*`` are the slot's, None for an ad hoc lesson."""

    started_at: datetime
    planned_start: datetime | None
    planned_end: datetime | None
    class_hour_minutes: int

    @property
    def bell(self) -> datetime:
        """When the lesson is over by plan: the slot's end, or one class hour after an unplanned start."""
        return self.planned_end or self.started_at + timedelta(minutes=self.class_hour_minutes)


def allowed(verb: str, state: str) -> bool:
    """Whether ``verb`` may be done in ``state``."""
    return state in TRANSITIONS[verb]


def may_reopen(state: str, reopen_until: datetime | None, now: datetime) -> bool:
    """Whether an ended lesson may be opened again: within ten minutes of its end."""
    return allowed("reopen", state) and reopen_until is not None and now < reopen_until


def forgotten(state: str, times: Times, now: datetime) -> bool:
    """Whether the bell went and nobody ended the lesson; an unplanned lesson may last two class hours before it counts as forgotten."""
    extra = timedelta(0) if times.planned_end is not None else timedelta(minutes=times.class_hour_minutes)
    return state in LIVE and now >= times.bell + extra + BELL_GRACE


def may_be_displaced(state: str, times: Times, now: datetime) -> bool:
    """Whether the next class may take the room: the lesson has ended, or its bell has gone."""
    return state == "ended" or (state in LIVE and now >= times.bell)


def end_of(times: Times, now: datetime, *, by_teacher: bool) -> datetime:
    """Moment that counts as the end: the teacher's word, or the bell for one that was forgotten or displaced."""
    return now if by_teacher else max(times.started_at, min(now, times.bell))


def minutes_taught(times: Times, ended_at: datetime, gaps: Sequence[tuple[datetime, datetime]] = ()) -> int:
    """Whole minutes inside the slot (B2a); without a slot, from start to end. Never rounded up, never negative.

    ``gaps``: intervals between an end and its reopening; nobody taught in them.
    """
    start, end = times.started_at, ended_at
    if times.planned_start is not None:
        start = max(start, times.planned_start)
    if times.planned_end is not None:
        end = min(end, times.planned_end)
    if end <= start:
        return 0
    idle = sum((max(timedelta(0), min(end, until) - max(start, since)) for since, until in gaps), timedelta(0))
    return max(0, int((end - start - idle).total_seconds() // 60))


def class_hours(times: Times, minutes: int) -> int:
    """Class hours (课时): 2 for a double period (连堂) of which at least 75 % of both hours were taught, else 1 (B2a)."""
    if times.planned_start is None or times.planned_end is None:
        planned = minutes // times.class_hour_minutes
    else:
        planned = int((times.planned_end - times.planned_start).total_seconds() // 60) // times.class_hour_minutes
    taught = int(minutes / (0.75 * times.class_hour_minutes))
    return max(1, min(2, planned, taught))


@dataclass(frozen=True)
class Register:
    """The register in numbers. ``present`` includes ``late`` and ``left_early``; roster = present + leave + absent."""

    roster: int
    present: int
    leave: int
    absent: int
    late: int
    left_early: int
    terminal: int
    shared: int
    hand: int


def summary(statuses: Iterable[str]) -> Register:
    """Count a register's statuses; an unknown status is absent."""
    listed = list(statuses)
    count = {status: listed.count(status) for status in STATUSES}
    present = sum(count[status] for status in PRESENT)
    return Register(
        roster=len(listed),
        present=present,
        leave=count["leave"],
        absent=len(listed) - present - count["leave"],
        late=count["late"],
        left_early=count["left_early"],
        terminal=count["terminal"],
        shared=count["shared"],
        hand=count["hand"],
    )


def status_at_sign_in(before: str) -> str:
    """Status after a pupil signs in at a terminal: the teacher's ``late`` stays, everything else becomes ``terminal``."""
    return before if before == "late" else "terminal"


@dataclass(frozen=True)
class Place:
    """Where a pupil sits; ``row``/``column`` from the teacher's desk, None without a seat."""

    person_id: uuid.UUID
    roll_no: int
    row: int | None = None
    column: int | None = None


def make_groups(places: Sequence[Place], size: int) -> list[tuple[uuid.UUID, ...]]:
    """Groups of about ``size`` neighbours: seats row by row, back and forth, then those without a seat by roll number.

    Sizes differ by at most one and never exceed ``size``; raises ValueError for a size below 1.
    """
    if size < 1:
        raise ValueError("group size below 1")
    if not places:
        return []

    def nearness(place: Place) -> tuple[int, int, int, int]:
        if place.row is None or place.column is None:
            return (1, 0, 0, place.roll_no)
        return (0, place.row, place.column if place.row % 2 == 0 else -place.column, place.roll_no)

    ordered = sorted(places, key=nearness)
    number = math.ceil(len(ordered) / size)
    small, larger = divmod(len(ordered), number)
    groups, at = [], 0
    for index in range(number):
        width = small + (1 if index < larger else 0)
        groups.append(tuple(place.person_id for place in ordered[at : at + width]))
        at += width
    return groups


def standing(
    person_id: uuid.UUID | None, *, is_admin: bool, is_teacher: bool, class_teachers: frozenset[uuid.UUID], slot_teacher: uuid.UUID | None
) -> Standing | None:
    """As whom a member of staff opens a lesson: the class's teacher, a substitute (代课, flagged in the record), or an admin."""
    if person_id is not None and (person_id in class_teachers or person_id == slot_teacher):
        return "teacher"
    if is_admin:
        return "admin"
    return "substitute" if is_teacher and person_id is not None else None


def may_steer(person_id: uuid.UUID | None, *, is_admin: bool, lesson_teacher: uuid.UUID, class_teachers: frozenset[uuid.UUID]) -> bool:
    """Who may act in an open lesson: who teaches it, the class's teachers, an admin."""
    return is_admin or (person_id is not None and (person_id == lesson_teacher or person_id in class_teachers))


def next_lesson(order: Sequence[str], taught: Iterable[str]) -> str:
    """The lesson after the furthest one taught; the first where none was, the last where all were; empty without lessons."""
    done = set(taught)
    if not order:
        return ""
    last = max((index for index, slug in enumerate(order) if slug in done), default=-1)
    return order[min(last + 1, len(order) - 1)]


class Slot(Protocol):
    """A slot of the day as the rules need it; roster's DaySlot is one."""

    @property
    def class_id(self) -> uuid.UUID: ...
    @property
    def teacher_id(self) -> uuid.UUID: ...
    @property
    def room_id(self) -> uuid.UUID | None: ...
    @property
    def subject(self) -> str: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def starts(self) -> datetime: ...
    @property
    def ends(self) -> datetime: ...


SlotT = TypeVar("SlotT", bound=Slot)


def slot_fits(starts: datetime, ends: datetime, now: datetime) -> bool:
    """Whether a lesson opened now is the slot's: at most twenty minutes before its bell, not after its end.

    Opened at another time it is an unplanned lesson, whose minutes count from its own start.
    """
    return starts - DOOR_OPENS * 2 <= now < ends


def joined(slots: Sequence[SlotT]) -> list[tuple[SlotT, ...]]:
    """Runs of consecutive periods of the same class, teacher, room and subject (连堂), each one lesson; ordered by start."""
    runs: list[tuple[SlotT, ...]] = []
    open_runs: dict[tuple[object, ...], int] = {}
    for slot in sorted(slots, key=lambda slot: (slot.starts, slot.ordinal)):
        key = (slot.class_id, slot.teacher_id, slot.room_id, slot.subject)
        index = open_runs.get(key)
        if index is not None and runs[index][-1].ordinal + 1 == slot.ordinal and len(runs[index]) < 2:
            runs[index] = (*runs[index], slot)
            continue
        open_runs[key] = len(runs)
        runs.append((slot,))
    return runs


def slot_now(slots: Sequence[SlotT], now: datetime) -> SlotT | None:
    """The slot that runs or begins within ten minutes; the running one first."""
    running = [slot for slot in slots if slot.starts <= now < slot.ends]
    coming = [slot for slot in slots if now < slot.starts <= now + DOOR_OPENS]
    return min(running or coming, key=lambda slot: slot.starts, default=None)


@dataclass(frozen=True)
class Sign:
    """Signs of life of one pupil's seat. ``last_at``: newest heartbeat."""

    status: str
    signed_in_at: datetime | None
    signed_out_at: datetime | None
    last_at: datetime | None
    needs_help: bool
    done: bool


def seat_state(sign: Sign, now: datetime, *, online_for: timedelta = ONLINE_FOR) -> SeatState:
    """What the console shows for a pupil: help before offline before done, so that one glance tells who needs help."""
    if sign.status == "leave":
        return "leave"
    if sign.status == "left_early":
        return "left"
    if sign.status == "absent":
        return "absent"
    at_terminal = sign.signed_in_at is not None and sign.signed_out_at is None
    if not at_terminal:
        return "hand"
    if sign.needs_help:
        return "help"
    newest = max(moment for moment in (sign.last_at, sign.signed_in_at) if moment is not None)
    if now - newest > online_for:
        return "offline"
    return "done" if sign.done else "here"
