"""Documents with the code of each page that will be sealed (盖章版打印件): in PDF page by page, in Word on the cover or in every footer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from io import BytesIO
from typing import Any

from flask import render_template

from lms.core import paper, qr
from lms.programmes.layout import Paper
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.pack import Document, Pack
from lms.programmes.sealing.pdfs import page_count
from lms.programmes.sealing.rules import ANY, Mark
from lms.programmes.sealing.service import code_of, mark_of

SIZE_MM = 26
STYLES = "css/programmes-paper.css"


def code_now(found: Application, document: Document, make: Callable[[], Paper]) -> str:
    """Content code of a document: of what was written and collected; figures of the system, which move by the day, are left out."""
    pack = pack_of(found)
    form = pack.form(document["form"])
    if "append" not in form and not any("collect" in part for part in form["parts"]):
        return code_of(found, pack, document, {})
    return code_of(found, pack, document, {"blocks": [asdict(one) for one in make().blocks if one.kind != "note"]})


def as_sealed_pdf(found: Application, document: Document, made: Paper) -> bytes:
    """PDF whose pages that will be sealed carry their code; raises Refused (``no-pdf``)."""
    pack, code = pack_of(found), code_now(found, document, lambda: made)
    pages = 1
    if "all" in document["sealed"]:
        pages = page_count(_printed(made, [mark_of(found, pack, document, code, ANY, 0)])) or 1
    return _printed(made, [mark_of(found, pack, document, code, number, pages) for number in range(1, pages + 1)])


def _printed(made: Paper, marks: list[Mark]) -> bytes:
    codes = list(zip(marks, qr.drawn([one.text for one in marks]), strict=True))
    return paper.pdf(render_template("programmes/paper.html", paper=made, marks=codes), STYLES)


def with_codes(document: Any, found: Application, described: Document, made: Paper) -> None:
    """Put the code into a Word document: above the end of its cover, or into every footer alike."""
    pack: Pack = pack_of(found)
    code = code_now(found, described, lambda: made)
    everywhere = "all" in described["sealed"]
    mark = mark_of(found, pack, described, code, ANY, 0) if everywhere else mark_of(found, pack, described, code, 1, 1)
    if everywhere:
        paragraph = document.sections[0].footer.add_paragraph()
    else:
        breaks = [one for one in document.paragraphs if 'w:type="page"' in one._p.xml]
        paragraph = breaks[0].insert_paragraph_before() if breaks else document.add_paragraph()
    _draw(paragraph, mark)


def _draw(paragraph: Any, mark: Mark) -> None:
    import segno
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Mm, Pt

    stream = BytesIO()
    segno.make(mark.text, error="m", micro=False, boost_error=False).save(stream, kind="png", scale=8, border=4)
    paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    paragraph.paragraph_format.line_spacing = 1.0
    run = paragraph.add_run(f"{mark.said}  ")
    run.font.size = Pt(8)
    paragraph.add_run().add_picture(BytesIO(stream.getvalue()), width=Mm(SIZE_MM))
