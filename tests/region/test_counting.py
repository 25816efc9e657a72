"""Counting over many schools: what DuckDB answers is what the rules engine says, school by school."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from lms.region import questions, synthetic
from lms.region.counting import Results, connect, write_schools
from lms.region.results import payload_of
from lms.usage import policies
from lms.usage.judging.facts import ClassFact, DayFact, FlagFact
from tests.bench import regional
from tests.usage import samples

PLAN = synthetic.Plan(schools=120)


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small made-up region."""
    folder = tmp_path_factory.mktemp("region")
    synthetic.generate(folder, PLAN)
    return folder


def test_the_engine_agrees_with_the_count(region: Path) -> None:
    found = regional.recomputed(region, PLAN, 30)
    assert found["disagree"] == []
    assert found["files_equal_after_refresh"]


def test_the_bare_select_gives_the_same(region: Path) -> None:
    assert regional.ours(region) == regional.bare(region)


def table(region: Path, **more: object) -> questions.Table:
    with connect() as connection:
        return questions.table(connection, region, questions.Asked(rule="fortnightly", **more), PLAN.last_day)  # type: ignore[arg-type]  # fields by name


def test_schools_at_risk_come_first(region: Path) -> None:
    found = table(region)
    assert (found.schools, found.pages, len(found.lines)) == (120, 3, 50)
    places = [line.verdict for line in found.lines]
    assert places == sorted(places, key=["not-met", "", "not-assessable", "met-approximately", "met"].index)
    assert found.classes == 120 * 20
    assert found.met + found.behind <= found.classes
    assert found.shown["all"] == 120


def test_filters(region: Path) -> None:
    assert [line.name for line in table(region, name="00007").lines] == ["示范第00007小学"]
    assert {line.school for line in table(region, show="stale").lines} == {53, 106}
    assert [line.school for line in table(region, show="silent").lines] == [97]
    assert table(region, stage="junior").schools == 0
    assert table(region, term="2025-1").classes == 120 * 20
    assert table(region, term="2025-2").classes == 0
    assert all(
        line.behind * 2 >= line.classes or line.verdict in ("not-met", "met-approximately")
        for line in table(region, show="risk").lines
    )


def test_a_period_is_counted_anew_from_the_weeks(region: Path) -> None:
    first = (PLAN.last_day - timedelta(weeks=4, days=-1)).isoformat()
    found = table(region, first=first)
    with connect() as connection:
        taught = synthetic.sessions(connection, [1], PLAN)[1]
    files = Results(region, "fortnightly").files("weeks")
    with connect() as connection:
        late = questions.classes_behind(connection, files, questions.Asked(rule="fortnightly", first=first), [1])
    rows = {row[1] % 4096: row[3:] for row in late}
    for index, weeks in taught.items():
        blocks = [min(2, weeks[week] + weeks[week + 1]) for week in (37, 39)]
        assert rows.get(index) == (None if sum(blocks) >= 2 else (4, 2, sum(blocks)))
    assert found.classes == 120 * 20


def test_real_calendars_sum_to_the_engines_numbers(tmp_path: Path) -> None:
    """Holidays, flags, caps and months: the weeks of a class add up to what the engine says, for every rule that counts lessons."""
    classes = [samples.cohort(f"c{grade}{number}", grade) for grade in (5, 6) for number in (1, 2)]
    lessons = [one for cohort in classes for one in samples.weekly([1, 1, 2, 3, 5, 9, 9, 12, 15], cohort.id)]
    lessons = list(
        {one.id: one for one in [*lessons, *samples.weekly([9], "c51", 3), *samples.weekly([9], "c51", 4)]}.values()
    )
    flags = [FlagFact(date(2026, 11, 9), "考试", date(2026, 11, 1))]
    days = [
        *samples.national(),
        DayFact(date(2026, 11, 3), False, "school", entered=date(2026, 11, 2), grades=frozenset({5})),
    ]
    for end in ("12-31", "11-20", "09-10"):
        facts = samples.school_facts(lessons, classes=classes, as_of=end, flags=flags, days=days)
        for rule in policies.rules("lessons"):
            result = policies.evaluate(facts, rule)
            payload = payload_of(result)
            for row, one in zip(payload["classes"], result.classes, strict=True):
                sums = [sum(week[index] for week in row["weeks"]) for index in range(1, 5)]
                assert sums == [len(one.effective), one.required, one.counted, one.raw], (rule.name, end, one.cohort.id)
                assert all(week[index] >= 0 for week in row["weeks"] for index in range(1, 5))
            write_schools(
                tmp_path,
                [
                    {
                        "school": 7,
                        "name": "甲",
                        "code": "",
                        "office": 0,
                        "stages": ["primary"],
                        "handed": None,
                        "gaps": False,
                        "refused": False,
                    }
                ],
            )
            Results(tmp_path, rule.name).refresh({7: [payload]})
            with connect() as connection:
                found = {one.id: one for one in questions.classes_of(connection, tmp_path, rule.name, 7)}
            assert {key: (one.verdict, one.counted, one.required) for key, one in found.items()} == {
                one.cohort.id: (one.verdict, one.counted, one.required) for one in result.classes
            }


def test_a_refresh_replaces_only_what_it_was_given(region: Path, tmp_path: Path) -> None:
    result = policies.evaluate(
        samples.school_facts(classes=[ClassFact("c1", "primary", 5, 40)]), policies.policy("fortnightly")
    )
    results = Results(tmp_path, "fortnightly")
    assert results.refresh({3: [payload_of(result)], 19: [payload_of(result)], 4: [payload_of(result)]}) == 4
    results.refresh({3: []})
    with connect() as connection:
        query = "SELECT DISTINCT school FROM read_parquet($files) ORDER BY school"
        left = connection.execute(query, {"files": results.files("weeks")}).fetchall()
    assert left == [(4,), (19,)]
