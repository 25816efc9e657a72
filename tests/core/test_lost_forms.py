"""A long text that was sent after the session's end is shown again, to its author alone, and goes through at last."""

from __future__ import annotations

import html
import re
from io import BytesIO
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from lms.core.auth import current_account, end_sessions
from lms.core.db import db
from lms.core.models import Account
from lms.roster.models import Person
from tests import factories as make

TEXT = '\n第一段：<b>教研</b> "活动" 记录。\r\n第二段：' + "内容" * 200


@pytest.fixture
def app(app: Flask) -> Flask:
    """With a page that takes a text."""

    def note() -> dict[str, Any]:
        return {"by": str(current_account().id), **request.form.to_dict(flat=False)}

    app.add_url_rule("/note", "note", note, methods=["POST"])
    return app


@pytest.fixture
def author(app: Flask) -> Person:
    return make.make_teacher(make.make_school(), name="王老师")


def typed(client: FlaskClient, author: Person, **more: Any) -> dict[str, Any]:
    """A form that the author opened and filled in."""
    make.sign_in(client, author)
    return {"text": TEXT, "part": "3", "csrf_token": make.token(client, "/me"), **more}


def expire(client: FlaskClient) -> None:
    """What twelve hours do."""
    for name in ("zhike", "zhike_s"):
        client.delete_cookie(name)


def fields(page: str) -> dict[str, str]:
    """What the browser would send from the page's form; a textarea drops its first line break."""
    form = page[page.index("<form") : page.index("</form>")]
    found = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
    found |= dict(re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL))
    return {name: html.unescape(text) for name, text in found.items()}


def test_after_signing_in_again_the_text_goes_through(app: Flask, client: FlaskClient, author: Person) -> None:
    form = typed(client, author)
    expire(client)
    late = client.post("/note?part=3", data=form)
    assert late.status_code == 400
    assert "没有丢" in late.text and "王老师" in late.text and "请登录" in late.text
    assert "<b>教研" not in late.text, "what was typed is escaped"
    assert fields(late.text) == form
    assert 'action="/note?part=3"' in late.text
    make.sign_in(client, author)
    again = client.post("/note?part=3", data=fields(late.text))
    assert again.status_code == 400 and "再次提交" in again.text
    done = client.post("/note?part=3", data=fields(again.text))
    assert done.status_code == 200
    assert done.json is not None
    assert (done.json["text"], done.json["part"], done.json["by"]) == ([TEXT], ["3"], str(author.account_id))


def test_a_session_that_was_ended_elsewhere_loses_nothing_either(app: Flask, client: FlaskClient, author: Person) -> None:
    form = typed(client, author)
    end_sessions(db.session.get_one(Account, author.account_id))
    late = client.post("/note", data=form)
    assert late.status_code == 400
    assert fields(late.text) == form


def test_nobody_else_sends_or_reads_it(app: Flask, client: FlaskClient, author: Person) -> None:
    form = typed(client, author)
    expire(client)
    make.sign_in(client, make.make_teacher(make.make_school("另一所学校"), name="李老师"))
    late = client.post("/note", data=form)
    assert late.status_code == 400
    assert "不能代为提交" in late.text and "再次提交" not in late.text
    assert "<textarea" not in late.text
    assert fields(late.text)["csrf_token"] == form["csrf_token"], "no fresh token for the wrong person"
    assert client.post("/note", data=fields(late.text)).status_code == 400


def test_a_token_of_somebody_else_brings_no_form(app: Flask, client: FlaskClient, author: Person) -> None:
    """What another site posts, with no token or with its own, is never offered for sending again."""
    other = app.test_client()
    forged = typed(other, make.make_teacher(make.make_school("另一所学校")))
    make.sign_in(client, author)
    for token in ("", "forged", forged["csrf_token"] + "x", make.token(app.test_client())):
        answer = client.post("/note", data={**forged, "csrf_token": token})
        assert answer.status_code == 400 and "<form" not in answer.text
    assert "再次提交" not in client.post("/note", data=forged).text


@pytest.mark.parametrize(
    "more", [{"password": "geheim-123"}, {"pin": "2468"}, {"again": "x"}, {"text": "长" * 500_001}], ids=["password", "pin", "again", "huge"]
)
def test_secrets_and_huge_forms_are_not_shown(app: Flask, client: FlaskClient, author: Person, more: dict[str, str]) -> None:
    form = typed(client, author, **more)
    expire(client)
    late = client.post("/note", data=form)
    assert late.status_code == 400 and "页面已过期" in late.text
    assert TEXT[-40:] not in late.text and not any(text[:400] in late.text for text in more.values() if len(text) > 1)


def test_files_are_named_as_lost(app: Flask, client: FlaskClient, author: Person) -> None:
    form = typed(client, author)
    expire(client)
    late = client.post("/note", data={**form, "file": (BytesIO(b"%PDF-"), "证明.pdf")})
    assert "证明.pdf" in late.text and 'enctype="multipart/form-data"' in late.text


def test_scripts_get_their_problem(app: Flask, client: FlaskClient, author: Person) -> None:
    form = typed(client, author)
    expire(client)
    late = client.post("/note", data=form, headers={"Accept": "application/json"})
    assert late.mimetype == "application/problem+json"
