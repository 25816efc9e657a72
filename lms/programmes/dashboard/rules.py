"""Figures of an office's dashboard from plain facts (看板): funnel, targets, places, stages, weeks; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.core.stages import STAGE_NAMES, STAGES
from lms.programmes.dates import LEVELS

WEEKS = 16
OUTCOMES: dict[str, Any] = {
    "waiting": _l("办理中"),
    "returned": _l("退回修改"),
    "refused": _l("未通过"),
    "withdrawn": _l("已撤回"),
    "active": _l("已确定"),
    "warned": _l("限期整改"),
    "ended": _l("已结束"),
}
IN_FORCE = ("active", "warned")
LOCALITIES = ("城区", "镇区", "乡村")
FUNNEL_NAMES: dict[str, Any] = {
    "draft": _l("已开始填写"),
    "submit": _l("已提交"),
    "county": _l("区县已推荐"),
    "city": _l("市州已推荐"),
    "province": _l("省已推荐"),
    "grant": _l("已确定"),
}
SHOWS: dict[str, Any] = {"came": _l("收到"), "waiting": _l("办理中"), "granted": _l("已确定"), "warned": _l("限期整改")}


@dataclass(frozen=True)
class Fact:
    """An application in the office's own area. ``meaning``: what its status means; ``path``: ids of the organisations from the root to the applicant.

    ``levels``: levels of the offices that have had it; ``granted``: it was decided for; ``came``: it came to this office (or is its own):
    only then may it be told apart from others. ``chain``: levels of its way, lowest first.
    """

    slug: str
    kind: str
    status: str
    meaning: str
    applicant: str
    path: tuple[str, ...]
    stages: tuple[str, ...]
    locality: str
    chain: tuple[str, ...]
    levels: frozenset[str]
    submitted_on: date | None
    granted: bool
    came: bool
    kind_name: str = ""
    status_name: str = ""
    programme: str = ""
    batch_name: str = ""


@dataclass(frozen=True)
class Bar:
    """A line of a chart: name, number, and its share of the longest or of the target, 0–100."""

    key: str
    name: Any
    number: int
    percent: int


def funnel(facts: Sequence[Fact]) -> list[Bar]:
    """How far the applications of the area have come; drafts and what lies below only as numbers.

    A level counts as passed once a higher one has had the application, or it was granted; levels that are in no chain are left out.
    """
    chains = {level for one in facts for level in one.chain[:-1]}
    numbers = {"draft": len(facts), "submit": sum(one.submitted_on is not None for one in facts)}
    for level in ("county", "city", "province"):
        if level in chains:
            numbers[level] = sum(
                one.granted or any(LEVELS.index(had) > LEVELS.index(level) for had in one.levels) for one in facts
            )
    numbers["grant"] = sum(one.granted for one in facts)
    most = max(numbers.values(), default=0) or 1
    return [Bar(key, FUNNEL_NAMES[key], number, round(100 * number / most)) for key, number in numbers.items()]


@dataclass(frozen=True)
class Aim:
    """A target of the notice (目标) against what is there; ``actual`` None where the system does not count it."""

    programme: str
    name: str
    number: int
    unit: str
    by: str
    clause: str
    actual: int | None

    @property
    def percent(self) -> int:
        """Share that is reached, 0–100."""
        return min(100, round(100 * (self.actual or 0) / self.number)) if self.number else 0


def concerns(pack: Mapping[str, Any], target: Mapping[str, Any], level: str) -> bool:
    """Whether a target says something to an office of that level: ``每省`` and ``每区`` to that level and those above, others to who decides."""
    if target["name"].startswith(("每省", "每区")):
        own = "province" if target["name"].startswith("每省") else "county"
    else:
        own = max((kind["chain"][-1]["level"] for kind in pack["kinds"]), key=LEVELS.index)
    return LEVELS.index(level) >= LEVELS.index(own)


def aim(
    pack: Mapping[str, Any],
    target: Mapping[str, Any],
    facts: Sequence[Fact],
    units: Mapping[str, int],
    counted: Mapping[str, int],
) -> Aim:
    """One target for the office's area. ``每省`` and ``每区`` are multiplied: by the provinces (``units``), by the areas that were granted.

    ``counted``: numbers that other rooms know, by target id, e.g. cases of lessons (``cases``).
    """
    mine = [one for one in facts if one.slug == pack["notice"] and one.came and one.granted and one.meaning in IN_FORCE]
    areas = [one for one in mine if one.kind == "area"]
    name, number = target["name"], target["number"]
    times = units.get("province", 1) if name.startswith("每省") else len(areas) if name.startswith("每区") else 1
    actual: int | None = counted.get(target["id"])
    if actual is None and not name.startswith("每年"):
        head = target["id"].removeprefix("model-")
        rows = (
            areas
            if head.startswith("areas")
            else [one for one in mine if one.kind == "school"]
            if head.startswith("schools")
            else None
        )
        if rows is not None:
            actual = sum(one.status == "model" for one in rows) if head != target["id"] else len(rows)
    return Aim(
        pack["title"],
        name,
        number * max(1, times),
        target.get("unit", ""),
        target.get("by", ""),
        target.get("clause", ""),
        actual,
    )


def shown(facts: Iterable[Fact], show: str) -> list[Fact]:
    """What a map counts: one of SHOWS, of what came to the office."""
    tests: dict[str, Callable[[Fact], bool]] = {
        "came": lambda one: one.submitted_on is not None,
        "waiting": lambda one: one.meaning == "waiting",
        "granted": lambda one: one.granted and one.meaning in IN_FORCE,
        "warned": lambda one: one.meaning == "warned",
    }
    return [one for one in facts if one.came and tests[show](one)]


@dataclass(frozen=True)
class Unit:
    """A place of the office's area: an organisation with the group that it is shown in."""

    id: str
    name: str
    code: str
    group: str


@dataclass(frozen=True)
class Tile:
    """A unit with its number; ``shade`` 0 (none) to 5 (most)."""

    unit: Unit
    number: int
    shade: int


def tiles(units: Sequence[Unit], facts: Iterable[Fact], show: str) -> tuple[list[Tile], int]:
    """Each unit with its number, and how many lie in none (directly below a higher office)."""
    known = {one.id for one in units}
    counts: Counter[str] = Counter()
    for one in shown(facts, show):
        counts[next((key for key in reversed(one.path) if key in known), "")] += 1
    most = max((counts[one.id] for one in units), default=0)
    return [Tile(one, counts[one.id], shade(counts[one.id], most)) for one in units], counts[""]


def shade(number: int, most: int) -> int:
    """0 for none, else 1–5 by its share of the most."""
    return 0 if not number else max(1, -(-5 * number // most))


@dataclass(frozen=True)
class Row:
    """A line of the table of outcomes: a stage or a locality, with a number for each of OUTCOMES."""

    name: str
    numbers: tuple[int, ...]

    @property
    def total(self) -> int:
        """Sum."""
        return sum(self.numbers)


def outcomes(facts: Iterable[Fact]) -> tuple[list[Row], list[Row]]:
    """Outcomes of schools that came, by stage (a school of two stages counts in both) and by locality."""
    rows = [one for one in facts if one.came and one.submitted_on is not None and one.stages]
    by_stage = [(STAGE_NAMES[stage], [one for one in rows if stage in one.stages]) for stage in STAGES]
    by_place = [(place, [one for one in rows if one.locality == place]) for place in LOCALITIES]

    def table(groups: Iterable[tuple[str, list[Fact]]]) -> list[Row]:
        return [
            Row(name, tuple(sum(one.meaning == key for one in found) for key in OUTCOMES)) for name, found in groups
        ]

    return table(by_stage), table(by_place)


def weeks(facts: Iterable[Fact], today: date) -> list[Bar]:
    """First submissions in each of the last WEEKS weeks, by Monday, of what came."""
    monday = today - timedelta(days=today.weekday())
    counts = Counter(
        one.submitted_on - timedelta(days=one.submitted_on.weekday())
        for one in facts
        if one.came and one.submitted_on is not None
    )
    days = [monday - timedelta(weeks=back) for back in range(WEEKS - 1, -1, -1)]
    most = max((counts[day] for day in days), default=0) or 1
    return [Bar(day.isoformat(), f"{day:%m-%d}", counts[day], round(100 * counts[day] / most)) for day in days]
