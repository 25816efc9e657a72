"""What is owed when, who is drawn, what a step of the ladder means: worked out by hand."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

import pytest

from lms.programmes.pack import Pack, shipped
from lms.programmes.years.rules import (
    Candidate,
    Coverage,
    case_after,
    covered,
    digest_of,
    drawn,
    half_year,
    list_text,
    means,
    owed,
    periods_of,
    phases_of,
    risk_level,
    shares,
    state_of,
)

HUNAN, HENAN, PILOT = (shipped()[name] for name in ("hunan-baixiao", "henan-experiment", "ncet-pilot"))


def report(pack: Pack, name: str) -> dict[str, Any]:
    return next(one for one in pack.document["reports"] if one["id"] == name)


def test_half_years_of_a_plaque_run_from_the_grant_to_the_end_of_the_last_phase() -> None:
    granted = date(2026, 11, 24)
    phases = phases_of(HUNAN.document, granted)
    assert [one.id for one in phases] == ["running", "summary"]  # the first was over
    periods = periods_of(report(HUNAN, "progress"), phases, granted)
    # 2026-H2 has 38 days in it: not asked. Then H1 and H2 of 2027, each due 15 days later.
    assert [(one.id, one.first, one.last, one.due) for one in periods] == [
        ("2027-H1", date(2027, 1, 1), date(2027, 6, 30), date(2027, 7, 15)),
        ("2027-H2", date(2027, 7, 1), date(2027, 12, 31), date(2028, 1, 15)),
    ]


def test_a_plaque_before_november_owes_that_half_year_too() -> None:
    periods = periods_of(report(HUNAN, "progress"), phases_of(HUNAN.document, date(2026, 11, 2)), date(2026, 11, 2))
    assert [one.id for one in periods] == ["2026-H2", "2027-H1", "2027-H2"]  # 2 November to 31 December: 60 days
    periods = periods_of(report(HUNAN, "progress"), phases_of(HUNAN.document, date(2026, 11, 3)), date(2026, 11, 3))
    assert [one.id for one in periods] == ["2027-H1", "2027-H2"]  # 59 days


def test_where_the_phases_are_over_the_three_years_after_the_grant_are_one() -> None:
    phases = phases_of(HENAN.document, date(2026, 11, 24))
    assert [(one.name, one.first, one.last) for one in phases] == [("三年实施", date(2026, 11, 24), date(2029, 11, 23))]
    assert phases_of(HENAN.document, date(2028, 2, 29))[0].last == date(2031, 2, 27)
    periods = periods_of(report(HENAN, "supervision"), phases, date(2026, 11, 24))
    assert [one.id for one in periods] == ["2027", "2028", "2029"]
    assert periods[-1].last == date(2029, 11, 23)


def test_once_and_phase_and_lesson() -> None:
    granted = date(2024, 8, 1)
    phases = phases_of(HUNAN.document, granted)
    once = periods_of(report(HUNAN, "acceptance"), phases, granted)
    assert [(one.id, one.due) for one in once] == [("once", date(2027, 12, 31))]
    each = periods_of(report(HUNAN, "events"), phases, granted)
    assert [(one.id, one.due) for one in each] == [
        ("selection", date(2025, 7, 15)), ("running", date(2027, 9, 15)), ("summary", date(2028, 1, 15)),
    ]  # fmt: skip
    assert periods_of(report(HUNAN, "cases"), phases, granted) == ()


def test_grace_is_the_notices_own() -> None:
    given = {"id": "x", "name": "x", "every": "year", "grace_days": 0}
    assert periods_of(given, phases_of(HENAN.document, date(2026, 1, 1)), date(2026, 1, 1))[0].due == date(2026, 12, 31)


def test_states_by_day() -> None:
    period = periods_of(report(HUNAN, "progress"), phases_of(HUNAN.document, date(2026, 7, 1)), date(2026, 7, 1))[0]
    assert period.due == date(2027, 1, 15)
    assert [state_of(period, "", day) for day in (date(2026, 6, 30), date(2026, 7, 1), date(2027, 1, 15), date(2027, 1, 16))] == [
        "later", "open", "open", "late",
    ]  # fmt: skip
    assert state_of(period, "submitted", date(2030, 1, 1)) == "done"
    assert (state_of(period, "returned", date(2027, 1, 2)), state_of(period, "draft", date(2027, 1, 2))) == (
        "returned",
        "open",
    )


def test_every_notice_owes_a_self_assessment_its_own_or_ours() -> None:
    rows = owed(HUNAN.document, "school", date(2026, 7, 1), {("progress", "2026-H2"): "submitted"}, date(2026, 12, 1))
    assert {one.report["id"] for one in rows} == {
        "progress",
        "research",
        "norm",
        "events",
        "acceptance",
        "self-assessment",
    }
    assert [one.state for one in rows if one.report["id"] == "progress"] == ["done", "later", "later"]
    assert "self-assessment" not in {
        one.report["id"] for one in owed(HENAN.document, "school", date(2026, 7, 1), {}, date(2026, 12, 1))
    }
    assert "self-assessment" not in {
        one.report["id"] for one in owed(PILOT.document, "school", date(2026, 7, 1), {}, date(2026, 12, 1))
    }
    assert "inspection" not in {
        one.report.get("kind") for one in owed(HENAN.document, "school", date(2026, 7, 1), {}, date(2026, 12, 1))
    }


def names(count: int, stratum: str = "") -> list[Candidate]:
    return [Candidate(f"{stratum}{number:03d}", f"校{number}", stratum) for number in range(count)]


def test_the_draw_is_what_anybody_works_out_from_the_published_list() -> None:
    candidates = names(40)
    seed = "03 11 17 22 25 31 08"
    lines = list_text(candidates).splitlines()
    again = sorted(
        (hashlib.sha256(f"{seed}\n{line.split(chr(9))[0]}".encode()).hexdigest(), line.split("\t")[0]) for line in lines
    )
    assert drawn(seed, candidates, 5) == [name for _key, name in again[:5]]
    assert drawn(seed, list(reversed(candidates)), 5) == drawn(seed, candidates, 5)
    assert drawn("03 11 17 22 25 31 09", candidates, 5) != drawn(seed, candidates, 5)
    assert drawn(f"  {seed} ", candidates, 5) == drawn(seed, candidates, 5)
    # the known answer: it must never change, or old draws could not be checked
    assert drawn("2026112400", names(10), 3) == KNOWN_ANSWER


KNOWN_ANSWER = ["000", "008", "003"]


def test_the_published_list_has_a_digest_that_a_changed_line_breaks() -> None:
    text = list_text(names(3))
    assert text == "000\t\t校0\n001\t\t校1\n002\t\t校2\n"
    assert digest_of(text) == hashlib.sha256(text.encode()).hexdigest() != digest_of(list_text(names(4)))


@pytest.mark.parametrize(
    ("sizes", "count", "wanted"),
    [
        ({"城区": 20, "镇区": 10, "乡村": 10}, 8, {"城区": 4, "镇区": 2, "乡村": 2}),
        ({"城区": 98, "乡村": 2}, 5, {"城区": 4, "乡村": 1}),
        ({"城区": 3, "镇区": 3, "乡村": 3}, 2, {"城区": 1, "镇区": 1, "乡村": 0}),  # ties in the order of names
        ({"甲": 2, "乙": 1}, 9, {"甲": 2, "乙": 1}),
    ],
)
def test_strata_by_size_each_at_least_one(sizes: dict[str, int], count: int, wanted: dict[str, int]) -> None:
    candidates = [one for name, size in sizes.items() for one in names(size, name)]
    found = shares(candidates, count)
    assert sum(found.values()) == min(count, len(candidates))
    if wanted.get("乡村") == 0:
        assert sorted(found.values()) == [0, 1, 1]
    else:
        assert found == wanted
    got = drawn("seed-1", candidates, count)
    assert {name: sum(one.startswith(name) for one in got) for name in sizes} == found


def test_half_year() -> None:
    assert [half_year(date(2026, *day)) for day in ((6, 30), (7, 1))] == ["2026-H1", "2026-H2"]


def test_steps_of_the_ladder_mean_what_the_notice_says() -> None:
    def steps(pack: Pack) -> list[str]:
        return [means(pack.document, one) for one in pack.kind("school")["ladder"]]

    assert steps(HUNAN) == ["promote", "warn", "rectified", "accept", "exit"]
    assert steps(HENAN) == ["promote", "warn", "rectified", "exit"]
    assert steps(PILOT) == ["warn", "rectified", "exit", "accept"]
    assert steps(shipped()["smart-training"]) == ["promote", "promote", "exit"]


def test_cases_go_their_way() -> None:
    assert case_after("draft", "submit") == "submitted" and case_after("returned", "submit") == "submitted"
    assert case_after("submitted", "select") == case_after("accepted", "select") == "selected"
    assert case_after("selected", "accept") == "accepted"  # undone
    assert case_after("draft", "select") is case_after("accepted", "submit") is case_after("draft", "nonsense") is None


def test_risks_and_coverage() -> None:
    assert [risk_level(a, b) for a, b in ((1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3))] == [1, 1, 2, 2, 3, 3]
    assert (Coverage(30, 20, 4).waiting, Coverage(30, 20, 4).percent, Coverage(0, 0).percent) == (6, 66, None)


def test_a_late_case_counts_for_the_year_that_was_missing() -> None:
    given = {"id": "x", "name": "x", "every": "year"}
    years = periods_of(given, phases_of(HENAN.document, date(2026, 1, 1)), date(2026, 1, 1))
    assert [one.id for one in years] == ["2026", "2027", "2028"]
    assert covered(years, [date(2027, 2, 1)]) == {"2026"}
    assert covered(years, [date(2027, 2, 1), date(2027, 3, 1), date(2026, 5, 1)]) == {"2026", "2027"}
    assert covered(years, [date(2025, 12, 1)]) == covered(years, []) == set()
