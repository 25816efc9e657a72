"""The compliance page of a real-sized school: 36 classes, three school years of lessons; and closing a lesson of 50 pupils.

``compliance_page``: the rows of the page (every class with its verdict, figures and weeks) as the page gets them, over the bare SELECT of
the term's records from the same database, in turns; ``page_p99_ms`` is the whole page as a browser gets it. ``stale``: the same right
after a record was added, when the verdicts must be worked out anew.
"""

from __future__ import annotations

import math
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import insert, text

from lms.app import create_app
from lms.config import Settings
from lms.core import clock
from lms.core.db import db, new_id, write
from lms.roster.models import Person, School, SchoolClass, Term
from lms.roster.school import apply_national_days
from lms.usage import service
from lms.usage.judging.standings import standings
from lms.usage.models import UsageRecord
from tests.factories import make_admin, make_class, make_pupils, make_school, make_teacher, sign_in
from tests.usage.makers import closed_lesson

TODAY = date(2026, 11, 24)
GRADES, NUMBERS, YEARS = range(1, 7), range(1, 7), (2024, 2025, 2026)
ROUNDS, STALE, CLOSINGS, PUPILS = 200, 30, 30, 50


def p99_ms(seconds: Sequence[float]) -> float:
    """The nearest-rank 99th percentile, in milliseconds."""
    ranked = sorted(seconds)
    return round(1000 * ranked[max(0, math.ceil(0.99 * len(ranked)) - 1)], 2)


def in_turns(rounds: int, **doers: Callable[[], Any]) -> dict[str, list[float]]:
    """Seconds of each doer, measured one after the other in every round."""
    taken: dict[str, list[float]] = {name: [] for name in doers}
    for _ in range(rounds):
        for name, doer in doers.items():
            begun = time.perf_counter()
            doer()
            taken[name].append(time.perf_counter() - begun)
    return taken


def three_years(school: School, classes: Sequence[SchoolClass], teacher: Person) -> int:
    """Terms, holidays and a lesson every week or two of each class; returns the number of records."""
    rows = []
    with write() as session:
        for year in YEARS:
            spans = ((date(year, 9, 1), date(year + 1, 1, 22)), (date(year + 1, 2, 22), date(year + 1, 7, 3)))
            for ordinal, (first, last) in enumerate(spans, 1):
                if (year, ordinal) != (2026, 1):
                    session.add(Term(school_id=school.id, school_year=year, ordinal=ordinal, starts_on=first, ends_on=last))
                    apply_national_days(school.id, first, last)
                for number, cohort in enumerate(classes):
                    for week in range(18):
                        day = first + timedelta(weeks=week, days=number % 5)
                        if (week + number) % (2 + number % 3 // 2) == 0 and day.weekday() < 5 and day <= min(last, TODAY):
                            rows.append(_row(school, cohort, teacher, day, len(rows)))
        session.execute(insert(UsageRecord), rows)
    return len(rows)


def _row(school: School, cohort: SchoolClass, teacher: Person, day: date, number: int) -> dict[str, Any]:
    start = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    return {
        "id": new_id(), "school_id": school.id, "lesson_id": uuid.UUID(int=number + 1), "class_id": cohort.id, "teacher_id": teacher.id,
        "lesson_on": day, "started_at": start, "ended_at": start + timedelta(minutes=40), "minutes": 40, "class_hours": 1, "kind": "regular",
        "subject": "信息科技", "units": ["ncet:五上-3"], "roster": 45, "present": 44, "on_leave": 0, "grade_of_evidence": "A", "origin": "real",
        "reason": "", "event_seq": -number - 1, "detail": {"witnesses": [], "devices": [], "artefacts": 44},
    }  # fmt: skip


def measure(folder: Path) -> dict[str, Any]:
    """The figures; everything happens in ``folder``."""
    app = create_app(Settings(data_dir=folder / "data", run_dir=folder / "run"), testing=True)
    clock.set_clock(clock.FixedClock(datetime(2026, 11, 24, 3, tzinfo=UTC)))
    with app.app_context():
        db.create_all()
        return _measure(app)


def _measure(app: Flask) -> dict[str, Any]:
    school = make_school()
    apply_national_days(school.id, date(2026, 9, 1), date(2027, 1, 22))
    classes = [make_class(school, "primary", grade, number) for grade in GRADES for number in NUMBERS]
    teacher, admin = make_teacher(school, classes[0]), make_admin(school)
    pupils = make_pupils(school, classes[0], PUPILS)
    records = three_years(school, classes, teacher)
    school_id = school.id
    bare = text("SELECT * FROM usage_record WHERE school_id = :school AND lesson_on BETWEEN '2026-09-01' AND '2027-01-22' ORDER BY class_id, lesson_on")
    client = app.test_client()
    sign_in(client, admin)
    client.get("/compliance")

    def rows() -> object:
        return standings(school_id, TODAY)

    def query() -> object:
        return db.session.execute(bare, {"school": school_id.hex}).all()

    found = len(query())  # type: ignore[arg-type]  # a list
    taken = in_turns(ROUNDS, rows=rows, bare=query, page=lambda: client.get("/compliance").data)
    account = teacher.account
    closings = []
    for number in range(CLOSINGS):
        facts = closed_lesson(classes[0], teacher, pupils, TODAY, lesson_id=new_id(), title=f"{number}")
        begun = time.perf_counter()
        service.record_lesson(facts, account)
        closings.append(time.perf_counter() - begun)
        if number < STALE:
            taken.setdefault("stale", []).extend(in_turns(1, stale=rows)["stale"])
    return {
        "classes": len(classes), "records": records, "term_records": found,
        "rows_p99_ms": p99_ms(taken["rows"]), "bare_p99_ms": p99_ms(taken["bare"]), "ratio": round(p99_ms(taken["rows"]) / p99_ms(taken["bare"]), 2),
        "page_p99_ms": p99_ms(taken["page"]), "stale_p99_ms": p99_ms(taken["stale"]),
        "close_lesson_p99_ms": p99_ms(closings), "close_lesson_pupils": PUPILS,
    }  # fmt: skip


def main() -> None:
    """Print the figures."""
    import json

    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"compliance_page": measure(Path(folder))}, indent=1))


if __name__ == "__main__":
    main()
