"""A board that was just plugged in is seen, adopted and driven from the device page, in a real browser with a real gateway."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from lms.core.db import db, write
from lms.core.models import RoleGrant
from tests.labkit.identity.bench import Bench
from tests.labs.site import Site
from tests.labs.test_bridge import until
from tests.labs.test_pages_browser import chrome, faults_of, settings, site
from tests.teaching.scene import account_of

__all__ = ["chrome", "settings", "site"]


def test_a_plugged_board_is_adopted_on_the_page(site: Site, tmp_path: Path) -> None:
    with write():
        account = account_of(site.scene.teacher)
        db.session.add(RoleGrant(account_id=account.id, role="school_admin", organisation_id=site.scene.school.id))
    db.session.commit()
    table = Bench(site.folder)
    try:
        page = site.teacher()
        page.wait_for_selector("html[data-ready=devices]")
        expect(page.locator("#strangers")).to_be_hidden()
        table.plug("new", "1-1.2", "B")
        row = page.locator(".l-stranger")
        expect(row).to_contain_text("usb-1-1-2")
        assert faults_of(page) == []
        row.locator("select").select_option("makeblock-mbot")
        row.locator("input").fill("09")
        row.locator("button").click()
        expect(page.locator("#strangers-said")).to_contain_text("已认领 kit-09")
        expect(row).to_have_count(0)
        until(lambda: page.goto(f"{site.url}/labs/device/{site.scene.room.code}/09") is not None and page.locator("#state").count() == 1)
        expect(page.locator("#state")).to_have_text("正常")
    finally:
        table.close()
