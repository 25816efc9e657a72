"""The pages of programmes as people use them; who may open which is test_crawl.py's."""

from __future__ import annotations

import re
import uuid
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db, write
from lms.core.models import Account, AuditEntry, Organisation
from lms.programmes import notices, service, workflow
from lms.programmes.models import Application
from lms.programmes.pack import SHIPPED, texts_in
from lms.programmes.selection import behalf
from tests.factories import PASSWORD, token
from tests.programmes import places as make

Tree = dict[str, Organisation]


@pytest.fixture
def tree(app: Flask, fixed_clock: clock.FixedClock) -> Tree:
    return make.tree()


ALL_THE_SAME = {"accept": "1", "reason": "实验室在建，9月完工"}


def door(app: Flask, account: Account) -> FlaskClient:
    client = app.test_client()
    answer = client.post(
        "/sign-in", data={"username": account.username, "password": PASSWORD, "csrf_token": token(client)}
    )
    assert answer.status_code == 302, answer.text
    return client


def test_from_a_school_to_its_plaque_through_the_pages(app: Flask, tree: Tree) -> None:
    school = door(app, make.person(tree["school"]))
    page = school.get("/programmes/")
    assert "百校千课" in page.text and "规模化应用" in page.text
    csrf = token(school, "/programmes/")
    answer = school.post(
        "/programmes/begin", data={"csrf_token": csrf, "notice": "hunan-baixiao", "kind": "school", "batch": "2026"}
    )
    address = answer.headers["Location"]
    page = school.get(address)
    assert "还差" in page.text and "必交" in page.text and "disabled" in page.text
    part = f"{address}/parts/application.plan"
    school.post(
        part,
        data={
            "csrf_token": csrf,
            "edition": "0",
            "value": "实验背景、实验主题、目标与任务、组织实施、预期效果、保障措施",
        },
    )
    assert "30 / 3000" in school.get(part).text.replace("<b>", "").replace("</b>", "")
    found = db.session.scalars(select(Application)).one()
    make.write_up(db.session.get_one(Account, found.created_by), found)
    assert school.get(f"{address}/bundles/school.zip").status_code == 409
    assert school.post(f"{address}/submit", data={"csrf_token": csrf}).status_code == 409  # nothing is sealed yet
    scan = {"csrf_token": csrf, "slot": "scan:application", "file": (BytesIO(make.PDF), "封面.pdf")}
    assert "盖章页齐了" in school.post(f"{address}/files", data=scan, follow_redirects=True).text
    page = school.get(address).text  # no laboratory: HN-19 is a must
    assert "有 1 条必须条件没有达到" in page and 'name="accept"' in page
    bare = school.post(f"{address}/submit", data={"csrf_token": csrf, "reason": "在建"})
    assert bare.status_code == 422 and "必须条件没有达到：HN-19" in bare.text
    assert school.post(f"{address}/submit", data={"csrf_token": csrf, **ALL_THE_SAME, "reason": " "}).status_code == 422
    answer = school.post(f"{address}/submit", data={"csrf_token": csrf, **ALL_THE_SAME}, follow_redirects=True)
    assert "回执号" in answer.text and "区县推荐中" in answer.text
    for level in ("county", "city", "province"):
        office = door(app, make.person(tree[level]))
        assert "待本单位办理" in office.get("/programmes/").text
        form = {"csrf_token": token(office, "/programmes/"), "action": "recommend", "remark": ""}
        page = office.get(address).text
        assert page.count("理由：实验室在建，9月完工") >= 1 and "有 1 条必须条件没有达到" in page
        assert office.post(f"{address}/act", data=form).status_code == 422
        assert "待本单位办理" in office.get("/programmes/").text  # nothing went up
        office.post(f"{address}/act", data=form | ALL_THE_SAME)
    assert "已挂牌" in school.get(address).text
    document = school.get(f"{address}/documents/application.docx")
    assert document.status_code == 200 and document.data.startswith(b"PK")
    assert school.get(f"{address}/bundles/school.zip?anyway=1").status_code == 200


def test_how_papers_are_sent_is_told_by_level(app: Flask, tree: Tree) -> None:
    """HN-01, HN-02: Yueyang has a day of its own and takes paper by post, the province takes none; the office may be called 岳阳市教育局."""
    with write():
        tree["city"].name = "岳阳市教育局"
    admin = make.person(tree["city-school"])
    school = door(app, admin)
    paper, electronic = "一式一份邮寄市教科院1009室", "电子版和盖章页扫描件，不收纸质"
    card = school.get("/programmes/").text
    assert "2026-12-20 截止" in card and f"报岳阳市教育局：申报书、汇总表盖章后{paper}" in card
    found = service.begin(admin, "hunan-baixiao", "school", "2026")
    page = school.get(f"/programmes/{found.id}").text
    assert "须在 2026-12-20 结束前报到岳阳市教育局" in page and paper in page and electronic not in page
    assert paper in school.get("/programmes/calendar?view=list").text
    city = make.person(tree["city"])
    summary = service.begin(city, "hunan-baixiao", "city", "2026")
    page = door(app, city).get(f"/programmes/{summary.id}").text
    assert "须在 2026-12-30 结束前报到甲省" in page and electronic in page and paper not in page


def test_a_day_put_off_reaches_those_who_began(app: Flask, tree: Tree, fixed_clock: clock.FixedClock) -> None:
    """延期: a later version of the office's own notice moves the day for applications that keep the earlier one."""
    province, admin = make.person(tree["province"]), make.person(tree["school"])
    texts = texts_in(SHIPPED / "hunan-baixiao")
    texts["pack.yaml"] = texts["pack.yaml"].replace("notice: hunan-baixiao", "notice: jia-c", 1)
    notices.publish(province, texts)
    found = service.begin(admin, "jia-c", "school", "2026")
    make.fill_in(admin, found)
    later = texts["pack.yaml"].replace("due: {province: 2026-12-30}", "due: {province: 2027-01-15}", 1)
    notices.publish(province, texts | {"pack.yaml": later.replace('version: "2024.1"', 'version: "2024.2"', 1)})
    fixed_clock.at = datetime(2027, 1, 5, 4, tzinfo=UTC)
    page = door(app, admin).get(f"/programmes/{found.id}").text
    assert "须在 2027-01-15 结束前报到丙县" in page and "（按 2024.2 版改期）" in page and "通知包 2024.1" in page
    assert workflow.submit(admin, found.id).status == "at-county"
    kept = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "publish-notice").order_by(AuditEntry.id)).all()
    assert kept[-1].detail["due"]["2026"] == {"province": "2027-01-15"}


def test_the_office_that_fills_in_sees_what_is_lacking(app: Flask, tree: Tree) -> None:
    city = make.person(tree["city"])
    ward = make.school("丙县三小", tree["county"])
    found = behalf.begin(city, ward.id, "hunan-baixiao", "school", "2026")
    client = door(app, city)
    assert "还差什么，来得及吗" in client.get(f"/programmes/{found.id}").text
    assert client.get(f"/programmes/{found.id}/lacks").status_code == 200
    assert door(app, make.person(tree["county"])).get(f"/programmes/{found.id}/lacks").status_code == 404


def test_autosave_tells_the_count_and_shows_a_conflict(app: Flask, tree: Tree) -> None:
    first, second = make.person(tree["school"], name="甲老师"), make.person(tree["school"], name="乙老师")
    found = service.begin(first, "ncet-pilot", "school", "2026")
    part = f"/programmes/{found.id}/parts/school-statement.basics"
    one, two = door(app, first), door(app, second)
    answer = one.post(part, json={"value": "字" * 480, "edition": 0}, headers={"X-CSRFToken": token(one, part)})
    assert answer.json == {"edition": 1, "count": 480, "most": 500, "standing": "near"}
    answer = two.post(part, json={"value": "别的", "edition": 0}, headers={"X-CSRFToken": token(two, part)})
    assert answer.status_code == 409 and answer.json is not None
    assert answer.json["code"] == "conflict" and answer.json["by"] == "甲老师" and answer.json["theirs"] == "字" * 480
    page = two.post(part, data={"csrf_token": token(two, part), "edition": "0", "value": "我写的一段"})
    assert (
        page.status_code == 409 and "我写的一段" in page.text and "字" * 480 in page.text
    )  # both are there to be merged
    edition = re.search(r'name="edition" value="(\d+)"', page.text)
    assert edition and edition[1] == "1"
    assert one.post(part, json={"value": 3, "edition": 1}, headers={"X-CSRFToken": token(one, part)}).status_code == 422
    assert one.post(part, json=[], headers={"X-CSRFToken": token(one, part)}).status_code == 422


def test_an_earlier_state_comes_back(app: Flask, tree: Tree, fixed_clock: clock.FixedClock) -> None:
    first, second = make.person(tree["school"], name="甲老师"), make.person(tree["school"], name="乙老师")
    found = service.begin(first, "ncet-pilot", "school", "2026")
    key = "school-statement.basics"
    sittings = ((first, 0, ("甲写", "甲写了", "甲写了一段")), (second, 0, ("乙全改了",)), (second, 11, ("乙后来",)))
    edition = 0
    for person, minutes, texts in sittings:
        fixed_clock.at += timedelta(minutes=minutes)
        for text in texts:
            edition = service.save_part(person, found.id, key, text, edition).edition
    told = [(edit.value["value"], name) for edit, name in service.history_of(first, found.id, key)]
    assert told == [("乙后来", "乙老师"), ("乙全改了", "乙老师"), ("甲写了一段", "甲老师")]  # one line a sitting
    part = f"/programmes/{found.id}/parts/{key}"
    client = door(app, first)
    page = client.get(part).text
    assert page.count("恢复成这一版") == 2  # not what stands already
    client.post(f"{part}/restore", data={"csrf_token": token(client, part), "wanted": "3", "edition": str(edition)})
    assert service.content_of(found)[key] == "甲写了一段"
    assert service.history_of(first, found.id, key)[1][0].value["value"] == "乙后来"  # nothing is lost
    late = client.post(f"{part}/restore", data={"csrf_token": token(client, part), "wanted": "3", "edition": "2"})
    assert late.status_code in {302, 409}


def test_tables_are_saved_without_a_script(app: Flask, tree: Tree) -> None:
    admin = make.person(tree["school"])
    found = service.begin(admin, "smart-training", "school", "2026")
    client = door(app, admin)
    part = f"/programmes/{found.id}/parts/school.operators"
    data = {
        "csrf_token": token(client, part),
        "edition": "0",
        "value.0.name": "张三",
        "value.0.post": "",
        "value.0.mobile": "12",
        "value.1.name": "",
        "value.7.name": "李四",
    }
    client.post(part, data=data)
    assert [row["name"] for row in service.content_of(found)["school.operators"]] == ["张三", "李四"]
    assert any("手机号“12”写得不对" in one.text for one in service.lacks_of(found))


def test_an_office_reads_what_came_to_it_and_changes_nothing(app: Flask, tree: Tree) -> None:
    admin, officer = make.person(tree["school"]), make.person(tree["county"])
    found = service.begin(admin, "ncet-pilot", "school", "2026")
    make.fill_in(admin, found)
    workflow.submit(admin, found.id)
    client = door(app, officer)
    page = client.get(f"/programmes/{found.id}")
    assert page.status_code == 200 and "列入试点区" in page.text
    csrf = token(client, "/me")
    part = f"/programmes/{found.id}/parts/school-statement.basics"
    assert client.get(part).status_code == 404
    assert client.post(part, data={"csrf_token": csrf, "edition": "1", "value": "改"}).status_code == 403
    assert (
        client.post(
            f"/programmes/{found.id}/files",
            data={"csrf_token": csrf, "slot": "training", "file": (BytesIO(make.PDF), "a.pdf")},
        ).status_code
        == 403
    )
    seen = db.session.scalars(
        select(AuditEntry.action).where(AuditEntry.actor_id == officer.id, AuditEntry.object_id == str(found.id))
    ).all()
    assert "access:application" in seen
    assert client.get(f"/programmes/{uuid.uuid4()}").status_code == 404


def test_an_office_copies_changes_and_publishes_a_notice(app: Flask, tree: Tree) -> None:
    office = door(app, make.person(tree["county"]))
    copy = office.get("/programmes/notices/hunan-baixiao.zip")
    assert copy.status_code == 200
    csrf = token(office, "/programmes/")
    same = office.post("/programmes/notices", data={"csrf_token": csrf, "files": (BytesIO(copy.data), "copy.zip")})
    assert same.status_code == 422 and "随附的通知" in same.text
    stream = BytesIO()
    with zipfile.ZipFile(BytesIO(copy.data)) as source, zipfile.ZipFile(stream, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"notice: hunan-baixiao", b"notice: bing-county"))
    done = office.post(
        "/programmes/notices",
        data={"csrf_token": csrf, "files": (BytesIO(stream.getvalue()), "own.zip")},
        follow_redirects=True,
    )
    assert "已发布" in done.text
    again = office.get("/programmes/notices/bing-county.zip")
    assert sorted(zipfile.ZipFile(BytesIO(again.data)).namelist()) == [
        "forms/application.yaml",
        "forms/summary.yaml",
        "pack.yaml",
    ]
    wrong = office.post(
        "/programmes/notices", data={"csrf_token": csrf, "files": (BytesIO(b"notice: x\n"), "pack.yaml")}
    )
    assert wrong.status_code == 422 and "pack.yaml:1" in wrong.text
    nothing = office.post("/programmes/notices", data={"csrf_token": csrf})
    assert nothing.status_code == 422 and "缺少这个文件" in nothing.text
    for data in (b"\xff\xfe", b"PK broken"):
        assert (
            office.post(
                "/programmes/notices", data={"csrf_token": csrf, "files": (BytesIO(data), "pack.yaml")}
            ).status_code
            == 422
        )
    school = door(app, make.person(tree["school"]))
    assert school.get("/programmes/notices/hunan-baixiao.zip").status_code == 403
    assert school.post("/programmes/notices", data={"csrf_token": token(school, "/me")}).status_code == 403


def test_an_officer_lands_where_the_work_is(app: Flask, tree: Tree) -> None:
    office = door(app, make.person(tree["city"]))
    assert office.get("/").headers["Location"] == "/programmes/"  # this installation is no office's own
    assert 'href="/region"' not in office.get("/programmes/").text  # and no entry leads nowhere
