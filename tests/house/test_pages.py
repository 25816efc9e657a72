"""Every staff page in a real browser: no script error, nothing from outside, nothing that the content policy blocks, accessible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page

from lms.config import Settings
from lms.core import clock, tls
from lms.core.db import db
from lms.core.models import Account
from lms.labs.bridge import admin_password_file
from lms.roster.models import Person
from tests import factories as make
from tests.labs.test_bridge import Broker, bridged
from tests.ports import free_port

AXE = Path(__file__).resolve().parents[2] / "lms" / "static" / "vendor" / "axe" / "axe.min.js"
ADMIN_PAGES = ("/me", "/me/password", "/trust", "/admin/accounts", "/admin/journal", "/admin/system")
SERIOUS = ("serious", "critical")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a WebSocket port of this test's own."""
    return replace(settings, mqtt_ws_port=free_port())


@pytest.fixture
def broker(settings: Settings, tmp_path: Path) -> Iterator[Broker]:
    """The line that pages about devices open."""
    broker = Broker(tmp_path / "broker", "embedded", admin_password_file(settings.data_dir), settings.mqtt_ws_port)
    broker.start()
    yield broker
    broker.kill()


def watch(page: Page, address: str) -> list[str]:
    """Collect what goes wrong on the page from now on."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on(
        "console", lambda message: faults.append(f"{page.url}: {message.text}") if message.type == "error" else None
    )
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((address, "data:", "blob:")) else faults.append(f"outside: {request.url}")
        ),
    )
    return faults


def violations(page: Page) -> list[str]:
    """What axe-core finds serious."""
    page.evaluate(AXE.read_text("utf-8"))
    found: list[dict[str, Any]] = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa']}).then(result => result.violations)"
    )
    return [
        f"{page.url} {fault['id']}: {fault['nodes'][0]['html'][:160]}" for fault in found if fault["impact"] in SERIOUS
    ]


def sign_in(page: Page, address: str, person: Person) -> None:
    """Through the door that people use."""
    account = db.session.get(Account, person.account_id)
    assert account is not None
    db.session.rollback()
    page.goto(f"{address}/sign-in")
    page.fill("[name=username]", account.username)
    page.fill("[name=password]", make.PASSWORD)
    page.click("button[type=submit].btn-primary")
    page.wait_for_url(lambda url: "/sign-in" not in url)


@pytest.mark.parametrize("role", ["teacher", "school_admin"])
def test_pages_of_the_menu(app: Flask, page: Page, address: str, role: str, settings: Settings, broker: Broker) -> None:
    tls.ensure(settings.data_dir / "tls", "lab", clock.now())
    school = make.make_school()
    cohort = make.make_class(school)
    make.make_pupils(school, cohort, 4)
    make.make_room(school)
    person = make.make_teacher(school, cohort) if role == "teacher" else make.make_admin(school)
    faults = watch(page, address)
    page.goto(f"{address}/sign-in")
    found = violations(page)
    sign_in(page, address, person)
    links = page.eval_on_selector_all("nav a.nav-link", "links => links.map(link => link.href)")
    assert links
    with bridged(app, school.id, broker):
        for target in [*links, *(address + path for path in ADMIN_PAGES if role == "school_admin")]:
            answer = page.goto(target)
            assert answer is not None
            assert answer.status == 200, target
            found += violations(page)
    assert "\n".join(faults + found) == ""


def test_english_shows_no_missing_page(page: Page, address: str) -> None:
    person = make.make_admin(make.make_school())
    sign_in(page, address, person)
    page.click("button[name=locale][value=en]")
    assert page.get_attribute("html", "lang") == "en"


def test_the_keyboard_reaches_the_content(page: Page, address: str) -> None:
    sign_in(page, address, make.make_admin(make.make_school()))
    page.goto(f"{address}/me")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
