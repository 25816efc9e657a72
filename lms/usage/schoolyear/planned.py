"""Entries read from a file before they are made: read, judged row by row, shown, then entered (校历导入); pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from lms.roster.rules import grade_name
from lms.usage.reasons import N_, Reason, reason

KINDS = {"closed": N_("放假停课"), "school": N_("调休上课"), "flag": N_("非教学周")}
WEEKDAYS = "一二三四五六日"
LONGEST = 60
_KIND_WORDS = (
    ("flag", re.compile(r"非教学周|考试周|复习周|军训周|研学周|(期中|期末).{0,4}(考试|复习)|考试|军训|复习")),
    ("school", re.compile(r"上课|补课|补.{0,4}课|补班|上班|调休|班$")),
    ("closed", re.compile(r"放假|停课|假期|休息|假$|节$|运动会|元旦|春节|国庆|中秋|端午|清明|劳动节|寒假|暑假")),
)


@dataclass(frozen=True)
class Planned:
    """A row: ``where`` names it in the file; ``kind`` one of KINDS, empty where unknown; ``follows`` 0–6; ``grades`` None for all.

    ``state``: new | known | skipped | bad; ``why`` says it for skipped and bad rows.
    """

    where: str
    kind: str
    first: date | None
    last: date | None
    reason: str
    follows: int | None = None
    grades: tuple[int, ...] | None = None
    state: str = "new"
    why: Reason | None = None

    def bad(self, code: str, text: str, /, **facts: Any) -> Planned:
        """The row with what is wrong with it."""
        return replace(self, state="bad", why=reason(code, text, **facts))

    def skipped(self, code: str, text: str, /, **facts: Any) -> Planned:
        """The row left out on purpose."""
        return replace(self, state="skipped", why=reason(code, text, **facts))

    def to_json(self) -> dict[str, Any]:
        """The row for the signed form."""
        kept = asdict(self)
        kept["first"], kept["last"] = str(self.first), str(self.last)
        del kept["why"], kept["state"]
        return kept


def planned_of(kept: Mapping[str, Any]) -> Planned:
    """The row that :meth:`Planned.to_json` gave."""
    grades = tuple(kept["grades"]) if kept["grades"] is not None else None
    first, last = date.fromisoformat(kept["first"]), date.fromisoformat(kept["last"])
    return Planned(kept["where"], kept["kind"], first, last, kept["reason"], kept["follows"], grades)


def kind_of(text: str) -> str:
    """What kind of entry a summary speaks of; empty where it is no matter of the school calendar."""
    for kind, words in _KIND_WORDS:
        if words.search(text):
            return kind
    return ""


def follows_of(text: str, besides: int | None = None) -> int | None:
    """The weekday that a text names (周三, 星期三, 礼拜三) as 0–6, the last one that is not ``besides``; None where it names none."""
    found = re.findall(r"(?:周|星期|礼拜)([一二三四五六日天])", text)
    named = [WEEKDAYS.index(one.replace("天", "日")) for one in found]
    return next((one for one in reversed(named) if one != besides), None)


def grades_of(text: str, every: Sequence[int]) -> tuple[int, ...] | None:
    """Grades that a cell names (五年级、六年级; 五、六年级; 一至四年级; 5,6; 高一); None for 全校, all and nothing.

    Raises ValueError with what cannot be read or is no grade of the school.
    """
    plain = re.sub(r"\s", "", text)
    if plain in ("", "全校", "全部", "所有年级"):
        return None
    names = {grade_name(grade): grade for grade in range(1, 13)}
    names |= {name.removesuffix("年级"): grade for name, grade in names.items()} | {str(n): n for n in range(1, 13)}
    names |= {"初一": 7, "初二": 8, "初三": 9}
    found: list[int] = []
    for part in re.split(r"[、，,;；/和]", plain):
        ends = [names.get(one) or names.get(one.removesuffix("年级")) for one in re.split(r"[至到—~-]", part)]
        first, last = ends[0], ends[-1]
        if len(ends) > 2 or first is None or last is None or not {first, last} <= set(every):
            raise ValueError(part)
        found += range(first, last + 1)
    return tuple(sorted(set(found)))


def date_of(text: str, start: date, end: date) -> date:
    """A date as people write it: 2026-11-03, 2026/11/3, 2026年11月3日, 20261103, and 11月3日 or 11.3 within the term.

    Raises ValueError.
    """
    plain = re.sub(r"\s", "", text).removesuffix("日").removesuffix("号")
    numbers = [int(part) for part in re.split(r"[年月./\-]", plain) if part]
    if len(numbers) == 1 and re.fullmatch(r"\d{8}", plain):
        return date(numbers[0] // 10000, numbers[0] // 100 % 100, numbers[0] % 100)
    if len(numbers) == 3:
        return date(numbers[0], numbers[1], numbers[2])
    if len(numbers) == 2:
        options = [date(year, numbers[0], numbers[1]) for year in (start.year, end.year)]
        return next((day for day in options if start <= day <= end), options[0])
    raise ValueError(text)


def judge(row: Planned, start: date, end: date, standing: Iterable[tuple[Any, ...]]) -> Planned:
    """The row with its verdict: ``standing`` are the entries that there are, as :func:`says` tells them."""
    if row.state != "new":
        return row
    if row.first is None or row.last is None or row.last < row.first:
        return row.bad("date", N_("日期写得不对，应为 2026-11-03 这样，且结束不早于开始"))
    if row.last < start or row.first > end:
        text = N_("不在本学期（%(start)s 至 %(end)s）之内，未导入")
        return row.skipped("outside", text, start=start.isoformat(), end=end.isoformat())
    if (row.last - row.first).days > LONGEST:
        return row.bad("long", N_("一条最多 %(days)s 天，请分成几条"), days=LONGEST)
    if row.kind not in KINDS:
        return row.bad("kind", N_("看不出是放假停课、调休上课还是非教学周，请写明"))
    if not row.reason.strip():
        return row.bad("reason", N_("没有写原因"))
    if row.kind == "school" and row.first.weekday() >= 5 and row.follows is None:
        return row.bad("follows", N_("周末上课要写明按周几的课表上课，例如“按周三上课”"))
    if says(row) in set(standing):
        return replace(row, state="known")
    return row


def says(row: Planned) -> tuple[Any, ...]:
    """What a row would enter, to compare with what is there."""
    return (
        row.kind,
        row.first,
        row.last,
        row.follows if row.kind == "school" else None,
        row.grades,
        row.reason.strip()[:60],
    )
