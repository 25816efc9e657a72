"""Pages of an office ask the database as often for sixty applications as for six; long lists come page by page."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import event

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.models import Organisation
from lms.programmes import service, workflow
from lms.programmes.models import Application, ApplicationStep
from lms.programmes.paging import Sheaf
from tests.programmes import places as make
from tests.programmes.test_pages import door

PAGES = ("/programmes/", "/programmes/selection/missing/hunan-baixiao/school/2026")


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> dict[str, Organisation]:
    return make.tree()


def arrived(first: Application, county: Organisation, number: int) -> None:
    """Copies of an application that wait, or were returned, at more schools of the county."""
    for place in range(number):
        school = make.school(f"{place}小", county)
        status = first.status if place % 2 else "returned"
        with write() as session:
            found = Application(
                id=new_id(), school_id=school.id, notice_id=first.notice_id, slug=first.slug, kind=first.kind, batch=first.batch, stages=[],
                status=status, office_id=county.id, submitted_at=clock.now(),
            )  # fmt: skip
            session.add(found)
            session.flush()
            session.add(
                ApplicationStep(
                    id=new_id(), school_id=school.id, application_id=found.id, number=1, action="submit", from_status="draft", to_status=status,
                    to_office_id=county.id,
                )
            )  # fmt: skip


def test_as_many_questions_for_sixty_as_for_six(app: Flask, tree: dict[str, Organisation]) -> None:
    admin, officer = make.person(tree["school"]), make.person(tree["county"])
    first = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, first)
    workflow.submit(admin, first.id)
    client, asked = door(app, officer), [0]
    event.listen(db.engine, "before_cursor_execute", lambda *_: asked.__setitem__(0, asked[0] + 1))

    def counts() -> list[int]:
        made = []
        for page in PAGES:
            client.get(page)
            asked[0] = 0
            assert client.get(page).status_code == 200
            made.append(asked[0])
        return made

    arrived(first, tree["county"], 6)
    few = counts()
    arrived(first, tree["county"], 54)
    many = counts()
    assert many == few and max(many) < 75, (few, many)


def test_a_long_list_comes_page_by_page() -> None:
    rows = list(range(250))
    assert [Sheaf.of(rows, page).rows[0] for page in (-3, 1, 2, 3, 9)] == [0, 0, 100, 200, 200]
    assert (Sheaf.of(rows, 3).pages, Sheaf.of(rows, 3).all, len(Sheaf.of(rows, 3).rows)) == (3, 250, 50)
    assert Sheaf.of([], 1).pages == 1
