"""Where the calendar's deadlines come from (日程来源): a function for each kind, registered by the room that knows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select

from lms.core import clock
from lms.core.auth import may
from lms.core.db import db
from lms.core.models import Account, Organisation
from lms.notices.models import Notice
from lms.programmes import service, workflow
from lms.programmes.calendar.rules import Deadline, beside
from lms.programmes.dates import ZONE, channel_of, day_of, due_at
from lms.programmes.models import Application, OfficeDate
from lms.programmes.notices import above, names_of, own_due, pack_of, packs_for
from lms.programmes.pack import Document, Pack
from lms.programmes.rules import Office, Station, may_appeal, way

Source = Callable[[Account], Iterable[Deadline]]
_SOURCES: list[Source] = []


def source(function: Source) -> Source:
    """Register a source: what it yields stands in the calendar, in the file and in the box 近期截止 of the account."""
    _SOURCES.append(function)
    return function


def deadlines_of(account: Account, first: date, last: date, slug: str = "") -> list[Deadline]:
    """Every deadline that the account's organisation has between two days, in their order; ``slug``: of one notice only."""
    titles = {pack.slug: pack.title for pack in packs_for(account.organisation_id)}
    found = {one.key: one for each in _SOURCES for one in each(account) if first <= one.day <= last}
    rows = [
        one if one.programme else replace(one, programme=titles.get(one.slug, ""))
        for one in found.values()
        if slug in ("", one.slug)
    ]
    return sorted(rows, key=lambda one: (one.day, not one.mine, one.title))


def today() -> date:
    """The day in Shanghai, as deadlines are judged."""
    return clock.now().astimezone(ZONE).date()


# ---- hand in, pass on


@dataclass(frozen=True)
class _Here:
    """What the days of a batch are judged by: offices from one's own upward, their own days, what one has and what waits."""

    own: Organisation
    offices: tuple[Office, ...]
    dates: dict[tuple[Any, str, str], date]
    mine: dict[tuple[str, str, str], Application]
    waiting: Counter[tuple[str, str, str]]


@source
def batches(account: Account) -> Iterator[Deadline]:
    """Opening and due days of every batch: one's own first, then each office's above, its local earlier day included."""
    own = db.session.get_one(Organisation, account.organisation_id)
    offices = tuple(above(own.id))
    ids = [own.id, *(one.id for one in offices)]
    query = select(OfficeDate).where(OfficeDate.school_id.in_(ids))
    came = workflow.inbox(own.id) if may(account, ("officer",)) else []
    here = _Here(
        own,
        offices,
        {(row.school_id, row.slug, row.batch): row.due_on for row in db.session.scalars(query)},
        {(row.slug, row.kind, row.batch): row for row in service.applications_of(own.id)},
        Counter((row.slug, row.kind, row.batch) for row in came if row.office_id == own.id),
    )
    for pack in packs_for(own.id):
        for batch in pack.document["batches"]:
            if "opens" in batch:
                title = _("%(batch)s 开始申报", batch=batch["name"])
                yield _opening(here, pack, batch, title)
            for kind in pack.document["kinds"]:
                yield from _days(here, pack, batch, kind)


def _opening(here: _Here, pack: Pack, batch: Document, title: str) -> Deadline:
    """The day a batch opens; told to those who may apply and have not begun."""
    one = entry(pack, f"open/{batch['id']}", day_of(batch["opens"]), "open", title, "/programmes/")
    kinds = [kind["id"] for kind in pack.document["kinds"] if here.own.level in kind["applicant"] and way(kind, here.offices)]
    begun = any((pack.slug, kind, batch["id"]) in here.mine for kind in kinds)
    return replace(one, tell=(0,), grace=7) if kinds and not begun else one


def _days(here: _Here, pack: Pack, batch: Document, kind: Document) -> Iterator[Deadline]:
    """Due days of one kind in one batch, from the applicant's hand-in up to the last office."""
    if here.own.level in kind["applicant"]:
        stations = way(kind, here.offices)
        for number, day in _due(here, pack, batch, stations):
            if number == 0:
                yield _own_day(here, pack, batch, kind, stations[0], day)
            else:
                yield _foreign_day(pack, batch, kind, stations, number, day)
    elif here.own.level != "school":
        stations = way(kind, (Office(here.own.id, here.own.level, here.own.name, here.own.code), *here.offices))
        if not stations or stations[0].office.id != here.own.id:
            return
        for number, day in _due(here, pack, batch, stations):
            if number == 0:
                title = _("%(kind)s：下级须报到本单位", kind=kind["name"])
                yield entry(pack, f"in/{batch['id']}/{kind['id']}", day, "hand-in", title)
            elif number == 1:
                count = here.waiting[pack.slug, kind["id"], batch["id"]]
                title = _("%(kind)s：本单位须报到%(office)s", kind=kind["name"], office=stations[1].office.name)
                title += (_("（%(count)s 份待办理）", count=count) if count else "") + _sent_how(batch, stations[1])
                yield entry(
                    pack, f"up/{batch['id']}/{kind['id']}", day, "pass-on", title, "/programmes/", mine=bool(count)
                )
            else:
                yield _foreign_day(pack, batch, kind, stations, number, day)


def _due(here: _Here, pack: Pack, batch: Document, stations: Sequence[Station]) -> Iterator[tuple[int, date]]:
    for number in range(len(stations)):
        offices = [one.office for one in stations[number:]]
        own = {one.level: day for one in offices if (day := here.dates.get((one.id, pack.slug, batch["id"])))}
        levels = [one.level for one in offices]
        day = due_at(batch, levels, offices[0].level, own, names_of(offices))
        if day is not None:
            yield number, day


def _sent_how(batch: Document, station: Station) -> str:
    channel = channel_of(batch, station)
    return f"（{channel}）" if channel else ""


def _own_day(here: _Here, pack: Pack, batch: Document, kind: Document, station: Station, day: date) -> Deadline:
    found = here.mine.get((pack.slug, kind["id"], batch["id"]))
    editable = (
        found is not None and pack_of(found).status_is(found.status) == "draft"
    )  # what was returned has a day of its own
    title = _("%(kind)s：本单位须报到%(office)s", kind=kind["name"], office=station.office.name)
    if found is None:
        title += _("（还没有开始）")
    title += _sent_how(batch, station)
    link = f"/programmes/{found.id}" if found is not None else "/programmes/"
    key = f"own/{batch['id']}/{kind['id']}"
    return entry(
        pack,
        key,
        day,
        "hand-in",
        title,
        link,
        mine=editable,
        done=found is not None and not editable,
    )


def _foreign_day(
    pack: Pack, batch: Document, kind: Document, stations: Sequence[Station], number: int, day: date
) -> Deadline:
    offices = {"low": stations[number - 1].office.name, "high": stations[number].office.name}
    title = _("%(kind)s：%(low)s须报到%(high)s", kind=kind["name"], **offices)
    return entry(pack, f"other/{batch['id']}/{kind['id']}/{number}", day, "pass-on", title)


def entry(
    pack: Pack, key: str, day: date, kind: str, title: str, link: str = "", *, mine: bool = False, done: bool = False
) -> Deadline:
    """An entry of a notice; ``key`` names it below the notice."""
    return Deadline(f"{pack.slug}/{key}", day, kind, title, pack.slug, pack.title, link, mine, done)


# ---- one's own applications, phases, what was told


@source
def steps(account: Account) -> Iterator[Deadline]:
    """What happened to one's own applications, and by when a refusal may be appealed."""
    for found in service.applications_of(account.organisation_id):
        pack, link = pack_of(found), f"/programmes/{found.id}"
        kind, taken = pack.kind(found.kind), service.steps_of(found)
        for step in taken:
            title = f"{kind['name']}：{workflow.ACTION_NAMES[step.action]} → {pack.status_name(step.to_status)}"
            day = step.created_at.astimezone(ZONE).date()
            yield entry(pack, f"step/{found.id}/{step.number}", day, "step", title, link, done=True)
        due = own_due(found, clock.now()) if pack.status_is(found.status) == "returned" else None
        if due is not None and due.day is not None:
            title = _("%(kind)s：退回补正，须报到%(office)s", kind=kind["name"], office=due.office.name)
            yield entry(pack, f"mend/{found.id}", due.day, "hand-in", title, link, mine=True)
        if pack.status_is(found.status) == "refused" and found.refused_at is not None and kind.get("appeal_days"):
            day = (found.refused_at + timedelta(days=kind["appeal_days"])).astimezone(ZONE).date()
            open_ = may_appeal(kind, found.refused_at, clock.now()) and all(one.action != "appeal" for one in taken)
            title = _("%(kind)s：申诉期最后一天", kind=kind["name"])
            yield entry(pack, f"appeal/{found.id}", day, "appeal", title, link, mine=open_, done=not open_)


@source
def phases(account: Account) -> Iterator[Deadline]:
    """First and last day of every phase (阶段) of the notices that the organisation may look at."""
    taking_part = {found.slug for found in service.applications_of(account.organisation_id)}
    if may(account, ("officer",)):
        taking_part |= {found.slug for found in workflow.inbox(account.organisation_id)}
    for pack in packs_for(account.organisation_id):
        tell = (7,) if pack.slug in taking_part else ()
        for phase in pack.document.get("phases", ()):
            first, last = day_of(f"{phase['from']}-01"), beside(day_of(f"{phase['to']}-01"), 1) - timedelta(days=1)
            yield entry(
                pack, f"phase/{phase['id']}/first", first, "phase", _("阶段开始：%(name)s", name=phase["name"])
            )
            end = entry(pack, f"phase/{phase['id']}/last", last, "phase", _("阶段结束：%(name)s", name=phase["name"]))
            yield replace(end, tell=tell)


@source
def told(account: Account) -> Iterator[Deadline]:
    """What the account was told with a day, and that no other source knows."""
    known = ("application/", "years/", "calendar/")
    query = select(Notice).where(Notice.account_id == account.id, Notice.due_on.is_not(None))
    for row in db.session.scalars(query):
        if row.due_on is not None and not row.key.startswith(known):
            ended = row.ended_at is not None
            yield Deadline(
                f"notice/{row.id}", row.due_on, "notice", row.title, link=row.link, mine=not ended, done=ended
            )
