"""What the office decides about closures, gaps and departures."""

from __future__ import annotations

from datetime import date
from typing import Any

from lms.region import rules
from lms.region.batches import check_fingerprint, fingerprint, secret_of, split_code, tidy


def row(on: str, entered: str, kind: str = "week", **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "on": on,
        "school": False,
        "grades": None,
        "follows": None,
        "source": "school",
        "entered": entered,
        "countersigned": "",
        **more,
    }


def test_what_needs_the_offices_countersignature() -> None:
    weeks = {f"w{number}": row(f"2026-11-{number:02d}", "2026-10-01") for number in (2, 9, 16, 23, 30)}
    rows = {
        **weeks,
        "other-half": row("2027-03-01", "2026-10-01"),
        "january": row("2027-01-11", "2026-10-01"),
        "late": row("2026-10-12", "2026-10-12"),
        "day": row("2026-10-14", "2026-10-17", "day"),
        "late-day": row("2026-10-14", "2026-10-18", "day"),
        "holiday": row("2026-10-01", "2026-12-01", "day", source="national"),
        "signed": row("2026-09-14", "2026-09-01", countersigned="2026-09-02"),
    }
    assert [key for key, _row in rules.late_entries(rows)] == ["signed", "late", "late-day", "w30", "january"]


def test_grades_have_their_own_free_weeks() -> None:
    rows = {f"a{number}": row(f"2026-11-{number:02d}", "2026-10-01", grades=[5]) for number in (2, 9, 16, 23)}
    rows["b"] = row("2026-11-30", "2026-10-01", grades=[6])
    rows["c"] = row("2026-12-07", "2026-10-01", grades=[5, 6])
    assert [key for key, _row in rules.late_entries(rows)] == ["c"]


def test_gaps_lie_between_what_is_known_and_what_waits() -> None:
    days = (date(2026, 3, 9), date(2026, 3, 13))
    found = rules.gaps(10, date(2026, 3, 2), [(31, 40, date(2026, 4, 1), date(2026, 4, 2)), (21, 25, *days)])
    assert [(one.first_seq, one.last_seq, one.after, one.before) for one in found] == [
        (11, 20, date(2026, 3, 2), days[0]),
        (26, 30, days[1], date(2026, 4, 1)),
    ]
    assert rules.gaps(20, date(2026, 3, 2), [(21, 25, *days)]) == []


def test_where_a_batch_departs() -> None:
    held = {4: "d", 5: "e", 6: "f"}
    assert rules.departs(held, 5, ["e", "f", "g"], "d") is None
    assert rules.departs(held, 5, ["e", "x", "g"], "d") == 6
    assert rules.departs(held, 5, ["e"], "x") == 4
    assert rules.departs({}, 1, ["a"], "0") is None


def test_codes_survive_the_telephone() -> None:
    mark = fingerprint(b"key")
    assert check_fingerprint(mark.replace("-", " ").lower()) == mark
    code = f"{secret_of(bytes(range(8)))}-{mark}"
    assert split_code(code.lower().replace("0", "o").replace("1", "l")) == split_code(code)
    assert tidy("ABCU!") == ""
