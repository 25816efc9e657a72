"""The question "which classes, which schools" over 10,000 schools, beside the bare SELECT on the same Parquet files in the same run.

``python -m tests.bench.regional [SCHOOLS]`` prints the row ``regional`` of ``build/bench.json``.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from lms.region import questions, synthetic
from lms.region.counting import Results, connect
from lms.region.results import payload_of
from lms.usage import policies

ROUNDS = 7
RECOMPUTED = 500
SHOWN = 50

# What somebody would write by hand: a class is behind with fewer lessons than one in two effective weeks; a school stands with two
# grades of two classes; the fifty worst, and their classes.
BARE_SCHOOLS = """
WITH class AS (SELECT school, class, any_value(band) AS grade, sum(counted) >= sum(required) AS ok FROM read_parquet({files}) GROUP BY school, class),
grade AS (SELECT school, grade, count(*) AS classes, count(*) FILTER (ok) AS met FROM class GROUP BY school, grade)
SELECT school, sum(classes) AS classes, sum(met) AS met, count(*) FILTER (met >= 2) >= 2 AS spread FROM grade GROUP BY school
ORDER BY spread, (sum(classes) - sum(met)) / sum(classes) DESC, sum(classes) - sum(met) DESC, school LIMIT {limit}
"""
BARE_CLASSES = """
SELECT school, class, any_value(band), sum(effective), sum(required), sum(counted) FROM read_parquet({files})
WHERE school IN ({schools}) GROUP BY school, class HAVING sum(counted) < sum(required) ORDER BY school, class
"""


def ours(root: Path) -> tuple[list[int], list[tuple[Any, ...]]]:
    """The product's own way, from opening the files to plain rows: the worst schools and their classes that are behind."""
    policy = policies.policy(synthetic.RULE)
    asked = questions.Asked(rule=policy.name, least=policy.parameters.blocks.least_weeks)
    weeks = Results(root, policy.name).files("weeks")
    with connect() as connection:
        _totals, schools = questions.schools_by_weeks(connection, weeks, asked, SHOWN)
        numbers = [row[0] for row in schools]
        return numbers, questions.classes_behind(connection, weeks, asked, numbers)


def bare(root: Path) -> tuple[list[int], list[tuple[Any, ...]]]:
    """The same by two SELECTs and nothing else."""
    files = [str(path) for path in sorted((root / synthetic.RULE).glob("weeks-*.parquet"))]
    with duckdb.connect(":memory:", config={"threads": 2}) as connection:
        numbers = [row[0] for row in connection.execute(BARE_SCHOOLS.format(files=files, limit=SHOWN)).fetchall()]
        classes = connection.execute(BARE_CLASSES.format(files=files, schools=", ".join(map(str, numbers)))).fetchall()
    return numbers, classes


def in_turns(*doers: Callable[[], Any]) -> list[float]:
    """Median milliseconds of each, measured in turns so that a busy machine hits all alike."""
    times: list[list[float]] = [[] for _ in doers]
    for doer in doers:
        doer()
    for _ in range(ROUNDS):
        for index, doer in enumerate(doers):
            began = time.perf_counter()
            doer()
            times[index].append(1000 * (time.perf_counter() - began))
    return [statistics.median(one) for one in times]


def rows_of(root: Path, kind: str, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
    """What the files hold of some schools."""
    with connect() as connection:
        query = "SELECT * FROM read_parquet($files) WHERE list_contains($schools, school) ORDER BY ALL"
        return connection.execute(
            query, {"files": Results(root, synthetic.RULE).files(kind), "schools": list(numbers)}
        ).fetchall()


def recomputed(root: Path, plan: synthetic.Plan, count: int) -> dict[str, Any]:
    """Some schools judged anew by the rules engine from their lessons, and written by the product's own refresh."""
    numbers = list(range(1, plan.schools + 1, max(1, plan.schools // count)))[:count]
    with connect() as connection:
        taught = synthetic.sessions(connection, numbers, plan)
    policy = policies.policy(synthetic.RULE)
    results = {
        number: policies.evaluate(synthetic.facts_of(number, taught[number], plan), policy) for number in numbers
    }
    with connect() as connection:
        asked = questions.Asked(rule=policy.name, least=policy.parameters.blocks.least_weeks)
        files = Results(root, policy.name).files("weeks")
        _totals, found = questions.schools_by_weeks(connection, files, asked, plan.schools)
        late = questions.classes_behind(connection, files, asked, numbers)
    counted = {row[0]: row[1:] for row in found}
    behind = {f"c{row[1]}": row[3:] for row in late}
    wrong = []
    for number, result in results.items():
        met = sum(one.verdict == "met" for one in result.classes)
        same = counted[number] == (len(result.classes), met, len(result.classes) - met, result.verdict == "met")
        same = same and all(
            behind.get(one.cohort.id)
            == (None if one.verdict == "met" else (len(one.effective), one.required, one.counted))
            for one in result.classes
        )
        wrong += [] if same else [number]
    before = {kind: rows_of(root, kind, numbers) for kind in ("classes", "weeks")}
    began = time.perf_counter()
    Results(root, policy.name).refresh({number: [payload_of(result)] for number, result in results.items()})
    refresh_s = time.perf_counter() - began
    equal = all(before[kind] == rows_of(root, kind, numbers) for kind in before)
    return {
        "schools": len(numbers),
        "disagree": wrong,
        "files_equal_after_refresh": equal,
        "refresh_s": round(refresh_s, 2),
    }


def measure(folder: Path, plan: synthetic.Plan = synthetic.Plan(), count: int = RECOMPUTED) -> dict[str, Any]:  # noqa: B008 (frozen)
    """The row ``regional``."""
    root = folder / "results"
    began = time.perf_counter()
    synthetic.generate(root, plan)
    generated_s = time.perf_counter() - began
    assert ours(root) == bare(root)
    ours_ms, duckdb_ms = in_turns(lambda: ours(root), lambda: bare(root))

    def page() -> questions.Table:
        with connect() as connection:
            return questions.table(connection, root, questions.Asked(rule=synthetic.RULE), plan.last_day, page=3)

    (page_ms,) = in_turns(page)
    checked = recomputed(root, plan, count)
    return {
        "facts": plan.schools * plan.classes * plan.weeks,
        "schools": plan.schools,
        "ours_ms": round(ours_ms, 1),
        "duckdb_ms": round(duckdb_ms, 1),
        "ratio": round(ours_ms / duckdb_ms, 2),
        "refresh_s": checked.pop("refresh_s"),
        "page_ms": round(page_ms, 1),
        "generate_s": round(generated_s, 1),
        "size_mb": round(sum(path.stat().st_size for path in root.rglob("*.parquet")) / 1e6, 1),
        "recomputed": checked,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="zhike-region-") as made:
        size = int(sys.argv[1]) if len(sys.argv) > 1 else synthetic.Plan().schools
        print(json.dumps(measure(Path(made), synthetic.Plan(schools=size), min(RECOMPUTED, size)), ensure_ascii=False))
