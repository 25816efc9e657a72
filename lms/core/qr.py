"""QR codes for printed sheets (二维码), drawn by OpenCV (the vision extra) in a process of its own: the web never loads it.

Where the extra is missing the sheets are printed with the address in letters. Source: ISO/IEC 18004; level M, four modules of rim.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup

RIM = 4
TIMEOUT_S = 30


def available() -> bool:
    """Whether QR codes can be drawn here."""
    return importlib.util.find_spec("cv2") is not None


def drawn(texts: Sequence[str]) -> list[Markup | None]:
    """One SVG for each text, to stand inside a page; None for each where they cannot be drawn here."""
    if not texts or not available():
        return [None for _ in texts]
    return list(_drawn(tuple(texts)))


@lru_cache(maxsize=16)
def _drawn(texts: tuple[str, ...]) -> tuple[Markup, ...]:
    command = [sys.executable, "-m", "lms.core.qr"]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    return tuple(svg(rows) for rows in json.loads(done.stdout))


def svg(rows: Sequence[str]) -> Markup:
    """Modules (rows of 0 and 1, 1 = dark, without a rim) as one SVG path with the rim of the standard."""
    size = len(rows) + 2 * RIM
    path = "".join(
        f"M{start + RIM} {y + RIM}h{end - start}v1h-{end - start}z" for y, row in enumerate(rows) for start, end in _runs(row)
    )
    return Markup(
        '<svg class="qr" viewBox="0 0 {size} {size}" shape-rendering="crispEdges" aria-hidden="true">'
        '<rect width="{size}" height="{size}" fill="#fff"/><path d="{path}" fill="#000"/></svg>'
    ).format(size=size, path=path)


def _runs(row: str) -> list[tuple[int, int]]:
    """Begin and end of each run of dark modules."""
    edges = [x for x in range(len(row) + 1) if (row[x - 1] if x else "0") != (row[x] if x < len(row) else "0")]
    return list(zip(edges[::2], edges[1::2], strict=True))


def main() -> None:
    """Read a JSON list of texts, write a JSON list of modules."""
    import cv2

    parameters = cv2.QRCodeEncoder.Params()
    parameters.correction_level = cv2.QRCodeEncoder_CORRECT_LEVEL_M
    encoder = cv2.QRCodeEncoder.create(parameters)
    made = []
    for text in json.load(sys.stdin):
        modules = [["1" if value == 0 else "0" for value in row] for row in encoder.encode(text)]
        dark = [y for y, row in enumerate(modules) if "1" in row]
        first, last = dark[0], dark[-1] + 1  # the three corner marks touch every side
        made.append(["".join(row[first:last]) for row in modules[first:last]])
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
