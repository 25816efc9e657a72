"""The door of usage: record a lesson, correct it, judge a school, verify its evidence (开课使用). Verbs only; rules decide."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms import __version__
from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.jobs import every
from lms.core.models import Account
from lms.roster import service as roster
from lms.roster.erasing.service import Part, holds
from lms.roster.models import Person, SchoolClass
from lms.usage import policies
from lms.usage.evidence.anchors import Standing, accept, countersign, file_sheet, request_of, sheet_of, stamp_due
from lms.usage.evidence.continuity import keep_marks
from lms.usage.evidence.grades import LATE, Sealed, evidence_grade, independent_witnesses, open_part, sealed_part
from lms.usage.evidence.ledger import (
    append_event,
    check_link_of,
    erase_person,
    origin_of,
    record_columns,
    roots_of,
    sign_daily_roots,
    this_key,
    verify_chain,
)
from lms.usage.evidence.lesson_facts import LessonFacts
from lms.usage.evidence.plans import commit_all, plan_of
from lms.usage.evidence.plausibility import lesson_flags
from lms.usage.evidence.suspicion import kept, teacher_left
from lms.usage.judging.gathering import course_of, facts_of, set_course
from lms.usage.judging.lessons import KIND_NAMES, JudgedLesson
from lms.usage.judging.verdicts import SchoolResult
from lms.usage.models import EvidenceSalt, UsageRecord
from lms.usage.rulebook import service as rulebook

__all__ = [
    "Standing",
    "accept",
    "append_event",
    "check_link_of",
    "correct_record",
    "countersign",
    "course_of",
    "erase_person",
    "evaluate",
    "facts_of",
    "file_sheet",
    "judge",
    "judged",
    "record_lesson",
    "record_of",
    "request_of",
    "roots_of",
    "set_course",
    "sheet_of",
    "sign_daily_roots",
    "verify_chain",
]

CORRECTABLE = frozenset(
    {"lesson_on", "minutes", "class_hours", "kind", "subject", "units", "roster", "present", "on_leave", "teacher_id", "makeup_of", "part_of"}
)


def _sign_due() -> None:
    keep_marks(clock.now())
    commit_all(clock.now())
    sign_daily_roots(clock.now())
    stamp_due(clock.now())


every(30, "sign-daily-roots", _sign_due)


def _salts_of(person: Person) -> Iterable[Part]:
    yield Part(_l("证据链上的个人信息（只删盐值，链保持完整）"), EvidenceSalt, (EvidenceSalt.school_id == person.school_id) & (EvidenceSalt.person_id == person.id))


holds(_salts_of, lambda actor, person, reason: erase_person(actor, person.school_id, person.id, reason))


def record_lesson(facts: LessonFacts, actor: Account | None) -> UsageRecord:
    """Write the one usage record of a closed lesson and its link in the evidence chain, in the open write.

    A lesson that has its record already gets that one back. Raises Invalid naming the field that cannot be.
    """
    check_facts(facts)
    with write():
        known = _record_of(facts)
        if known is not None:
            return known
        now = clock.now()
        grade, why = evidence_grade(facts, now)
        record = UsageRecord(
            id=new_id(),
            school_id=facts.school_id,
            lesson_id=facts.lesson_id,
            class_id=facts.class_id,
            teacher_id=facts.teacher_id,
            room_id=facts.room_id,
            lesson_on=facts.lesson_on,
            started_at=facts.started_at,
            ended_at=facts.ended_at,
            minutes=facts.minutes,
            class_hours=facts.class_hours,
            kind=facts.kind,
            subject=facts.subject,
            units=list(facts.units),
            roster=facts.roster,
            present=facts.present,
            on_leave=facts.on_leave,
            grade_of_evidence=grade,
            origin=origin_of(manual=facts.manual),
            makeup_of=facts.makeup_of,
            part_of=facts.part_of,
            entered_by=actor.id if actor else None,
            detail=_detail(facts, why.code),
        )
        _seal(record, "usage-record", facts, actor, now)
        return record


def check_facts(facts: LessonFacts) -> None:
    """Refuse facts that no lesson can have."""
    if facts.kind not in KIND_NAMES:
        raise Invalid("lesson-kind", _l("不认识的课型 %(kind)s。", kind=facts.kind), where="kind", clause="B2a")
    if facts.ended_at < facts.started_at:
        raise Invalid("lesson-times", _l("下课时间早于上课时间。"), where="ended_at")
    for name in ("minutes", "roster", "present", "on_leave"):
        if getattr(facts, name) < 0:
            raise Invalid("lesson-number", _l("%(name)s 不能为负数。", name=name), where=name)
    if facts.class_hours < 1:
        raise Invalid("lesson-number", _l("课时数至少为 1。"), where="class_hours")
    cohort = db.session.get(SchoolClass, facts.class_id)
    if cohort is None or cohort.school_id != facts.school_id:
        raise Invalid("lesson-class", _l("本校没有这个班级。"), where="class_id")


def _record_of(facts: LessonFacts) -> UsageRecord | None:
    if facts.lesson_id is None:
        return None
    query = select(UsageRecord).where(
        UsageRecord.school_id == facts.school_id,
        UsageRecord.lesson_id == facts.lesson_id,
        UsageRecord.class_id == facts.class_id,
        UsageRecord.corrects_id.is_(None),
    )
    return db.session.scalar(query)


def _detail(facts: LessonFacts, why: str) -> dict[str, Any]:
    return {
        "title": facts.title,
        "slot": [_iso(facts.slot_start), _iso(facts.slot_end)],
        "modality": facts.modality,
        "package": list(facts.package) if facts.package else None,
        "lesson_slug": facts.lesson_slug,
        "devices": [{"id": one.homie_id, "commands": one.commands, "stop_confirmed": one.stop_confirmed, "frames": one.frames} for one in facts.devices],
        "witnesses": [{"kind": one.kind, "count": one.count, "first_at": _iso(one.first_at), "last_at": _iso(one.last_at)} for one in facts.witnesses],
        "independent": list(independent_witnesses(facts)),
        "artefacts": len(facts.artefacts),
        "exceptions": list(facts.exceptions),
        "end_reason": facts.end_reason,
        "secure": facts.secure,
        "evidence_why": why,
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _seal(record: UsageRecord, type: str, facts: LessonFacts, actor: Account | None, now: datetime) -> None:
    """Append the link, then the record that names it."""
    plan, flags = plan_of(facts), lesson_flags(facts, now, teacher_left=teacher_left(facts))
    record.detail = record.detail | {"plan": plan.status, "flags": kept(flags)}
    payload = open_part(facts, record_columns(record), __version__) | {"plan": plan.plain(), "flags": [one.code for one in flags]}
    event = append_event(record.school_id, type, payload, [*sealed_part(facts), *_signed_by(actor)], now, manual=facts.manual)
    record.event_seq = event.seq
    db.session.add(record)
    db.session.flush()
    audit(actor, type, "usage_record", record.id, school_id=record.school_id, seq=event.seq, grade=record.grade_of_evidence)


def _signed_by(*accounts: Account | None) -> list[Sealed]:
    found = []
    for number, account in enumerate((one for one in accounts if one is not None), 1):
        person = db.session.scalar(select(Person.id).where(Person.account_id == account.id))
        found.append(Sealed(f"signed/{number}", {"account": str(account.id)}, person))
    return found


def correct_record(actor: Account, second: Account, record_id: uuid.UUID, changes: Mapping[str, Any], reason: str) -> UsageRecord:
    """Correct a record by a new one that names it, a reason and two people (更正); the old row stays.

    ``changes``: columns of CORRECTABLE. The evidence grade falls to B, after 72 hours to C.
    """
    _check_pair(actor, second, reason)
    unknown = set(changes) - CORRECTABLE
    if unknown or not changes:
        raise Invalid("correction", _l("这些内容不能更正：%(names)s。", names="、".join(sorted(unknown)) or "-"), clause="B10")
    with write():
        old = record_of(actor.organisation_id, record_id)
        if db.session.scalar(select(UsageRecord.id).where(UsageRecord.school_id == old.school_id, UsageRecord.corrects_id == old.id)):
            raise Refused("corrected-already", _l("这条记录已被更正过。"), remedy=_l("请更正最新的那一条。"), clause="B10")
        now = clock.now()
        kept = ("lesson_id", "class_id", "teacher_id", "room_id", "lesson_on", "started_at", "ended_at", "minutes", "class_hours", "kind")
        more = ("subject", "units", "roster", "present", "on_leave", "makeup_of", "part_of", "origin")
        columns = {name: getattr(old, name) for name in kept + more} | dict(changes)
        moved = columns["lesson_on"] - old.lesson_on
        columns |= {name: getattr(old, name) + moved for name in ("started_at", "ended_at")}
        late = now - old.ended_at > LATE
        record = UsageRecord(
            id=new_id(),
            school_id=old.school_id,
            **columns,
            grade_of_evidence="C" if late else max("B", old.grade_of_evidence),
            corrects_id=old.id,
            reason=reason.strip(),
            entered_by=actor.id,
            countersigned_by=second.id,
            detail=old.detail | {"evidence_why": "corrected", "changed": sorted(changes)},
        )
        by = [this_key().pseudonym(str(one.id)) for one in (actor, second)]
        payload = {"record": record_columns(record), "changed": sorted(changes), "by": by, "software": __version__}
        told = Sealed("reason", {"text": record.reason})
        teacher = Sealed("teacher", {"person": str(record.teacher_id), "sources": []}, record.teacher_id)
        event = append_event(old.school_id, "usage-correction", payload, [teacher, told, *_signed_by(actor, second)], now, manual=old.origin == "manual")
        record.event_seq = event.seq
        db.session.add(record)
        db.session.flush()
        audit(actor, "usage-correction", "usage_record", record.id, record.reason, school_id=old.school_id, corrects=str(old.id))
        return record


def _check_pair(actor: Account, second: Account, reason: str) -> None:
    if actor.id == second.id:
        raise Refused("two-people", _l("更正要由两个人完成。"), remedy=_l("请另一位老师或管理员登录确认。"), clause="B10")
    if not reason.strip():
        raise Invalid("reason", _l("请写明更正的原因。"), where="reason", clause="B10")
    for account in (actor, second):
        if account.organisation_id != actor.organisation_id or not may(account, ("teacher", "school_admin")):
            raise NotAllowed("correct", _l("只有本校教师和管理员可以更正使用记录。"), clause="B10")
    if not (may(actor, ("school_admin",)) or may(second, ("school_admin",))):
        raise NotAllowed("correct-admin", _l("两人之中要有一位学校管理员。"), clause="B10")


def record_of(school_id: uuid.UUID, record_id: uuid.UUID) -> UsageRecord:
    """A record of the school; NotFound where it is none."""
    record = db.session.get(UsageRecord, record_id)
    if record is None or record.school_id != school_id:
        raise NotFound("usage-record", _l("没有这条使用记录。"))
    return record


def judged(record: UsageRecord, rule: str = "fortnightly") -> JudgedLesson | None:
    """Whether a record counts and why, as ``rule`` sees it today; None where its class is not judged or the record was replaced."""
    school = roster.school_of(record.school_id)
    try:
        facts = facts_of(record.school_id, max(record.lesson_on, roster.today_of(school)))
        if not facts.term_start <= record.lesson_on <= facts.term_end:
            facts = facts_of(record.school_id, record.lesson_on)
    except Refused:
        return None
    one_class = dataclasses.replace(facts, classes=tuple(one for one in facts.classes if one.id == str(record.class_id)))
    result = policies.evaluate(one_class, rulebook.policy_for(record.school_id, rule, facts.judged_on))
    found = [lesson for one in result.classes for lesson in one.lessons]
    return next((lesson for lesson in found if lesson.lesson.id == str(record.id)), None)


def judge(school_id: uuid.UUID, rule: str, as_of: date, course: str | None = None) -> SchoolResult:
    """The school under ``rule`` at the end of ``as_of`` with the numbers that hold then, and everything behind the verdict.

    Raises NotFound (``rule``), Refused (``no-term``, ``no-stage``).
    """
    return rulebook.judge(school_id, rule, as_of, course)


def evaluate(school_id: uuid.UUID, rule: str, as_of: date, course: str | None = None) -> dict[str, Any]:
    """:func:`judge` in the shape that ``lms usage evaluate --json`` prints."""
    return judge(school_id, rule, as_of, course).to_json()
