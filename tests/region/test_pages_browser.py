"""The officer's pages in a real browser: no script error, nothing from outside, accessible."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from playwright.sync_api import Page

from lms.core import clock
from lms.region import service
from tests.browsing import served
from tests.house.test_pages import violations, watch
from tests.region.places import PASSWORD, Place, bring, enrol_by_key, file_of, teach


@pytest.fixture
def address(here: Place) -> Iterator[str]:
    """The office behind HTTP."""
    with served(here.app) as found:
        yield found


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
