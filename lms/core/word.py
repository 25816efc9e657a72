"""Word documents in the layout of official papers (公文): margins, faces and sizes of GB/T 9704-2012.

Fonts are named, never shipped: a machine without 方正小标宋 or 仿宋_GB2312 shows its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docx.document import Document

SONG_TITLE, FANGSONG, HEI, KAI, SONG = "方正小标宋简体", "仿宋_GB2312", "黑体", "楷体_GB2312", "宋体"
SIZE_2, SIZE_3, SIZE_4, SIZE_5 = 22, 16, 14, 10.5
MARGINS_MM = (37, 26, 35, 28)  # top, right, bottom, left: GB/T 9704-2012, 5.2.1


def new_paper(*, landscape: bool = False) -> Document:
    """An empty A4 document with body 三号 仿宋; ``landscape`` turns it, binding edge on top, as GB/T 9704-2012, 8 has wide tables."""
    from docx import Document as make
    from docx.enum.section import WD_ORIENT
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn
    from docx.shared import Mm, Pt

    document = make()
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.top_margin, section.right_margin, section.bottom_margin, section.left_margin = (
        Mm(each) for each in MARGINS_MM
    )
    if landscape:
        section.orientation, section.page_width, section.page_height = WD_ORIENT.LANDSCAPE, Mm(297), Mm(210)
        section.top_margin, section.right_margin, section.bottom_margin, section.left_margin = (
            Mm(28),
            Mm(37),
            Mm(26),
            Mm(35),
        )
    style: Any = document.styles["Normal"]
    style.font.name, style.font.size = "Times New Roman", Pt(SIZE_3)
    style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), FANGSONG)
    language = style.element.get_or_add_rPr().find(qn("w:lang"))
    if language is None:
        language = OxmlElement("w:lang")
        style.element.rPr.append(language)
    language.set(qn("w:eastAsia"), "zh-CN")  # how punctuation sits in its square
    style.paragraph_format.line_spacing = Pt(28.5)
    style.paragraph_format.space_before = style.paragraph_format.space_after = Pt(0)
    _number_pages(section)
    return document


def _number_pages(section: Any) -> None:
    """Page numbers 四号 宋体 between dashes (GB/T 9704-2012, 7.5)."""
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    paragraph = section.footer.paragraphs[0]
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    _run(paragraph, "— ", SONG, SIZE_4)
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), "PAGE")
    paragraph._p.append(field)
    _run(paragraph, "1", SONG, SIZE_4)
    field.append(paragraph.runs[-1]._r)
    _run(paragraph, " —", SONG, SIZE_4)


def write_title(document: Document, text: str) -> None:
    """The title: 二号 小标宋, centred, a line free above and below; a line break in it is kept."""
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Pt

    lines = text.split("\n")
    for number, line in enumerate(lines):
        paragraph = document.add_paragraph()
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        paragraph.paragraph_format.line_spacing = Pt(34)
        paragraph.paragraph_format.space_before = Pt(0 if number else SIZE_3)
        paragraph.paragraph_format.space_after = Pt(SIZE_3 if number == len(lines) - 1 else 0)
        _run(paragraph, line, SONG_TITLE, SIZE_2)


def write_line(
    document: Document,
    text: str,
    face: str = FANGSONG,
    size: float = SIZE_3,
    *,
    centred: bool = False,
    indented: bool = False,
) -> None:
    """A paragraph; ``indented``: its first line by two characters, as running text is."""
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Pt

    paragraph = document.add_paragraph()
    if indented:
        paragraph.paragraph_format.first_line_indent = Pt(2 * size)
    if size < SIZE_3:
        paragraph.paragraph_format.line_spacing = Pt(16)
    paragraph.paragraph_format.keep_with_next = face in (HEI, KAI)  # a heading never ends a page
    if centred:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    _run(paragraph, text, face, size)


def write_blank(document: Document, lines: int) -> None:
    """Empty lines, as a cover has them."""
    for _number in range(lines):
        document.add_paragraph()


def write_table(
    document: Document, head: Sequence[str], rows: Sequence[Sequence[str]], widths_mm: Sequence[float]
) -> None:
    """A table with lines; head 黑体 in the middle, cells 五号; the head comes again on each page. Without ``head`` the first cell of a row is its head."""
    from docx.enum.table import WD_ALIGN_VERTICAL
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml import OxmlElement
    from docx.shared import Mm, Pt

    table = document.add_table(rows=0, cols=len(widths_mm))
    table.style = "Table Grid"
    table.autofit = False
    for column, width in zip(table.columns, widths_mm, strict=True):
        column.width = Mm(width)
    for number, row in enumerate([head, *rows] if head else rows):
        cells = table.add_row().cells
        for place, (cell, text, width) in enumerate(zip(cells, row, widths_mm, strict=True)):
            cell.width, cell.vertical_alignment = Mm(width), WD_ALIGN_VERTICAL.CENTER
            heads = number == 0 if head else place == 0
            for line, part in enumerate(text.split("\n")):
                paragraph = cell.paragraphs[0] if line == 0 else cell.add_paragraph()
                paragraph.paragraph_format.line_spacing = Pt(16)
                if heads:
                    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
                _run(paragraph, part, HEI if heads else FANGSONG, SIZE_5)
    if head:
        for row_of in table.rows:
            row_of._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
        table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))


def new_page(document: Document) -> None:
    """Go on on a new page."""
    paragraphs: Any = document
    paragraphs.add_page_break()


def fitted(document: Document, widths: Sequence[float]) -> list[float]:
    """Widths in mm stretched or squeezed to the room between the margins."""
    section: Any = document.sections[0]
    room = (section.page_width - section.left_margin - section.right_margin) / 36_000
    return [width * room / sum(widths) for width in widths]


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
