"""Files that people hand in are told by their bytes, and what unpacks too large is refused before anything reads it."""

from __future__ import annotations

import zipfile
from io import BytesIO

import pytest

from lms.core import blobs
from lms.core.errors import Invalid


def office(parts: dict[str, bytes]) -> bytes:
    """A zip with the parts given."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_office_files_are_told_by_what_is_inside() -> None:
    assert blobs.kind_of(office({"word/document.xml": b"<w:p/>"})) == "docx"
    assert blobs.kind_of(office({"xl/workbook.xml": b"<workbook/>"})) == "xlsx"
    assert blobs.kind_of(office({"word/document.xml": b"", "word/vbaProject.bin": b""})) == ""
    assert blobs.kind_of(b"PK\x03\x04 cut off") == ""


@pytest.mark.parametrize(
    "parts",
    [
        {"word/document.xml": b"<w:p/>" * 2_000_000},  # text: what reading takes twenty times of
        {"xl/workbook.xml": b"", "xl/worksheets/sheet1.xml": b"<c/>" * 11_000_000},
        {"word/document.xml": b"", **{f"word/media/{number}.bmp": bytes(30_000_000) for number in range(3)}},
        {"word/document.xml": b"", **{f"word/{number}": b"" for number in range(5001)}},
    ],
    ids=["text", "sheet", "pictures", "parts"],
)
def test_what_unpacks_too_large_is_refused(parts: dict[str, bytes]) -> None:
    data = office(parts)
    assert len(data) < 2_000_000
    with pytest.raises(Invalid, match="file-bomb") as refusal:
        blobs.check(data, ("docx", "xlsx"), blobs.LARGEST_MB, "附件.docx")
    assert refusal.value.where == "附件.docx"


def test_pictures_of_a_usual_report_are_not_too_large() -> None:
    parts = {"word/document.xml": b"<w:p/>" * 100_000, **{f"word/media/{number}.png": bytes(4_000_000) for number in range(8)}}
    assert blobs.check(office(parts), ("docx",), blobs.LARGEST_MB, "file") == "docx"
