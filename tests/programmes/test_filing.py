"""What was filed stays as it was filed: summary tables, self-check, content codes; and moves again once it may be edited."""

from __future__ import annotations

import pytest
from flask import Flask

from lms.core import clock
from lms.core.db import db
from lms.core.models import Organisation
from lms.programmes import notices, papers, selfcheck, service, workflow
from lms.programmes.models import Application
from lms.programmes.selection.dossier import dossier_of
from lms.roster import rooms
from tests.programmes import places as make
from tests.programmes.test_pages import door
from tests.programmes.test_selection import handed


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> dict[str, Organisation]:
    return make.tree()


def schools_in(found: Application) -> list[str]:
    """Names in the summary table."""
    document = notices.pack_of(found).documents_of(found.kind)[0]
    return [cells[2] for table in papers.paper_of(found, document).tables for cells in table.rows]


def test_a_summary_stays_as_it_was_filed(app: Flask, tree: dict[str, Organisation], fixed_clock: clock.FixedClock) -> None:
    city, province = make.person(tree["city"]), make.person(tree["province"])
    found = [handed(make.person(tree[one])) for one in ("school", "city-school")]
    workflow.act(make.person(tree["county"]), found[0].id, "recommend")
    for one in found:
        workflow.act(city, one.id, "recommend")
    summary = service.begin(city, "hunan-baixiao", "city", "2026")
    make.fill_in(city, summary)
    before, codes = schools_in(summary), papers.codes_of(summary)
    workflow.submit(city, summary.id)
    assert before == schools_in(summary) == ["丙县一小", "乙市实验小学"]
    workflow.act(province, found[1].id, "refuse", "不符")
    assert schools_in(summary) == before and papers.codes_of(summary) == codes == service.filed_of(summary).codes  # type: ignore[union-attr]
    assert [row.id for row in papers.listed_in(summary, "school")] == [one.id for one in found]
    page = door(app, city).get(f"/programmes/{summary.id}").text
    code = codes["summary"]
    assert f"内容码 {code[:4]}-{code[4:8]}" in page and "提交时核对" in page
    fixed_clock.at = clock.now().replace(minute=59)
    first = summary.receipt
    workflow.act(province, summary.id, "return", "请更新汇总表")
    assert schools_in(summary) == ["丙县一小"]  # it may be edited: what is true now
    make.seal(city, summary)
    workflow.submit(city, summary.id)
    assert summary.receipt != first and papers.codes_of(summary) != codes and schools_in(summary) == ["丙县一小"]


def test_what_is_returned_and_rewritten_stays_in_the_summary_of_the_area(tree: dict[str, Organisation], fixed_clock: clock.FixedClock) -> None:
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    school = handed(admin, "ncet-pilot")
    workflow.act(county, school.id, "recommend")
    fixed_clock.at = clock.now().replace(minute=30)
    area = service.begin(county, "ncet-pilot", "area", "2026")
    make.fill_in(county, area)
    workflow.submit(county, area.id)
    document = next(one for one in notices.pack_of(area).documents_of("area") if one["id"] == "area-statement")
    before = papers.paper_of(area, document)
    fixed_clock.at = clock.now().replace(minute=40)
    workflow.act(make.person(tree["city"]), school.id, "return", "请改")
    key = next(one for one in notices.pack_of(school).keys_of("school") if notices.pack_of(school).part(one)["type"] == "text")
    service.save_part(admin, school.id, key, "退回以后改写的一段", service.parts_of(school)[key].edition)
    assert papers.paper_of(area, document) == before
    assert any("丙县一小" in block.text for block in before.blocks) or "丙县一小" in str(before)
    assert "退回以后改写的一段" in str(papers.paper_of(school, {"form": "school-statement"}))


def test_the_self_check_is_that_of_the_submission(tree: dict[str, Organisation]) -> None:
    admin = make.person(tree["school"])
    found = handed(admin)
    before = {one.criterion["id"]: one.outcome for one in selfcheck.check(found)}
    rooms.create_room(None, tree["school"].id, "lab1", "AI 实验室")
    db.session.expire_all()
    now = {one.criterion["id"]: one.outcome for one in selfcheck.check(found)}
    assert now["HN-19"] != before["HN-19"]
    lines = selfcheck.lines_of(found, service.filed_of(found))
    assert {one.criterion["id"]: one.outcome for one in lines} == before
    told = next(one.text for one in dossier_of(found).sections[0].claims if one.title.startswith("HN-19"))
    assert before["HN-19"].figure in told
    workflow.withdraw(admin, found.id)
    assert {one.criterion["id"]: one.outcome for one in selfcheck.lines_of(found, service.filed_of(found))} == now
