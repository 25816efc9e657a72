from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient

from lms.core import clock
from lms.core.models import Account
from lms.programmes import service, workflow
from tests.factories import PASSWORD, token
from tests.programmes import places as make


def sign_in(client: FlaskClient, account: Account) -> None:
    answer = client.post("/sign-in", data={"username": account.username, "password": PASSWORD, "csrf_token": token(client)})
    assert answer.status_code == 302, answer.text


def test_pages(app: Flask, client: FlaskClient, fixed_clock: clock.FixedClock) -> None:
    tree = make.tree()
    admin, officer = make.person(tree["school"]), make.person(tree["county"])
    sign_in(client, admin)
    page = client.get("/programmes/")
    assert page.status_code == 200, page.text
    found = service.begin(admin, "ncet-pilot", "school", "2026")
    for key in ("school-statement.basics", "school-statement.check", "school-statement.lessons", "school-statement.cover"):
        answer = client.get(f"/programmes/{found.id}/parts/{key}")
        assert answer.status_code == 200, answer.text
    make.fill_in(admin, found)
    page = client.get(f"/programmes/{found.id}")
    assert page.status_code == 200, page.text
    assert client.get(f"/programmes/{found.id}/documents/school-statement.docx").status_code == 200
    workflow.submit(admin, found.id)
    other = app.test_client()
    sign_in(other, officer)
    assert "丙县一小" in other.get("/programmes/").text
    page = other.get(f"/programmes/{found.id}")
    assert page.status_code == 200 and "列入试点区" in page.text
