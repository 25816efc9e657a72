"""Self-check (资格自查): live facts of an applicant, each criterion with its figure and where it comes from."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core.db import db
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Organisation
from lms.programmes.measures import LAB_NEEDS, STATE_NAMES, Facts, Lab, Member, Outcome, Usage, measure
from lms.programmes.models import Application, Filing
from lms.programmes.notices import pack_of
from lms.programmes.pack import Document
from lms.programmes.service import content_of, files_of, recommended
from lms.programmes.teaching import admitted, teachers_of, today
from lms.register import service as register
from lms.roster import service as roster
from lms.roster.models import Room, SchoolStage
from lms.usage import policies
from lms.usage.planned import plan_facts
from lms.usage.rulebook import service as rulebook

ORDER = ("not-met", "declare", "not-assessable", "warn", "met")


@dataclass(frozen=True)
class Line:
    """One criterion with what was found."""

    criterion: Document
    outcome: Outcome

    @property
    def state_name(self) -> str:
        """符合 …"""
        return STATE_NAMES[self.outcome.state]


def check(found: Application) -> list[Line]:
    """Every criterion of the application, in the notice's order."""
    pack = pack_of(found)
    facts = facts_of(found)
    return [Line(one, measure(one, facts)) for one in pack.criteria_of(found.kind)]


def lines_of(found: Application, filed: Filing | None) -> list[Line]:
    """As it was handed in; as it stands now for None."""
    if filed is None:
        return check(found)
    kept = {one["id"]: Outcome(one["state"], one["figure"], one["source"]) for one in filed.checks}
    return [Line(one, kept[one["id"]]) for one in pack_of(found).criteria_of(found.kind) if one["id"] in kept]


def unmet(lines: Iterable[Line]) -> list[Line]:
    """Must-criteria (必须条件) that are not met: to go on all the same takes a tick and a reason."""
    return [one for one in lines if one.outcome.state == "not-met" and one.criterion.get("weight", "must") == "must"]


def exception_told(lines: Iterable[Line], ticked: bool, reason: str) -> str:
    """What the step keeps, and those above read, where must-criteria are not met; "" where all are. Raises Invalid without tick or reason."""
    short = unmet(lines)
    if not short:
        return ""
    names = "、".join(str(one.criterion.get("clause", one.criterion["id"])) for one in short)
    if not ticked or not reason.strip():
        raise Invalid(
            "criteria-unmet",
            _l("必须条件没有达到：%(names)s。", names=names),
            remedy=_l("仍要继续的，请勾选“知道这些条件没有达到”并写明理由，上级会看到。"),
            where="reason",
        )
    told = "；".join(f"{one.criterion['text']}（{one.outcome.figure}）" for one in short)
    return f"必须条件没有达到：{told}。理由：{reason.strip()}"[:1900]


def facts_of(found: Application) -> Facts:
    """What is known of the applicant now."""
    own = db.session.get_one(Organisation, found.school_id)
    content, files = content_of(found), frozenset(row.slot for row in files_of(found))
    if own.level != "school":
        members = members_of(found)
        return Facts(
            level=own.level,
            stages=tuple(found.stages),
            members=tuple(one for one, _id in members),
            waiting=waiting_of(found),
            teachers=tuple(
                one
                for member, school_id in members
                for one in teachers_of(school_id, member.name)
                if one.stage in member.stages  # of a stage that does not take part nobody is asked
            ),
            content=content,
            files=files,
            code=own.code,
            record=register.record_of(own.id),
        )
    rows = {
        row.stage: row.solution_config
        for row in db.session.scalars(select(SchoolStage).where(SchoolStage.school_id == own.id))
    }
    rules = {str(one["with"]["rule"]) for one in pack_of(found).criteria_of(found.kind) if one["measure"] == "usage"}
    return Facts(
        level="school",
        stages=tuple(found.stages),
        configuration=rows,
        usage={rule: one for rule in rules if (one := usage_of(own.id, rule)) is not None},
        labs=tuple(labs_of(own.id)),
        teachers=tuple(teachers_of(own.id, own.name)),
        content=content,
        files=files,
        code=own.code,
        record=register.record_of(own.id),
    )


def members_of(found: Application) -> list[tuple[Member, uuid.UUID]]:
    """Schools that the area's office recommended (列入试点区) in this batch; a campus without a code of its own does not count (B3)."""
    rows = [
        (row, db.session.get_one(Organisation, row.school_id))
        for kind in _kinds_within(found)
        for row in recommended(found, kind)
        if pack_of(found).status_is(row.status) != "returned"
    ]
    codes = [school.code for _row, school in rows]
    return [
        (
            Member(
                school.name,
                tuple(row.stages),
                bool(school.code) and codes.index(school.code) == number,
            ),
            school.id,
        )
        for number, (row, school) in enumerate(rows)
    ]


def _kinds_within(found: Application) -> list[str]:
    return [one["id"] for one in pack_of(found).document["kinds"] if one.get("within") == found.kind]


def waiting_of(found: Application) -> int:
    """How many schools below the applicant handed in and are not listed by its office yet."""
    pack, kinds = pack_of(found), _kinds_within(found)
    own = db.session.get_one(Organisation, found.school_id)
    query = (
        select(Application.id, Application.status)
        .join(Organisation, Organisation.id == Application.school_id)
        .where(
            Application.slug == found.slug,
            Application.batch == found.batch,
            Application.kind.in_(kinds),
            Organisation.path.startswith(own.path),
            Application.school_id != own.id,
        )
    )
    listed = {row.id for kind in kinds for row in recommended(found, kind)}
    rows = db.session.execute(query)
    return sum(pack.status_is(row.status) == "waiting" and row.id not in listed for row in rows)


def usage_of(school_id: uuid.UUID, rule: str) -> Usage | None:
    """What a usage rule says now, and what the timetable promises (计划); None where there is no term or stage."""
    try:
        result = rulebook.judge(school_id, rule, today())
    except (Refused, NotFound):
        return None
    planned = None
    stages = [one.stage for one in result.stages]
    if stages:
        plan = policies.evaluate(plan_facts(school_id, today()), rulebook.policy_for(school_id, rule, today()))
        planned = (plan.verdict, str(plan.reason))
    return Usage(
        result.verdict,
        str(result.reason),
        f"开课记录，规则“{policies.policy(rule).title}”{result.version}",
        planned,
        admitted(school_id, stages),
    )


def labs_of(school_id: uuid.UUID) -> Iterable[Lab]:
    """Laboratories with what HN-19 finds missing."""
    for room in db.session.scalars(
        select(Room).where(Room.school_id == school_id, Room.kind == "lab").order_by(Room.name)
    ):
        needs = roster.room_needs(room)
        figures = "，".join(f"{LAB_NEEDS[one.code]} 现有 {one.have}" for one in needs)
        yield Lab(
            room.name,
            {one.code: f"{LAB_NEEDS[one.code]}（现有 {one.have}，需要 {one.need}）" for one in needs if not one.met},
            figures,
            sum(item.quantity for item in roster.inventory_of(room.id)),
        )


def summary(lines: list[Line]) -> list[tuple[str, str, int]]:
    """State, its name and how many criteria are in it, what presses first."""
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.outcome.state] = counts.get(line.outcome.state, 0) + 1
    return [(state, STATE_NAMES[state], counts[state]) for state in ORDER if state in counts]
