"""Stamped pages: the code on paper, degraded scans read again, what is missing, what was printed before a change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
import zlib
from pathlib import Path
from typing import Any

import pytest
import segno

from lms.programmes.sealing import pdfs, rules
from lms.programmes.sealing.rules import ANY, Mark, Page

cv2 = pytest.importorskip("cv2")
np = pytest.importorskip("numpy")

MARK = Mark(uuid.UUID(int=0x0192_0000_7000_8000_0000_0000_0000_BEEF), 3, 2, 5, "0123456789ABCDEF")


def test_the_code_says_and_is_read() -> None:
    assert rules.read_mark(MARK.text) == MARK and MARK.said == "0123-4567 · 2/5"
    assert set(MARK.text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:")
    for other in ("", "https://a.cn", MARK.text[:-1], MARK.text.lower(), "ZK1:" + "A" * 25 + ":0:1:1:" + "0" * 16):
        assert rules.read_mark(other) is None


def test_the_content_code_follows_the_content() -> None:
    one = rules.content_code({"a": {"x": "1"}, "b": []})
    assert one == rules.content_code({"b": [], "a": {"x": "1"}}) != rules.content_code({"a": {"x": "2"}, "b": []})
    assert len(one) == 16


def scan(number: int, page: int, pages: int = 3, code: str = "NOW", document: str = "form") -> Page:
    return Page(number, document, page, pages, code)


def test_what_is_missing_and_what_has_changed() -> None:
    state = rules.standing("form", "NOW", ["all"], [scan(1, 3), scan(2, 1), scan(3, 1, document="other")])
    assert (state.pages, state.missing, state.done) == (3, (2,), False)
    state = rules.standing("form", "NOW", ["all"], [scan(1, 3), scan(2, 1), scan(3, 2, code="OLD")])
    assert [one.id for one in state.changed] == [3] and state.missing == (2,)
    state = rules.standing("form", "NOW", ["all"], [scan(1, 3), scan(2, 1), scan(3, 2, code="OLD"), scan(4, 2)])
    assert state.done and [one.id for one in state.matched] == [2, 4, 1]  # the new print settles the old one
    assert rules.standing("form", "NOW", ["cover"], []).missing == (1,)
    assert rules.standing("form", "NOW", ["cover"], [scan(1, 1, 1)]).done
    assert not rules.standing("form", "NOW", ["cover"], [scan(1, 1, 1, code="")]).done  # of no print that is known
    whole = [rules.standing("form", "NOW", ["all"], [], [("a", code)]) for code in ("NOW", "OLD")]
    assert [(one.done, one.stale) for one in whole] == [(True, False), (False, True)]
    word = rules.standing("form", "NOW", ["all"], [scan(1, ANY, 0), scan(2, ANY, 0)])
    assert word.done and [one.id for one in word.matched] == [1, 2]


def paper(text: str, turn: float = 2.0, noise: int = 18, quarter: int = 0) -> Any:
    """A grey A4 page at 150 dpi with text and a code, as a scanner sees it: turned, noisy, with a stamp beside."""
    page = np.full((1754, 1240), 250, np.uint8)
    for row in range(200, 1400, 60):
        cv2.putText(page, "application form of the county", (120, row), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 40, 2)
    code = np.array(
        [
            [0 if module else 255 for module in row]
            for row in segno.make(text, error="m", boost_error=False).matrix_iter(border=4)
        ],
        np.uint8,
    )
    size = round(24 / 25.4 * 150)
    page[1560 : 1560 + size, 1000 : 1000 + size] = cv2.resize(code, (size, size), interpolation=cv2.INTER_NEAREST)
    cv2.circle(page, (900, 1500), 120, 120, 6)
    turned = cv2.warpAffine(page, cv2.getRotationMatrix2D((620, 877), turn, 1), (1240, 1754), borderValue=235)
    random = np.random.default_rng(7)
    noisy = np.clip(turned.astype(np.int16) + random.normal(0, noise, turned.shape), 0, 255).astype(np.uint8)
    return np.rot90(cv2.GaussianBlur(noisy, (3, 3), 0), quarter)


def jpeg(picture: Any) -> bytes:
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), [cv2.IMWRITE_JPEG_QUALITY, 70])[1])


def read(folder: Path, drawing: bool = True, **files: bytes) -> list[dict[str, Any]]:
    for name, data in files.items():
        (folder / f"in-{name[1]}.{name[3:]}").write_bytes(data)
    path = {} if drawing else {"PATH": ""}  # without pdftoppm
    command = [sys.executable, "-m", "lms.programmes.sealing.reading", str(folder)]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, **path})
    found: list[dict[str, Any]] = json.loads((folder / "pages.json").read_text("utf-8"))
    return found


def test_degraded_scans_are_read_and_turned_upright(tmp_path: Path) -> None:
    one = jpeg(paper(MARK.text))
    upside_down = jpeg(paper(MARK.text, turn=-2, quarter=2))
    pdf = pdfs.of_pictures([(one, 1240, 1754), (jpeg(paper(MARK.text, 1.5, 30, quarter=1)), 1754, 1240)])
    blank = jpeg(np.full((1754, 1240), 250, np.uint8))
    found = read(tmp_path, n1_jpg=one, n2_jpg=upside_down, n3_pdf=pdf, n4_jpg=blank, n5_png=b"\x89PNG\r\n\x1a\nbroken")
    assert [one.get("text", one.get("error")) for one in found] == [MARK.text] * 4 + ["", "图片打不开"]
    assert [one["file"] for one in found] == ["in-1.jpg", "in-2.jpg", "in-3.pdf", "in-3.pdf", "in-4.jpg", "in-5.png"]
    for number in (1, 2, 3, 4):
        page = cv2.imread(str(tmp_path / f"page-{number}.jpg"))
        assert page.shape[0] > page.shape[1]
        points = cv2.QRCodeDetectorAruco().detect(cv2.GaussianBlur(page, (5, 5), 0))[1]
        assert points.reshape(-1, 2)[:, 1].mean() > page.shape[0] / 2  # the code stands at the foot again


def test_a_scanners_pdf_is_read_without_a_program_that_draws(tmp_path: Path) -> None:
    pdf = pdfs.of_pictures([(jpeg(paper(MARK.text)), 1240, 1754)])
    found = read(tmp_path, drawing=False, n1_pdf=pdf, n2_pdf=b"%PDF-1.4 nothing", n3_pdf=pdf + b"/Encrypt 1 0 R")
    assert found[0]["text"] == MARK.text
    assert ["请扫描成 JPG" in found[1]["error"], found[2]["error"]] == [True, "PDF 加了密码"]


def test_pictures_of_a_scanners_pdf() -> None:
    picture = paper(MARK.text)
    data = jpeg(picture)
    made = pdfs.of_pictures([(data, 1240, 1754), (data, 1240, 1754)])
    assert pdfs.page_count(made) == 2 and not pdfs.is_encrypted(made)
    assert [(one.width, one.height, one.jpeg, one.data) for one in pdfs.pictures_of(made)] == [
        (1240, 1754, True, data)
    ] * 2
    raw = zlib.compress(picture.tobytes())
    grey = (
        b"%%PDF-1.5\n1 0 obj\n<< /Type /XObject /Subtype /Image /Width 1240 /Height 1754 /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream\nendobj\n"
        % (len(raw), raw)
    )
    found = pdfs.pictures_of(grey)
    assert [(one.channels, one.jpeg, one.data) for one in found] == [(1, False, picture.tobytes())]
    assert pdfs.pictures_of(grey.replace(b"FlateDecode", b"JBIG2Decode")) == [] and pdfs.page_count(b"%PDF-1.4") == 0
    assert pdfs.is_encrypted(b"%PDF-1.4 trailer << /Encrypt 5 0 R >>")
