"""The comparison with the second implementation would notice what may go wrong."""

from __future__ import annotations

from typing import Any

from lms.usage.judging.packs import Policy
from lms.usage.judging.reading import from_json
from lms.usage.judging.verdicts import SchoolResult
from lms.usage.policies import evaluate, policy
from tests.usage.rules import naive
from tests.usage.rules.made_up import collected


def test_the_made_up_schools_reach_every_verdict() -> None:
    """The comparison would be worth little if it never saw a class that is met."""
    seen: set[str] = set()
    schools: set[str] = set()
    for number in range(20):
        for document in collected(50, number):
            answer = naive.judge(document, "fortnightly")
            seen.update(one["verdict"] for one in answer["classes"].values())
            schools.update(answer["stages"].values())
        if schools == set(naive.ORDER):
            break
    assert seen == set(naive.ORDER[:4])
    assert schools == set(naive.ORDER)


def test_the_comparison_would_notice_every_parameter() -> None:
    """Each number of the packs, moved by one (a percentage by eight), changes some verdict or number among the made-up schools."""
    left = {
        (name, part, one) for name in naive.RULES for part, values in policy(name).values().items() for one in values
    }
    for number in range(20):  # as many schools as it takes, fifty at a time
        for document in collected(50, number):
            facts = from_json(document)
            before = {name: numbers(evaluate(facts, policy(name))) for name in naive.RULES}
            left -= {place for place in left if numbers(evaluate(facts, moved(*place))) != before[place[0]]}
        if not left:
            return
    assert left == set()


def moved(name: str, part: str, one: str) -> Policy:
    """The rule with one number changed."""
    values = policy(name).values()
    values[part][one] -= 8 if one.endswith("percent") else 1
    return policy(name).with_values(values, "moved")


def numbers(result: SchoolResult) -> list[Any]:
    classes = [(one.verdict, one.required, one.counted, one.raw, len(one.effective)) for one in result.classes]
    return [result.verdict, *classes]
