"""The pages as an officer and a school's administrator use them."""

from __future__ import annotations

import io
import re
from datetime import date
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from openpyxl import load_workbook
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db
from lms.core.models import Account
from lms.first_run import welcome_token
from lms.region import office, service, synthetic
from lms.region.batches import fingerprint
from lms.region.models import Subordinate
from tests import factories as make
from tests.conftest import Browser
from tests.region.places import PASSWORD, Place, bring, enrol_by_key, file_of, place, teach

AUTUMN = date(2026, 8, 31)


def browser(made: Place, username: str, password: str) -> FlaskClient:
    made.app.test_client_class = Browser
    client = made.app.test_client()
    with made.inside():
        token = make.token(client)
        answer = client.post("/sign-in", data={"username": username, "password": password, "csrf_token": token})
        assert answer.status_code == 302, answer.text
    return client


def officer(here: Place) -> FlaskClient:
    return browser(here, "officer", PASSWORD)


def admin(below: Place) -> FlaskClient:
    with below.inside():
        name = db.session.get_one(Account, below.ids["admin"]).username
    return browser(below, name, make.PASSWORD)


def get(made: Place, client: FlaskClient, path: str) -> str:
    with made.inside():
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        return answer.text


def post(made: Place, client: FlaskClient, path: str, page: str, **data: object) -> str:
    with made.inside():
        answer = client.post(path, data={**data, "csrf_token": make.token(client, page)}, follow_redirects=True)
        return answer.text


def test_an_empty_office_says_what_to_do(here: Place) -> None:
    client = officer(here)
    assert "还没有学校" in get(here, client, "/region")
    assert "还没有收到任何上报" in get(here, client, "/region/intake")


def test_a_county_from_enrolment_to_the_drill(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    teach(below, fixed_clock, AUTUMN, range(1, 6))
    teacher, desk = officer(here), admin(below)
    own = re.findall(r"[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{5}", get(below, desk, "/hand-up"))[0]
    page = post(
        here,
        teacher,
        "/region/enrolment",
        "/region/enrolment",
        way="file",
        level="school",
        name="东风小学",
        code="31",
        fingerprint=own,
    )
    assert "已登记：东风小学" in page
    theirs = re.findall(r"[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{5}", page)[0]
    page = post(below, desk, "/hand-up/join", "/hand-up", way="file", name="示范区教育局", fingerprint=theirs.lower())
    assert "没有网络线路" in page and "还有" in page
    with below.inside():
        stick = desk.get("/hand-up/file").data
    with here.inside():
        service.refresh()
    assert "从未上报" in get(here, teacher, "/region?show=silent")
    page = post(here, teacher, "/region/intake", "/region/intake", file=(io.BytesIO(stick), "stick.zip"))
    assert "已签收" in page and "东风小学" in page
    with here.inside():
        service.refresh()
        receipts = teacher.get("/region/schools/1/receipts.json").data
    page = get(here, teacher, "/region?name=东风")
    assert "4 / 4" in page or "0 / 4" in page
    drill = get(here, teacher, "/region/schools/1")
    assert drill.count("小学 5 年级") == 2
    assert "第 1–" not in drill and "孙悟空" not in drill and "学生" not in drill
    page = post(below, desk, "/hand-up/receipts", "/hand-up", receipt=(io.BytesIO(receipts), "r.json"))
    assert "已收下 1 份回执" in page and "全部已签收" in page
    with here.inside():
        sheet = load_workbook(io.BytesIO(teacher.get("/region.xlsx").data)).worksheets[0]
    assert sheet["A4"].value == "东风小学"


def test_what_goes_wrong_is_said_on_the_page(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    client, desk = officer(here), admin(below)
    bad = "指纹应为"
    assert bad in post(
        here, client, "/region/enrolment", "/region/enrolment", way="file", level="school", name="甲", fingerprint="123"
    )
    assert "请填写名称" in post(
        here, client, "/region/enrolment", "/region/enrolment", way="line", level="school", name=" "
    )
    assert bad in post(below, desk, "/hand-up/join", "/hand-up", way="file", name="甲", fingerprint="UUUUU")
    assert "登记码应为" in post(below, desk, "/hand-up/join", "/hand-up", way="line", url="https://x:1", code="ABC")
    assert "https://名称:端口" in post(
        below, desk, "/hand-up/join", "/hand-up", way="line", url="http://example.org", code="A"
    )
    assert "还没有登记上级" in get_any(below, desk, "/hand-up/file")
    assert "不是完整的上报文件" in post(
        here, client, "/region/intake", "/region/intake", file=(io.BytesIO(b"PK nothing"), "x.zip")
    )
    assert "请选择文件" in post(here, client, "/region/intake", "/region/intake")
    service_file = make_queryless(here, client)
    assert "看不懂这个查询" in service_file


def get_any(made: Place, client: FlaskClient, path: str) -> str:
    with made.inside():
        return client.get(path).text


def make_queryless(here: Place, client: FlaskClient) -> str:
    with here.inside():
        synthetic.generate(service.results_folder(), synthetic.Plan(schools=2))
    return get_any(here, client, "/region?show=everything")


def test_a_new_code_is_shown_once_and_accepting_a_key_needs_its_fingerprint(
    here: Place, below: Place, fixed_clock: clock.FixedClock
) -> None:
    teach(below, fixed_clock, AUTUMN, [1])
    enrol_by_key(here, below, below.ids["school"])
    bring(here, file_of(below))
    client = officer(here)
    page = post(here, client, "/region/schools/1/code", "/region/schools/1")
    code = re.search(r"[0-9A-Z]{5}(?:-[0-9A-Z]{5}){4}", page)
    assert code is not None and code[0] not in get(here, client, "/region/schools/1")
    new = fingerprint(b"another key")
    assert "已接受新的密钥指纹" in post(here, client, "/region/schools/1/key", "/region/schools/1", fingerprint=new)
    with here.inside():
        assert db.session.scalars(select(Subordinate.fingerprint)).one() == new


@pytest.mark.parametrize(
    "path",
    [
        "/region",
        "/region.xlsx",
        "/region/enrolment",
        "/region/intake",
        "/region/schools/1",
        "/region/schools/1/receipts.json",
    ],
)
def test_only_officers_see_other_schools(below: Place, path: str) -> None:
    desk = admin(below)
    with below.inside():
        assert desk.get(path).status_code == 403
        assert below.app.test_client().get(path).status_code == 302


def test_an_empty_folder_becomes_an_office(tmp_path: Path, empty_database_url: str) -> None:
    made = place(tmp_path / "new", empty_database_url)
    made.app.test_client_class = Browser
    client = made.app.test_client()
    with made.inside():
        assert client.get("/").status_code == 503
        door = f"/welcome/office?token={welcome_token(made.app.config['ZHIKE'])}"
        fields = {
            "level": "county",
            "name": "示范区教育局",
            "admin_name": "李明",
            "username": "li",
            "password": PASSWORD,
            "again": PASSWORD,
        }
        token = {"csrf_token": make.token(client, door), "token": welcome_token(made.app.config["ZHIKE"])}
        assert client.post("/welcome/office", data={**fields, **token, "again": "x"}).status_code == 422
        answer = client.post("/welcome/office", data={**fields, **token}, follow_redirects=True)
        assert "还没有学校" in answer.text
        assert office.need_office().name == "示范区教育局"
        assert made.app.test_client().get(door).status_code == 404  # once only
    made.close()
