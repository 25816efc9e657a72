"""An uploaded Excel file as plain rows (读取表格): .xlsx and .xls, limits checked before parsing, nothing executed or fetched."""

from __future__ import annotations

import io
import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from typing import Any, Final

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid
from lms.roster.intake.cells import EMPTY, Cell, Row, Sheet

MAX_FILE_BYTES: Final = 10 * 1024 * 1024
MAX_UNPACKED_BYTES: Final = 80 * 1024 * 1024
MAX_PARTS: Final = 1000
MAX_ROWS: Final = 5000
MAX_COLUMNS: Final = 60
MAX_CELL: Final = 200
MAX_EMPTY_RUN: Final = 500

_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,  # ElementTree's ParseError and lxml's XMLSyntaxError are such
    EOFError,
    KeyError,
    IndexError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    NotImplementedError,
    struct.error,
    RecursionError,
)
"""What openpyxl and xlrd raise on files that are broken inside; each becomes the same refusal."""


def read_sheets(data: bytes, file_name: str) -> list[Sheet]:
    """Sheets of an uploaded file in their order.

    Raises Invalid (code ``file-…``, ``where`` the file name) for what is no Excel file, is encrypted, packed too large, or holds more
    than 5,000 rows a sheet.
    """
    if not data:
        raise _refusal("file-empty", _l("文件是空的。"), _l("请重新选择文件。"), file_name)
    if len(data) > MAX_FILE_BYTES:
        raise _refusal("file-large", _l("文件超过 10 MB。"), _l("名单文件通常不到 1 MB；请删去图片和无关的工作表后再导入。"), file_name)
    if data[:4] == b"PK\x03\x04":
        _check_zip(data, file_name)
        return _nonempty(_read_xlsx(data, file_name))
    if data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise _encrypted(file_name)
        return _nonempty(_read_xls(data, file_name))
    head = data[:2000].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if head.startswith((b"<html", b"<table", b"<!doctype html", b"<?xml", b"<meta")):
        raise _refusal("file-web", _l("这是网页格式的表格，只是名字像 Excel。"), _l("请用 Excel 或 WPS 打开它，另存为“Excel 工作簿（.xlsx）”后再导入。"), file_name)
    raise _refusal("file-not-excel", _l("这不是 Excel 文件。"), _l("请选择 .xlsx 或 .xls 文件；CSV 或图片请先用 Excel 或 WPS 另存为 .xlsx。"), file_name)


def _refusal(code: str, message: Any, remedy: Any, file_name: str) -> Invalid:
    return Invalid(code, message, remedy=remedy, where=file_name)


def _broken(file_name: str) -> Invalid:
    return _refusal("file-broken", _l("文件已损坏，无法读取。"), _l("请用 Excel 或 WPS 打开并另存为新的 .xlsx 文件后再导入。"), file_name)


def _encrypted(file_name: str) -> Invalid:
    return _refusal("file-encrypted", _l("文件设有密码。"), _l("请在 Excel 或 WPS 中取消密码，保存后再导入。"), file_name)


def _check_zip(data: bytes, file_name: str) -> None:
    """Refuse zip bombs by the sizes that the archive declares (Python never unpacks more), other Office files, and XML with entities."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
                raise _refusal("file-bomb", _l("文件解压后过大，已拒绝读取。"), _l("请把名单复制到一个新的工作簿后再导入。"), file_name)
            names = {part.filename for part in parts}
            if "xl/workbook.bin" in names:
                raise _refusal("file-xlsb", _l("这是二进制工作簿（.xlsb）。"), _l("请另存为“Excel 工作簿（.xlsx）”后再导入。"), file_name)
            if "xl/workbook.xml" not in names:
                raise _refusal("file-not-excel", _l("这不是 Excel 文件。"), _l("请选择 .xlsx 或 .xls 文件。"), file_name)
            if any(part.flag_bits & 1 for part in parts):
                raise _encrypted(file_name)
            for part in parts:
                if part.filename.endswith((".xml", ".rels")) and _declares_entities(archive.read(part)):
                    raise _broken(file_name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, OSError, ValueError) as error:
        raise _broken(file_name) from error


def _declares_entities(xml: bytes) -> bool:
    plain = xml.replace(b"\x00", b"")  # UTF-16 too
    return b"<!DOCTYPE" in plain or b"<!ENTITY" in plain


def _nonempty(sheets: Iterable[Sheet]) -> list[Sheet]:
    return [sheet for sheet in sheets if sheet.rows]


def _read_xlsx(data: bytes, file_name: str) -> list[Sheet]:
    try:
        with_formulas = _xlsx_cells(data, formulas=True)
        results = _xlsx_cells(data, formulas=False) if any(cell.kind == "formula" for _n, _h, rows in with_formulas for row in rows for cell in row.cells) else None
    except _UNREADABLE as error:
        raise _broken(file_name) from error
    found = []
    for index, (name, hidden, rows) in enumerate(with_formulas):
        if len(rows) > MAX_ROWS + 20:
            raise _too_many(name, file_name)
        if results is not None:
            rows = _with_results(rows, results[index][2])
        found.append(Sheet(name, hidden, tuple(rows)))
    return found


def _too_many(sheet: str, file_name: str) -> Invalid:
    return _refusal(
        "file-rows",
        _l("工作表“%(sheet)s”超过 %(n)s 行。", sheet=sheet, n=MAX_ROWS),
        _l("请按年级拆成几个文件，分次导入。"),
        file_name,
    )


def _xlsx_cells(data: bytes, *, formulas: bool) -> list[tuple[str, bool, list[Row]]]:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=not formulas, keep_links=False)
    try:
        found = []
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # the declared size may be wrong
            cells = ([_xlsx_cell(cell) for cell in row] for row in sheet.iter_rows(max_col=MAX_COLUMNS))
            found.append((sheet.title, sheet.sheet_state != "visible", list(_filled(cells))))
        return found
    finally:
        book.close()


def _filled(rows: Iterable[list[Cell]]) -> Iterator[Row]:
    """Rows that hold something, with their numbers; stops after a long empty stretch and one row past the limit."""
    empty = kept = 0
    for number, cells in enumerate(rows, 1):
        while cells and cells[-1].kind == "empty":
            cells.pop()
        if not cells:
            empty += 1
            if empty > MAX_EMPTY_RUN:
                return
            continue
        empty = 0
        kept += 1
        yield Row(number, tuple(cells))
        if kept > MAX_ROWS + 20:
            return


def _xlsx_cell(cell: Any) -> Cell:
    value = cell.value
    if value is None:
        return EMPTY
    if cell.data_type == "e":
        return Cell(str(value)[:MAX_CELL], "error")
    if cell.data_type == "f" or (isinstance(value, str) and value.startswith("=") and cell.data_type != "s"):
        return Cell(str(value)[:MAX_CELL], "formula")
    return cell_of(value, str(getattr(cell, "number_format", "") or ""))


def cell_of(value: Any, number_format: str = "") -> Cell:
    """A value as a cell: whole numbers without .0, with the leading zeros that the format 0000 shows; dates as YYYY-MM-DD."""
    if value is None:
        return EMPTY
    if isinstance(value, bool):
        return Cell("TRUE" if value else "FALSE", "bool")
    if isinstance(value, (int, float)):
        whole = float(value).is_integer() and abs(value) < 1e21
        text = str(int(value)) if whole else repr(float(value))
        if re.fullmatch(r"0{2,}", number_format) and whole:
            text = text.zfill(len(number_format))
        return Cell(text, "number")
    if isinstance(value, datetime):
        return Cell(value.date().isoformat(), "date")
    if isinstance(value, date):
        return Cell(value.isoformat(), "date")
    if isinstance(value, time):
        return Cell(value.strftime("%H:%M"), "date")
    text = "".join(char for char in str(value) if unicodedata.category(char) not in ("Cc", "Cf") or char in "\t\n ")
    text = re.sub(r"\s+", " ", text.replace("\u3000", " ")).strip()
    return Cell(text[:MAX_CELL], "text") if text else EMPTY


def _with_results(rows: list[Row], results: list[Row]) -> list[Row]:
    """Formulas replaced by the results that the file stores; one without a result stays a formula."""
    by_number = {row.number: row.cells for row in results}
    fixed = []
    for row in rows:
        stored = by_number.get(row.number, ())
        cells = tuple(
            stored[index] if cell.kind == "formula" and index < len(stored) and stored[index].kind != "empty" else cell
            for index, cell in enumerate(row.cells)
        )
        fixed.append(Row(row.number, cells))
    return fixed


def _read_xls(data: bytes, file_name: str) -> list[Sheet]:
    import xlrd

    try:
        book = xlrd.open_workbook(file_contents=data, on_demand=True, logfile=io.StringIO())
    except xlrd.XLRDError as error:
        raise (_encrypted(file_name) if "encrypted" in str(error).lower() else _broken(file_name)) from error
    except (*_UNREADABLE, xlrd.compdoc.CompDocError) as error:
        raise _broken(file_name) from error
    found = []
    for index in range(book.nsheets):
        try:
            sheet = book.sheet_by_index(index)
            rows = list(_filled([_xls_cell(cell, book.datemode) for cell in sheet.row(at)[:MAX_COLUMNS]] for at in range(sheet.nrows)))
        except (*_UNREADABLE, xlrd.XLRDError) as error:
            raise _broken(file_name) from error
        if len(rows) > MAX_ROWS + 20:
            raise _too_many(sheet.name, file_name)
        found.append(Sheet(sheet.name, bool(sheet.visibility), tuple(rows)))
    return found


def _xls_cell(cell: Any, date_mode: int) -> Cell:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_ERROR:
        return Cell(xlrd.error_text_from_code.get(cell.value, "#ERR"), "error")
    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            return cell_of(xlrd.xldate_as_datetime(cell.value, date_mode))
        except (ValueError, OverflowError, xlrd.xldate.XLDateError):
            return cell_of(cell.value)
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return cell_of(bool(cell.value))
    return cell_of(cell.value if cell.ctype not in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK) else None)
