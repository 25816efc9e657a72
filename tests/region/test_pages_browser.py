"""The officer's pages in a real browser: no script error, nothing from outside, accessible."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date

import pytest
from playwright.sync_api import Page
from werkzeug.serving import make_server

from lms.core import clock
from lms.region import service
from tests.house.test_pages import page, violations, watch
from tests.region.places import PASSWORD, Place, bring, enrol_by_key, file_of, teach

__all__ = ["page"]


@pytest.fixture
def address(here: Place) -> Iterator[str]:
    """The office behind HTTP."""
    server = make_server("127.0.0.1", 0, here.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_officers_pages_are_whole(
    page: Page,
    address: str,
    here: Place,
    below: Place,
    fixed_clock: clock.FixedClock,
) -> None:
    teach(below, fixed_clock, date(2026, 8, 31), [1, 2, 3])
    enrol_by_key(here, below, below.ids["school"])
    bring(here, file_of(below))
    with here.inside():
        service.refresh()
    faults = watch(page, address)
    page.goto(f"{address}/sign-in")
    page.fill("[name=username]", "officer")
    page.fill("[name=password]", PASSWORD)
    page.click("button[type=submit].btn-primary")
    page.wait_for_url(lambda url: "/sign-in" not in url)
    found = []
    for path in ("/region", "/region?period=4", "/region/schools/1", "/region/enrolment", "/region/intake", "/hand-up"):
        answer = page.goto(address + path)
        assert answer is not None
        assert answer.status == 200, path
        found += violations(page)
    page.goto(f"{address}/region")
    page.select_option("[name=rule]", "twice-a-month")
    page.wait_for_url("**rule=twice-a-month**")
    assert "东风小学" in page.inner_text("table")
    assert "\n".join(faults + found) == ""
