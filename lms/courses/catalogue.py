"""A textbook's catalogue from Excel (教材目录导入): 册, 课次, 课题; read first, stored later."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid

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

    Raises Invalid where the file is no xlsx or has no header.
    """
    from openpyxl import load_workbook  # 25 MiB that only an import needs
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        sheet = load_workbook(BytesIO(path.read_bytes()), read_only=True, data_only=True).worksheets[0]
        table = [[_cell(value) for value in row] for row in sheet.iter_rows(max_row=MAX_ROWS + 10, max_col=12, values_only=True)]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, OSError, ValueError) as error:
        raise Invalid("catalogue-file", _l("这不是 Excel（.xlsx）文件，或文件已损坏。"), remedy=_l("请在 Excel 或 WPS 里另存为 .xlsx。")) from error
    for index, row in enumerate(table[:10]):
        columns = {name: _find(row, names) for name, names in (("volume", VOLUME), ("code", CODE), ("title", TITLE))}
        if None not in (columns["volume"], columns["title"]):
            return _rows(table[index + 1 :], index + 2, columns)
    raise Invalid("catalogue-header", _l("没有找到表头：需要“册次”和“课题”两列。"), remedy=_l("请参照示例表补上表头。"))


def _cell(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else " ".join(str(value).split())


def _find(row: list[str], names: set[str]) -> int | None:
    return next((index for index, value in enumerate(row) if value.replace(" ", "") in names), None)


def _rows(table: list[list[str]], first: int, columns: dict[str, int | None]) -> list[CatalogueRow]:
    rows: list[CatalogueRow] = []
    volume, seen, counts = "", set[str](), dict[str, int]()
    for offset, row in enumerate(table):
        def get(name: str, row: list[str] = row) -> str:
            column = columns[name]
            return row[column] if column is not None and column < len(row) else ""

        if not any(row):
            continue
        volume = get("volume") or volume
        title = get("title")
        counts[volume] = counts.get(volume, 0) + 1
        code = get("code")
        code = code if volume and code.startswith(volume) else f"{volume}-{code or counts[volume]}"
        problem = "缺少册次" if not volume else "缺少课题" if not title else f"课次重复：{code}" if code in seen else ""
        problem = problem or ("课题超过 120 字" if len(title) > 120 else "册次或课次太长" if len(volume) > 24 or len(code) > 32 else "")
        seen.add(code)
        rows.append(CatalogueRow(first + offset, volume, code, title, problem))
    if len(rows) > MAX_ROWS:
        raise Invalid("catalogue-rows", _l("行数太多（最多 %(n)d 行）。", n=MAX_ROWS))
    return rows
