"""The little of PDF that scans need (扫描件 PDF): pictures of a scanner's file, its pages, and a file made of pictures; pure.

Source: ISO 32000-1, 7.3.8 and 8.9. A scanner writes each page as one picture; what is drawn otherwise is for a program that draws PDF.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_STREAM = re.compile(rb"<<((?:[^<>]|<<(?:[^<>]|<<[^<>]*>>)*>>|<[0-9A-Fa-f\s]*>)*)>>\s*stream\r?\n", re.DOTALL)
A4 = (595.28, 841.89)
UNPACKED = 120_000_000


@dataclass(frozen=True)
class Picture:
    """A picture of a page: ``jpeg``: bytes of a JPEG file; else raw samples of ``channels`` bytes a pixel."""

    width: int
    height: int
    channels: int
    jpeg: bool
    data: bytes


def _streams(pdf: bytes) -> Iterator[tuple[bytes, bytes]]:
    for found in _STREAM.finditer(pdf):
        end = pdf.find(b"endstream", found.end())
        if end > 0:
            yield found[1], pdf[found.end() : end]


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, UNPACKED)
    except zlib.error:
        return b""


def page_count(pdf: bytes) -> int:
    """How many pages it has, 0 where that cannot be told."""
    texts = [pdf, *(_unpacked(data) for head, data in _streams(pdf) if b"/ObjStm" in head)]
    return max(
        (
            int(one)
            for text in texts
            for one in re.findall(rb"/Type\s*/Pages\b[^>]*?/Count\s+(\d+)|/Count\s+(\d+)[^>]*?/Type\s*/Pages\b", text)
            for one in one
            if one
        ),
        default=0,
    )


def is_encrypted(pdf: bytes) -> bool:
    """Whether it needs a password."""
    return b"/Encrypt" in pdf[-4096:] or b"/Encrypt" in pdf[:4096]


def pictures_of(pdf: bytes) -> list[Picture]:
    """Its large pictures in the order of the file: JPEG, and plain grey or RGB; a picture packed otherwise is left out."""
    found = []
    for head, data in _streams(pdf):
        if not re.search(rb"/Subtype\s*/Image\b", head):
            continue
        width, height = (_number(head, key) for key in (b"Width", b"Height"))
        if width * height < 200_000:  # a logo, a soft mask
            continue
        filters = re.findall(rb"/(DCT|Flate|CCITTFax|JBIG2|JPX|LZW|RunLength)Decode", head)
        if filters == [b"DCT"]:
            found.append(Picture(width, height, 3, True, data.rstrip(b"\r\n")))
        elif filters == [b"Flate"] and _number(head, b"BitsPerComponent") == 8 and b"/Predictor" not in head:
            raw = _unpacked(data)
            if len(raw) in (width * height, width * height * 3):
                found.append(Picture(width, height, len(raw) // (width * height), False, raw))
    return found


def _number(head: bytes, key: bytes) -> int:
    found = re.search(rb"/" + key + rb"\s+(\d+)", head)
    return int(found[1]) if found else 0


def of_pictures(pages: Sequence[tuple[bytes, int, int]]) -> bytes:
    """A PDF with a JPEG (bytes, width, height in pixels; colour) on each page, A4 upright or turned."""
    bodies: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    for jpeg, width, height in pages:
        across, down = A4 if height >= width else A4[::-1]
        scale = min(across / width, down / height)
        w, h = width * scale, height * scale
        number = len(bodies) + 1
        kids.append(b"%d 0 R" % number)
        drawn = f"q {w:.2f} 0 0 {h:.2f} {(across - w) / 2:.2f} {(down - h) / 2:.2f} cm /P Do Q".encode()
        bodies += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {across:.2f} {down:.2f}] /Contents {number + 1} 0 R /Resources << /XObject << /P {number + 2} 0 R >> >> >>".encode(),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
            b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode /Length %d >>\nstream\n%s\nendstream"
            % (width, height, len(jpeg), jpeg),
        ]
    bodies[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(kids))
    made, places = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        made
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(bodies) + 1, table, len(bodies) + 1, len(made))
    )
