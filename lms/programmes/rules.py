"""What an application may do next (申报流转): the pack's chain over the offices that stand above the applicant; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lms.programmes.words import standing, words_in

EDITABLE = ("draft", "returned")


@dataclass(frozen=True)
class Office:
    """An office above the applicant."""

    id: Any
    level: str
    name: str
    code: str = ""


@dataclass(frozen=True)
class Station:
    """A station of the chain with its office, its status, what its assent is called, and how it takes papers in (报送方式)."""

    office: Office
    status: str
    verb: str
    last: bool
    channel: str = ""


@dataclass(frozen=True)
class WordCount:
    """字数 of the parts that share a limit; ``most`` 0 where there is none."""

    count: int
    most: int

    @property
    def standing(self) -> str:
        """fine | near | over."""
        return standing(self.count, self.most) if self.most else "fine"


def way(kind: Mapping[str, Any], above: Sequence[Office]) -> tuple[Station, ...]:
    """Stations of the chain that exist for this applicant, lowest first: a school directly under city or province skips what it lacks."""
    offices = {one.level: one for one in above}
    steps = [step for step in kind["chain"] if step["level"] in offices]
    return tuple(
        Station(offices[step["level"]], step["status"], step["verb"], number == len(steps) - 1, step.get("channel", ""))
        for number, step in enumerate(steps)
    )


def station_at(stations: Sequence[Station], office_id: Any) -> int | None:
    """Number of the station where the office sits, None if it is not on the way."""
    return next((number for number, one in enumerate(stations) if one.office.id == office_id), None)


def may_appeal(kind: Mapping[str, Any], refused_at: datetime | None, now: datetime) -> bool:
    """Whether an appeal is still open (申诉)."""
    days = kind.get("appeal_days", 0)
    return bool(days) and refused_at is not None and now <= refused_at + timedelta(days=days)


def quotas_for(
    pack: Mapping[str, Any], level: str, kind: str, batch: str, stages: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Quotas of an office of that level which the application would use up."""
    return [
        one
        for one in pack.get("quotas", ())
        if one["level"] == level
        and kind in one["kinds"]
        and ("batches" not in one or batch in one["batches"])
        and ("stages" not in one or set(one["stages"]) & set(stages))
    ]


def count_words(limit: Mapping[str, Any] | None, form: str, key: str, content: Mapping[str, Any]) -> WordCount:
    """字数 of a part, or of all parts under its limit."""
    if limit is None:
        return WordCount(words_in(content.get(key, "")), 0)
    return WordCount(sum(words_in(content.get(f"{form}.{one}", "")) for one in limit["parts"]), limit["most"])


@dataclass(frozen=True)
class Lack:
    """Something that is missing or wrong before submitting: the part (or attachment) and what to do. ``hard``: it stops the submission."""

    where: str
    text: str
    hard: bool = True


def lacks_of_part(part: Mapping[str, Any], key: str, value: Any) -> list[Lack]:
    """What is missing in a part."""
    if part.get("optional"):
        return []
    name = part["heading"] or "封面"
    if part["type"] == "fields":
        given = value or {}
        empty = [
            one["label"]
            for one in part["fields"]
            if not one.get("by_hand") and not one.get("optional") and not one.get("from") and not given.get(one["id"])
        ]
        return [Lack(key, f"{name}：还没有填 {'、'.join(empty)}")] if empty else []
    if part["type"] == "table":
        if "collect" in part:
            return []
        rows = value or []
        found = [
            Lack(key, f"{name}：第 {number} 行没有填 {'、'.join(empty)}")
            for number, row in enumerate(rows, 1)
            if (empty := _empty_cells(part, row))
        ]
        least = part.get("rows", {}).get("least", 1)
        return found + ([Lack(key, f"{name}：至少要有 {least} 行，现在 {len(rows)} 行")] if len(rows) < least else [])
    if part["type"] == "answers":
        empty = [one for one in part["criteria"] if not str((value or {}).get(one, "")).strip()]
        return [Lack(key, f"{name}：还没有逐一作答：{'、'.join(empty)}")] if empty else []
    if part["type"] == "choices":
        return [] if value else [Lack(key, f"{name}：还没有选择")]
    text = str(value or "")
    if not text.strip():
        return [Lack(key, f"{name}：还没有写")]
    absent = [one for one in part.get("must_show", ()) if one not in text]
    return [Lack(key, f"{name}：没有看到 {'、'.join(absent)}（请核对是否写到）", hard=False)] if absent else []


def _empty_cells(part: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    return [
        one["label"] for one in part["columns"] if not one.get("optional") and not str(row.get(one["id"], "")).strip()
    ]
