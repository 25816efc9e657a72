"""What a selected school owes when, who is drawn for inspection, what a step of the ladder means (实施规则); pure.

Decision 023: half-years and years are those of the calendar, a report is due ``grace_days`` (15) after its period, a period counts from
60 days in it on, and where the notice's phases are over before the grant the three years after it are one phase.
"""

from __future__ import annotations

import calendar
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from lms.usage.verifier.sample import draw

GRACE_DAYS = 15
LEAST_DAYS = 60
YEARS = 3
STAGE_NAMES: Mapping[str, str] = {"kindergarten": "幼儿园", "primary": "小学", "junior": "初中", "senior": "高中"}
# Kinds of reports that are figures with a text beside each (自评), and the one that every notice gets.
ASSESSMENTS = frozenset({"self-assessment", "risk-register", "acceptance"})
SELF_ASSESSMENT: Mapping[str, Any] = {
    "id": "self-assessment",
    "name": "年度自评",
    "every": "year",
    "kind": "self-assessment",
}
State = Literal["done", "returned", "late", "open", "later"]
STATE_NAMES: Mapping[State, str] = {
    "done": "已交",
    "returned": "退回修改",
    "late": "逾期",
    "open": "待交",
    "later": "未到",
}
Means = Literal["promote", "warn", "rectified", "exit", "accept"]


@dataclass(frozen=True)
class Phase:
    """A phase of the notice (阶段), first and last day."""

    id: str
    name: str
    first: date
    last: date


@dataclass(frozen=True)
class Period:
    """What a report is about: ``2026-H2``, ``2026``, a phase's id or ``once``; its days and the day by whose end it is due."""

    id: str
    name: str
    first: date
    last: date
    due: date


@dataclass(frozen=True)
class Owed:
    """A report that is owed for a period (应交), and how it stands on a day."""

    report: Mapping[str, Any]
    period: Period
    state: State

    @property
    def state_name(self) -> str:
        """已交 …"""
        return STATE_NAMES[self.state]


def phases_of(pack: Mapping[str, Any], granted: date) -> tuple[Phase, ...]:
    """Phases that are not over at the grant; else the three years after it as one."""
    found = [
        Phase(one["id"], one["name"], _first(one["from"]), _last(one["to"]))
        for one in pack.get("phases", ())
        if _last(one["to"]) >= granted
    ]
    return tuple(found) or (Phase("years", "三年实施", granted, _years_on(granted)),)


def reports_of(pack: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    """Reports that a kind of application owes; each notice has a yearly self-assessment, its own or ours."""
    found = [
        one for one in pack.get("reports", ()) if kind in one.get("by", (kind,)) and one.get("kind") != "inspection"
    ]
    own = any(one.get("kind") in ("self-assessment", "risk-register") for one in found)
    return [*found, *([] if own else [SELF_ASSESSMENT])]


def inspections_of(pack: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    """Inspections that the notice prescribes for the kind (HA-15)."""
    return [
        one for one in pack.get("reports", ()) if one.get("kind") == "inspection" and kind in one.get("by", (kind,))
    ]


def periods_of(report: Mapping[str, Any], phases: Sequence[Phase], granted: date) -> tuple[Period, ...]:
    """Periods for which a report is owed, in order; none for what each lesson brings (every ``lesson``)."""
    start, end = max(granted, min(one.first for one in phases)), max(one.last for one in phases)
    grace = timedelta(days=int(report.get("grace_days", GRACE_DAYS)))
    every = report["every"]
    if every == "once":
        return (Period("once", "一次", start, end, end),)
    if every == "phase":
        return tuple(
            Period(one.id, one.name, max(one.first, granted), one.last, one.last + grace)
            for one in phases
            if (one.last - max(one.first, granted)).days + 1 >= LEAST_DAYS
        )
    if every == "lesson":
        return ()
    found = []
    for year in range(start.year, end.year + 1):
        for id_, name, first, last in _parts(year, every):
            days = (min(last, end) - max(first, start)).days + 1
            if days >= LEAST_DAYS:
                found.append(Period(id_, name, max(first, start), min(last, end), min(last, end) + grace))
    return tuple(found)


def _parts(year: int, every: str) -> list[tuple[str, str, date, date]]:
    if every == "year":
        return [(str(year), f"{year}年", date(year, 1, 1), date(year, 12, 31))]
    return [
        (f"{year}-H1", f"{year}年上半年", date(year, 1, 1), date(year, 6, 30)),
        (f"{year}-H2", f"{year}年下半年", date(year, 7, 1), date(year, 12, 31)),
    ]


def half_year(day: date) -> str:
    """The half-year of a day: ``2026-H2``."""
    return f"{day.year}-H{1 if day.month <= 6 else 2}"


def half_year_name(period: str) -> str:
    """``2026-H2`` as 2026年下半年."""
    return f"{period[:4]}年{'上' if period.endswith('H1') else '下'}半年"


def state_of(period: Period, handed_in: str, today: date) -> State:
    """How a report stands: ``handed_in`` is ``submitted``, ``returned``, ``draft`` or "" for nothing."""
    if handed_in == "submitted":
        return "done"
    if today > period.due:
        return "late"
    if handed_in == "returned":
        return "returned"
    return "open" if today >= period.first else "later"


def covered(periods: Sequence[Period], days: Iterable[date]) -> set[str]:
    """Periods for which something came in (a case a year): in order, each takes the earliest day not before its first; a late one counts for what was missing."""
    left, found = sorted(days), set()
    for period in sorted(periods, key=lambda one: one.first):
        day = next((one for one in left if one >= period.first), None)
        if day is not None:
            left.remove(day)
            found.add(period.id)
    return found


def owed(
    pack: Mapping[str, Any], kind: str, granted: date, handed_in: Mapping[tuple[str, str], str], today: date
) -> list[Owed]:
    """Everything owed for the whole time, by due day; ``handed_in``: status by (report, period)."""
    phases = phases_of(pack, granted)
    found = [
        Owed(report, period, state_of(period, handed_in.get((report["id"], period.id), ""), today))
        for report in reports_of(pack, kind)
        for period in periods_of(report, phases, granted)
    ]
    return sorted(found, key=lambda one: (one.period.due, one.report["id"]))


def _first(month: str) -> date:
    return date(int(month[:4]), int(month[5:]), 1)


def _last(month: str) -> date:
    year, number = int(month[:4]), int(month[5:])
    return date(year, number, calendar.monthrange(year, number)[1])


def _years_on(day: date) -> date:
    last = calendar.monthrange(day.year + YEARS, day.month)[1]
    return date(day.year + YEARS, day.month, min(day.day, last)) - timedelta(days=1)


# ---- the draw (抽查), B10.7


@dataclass(frozen=True)
class Candidate:
    """One who may be drawn: id, name, the stratum it lies in ("" without strata)."""

    id: str
    name: str
    stratum: str = ""


def list_text(candidates: Iterable[Candidate]) -> str:
    """The list as it is published before the seed is known: a line each, ``id``, stratum and name apart by tabs, in the order of ids."""
    return "".join(f"{one.id}\t{one.stratum}\t{one.name}\n" for one in sorted(candidates, key=lambda one: one.id))


def digest_of(text: str) -> str:
    """SHA-256 of the published list, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def shares(candidates: Sequence[Candidate], count: int) -> dict[str, int]:
    """How many of each stratum are drawn: by size, largest remainder, ties in the order of names; at least one each while ``count`` allows."""
    sizes: dict[str, int] = {}
    for one in sorted(candidates, key=lambda one: one.stratum):
        sizes[one.stratum] = sizes.get(one.stratum, 0) + 1
    count = min(count, len(candidates))
    floor = 1 if count >= len(sizes) else 0
    found = dict.fromkeys(sizes, floor)
    rest = count - floor * len(sizes)
    weights = {name: size - floor for name, size in sizes.items()}
    total = sum(weights.values())
    if rest and total:
        exact = {name: rest * weight / total for name, weight in weights.items()}
        for name in found:
            found[name] += int(exact[name])
        left = count - sum(found.values())
        for name in sorted(exact, key=lambda name: (int(exact[name]) - exact[name], name))[:left]:
            found[name] += 1
    return found


def drawn(seed: str, candidates: Sequence[Candidate], count: int) -> list[str]:
    """Ids that the seed draws, stratum by stratum: those with the smallest SHA-256 of ``seed``, a line feed and the id."""
    wanted = shares(candidates, count)
    return [
        one
        for stratum in sorted(wanted)
        for one in draw(seed, [each.id for each in candidates if each.stratum == stratum], wanted[stratum])
    ]


# ---- the ladder


def means(pack: Mapping[str, Any], rung: Mapping[str, Any]) -> Means:
    """What a step of the ladder is: as the notice says, else by the statuses it leads between."""
    if "means" in rung:
        found: Means = rung["means"]
        return found
    meanings = {name: one["is"] for name, one in pack["statuses"].items()}
    if meanings[rung["to"]] == "warned":
        return "warn"
    if meanings[rung["to"]] == "ended":
        return "exit"
    return "rectified" if all(meanings[one] == "warned" for one in rung["from"]) else "promote"


CASE_STEPS: Mapping[str, tuple[str, ...]] = {
    "submit": ("draft", "returned"),
    "take-back": ("submitted",),
    "return": ("submitted", "accepted"),
    "accept": ("submitted", "selected"),
    "select": ("submitted", "accepted"),
}
CASE_TO: Mapping[str, str] = {
    "submit": "submitted",
    "take-back": "draft",
    "return": "returned",
    "accept": "accepted",
    "select": "selected",
}
CASE_STATES: Mapping[str, str] = {
    "draft": "填写中",
    "submitted": "待评审",
    "returned": "退回修改",
    "accepted": "通过",
    "selected": "入选精品",
}


def case_after(state: str, step: str) -> str | None:
    """State of a case after a step, None where the step is not open."""
    return CASE_TO[step] if state in CASE_STEPS.get(step, ()) else None


# ---- risks

LEVELS: Mapping[int, str] = {1: "低", 2: "中", 3: "高"}


def risk_level(likelihood: int, severity: int) -> int:
    """Level of a risk by likelihood × severity, each 1–3: from 6 on high (3), from 3 on middle (2), else low (1)."""
    product = likelihood * severity
    return 3 if product >= 6 else 2 if product >= 3 else 1


# ---- coverage


@dataclass(frozen=True)
class Coverage:
    """Acknowledgements: of how many, how many said yes, how many no."""

    of: int
    yes: int
    no: int = 0

    @property
    def waiting(self) -> int:
        """Who has not answered."""
        return max(0, self.of - self.yes - self.no)

    @property
    def percent(self) -> int | None:
        """Share of yes, rounded down; None for nobody."""
        return self.yes * 100 // self.of if self.of else None
