"""The ends of the window are not moved afterwards: what counts, what waits for the office."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import pytest

from lms.usage.evidence import windows

SCHOOL = uuid.UUID(int=7)


def told(*changes: tuple[str, str, str], kind: str = "term", signed: str = "") -> dict[str, Any]:
    """(entered, on, ends), one after the other; ``signed``: countersigned at the end."""
    held = None
    for entered, on, ends in changes:
        days = [date.fromisoformat(one) if one else None for one in (on, ends)]
        held = windows.taken(held, windows.row_of(SCHOOL, kind, "2026-1", *days), entered)
    assert held is not None
    return held | {"countersigned": signed or held["countersigned"]}


AUTUMN = ("2026-08-20", "2026-09-01", "2027-01-22")


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (("2026-11-20", "2026-09-01", "2027-01-15"), True),  # announced before either end
        (("2027-01-18", "2026-09-01", "2027-01-15"), True),  # three days late
        (("2027-01-19", "2026-09-01", "2027-01-15"), False),
        (("2027-01-20", "2026-09-01", "2026-11-15"), False),  # the weeks without lessons fall off
        (("2027-02-01", "2026-09-01", "2027-02-05"), False),  # more time, after it was over
        (("2026-10-10", "2026-10-05", "2027-01-22"), False),  # the beginning had passed
        (("2026-09-02", "2026-09-03", "2027-01-22"), True),  # within the fortnight of setting up
    ],
)
def test_an_end_that_was_reached_is_not_moved(change: tuple[str, str, str], counts: bool) -> None:
    row = told(AUTUMN, change)
    now, before = ((date.fromisoformat(one[1]), date.fromisoformat(one[2])) for one in (change, AUTUMN))
    assert windows.counted(row) == (now if counts else before)
    assert bool(windows.waiting({"x": row})) is not counts
    assert len(windows.remarks({"x": row})) == (0 if counts else 1)
    assert windows.counted(row | {"countersigned": "2027-02-02"}) == now


def test_admission_counts_from_when_it_was_told() -> None:
    set_up = ("2026-08-20", "", "")
    assert windows.counted(told(set_up, ("2026-10-28", "2026-10-26", ""), kind="stage")) == (date(2026, 10, 26), None)
    late = told(set_up, ("2027-01-20", "2026-10-26", ""), kind="stage")
    assert windows.counted(late) == (None, None)
    (why,) = windows.remarks({"x": late})
    assert ("2026-10-26" in str(why), "2027-01-20" in str(why)) == (True, True)


def test_what_was_countersigned_is_where_the_next_change_starts() -> None:
    signed = told(AUTUMN, ("2027-01-20", "2026-09-01", "2026-11-15"), signed="2027-01-21")
    back = windows.taken(signed, windows.row_of(SCHOOL, "term", "2026-1", date(2026, 9, 1), date(2027, 1, 22)), "2027-01-23")
    assert windows.counted(back) == (date(2026, 9, 1), date(2026, 11, 15))
    undone = windows.taken(told(AUTUMN, ("2027-01-20", "2026-09-01", "2026-11-15")), windows.row_of(SCHOOL, "term", "2026-1", date(2026, 9, 1), date(2027, 1, 22)), "2027-01-21")
    assert (windows.counted(undone)[1], windows.waiting({"x": undone})) == (date(2027, 1, 22), [])


def test_a_term_entered_anew_is_the_same_term() -> None:
    assert windows.row_id(SCHOOL, "term", "2026-1") == windows.row_id(SCHOOL, "term", "2026-1") != windows.row_id(SCHOOL, "term", "2026-2")
