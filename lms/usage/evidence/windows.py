"""The ends of the window W (判定窗口), B2: what the chain saw of term, pilot admission and 分班 date, so that none is moved afterwards; pure.

They are rows of the calendar's links: ``kind`` term | stage | class, ``name`` (2026-1, primary, a class's id), ``on`` the first day and ``ends``
the last (None: none). A change counts where the days that it concerns are still to come, as with flagged weeks; an end that was reached
already is moved only with the office's countersignature.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from lms.usage.reasons import N_, Reason, reason
from lms.usage.verifier.verify import WINDOWS, moved_late

if TYPE_CHECKING:
    from lms.usage.judging.facts import Facts

__all__ = ["WINDOWS"]
KIND_NAMES = {"term": N_("学期"), "stage": N_("试点准入"), "class": N_("分班")}
Rows = Mapping[str, Mapping[str, Any]]


def term_name(school_year: int, ordinal: int) -> str:
    """``2026-1``: the term of a school year."""
    return f"{school_year}-{ordinal}"


def row_id(school_id: uuid.UUID, kind: str, name: str) -> str:
    """Id of a window's row: the same after the table's row was deleted and entered again."""
    return str(uuid.uuid5(school_id, f"{kind}/{name}"))


def row_of(school_id: uuid.UUID, kind: str, name: str, on: date | None, ends: date | None) -> dict[str, Any]:
    """A window's row as the calendar's links hold it."""
    days = {"on": on.isoformat() if on else "", "ends": ends.isoformat() if ends else ""}
    return {"id": row_id(school_id, kind, name), "kind": kind, "name": name, **days, "school": True, "grades": None, "reason": "", "follows": None, "source": "school"}


def taken(held: Mapping[str, Any] | None, row: Mapping[str, Any], entered: str) -> dict[str, Any]:
    """What is known of a window after a link said ``row`` on the day ``entered``: the days that count, and under ``late`` those that do not."""
    told = {name: row[name] for name in ("kind", "name", "on", "ends")} | {"school": True, "source": "school", "grades": None, "follows": None}
    if held is None:
        return {**told, "first": entered, "entered": entered, "countersigned": "", "late": None}
    counted = {**held, **held["late"], "late": None} if held["late"] and held["countersigned"] else dict(held)
    if moved_late(counted, row, entered):
        return {**counted, "countersigned": "", "late": {"on": row["on"], "ends": row["ends"], "entered": entered}}
    return {**told, "first": held["first"], "entered": entered, "countersigned": "", "late": None}


def counted(row: Mapping[str, Any]) -> tuple[date | None, date | None]:
    """First and last day of a window as they count."""
    days = row["late"] if row["late"] and row["countersigned"] else row
    return (date.fromisoformat(days["on"]) if days["on"] else None, date.fromisoformat(days["ends"]) if days["ends"] else None)


def waiting(rows: Rows) -> list[str]:
    """Ids of windows whose last change counts only with the office's countersignature, which it lacks."""
    return sorted(key for key, row in rows.items() if row["kind"] in WINDOWS and row["late"] and not row["countersigned"])


def remarks(rows: Rows) -> tuple[Reason, ...]:
    """What the page says of changes that do not count."""
    text = N_("%(kind)s的日期 %(old)s 在 %(entered)s 才改为 %(new)s，那时已过：须区县会签，现仍按原来的日期判定")
    found = []
    for key in waiting(rows):
        row, late = rows[key], rows[key]["late"]
        names = [name for name in ("on", "ends") if row[name] != late[name]]
        old, new = ("–".join(days[name] or "…" for name in names) for days in (row, late))
        found.append(reason("window-late", text, kind=KIND_NAMES[row["kind"]], old=old, new=new, entered=late["entered"]))
    return tuple(found)


def days_of(rows: Rows, kind: str, name: str) -> tuple[date | None, date | None] | None:
    """First and last day of a window as they count, None where the chain has not seen it."""
    return next((counted(row) for row in rows.values() if (row["kind"], row.get("name")) == (kind, name)), None)


def judged_by(facts: Facts, rows: Rows) -> Facts:
    """The facts with classes and pilot admission as the chain has them, and remarks on what does not count; what it has not seen stays as told."""
    classes = []
    for one in facts.classes:
        created, admitted = days_of(rows, "class", one.id), days_of(rows, "stage", one.stage)
        classes.append(replace(one, created=created[0] if created else one.created, admitted=admitted[0] if admitted else one.admitted))
    return replace(facts, classes=tuple(classes), remarks=remarks(rows))


def term_held(facts: Facts, rows: Rows) -> Facts:
    """The facts with the term of the chain that theirs lies in; as told where there is none."""
    terms = [counted(row) for row in rows.values() if row["kind"] == "term"]
    shared = [((min(ends, facts.term_end) - max(on, facts.term_start)).days, on, ends) for on, ends in terms if on and ends]
    most, on, ends = max(shared, default=(-1, facts.term_start, facts.term_end))
    return replace(facts, term_start=on, term_end=ends) if most >= 0 else facts
