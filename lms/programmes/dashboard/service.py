"""What an office may count (看板数据): what came to it one by one, the rest of its own area only as numbers."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from lms.core.db import db
from lms.core.errors import Invalid
from lms.core.models import Account, Organisation
from lms.programmes.dashboard.rules import Fact, Unit
from lms.programmes.dates import LEVELS, ZONE
from lms.programmes.models import Application, ApplicationStep, NoticeVersion
from lms.programmes.notices import packs_for
from lms.programmes.pack import Pack
from lms.roster.models import School

Counter_ = Callable[[str, uuid.UUID], Mapping[str, int]]
_COUNTERS: list[Counter_] = []
TILE_LEVEL = {"nation": "city", "province": "county", "city": "county", "county": "school"}


def counter(function: Counter_) -> Counter_:
    """Register who counts targets that are no applications: (notice, office id) → number by target id, e.g. ``cases``."""
    _COUNTERS.append(function)
    return function


def counted(slug: str, office_id: uuid.UUID) -> dict[str, int]:
    """What the registered rooms count for a notice."""
    found: dict[str, int] = {}
    for each in _COUNTERS:
        found |= each(slug, office_id)
    return found


@dataclass(frozen=True)
class Asked:
    """The question: a notice, a batch and a kind of it; empty for all."""

    slug: str = ""
    batch: str = ""
    kind: str = ""


def asked_of(account: Account, slug: str, batch: str, kind: str) -> tuple[Asked, Pack | None]:
    """The question in a link and its notice; raises Invalid for one that nobody asked."""
    pack = next((one for one in packs_for(account.organisation_id) if one.slug == slug), None)
    batches = {one["id"] for one in pack.document["batches"]} if pack else set()
    kinds = {one["id"] for one in pack.document["kinds"]} if pack else set()
    if (slug and pack is None) or batch not in ("", *batches) or kind not in ("", *kinds):
        raise Invalid("question", _l("看不懂这个查询。"), remedy=_l("请从“看板”重新打开。"))
    return Asked(slug, batch, kind), pack


def facts_of(office: Organisation, asked: Asked) -> list[Fact]:
    """Every application of the office's own area, its own ones included."""
    query = (
        select(Application, Organisation.name, Organisation.path, School.locality)
        .join(Organisation, Organisation.id == Application.school_id)
        .outerjoin(School, School.id == Application.school_id)
        .where(Organisation.path.startswith(office.path))
    )
    given = {Application.slug: asked.slug, Application.batch: asked.batch, Application.kind: asked.kind}
    for column, value in given.items():
        query = query.where(column == value) if value else query
    rows = db.session.execute(query.order_by(Application.created_at)).all()
    packs = {key: Pack(document) for key, document in _versions({row[0].notice_id for row in rows})}
    had, granted, came, first = _steps(office)
    return [
        _fact(
            row,
            packs[row[0].notice_id],
            had.get(row[0].id, frozenset()),
            row[0].id in granted,
            row[0].id in came or row[0].school_id == office.id,
            first,
        )
        for row in rows
    ]


def _versions(ids: set[uuid.UUID]) -> list[tuple[uuid.UUID, dict[str, Any]]]:
    query = select(NoticeVersion.id, NoticeVersion.document).where(NoticeVersion.id.in_(ids))
    return [(row[0], row[1]) for row in db.session.execute(query)]


def _steps(
    office: Organisation,
) -> tuple[dict[uuid.UUID, frozenset[str]], set[uuid.UUID], set[uuid.UUID], dict[uuid.UUID, Any]]:
    """By application of the area: levels that have had it; those granted; those that came to the office; the first submission."""
    below = select(Organisation.id).where(Organisation.path.startswith(office.path))
    mine = ApplicationStep.school_id.in_(below)
    levels = select(ApplicationStep.application_id, Organisation.level).join(
        Organisation, Organisation.id == ApplicationStep.to_office_id
    )
    had: dict[uuid.UUID, set[str]] = {}
    for key, level in db.session.execute(levels.where(mine).distinct()):
        had.setdefault(key, set()).add(level)
    granted = select(ApplicationStep.application_id).where(mine, ApplicationStep.action == "grant")
    came = select(ApplicationStep.application_id).where(ApplicationStep.to_office_id == office.id)
    first = select(ApplicationStep.application_id, func.min(ApplicationStep.created_at)).where(
        mine, ApplicationStep.action == "submit"
    )
    times = {row[0]: row[1] for row in db.session.execute(first.group_by(ApplicationStep.application_id))}
    return (
        {key: frozenset(found) for key, found in had.items()},
        set(db.session.scalars(granted)),
        set(db.session.scalars(came)),
        times,
    )


def _fact(row: Any, pack: Pack, had: frozenset[str], granted: bool, came: bool, first: Mapping[uuid.UUID, Any]) -> Fact:
    found, name, path, locality = row
    kind, at = pack.kind(found.kind), first.get(found.id)
    return Fact(
        slug=found.slug,
        kind=found.kind,
        status=found.status,
        meaning=pack.status_is(found.status),
        applicant=name,
        path=tuple(one for one in path.split("/") if one),
        stages=tuple(found.stages) if locality else (),
        locality=locality or "",
        chain=tuple(step["level"] for step in kind["chain"]),
        levels=had,
        submitted_on=at.astimezone(ZONE).date() if at is not None else None,
        granted=granted,
        came=came,
        kind_name=kind["name"],
        status_name=pack.status_name(found.status),
        programme=pack.title,
        batch_name=pack.batch(found.batch)["name"],
    )


def units_of(office: Organisation) -> list[Unit]:
    """Places of the office's area: counties (cities for the nation, schools for a county), grouped by the organisation above them."""
    level = TILE_LEVEL[office.level]
    query = select(Organisation).where(Organisation.path.startswith(office.path), Organisation.level == level)
    rows = db.session.scalars(query.order_by(Organisation.code, Organisation.created_at, Organisation.name)).all()
    above = {row.parent_id for row in rows if row.parent_id}
    query_names = select(Organisation.id, Organisation.name).where(Organisation.id.in_(above))
    names = {row[0]: row[1] for row in db.session.execute(query_names)}
    units = [
        Unit(row.id.hex, row.name, row.code, names.get(row.parent_id, "") if row.parent_id else "") for row in rows
    ]
    order = list(dict.fromkeys(one.group for one in units))
    return sorted(units, key=lambda one: order.index(one.group))


def sizes_of(office: Organisation) -> dict[str, int]:
    """How many organisations of each level lie in the office's area, itself included."""
    query = (
        select(Organisation.level, func.count())
        .where(Organisation.path.startswith(office.path))
        .group_by(Organisation.level)
    )
    found: Counter[str] = Counter({row[0]: row[1] for row in db.session.execute(query)})
    return {level: found[level] for level in LEVELS}
