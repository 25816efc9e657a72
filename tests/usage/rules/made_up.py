"""Schools that hypothesis makes up, in the format of ``lms usage schema fortnightly``."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.usage.rules import naive

START, END = date(2026, 9, 1), date(2026, 12, 31)
DAY = st.integers(-6, 135).map(lambda number: (START + timedelta(days=number)).isoformat())
SHIFT = st.sampled_from([-5, 0, 3, 3, 4, 6])
GRADES = st.sampled_from([None, None, [5], [6], [5, 6], [4, 7]])

# What a lesson may have that the next has not; every threshold from both sides.
VARIANTS: list[dict[str, Any]] = [
    *[{}] * 14,
    *[{"minutes": minutes} for minutes in (26, 29, 29.5, 30, 33, 34, 80)],
    *[
        {"present": present, "leave": leave}
        for present, leave in ((23, 0), (24, 0), (17, 10), (18, 10), (0, 40), (20, 20), (12, 20), (40, 0))
    ],
    {"present": 18, "leave": 0, "roster": 30},
    {"present": 17, "leave": 0, "roster": 30},
    *[{"kind": kind} for kind in ("combined", "substitute", "online", "club", "exam", "makeup")],
    *[
        {"kind": "makeup", "makeup_of": link}
        for link in ("slot-7", "2026-09-04", "2026-06-30", "2026-99-99", "l0", "l1", "2027-03-01")
    ],
    {"course": None},
    {"course": "own"},
    {"unit": None},
    {"unit": " "},
    {"unit": ["五上-3", "五上-4"]},
    {"teacher_registered": False},
    {"class_hours": 2, "minutes": 80},
]
GOOD: dict[str, Any] = {
    "minutes": 40,
    "present": 38,
    "leave": 1,
    "class_hours": 1,
    "kind": "regular",
    "course": "ncet",
    "unit": "五上-3",
    "subject": "信息科技",
    "teacher_registered": True,
    "evidence": "A",
    "makeup_of": None,
    "part_of": None,
}

# A class of which mostly nothing is odd.
oddity = st.one_of(
    *[st.just({})] * 5,
    st.sampled_from(
        [
            {"created": None},
            {"type": "teaching"},
            {"type": "teaching", "roster": 20},
            {"type": "teaching", "roster": 19},
        ]
    ),
    st.sampled_from([{"type": "teaching", "regular_slot": False}, {"grade": 4}, {"grade": 7}, {"grade": 8}]),
    *[DAY.map(lambda day, name=name: {name: day}) for name in ("created", "admitted", "closed")],
)
# A rhythm first, so that every verdict comes up: every n-th week from a week on, at most so many, one or two a week.
rhythm = st.one_of(
    st.sampled_from([(1, 0, 18, 1), (2, 0, 18, 1), (2, 1, 8, 1), (1, 0, 5, 2), (1, 0, 4, 2), (2, 2, 7, 1)]),
    st.tuples(st.integers(1, 4), st.integers(0, 5), st.integers(0, 18), st.integers(1, 3)),
)
extra = st.tuples(st.integers(0, 7), DAY, st.sampled_from(VARIANTS))
split = st.tuples(
    st.integers(0, 7),
    DAY,
    st.sampled_from([0, 2, 7, 7, 8]),
    st.sampled_from(["halves", "shorts"]),
    st.integers(2, 3),
    st.sampled_from([0, 0, 0, 0, -1, 1]),
    st.sampled_from([(40, 20, 0), (40, 38, 1), (20, 38, 1), (15, 24, 0), (29, 12, 4), (14, 40, 0), (40, 8, 0)]),
    st.sampled_from([False, False, False, True]),
)
closure = st.tuples(
    DAY, SHIFT, st.booleans(), GRADES, st.sampled_from(["school", "school", "school", "national"]), st.booleans()
)
flag = st.tuples(st.integers(-1, 18), st.sampled_from([-8, -1, 0, 3]), st.integers(0, 3), GRADES)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A school in the format of ``lms usage schema fortnightly``."""
    classes = []
    for number, more in enumerate(draw(st.lists(oddity, min_size=4, max_size=8))):
        one = {
            "grade": 5 + number % 2,
            "roster": 40,
            "type": "administrative",
            "regular_slot": True,
            "created": "2026-09-01",
        } | more
        stage = "primary" if one["grade"] <= 6 else "junior"
        classes.append({"id": f"c{number}", "stage": stage, "number": number + 1} | one)
    lessons: list[dict[str, Any]] = []

    def add(class_index: int, day: date, more: dict[str, Any]) -> None:
        key = f"l{len(lessons)}"
        lessons.append(
            {"id": key, "class": classes[class_index % len(classes)]["id"], "date": day.isoformat()} | GOOD | more
        )

    for index, (step, first, most, often) in enumerate(
        draw(st.lists(rhythm, min_size=len(classes), max_size=len(classes)))
    ):
        days = [
            date(2026, 9, 1) + timedelta(weeks=week, days=more)
            for week in range(first, 18, step)
            for more in range(often)
        ]
        for day in days[:most]:
            add(index, day, {})
    for index, day, variant in draw(st.lists(extra, max_size=16)):
        add(index, date.fromisoformat(day), variant)
    for number, (index, day, apart, kind, told, off, (minutes, present, leave), other) in enumerate(
        draw(st.lists(split, max_size=5))
    ):
        for part in range(told + off):
            unit = "五上-4" if other and part else "五上-3"
            row = {"minutes": minutes, "present": present, "leave": leave, "unit": unit}
            row["part_of"] = {"lesson": f"p{number}", "kind": kind, "parts": told}
            add(index, date.fromisoformat(day) + timedelta(days=apart if part else 0), row)
    return {
        "as_of": draw(st.one_of(st.just("2026-12-31"), st.just("2026-12-31"), DAY)),
        "course": "ncet",
        "school": {
            "id": "s1",
            "stages": draw(st.sampled_from([["primary"], ["primary"], ["primary", "junior"]])),
            "class_hour_minutes": draw(st.sampled_from([{}, {"primary": 35}])),
        },
        "term": {"start": START.isoformat(), "end": END.isoformat()},
        "days": draw(day_entries()),
        "weeks_flagged": draw(flag_entries()),
        "classes": classes,
        "lessons": lessons,
    }


@st.composite
def day_entries(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for day in [date(2026, 9, 25), *naive.every_day(date(2026, 10, 1), date(2026, 10, 7))]:
        found[day.isoformat()] = [{"school": False, "source": "national"}]
    found["2026-10-10"] = [{"school": True, "follows": "wednesday", "source": "school"}]
    for day, shift, countersigned, grades, source, whole_week in draw(st.lists(closure, max_size=7)):
        first = date.fromisoformat(day)
        for each in naive.every_day(first, first + timedelta(days=3 if whole_week else 0)):
            entered = (each + timedelta(days=shift)).isoformat()
            entry = {
                "school": each.weekday() >= 5,
                "source": source,
                "entered": entered,
                "countersigned": countersigned and shift > 3,
                "grades": grades,
                "follows": "monday" if shift else None,
            }
            found.setdefault(each.isoformat(), []).append(entry)
    return found


@st.composite
def flag_entries(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for week, shift, signed, grades in draw(
        st.one_of(st.lists(flag, max_size=4), st.lists(flag, min_size=6, max_size=10))
    ):
        monday = date(2026, 8, 31) + timedelta(weeks=week)
        entry = {
            "reason": "考试",
            "entered": (monday + timedelta(days=shift)).isoformat(),
            "countersigned": signed == 0,
            "grades": grades,
        }
        found.setdefault(monday.isoformat(), []).append(entry)
    return found


def collected(count: int, number: int) -> list[dict[str, Any]]:
    """The same made-up schools every time."""
    found: list[dict[str, Any]] = []

    @seed(number)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(documents())
    def keep(document: dict[str, Any]) -> None:
        found.append(document)

    keep()
    return found
