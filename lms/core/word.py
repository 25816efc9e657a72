"""Word documents in the layout of official papers (公文): margins, faces and sizes of GB/T 9704-2012.

Fonts are named, never shipped: a machine without 方正小标宋 or 仿宋_GB2312 shows its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docx.document import Document

SONG_TITLE, FANGSONG, HEI = "方正小标宋简体", "仿宋_GB2312", "黑体"
SIZE_2, SIZE_3, SIZE_5 = 22, 16, 10.5
MARGINS_MM = (37, 26, 35, 28)  # top, right, bottom, left: GB/T 9704-2012, 5.2.1


def new_paper() -> Document:
    """An empty A4 document with body 三号 仿宋."""
    from docx import Document as make
    from docx.oxml.ns import qn
    from docx.shared import Mm, Pt

    document = make()
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.top_margin, section.right_margin, section.bottom_margin, section.left_margin = (
        Mm(each) for each in MARGINS_MM
    )
    style: Any = document.styles["Normal"]
    style.font.name, style.font.size = "Times New Roman", Pt(SIZE_3)
    style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), FANGSONG)
    style.paragraph_format.line_spacing = Pt(28.5)
    return document


def write_title(document: Document, text: str) -> None:
    """The title: 二号 小标宋, centred."""
    from docx.enum.text import WD_ALIGN_PARAGRAPH

    paragraph = document.add_paragraph()
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    _run(paragraph, text, SONG_TITLE, SIZE_2)


def write_line(document: Document, text: str, face: str = FANGSONG, size: float = SIZE_3) -> None:
    """A paragraph."""
    _run(document.add_paragraph(), text, face, size)


def write_table(
    document: Document, head: Sequence[str], rows: Sequence[Sequence[str]], widths_mm: Sequence[float]
) -> None:
    """A table with lines; head 黑体, cells 五号; the head comes again on each page."""
    from docx.oxml import OxmlElement
    from docx.shared import Mm, Pt

    table = document.add_table(rows=0, cols=len(head))
    table.style = "Table Grid"
    table.autofit = False
    for number, row in enumerate([head, *rows]):
        cells = table.add_row().cells
        for cell, text, width in zip(cells, row, widths_mm, strict=True):
            cell.width = Mm(width)
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.line_spacing = Pt(16)
            _run(paragraph, text, FANGSONG if number else HEI, SIZE_5)
    table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))


def saved(document: Document) -> bytes:
    """The document's bytes."""
    stream = BytesIO()
    document.save(stream)
    return stream.getvalue()


def _run(paragraph: Any, text: str, face: str, size: float) -> None:
    from docx.oxml.ns import qn
    from docx.shared import Pt

    run = paragraph.add_run(text)
    run.font.size = Pt(size)
    run.font.name = "Times New Roman"
    run._element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), face)
