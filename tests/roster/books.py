"""Makes Excel files for tests."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import xlwt
from openpyxl import Workbook, load_workbook

HEAD = ("学号", "姓名", "性别", "年级", "班级", "座号", "学籍号", "监护人姓名", "监护人手机")


def xlsx(rows: Iterable[Sequence[Any]], *, sheet: str = "名单", more: dict[str, list[Sequence[Any]]] | None = None, hidden: Sequence[str] = ()) -> bytes:
    """A workbook of plain rows; a value that begins with = is a formula."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, content in {sheet: list(rows), **(more or {})}.items():
        page = book.create_sheet(name)
        for row in content:
            page.append(list(row))
        if name in hidden:
            page.sheet_state = "hidden"
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def xls(rows: Iterable[Sequence[Any]], sheet: str = "名单") -> bytes:
    """The same in the old format."""
    book = xlwt.Workbook()
    page = book.add_sheet(sheet)
    for at, row in enumerate(rows):
        for index, value in enumerate(row):
            if value is not None:
                page.write(at, index, value)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def rows_of(data: bytes) -> dict[str, list[list[Any]]]:
    """Values of a workbook by sheet."""
    book = load_workbook(io.BytesIO(data))
    return {sheet.title: [[cell.value for cell in row] for row in sheet.iter_rows()] for sheet in book.worksheets}
