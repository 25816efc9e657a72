"""Facts of every rule from a file: what is wrong is named with its place, in Chinese; the command line runs every rule."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from lms.core.errors import Invalid
from lms.usage.judging.reading import facts_schema, from_json
from lms.usage.policies import rules
from tests.usage.rules.building import cases, document_of
from tests.usage.test_reading import FACTS, run

TERMS = [{"start": "2026-09-01", "end": "2027-01-22"}, {"start": "2027-02-22", "end": "2027-07-09"}]


def base(name: str) -> dict[str, Any]:
    """The facts of the rule's first case."""
    return copy.deepcopy(next(document_of(rule, case) for rule, case in cases() if rule.name == name))


def schema(name: str) -> str:
    return next(rule.facts for rule in rules() if rule.name == name)


@pytest.mark.parametrize(
    ("rule", "change", "where", "told"),
    [
        ("class-hours-year", {"terms": TERMS[::-1]}, "terms[1].start", "先后排列"),
        ("class-hours-year", {"terms": [TERMS[0], TERMS[0]]}, "terms[1].start", "不能重叠"),
        ("class-hours-year", {"terms": []}, "terms", "不合要求"),
        ("class-hours-year", {"terms": [{"start": "2027-01-22", "end": "2026-09-01"}]}, "terms[0].end", "早于开始"),
        ("class-hours-year", {"term": TERMS[0]}, "(root)", "只能写其一：terms、term"),
        ("class-hours-year", {"course": ...}, "(root)", "至少要写其一：course、subjects"),
        ("class-hours-term", {"term": ...}, "(root)", "缺少 term"),
        ("class-hours-term", {"course": "ncet"}, "(root)", "不认识的字段 course"),
        ("class-hours-term", {"subjects": ["语文", "语文"]}, "subjects", "不合要求"),
        ("fortnightly", {"subjects": ["语文"]}, "(root)", "不认识的字段 subjects"),
        ("fortnightly", {"term": {"start": "2026-09-01", "end": "2028-01-22"}}, "term.end", "一年"),
        ("fortnightly", {"basis": "dream"}, "basis", "record、plan"),
        ("fortnightly", {"classes": {}}, "classes", "不合要求"),
        ("evidence-share", {"as_of": ...}, "as_of", "没有给出判定日期"),
    ],
)
def test_what_is_wrong_is_named(rule: str, change: dict[str, Any], where: str, told: str) -> None:
    document = base(rule)
    for key, value in change.items():
        if value is ...:
            del document[key]
        else:
            document[key] = value
    with pytest.raises(Invalid) as refusal:
        from_json(document, None, schema(rule))
    assert (refusal.value.where, told in str(refusal.value.message)) == (where, True), refusal.value.message


@pytest.mark.parametrize(
    ("rule", "row", "where"),
    [
        ("class-hours-term", {"subject": ...}, "lessons[0]"),
        ("evidence-share", {"evidence": ...}, "lessons[0]"),
        ("fortnightly", {"minutes": float("nan")}, "lessons[0].minutes"),
        ("fortnightly", {"minutes": float("inf")}, "lessons[0].minutes"),
        ("fortnightly", {"minutes": -1}, "lessons[0].minutes"),
        ("fortnightly", {"part_of": {"lesson": "L", "kind": "thirds", "parts": 3}}, "lessons[0].part_of.kind"),
        ("fortnightly", {"part_of": {"lesson": "L", "kind": "halves", "parts": 1}}, "lessons[0].part_of.parts"),
        ("class-hours-year", {"class_hours": 0}, "lessons[0].class_hours"),
        ("class-hours-year", {"evidence": "D"}, "lessons[0].evidence"),
        ("class-hours-year", {"sitting": 7}, "lessons[0].sitting"),
    ],
)
def test_a_wrong_lesson_is_named(rule: str, row: dict[str, Any], where: str) -> None:
    document = next(
        copy.deepcopy(found)
        for found in (document_of(one, case) for one, case in cases() if one.name == rule)
        if found["lessons"]
    )
    lesson = document["lessons"][0]
    for key, value in row.items():
        if value is ...:
            del lesson[key]
        else:
            lesson[key] = value
    with pytest.raises(Invalid) as refusal:
        from_json(document, None, schema(rule))
    assert refusal.value.where == where
    assert str(refusal.value.message).startswith(where)


@pytest.mark.parametrize("document", [None, [], "x", 3, {}])
def test_what_is_no_document_is_refused(document: Any) -> None:
    for rule in rules():
        with pytest.raises(Invalid):
            from_json(document, None, rule.facts)


@pytest.mark.parametrize("rule", [rule.name for rule in rules()])
def test_the_command_line_runs_every_rule(rule: str) -> None:
    document = json.dumps(base(rule), ensure_ascii=False)
    code, text = run("evaluate", "--facts", "-", "--rule", rule, "--json", stdin=document)
    assert code == 0, text
    found = json.loads(text)
    assert found["rule"] == rule
    assert {"version", "verdict", "verdict_without_flags", "why", "basis", "as_of", "clause"} <= found.keys()
    assert ("units" in found) != ({"stages", "grades", "classes"} <= found.keys())
    assert run("evaluate", "--facts", "-", "--rule", rule, stdin=document)[0] == 0
    code, text = run("schema", rule)
    assert json.loads(text) == facts_schema(schema(rule))


def test_other_numbers_are_tried_and_marked() -> None:
    document = json.dumps(base("class-hours-year"), ensure_ascii=False)
    code, text = run(
        "evaluate",
        "--facts",
        "-",
        "--rule",
        "class-hours-year",
        "--set",
        "year.class_hours=10",
        "--json",
        stdin=document,
    )
    found = json.loads(text)
    assert (code, found["version"], found["verdict"], found["units"]["c1"]["required"]) == (
        0,
        "1.0.0+try",
        "not-met",
        10,
    )
    for wrong in (
        "class_hours=10",
        "year.class_hours",
        "year.class_hours=many",
        "year.class_hours=0",
        "year.hours=10",
        "month.x=1",
    ):
        code, text = run("evaluate", "--facts", "-", "--rule", "class-hours-year", "--set", wrong, stdin=document)
        assert (code, "--set" in text) == (1, True), wrong


def test_a_plan_is_labelled() -> None:
    document = base("fortnightly") | {"basis": "plan"}
    code, text = run("evaluate", "--facts", "-", "--rule", "fortnightly", stdin=json.dumps(document))
    assert (code, "计划" in text) == (0, True)
    code, text = run("evaluate", "--facts", "-", "--rule", "fortnightly", "--json", stdin=json.dumps(document))
    assert (json.loads(text)["basis"], json.loads(text)["label"]) == ("plan", "计划")


def test_what_is_no_json_is_told() -> None:
    code, text = run("evaluate", "--facts", "-", "--rule", "fortnightly", stdin='{"as_of": NaN}')
    assert (code, "NaN 不是数" in text) == (1, True)
    code, text = run("evaluate", "--facts", "-", "--rule", "fortnightly", stdin='{"as_of": ')
    assert (code, "不是 JSON" in text) == (1, True)


def test_rules_are_listed_with_their_numbers() -> None:
    code, text = run("rules")
    assert code == 0
    for rule in rules():
        assert rule.name in text
    assert "year.class_hours=8" in text


def test_the_documented_example_by_hand() -> None:
    """The example of the format: only 1 October off, Saturday 10 October on, 3 November closed, the week of 9 November flagged.

    By 31 December weeks 1–17 are over (Friday 1 January is a school day here), less the flagged one: 16, R = 8. One lesson in week 2, so 14
    effective weeks without one follow. At the end 20 weeks, R = 10: nine are missing, blocks (18, 19) and (20, 21) hold four.
    """
    code, text = run(
        "evaluate", "--facts", "-", "--rule", "fortnightly", "--json", stdin=json.dumps(FACTS, ensure_ascii=False)
    )
    found = json.loads(text)
    one = found["classes"]["c1"]
    assert (code, found["verdict"], found["verdict_without_flags"]) == (
        0,
        "structurally-impossible",
        "structurally-impossible",
    )
    assert found["stages"]["primary"]["verdict"] == "structurally-impossible"
    assert found["grades"]["5"]["classes"] == 1
    assert {
        name: one[name]
        for name in ("verdict", "effective_weeks", "required", "counted", "raw", "longest_gap", "needed")
    } == {
        "verdict": "not-met",
        "effective_weeks": 16,
        "required": 8,
        "counted": 1,
        "raw": 1,
        "longest_gap": 14,
        "needed": 9,
    }
    assert one["latest_dates"] == ["2027-01-07", "2027-01-08", "2027-01-21", "2027-01-22"]
    assert (one["out_of_reach"], one["places_left"]) == (True, 4)
    assert [(row["id"], row["counts"]) for row in one["lessons"]] == [("l1", True)]
    code, text = run(
        "evaluate", "--facts", "-", "--rule", "twice-a-month", "--json", stdin=json.dumps(FACTS, ensure_ascii=False)
    )
    one = json.loads(text)["classes"][
        "c1"
    ]  # September to December ask for two each, January (as yet without a lesson) is open
    assert (one["verdict"], one["required"], one["counted"], one["needed"]) == ("not-met", 8, 1, 9)
