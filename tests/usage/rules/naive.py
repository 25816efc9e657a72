"""The counting rules a second time, written from the definitions B1–B2d alone: slow, plain, over the JSON document.

Nothing here is imported from the engine, and nothing is shared with it. Where the two differ, one of them is wrong.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

Document = dict[str, Any]
ORDER = ["met", "met-approximately", "not-assessable", "not-met", "structurally-impossible"]
DEFAULT_HOUR = {"primary": 40, "junior": 45, "senior": 45}


def iso(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def need(text: str) -> date:
    return date.fromisoformat(text)


def every_day(first: date, last: date) -> list[date]:
    found = []
    while first <= last:
        found.append(first)
        first += timedelta(days=1)
    return found


def week_of(day: date) -> date:
    while day.isoweekday() != 1:
        day -= timedelta(days=1)
    return day


def entries(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else [value]


def for_grade(entry: dict[str, Any], grade: int) -> bool:
    return entry.get("grades") is None or grade in entry["grades"]


# --- B1


def is_school_day(document: Document, day: date, grade: int) -> bool:
    """Monday–Friday, less holidays and closures that count, plus 调休 days; what the school says comes after the national word."""
    answer = day.isoweekday() <= 5
    held = [entry for entry in entries(document["days"].get(day.isoformat(), [])) if for_grade(entry, grade)]
    national = [entry for entry in held if entry.get("source", "school") == "national"]
    own = [entry for entry in held if entry.get("source", "school") == "school"]
    for entry in national + own:
        closure = not entry["school"] and entry in own
        if closure and not entry.get("countersigned", False):
            entered = iso(entry.get("entered"))
            if entered is None or entered > day + timedelta(days=3):
                continue
        if entry["school"] and entry in national and day.isoweekday() > 5 and entry.get("follows") is None:
            continue  # a 调休 day that the school has not declared with its weekday
        answer = entry["school"]
    return answer


def flagged_weeks(document: Document, grade: int) -> set[date]:
    start, end = need(document["term"]["start"]), need(document["term"]["end"])
    good: set[date] = set()
    free = 4
    for monday in sorted(need(key) for key in document["weeks_flagged"]):
        if monday + timedelta(days=6) < start or monday > end:
            continue
        held = [entry for entry in entries(document["weeks_flagged"][monday.isoformat()]) if for_grade(entry, grade)]
        if any(entry.get("countersigned", False) for entry in held):
            good.add(monday)
        elif any(entry.get("entered") is not None and need(entry["entered"]) < monday for entry in held) and free > 0:
            good.add(monday)
            free -= 1
    return good


# --- B2, B2a


def window(document: Document, one: dict[str, Any]) -> tuple[date, date]:
    starts = [need(document["term"]["start"])]
    starts += [need(one[name]) for name in ("created", "admitted") if one.get(name)]
    return max(starts), need(document["term"]["end"])


def school_days(document: Document, one: dict[str, Any]) -> list[date]:
    start, end = window(document, one)
    return [day for day in every_day(start, end) if is_school_day(document, day, one["grade"])]


def effective_weeks(document: Document, one: dict[str, Any], flags: set[date], as_of: date) -> list[date]:
    by_week: dict[date, list[date]] = {}
    for day in school_days(document, one):
        by_week.setdefault(week_of(day), []).append(day)
    found = []
    for monday in sorted(by_week):
        days = by_week[monday]
        if len(days) >= 3 and monday not in flags and not any(day > as_of for day in days):
            found.append(monday)
    return found


def is_a_class(one: dict[str, Any]) -> bool:
    return one["type"] == "administrative" or (one["roster"] >= 20 and one.get("regular_slot", True))


def row_fits(document: Document, row: dict[str, Any]) -> bool:
    """What B2a asks of a row by itself: catalogue, teacher, kind, link of a makeup."""
    units = row["unit"] if isinstance(row["unit"], list) else [row["unit"]]
    if row["course"] != document["course"] or not [unit for unit in units if unit is not None and unit.strip() != ""]:
        return False
    if not row["teacher_registered"] or row["kind"] in ("club", "exam"):
        return False
    if row["kind"] == "makeup":
        link = row["makeup_of"]
        if not link or link == row["id"]:
            return False
        days = [need(other["date"]) for other in document["lessons"] if other["id"] == link]
        if not days:
            try:
                days = [date.fromisoformat(link[:10])]
            except ValueError:
                days = []
        if days and not need(document["term"]["start"]) <= days[0] <= need(document["term"]["end"]):
            return False
    return True


def long_and_full_enough(
    document: Document, one: dict[str, Any], minutes: Fraction, roster: int, present: int, leave: int
) -> bool:
    hour = document["school"].get("class_hour_minutes", {}).get(one["stage"], DEFAULT_HOUR[one["stage"]])
    if minutes < Fraction(3, 4) * hour:
        return False
    return roster - leave > 0 and present >= Fraction(6, 10) * (roster - leave)


def lesson_days(document: Document, one: dict[str, Any], as_of: date) -> list[date]:
    """The days on which the class has its counted lesson."""
    start, end = window(document, one)
    if not is_a_class(one):
        return []
    rows = [row for row in document["lessons"] if row["class"] == one["id"]]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["part_of"] is None:
            groups.setdefault("single " + row["id"], []).append(row)
        else:
            groups.setdefault("parts " + row["part_of"]["lesson"], []).append(row)
    found = set()
    for key, held in groups.items():
        day = max(need(row["date"]) for row in held)
        if not start <= day <= end or day > as_of or not all(row_fits(document, row) for row in held):
            continue
        minutes = [Fraction(row["minutes"]) for row in held]
        present, leave = [row["present"] for row in held], [row["leave"] for row in held]
        roster = max(one["roster"] if row.get("roster") is None else row["roster"] for row in held)
        if key.startswith("single"):
            good = long_and_full_enough(document, one, minutes[0], roster, present[0], leave[0])
        else:
            told = [(row["part_of"]["kind"], row["part_of"]["parts"]) for row in held]
            same = all(other == told[0] for other in told) and all(row["unit"] == held[0]["unit"] for row in held)
            near = (day - min(need(row["date"]) for row in held)).days <= 7
            good = same and near and len(held) == told[0][1]
            if told[0][0] == "halves":
                good = good and long_and_full_enough(document, one, min(minutes), roster, sum(present), sum(leave))
            else:
                good = good and long_and_full_enough(
                    document, one, sum(minutes, Fraction()), roster, min(present), max(leave)
                )
        if good:
            found.add(day)
    return sorted(found)


# --- B2 steps 3–5, B2b


def in_blocks(weeks: list[date], taught: list[date]) -> int:
    """N: each block of two effective weeks counts at most two lessons."""
    if not weeks:
        return 0
    held = [0] * ((len(weeks) + 1) // 2)
    for day in taught:
        position = 0
        for index, monday in enumerate(weeks):
            if monday <= week_of(day):
                position = index
        held[position // 2] += 1
    return sum(2 if number > 2 else number for number in held)


def longest_gap(weeks: list[date], taught: list[date]) -> int:
    having = [week_of(day) for day in taught]
    best = 0
    for first in range(len(weeks)):
        for last in range(first, len(weeks)):
            if not any(monday in having for monday in weeks[first : last + 1]):
                best = max(best, last - first + 1)
    return best


def fortnightly(document: Document, one: dict[str, Any], flags: set[date], as_of: date) -> dict[str, Any]:
    weeks = effective_weeks(document, one, flags, as_of)
    taught = lesson_days(document, one, as_of)
    e, raw = len(weeks), len(taught)
    n = in_blocks(weeks, taught)
    r = math.floor(e / 2)
    if e < 4:
        verdict = "not-assessable"
    elif n >= r:
        verdict = "met"
    elif n >= math.ceil(Fraction(8, 10) * r) or (raw >= r and n >= Fraction(r, 2)):
        verdict = "met-approximately"
    else:
        verdict = "not-met"
    return {
        "verdict": verdict,
        "effective_weeks": e,
        "required": r,
        "counted": n,
        "raw": raw,
        "longest_gap": longest_gap(weeks, taught),
    }


def twice_a_month(document: Document, one: dict[str, Any], flags: set[date], as_of: date) -> dict[str, Any]:
    days = [day for day in school_days(document, one) if week_of(day) not in flags]
    taught = lesson_days(document, one, as_of)
    required = counted = 0
    short: list[int] = []
    start, end = window(document, one)
    for year, month in sorted({(day.year, day.month) for day in every_day(start, end)}):
        inside = [day for day in days if (day.year, day.month) == (year, month)]
        wanted = 2 if len(inside) >= 8 else 1 if len(inside) >= 4 else 0
        have = len([day for day in taught if (day.year, day.month) == (year, month)])
        if any(day > as_of for day in inside) and have < wanted:
            continue
        required, counted = required + wanted, counted + have
        if have < wanted:
            short.append(wanted - have)
    if required == 0:
        verdict = "not-assessable"
    elif not short:
        verdict = "met"
    elif short == [1] and counted >= required:
        verdict = "met-approximately"
    else:
        verdict = "not-met"
    weeks = effective_weeks(document, one, flags, as_of)
    gap = longest_gap(weeks, taught)
    return {
        "verdict": verdict,
        "effective_weeks": len(weeks),
        "required": required,
        "counted": counted,
        "raw": len(taught),
        "longest_gap": gap,
    }


RULES = {"fortnightly": fortnightly, "twice-a-month": twice_a_month}


# --- B2c


def stage_verdict(document: Document, stage: str, verdicts: dict[str, str], as_of: date) -> str:
    on = min(as_of, need(document["term"]["end"]))
    standing = [
        one
        for one in document["classes"]
        if one["stage"] == stage
        and is_a_class(one)
        and (one.get("created") is None or need(one["created"]) <= on)
        and (one.get("closed") is None or need(one["closed"]) > on)
    ]

    def grades_with_two(wanted: list[str]) -> int:
        numbers: dict[int, int] = {}
        for one in standing:
            if verdicts[one["id"]] in wanted:
                numbers[one["grade"]] = numbers.get(one["grade"], 0) + 1
        return len([number for number in numbers.values() if number >= 2])

    if grades_with_two(ORDER) < 2:
        return "structurally-impossible"
    if grades_with_two(["met", "met-approximately", "not-met"]) < 2:
        return "not-assessable"
    if grades_with_two(["met"]) >= 2:
        return "met"
    if grades_with_two(["met", "met-approximately"]) >= 2:
        return "met-approximately"
    return "not-met"


def judge(document: Document, rule: str) -> dict[str, Any]:
    """The numbers of the issue's output that the definitions fix."""
    as_of = need(document["as_of"])
    found: dict[str, Any] = {"classes": {}, "stages": {}}
    verdicts: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for one in document["classes"]:
        for with_flags in (True, False):
            flags = flagged_weeks(document, one["grade"]) if with_flags else set()
            answer = RULES[rule](document, one, flags, as_of)
            verdicts[with_flags][one["id"]] = answer["verdict"]
            if with_flags:
                found["classes"][one["id"]] = answer
    for with_flags, name in ((True, "verdict"), (False, "verdict_without_flags")):
        stages = {
            stage: stage_verdict(document, stage, verdicts[with_flags], as_of) for stage in document["school"]["stages"]
        }
        found[name] = max(stages.values(), key=ORDER.index)
        if with_flags:
            found["stages"] = stages
    return found


# --- B2d, by trying


def end_of_term(document: Document, class_id: str, rule: str, taught: list[date]) -> dict[str, Any]:
    """The class at the end of its term, had it been taught on ``taught`` beside what it has by ``as_of``."""
    good = {
        "minutes": 90,
        "leave": 0,
        "roster": None,
        "class_hours": 1,
        "kind": "regular",
        "course": document["course"],
        "unit": "x",
    }
    good |= {"teacher_registered": True, "makeup_of": None, "part_of": None, "class": class_id}
    one = next(one for one in document["classes"] if one["id"] == class_id)
    kept = [row for row in document["lessons"] if need(row["date"]) <= need(document["as_of"])]
    more = [good | {"id": f"tried-{day}", "date": day.isoformat(), "present": one["roster"]} for day in taught]
    tried = document | {"lessons": kept + more}
    flags = flagged_weeks(document, one["grade"])
    return RULES[rule](tried, one, flags, need(document["term"]["end"]))
