"""Facts from a file: what is wrong is named with its place."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from lms.core.errors import Invalid
from lms.usage.cli import register
from lms.usage.judging.reading import from_json
from tests.usage.rules.made_up import GOOD

FACTS: dict[str, Any] = {
    "as_of": "2026-12-31",
    "course": "ncet",
    "school": {"id": "s1", "stages": ["primary"], "system": "6-3", "class_hour_minutes": {"primary": 40}},
    "term": {"start": "2026-09-01", "end": "2027-01-22"},
    "days": {
        "2026-10-01": {"school": False, "source": "national"},
        "2026-10-10": {"school": True, "follows": "thursday", "source": "school"},
        "2026-11-03": {
            "school": False,
            "source": "school",
            "entered": "2026-11-02",
            "countersigned": False,
            "grades": [5],
        },
    },
    "weeks_flagged": {
        "2026-11-09": {"reason": "exam", "entered": "2026-11-01", "countersigned": False, "grades": [5, 6]}
    },
    "classes": [
        {
            "id": "c1",
            "stage": "primary",
            "grade": 5,
            "number": 1,
            "type": "administrative",
            "created": "2026-09-01",
            "admitted": "2026-09-01",
            "roster": 40,
        }
    ],
    "lessons": [
        {
            "id": "l1",
            "class": "c1",
            "date": "2026-09-08",
            **GOOD,
        }
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The facts with one place set; ``...`` removes it."""
    facts = copy.deepcopy(FACTS)
    spot: Any = facts
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in steps:
        spot = spot[step]
    if value is ...:
        del spot[last]
    else:
        spot[last] = value
    return facts


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("course", ..., "(root)"),
        ("term", {"start": "2026-09-01"}, "term"),
        ("term/end", "2026-08-01", "term.end"),
        ("term/start", "1.9.2026", "term.start"),
        ("term/start", "2026-02-30", "term.start"),
        ("school/stages", ["kindergarten"], "school.stages[0]"),
        ("school/stages", [], "school.stages"),
        ("school/system", "5-3", "school.system"),
        ("school/zone", "Mars/Olympus", "school.zone"),
        ("classes/0/grade", 7, "classes[0].grade"),
        ("classes/0/grade", 13, "classes[0].grade"),
        ("classes/0/roster", -1, "classes[0].roster"),
        ("classes/0/type", "club", "classes[0].type"),
        ("lessons/0/class", "c9", "lessons[0].class"),
        ("lessons/0/kind", "party", "lessons[0].kind"),
        ("lessons/0/minutes", "40", "lessons[0].minutes"),
        ("lessons/0/date", "2026-13-01", "lessons[0].date"),
        ("lessons/0/present", 3.5, "lessons[0].present"),
        ("lessons/0/presnt", 3, "lessons[0]"),
        ("weeks_flagged", {"2026-11-10": {"reason": "exam"}}, "weeks_flagged.2026-11-10"),
        ("days/2026-11-03/entered", "yesterday", "days.2026-11-03.entered"),
        ("days/2026-11-03/follows", "someday", "days.2026-11-03.follows"),
    ],
)
def test_wrong_facts_are_refused_with_their_place(path: str, value: Any, where: str) -> None:
    with pytest.raises(Invalid) as refusal:
        from_json(changed(path, value))
    assert refusal.value.where == where
    assert str(refusal.value.message).startswith(where)


def test_twice_the_same_id_is_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        from_json(changed("lessons", [FACTS["lessons"][0]] * 2))
    assert refusal.value.where == "lessons[1].id"
    with pytest.raises(Invalid) as refusal:
        from_json(changed("classes", [FACTS["classes"][0]] * 2))
    assert refusal.value.where == "classes[1].id"


def test_as_of_may_stand_beside_the_facts() -> None:
    assert from_json(changed("as_of", ...), date(2026, 11, 1)).as_of == date(2026, 11, 1)
    with pytest.raises(Invalid) as refusal:
        from_json(changed("as_of", ...))
    assert refusal.value.where == "as_of"


@click.group()
def lms() -> None:
    """The command with only this room."""


register(lms)


def run(*arguments: str, stdin: str = "") -> tuple[int, str]:
    answer = CliRunner().invoke(lms, ["usage", *arguments], input=stdin)
    return answer.exit_code, answer.output


@pytest.mark.parametrize("rule", ["fortnightly", "twice-a-month"])
def test_command_line_judges_a_file(tmp_path: Path, rule: str) -> None:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(FACTS, ensure_ascii=False), "utf-8")
    code, text = run("evaluate", "--facts", str(path), "--rule", rule, "--as-of", "2026-12-30", "--json")
    result = json.loads(text)
    assert (code, result["rule"], result["as_of"], result["verdict"]) == (
        0,
        rule,
        "2026-12-30",
        "structurally-impossible",
    )
    assert result["classes"]["c1"]["lessons"] == [
        {
            "id": "l1",
            "date": "2026-09-08",
            "counts": True,
            "why": "计1次：40 分钟，应到 39 人、实到 38 人",
            "code": "counts",
            "remarks": [],
            "capped": False,
        }
    ]
    assert {
        "verdict",
        "effective_weeks",
        "required",
        "counted",
        "raw",
        "longest_gap",
        "lessons",
        "needed",
        "latest_dates",
    } <= result["classes"]["c1"].keys()
    assert run("evaluate", "--facts", str(path), "--rule", rule)[0] == 0


def test_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    assert run("evaluate", "--facts", "-", "--rule", "fortnightly", stdin="{")[0] == 1
    code, text = run(
        "evaluate", "--facts", "-", "--rule", "fortnightly", stdin=json.dumps(changed("lessons/0/class", "c9"))
    )
    assert code == 1
    assert "lessons[0].class" in text
    code, text = run("evaluate", "--facts", "-", "--rule", "weekly", stdin="{}")
    assert code == 1
    assert "fortnightly" in text


def test_command_line_prints_the_schema() -> None:
    code, text = run("schema", "fortnightly")
    assert code == 0
    assert json.loads(text)["properties"]["lessons"]
    assert run("schema", "weekly")[0] == 1
