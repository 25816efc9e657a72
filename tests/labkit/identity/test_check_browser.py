"""The button "课前检查" in a real browser: pressed on the devices' page, read at the end, with real robots behind it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, expect, sync_playwright

from lms.config import Settings
from lms.core.db import db
from lms.labs.models import StopEvent
from tests.labs.site import opened
from tests.labs.test_bridge import until
from tests.labs.test_pages_browser import faults_of
from tests.ports import free_port
from tests.teaching.scene import make_scene


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a WebSocket port of this test's own."""
    return replace(settings, mqtt_ws_port=free_port())


@pytest.fixture
def chrome() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


def test_one_press_and_the_answer_within_half_a_minute(app: Flask, chrome: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with opened(app, make_scene(pupils=2, seats=2), chrome, folder) as site:
        page = site.teacher()
        began = time.monotonic()
        page.get_by_role("button", name="课前检查").click()
        expect(page.locator("#verdict")).to_contain_text("2 台设备都可以上课。 2 台小车已试停。")
        assert time.monotonic() - began < 30
        expect(page.locator("[data-vital=mbot-1]")).to_contain_text("毫秒")
        assert faults_of(page) == []
        if "SHOTS" in os.environ:
            page.screenshot(path=os.environ["SHOTS"] + "/check-well.png", full_page=True)
        site.end("simulator")
        page.wait_for_function("document.readyState === 'complete'")
        until(lambda: page.reload() and page.locator("[data-device=mbot-1]").count())
        page.get_by_role("button", name="再查一次").click()
        expect(page.locator("[data-device=mbot-1]")).to_contain_text("没有插上")
        expect(page.locator("[data-device=mbot-1] th")).to_contain_text("01 号")
        expect(page.locator("[data-device=car-1]")).to_contain_text("要修")
        assert faults_of(page) == []
        if "SHOTS" in os.environ:
            page.screenshot(path=os.environ["SHOTS"] + "/check-ill.png", full_page=True)
    assert db.session.query(StopEvent).count() == 2
