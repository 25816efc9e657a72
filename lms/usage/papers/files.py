"""A sheet as Excel, CSV, JSON or PDF (导出)."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO
from typing import Any

from flask import render_template
from flask_babel import gettext as _

from lms.core import paper
from lms.core.qr import drawn
from lms.usage.papers.columns import COLUMNS
from lms.usage.papers.sheets import TITLES, Sheet

STYLE = "css/papers.css"


def table(found: Sheet) -> tuple[list[str], list[list[Any]]]:
    """Head and rows, with the number of the row first and without the column for signatures."""
    columns = [column for column in COLUMNS[found.kind] if column.key != "signature"]
    head = [_("序号"), *(str(column.title) for column in columns)]
    return head, [[number, *(column.text(line) for column in columns)] for number, line in enumerate(found.lines, 1)]


def as_csv(found: Sheet) -> bytes:
    """UTF-8 with byte order mark, as Excel and WPS want it; a cell that begins like a formula gets an apostrophe."""
    out = StringIO()
    writer = csv.writer(out)
    head, rows = table(found)
    writer.writerow(head)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def _plain(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell


def as_json(found: Sheet) -> bytes:
    """The same with stable keys, the code and the signed root."""
    columns = [column for column in COLUMNS[found.kind] if column.key != "signature"]
    document = {
        "sheet": found.kind,
        "school": {"name": found.school.organisation.name, "code": found.school.organisation.code},
        "month": f"{found.month:%Y-%m}",
        "room": found.room.name if found.room else None,
        "code": found.code,
        "root": {"day": found.root.day.isoformat(), "root": found.root.root} if found.root else None,
        "lessons": [
            {"record": str(line.record_id)} | {column.key: column.text(line) for column in columns}
            for line in found.lines
        ],
        "totals": {
            "lessons": len(found.lines),
            "class_hours": found.hours,
            "classes": found.classes,
            "counted": found.counted,
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=2).encode()


def as_xlsx(found: Sheet, *, simulated: bool) -> bytes:
    """One sheet, ready to print."""
    from openpyxl import Workbook

    from lms.usage.export import add_sheet

    book = Workbook()
    book.remove(book.worksheets[0])
    head, rows = table(found)
    widths = [6, *(max(8, column.width // 2) for column in COLUMNS[found.kind] if column.key != "signature")]
    title = [
        f"{found.school.organisation.name} {TITLES[found.kind]}",
        month_text(found),
        _("核对编号 %(code)s", code=found.printed_code),
    ]
    if simulated:
        title.append(_("示范数据：数据与设备均为模拟，不作为开课证明。"))
    add_sheet(book, f"{found.month:%Y-%m}", title, head, rows, widths=widths)
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def as_pdf(*found: Sheet) -> bytes:
    """The printed pages themselves, one sheet after another; raises Refused (``no-pdf``)."""
    pages = [page_of(one) for one in found]
    return paper.pdf(render_template("papers/pdf.html", pages=pages, title=pages[0]["title"]), STYLE)


def page_of(found: Sheet) -> dict[str, Any]:
    """What the template of a sheet needs."""
    return {
        "sheet": found,
        "columns": COLUMNS[found.kind],
        "title": TITLES[found.kind],
        "month_text": month_text(found),
        "qr": drawn([found.seal])[0],
    }


def month_text(found: Sheet) -> str:
    """``2026年11月 · AI 实验室``."""
    month = _("%(year)s年%(month)s月", year=found.month.year, month=found.month.month)
    return f"{month} · {found.room.name}" if found.room else month
