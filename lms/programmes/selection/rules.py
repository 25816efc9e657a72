"""Decisions of the selection (评审规则): conflicts of interest, a fair draw, wide divergence, ranking with ties; pure."""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from statistics import median
from typing import Any

REASONS = {
    "same": "就职于申报单位",
    "above": "就职于申报单位的上级",
    "below": "就职于申报单位的下属单位",
    "named": "在申报材料的团队或联系人中",
    "declared": "本人申报回避",
}
_PERSON = ("姓名", "联系人", "负责人", "牵头人", "教师", "专家", "填表人")
_SPLIT = re.compile(r"[、，,;；/\s]+")
NORMAL_SHEET = (
    {"id": "base", "name": "条件与基础", "most": 25, "hint": "资格自查、设备、课时与证据等级"},
    {"id": "team", "name": "组织与队伍", "most": 20, "hint": "分工、教研团队、培训"},
    {"id": "plan", "name": "实施方案", "most": 30, "hint": "目标清楚、举措可行、有时间表"},
    {"id": "output", "name": "预期成效", "most": 15, "hint": "能检查的成果"},
    {"id": "spread", "name": "示范辐射", "most": 10, "hint": "对薄弱学校、农村学校的带动"},
)


@dataclass(frozen=True)
class Referee:
    """An expert as the rules see him: ``unit`` by name, ``path`` of the employer ("" where unknown), what he declared."""

    id: Any
    name: str
    unit: str = ""
    path: str = ""
    phone: str = ""
    avoid: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Subject:
    """An application as the rules see it: the applicant's name and path, names of those above and below it, and whom it names."""

    id: Any
    name: str
    path: str = ""
    above: frozenset[str] = frozenset()
    below: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()


def conflicts(referee: Referee, subject: Subject, office_path: str = "") -> list[str]:
    """Codes of REASONS why the expert must not see the application (回避).

    Employers above the applicant count when they stand below the deciding office (``office_path``): its own people decide anyway.
    """
    found = []
    unit = referee.unit.strip()
    if (unit and unit == subject.name) or (referee.path and referee.path == subject.path):
        found.append("same")
    elif unit in subject.above or (
        referee.path and subject.path.startswith(referee.path) and len(referee.path) > len(office_path)
    ):
        found.append("above")
    elif unit in subject.below or (referee.path and subject.path and referee.path.startswith(subject.path)):
        found.append("below")
    if plain(referee.name) in subject.people or (referee.phone and digits(referee.phone) in subject.phones):
        found.append("named")
    if subject.name in referee.avoid:
        found.append("declared")
    return found


def plain(name: str) -> str:
    """A name without the blanks that people set into it."""
    return re.sub(r"\s+", "", name)


def digits(phone: str) -> str:
    """The digits of a telephone number."""
    return re.sub(r"\D", "", phone)


def people_of(parts: Sequence[tuple[Mapping[str, Any], Any]]) -> tuple[frozenset[str], frozenset[str]]:
    """Names and telephones in an application's teams and contacts: (part, value) pairs."""
    names: set[str] = set()
    phones: set[str] = set()
    for part, value in parts:
        fields = part.get("fields") or part.get("columns") or ()
        rows = value if isinstance(value, list) else [value]
        for row in (one for one in rows if isinstance(one, Mapping)):
            for one in fields:
                text = str(row.get(one["id"], "")).strip()
                if text and any(word in one["label"] for word in _PERSON) and one.get("type") not in ("phone", "email"):
                    names.update(filter(None, [plain(text), *_SPLIT.split(text)]))
                if text and one.get("type") == "phone" and len(digits(text)) >= 7:
                    phones.add(digits(text))
    return frozenset(names), frozenset(phones)


# ---- the draw


@dataclass
class Draw:
    """A draw: pairs (application, expert) that are new, and applications that lack experts with how many."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    short: dict[Any, int] = field(default_factory=dict)


def draw(
    eligible: Mapping[Any, Collection[Any]],
    held: Mapping[Any, Collection[Any]],
    each: int,
    seed: str,
    experts: Sequence[Any],
) -> Draw:
    """Experts for every application, each ``each`` of them, the load as even as conflicts let it be (随机抽取).

    ``eligible``: application → experts without conflict; ``held``: application → experts it has already (they stay). The same seed gives the same draw.
    """
    order = list(experts)
    random.Random(seed).shuffle(order)
    load = dict.fromkeys(order, 0)
    for ones in held.values():
        for one in ones:
            load[one] = load.get(one, 0) + 1
    given: dict[Any, set[Any]] = {}
    short: dict[Any, int] = {}
    for subject in sorted(eligible, key=lambda one: (len(eligible[one]), str(one))):
        has = set(held.get(subject, ()))
        given[subject] = set()
        for _place in range(max(0, each - len(has))):
            free = [one for one in order if one in eligible[subject] and one not in has | given[subject]]
            if not free:
                short[subject] = each - len(has) - len(given[subject])
                break
            chosen = min(free, key=lambda one: load[one])
            given[subject].add(chosen)
            load[chosen] += 1
    _even_out(order, eligible, held, given, load)
    return Draw([(subject, one) for subject in given for one in order if one in given[subject]], short)


def _even_out(
    order: Sequence[Any],
    eligible: Mapping[Any, Collection[Any]],
    held: Mapping[Any, Collection[Any]],
    given: dict[Any, set[Any]],
    load: dict[Any, int],
) -> None:
    """Hand applications on from the most to the least loaded, along chains, until no two experts differ by more than conflicts force."""
    while True:
        for heavy in sorted(order, key=lambda one: -load[one]):
            path = _lighter(heavy, order, eligible, held, given, load)
            if path:
                for subject, source, target in path:
                    given[subject].remove(source)
                    given[subject].add(target)
                load[heavy] -= 1
                load[path[-1][2]] += 1
                break
        else:
            return


def _lighter(
    heavy: Any,
    order: Sequence[Any],
    eligible: Mapping[Any, Collection[Any]],
    held: Mapping[Any, Collection[Any]],
    given: Mapping[Any, set[Any]],
    load: Mapping[Any, int],
) -> list[tuple[Any, Any, Any]]:
    """A chain of moves (application, from, to) that ends at an expert with at least two fewer; empty where there is none."""
    came: dict[Any, tuple[Any, Any] | None] = {heavy: None}
    queue = deque([heavy])
    while queue:
        here = queue.popleft()
        if load[here] <= load[heavy] - 2:
            path = []
            while (step := came[here]) is not None:
                path.append((step[0], step[1], here))
                here = step[1]
            return path[::-1]
        for subject in given:
            if here not in given[subject]:
                continue
            for other in order:
                free = other in eligible[subject] and other not in given[subject] and other not in held.get(subject, ())
                if free and other not in came:
                    came[other] = (subject, here)
                    queue.append(other)
    return []


# ---- scores


def sheet_problem(items: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with a score sheet, in words; "" for nothing."""
    if not 1 <= len(items) <= 30:
        return "评分项应有 1 到 30 项"
    names = [str(one.get("name", "")).strip() for one in items]
    for number, (one, name) in enumerate(zip(items, names, strict=True), 1):
        if not name:
            return f"第 {number} 项没有名称"
        if names.index(name) != number - 1:
            return f"第 {number} 项与第 {names.index(name) + 1} 项同名：{name}"
        if not isinstance(one.get("most"), int) or not 1 <= one["most"] <= 100:
            return f"“{name}”的满分应是 1 到 100 的整数"
    return ""


def most_of(items: Sequence[Mapping[str, Any]]) -> int:
    """Points that a sheet gives at most."""
    return sum(int(one["most"]) for one in items)


def read_points(item: Mapping[str, Any], text: str) -> tuple[float | None, str]:
    """Points of an item as they were typed: (points, "") or (None, what is wrong); an empty text is (None, "")."""
    text = text.strip().replace("．", ".").replace("。", ".")
    if not text:
        return None, ""
    if not re.fullmatch(r"\d{1,3}(\.\d)?", text, re.ASCII) or float(text) > item["most"]:
        return None, f"“{item['name']}”应是 0 到 {item['most']} 的数（最多一位小数），现在是“{text[:20]}”"
    return float(text), ""


def total_of(items: Sequence[Mapping[str, Any]], scores: Mapping[str, Any]) -> float | None:
    """Sum of all items, None while one is missing."""
    if any(scores.get(one["id"]) is None for one in items):
        return None
    return float(sum(Decimal(str(scores[one["id"]])) for one in items))


def diverges(totals: Sequence[float], most: int, threshold: int) -> bool:
    """Whether two experts differ by more than ``threshold`` percent of the maximum; a third one has settled it."""
    return len(totals) == 2 and abs(totals[0] - totals[1]) * 100 > most * threshold


@dataclass(frozen=True)
class Place:
    """A place of the ranking (排序): ``number`` None while nobody has handed scores in; ``tied``: others stand on the same one."""

    id: Any
    score: Decimal | None
    number: int | None
    tied: bool = False


def rank(totals: Mapping[Any, Sequence[float]], rule: str = "mean") -> list[Place]:
    """Applications by mean or median of their experts' totals, to two decimals; equal scores share a place (1, 2, 2, 4)."""
    scores = {one: combined(values, rule) for one, values in totals.items()}
    known = sorted((score for score in scores.values() if score is not None), reverse=True)
    places = [
        Place(
            one,
            score,
            known.index(score) + 1 if score is not None else None,
            score is not None and known.count(score) > 1,
        )
        for one, score in scores.items()
    ]
    return sorted(places, key=lambda place: (place.number is None, place.number or 0))


def combined(values: Sequence[float], rule: str) -> Decimal | None:
    """Mean or median to two decimals, None of nothing."""
    if not values:
        return None
    exact = [Decimal(str(one)) for one in values]
    found = median(exact) if rule == "median" else sum(exact) / len(exact)
    return Decimal(found).quantize(Decimal("0.01"), ROUND_HALF_UP)
