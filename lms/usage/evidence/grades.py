"""Evidence grades and what of a lesson enters the chain (证据等级), definitions B10.2 and B10.5; pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lms.usage.evidence.chain import stamp
from lms.usage.evidence.lesson_facts import WITNESS_KINDS
from lms.usage.judging.facts import LessonFacts
from lms.usage.reasons import N_, Reason, reason

LATE = timedelta(hours=72)
ANCHORED = timedelta(hours=24)
WITNESSES_FOR_A = 3
INSECURE = ("plain-http", "insecure")

WITNESS_NAMES = {
    "teacher-sign-in": N_("教师登录"),
    "seat-heartbeats": N_("终端心跳"),
    "submissions": N_("学生作答"),
    "device-log": N_("设备日志"),
}


@dataclass(frozen=True)
class Sealed:
    """A value that enters the chain only as a salted commitment; ``person_id`` may ask for its erasure."""

    field: str
    value: dict[str, Any]
    person_id: uuid.UUID | None = None


def independent_witnesses(facts: LessonFacts) -> tuple[str, ...]:
    """Kinds of witnesses that spoke at least once."""
    spoke = {witness.kind for witness in facts.witnesses if witness.count > 0}
    return tuple(kind for kind in WITNESS_KINDS if kind in spoke)


def evidence_grade(facts: LessonFacts, recorded_at: datetime) -> tuple[str, Reason]:
    """A: at least three independent witnesses over a secure line; C: by hand, or more than 72 h late; else B."""
    if facts.manual:
        return "C", reason("manual", N_("手工补录"))
    if recorded_at - facts.ended_at > LATE:
        return "C", reason("late", N_("下课 72 小时后才登记"))
    kinds = independent_witnesses(facts)
    if len(kinds) < WITNESSES_FOR_A:
        return "B", reason("few-witnesses", N_("独立旁证只有 %(count)s 种（A 级需 %(wanted)s 种）"), count=len(kinds), wanted=WITNESSES_FOR_A)
    if not facts.secure or any(name in facts.exceptions for name in INSECURE):
        return "B", reason("plain-http", N_("终端没有使用 HTTPS"))
    return "A", reason("witnessed", N_("%(count)s 种独立旁证，自动记录"), count=len(kinds))


def standing_grade(recorded: str, ended_at: datetime, anchored_at: datetime | None, now: datetime) -> tuple[str, Reason]:
    """The grade as it stands (B10.5): what was recorded, lowered to B where an A was not anchored outside the school within 24 hours.

    The record keeps what was known when it was written; anchors come later, so the grade is derived whenever it is read.
    """
    if recorded != "A":
        return recorded, reason("as-recorded", N_("登记时已定"))
    if anchored_at is not None and anchored_at - ended_at <= ANCHORED:
        return "A", reason("anchored", N_("24 小时内已在校外锚定"))
    if anchored_at is None and now - ended_at <= ANCHORED:
        return "A", reason("anchor-due", N_("等待校外锚定，下课 24 小时后仍未锚定即为 B 级"))
    return "B", reason("anchor-late", N_("24 小时内没有校外锚定"))


def open_part(facts: LessonFacts, record: Mapping[str, Any], software: str) -> dict[str, Any]:
    """Payload of a ``usage-record`` event: the rule columns, counts, times, devices; no person and no work of a person."""
    return {
        "record": dict(record),
        "slot": [stamp(facts.slot_start) if facts.slot_start else None, stamp(facts.slot_end) if facts.slot_end else None],
        "modality": facts.modality,
        "package": list(facts.package) if facts.package else None,
        "lesson_slug": facts.lesson_slug,
        "devices": [
            {
                "id": device.homie_id,
                "profile": device.profile,
                "commands": device.commands,
                "stop_confirmed": device.stop_confirmed,
                "frames": device.frames,
                "faces_max": device.faces_max,
            }
            for device in facts.devices
        ],
        "witnesses": [
            {
                "kind": one.kind,
                "count": one.count,
                "first_at": stamp(one.first_at) if one.first_at else None,
                "last_at": stamp(one.last_at) if one.last_at else None,
            }
            for one in facts.witnesses
        ],
        "artefacts": len(facts.artefacts),
        "exceptions": list(facts.exceptions),
        "end_reason": facts.end_reason,
        "secure": facts.secure,
        "manual": facts.manual,
        "software": software,
    }


def sealed_part(facts: LessonFacts) -> list[Sealed]:
    """The commitments of a lesson: one for the teacher with the sources of the witnesses, one a pupil with status and work.

    Pupils stand in the order of a random-looking key (their id), numbered; no field name tells who it is.
    """
    sources = [{"kind": one.kind, "ref": one.ref} for one in facts.witnesses]
    sealed = [Sealed("teacher", {"person": str(facts.teacher_id), "sources": sources}, facts.teacher_id)]
    status = dict(facts.register)
    works: dict[uuid.UUID, list[dict[str, Any]]] = {}
    for work in sorted(facts.artefacts, key=lambda one: (one.at, one.attempt_id)):
        entry = {"attempt": str(work.attempt_id), "sha256": work.sha256, "size": work.size, "at": stamp(work.at)}
        works.setdefault(work.person_id, []).append(entry)
    for number, person in enumerate(sorted(status.keys() | works.keys()), 1):
        value = {"person": str(person), "status": status.get(person, ""), "work": works.get(person, [])}
        sealed.append(Sealed(f"pupil/{number:03d}", value, person))
    return sealed
