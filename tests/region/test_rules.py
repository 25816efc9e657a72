"""What the office decides about closures, gaps and departures."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from lms.region import rules
from lms.region.batches import check_fingerprint, fingerprint, secret_of, split_code, tidy
from lms.usage.evidence.windows import row_id, row_of
from lms.usage.judging.facts import ClassFact, Facts, SchoolFact


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


def test_the_ends_of_the_window_count_as_the_chain_has_them() -> None:
    """What a school says of its term, admission and classes is held against its own links; what it moved late waits for the office."""
    school = uuid.uuid4()
    start, end, short = date(2026, 9, 1), date(2027, 1, 22), date(2026, 11, 15)

    def link(at: str, *rows: dict[str, Any]) -> dict[str, Any]:
        payload = {"set": list(rows), "removed": [], "offset": 480}
        return {"type": "calendar-changed", "at": f"{at}T03:00:00.000000Z", "payload": payload}

    bounds = (("term", "2026-1", start, end), ("stage", "primary", None, None), ("class", "c1", start, None))
    moved = (("term", "2026-1", start, short), ("stage", "primary", date(2026, 10, 26), None))
    links = [link("2026-08-20", *(row_of(school, *one) for one in bounds)), link("2027-01-20", *(row_of(school, *one) for one in moved))]
    cohort = ClassFact("c1", "primary", 5, 40, created=date(2026, 12, 7), admitted=date(2026, 10, 26))
    told = Facts(date(2027, 1, 20), "ncet", SchoolFact(str(school), ("primary",)), start, short, classes=(cohort,))

    calendar = rules.calendar_after({}, links)
    held = rules.with_calendar(told, calendar, [])
    assert (held.term_start, held.term_end) == (start, end)
    assert (held.classes[0].created, held.classes[0].admitted) == (start, None)
    late = [key for key, _row in rules.late_entries(calendar)]
    assert set(late) == {row_id(school, "term", "2026-1"), row_id(school, "stage", "primary")}
    signed = {key: {**one, "countersigned": "2027-01-21"} if key in late else one for key, one in calendar.items()}
    held = rules.with_calendar(told, signed, [])
    assert (held.term_end, held.classes[0].admitted, held.classes[0].created) == (short, date(2026, 10, 26), start)
    assert rules.with_calendar(told, {}, []) == told  # an older school's chain says nothing of it


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
