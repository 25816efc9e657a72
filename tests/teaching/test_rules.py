"""Decisions of teaching, without a database."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from lms.roster.timetable import DaySlot
from lms.teaching import rules

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
SLOT = rules.Times(START, START, START + timedelta(minutes=40), 40)
AD_HOC = rules.Times(START, None, None, 45)


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("verb", "state", "expected"),
    [
        ("pause", "running", True),
        ("pause", "paused", False),
        ("resume", "paused", True),
        ("push", "paused", True),
        ("push", "ended", False),
        ("end", "running", True),
        ("end", "ended", False),
        ("reopen", "running", False),
        ("close", "closed", False),
        ("mark", "ended", True),
        ("mark", "closed", False),
    ],
)
def test_states(verb: str, state: str, expected: bool) -> None:
    assert rules.allowed(verb, state) is expected


def test_reopening_ends_after_ten_minutes() -> None:
    until = after(50)
    assert rules.may_reopen("ended", until, after(49.99))
    assert not rules.may_reopen("ended", until, until)
    assert not rules.may_reopen("closed", until, after(41))
    assert not rules.may_reopen("ended", None, after(41))


def test_forgotten_and_displaced() -> None:
    assert not rules.forgotten("running", SLOT, after(49.9))
    assert rules.forgotten("running", SLOT, after(50))
    assert not rules.forgotten("paused", AD_HOC, after(99))  # an unplanned lesson may be a double one
    assert rules.forgotten("paused", AD_HOC, after(100))
    assert not rules.forgotten("ended", SLOT, after(90))
    assert rules.may_be_displaced("running", SLOT, after(40))
    assert not rules.may_be_displaced("running", SLOT, after(39.9))
    assert rules.may_be_displaced("ended", SLOT, after(5))


@pytest.mark.parametrize(
    ("times", "ended", "minutes"),
    [
        (SLOT, 40, 40),
        (SLOT, 55, 40),  # never more than the slot
        (SLOT, 39.9, 39),  # never rounded up
        (rules.Times(after(-8), START, after(40), 40), 40, 40),  # opened before the bell
        (rules.Times(after(10), START, after(40), 40), 40, 30),
        (rules.Times(after(45), START, after(40), 40), 50, 0),  # wholly outside
        (AD_HOC, 61, 61),
    ],
)
def test_minutes_inside_the_slot(times: rules.Times, ended: float, minutes: int) -> None:
    assert rules.minutes_taught(times, after(ended)) == minutes


def test_time_between_an_end_and_its_reopening_is_not_taught() -> None:
    assert rules.minutes_taught(SLOT, after(40), [(after(10), after(16))]) == 34
    assert rules.minutes_taught(SLOT, after(45), [(after(36), after(44))]) == 36  # only the part inside the slot


def test_forgotten_lesson_ends_at_the_bell() -> None:
    assert rules.end_of(SLOT, after(70), by_teacher=False) == after(40)
    assert rules.end_of(SLOT, after(43), by_teacher=True) == after(43)
    late = rules.Times(after(60), START, after(40), 40)
    assert rules.end_of(late, after(90), by_teacher=False) == after(60)


@pytest.mark.parametrize(("planned", "minutes", "hours"), [(40, 40, 1), (90, 88, 2), (90, 60, 2), (90, 59, 1), (40, 12, 1), (150, 150, 2)])
def test_double_period_is_two_class_hours(planned: int, minutes: int, hours: int) -> None:
    assert rules.class_hours(rules.Times(START, START, after(planned), 40), minutes) == hours


def test_summary_counts_every_pupil_once() -> None:
    counted = rules.summary(["terminal", "shared", "hand", "late", "leave", "left_early", "absent", "absent"])
    assert (counted.roster, counted.present, counted.leave, counted.absent) == (8, 5, 1, 2)
    assert (counted.late, counted.left_early) == (1, 1)
    assert counted.roster == counted.present + counted.leave + counted.absent


def people(count: int) -> list[uuid.UUID]:
    return [uuid.UUID(int=number + 1) for number in range(count)]


@pytest.mark.parametrize(("count", "size"), [(40, 4), (41, 4), (7, 3), (3, 5), (1, 1), (45, 6)])
def test_groups_are_even_and_complete(count: int, size: int) -> None:
    ids = people(count)
    groups = rules.make_groups([rules.Place(one, roll, roll // 8, roll % 8) for roll, one in enumerate(ids)], size)
    assert sorted(one for group in groups for one in group) == ids
    widths = {len(group) for group in groups}
    assert max(widths) <= size
    assert max(widths) - min(widths) <= 1


def test_groups_sit_together_and_the_seatless_come_last() -> None:
    ids = people(6)
    places = [rules.Place(ids[0], 1), rules.Place(ids[1], 2), *(rules.Place(ids[n], n + 1, 0, n) for n in range(2, 6))]
    assert rules.make_groups(places, 2) == [(ids[2], ids[3]), (ids[4], ids[5]), (ids[0], ids[1])]
    assert rules.make_groups([], 4) == []
    with pytest.raises(ValueError, match="size"):
        rules.make_groups(places, 0)


def test_who_may_open_and_steer() -> None:
    own, other, third = people(3)
    teachers = frozenset({own})
    assert rules.standing(own, is_admin=False, is_teacher=True, class_teachers=teachers, slot_teacher=None) == "teacher"
    assert rules.standing(other, is_admin=False, is_teacher=True, class_teachers=teachers, slot_teacher=other) == "teacher"
    assert rules.standing(other, is_admin=False, is_teacher=True, class_teachers=teachers, slot_teacher=None) == "substitute"
    assert rules.standing(other, is_admin=True, is_teacher=False, class_teachers=teachers, slot_teacher=None) == "admin"
    assert rules.standing(None, is_admin=False, is_teacher=True, class_teachers=teachers, slot_teacher=None) is None
    assert rules.may_steer(other, is_admin=False, lesson_teacher=other, class_teachers=teachers)
    assert not rules.may_steer(third, is_admin=False, lesson_teacher=other, class_teachers=teachers)


def test_next_lesson() -> None:
    order = ["01-see", "02-data", "03-teach"]
    assert rules.next_lesson(order, []) == "01-see"
    assert rules.next_lesson(order, ["01-see"]) == "02-data"
    assert rules.next_lesson(order, ["02-data", "gone"]) == "03-teach"
    assert rules.next_lesson(order, order) == "03-teach"
    assert rules.next_lesson([], ["01-see"]) == ""


def slot(ordinal: int, start: float, *, room: int = 9, class_id: int = 1) -> DaySlot:
    return DaySlot(
        uuid.UUID(int=ordinal), uuid.UUID(int=class_id), uuid.UUID(int=5), uuid.UUID(int=room), "人工智能", ordinal, after(start), after(start + 40)
    )


def test_double_periods_join() -> None:
    runs = rules.joined([slot(2, 50), slot(1, 0), slot(4, 150), slot(3, 100, class_id=2)])
    assert [[one.ordinal for one in run] for run in runs] == [[1, 2], [3], [4]]


def test_the_door_opens_ten_minutes_before_the_bell() -> None:
    slots = [slot(1, 0), slot(2, 45)]
    assert rules.slot_now(slots, after(-11)) is None
    assert rules.slot_now(slots, after(-10)) == slots[0]
    assert rules.slot_now(slots, after(36)) == slots[0]
    assert rules.slot_now(slots, after(40)) == slots[1]
    assert rules.slot_now(slots, after(85)) is None


@pytest.mark.parametrize(
    ("sign", "state"),
    [
        (rules.Sign("absent", None, None, None, False, False), "absent"),
        (rules.Sign("leave", START, None, START, True, True), "leave"),
        (rules.Sign("left_early", START, None, START, False, False), "left"),
        (rules.Sign("hand", None, None, None, False, False), "hand"),
        (rules.Sign("terminal", START, None, None, False, False), "here"),
        (rules.Sign("terminal", START, None, after(10), True, True), "help"),
        (rules.Sign("terminal", START, None, after(9), False, True), "offline"),
        (rules.Sign("late", START, None, after(10), False, True), "done"),
        (rules.Sign("shared", START, after(5), after(5), False, False), "hand"),
    ],
)
def test_seat_state(sign: rules.Sign, state: str) -> None:
    now = after(10) if sign.last_at and sign.last_at > START else START
    assert rules.seat_state(sign, now) == state
