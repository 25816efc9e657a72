"""Reading the codes of scanned pages (识读扫描件): a program of its own, so that OpenCV never loads in the web server or stays in the jobs process.

``python -m lms.programmes.sealing.reading FOLDER``: reads ``in-<number>.<pdf|jpg|png>``, writes ``page-<n>.jpg`` upright and ``pages.json``: a list of
{file, width, height, text} in order, and {file, error} for a file that cannot be read. PDF is drawn by ``pdftoppm`` where the machine has it;
else the pictures that a scanner put into it are taken.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lms.programmes.sealing.pdfs import is_encrypted, page_count, pictures_of

LARGEST_SIDE = 2200
MOST_PAGES = 60
DPI = 150
DRAW_S = 100
TURNS = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)


class Unreadable(ValueError):
    """A file that gives no pages; the text says why."""


def main(folder: Path) -> None:
    """Read every file of the folder."""
    import cv2

    told: list[dict[str, Any]] = []
    for path in sorted(folder.glob("in-*"), key=lambda one: int(one.stem.split("-")[1])):
        try:
            for picture in _pictures(path, folder):
                number = sum("text" in one for one in told) + 1
                upright, text = read_page(picture)
                height, width = upright.shape[:2]
                cv2.imwrite(str(folder / f"page-{number}.jpg"), upright, [cv2.IMWRITE_JPEG_QUALITY, 82])
                told.append({"file": path.name, "width": width, "height": height, "text": text})
        except Unreadable as error:
            told.append({"file": path.name, "error": str(error)})
    (folder / "pages.json").write_text(json.dumps(told), "utf-8")


def _pictures(path: Path, folder: Path) -> Iterator[Any]:
    import cv2
    import numpy as np

    data = path.read_bytes()
    if path.suffix != ".pdf":
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise Unreadable("图片打不开")
        yield picture
        return
    if is_encrypted(data):
        raise Unreadable("PDF 加了密码")
    if page_count(data) > MOST_PAGES:
        raise Unreadable(f"PDF 超过 {MOST_PAGES} 页")
    if shutil.which("pdftoppm"):
        drawn = sorted(_drawn(path, folder), key=lambda one: int(one.stem.rsplit("-", 1)[1]))
        for one in drawn:
            yield cv2.imread(str(one), cv2.IMREAD_COLOR)
            one.unlink()
        if drawn:
            return
    taken = pictures_of(data)
    if not taken:
        raise Unreadable("PDF 里没有能识读的页面图像，请扫描成 JPG，或彩色、灰度的 PDF")
    for each in taken:
        raw = np.frombuffer(each.data, np.uint8)
        if each.jpeg:
            picture = cv2.imdecode(raw, cv2.IMREAD_COLOR)
        else:
            picture = raw.reshape(each.height, each.width, each.channels)
            picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR if each.channels == 1 else cv2.COLOR_RGB2BGR)
        if picture is not None:
            yield picture


def _drawn(path: Path, folder: Path) -> list[Path]:
    stem = folder / f"drawn-{path.stem}"
    command = ["pdftoppm", "-r", str(DPI), "-l", str(MOST_PAGES), "-png", str(path), str(stem)]
    try:
        subprocess.run(command, check=False, capture_output=True, timeout=DRAW_S)
    except subprocess.TimeoutExpired as error:
        raise Unreadable("PDF 太大，画不出来") from error
    return list(folder.glob(f"{stem.name}-*.png"))


def read_page(picture: Any) -> tuple[Any, str]:
    """The page upright (BGR) and the text of its code, "" where none can be read."""
    import cv2

    side = max(picture.shape[:2])
    if side > LARGEST_SIDE:
        picture = cv2.resize(
            picture, None, fx=LARGEST_SIDE / side, fy=LARGEST_SIDE / side, interpolation=cv2.INTER_AREA
        )
    for view, scale in _views(picture):
        for detector in (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco()):
            text, corners, _code = detector.detectAndDecode(view)
            if text.startswith("ZK1:"):
                return _upright(picture, corners.reshape(-1, 2)[:4] / scale), text
    return picture, ""


def _views(picture: Any) -> Iterator[tuple[Any, float]]:
    """The page as it is, smoother, in black and white, larger and smaller, turned a little: one of them is read.

    Yields each view with its scale; the corners found on a turned one are near enough to see which way up the page is.
    """
    import cv2

    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    yield grey, 1.0
    smooth = cv2.GaussianBlur(grey, (5, 5), 0)
    yield smooth, 1.0
    yield cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1], 1.0
    yield cv2.adaptiveThreshold(smooth, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, 51, 10), 1.0
    yield cv2.resize(smooth, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), 0.6
    for scale in (1.6, 2.0):
        yield cv2.resize(smooth, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), scale
    height, width = grey.shape
    for degrees in TURNS:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        turned = cv2.warpAffine(smooth, turn, (width, height), flags=cv2.INTER_CUBIC, borderValue=(255,))
        yield turned, 1.0
        yield cv2.resize(turned, None, fx=1.6, fy=1.6, interpolation=cv2.INTER_CUBIC), 1.6


def _upright(picture: Any, corners: Any) -> Any:
    """Turned by quarters so that the code's first corner is its upper left."""
    import numpy as np

    along = corners[1] - corners[0]
    quarters = round(float(np.degrees(np.arctan2(along[1], along[0]))) / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, quarters))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
