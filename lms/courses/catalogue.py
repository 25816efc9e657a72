"""A textbook's catalogue from Excel (教材目录导入): 册, 课次, 课题; read first, stored later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid
from lms.roster.intake.sheets import read_sheets

VOLUME = {"册", "册次", "分册", "教材", "年级册别"}
CODE = {"课次", "课号", "编号", "序号", "代码"}
TITLE = {"课题", "课", "标题", "课名", "名称", "内容"}
MAX_ROWS = 500


@dataclass(frozen=True)
class CatalogueRow:
    """One row: sheet row number from 1, what it says, what is wrong (empty if nothing)."""

    row: int
    volume: str
    code: str
    title: str
    problem: str = ""


def read_catalogue(path: Path) -> list[CatalogueRow]:
    """Rows below the header (found in the first ten rows; a volume written once goes on downwards).

    Raises Invalid where the file is no Excel file, unpacks too large or has no header.
    """
    rows = next((sheet.rows for sheet in read_sheets(path.read_bytes(), path.name)), ())
    if len(rows) > MAX_ROWS + 10:
        raise Invalid("catalogue-rows", _l("行数太多（最多 %(n)d 行）。", n=MAX_ROWS))
    table = [(row.number, [cell.text for cell in row.cells]) for row in rows]
    for index, (_number, row) in enumerate(table[:10]):
        columns = {name: _find(row, names) for name, names in (("volume", VOLUME), ("code", CODE), ("title", TITLE))}
        if None not in (columns["volume"], columns["title"]):
            return _rows(table[index + 1 :], columns)
    raise Invalid("catalogue-header", _l("没有找到表头：需要“册次”和“课题”两列。"), remedy=_l("请参照示例表补上表头。"))


def _find(row: list[str], names: set[str]) -> int | None:
    return next((index for index, value in enumerate(row) if value.replace(" ", "") in names), None)


def _rows(table: list[tuple[int, list[str]]], columns: dict[str, int | None]) -> list[CatalogueRow]:
    rows: list[CatalogueRow] = []
    volume, seen, counts = "", set[str](), dict[str, int]()
    for number, row in table:
        def get(name: str, row: list[str] = row) -> str:
            column = columns[name]
            return row[column] if column is not None and column < len(row) else ""

        volume = get("volume") or volume
        title = get("title")
        counts[volume] = counts.get(volume, 0) + 1
        code = get("code")
        code = code if volume and code.startswith(volume) else f"{volume}-{code or counts[volume]}"
        problem = "缺少册次" if not volume else "缺少课题" if not title else f"课次重复：{code}" if code in seen else ""
        problem = problem or ("课题超过 120 字" if len(title) > 120 else "册次或课次太长" if len(volume) > 24 or len(code) > 32 else "")
        seen.add(code)
        rows.append(CatalogueRow(number, volume, code, title, problem))
    if len(rows) > MAX_ROWS:
        raise Invalid("catalogue-rows", _l("行数太多（最多 %(n)d 行）。", n=MAX_ROWS))
    return rows
