"""The page of the rules that add up, and the subjects that the school has chosen."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from lms.core import clock
from tests.factories import sign_in, token
from tests.usage.test_views import Campus, page


@pytest.fixture
def campus(app: Flask, fixed_clock: clock.FixedClock) -> Campus:
    return Campus(fixed_clock)


def test_what_is_chosen_is_counted(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.admin)
    text = page(client, "/compliance/hours")
    assert "还没有选" in text and "每学期每学科课时" in text and "A、B 级证据占比" in text
    answer = client.post("/compliance/hours/subjects", data={"more": "人工智能，体育", "csrf_token": token(client)})
    assert answer.status_code == 302
    text = page(client, "/compliance/hours")
    assert "选定的学科：人工智能、体育" in text
    assert re.findall(r"<b>(\d+)</b> / (\d+)", text)[:2] == [("16", "10"), ("0", "10")], "eight long enough weeks of two classes; no physical education"
    assert page(client, "/compliance/what-if").count("计划：按课表一节不少上到期末") == 1


def test_a_teacher_chooses_nothing(campus: Campus, client: FlaskClient) -> None:
    sign_in(client, campus.teacher)
    assert client.post("/compliance/hours/subjects", data={"more": "体育", "csrf_token": token(client)}).status_code == 403
