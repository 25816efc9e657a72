"""What a school claims, held against its chain and judged anew by this office's rules (复核判定)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, select, update

from lms.core.db import db, new_id
from lms.core.errors import Refused
from lms.core.models import Organisation
from lms.region import rules
from lms.region.batches import Batch
from lms.region.models import HandedRecord, RegionResult, Subordinate
from lms.region.office import need_office
from lms.region.results import judged, payload_of
from lms.roster.calendar import national_days_between
from lms.usage.judging.facts import Facts
from lms.usage.judging.reading import from_json
from lms.usage.judging.verdicts import SchoolResult
from lms.usage.models import VOID
from lms.usage.rulebook import service as rulebook


def judge(
    batch: Batch,
    school_id: uuid.UUID,
    records: list[tuple[int, Mapping[str, Any]]],
    calendar: Mapping[str, Mapping[str, Any]],
) -> list[tuple[Facts, SchoolResult]]:
    """Run this office's own rules over the facts, once each lesson is found on the chain; raises Refused naming record or rule.

    Closures and flagged weeks count as the chain's own ``calendar`` has them; the school's verdict is compared where they agree.
    """
    found = []
    for term in batch.results.get("terms", []):
        told = from_json(term["facts"])
        facts = rules.with_calendar(told, calendar, national_days_between(told.term_start, told.period_end))
        if facts.school.id != batch.school:
            raise Refused("school", _l("判定依据属于另一所学校。"), clause="B10")
        wrong = rules.unsupported(term["facts"]["lessons"], _in_force(school_id, facts, records))
        if wrong is not None:
            record, on, what = wrong
            raise Refused(
                "unsupported",
                _l("%(on)s 的使用记录 %(record)s 与证据链不符（%(what)s）。", on=on, record=record, what=what),
                remedy=_l("这一批没有导入；请学校核对后重新上报。"),
                where=record,
                clause="B10",
            )
        placed = db.session.get(Organisation, school_id) or need_office()
        for result in judged(facts, rulebook.rules_for(placed.id, facts.judged_on, "lessons")):
            for claim in term["verdicts"] if facts == told else ():
                if (claim["rule"], claim["version"]) == (result.rule, result.version) and claim[
                    "verdict"
                ] != result.verdict:
                    raise Refused(
                        "verdict-differs",
                        _l("规则 %(rule)s %(version)s：学校报 %(theirs)s，按同一事实应为 %(ours)s。", rule=result.rule, version=result.version,
                           theirs=claim["verdict"], ours=result.verdict),
                        where=result.rule,
                    )  # fmt: skip
            found.append((facts, result))
    return found


def _in_force(
    school_id: uuid.UUID, facts: Facts, new: list[tuple[int, Mapping[str, Any]]]
) -> dict[str, Mapping[str, Any]]:
    query = select(HandedRecord.record_id, HandedRecord.facts).where(
        HandedRecord.school_id == school_id, HandedRecord.corrected.is_(False)
    )
    rows = db.session.execute(query.where(HandedRecord.lesson_on.between(facts.term_start, facts.term_end)))
    held: dict[str, Mapping[str, Any]] = {row.record_id: row.facts for row in rows}
    held |= {record["id"]: record for _seq, record in new}
    for _seq, record in new:
        held.pop(record["corrects"] or "", None)
    return {key: record for key, record in held.items() if record["kind"] != VOID}


def held_of(school_id: uuid.UUID, until: int) -> rules.Held:
    """What new records of a school are held against: those until the link ``until``."""
    query = select(HandedRecord.record_id, HandedRecord.facts).where(
        HandedRecord.school_id == school_id, HandedRecord.seq <= until
    )
    rows = [(row.record_id, row.facts) for row in db.session.execute(query)]
    lessons = frozenset(
        (facts["lesson"], facts["class"]) for _key, facts in rows if facts["lesson"] and not facts["corrects"]
    )
    return rules.Held(frozenset(key for key, _facts in rows), lessons)


def keep_records(school_id: uuid.UUID, records: list[tuple[int, Mapping[str, Any]]]) -> None:
    """Keep new records; those that they correct are out of force; in the open write."""
    for seq, record in records:
        day = date.fromisoformat(record["lesson_on"])
        db.session.add(
            HandedRecord(
                id=new_id(), school_id=school_id, record_id=record["id"], seq=seq, lesson_on=day, facts=dict(record)
            )
        )
    db.session.flush()
    corrected = [record["corrects"] for _seq, record in records if record["corrects"]]
    if corrected:
        mine = (HandedRecord.school_id == school_id, HandedRecord.record_id.in_(corrected))
        db.session.execute(update(HandedRecord).where(*mine).values(corrected=True))


def keep_results(found: Subordinate, school_id: uuid.UUID, verdicts: list[tuple[Facts, SchoolResult]]) -> None:
    """Replace the results of the terms that were judged, unless newer ones are held; in the open write."""
    for facts, result in verdicts:
        newer = select(RegionResult.id).where(
            RegionResult.school_id == school_id, RegionResult.rule == result.rule, RegionResult.as_of > facts.as_of
        )
        if db.session.scalar(newer.where(RegionResult.term_start == facts.term_start)) is not None:
            continue
        mine = (
            RegionResult.school_id == school_id,
            RegionResult.rule == result.rule,
            RegionResult.term_start == facts.term_start,
        )
        db.session.execute(delete(RegionResult).where(*mine))
        db.session.add(
            RegionResult(
                id=new_id(),
                school_id=school_id,
                number=found.number,
                rule=result.rule,
                version=result.version,
                term_start=facts.term_start,
                as_of=facts.as_of,
                verdict=result.verdict,
                payload=payload_of(result),
            )
        )
