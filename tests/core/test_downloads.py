"""Downloads carry their name and type, and no cache keeps them."""

from __future__ import annotations

from io import BytesIO

import pytest
from flask import Flask, Response, send_file

from lms.core.downloads import TYPES, download
from tests.factories import make_admin, make_school, sign_in


def test_a_chinese_name_reaches_the_browser(app: Flask) -> None:
    answer = download(b"1", "开课台账-2026-09.csv")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%E5%BC%80%E8%AF%BE%E5%8F%B0%E8%B4%A6-2026-09.csv"
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize("name", ["名单", "名单.exe"])
def test_a_file_without_a_known_ending_is_a_mistake(name: str) -> None:
    with pytest.raises(KeyError):
        download(b"", name)


def test_a_roster_stays_in_no_cache(app: Flask) -> None:
    client = app.test_client()
    sign_in(client, make_admin(make_school()))
    answer = client.get("/school/roster.xlsx")
    assert answer.status_code == 200
    assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (TYPES["xlsx"], "no-store")


def test_what_flask_sends_stays_in_no_cache(app: Flask) -> None:
    def picture() -> Response:
        return send_file(BytesIO(b"1"), "image/png")

    app.add_url_rule("/picture", view_func=picture)
    assert app.test_client().get("/picture").headers["Cache-Control"] == "no-store"
