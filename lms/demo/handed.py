"""What the province's schools have handed up (演示上报): the nation's office serves this server, every officer sees the schools below.

Schools that teach on this server are judged by their records; the others by made-up facts, through the same rules engine.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.errors import Refused
from lms.core.models import Organisation
from lms.core.stages import first_grade
from lms.demo.places import CITIES
from lms.demo.plan import DemoCalendar
from lms.region import office, service
from lms.region.models import RegionResult, Subordinate
from lms.region.results import judged, payload_of
from lms.roster import service as roster
from lms.usage import service as usage
from lms.usage.judging.facts import ClassFact, Facts, SchoolFact, TaughtLesson
from lms.usage.rulebook.service import rules_for

COURSE = "demo-ncet"
PATTERNS: tuple[tuple[int, ...], ...] = ((1, 3, 5, 7, 9), (2, 4, 6, 8, 9), (1, 3, 6, 8, 9), (1, 3, 5, 7, 9), (2, 3, 5, 7, 9), (1, 4, 6, 7, 9), (1, 4, 6))
SILENT, STALE = 11, 7  # one school in so many never handed up, or not for two months


def hand_up(nation: Organisation, plan: DemoCalendar) -> None:
    """Enrol every county and school with the nation's office and keep its verdicts; then write the result files."""
    rows: list[dict[str, Any]] = []
    with write():
        office.serve(nation)
        counties = {}
        for place, county in enumerate((one for rows_ in CITIES.values() for one in rows_), 1):
            found = db.session.scalars(select(Organisation).where(Organisation.level == "county", Organisation.name == county)).one()
            made = Subordinate(id=new_id(), number=place, level="county", name=county, organisation_id=found.id, handed_at=clock.now())
            db.session.add(made)
            counties[found.id] = made.id
        db.session.flush()
        kept: dict[tuple[tuple[str, ...], int], list[dict[str, Any]]] = {}
        query = select(Organisation).where(Organisation.level == "school", Organisation.path.startswith(nation.path)).order_by(Organisation.code)
        for place, own in enumerate(db.session.scalars(query).all()):
            key = own.id
            stages = tuple(row.stage for row in roster.stages_of(key))
            real = _real(key, plan)
            silent = not real and place % SILENT == SILENT - 1
            days = 62 if not real and place % STALE == STALE - 1 else place % 4
            db.session.add(
                Subordinate(
                    id=new_id(), number=100 + place, level="school", name=own.name, code=own.code, organisation_id=key, profile={"stages": list(stages)},
                    via_id=counties.get(own.parent_id) if own.parent_id else None, handed_at=None if silent else clock.now() - timedelta(days=days),
                )
            )  # fmt: skip
            case = (stages, place % len(PATTERNS))
            if not real and not silent and case not in kept:
                kept[case] = _results(_facts(stages, PATTERNS[case[1]], plan), key)
            rows += [one | {"school_id": key, "number": 100 + place} for one in ([] if silent else real or kept[case])]
        db.session.flush()
        db.session.add_all(RegionResult(id=new_id(), **one) for one in rows)
    service.refresh()


def _real(school_id: uuid.UUID, plan: DemoCalendar) -> list[dict[str, Any]]:
    try:
        return _results(usage.facts_of(school_id, plan.today), school_id)
    except Refused:  # it has no term on this server: it hands up from its own
        return []


def _results(facts: Facts, school_id: uuid.UUID) -> list[dict[str, Any]]:
    rules = rules_for(school_id, facts.as_of, "lessons")
    return [
        {
            "rule": one.rule, "version": one.version, "term_start": facts.term_start, "as_of": facts.as_of, "verdict": one.verdict,
            "payload": payload_of(one),
        }
        for one in judged(facts, rules)
    ]  # fmt: skip


def _facts(stages: Sequence[str], weeks: Sequence[int], plan: DemoCalendar) -> Facts:
    classes = [
        ClassFact(id=f"{stage}-{grade}-{number}", stage=stage, grade=grade, number=number, roster=40)
        for stage in stages
        for grade in range(first_grade(stage), first_grade(stage) + 2)
        for number in (1, 2)
    ]
    lessons = [_lesson(one, plan.starts_on + timedelta(weeks=week - 1, days=index % 5)) for index, one in enumerate(classes) for week in weeks]
    return Facts(
        as_of=plan.today, course=COURSE, school=SchoolFact(id="made-up", stages=tuple(stages)), term_start=plan.starts_on, term_end=plan.ends_on,
        classes=tuple(classes), lessons=tuple(one for one in lessons if one.date < plan.today),
    )  # fmt: skip


def _lesson(cohort: ClassFact, day: date) -> TaughtLesson:
    return TaughtLesson(
        id=f"{cohort.id}-{day.isoformat()}", class_id=cohort.id, date=day, minutes=40, present=38, leave=1, roster=40, course=COURSE,
        units=("1",), teacher_registered=True, evidence="B",
    )  # fmt: skip
