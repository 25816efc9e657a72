"""Remarks on parts: who writes, who sees, who is told, who settles them."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.errors import Invalid, NotAllowed, NotFound
from lms.core.models import Organisation
from lms.notices.models import Notice
from lms.programmes import comments, service, workflow
from tests.factories import token
from tests.programmes import places as make
from tests.programmes.test_pages import door

KEY = "school-statement.basics"


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> dict[str, Organisation]:
    return make.tree()


def test_the_owner_is_told_and_settles_it(tree: dict[str, Organisation]) -> None:
    admin, owner, colleague = (
        make.person(tree["school"]),
        make.person(tree["school"], "teacher"),
        make.person(tree["school"], "teacher"),
    )
    found = service.begin(admin, "ncet-pilot", "school", "2026")
    service.set_owner(admin, found.id, KEY, owner.id)
    row = comments.remark(colleague, found.id, KEY, "请写上学生数")
    told = db.session.scalars(select(Notice).where(Notice.account_id == owner.id)).one()
    assert (
        told.title == "批注：一、学校基本情况" and told.body == "请写上学生数" and told.link.endswith(f"/parts/{KEY}")
    )
    assert db.session.scalars(select(Notice).where(Notice.account_id == admin.id)).all() == []
    other = make.person(tree["school"], "teacher")
    with pytest.raises(NotAllowed):
        comments.settle(other, found.id, row.id)
    comments.settle(owner, found.id, row.id)
    db.session.expire_all()
    assert row.resolved_by == owner.id and told.ended_at is not None
    comments.settle(admin, found.id, row.id, again=True)
    assert row.resolved_at is None
    with pytest.raises(Invalid):
        comments.remark(colleague, found.id, KEY, "  ")
    with pytest.raises(NotFound):
        comments.remark(colleague, found.id, "school-statement.nothing", "?")


def test_an_office_remarks_on_what_lies_with_it_and_sees_only_its_own(tree: dict[str, Organisation]) -> None:
    admin, officer, city = make.person(tree["school"]), make.person(tree["county"]), make.person(tree["city"])
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    make.fill_in(admin, found)
    inner = comments.remark(admin, found.id, "application.plan", "内部：再改改")
    workflow.submit(admin, found.id)
    outer = comments.remark(officer, found.id, "application.plan", "请补充保障措施")
    workflow.act(officer, found.id, "return", "见批注")
    assert comments.may_remark(officer, found)
    assert [one.row.id for one in comments.remarks_of(officer, found)["application.plan"]] == [outer.id]
    assert [(one.row.id, one.office) for one in comments.remarks_of(admin, found)["application.plan"]] == [
        (inner.id, ""),
        (outer.id, "丙县"),
    ]
    workflow.submit(admin, found.id)
    workflow.act(officer, found.id, "recommend")
    with pytest.raises(NotAllowed):
        comments.remark(officer, found.id, "application.plan", "晚了")
    assert comments.remarks_of(city, found) == {}
    with pytest.raises(NotFound):
        comments.remark(make.person(tree["city-school"]), found.id, "application.plan", "外人")


def test_the_pages(app: Flask, tree: dict[str, Organisation]) -> None:
    admin, officer = make.person(tree["school"]), make.person(tree["county"])
    found = service.begin(admin, "ncet-pilot", "school", "2026")
    make.fill_in(admin, found)
    workflow.submit(admin, found.id)
    office = door(app, officer)
    page = f"/programmes/{found.id}"
    answer = office.post(
        f"{page}/parts/{KEY}/comments",
        data={"csrf_token": token(office, page), "text": "数字对不上"},
        follow_redirects=True,
    )
    assert "数字对不上" in answer.text
    school = door(app, admin)
    assert "1 条批注" in school.get(page).text and "数字对不上" in school.get(f"{page}/parts/{KEY}").text
    row = comments.remarks_of(admin, found)[KEY][0].row
    answer = school.post(f"{page}/comments/{row.id}", data={"csrf_token": token(school, page)}, follow_redirects=True)
    assert "已处理" in answer.text and "1 条批注" not in school.get(page).text
    stranger = door(app, make.person(tree["city-school"]))
    csrf = token(stranger, "/me")
    for path in (f"{page}/parts/{KEY}/comments", f"{page}/comments/{row.id}"):
        assert stranger.post(path, data={"csrf_token": csrf, "text": "x"}).status_code == 404
