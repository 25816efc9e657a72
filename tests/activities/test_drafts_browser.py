"""A PC that wipes its disk loses power: what a pupil did up to five seconds before is on the server, for every kind of activity."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import psutil
import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright
from sqlalchemy import select

from lms.activities.kinds import KINDS
from lms.activities.models import Draft
from lms.core.db import db
from tests.activities.lessons import ACTIVITIES, Taught
from tests.activities.test_page_browser import CHROMIUM, Served, open_page, ready, served, set_program, taught

__all__ = ["served", "taught"]
WITHIN_S = 5.0
Boot = Callable[[], AbstractContextManager[tuple[Browser, Callable[[], None]]]]
SLOW = 30_000


@pytest.fixture
def machine() -> Iterator[Boot]:
    """Browsers that can be killed like a PC that loses power; nothing of theirs is left for the next one."""
    with sync_playwright() as playwright:

        @contextmanager
        def boot() -> Iterator[tuple[Browser, Callable[[], None]]]:
            mark = f"--zhike-machine={uuid.uuid4().hex}"
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", mark])

            def power_off() -> None:
                for process in psutil.Process().children(recursive=True):
                    with suppress(psutil.Error):  # gone with the first
                        if mark in process.cmdline():
                            process.kill()

            yield browser, power_off
            try:
                browser.close()
            except Error:  # it is dead already: that was the test
                assert not browser.is_connected()

        yield boot


def on_server(taught: Taught, wanted: str) -> str:
    """The pupil's draft as the server has it, once it holds ``wanted``; fails after five seconds."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        db.session.rollback()
        for content in db.session.scalars(select(Draft.content).where(Draft.lesson_id == taught.lesson.id)):
            text = json.dumps(content, ensure_ascii=False)
            if wanted in text:
                return text
    raise AssertionError(f"{wanted} is not on the server within {WITHIN_S} s")


def answer_quiz(page: Page) -> str:
    page.get_by_label("数字").check()
    page.get_by_label("第 2 题的回答").fill("6397")
    return "6397"


def write_text(page: Page) -> str:
    page.locator("textarea").fill("因为天黑了看不清")
    return "因为天黑了看不清"


def predict_faces(page: Page) -> str:
    page.get_by_label("第 1 次预测").fill("1")
    page.get_by_role("button", name="取结果").first.click()
    page.get_by_label("第 1 次发生了什么").fill("一半被挡住了")
    return "一半被挡住了"


def write_program(page: Page) -> str:
    set_program(page, "near = 17\nrobot.stop()")
    return "near = 17"


def again_quiz(page: Page) -> None:
    expect(page.get_by_label("数字")).to_be_checked()
    expect(page.get_by_label("第 2 题的回答")).to_have_value("6397")


def again_text(page: Page) -> None:
    expect(page.locator("textarea")).to_have_value("因为天黑了看不清")


def again_faces(page: Page) -> None:
    expect(page.get_by_label("第 1 次发生了什么")).to_have_value("一半被挡住了")
    expect(page.locator(".observed")).to_have_text("1")


def again_program(page: Page) -> None:
    expect(page.locator(".cm-content")).to_contain_text("near = 17")


# Activity → what the pupil does, and what stands there again. `reading` has nothing to lose.
WORK: dict[str, tuple[Callable[[Page], str], Callable[[Page], None]]] = {
    "quiz": (answer_quiz, again_quiz),
    "why": (write_text, again_text),
    "faces": (predict_faces, again_faces),
    "stop": (write_program, again_program),
    "table": (write_program, again_program),
}


def test_every_kind_with_something_to_lose_is_tried() -> None:
    assert {ACTIVITIES[name]["kind"] for name in WORK} | {"reading"} == set(KINDS)


@pytest.mark.parametrize("name", WORK)
def test_work_of_five_seconds_ago_survives_a_killed_browser(machine: Boot, served: Served, taught: Taught, name: str) -> None:
    do, again = WORK[name]
    taught.push(name)
    with machine() as (browser, power_off):
        page = open_page(browser, served, taught)
        ready(page)
        wanted = do(page)
        on_server(taught, wanted)
        power_off()
    with machine() as (browser, _power_off):
        page = open_page(browser, served, taught)
        page.set_default_timeout(SLOW)
        ready(page)
        again(page)


def test_a_pupil_who_never_pauses_is_saved_too(machine: Boot, served: Served, taught: Taught) -> None:
    """Typing on and on puts nothing off: a letter is on the server at most five seconds after it was typed."""
    taught.push("why")
    with machine() as (browser, power_off):
        page = open_page(browser, served, taught)
        ready(page)
        typed: list[tuple[float, str]] = []
        field, began = page.locator("textarea"), time.monotonic()
        while time.monotonic() - began < 9:
            field.press_sequentially("好", delay=250)
            typed.append((time.monotonic(), "好" * (len(typed) + 1)))
        killed = time.monotonic()
        power_off()
        due = max((text for at, text in typed if at < killed - WITHIN_S), key=len)
        on_server(taught, due)
        assert len(due) > 5
