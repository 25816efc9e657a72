"""Every rule pack answers its own cases, worked out by hand; a broken pack stops the process with its file name."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest

from lms.core.errors import NotFound
from lms.usage.judging.calendar import grade_calendar
from lms.usage.judging.facts import to_json
from lms.usage.judging.packs import Policy
from lms.usage.judging.reading import from_json
from lms.usage.judging.verdicts import SchoolResult, class_json
from lms.usage.policies import evaluate, policy, read_policy, rules
from tests.usage.rules.building import cases, facts_of, policy_of

ALL = [pytest.param(rule, case, id=f"{rule.name}:{case['name']}") for rule, case in cases()]


@pytest.mark.parametrize(("rule", "case"), ALL)
def test_case(rule: Policy, case: dict[str, Any]) -> None:
    facts = facts_of(rule, case)
    result = evaluate(facts, policy_of(rule, case))
    expected = dict(case["expect"])
    if rule.counts == "lessons":
        check_classes(result, expected)
        calendar = grade_calendar(facts, 5, rule.parameters.calendar)
        weeks = {week.monday.isoformat(): len(week.days) for week in calendar.weeks(facts.term_start, facts.term_end)}
        assert weeks.items() >= case.get("week_days", {}).items()
    else:
        check_units(result, expected)


def check_classes(result: SchoolResult, expected: dict[str, Any]) -> None:
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


def check_units(result: SchoolResult, expected: dict[str, Any]) -> None:
    found = result.to_json()
    if "verdict" in expected:
        assert found["verdict"] == expected["verdict"]
    if expected.get("units") == {}:
        assert not found["units"]
    for key, wanted in expected.get("units", {}).items():
        assert {name: found["units"][key][name] for name in wanted} == wanted


@pytest.mark.parametrize(("rule", "case"), ALL)
def test_facts_survive_writing_and_reading(rule: Policy, case: dict[str, Any]) -> None:
    facts = facts_of(rule, case)
    again = from_json(to_json(facts), None, rule.facts)
    assert to_json(again) == to_json(facts)
    assert evaluate(again, rule).to_json() == evaluate(facts, rule).to_json()


def test_there_are_cases_enough_each_with_its_reason() -> None:
    held = cases()
    assert sum(rule.counts == "lessons" for rule, _ in held) >= 150
    assert all(sum(rule is one for one, _ in held) >= 10 for rule in rules())
    assert len({f"{rule.name}:{case['name']}" for rule, case in held}) == len(held)
    assert [f"{rule.name}:{case['name']}" for rule, case in held if not str(case.get("why", "")).strip()] == []


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(NotFound) as refusal:
        policy("weekly")
    assert "fortnightly" in refusal.value.remedy
    assert policy("twice_a_month") is policy("twice-a-month")
    with pytest.raises(NotFound):
        policy("evidence-share", "lessons")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("block_cap: 2 ", "block_limit: 2 "), "parameters.blocks.block_limit 不认识的参数"),
        (("grades: 2", "grades: two"), "parameters.spread.grades 应为 1 到 6 的整数"),
        (("grades: 2", "grades: true"), "parameters.spread.grades 应为 1 到 6 的整数"),
        (("minutes_percent: 75", "minutes_percent: 101"), "parameters.lessons.minutes_percent 应为 1 到 100 的整数"),
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


def test_every_rule_reads_the_facts_that_its_schema_describes() -> None:
    """The schemas name their shared definitions and refuse what they do not know."""
    import jsonschema

    from lms.usage.judging.reading import facts_schema

    for rule in rules():
        schema = facts_schema(rule.facts)
        jsonschema.Draft202012Validator.check_schema(schema)
        case = next(case for one, case in cases() if one is rule)
        document = to_json(facts_of(rule, case))
        jsonschema.validate(document, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document | {"extra": 1}, schema)
