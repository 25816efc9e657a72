"""No page of a lesson's day has a serious or critical fault for people who cannot see or point well (axe-core)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from lms.core.db import db
from lms.teaching import closing
from lms.teaching.models import LessonSession
from lms.usage.models import UsageRecord
from tests.e2e.lab import Lab
from tests.e2e.people import Person, Pupil, Staff, Teacher, pictures

AXE = Path(__file__).parents[2] / "lms" / "static" / "vendor" / "axe" / "axe.min.js"
CHECK = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter((found) => ["serious", "critical"].includes(found.impact))
  .map((found) => `${found.impact} ${found.id}: ${found.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(" | ")} — ${found.nodes[0].failureSummary.split("\\n")[1]?.trim()}`)"""


class Inspector:
    """Collects the faults of every page that it is shown."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.pages: list[str] = []
        self._script = AXE.read_text("utf-8")

    def look(self, page: Page, name: str) -> None:
        """Check a page as it stands."""
        page.evaluate(self._script)
        found: list[Any] = page.evaluate(CHECK)
        self.pages.append(name)
        self.faults += [f"{name}: {line}" for line in found]


@pytest.mark.parametrize("lab", ["auto"], indirect=True)
def test_pages_have_no_serious_fault(lab: Lab, chromium: Browser, tmp_path: Path) -> None:
    inspector = Inspector()
    guest = Person(chromium, lab, "guest")
    teacher, admin = Teacher(chromium, lab), Staff(chromium, lab, "admin")
    pupils = [Pupil(chromium, lab, seated) for seated in lab.pupils]
    with pictures(tmp_path, guest, teacher, admin, *pupils):
        doors(inspector, guest, pupils)
        lesson(inspector, teacher, pupils)
        afterwards(inspector, lab, teacher, admin)
    print(f"{len(inspector.pages)} pages: {', '.join(inspector.pages)}")
    assert not inspector.faults, "\n".join(inspector.faults)


def doors(inspector: Inspector, guest: Person, pupils: list[Pupil]) -> None:
    for path in ("/sign-in", "/seat"):
        guest.open(path)
        inspector.look(guest.page, path)
    for pupil in pupils:
        pupil.enrol()
    inspector.look(pupils[0].page, "names")
    pupils[0].page.locator("#names a").first.click()
    inspector.look(pupils[0].page, "PIN pad")
    pupils[0].page.locator("#back").click()


def lesson(inspector: Inspector, teacher: Teacher, pupils: list[Pupil]) -> None:
    teacher.open("/today")
    inspector.look(teacher.page, "/today")
    teacher.start_lesson()
    window = teacher.projector()
    for pupil in pupils:
        expect(pupil.page.locator(".d-head")).to_contain_text("小车会停")
        pupil.sign_in()
        pupil.is_in()
    pupils[1].page.locator("#help button").click()
    expect(teacher.page.locator("#count-help")).to_have_text("1")
    inspector.look(teacher.page, "console")
    inspector.look(window, "projector")
    for number, title in enumerate(("回声", "回声算一算", "我的猜想", "用按钮开", "用程序开")):
        if number:
            teacher.next()
        pupils[0].sees(title)
        if number == 0:
            pupils[0].send()
        if title == "回声算一算":
            pupils[0].answer_quiz(1, "3")
            pupils[0].send()
            window.locator("#results").click()
            expect(window.locator(".p-results")).to_be_visible()
            inspector.look(window, "projector with results")
        inspector.look(pupils[0].page, f"lesson: {title}")
    for tab in ("步骤", "小组·小车", "点名"):
        teacher.page.get_by_role("tab", name=tab).click()
        if tab == "小组·小车":
            teacher.group_of_one_each()
        inspector.look(teacher.page, f"console: {tab}")
    teacher.page.locator("#pause").click()
    expect(pupils[0].page.locator("#pause")).to_be_visible()
    inspector.look(pupils[0].page, "pause")
    inspector.look(teacher.page, "console: paused")
    teacher.page.locator("#map .c-pupil").first.click()
    inspector.look(teacher.page, "console: one pupil")
    teacher.page.keyboard.press("Escape")
    teacher.end()
    inspector.look(teacher.page, "console: ended")
    pupils[0].page.wait_for_url("**/lesson/thanks")
    inspector.look(pupils[0].page, "thanks")


def afterwards(inspector: Inspector, lab: Lab, teacher: Teacher, admin: Staff) -> None:
    with lab.app.app_context():
        held = db.session.scalars(select(LessonSession)).one()
        assert held.reopen_until is not None
        closing.close_due(held.reopen_until)
        record = db.session.scalars(select(UsageRecord.id)).one()
        paths = (f"/register/{held.id}", f"/lessons/{held.id}")
        db.session.remove()
    for path in paths:
        teacher.open(path)
        inspector.look(teacher.page, path.split("/")[1])
    for path in (f"/compliance/classes/{lab.class_id}", f"/usage/records/{record}", "/usage/chain"):
        admin.open(path)
        inspector.look(admin.page, path.rsplit("/", 1)[0])
