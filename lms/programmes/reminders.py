"""Reminders of deadlines (截止提醒): a week and a day before; they stop when it is done.

To the applicant who has not submitted, to the office that has not acted, and to who was refused and may still appeal.
"""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta

from sqlalchemy import select

from lms.core import clock
from lms.core.db import db, write
from lms.core.jobs import every
from lms.core.models import Organisation
from lms.notices import service as notices
from lms.programmes.dates import ZONE
from lms.programmes.models import Application
from lms.programmes.notices import due_of, own_due, pack_of, stations_of
from lms.programmes.pack import Pack
from lms.programmes.rules import EDITABLE, may_appeal, station_at
from lms.programmes.service import steps_of

DAYS = (7, 1)


def missing_key(slug: str, kind: str, batch: str) -> str:
    """How names of reminders to those who have not handed in begin (催报)."""
    return f"missing/{slug}/{kind}/{batch}/"


def remind(now: datetime) -> int:
    """Tell whoever must act within a week, and again within a day; returns how many were told."""
    told = 0
    for found in db.session.scalars(select(Application).order_by(Application.created_at)).all():
        told += _remind(found, now)
    return told


def _remind(found: Application, now: datetime) -> int:
    pack, stations = pack_of(found), stations_of(found)
    meaning = pack.status_is(found.status)
    if meaning == "refused":
        return _remind_of_appeal(found, pack, now)
    here = station_at(stations, found.office_id) if found.office_id else None
    if meaning in EDITABLE:
        who, due = found.filled_by_id or found.school_id, own_due(found, now)
    elif meaning == "waiting" and here is not None and here + 1 < len(stations):
        who, due = stations[here].office.id, due_of(pack, found.batch, stations, here + 1, now)
    else:
        return 0
    if due is None or due.day is None or due.over:
        return 0
    told = f"须在 {due.day} 结束前报到{due.office.name}"
    return _tell(found, pack, who, due.day, told, now)


def _remind_of_appeal(found: Application, pack: Pack, now: datetime) -> int:
    kind = pack.kind(found.kind)
    if not may_appeal(kind, found.refused_at, now) or any(one.action == "appeal" for one in steps_of(found)):
        return 0
    assert found.refused_at is not None
    day = (found.refused_at + timedelta(days=kind["appeal_days"])).astimezone(ZONE).date()
    return _tell(found, pack, found.school_id, day, f"如有异议须在 {day} 以前申诉", now)


def _tell(found: Application, pack: Pack, who: uuid.UUID, day: date, told: str, now: datetime) -> int:
    left = (day - now.astimezone(ZONE).date()).days
    days = next((one for one in sorted(DAYS) if left <= one), None)
    if days is None:
        return 0
    name = db.session.get_one(Organisation, found.school_id).name
    title = f"{name}：{pack.kind(found.kind)['name']}{told}（还有 {left} 天）"
    people = {*notices.holders(who, "school_admin"), *notices.holders(who, "officer")}
    with write():
        count = notices.tell(
            who,
            people,
            notices.Matter(
                f"{_keys(found)}{found.edition}/{day}/{days}", title, pack.title, f"/programmes/{found.id}", day
            ),
        )
        if count:
            notices.send_out(who, title, pack.title)
    return count


def stop(found: Application) -> None:
    """It was done: nobody is reminded any more; in the open write."""
    for office in (*filter(None, (found.school_id, found.filled_by_id)), *(one.office.id for one in stations_of(found))):
        notices.end_all(office, _keys(found))
    notices.end_all(found.school_id, missing_key(found.slug, found.kind, found.batch))


def _keys(found: Application) -> str:
    """What the keys of its reminders begin with; the step, so that what comes back is told anew, the day and how long before stand after it."""
    return f"application/{found.id}/due/"


def _due() -> None:
    remind(clock.now())


every(59, "programme-deadlines", _due)
