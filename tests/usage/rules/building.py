"""From the lines of a ``cases.yaml`` to facts; what a case does not say is its rule's base, told at the head of the file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from importlib import resources
from typing import Any

import yaml

from lms.usage.judging.facts import WEEKDAYS, Facts
from lms.usage.judging.packs import Policy
from lms.usage.judging.reading import from_json
from lms.usage.policies import rules
from tests.usage.samples import YEAR_END, day, national

ENDS = {"fortnightly": YEAR_END, "twice-a-month": date(2027, 1, 22)}
PATTERNS: dict[str, Iterable[int]] = {
    "none": [],
    "odd": range(1, 19, 2),
    "eight": range(1, 17, 2),
    "every": range(1, 22),
}


def cases() -> list[tuple[Policy, dict[str, Any]]]:
    """Every case of every rule."""
    found = []
    for rule in rules():
        text = (
            resources.files("lms.usage.policies").joinpath(rule.name.replace("-", "_"), "cases.yaml").read_text("utf-8")
        )
        found += [(rule, case) for case in yaml.safe_load(text)]
    return found


def policy_of(rule: Policy, case: dict[str, Any]) -> Policy:
    """The rule with the parameters that the case changes."""
    values = rule.values()
    for part, changes in case.get("parameters", {}).items():
        values[part] |= changes
    return rule.with_values(values, rule.version)


def facts_of(rule: Policy, case: dict[str, Any]) -> Facts:
    return from_json(document_of(rule, case), None, rule.facts)


def document_of(rule: Policy, case: dict[str, Any]) -> dict[str, Any]:
    end = str(case.get("end", ENDS.get(rule.name, date(2027, 1, 22)).isoformat()))
    stages = case.get("stages", ["primary"])
    school = {"id": "s1", "stages": stages, "system": case.get("system", "6-3"), "class_hour_minutes": {}}
    if "class_hour" in case:
        school["class_hour_minutes"] = dict.fromkeys(stages, case["class_hour"])
    found: dict[str, Any] = {
        "as_of": case.get("as_of", end),
        "school": school,
        "term": {"start": case.get("start", "2026-09-01"), "end": end},
    }
    if rule.counts == "lessons":
        found["classes"], found["lessons"] = classes_and_lessons(case)
    else:
        found["classes"], found["lessons"] = two_classes(case), [*hours(case), *taught(case)]
    if rule.facts == "subject-hours":
        found |= {"subjects": case.get("subjects", ["语文"])} | {
            key: case[key] for key in ("subjects_taught",) if key in case
        }
        for row in found["lessons"]:
            row["subject"] = "语文" if row["subject"] == "信息科技" else row["subject"]
    else:
        found["course"] = "ncet"
    if rule.facts == "year-hours":
        del found["term"]
        found |= {
            "as_of": case.get("as_of", "2027-07-09"),
            "terms": [{"start": "2026-09-01", "end": "2027-01-22"}, {"start": "2027-02-22", "end": "2027-07-09"}],
        }
        found |= {key: case[key] for key in ("subjects",) if key in case}
    return found | {"days": days(case), "weeks_flagged": case.get("flags", {})}


def days(case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for fact in national():
        found[fact.day.isoformat()] = {
            "school": fact.is_school,
            "source": fact.source,
            "follows": WEEKDAYS[fact.follows] if fact.follows is not None else None,
        }
    return found | case.get("days", {})


def one_class(**more: Any) -> dict[str, Any]:
    grade = more.get("grade", 5)
    stage = "primary" if grade <= 6 else "junior" if grade <= 9 else "senior"
    base = {
        "id": "c1",
        "stage": stage,
        "grade": grade,
        "number": 1,
        "type": "administrative",
        "created": "2026-09-01",
        "admitted": "2026-09-01",
        "roster": 40,
    }
    return base | more


def two_classes(case: dict[str, Any]) -> list[dict[str, Any]]:
    changed = {more["id"]: more for more in case.get("classes", [])}
    return [
        one_class(**(base | changed.get(base["id"], {})))
        for base in ({"id": "c1", "grade": 5}, {"id": "c2", "grade": 6, "number": 2})
    ]


def one_lesson(**more: Any) -> dict[str, Any]:
    base = {
        "class": "c1",
        "minutes": 45,
        "present": 38,
        "leave": 1,
        "class_hours": 1,
        "kind": "regular",
        "course": "ncet",
    }
    lesson = (
        base
        | {
            "unit": "五上-3",
            "subject": "信息科技",
            "teacher_registered": True,
            "evidence": "A",
            "makeup_of": None,
            "part_of": None,
        }
        | more
    )
    lesson.setdefault("id", lesson["date"])
    lesson["date"] = day(lesson["date"]).isoformat()
    return lesson


def taught(case: dict[str, Any]) -> list[dict[str, Any]]:
    return [one_lesson(**(row if isinstance(row, dict) else {"date": row})) for row in case.get("taught", [])]


def hours(case: dict[str, Any]) -> list[dict[str, Any]]:
    """``hours`` and ``both``: runs of lessons, one a Monday–Friday day from ``from`` (default 7 September) on, closures and holidays left out."""
    runs = [dict(run) for run in case.get("hours", [])]
    runs += [dict(run) | {"class": key} for run in case.get("both", []) for key in ("c1", "c2")]
    off = {fact.day for fact in national() if not fact.is_school}
    found = []
    for number, run in enumerate(runs):
        each, left, key = (
            date.fromisoformat(run.pop("from", "2026-09-07")),
            run.pop("times"),
            run.pop("id", f"r{number}"),
        )
        while left:
            if each.weekday() < 5 and each not in off:
                found.append(one_lesson(**run | {"id": f"{key}-{each}", "date": each.isoformat()}))
                left -= 1
            each += timedelta(days=1)
    return found


def week_lessons(weeks: Iterable[int], key: str) -> list[dict[str, Any]]:
    dates = [date(2026, 8, 31) + timedelta(weeks=number - 1, days=1) for number in weeks]
    return [one_lesson(**{"class": key, "id": f"{key}-{each}", "date": each.isoformat()}) for each in dates]


def classes_and_lessons(case: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if "grid" not in case:
        classes = [one_class(**more) for more in case.get("classes", [{}])]
        return classes, taught(case) + week_lessons(case.get("weeks", []), "c1")
    classes, lessons = [], []
    for grade, row in case["grid"].items():
        for number, cell in enumerate(row, 1):
            more = dict(cell) if isinstance(cell, dict) else {"weeks": cell}
            weeks = PATTERNS[more.pop("weeks")]
            made = one_class(grade=grade, number=number, id=f"g{grade}-{number}", **more)
            made["stage"] = "junior" if case.get("system") == "5-4" and grade == 6 else made["stage"]
            classes.append(made)
            lessons += week_lessons(weeks, made["id"])
    return classes, lessons
