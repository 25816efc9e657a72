"""The door of region: hand up, take in, count (上报、接收、统计). Verbs only; rules decide."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import select, update

from lms.core import clock
from lms.core.db import db, write
from lms.core.errors import ZhikeError
from lms.core.jobs import every, later, task
from lms.core.models import Account
from lms.region import forwarding, intake, uplink
from lms.region.counting import Results, write_schools
from lms.region.intake import take, take_file
from lms.region.models import HandedBatch, RegionResult, Subordinate
from lms.region.office import found_office, identity, office
from lms.roster import service as roster

__all__ = ["found_office", "identity", "intake", "office", "results_folder", "take", "take_file", "uplink"]

log = logging.getLogger("lms.region")


def results_folder() -> Path:
    """Where the result files lie."""
    folder: Path = current_app.config["ZHIKE"].data_dir
    return folder / "region" / "results"


@contextmanager
def _alone() -> Iterator[None]:
    """Only one process rewrites the result files."""
    folder = results_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def refresh() -> int:
    """Bring the result files up to date with what was judged since; returns schools rewritten."""
    if office() is None:
        return 0
    with _alone():
        db.session.rollback()
        open_rows = db.session.execute(
            select(RegionResult.id, RegionResult.rule, RegionResult.number).where(RegionResult.written.is_(False))
        ).all()
        touched: dict[str, set[int]] = {}
        for row in open_rows:
            touched.setdefault(row.rule, set()).add(row.number)
        for rule, numbers in touched.items():
            payloads: dict[int, list[dict[str, Any]]] = {}
            query = select(RegionResult.number, RegionResult.payload).where(
                RegionResult.rule == rule, RegionResult.number.in_(numbers)
            )
            for number, payload in db.session.execute(query.order_by(RegionResult.number, RegionResult.term_start)):
                payloads.setdefault(number, []).append(payload)
            Results(results_folder(), rule).refresh(payloads)
        write_schools(results_folder(), school_rows())
        if open_rows:
            with write() as session:
                session.execute(
                    update(RegionResult).where(RegionResult.id.in_([row.id for row in open_rows])).values(written=True)
                )
    return len({number for numbers in touched.values() for number in numbers})


def school_rows() -> list[dict[str, Any]]:
    """What the table says of every enrolled school beside its counts."""
    waiting = set(db.session.scalars(select(HandedBatch.school_id).where(HandedBatch.state == "waiting").distinct()))
    offices = {
        row.id: row.number for row in db.session.scalars(select(Subordinate).where(Subordinate.level != "school"))
    }
    zone = current_app.config["ZHIKE"].timezone
    return [
        {
            "school": row.number,
            "name": row.name,
            "code": row.code,
            "office": offices.get(row.via_id, 0) if row.via_id else 0,
            "stages": row.profile.get("stages", []),
            "handed": clock.local_date(row.handed_at, zone).isoformat() if row.handed_at else None,
            "gaps": row.organisation_id in waiting,
            "refused": row.refused_at is not None,
        }
        for row in db.session.scalars(select(Subordinate).where(Subordinate.level == "school"))
    ]


@task("region-refresh")
def _refresh() -> None:
    refresh()


def refresh_soon() -> None:
    """Bring the result files up to date as soon as the jobs process has time."""
    later(None, "region-refresh")


@task("hand-up")
def _hand_up_now() -> None:
    hand_up_due(force=True)


def hand_up_soon(actor: Account) -> None:
    """Hand up as soon as the jobs process has time."""
    later(actor.organisation_id, "hand-up")


def hand_up_due(*, force: bool = False) -> None:
    """Hand up whatever is due over the line; what fails says so on the page and is tried at the next turn."""
    for school_id in uplink.schools_here():
        found = uplink.need_uplink(school_id)
        today = roster.today_of(roster.school_of(school_id))
        if not found.url or not (force or uplink.is_due(found, today)):
            continue
        try:
            uplink.send(school_id)
        except ZhikeError as error:
            db.session.rollback()
            log.warning("hand-up failed", extra={"why": error.code})
    forwarding.forward_due()


every(10, "hand-up", hand_up_due)
