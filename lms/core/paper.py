"""PDF of a page made for paper (打印件), in a process of its own: Pango's 60 MiB never stay in the web server.

The page is one of ours: nothing is fetched but the style sheets that are named here.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from flask_babel import lazy_gettext as _l

from lms.core.errors import Refused

STATIC = Path(__file__).resolve().parents[1] / "static"
PATIENCE_S = 60
_PRINTER = """
import sys
from pathlib import Path
from weasyprint import CSS, HTML
from weasyprint.urls import URLFetcher
nothing = URLFetcher(allowed_protocols=())
html = HTML(string=sys.stdin.buffer.read().decode(), url_fetcher=nothing)
sys.stdout.buffer.write(html.write_pdf(stylesheets=[CSS(string=Path(name).read_text("utf-8"), url_fetcher=nothing) for name in sys.argv[1:]]))
"""


def can_print() -> bool:
    """Whether the optional package for PDF is installed; whether Pango is, shows only when it runs."""
    return find_spec("weasyprint") is not None


def pdf(html: str, *style_sheets: str) -> bytes:
    """The page as PDF; ``style_sheets``: paths below ``static``. Raises Refused (``no-pdf``) where the server cannot."""
    if not can_print():
        raise _cannot()
    names = [str(STATIC / name) for name in style_sheets]
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PRINTER, *names],
            input=html.encode(),
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _cannot() from error
    if done.returncode:
        raise _cannot(done.stderr.decode(errors="replace").strip().splitlines()[-1:])
    return done.stdout


def _cannot(lines: list[str] | None = None) -> Refused:
    remedy = _l("请在页面上按“打印”，在打印窗口里选“存为 PDF”。服务器端生成需要安装 zhike[paper] 与 Pango。")
    return Refused("no-pdf", _l("这台服务器不能生成 PDF。"), remedy=remedy, where="".join(lines or []))
