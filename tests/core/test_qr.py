"""Printed QR codes are read again by a reader of its own."""

from __future__ import annotations

import re

import pytest

from lms.core import qr


@pytest.mark.parametrize(
    "text", ["https://lab.school.test:8443/labs/device/lab1/07", "http://10.0.0.5/seat?code=123456", "https://智课.cn/labs/device/l/12"]
)
def test_a_reader_reads_what_was_written(text: str) -> None:
    cv2 = pytest.importorskip("cv2")
    numpy = pytest.importorskip("numpy")
    (made,) = qr.drawn([text])
    assert made is not None
    found = re.search(r'viewBox="0 0 (\d+) \1"', made)
    assert found is not None
    picture = numpy.full((int(found[1]), int(found[1])), 255, numpy.uint8)
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1", made):
        picture[int(y), int(x) : int(x) + int(width)] = 0
    large = cv2.resize(picture, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    assert cv2.QRCodeDetector().detectAndDecode(large)[0] == text


def test_nothing_to_draw() -> None:
    assert qr.drawn([]) == []
