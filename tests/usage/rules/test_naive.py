"""The engine against the second implementation, on schools that hypothesis makes up."""

from __future__ import annotations

import copy
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lms.usage.judging.facts import to_json
from lms.usage.judging.reading import from_json
from lms.usage.policies import evaluate, policy
from tests.effort import examples
from tests.usage.rules import naive
from tests.usage.rules.made_up import documents

NUMBERS = ("verdict", "effective_weeks", "required", "counted", "raw", "longest_gap")


def engine(document: dict[str, Any], rule: str) -> dict[str, Any]:
    return evaluate(from_json(document), policy(rule)).to_json()


@pytest.mark.parametrize("rule", sorted(naive.RULES))
@settings(max_examples=examples(300))
@given(documents())
def test_both_implementations_agree(rule: str, document: dict[str, Any]) -> None:
    ours, theirs = engine(document, rule), naive.judge(copy.deepcopy(document), rule)
    assert {key: {name: one[name] for name in NUMBERS} for key, one in ours["classes"].items()} == theirs["classes"]
    assert {stage: one["verdict"] for stage, one in ours["stages"].items()} == theirs["stages"]
    assert (ours["verdict"], ours["verdict_without_flags"]) == (theirs["verdict"], theirs["verdict_without_flags"])
    for one in document["classes"]:
        days = {row["date"] for row in ours["classes"][one["id"]]["lessons"] if row["counts"]}
        assert sorted(days) == [
            day.isoformat() for day in naive.lesson_days(document, one, date.fromisoformat(document["as_of"]))
        ]


@pytest.mark.parametrize("rule", sorted(naive.RULES))
@settings(max_examples=examples(120))
@given(documents())
def test_the_forecast_is_what_trying_finds(rule: str, document: dict[str, Any]) -> None:
    """B2d: teaching on the latest days suffices, fewer days do not, and out of reach means that every day left is not enough."""
    document["classes"] = [one | {"type": "administrative", "roster": 40} for one in document["classes"][:2]]
    document["lessons"] = [row for row in document["lessons"] if row["class"] in ("c0", "c1")][:40]
    ours = engine(document, rule)
    as_of = date.fromisoformat(document["as_of"])
    for one in document["classes"]:
        found = ours["classes"][one["id"]]
        latest = [date.fromisoformat(day) for day in found["latest_dates"]]
        left = [day for day in naive.school_days(document, one) if day > as_of]
        every = naive.end_of_term(document, one["id"], rule, left)
        if every["verdict"] == "not-assessable":
            assert found["needed"] == 0
            continue
        assert all(day in left for day in latest)
        assert found["out_of_reach"] == (every["verdict"] != "met")
        assert (found["needed"] == 0) == (naive.end_of_term(document, one["id"], rule, [])["verdict"] == "met")
        if not found["out_of_reach"]:
            assert naive.end_of_term(document, one["id"], rule, latest)["verdict"] == "met"
            if latest:
                assert naive.end_of_term(document, one["id"], rule, latest[1:])["verdict"] != "met"
                assert len(latest) == found["needed"]
                for day in (latest[0], latest[-1]):  # no later day would do instead: these are the latest
                    later = [other for other in left if other > day and other not in latest]
                    for other in {*later[:1], *later[-1:]}:
                        moved = sorted({*latest, other} - {day})
                        assert naive.end_of_term(document, one["id"], rule, moved)["verdict"] != "met"


@settings(max_examples=examples(150))
@given(documents())
def test_facts_survive_writing_and_reading(document: dict[str, Any]) -> None:
    """Facts → JSON → facts changes nothing, in the facts and in the verdict."""
    facts = from_json(document)
    again = from_json(json.loads(json.dumps(to_json(facts), ensure_ascii=False)))
    assert to_json(again) == to_json(facts)
    for rule in ("fortnightly", "twice-a-month", "evidence-share"):
        assert evaluate(again, policy(rule)).to_json() == evaluate(facts, policy(rule)).to_json()


@settings(max_examples=examples(80))
@given(documents(), st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_nothing(document: dict[str, Any], random: Any) -> None:
    mixed = copy.deepcopy(document)
    random.shuffle(mixed["lessons"])
    random.shuffle(mixed["classes"])
    for rule in naive.RULES:
        ours, again = engine(document, rule), engine(mixed, rule)
        assert {
            key: [one[name] for name in (*NUMBERS, "needed", "latest_dates")] for key, one in ours["classes"].items()
        } == {
            key: [one[name] for name in (*NUMBERS, "needed", "latest_dates")] for key, one in again["classes"].items()
        }
        assert (ours["verdict"], ours["stages"], ours["grades"]) == (again["verdict"], again["stages"], again["grades"])
