"""Printed QR codes are read again by a reader of its own."""

from __future__ import annotations

import re

import pytest

from lms.core import qr


@pytest.mark.parametrize(
    "text",
    [
        "https://lab.school.test:8443/labs/device/lab1/07",
        "http://10.0.0.5/seat?code=123456",
        "https://智课.cn/labs/device/l/12",
    ],
)
def test_a_reader_reads_what_was_written(text: str) -> None:
    cv2 = pytest.importorskip("cv2")
    numpy = pytest.importorskip("numpy")
    (made,) = qr.drawn([text])
    found = re.search(r'viewBox="0 0 (\d+) \1"', made)
    assert found is not None
    picture = numpy.full((int(found[1]), int(found[1])), 255, numpy.uint8)
    lines = re.search(r'class="qrline"[^>]* d="([^"]+)"', made)
    assert lines is not None
    x = y = 0.0
    for pen, across, down in re.findall(r"([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?", lines[1]):
        if pen == "h":
            picture[int(y), int(x) : int(x + float(across))] = 0
        x, y = (float(across), float(down)) if pen == "M" else (x + float(across), y + float(down or 0))
    large = cv2.resize(picture, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    assert cv2.QRCodeDetector().detectAndDecode(large)[0] == text


def test_nothing_to_draw() -> None:
    assert qr.drawn([]) == []


def test_it_has_the_rim_that_readers_need() -> None:
    (made,) = qr.drawn(["https://lab.school.test"])
    assert 'd="M4 4.5' in made
    assert made.startswith("<svg ")
