"""What a closed lesson hands down to be recorded (课堂事实); plain, made by the teaching room."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

Modality = Literal["terminals", "teacher-screen", "no-terminals"]
WITNESS_KINDS = ("teacher-sign-in", "seat-heartbeats", "submissions", "device-log")


@dataclass(frozen=True)
class DeviceFact:
    """A lab device in the lesson: Homie id, commands it took, whether its stop was confirmed, camera frames."""

    homie_id: str
    profile: str = ""
    commands: int = 0
    stop_confirmed: bool | None = None
    frames: int = 0
    faces_max: int = 0


@dataclass(frozen=True)
class ArtefactFact:
    """A pupil's work: SHA-256 (hex) and size in bytes of what was sent, and when; never the work itself."""

    attempt_id: uuid.UUID
    person_id: uuid.UUID
    sha256: str
    size: int
    at: datetime


@dataclass(frozen=True)
class WitnessFact:
    """An independent witness of the lesson (B10.2): one of WITNESS_KINDS, how often it spoke, first and last time.

    ``ref`` names the source (account, seats, device); it may point to a person, so it enters the chain only as a commitment.
    """

    kind: str
    ref: str = ""
    count: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None


@dataclass(frozen=True)
class SeatFact:
    """A terminal in the lesson: its heartbeats, and a keyed hash of its network address (only to see whether seats share one)."""

    address: str = ""
    beats: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None


@dataclass(frozen=True)
class LessonFacts:
    """The facts of one lesson of one class (B2a, B10.2); times aware UTC, ``minutes`` counted inside the slot.

    ``units``: "<course>:<code>" taught. ``register``: (person id, status) of every pupil. ``package``: (slug, version, content hash).
    ``makeup_of``: the slot that was cancelled, "<day>/<slot id>". ``part_of``: {"lesson", "kind": halves|shorts, "parts"}. ``secure``: the terminals
    spoke over HTTPS. ``manual``: entered by hand afterwards. ``slot_id``: the timetable's slot, or the swap (调课) that moved it.
    """

    school_id: uuid.UUID
    lesson_id: uuid.UUID | None
    class_id: uuid.UUID
    teacher_id: uuid.UUID
    room_id: uuid.UUID | None
    lesson_on: date
    started_at: datetime
    ended_at: datetime
    minutes: int
    class_hours: int
    kind: str
    subject: str
    units: tuple[str, ...]
    roster: int
    present: int
    on_leave: int
    slot_start: datetime | None
    slot_end: datetime | None
    modality: Modality
    package: tuple[str, str, str] | None = None
    lesson_slug: str = ""
    title: str = ""
    devices: tuple[DeviceFact, ...] = ()
    artefacts: tuple[ArtefactFact, ...] = ()
    register: tuple[tuple[uuid.UUID, str], ...] = ()
    witnesses: tuple[WitnessFact, ...] = ()
    exceptions: tuple[str, ...] = ()
    end_reason: str = ""
    makeup_of: str | None = None
    part_of: dict[str, Any] | None = None
    secure: bool = True
    manual: bool = False
    slot_id: uuid.UUID | None = None
    seats: tuple[SeatFact, ...] = ()
