"""A made-up region (模拟全区) for the bench and for demonstrations: result files as the engine would write them, and the facts behind them.

Every school has ``classes`` classes in six grades of a primary school and one term of ``weeks`` weeks without holidays; a class teaches 0 to 2
lessons a week by a hash of its number, so that about half of the classes are met under ``fortnightly``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flask_babel import lazy_gettext as _l

from lms.core.db import new_id, write
from lms.core.errors import Refused
from lms.core.origin import kept_origin
from lms.region.counting import BUCKETS, CLASSES_A_SCHOOL, GRADES_A_STAGE, connect, write_parquet, write_schools
from lms.region.models import Subordinate
from lms.region.office import need_office
from lms.usage.judging.facts import ClassFact, Facts, SchoolFact, TaughtLesson

if TYPE_CHECKING:
    import duckdb

RULE = "fortnightly"
GRADES = 6
COURSE = "demo-ncet"


@dataclass(frozen=True)
class Plan:
    """Size and first Monday of the region."""

    schools: int = 10_000
    classes: int = 20
    weeks: int = 40
    monday: date = date(2025, 9, 1)

    @property
    def last_day(self) -> date:
        """Last day of the term, a Sunday."""
        return self.monday + timedelta(weeks=self.weeks, days=-1)


_SESSIONS = "(CASE WHEN hash({c} * 41 + {w}) % 100 < 20 + hash({c}) % 60 THEN 1 ELSE 0 END + CASE WHEN hash({w} * 200003 + {c}) % 100 < 3 THEN 1 ELSE 0 END)"
# c numbers the classes of the region from 0, w the weeks from 1; blocks are two weeks, each counting at most two lessons (B2).
_WEEKS = """
SELECT (c // {classes} + 1)::INTEGER AS school, ((c // {classes} + 1) * {room} + c % {classes})::INTEGER AS class, DATE '{monday}' AS term,
  ({band} + c % {classes} % {grades} + 1)::UTINYINT AS band, (DATE '{monday}' + (7 * (w - 1))::INTEGER) AS week, 1::UTINYINT AS effective,
  (w % 2 = 0)::UTINYINT AS required,
  (CASE WHEN w % 2 = 1 THEN this ELSE least(2 - before, this) END)::UTINYINT AS counted, this::UTINYINT AS raw
FROM (SELECT c, w, {this} AS this, {before} AS before
  FROM range({bucket}, {schools}, {buckets}) s(s), range({classes}) k(k), range(1, {weeks} + 1) u(w), LATERAL (SELECT s * {classes} + k AS c))
ORDER BY school, class, week
"""
_CLASSES = """
WITH run AS (
  SELECT *, week - coalesce(lag(week) OVER (PARTITION BY class ORDER BY week), DATE '{monday}' - 7) AS days FROM weeks WHERE raw > 0),
gap AS (SELECT class, greatest(max(days), DATE '{last}' + 1 - max(week)) // 7 - 1 AS gap FROM run GROUP BY class),
one AS (
  SELECT school, class, term, any_value(band) AS band, (any_value(band) - {band})::UTINYINT AS grade, sum(effective) AS effective, sum(required) AS required,
    sum(counted) AS counted, sum(raw) AS raw FROM weeks GROUP BY school, class, term),
judged AS (
  SELECT one.*, coalesce(gap.gap, {weeks}) AS gap, CASE WHEN counted >= required THEN 'met'
    WHEN counted * 100 >= 80 * required OR (raw >= required AND counted * 100 >= 50 * required) THEN 'met-approximately' ELSE 'not-met' END AS verdict
  FROM one LEFT JOIN gap USING (class)),
grades AS (
  SELECT school, grade, count(*) FILTER (verdict = 'met') AS met, count(*) FILTER (verdict LIKE 'met%') AS near FROM judged GROUP BY school, grade),
schools AS (
  SELECT school, CASE WHEN count(*) FILTER (met >= 2) >= 2 THEN 'met' WHEN count(*) FILTER (near >= 2) >= 2 THEN 'met-approximately' ELSE 'not-met' END AS verdict
  FROM grades GROUP BY school)
SELECT judged.school, class, term, 'c' || class AS id, 'primary' AS stage, grade, ((class % {room}) // {grades} + 1)::USMALLINT AS number,
  'administrative' AS type, judged.verdict AS verdict, effective::USMALLINT AS effective, required::USMALLINT AS required, counted::USMALLINT AS counted,
  raw::USMALLINT AS raw, gap::USMALLINT AS gap, greatest(0, required - counted)::USMALLINT AS needed, counted < required AS out,
  schools.verdict AS school_verdict, schools.verdict AS without_flags, '1.0.0' AS version, DATE '{last}' AS as_of, band
FROM judged JOIN schools USING (school) ORDER BY school, class
"""


def generate(folder: Path, plan: Plan) -> None:
    """Write the result files of the whole region below ``folder``."""
    (folder / RULE).mkdir(parents=True, exist_ok=True)
    names = {
        "classes": plan.classes, "weeks": plan.weeks, "schools": plan.schools, "room": CLASSES_A_SCHOOL, "band": GRADES_A_STAGE, "grades": GRADES,
        "buckets": BUCKETS, "monday": plan.monday.isoformat(), "last": plan.last_day.isoformat(),
        "this": _SESSIONS.format(c="c", w="w"), "before": _SESSIONS.format(c="c", w="(w - 1)"),
    }  # fmt: skip
    with connect() as connection:
        for bucket in range(BUCKETS):  # school numbers begin at 1: number s + 1 lies in bucket (s + 1) % BUCKETS
            first = (bucket - 1) % BUCKETS
            connection.execute(f"CREATE OR REPLACE TEMP TABLE weeks AS {_WEEKS.format(bucket=first, **names)}")
            write_parquet(connection, "SELECT * FROM weeks", folder / RULE / f"weeks-{bucket:02d}.parquet")
            write_parquet(connection, _CLASSES.format(**names), folder / RULE / f"classes-{bucket:02d}.parquet")
    write_schools(folder, (school_row(number, plan) for number in range(1, plan.schools + 1)))


def school_row(number: int, plan: Plan) -> dict[str, object]:
    """A school as the table names it: some never handed up, some long ago."""
    age = 60 if number % 53 == 0 else 3
    handed = None if number % 97 == 0 else (plan.last_day - timedelta(days=age)).isoformat()
    return {
        "school": number, "name": f"示范第{number:05d}小学", "code": f"31{number:08d}", "office": 0, "stages": ["primary"],
        "handed": handed, "gaps": number % 211 == 0, "refused": False,
    }  # fmt: skip


def sessions(
    connection: duckdb.DuckDBPyConnection, numbers: list[int], plan: Plan
) -> dict[int, dict[int, dict[int, int]]]:
    """Lessons by school number, class index and week (1 …), straight from the hash, not from the result files."""
    query = (
        f"SELECT n, k, w, {_SESSIONS.format(c='c', w='w')} FROM (SELECT unnest($numbers)::BIGINT AS n), range({plan.classes}) k(k),"
        f" range(1, {plan.weeks} + 1) u(w), LATERAL (SELECT (n - 1) * {plan.classes} + k AS c)"
    )
    found: dict[int, dict[int, dict[int, int]]] = {}
    for number, index, week, count in connection.execute(query, {"numbers": numbers}).fetchall():
        found.setdefault(number, {}).setdefault(index, {})[week] = count
    return found


def facts_of(number: int, taught: dict[int, dict[int, int]], plan: Plan) -> Facts:
    """The facts of a school: its lessons on Monday, a second one on Tuesday."""
    classes, lessons = [], []
    for index, weeks in sorted(taught.items()):
        key = f"c{number * CLASSES_A_SCHOOL + index}"
        classes.append(
            ClassFact(id=key, stage="primary", grade=index % GRADES + 1, number=index // GRADES + 1, roster=40)
        )
        for week, count in sorted(weeks.items()):
            for weekday in range(count):
                day = plan.monday + timedelta(weeks=week - 1, days=weekday)
                lessons.append(_lesson(key, day))
    school = SchoolFact(id=str(number), stages=("primary",))
    return Facts(
        as_of=plan.last_day, course=COURSE, school=school, term_start=plan.monday, term_end=plan.last_day,
        classes=tuple(classes), lessons=tuple(lessons),
    )  # fmt: skip


def _lesson(class_id: str, day: date) -> TaughtLesson:
    return TaughtLesson(
        id=f"{class_id}-{day.isoformat()}", class_id=class_id, date=day, minutes=40, present=38, leave=1, roster=40, course=COURSE,
        units=("1",), teacher_registered=True, evidence="B",
    )  # fmt: skip


def populate(folder: Path, plan: Plan) -> None:
    """Fill an office's database and result files with made-up schools, for a demonstration; Refused in a real installation."""
    if kept_origin() != "simulated":
        raise Refused(
            "origin", _l("真实数据的系统不能放入模拟学校。"), remedy=_l("请用 ZHIKE_ORIGIN=simulated 另建一个。")
        )
    need_office()
    generate(folder, plan)
    with write() as session:
        for number in range(1, plan.schools + 1):
            row = school_row(number, plan)
            handed = datetime.fromisoformat(f"{row['handed']}T04:00:00+00:00") if row["handed"] else None
            session.add(
                Subordinate(
                    id=new_id(),
                    number=number,
                    level="school",
                    name=row["name"],
                    code=row["code"],
                    profile={"stages": row["stages"]},
                    handed_at=handed,
                )
            )
