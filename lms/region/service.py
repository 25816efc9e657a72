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
ROWS_AT_ONCE = 2000
SPREAD_MINUTES = 360  # after midnight every school has something new: each waits for its own minute before six


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


def refresh(*, always: bool = True) -> int:
    """Bring the result files up to date with what was judged since; returns schools rewritten.

    ``always``: write the schools' names and state anew even if nothing was judged.
    """
    if office() is None:
        return 0
    done: set[int] = set()
    with _alone():
        while numbers := _refresh_some():
            done |= numbers
        if done or always:
            write_schools(results_folder(), school_rows())
    return len(done)


def _refresh_some() -> set[int]:
    """Write the results of up to ROWS_AT_ONCE rows; returns the schools' numbers, none when all is written."""
    db.session.rollback()
    query = select(RegionResult.id, RegionResult.rule, RegionResult.number).where(RegionResult.written.is_(False))
    rows = db.session.execute(query.order_by(RegionResult.rule).limit(ROWS_AT_ONCE)).all()
    touched: dict[str, set[int]] = {}
    for row in rows:
        touched.setdefault(row.rule, set()).add(row.number)
    for rule, numbers in touched.items():
        payloads: dict[int, list[dict[str, Any]]] = {}
        held = select(RegionResult.number, RegionResult.payload).where(
            RegionResult.rule == rule, RegionResult.number.in_(numbers)
        )
        for number, payload in db.session.execute(held.order_by(RegionResult.number, RegionResult.term_start)):
            payloads.setdefault(number, []).append(payload)
        Results(results_folder(), rule).refresh(payloads)
    if rows:
        with write() as session:
            session.execute(
                update(RegionResult).where(RegionResult.id.in_([row.id for row in rows])).values(written=True)
            )
    return {row.number for row in rows}


def school_rows() -> list[dict[str, Any]]:
    """What the table says of every enrolled school beside its counts."""
    waiting = set(db.session.scalars(select(HandedBatch.school_id).where(HandedBatch.state == "waiting").distinct()))
    above = select(Subordinate.id, Subordinate.number).where(Subordinate.level != "school")
    offices = {row.id: row.number for row in db.session.execute(above)}
    zone = current_app.config["ZHIKE"].timezone
    kept = Subordinate
    columns = (
        kept.number,
        kept.name,
        kept.code,
        kept.via_id,
        kept.profile,
        kept.handed_at,
        kept.refused_at,
        kept.organisation_id,
    )
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
        for row in db.session.execute(select(*columns).where(Subordinate.level == "school"))
    ]


@task("region-refresh")
def _refresh_judged() -> None:
    refresh(always=False)


@task("region-schools")
def _refresh_schools() -> None:
    refresh()


def refresh_soon() -> None:
    """Show a change of the list of schools as soon as the jobs process has time."""
    later(None, "region-schools")


@task("hand-up")
def _hand_up_now() -> None:
    hand_up_due(force=True)


def hand_up_soon(actor: Account) -> None:
    """Hand up as soon as the jobs process has time."""
    later(actor.organisation_id, "hand-up")


def refresh_if_office() -> None:
    """By the clock: gaps and refusals show even where nothing was judged."""
    refresh()


def hand_up_due(*, force: bool = False) -> None:
    """Hand up whatever is due over the line; what fails says so on the page and is tried at the next turn."""
    for school_id in uplink.schools_here():
        found = uplink.need_uplink(school_id)
        today = roster.today_of(roster.school_of(school_id))
        minutes = clock.local(clock.now(), roster.school_of(school_id).zone)
        early = minutes.hour * 60 + minutes.minute < school_id.int % SPREAD_MINUTES
        if not found.url or not (force or (not early and uplink.is_due(found, today))):
            continue
        try:
            uplink.send(school_id)
        except ZhikeError as error:
            db.session.rollback()
            log.warning("hand-up failed", extra={"why": error.code})
    forwarding.forward_due()


every(10, "hand-up", hand_up_due)
every(5, "region-refresh", refresh_if_office)
