"""Calendar and dashboard in a real browser: nothing that the content policy blocks, nothing from outside, accessible, readable at 1366×768."""

from __future__ import annotations

import json

import pytest
from flask import Flask
from playwright.sync_api import Page

from lms.core import clock
from lms.core.models import Account
from lms.programmes import service, workflow
from tests.house.test_pages import violations, watch
from tests.programmes import places as make
from tests.programmes.test_writing_browser import enter

SQUARE = {"type": "Polygon", "coordinates": [[[112, 27], [113, 27], [113, 28], [112, 28], [112, 27]]]}
MAP = {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"name": "丙县"}, "geometry": SQUARE}]}


@pytest.fixture
def officer(app: Flask, fixed_clock: clock.FixedClock) -> Account:
    tree = make.tree()
    admin = make.person(tree["school"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    workflow.submit(admin, found.id)
    workflow.act(make.person(tree["county"]), found.id, "recommend")
    return make.person(tree["city"])


def test_pages_of_the_office(app: Flask, address: str, page: Page, officer: Account) -> None:
    faults = watch(page, address)
    enter(page, address, officer)
    found = []
    for path in ("", "calendar?month=2026-12", "calendar?view=list", "dashboard", "dashboard?notice=hunan-baixiao", "dashboard/map"):
        answer = page.goto(f"{address}/programmes/{path}")
        assert answer is not None and answer.status == 200, path
        found += violations(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path  # nothing is cut off at the right
    page.set_input_files("input[type=file]", {"name": "map.json", "mimeType": "application/json", "buffer": json.dumps(MAP).encode()})
    page.click("button >> text=预览")
    page.wait_for_selector("svg.own-map path")
    found += violations(page)
    page.click("button >> text=启用这张底图")
    page.wait_for_selector("svg.own-map text >> text=丙县")
    found += violations(page)
    with page.expect_download() as told:
        page.click("a >> text=导出 Excel")
    assert told.value.suggested_filename.endswith(".xlsx")
    assert "\n".join(faults + found) == ""
