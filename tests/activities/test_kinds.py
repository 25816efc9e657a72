"""Every kind: its examples are graded as they say, refusals name the field, both pages render, no answer leaks."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from typing import Any

import pytest
import yaml
from flask import Flask, render_template

from lms.activities import fields
from lms.activities.kinds import KINDS
from lms.activities.rules import Grading, PageContext, Work, histogram
from lms.core.errors import Invalid
from lms.courses.package import _kinds
from lms.courses.rules import Activity

EXAMPLES: dict[str, dict[str, Any]] = {
    name: yaml.safe_load(files("lms.activities.kinds").joinpath(name, "examples.yaml").read_text("utf-8")) for name in KINDS
}
GRADED = [
    pytest.param(name, example, id=f"{name}: {example['name']}") for name, found in EXAMPLES.items() for example in found["examples"]
]
BAD = [pytest.param(name, bad, id=f"{name}: {bad['invalid']}") for name, found in EXAMPLES.items() for bad in found["bad_settings"]]


def activity_of(kind: str, example: dict[str, Any]) -> Activity:
    return Activity("sample", kind, example["name"], "<p>提示</p>", example["points"], example["settings"])


@pytest.mark.parametrize(("name", "example"), GRADED)
def test_examples_are_graded_and_shown(app: Flask, name: str, example: dict[str, Any]) -> None:
    kind, activity = KINDS[name], activity_of(name, example)
    with app.test_request_context("/"):
        kind.check(activity.settings)
        works: list[Work] = []
        for row in example["answers"]:
            if "invalid" in row:
                with pytest.raises(Invalid) as refused:
                    kind.grade(activity, row["answer"])
                assert refused.value.where == row["invalid"]
                assert str(refused.value.message)
                continue
            grading = kind.grade(activity, row["answer"])
            assert (grading.score, grading.correct, grading.done) == (row["score"], row["correct"], row["done"]), row["answer"]
            assert grading.max_score == activity.points
            for key, value in row.get("detail", {}).items():
                assert grading.detail[key] == value
            json.dumps(grading.stored(), allow_nan=False)
            works.append(Work(row["answer"], grading.detail, grading.score, grading.done))
            teacher = render_template(f"activities/answers/{name}.html", shown=kind.shown(activity, works[-1]), show_program=True)
            assert teacher.strip()
        results = {"title": activity.title, "people": len(works), "mean": 50, "results": kind.summarise(activity, works)}
        assert str(len(works)) in render_template(f"activities/results/{name}.html", results=results)
        assert render_template(f"activities/results/{name}.html", results={**results, "people": 0, "results": kind.summarise(activity, [])})


@pytest.mark.parametrize(("name", "example"), GRADED)
def test_the_pupils_page_holds_no_answer(app: Flask, name: str, example: dict[str, Any]) -> None:
    kind, activity = KINDS[name], activity_of(name, example)
    with app.test_request_context("/"):
        page = kind.page(activity, PageContext(media="/packages/x/y/"))
        html = render_template(f"activities/kinds/{name}.html", view=page, given={}, page={"title": activity.title})
    sent = json.dumps(page, ensure_ascii=False) + html
    for words in example["shows"]:
        assert words in sent
    for secret in example.get("hides", ()):
        assert secret not in sent
    keys = set(_keys(page))
    assert not keys & {"answer", "explain", "tolerance", "example_answer", *example.get("page_without", ())}


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for item in value.values() for key in _keys(item))]
    return [key for item in value for key in _keys(item)] if isinstance(value, list) else []


@pytest.mark.parametrize(("name", "bad"), BAD)
def test_settings_that_no_page_could_show_are_refused(app: Flask, name: str, bad: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        KINDS[name].check(bad["settings"])
    assert refused.value.where == bad["invalid"]


def test_every_kind_checks_its_settings_when_a_package_is_installed() -> None:
    assert set(KINDS) == {"reading", "quiz", "camera", "robot", "text"}
    assert {name: check for name, check in _kinds.items() if name in KINDS} == {name: kind.check for name, kind in KINDS.items()}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": math.nan}, "a"),
        ({"a": [1, math.inf]}, "a.1"),
        ({"a": "x" * 1_000_000}, "a"),
        ({"k" * 500: 1}, ""),
        ({"a": "nul\x00"}, "a"),
        ({"a": "half \ud800"}, "a"),
        ({"a": 10**40}, "a"),
        ({"a": [0] * 5000}, "a"),
        ({"a": object()}, "a"),
    ],
)
def test_what_no_database_can_keep_is_refused(value: dict[str, Any], where: str) -> None:
    with pytest.raises(Invalid) as refused:
        fields.plain(value)
    assert refused.value.where == where


def test_deep_nesting_is_refused() -> None:
    value: Any = 1
    for _ in range(50):
        value = [value]
    with pytest.raises(Invalid):
        fields.plain({"a": value})


def test_histogram_counts_everything_once() -> None:
    values = [float(value) for value in range(101)]
    assert sum(count for _, count in histogram(values)) == 101
    assert histogram([3.0, 3.0, 4.0]) == [("3", 2), ("4", 1)]
    assert histogram([]) == []


def test_a_grading_is_stored_as_plain_json(app: Flask) -> None:
    assert Grading(1.0, 2.0, None, "好").stored() == {"v": 1, "correct": None, "feedback": "好", "detail": {}}
