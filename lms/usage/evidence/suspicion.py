"""The flags of a term from the database (疑点清单): those kept at each lesson's close, and those that several lessons show together."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import select

from lms.core.db import db
from lms.roster.models import Person, Term
from lms.usage.evidence.ledger import this_key
from lms.usage.evidence.lesson_facts import LessonFacts
from lms.usage.evidence.plausibility import Entry, Flag, school_flags
from lms.usage.models import VOID, UsageRecord
from lms.usage.reasons import Reason


def teacher_left(facts: LessonFacts) -> bool:
    """Whether the teacher had left the school before the lesson."""
    left = db.session.scalar(select(Person.left_on).where(Person.id == facts.teacher_id))
    return left is not None and left < facts.lesson_on


def kept(flags: list[Reason]) -> list[dict[str, Any]]:
    """Flags as a record keeps them."""
    return [{"code": one.code, "text": one.template, "facts": dict(one.facts)} for one in flags]


def flags_of(record: UsageRecord) -> list[Reason]:
    """The flags kept with a record."""
    return [Reason(one["code"], one["text"], tuple(one["facts"].items())) for one in record.detail.get("flags", ())]


def found_in(school_id: uuid.UUID, term: Term) -> list[Flag]:
    """All flags of a term's records that stand, by lesson and then over lessons."""
    query = select(UsageRecord).where(UsageRecord.school_id == school_id, UsageRecord.lesson_on.between(term.starts_on, term.ends_on))
    rows = db.session.scalars(query.order_by(UsageRecord.event_seq)).all()
    replaced = {row.corrects_id for row in rows if row.corrects_id}
    standing = [row for row in rows if row.id not in replaced and row.kind != VOID]
    entries = [
        Entry(
            str(row.id), str(row.teacher_id), str(row.class_id), str(row.room_id or ""), row.started_at, row.ended_at, row.created_at, row.kind,
            late=row.origin == "manual" or row.corrects_id is not None,
        )
        for row in standing
    ]  # fmt: skip
    alone = [Flag(why, (str(row.id),)) for row in standing for why in flags_of(row)]
    return [*alone, *school_flags(entries, (term.ends_on,))]


def flags_of_term(school_id: uuid.UUID, term: Term) -> list[dict[str, Any]]:
    """As packs hold them: code, Chinese sentence, records, pseudonyms of the teachers."""
    key = this_key()
    teachers = {row[0]: row[1] for row in db.session.execute(select(UsageRecord.id, UsageRecord.teacher_id).where(UsageRecord.school_id == school_id))}
    return [
        {
            "code": flag.code,
            "text": str(flag.why),
            "records": list(flag.records),
            "teachers": sorted({key.pseudonym(str(teachers[uuid.UUID(one)])) for one in flag.records}),
        }
        for flag in found_in(school_id, term)
    ]
