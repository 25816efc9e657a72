"""QR codes for printed sheets (二维码) as SVG that stands inside a page.

Source: ISO/IEC 18004; correction level M, four modules of rim.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import segno
from markupsafe import Markup

RIM = 4


def drawn(texts: Sequence[str]) -> list[Markup]:
    """One SVG for each text; raises ValueError for one that is longer than 2,331 bytes."""
    return [_svg(text) for text in texts]


@lru_cache(maxsize=512)
def _svg(text: str) -> Markup:
    code = segno.make(text, error="m", micro=False, boost_error=False)
    made = code.svg_inline(border=RIM, omitsize=True, light="#fff", svgclass="qr")
    return Markup(made.replace("<svg ", '<svg shape-rendering="crispEdges" aria-hidden="true" ', 1))
