"""The questions that officers ask over all schools (全区查询), each one SELECT that DuckDB runs over the result files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lms.core.stages import STAGES
from lms.region.counting import CLASSES_A_SCHOOL, GRADES_A_STAGE
from lms.region.rules import STALE_DAYS

if TYPE_CHECKING:
    import duckdb


SHOWS = ("all", "risk", "stale", "silent", "gaps")
PAGE = 50


@dataclass(frozen=True)
class Asked:
    """The question: rule parameters and filters. ``first``, ``last``: Mondays (ISO) of a period, empty for the whole term.

    ``least``: effective weeks below which a class is not assessed. ``show``: one of SHOWS. ``term``: ``2026-1`` (autumn) or ``2026-2`` (the
    spring after it), empty for every term. ``office``: number of the office below that forwards. ``schools``: only these numbers, None for all.
    """

    rule: str
    stage: str = ""
    office: int = 0
    schools: tuple[int, ...] | None = None
    name: str = ""
    show: str = "all"
    term: str = ""
    first: str = ""
    last: str = ""
    least: int = 1
    grades: int = 2
    classes: int = 2

    def where(self) -> tuple[str, dict[str, Any]]:
        """Condition on class or week rows and its values."""
        starts, ends = term_dates(self.term) if self.term else ("", "")
        given = {
            "term >= $starts::DATE": ("starts", starts),
            "term < $ends::DATE": ("ends", ends),
            "week >= $first::DATE": ("first", self.first),
            "week <= $last::DATE": ("last", self.last),
            f"band // {GRADES_A_STAGE} = $place": (
                "place",
                STAGES.index(self.stage) + 1 if self.stage in STAGES else 0,
            ),
        }
        used = {text: pair for text, pair in given.items() if pair[1]}
        return ("WHERE " + " AND ".join(used) if used else ""), dict(used.values())


def term_dates(term: str) -> tuple[str, str]:
    """Days between which terms of the label begin; raises ValueError where it is none."""
    year, ordinal = (int(part) for part in term.split("-"))
    if ordinal not in (1, 2):
        raise ValueError(term)
    return (
        (f"{year:04d}-07-01", f"{year + 1:04d}-01-01")
        if ordinal == 1
        else (f"{year + 1:04d}-01-01", f"{year + 1:04d}-07-01")
    )


def term_label(start: date) -> str:
    """Label of the term that begins on ``start``."""
    return f"{start.year}-1" if start.month >= 7 else f"{start.year - 1}-2"


@dataclass(frozen=True)
class Totals:
    """Counts over all schools of the question."""

    schools: int
    schools_met: int
    classes: int
    classes_met: int
    classes_behind: int


# A class over the weeks asked for: behind where fewer lessons counted than were required. Grouping by one number is what makes it fast.
_WEEKS = """
SELECT class // {room} AS school, class, any_value(band) AS band, sum(effective) AS effective, sum(required) AS required, sum(counted) AS counted
FROM read_parquet($weeks) {where} GROUP BY class
"""
_SCHOOLS_OF_WEEKS = """
WITH class AS ({weeks}),
grade AS (
  SELECT school, band, count(*) AS classes, count(*) FILTER (effective >= $least AND counted >= required) AS met,
    count(*) FILTER (effective >= $least AND counted < required) AS behind
  FROM class GROUP BY school, band),
stage AS (
  SELECT school, band // {grades} AS stage, sum(classes) AS classes, sum(met) AS met, sum(behind) AS behind,
    count(*) FILTER (met >= $enough_classes) >= $enough_grades AS spread
  FROM grade GROUP BY school, stage)
SELECT school::INTEGER AS school, sum(classes)::INTEGER AS classes, sum(met)::INTEGER AS met, sum(behind)::INTEGER AS behind, bool_and(spread) AS spread
FROM stage GROUP BY school
"""


def schools_by_weeks(
    connection: duckdb.DuckDBPyConnection, weeks: Sequence[str], asked: Asked, limit: int
) -> tuple[Totals, list[tuple[Any, ...]]]:
    """Which classes, which schools: (totals, [(school, classes, met, behind, spread)] worst first), counted from the weeks."""
    where, values = asked.where()
    query = _SCHOOLS_OF_WEEKS.format(weeks=_WEEKS.format(where=where, room=CLASSES_A_SCHOOL), grades=GRADES_A_STAGE)
    values |= {
        "weeks": list(weeks),
        "least": asked.least,
        "enough_classes": asked.classes,
        "enough_grades": asked.grades,
    }
    connection.execute(
        "SELECT *, count(*) OVER () AS schools, count(*) FILTER (spread) OVER () AS good, sum(classes) OVER () AS c, sum(met) OVER () AS m,"
        f" sum(behind) OVER () AS b FROM ({query}) ORDER BY spread, behind / classes DESC, behind DESC, school LIMIT {int(limit)}",
        values,
    )
    rows = connection.fetchall()
    if not rows:
        return Totals(0, 0, 0, 0, 0), []
    schools, good, classes, met, behind = (int(value) for value in rows[0][5:10])
    return Totals(schools, good, classes, met, behind), [row[:5] for row in rows]


def classes_behind(
    connection: duckdb.DuckDBPyConnection, weeks: Sequence[str], asked: Asked, schools: Sequence[int]
) -> list[tuple[Any, ...]]:
    """[(school, class, band, effective, required, counted)] of the classes behind in these schools, counted from the weeks."""
    where, values = asked.where()
    wanted = f"school IN ({', '.join(str(int(number)) for number in schools) or 'NULL'})"  # literals, so that whole row groups are skipped
    where = f"{where} AND {wanted}" if where else f"WHERE {wanted}"
    values |= {"weeks": list(weeks), "least": asked.least}
    every = _WEEKS.format(where=where, room=CLASSES_A_SCHOOL)
    query = f"SELECT school, class, band, effective, required, counted FROM ({every}) WHERE effective >= $least AND counted < required ORDER BY class"
    return connection.execute(query, values).fetchall()


@dataclass(frozen=True)
class SchoolLine:
    """One school of the officer's table; counts are of classes. ``handed`` None: never handed up. ``stale_months``: whole months without news."""

    school: int
    name: str
    code: str
    office: int
    verdict: str
    classes: int
    met: int
    nearly: int
    behind: int
    waiting: int
    out: int
    as_of: date | None
    handed: date | None
    stale_months: int
    gaps: bool
    refused: bool


@dataclass(frozen=True)
class Table:
    """A page of schools, worst first, with what the whole question holds; ``shown``: how many schools each of SHOWS has."""

    lines: tuple[SchoolLine, ...]
    shown: dict[str, int]
    schools: int
    classes: int
    met: int
    behind: int
    page: int
    pages: int


# By the engine's verdicts of the whole term, or counted anew over the weeks of a period.
_BY_VERDICT = """
SELECT school, any_value(school_verdict) AS verdict, count(*) AS classes, count(*) FILTER (verdict = 'met') AS met,
  count(*) FILTER (verdict = 'met-approximately') AS nearly, count(*) FILTER (verdict = 'not-met') AS behind,
  count(*) FILTER (verdict = 'not-assessable') AS waiting, count(*) FILTER (out) AS out, max(as_of) AS as_of
FROM read_parquet($files) {where} GROUP BY school
"""
_BY_WEEKS = """
SELECT school, CASE WHEN bool_and(effective = 0) THEN 'not-assessable' WHEN bool_and(counted >= required) THEN 'met' ELSE 'not-met' END AS verdict,
  count(*) AS classes, count(*) FILTER (effective > 0 AND counted >= required) AS met, 0 AS nearly,
  count(*) FILTER (effective > 0 AND counted < required) AS behind, count(*) FILTER (effective = 0) AS waiting, 0 AS out, max(until) AS as_of
FROM (SELECT school, class, sum(effective) AS effective, sum(required) AS required, sum(counted) AS counted, max(week) AS until
      FROM read_parquet($files) {where} GROUP BY school, class) GROUP BY school
"""
_NONE = """
SELECT 0 AS school, '' AS verdict, 0 AS classes, 0 AS met, 0 AS nearly, 0 AS behind, 0 AS waiting, 0 AS out, NULL::DATE AS as_of WHERE false
"""
_TABLE = """
CREATE OR REPLACE TEMP TABLE lines AS
SELECT s.school, s.name, s.code, s.office, coalesce(c.verdict, '') AS verdict, coalesce(c.classes, 0)::INTEGER AS classes,
  coalesce(c.met, 0)::INTEGER AS met, coalesce(c.nearly, 0)::INTEGER AS nearly, coalesce(c.behind, 0)::INTEGER AS behind,
  coalesce(c.waiting, 0)::INTEGER AS waiting, coalesce(c.out, 0)::INTEGER AS out, c.as_of, s.handed,
  CASE WHEN date_diff('day', s.handed, $today::DATE) > $stale THEN greatest(1, date_diff('day', s.handed, $today::DATE) // 30) ELSE 0 END::INTEGER AS stale,
  s.gaps, s.refused,
  CASE c.verdict WHEN 'not-met' THEN 0 WHEN 'structurally-impossible' THEN 2 WHEN 'not-assessable' THEN 3
    WHEN 'met-approximately' THEN 4 WHEN 'met' THEN 5 ELSE 1 END AS place
FROM read_parquet($schools) s LEFT JOIN ({counts}) c USING (school)
WHERE ($office = 0 OR s.office = $office) AND ($stage = '' OR list_contains(s.stages, $stage))
  AND ($name = '' OR contains(s.name, $name) OR s.code = $name) AND ($all OR list_contains($only::INTEGER[], s.school))
"""
_SHOW = {
    "all": "true",
    "risk": "verdict IN ('not-met', 'met-approximately') OR (classes > 0 AND behind * 2 >= classes)",
    "stale": "stale > 0",
    "silent": "handed IS NULL",
    "gaps": "gaps OR refused",
}
_SUMS = (
    "SELECT count(*)::INTEGER, coalesce(sum(classes), 0)::INTEGER, coalesce(sum(met), 0)::INTEGER, coalesce(sum(behind), 0)::INTEGER, "
    + ", ".join(f"count(*) FILTER ({_SHOW[show]})::INTEGER" for show in SHOWS)
    + " FROM lines"
)
_LINES = (
    "SELECT school, name, code, office, verdict, classes, met, nearly, behind, waiting, out, as_of, handed, stale, gaps, refused FROM lines"
    " WHERE {show} ORDER BY place, behind / greatest(classes, 1) DESC, out DESC, stale DESC, name, school LIMIT {limit} OFFSET {offset}"
)


def table(
    connection: duckdb.DuckDBPyConnection, root: Path, asked: Asked, today: date, page: int = 1, size: int = PAGE
) -> Table:
    """The officer's table: every enrolled school, those at risk first; ``size`` 0 for all of them on one page."""
    kind = "weeks" if asked.first or asked.last else "classes"
    files = sorted(str(path) for path in (root / asked.rule).glob(f"{kind}-*.parquet"))
    where, values = asked.where()
    counts = (_BY_WEEKS if kind == "weeks" else _BY_VERDICT).format(where=where) if files else _NONE
    values = {**values, "files": files} if files else {}
    values |= {"schools": str(root / "schools.parquet"), "today": today.isoformat(), "stale": STALE_DAYS}
    asked_for = {"stage": asked.stage, **values, "office": asked.office, "name": asked.name}
    connection.execute(
        _TABLE.format(counts=counts), asked_for | {"all": asked.schools is None, "only": list(asked.schools or ())}
    )
    sums = connection.execute(_SUMS).fetchone()
    assert sums is not None
    shown = dict(zip(SHOWS, sums[4:], strict=True))
    pages = max(1, -(-shown[asked.show] // size)) if size else 1
    page = min(max(1, page), pages)
    query = _LINES.format(show=_SHOW[asked.show], limit=size or shown["all"] or 1, offset=(page - 1) * size)
    lines = tuple(SchoolLine(*row) for row in connection.execute(query).fetchall())
    schools, classes, met, behind = (int(value) for value in sums[:4])
    return Table(lines, shown, schools, classes, met, behind, page, pages)


@dataclass(frozen=True)
class ClassLine:
    """One class of a school: the engine's numbers, and its weeks as (Monday, effective, counted)."""

    id: str
    stage: str
    grade: int
    number: int
    type: str
    verdict: str
    effective: int
    required: int
    counted: int
    raw: int
    gap: int
    needed: int
    out: bool
    term: date
    as_of: date
    version: str
    weeks: tuple[tuple[date, int, int], ...]


def classes_of(connection: duckdb.DuckDBPyConnection, root: Path, rule: str, school: int) -> list[ClassLine]:
    """The classes of one school in its newest term, lowest grade first."""
    files = {
        kind: sorted(str(path) for path in (root / rule).glob(f"{kind}-*.parquet")) for kind in ("classes", "weeks")
    }
    if not files["classes"]:
        return []
    columns = "id, stage, grade, number, type, verdict, effective, required, counted, raw, gap, needed, out, term, as_of, version"
    rows = connection.execute(
        f"SELECT class, {columns} FROM read_parquet($files) WHERE school = $school QUALIFY term = max(term) OVER () ORDER BY grade, type, number",
        {"files": files["classes"], "school": school},
    ).fetchall()
    weeks: dict[int, list[tuple[date, int, int]]] = {}
    if rows:
        found = connection.execute(
            "SELECT class, week, effective, counted FROM read_parquet($files) WHERE school = $school AND term = $term ORDER BY class, week",
            {"files": files["weeks"], "school": school, "term": rows[0][14]},
        ).fetchall()
        for number, week, effective, counted in found:
            weeks.setdefault(number, []).append((week, effective, counted))
    values: list[tuple[Any, ...]] = [(*row[1:], tuple(weeks.get(row[0], ()))) for row in rows]
    return [ClassLine(*one) for one in values]


def terms(connection: duckdb.DuckDBPyConnection, root: Path, rule: str) -> list[str]:
    """Labels of the terms that the files hold, newest first."""
    files = sorted(str(path) for path in (root / rule).glob("classes-*.parquet"))
    if not files:
        return []
    found = connection.execute("SELECT DISTINCT term FROM read_parquet($files)", {"files": files}).fetchall()
    return sorted({term_label(row[0]) for row in found}, reverse=True)
