"""A real browser and a web server for it; the fixtures ``address``, ``chromium`` and ``page`` of tests/conftest.py are made of these."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import make_server

from tests.effort import PATIENCE_S

CHROMIUM = "/usr/bin/chromium"
WAIT_MS = int(PATIENCE_S * 1000)
expect.set_options(timeout=WAIT_MS)


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The app on a free port of this machine; yields its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def debian_chromium() -> Iterator[Browser]:
    """Debian's Chromium; only one at a time in a process."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def notebook(browser: Browser) -> Page:
    """A new window at the size of a school notebook."""
    page = browser.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN").new_page()
    page.set_default_timeout(WAIT_MS)
    return page
