"""Counting over all schools (全区统计): result files in Parquet, read in memory by DuckDB; nobody holds a database file open.

``<data_dir>/region/results/<rule>/classes-NN.parquet`` and ``weeks-NN.parquet``: schools by their number modulo BUCKETS, rewritten where a
school has new results, each by one rename. ``schools.parquet``: names and state of the schools.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask_babel import lazy_gettext as _l

from lms.core.errors import Refused
from lms.core.stages import STAGES

if TYPE_CHECKING:
    import duckdb

BUCKETS = 16
CLASSES_A_SCHOOL = 4096
GRADES_A_STAGE = (
    16  # ``band`` = place of the stage (1–3) * 16 + grade: one small number for the scan of millions of weeks
)
KINDS = ("classes", "weeks")
THREADS = 2

_READ = (
    "read_json(?, format='newline_delimited', maximum_object_size=67108864, columns={school: 'INTEGER', verdict: 'VARCHAR', without_flags: 'VARCHAR',"
    " version: 'VARCHAR', as_of: 'DATE', term: 'DATE', classes: 'STRUCT(\"index\" INTEGER, id VARCHAR, stage VARCHAR, grade UTINYINT, number USMALLINT,"
    ' "type" VARCHAR, verdict VARCHAR, effective USMALLINT, required USMALLINT, counted USMALLINT, raw USMALLINT, gap USMALLINT, needed USMALLINT,'
    ' "out" BOOLEAN, weeks JSON[])[]\'})'
)
_EACH = (
    f"SELECT school, term, version, as_of, verdict AS school_verdict, without_flags, unnest(classes) AS c FROM {_READ}"
)
_BAND = f"(list_position({list(STAGES)}, c.stage) * {GRADES_A_STAGE} + c.grade)::UTINYINT"
_ROWS = {
    "classes": f'SELECT school, (school * {CLASSES_A_SCHOOL} + c."index")::INTEGER AS class, term, c.id AS id, c.stage AS stage, c.grade AS grade,'
    ' c.number AS number, c."type" AS type, c.verdict AS verdict, c.effective AS effective, c.required AS required, c.counted AS counted,'
    ' c.raw AS raw, c.gap AS gap, c.needed AS needed, c."out" AS out, school_verdict, without_flags, version, as_of,'
    f" {_BAND} AS band FROM ({_EACH})",
    "weeks": "SELECT school, class, term, band, (w->>0)::DATE AS week, (w->>1)::UTINYINT AS effective, (w->>2)::UTINYINT AS required,"
    f' (w->>3)::UTINYINT AS counted, (w->>4)::UTINYINT AS raw FROM (SELECT school, (school * {CLASSES_A_SCHOOL} + c."index")::INTEGER AS class,'
    f" term, {_BAND} AS band, unnest(c.weeks) AS w FROM ({_EACH}))",
}
_ORDER = {"classes": "school, class, term", "weeks": "school, class, term, week"}


def connect() -> duckdb.DuckDBPyConnection:
    """A connection in memory on two threads; Refused (``no-duckdb``) where it is not installed."""
    try:
        import duckdb
    except ImportError as error:
        raise Refused(
            "no-duckdb",
            _l("统计需要 DuckDB。"),
            remedy=_l("请在服务器上按安装说明装齐锁定文件（requirements.lock）里的组件，然后重新启动。"),
        ) from error
    made = duckdb.connect(":memory:", config={"threads": THREADS})
    made.execute("SET enable_progress_bar = false")
    return made


class Results:
    """The result files of one rule below ``folder``."""

    def __init__(self, folder: Path, rule: str) -> None:
        self.root = folder
        self.folder = folder / rule

    def files(self, kind: str) -> list[str]:
        """The files of ``classes`` or ``weeks``."""
        return sorted(str(path) for path in self.folder.glob(f"{kind}-*.parquet"))

    def refresh(self, payloads: Mapping[int, Sequence[Mapping[str, Any]]]) -> int:
        """Put the results of some schools (number → payloads, one a term) into the files, replacing theirs; returns files written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        buckets: dict[int, list[int]] = {}
        for number in payloads:
            buckets.setdefault(number % BUCKETS, []).append(number)
        with connect() as connection:
            for bucket, numbers in buckets.items():
                self._rewrite(connection, bucket, {number: payloads[number] for number in numbers})
        return len(buckets) * len(KINDS)

    def _rewrite(
        self, connection: duckdb.DuckDBPyConnection, bucket: int, payloads: Mapping[int, Sequence[Mapping[str, Any]]]
    ) -> None:
        lines = self.folder / f".new-{bucket:02d}-{os.getpid()}.ndjson"
        with lines.open("w", encoding="utf-8") as out:
            for number, terms in payloads.items():
                out.writelines(json.dumps({"school": number, **term}, ensure_ascii=False) + "\n" for term in terms)
        drafts = []
        for kind in KINDS:
            path = self.folder / f"{kind}-{bucket:02d}.parquet"
            draft = path.with_suffix(f".{os.getpid()}")
            fresh = f"SELECT * FROM ({_ROWS[kind]})"
            values: list[Any] = [str(lines)]
            if path.exists():
                fresh = f"SELECT * FROM read_parquet(?) WHERE NOT list_contains(?, school) UNION ALL BY NAME {fresh}"
                values = [str(path), list(payloads), *values]
            connection.execute(f"CREATE OR REPLACE TEMP TABLE fresh AS {fresh}", values)
            write_parquet(connection, f"SELECT * FROM fresh ORDER BY {_ORDER[kind]}", draft)
            drafts.append((draft, path))
        lines.unlink()
        for draft, path in drafts:
            draft.replace(path)

    @property
    def schools(self) -> Path:
        """The file of names and state."""
        return self.root / "schools.parquet"

    def put_schools(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rewrite ``schools.parquet``: number, name, code, office, stages, handed, waiting, refused (dates ISO or None)."""
        write_schools(self.root, rows)


def write_parquet(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """Write a query's rows."""
    target = str(path).replace("'", "''")
    connection.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


def write_schools(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Rewrite ``schools.parquet`` by one rename."""
    folder.mkdir(parents=True, exist_ok=True)
    lines, draft = folder / f".schools-{os.getpid()}.ndjson", folder / f".schools-{os.getpid()}.parquet"
    with lines.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    columns = "{school: 'INTEGER', name: 'VARCHAR', code: 'VARCHAR', office: 'INTEGER', stages: 'VARCHAR[]', handed: 'DATE', gaps: 'BOOLEAN', refused: 'BOOLEAN'}"
    with connect() as connection:
        made = connection.execute(
            f"CREATE TEMP TABLE s AS SELECT * FROM read_json(?, format='newline_delimited', columns={columns})",
            [str(lines)],
        )
        write_parquet(made, "SELECT * FROM s ORDER BY school", draft)
    lines.unlink()
    draft.replace(folder / "schools.parquet")
