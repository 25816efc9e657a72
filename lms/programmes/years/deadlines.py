"""The years after in the calendar and on the dashboard (实施期的日程与目标): reports, orders to put right, inspections, meetings, cases."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date

from flask_babel import gettext as _
from sqlalchemy import select

from lms.core.auth import may
from lms.core.db import db
from lms.core.models import Account, Organisation
from lms.programmes.calendar.rules import Deadline
from lms.programmes.calendar.service import entry, source, today
from lms.programmes.dashboard.service import counter
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.years.cases import case_counts
from lms.programmes.years.events import events_of
from lms.programmes.years.inspections import inspections_by, owed_by_office, rectifications_of
from lms.programmes.years.models import Rectification
from lms.programmes.years.rules import half_year, half_year_name
from lms.programmes.years.service import is_live, owed_by, own_of

AT_ONCE = 400  # days before its day: as soon as it is there


@source
def reports(account: Account) -> Iterator[Deadline]:
    """Reports that one's own granted applications owe, by their due day."""
    for found in own_of(account.organisation_id):
        pack, live = pack_of(found), is_live(found)
        for one in owed_by(found) if live else ():
            done = one.state == "done"
            title = _("报告：%(name)s（%(period)s）", name=one.report["name"], period=one.period.name)
            key, link = f"report/{found.id}/{one.report['id']}/{one.period.id}", f"/programmes/years/{found.id}"
            yield entry(pack, key, one.period.due, "report", title, link, mine=not done, done=done)


@source
def orders(account: Account) -> Iterator[Deadline]:
    """Orders to put right (限期整改): one's own until the report is in, and for an office those that it gave until they are closed."""
    for found in own_of(account.organisation_id):
        for row in rectifications_of(found):
            done = bool(row.outcome) or row.reported_at is not None
            yield _order(found, row, _("整改报告：本单位须提交"), mine=not done, done=done)
    if may(account, ("officer",)):
        given = select(Rectification, Application).join(Application, Application.id == Rectification.application_id)
        for row, found in db.session.execute(given.where(Rectification.office_id == account.organisation_id)):
            name = db.session.get_one(Organisation, found.school_id).name
            waits = not row.outcome and row.reported_at is not None
            one = _order(found, row, _("整改期限：%(name)s", name=name), mine=waits, done=bool(row.outcome))
            yield replace(one, title=_("整改报告待复核：%(name)s", name=name), tell=(AT_ONCE,)) if waits else one


def _order(found: Application, row: Rectification, title: str, *, mine: bool, done: bool) -> Deadline:
    link = f"/programmes/years/{found.id}"
    return entry(pack_of(found), f"order/{row.id}", row.due_on, "report", title, link, mine=mine, done=done)


@source
def meetings(account: Account) -> Iterator[Deadline]:
    """Meetings of the programmes, and the days on which an office draws an inspection (抽查)."""
    for row in events_of(account):
        yield Deadline(f"meeting/{row.id}", row.held_on, "step", row.title, row.slug, link="/programmes/years/events")
    for one in inspections_by(account.organisation_id) if may(account, ("officer",)) else ():
        if one.cancelled_at is None:
            title, done = _("随机抽查：公布种子并抽取"), one.drawn_at is not None
            link = f"/programmes/years/inspections/{one.id}"
            draw = Deadline(f"draw/{one.id}", one.seed_on, "step", title, one.slug, link=link, mine=not done, done=done)
            yield replace(draw, tell=(1, 0))


@source
def owed_inspections(account: Account) -> Iterator[Deadline]:
    """Inspections that a notice prescribes for the half-year and that the office has not announced yet (HA-15)."""
    for found, line in owed_by_office(account.organisation_id) if may(account, ("officer",)) else ():
        day, period = today(), half_year(today())
        last = date(day.year, 6, 30) if period.endswith("H1") else date(day.year, 12, 31)
        title = _("%(name)s（%(period)s）还没有办", name=line["name"], period=half_year_name(period))
        key, link = f"owed/{found.kind}/{line['id']}/{period}", "/programmes/years/inspections"
        yield replace(entry(pack_of(found), key, last, "report", title, link, mine=True), tell=(60, 14))


@counter
def cases(slug: str, office_id: uuid.UUID) -> Mapping[str, int]:
    """Selected cases of lessons, for the target ``cases`` (千课, HN-05)."""
    found = case_counts(slug, office_id)
    return {"cases": sum(one.selected for one in found)}
