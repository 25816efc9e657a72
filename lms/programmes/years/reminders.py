"""Reminders of what is owed in the years after (实施提醒): two weeks and three days before, and when it is late; they stop when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import select

from lms.core import clock
from lms.core.db import db, write
from lms.core.jobs import every
from lms.core.models import Organisation
from lms.notices import service as notices
from lms.notices.models import Notice
from lms.programmes.dates import ZONE
from lms.programmes.models import Application, ApplicationStep
from lms.programmes.notices import pack_of
from lms.programmes.years.models import Rectification
from lms.programmes.years.rules import Owed
from lms.programmes.years.service import REMIND_DAYS, end_all_reminders, is_live, owed_of, running

_DAYS = sorted((one for one in REMIND_DAYS if one >= 0), reverse=True)


def remind(now: datetime) -> int:
    """Tell who owes something soon or is late, each stage once; returns how many were told."""
    granted = select(ApplicationStep.application_id).where(ApplicationStep.action == "grant")
    rows = running(db.session.scalars(select(Application).where(Application.id.in_(granted))).all())
    live = [one for one in rows if is_live(one)]
    owed = owed_of(live, now.astimezone(ZONE).date())
    told = sum(_reports(one, owed[one.id], now) + _rectifications(one, now) for one in live)
    for found in rows:
        if not is_live(found) and _open(found):
            with write():
                end_all_reminders(found)
    return told


def _open(found: Application) -> bool:
    query = select(Notice.id).where(
        Notice.school_id == found.school_id, Notice.key.startswith(f"years/{found.id}/"), Notice.ended_at.is_(None)
    )
    return db.session.scalar(query.limit(1)) is not None


def _reports(found: Application, owed: Sequence[Owed], now: datetime) -> int:
    day, told = now.astimezone(ZONE).date(), 0
    for one in owed:
        if one.state in ("done", "later") or day < one.period.due - timedelta(days=max(_DAYS)):
            continue
        left = (one.period.due - day).days
        stage = -1 if left < 0 else min(each for each in _DAYS if left <= each)
        title = f"{one.report['name']}（{one.period.name}）" + (
            f"已过 {one.period.due}，请尽快补交" if left < 0 else f"请在 {one.period.due} 结束前提交（还有 {left} 天）"
        )
        told += _tell(found, f"{one.report['id']}/{one.period.id}/{stage}", title, one.period.due)
    return told


def _rectifications(found: Application, now: datetime) -> int:
    day, told = now.astimezone(ZONE).date(), 0
    query = select(Rectification).where(
        Rectification.application_id == found.id, Rectification.outcome == "", Rectification.reported_at.is_(None)
    )
    for row in db.session.scalars(query).all():
        left = (row.due_on - day).days
        if left <= 3:
            when = f"还有 {left} 天" if left >= 0 else "已逾期，可能被退出"
            told += _tell(
                found,
                f"rectify/{row.id}/{'soon' if left >= 0 else 'late'}",
                f"整改报告须在 {row.due_on} 结束前提交（{when}）",
                row.due_on,
            )
    return told


def _tell(found: Application, key: str, title: str, due: date) -> int:
    name = db.session.get_one(Organisation, found.school_id).name
    people = {*notices.holders(found.school_id, "school_admin"), *notices.holders(found.school_id, "officer")}
    link, pack = f"/programmes/years/{found.id}", pack_of(found)
    with write():
        matter = notices.Matter(f"years/{found.id}/{key}"[:120], f"{name}：{title}", pack.title, link, due)
        count = notices.tell(found.school_id, people, matter)
        if count:
            notices.send_out(found.school_id, matter.title, pack.title)
    return count


def _due() -> None:
    remind(clock.now())


every(59, "programme-years", _due)
