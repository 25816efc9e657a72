"""A deadline and how it presses (日程、紧急程度); the weeks of a month; pure."""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l

NOW_DAYS, SOON_DAYS = 3, 14
KIND_NAMES: dict[str, Any] = {
    "open": _l("开始申报"),
    "hand-in": _l("申报"),
    "pass-on": _l("报送上级"),
    "appeal": _l("申诉"),
    "report": _l("报告"),
    "public": _l("公示"),
    "phase": _l("阶段"),
    "step": _l("办理"),
    "notice": _l("提醒"),
}
URGENCY_NAMES: dict[str, Any] = {
    "over": _l("已过期"),
    "now": _l("3 天内"),
    "soon": _l("两周内"),
    "later": _l("两周以后"),
    "done": _l("已完成"),
    "other": _l("仅供了解"),
}


@dataclass(frozen=True)
class Deadline:
    """One entry of the calendar. ``key`` names it for good (calendar programs replace it); ``day``: by whose end, in Shanghai.

    ``kind``: one of KIND_NAMES. ``mine``: the organisation must act; ``done``: it has. ``programme``: title of the notice, ``slug`` its name.
    ``tell``: how many days before whom it concerns is told of it, by the channels too; ``grace``: days after it in which what is nobody's to do
    may still be told. What other rooms remind of has none.
    """

    key: str
    day: date
    kind: str
    title: str
    slug: str = ""
    programme: str = ""
    link: str = ""
    mine: bool = False
    done: bool = False
    tell: tuple[int, ...] = ()
    grace: int = 0


def stage_of(one: Deadline, today: date) -> int | None:
    """Which of its days before (``tell``) has come, the last one; None where there is nothing to tell (any more)."""
    left = (one.day - today).days
    if one.done or (left < -one.grace and not one.mine):
        return None
    return min((days for days in one.tell if left <= days), default=None)


def urgency(one: Deadline, today: date) -> str:
    """One of URGENCY_NAMES."""
    if one.done:
        return "done"
    if not one.mine:
        return "other"
    left = (one.day - today).days
    if left < 0:
        return "over"
    return "now" if left <= NOW_DAYS else "soon" if left <= SOON_DAYS else "later"


def near(found: Iterable[Deadline], today: date, days: int = 30, most: int = 6) -> list[Deadline]:
    """What presses: own, not done, due within ``days`` or over for at most a week; the nearest first."""
    pressing = [
        one
        for one in found
        if one.mine and not one.done and today - timedelta(days=7) <= one.day <= today + timedelta(days=days)
    ]
    return sorted(pressing, key=lambda one: (one.day, one.title))[:most]


def weeks_of(month: date) -> list[list[date]]:
    """The weeks, Monday first, that hold the month of ``month``."""
    return calendar.Calendar().monthdatescalendar(month.year, month.month)


def month_of(text: str, today: date) -> date:
    """First day of ``2026-12``; of this month for an empty text. Raises ValueError."""
    return date.fromisoformat(f"{text}-01") if text else today.replace(day=1)


def beside(month: date, months: int) -> date:
    """First day of the month so many months away."""
    place = month.year * 12 + month.month - 1 + months
    return date(place // 12, place % 12 + 1, 1)
