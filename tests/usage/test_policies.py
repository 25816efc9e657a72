"""Every rule pack answers its own cases; a broken pack stops the process with its file name."""

from __future__ import annotations

from datetime import date, timedelta
from importlib import resources
from typing import Any

import pytest
import yaml

from lms.core.errors import NotFound
from lms.usage.calendar import grade_calendar
from lms.usage.facts import WEEKDAYS, Facts, to_json
from lms.usage.policies import Policy, evaluate, policy, read_policy, rules
from lms.usage.reading import from_json
from lms.usage.verdicts import class_json
from tests.usage.samples import YEAR_END, day, national

ENDS = {"fortnightly": YEAR_END, "twice-a-month": date(2027, 1, 22)}
PATTERNS = {"none": [], "odd": range(1, 19, 2), "eight": range(1, 17, 2), "every": range(1, 22)}


def cases() -> list[Any]:
    found = []
    for rule in rules():
        folder = rule.name.replace("-", "_")
        text = resources.files("lms.usage.policies").joinpath(folder, "cases.yaml").read_text("utf-8")
        found += [pytest.param(rule, case, id=f"{rule.name}:{case['name']}") for case in yaml.safe_load(text)]
    return found


def facts_of(rule: Policy, case: dict[str, Any]) -> Facts:
    end = case.get("end", ENDS[rule.name].isoformat())
    days: dict[str, Any] = {}
    for fact in national():
        days[fact.day.isoformat()] = {"school": fact.is_school, "source": fact.source, "follows": WEEKDAYS[fact.follows] if fact.follows is not None else None}
    days.update(case.get("days", {}))
    classes, lessons = classes_and_lessons(case)
    stages = case.get("stages", ["primary"])
    school = {"id": "s1", "stages": stages, "system": case.get("system", "6-3"), "class_hour_minutes": {}}
    if "class_hour" in case:
        school["class_hour_minutes"] = dict.fromkeys(stages, case["class_hour"])
    return from_json(
        {
            "as_of": case.get("as_of", end),
            "course": "ncet",
            "school": school,
            "term": {"start": "2026-09-01", "end": end},
            "days": days,
            "weeks_flagged": case.get("flags", {}),
            "classes": classes,
            "lessons": lessons,
        }
    )


def one_class(**more: Any) -> dict[str, Any]:
    grade = more.get("grade", 5)
    stage = "primary" if grade <= 6 else "junior" if grade <= 9 else "senior"
    base = {"id": "c1", "stage": stage, "grade": grade, "number": 1, "type": "administrative", "created": "2026-09-01", "admitted": "2026-09-01", "roster": 40}
    return base | more


def one_lesson(**more: Any) -> dict[str, Any]:
    base = {"class": "c1", "minutes": 45, "present": 38, "leave": 1, "class_hours": 1, "kind": "regular", "course": "ncet"}
    lesson = base | {"unit": "五上-3", "subject": "信息科技", "teacher_registered": True, "evidence": "A", "makeup_of": None, "part_of": None} | more
    lesson.setdefault("id", lesson["date"])
    lesson["date"] = day(lesson["date"]).isoformat()
    return lesson


def week_lessons(weeks: Any, key: str) -> list[dict[str, Any]]:
    days = [date(2026, 8, 31) + timedelta(weeks=number - 1, days=1) for number in weeks]
    return [one_lesson(**{"class": key, "id": f"{key}-{each}", "date": each.isoformat()}) for each in days]


def classes_and_lessons(case: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if "grid" not in case:
        classes = [one_class(**more) for more in case.get("classes", [{}])]
        taught = [one_lesson(**(row if isinstance(row, dict) else {"date": row})) for row in case.get("taught", [])]
        return classes, taught + week_lessons(case.get("weeks", []), "c1")
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


@pytest.mark.parametrize(("rule", "case"), cases())
def test_case(rule: Policy, case: dict[str, Any]) -> None:
    facts = facts_of(rule, case)
    result = evaluate(facts, rule)
    expected = dict(case["expect"])
    if "school" in expected:
        assert result.verdict == expected.pop("school")
        assert {one.stage: one.verdict for one in result.stages}.items() >= expected.pop("stages", {}).items()
    found = class_json(result.classes[0])
    codes = {one["id"]: one["code"] for one in found["lessons"]}
    remarks = {one["id"]: one["remarks"] for one in found["lessons"]}
    assert codes.items() >= expected.pop("codes", {}).items()
    for key, words in expected.pop("remarks", {}).items():
        assert remarks[key] == words
    assert {key: found[key] for key in expected} == expected
    calendar = grade_calendar(facts, 5, rule.parameters.calendar)
    weeks = {week.monday.isoformat(): len(week.days) for week in calendar.weeks(facts.term_start, facts.term_end)}
    assert weeks.items() >= case.get("week_days", {}).items()


@pytest.mark.parametrize(("rule", "case"), cases())
def test_facts_survive_writing_and_reading(rule: Policy, case: dict[str, Any]) -> None:
    facts = facts_of(rule, case)
    again = from_json(to_json(facts))
    assert to_json(again) == to_json(facts)
    assert evaluate(again, rule).to_json() == evaluate(facts, rule).to_json()


def test_there_are_cases_enough() -> None:
    assert len(cases()) >= 120
    assert len({f"{one.values[0].name}:{one.values[1]['name']}" for one in cases()}) == len(cases())


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(NotFound) as refusal:
        policy("weekly")
    assert "fortnightly" in refusal.value.remedy
    assert policy("twice_a_month") is policy("twice-a-month")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("block_cap: 2 ", "block_limit: 2 "), "parameters.blocks.block_limit 不认识的参数"),
        (("grades: 2", "grades: two"), "parameters.spread.grades 应为 1 到 6 的整数"),
        (("owners: [nation]", "owners: [school]"), "owners some of"),
        (("rule: fortnightly", "name: fortnightly"), "needs exactly the fields"),
    ],
)
def test_a_broken_pack_is_refused_with_its_file(change: tuple[str, str], told: str) -> None:
    text = resources.files("lms.usage.policies").joinpath("fortnightly/rule.yaml").read_text("utf-8")
    assert change[0] in text
    with pytest.raises(ValueError, match=r"lms/usage/policies/fortnightly/rule\.yaml") as refusal:
        read_policy("fortnightly", text.replace(*change))
    assert told in str(refusal.value)
