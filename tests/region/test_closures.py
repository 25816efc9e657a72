"""The county signs calendar entries of a school on another installation, by file."""

from __future__ import annotations

import io
import json
from copy import deepcopy
from datetime import date
from typing import Any

import pytest

from lms.core import clock
from lms.core.db import db
from lms.core.errors import Invalid, Refused, ZhikeError
from lms.core.models import Account
from lms.region.closures import service
from lms.roster import service as roster
from lms.roster.models import CalendarDay
from lms.usage import service as usage
from lms.usage.schoolyear import service as schoolyear
from tests.factories import token
from tests.region.places import PASSWORD, Place, enrol_by_key


def ask(below: Place) -> dict[str, Any]:
    """A closure entered two weeks late and a week flagged afterwards, asked for."""
    with below.inside():
        actor = db.session.get_one(Account, below.ids["admin"])
        roster.set_day(actor, below.ids["school"], date(2026, 11, 10), is_school=False, reason="运动会")
        roster.flag_week(actor, below.ids["school"], date(2026, 11, 16), "期中考试", [5])
        [term] = roster.terms_of(below.ids["school"])
        return service.request_of(actor, term.id).plain()


def answer(here: Place, document: dict[str, Any], agreed: list[str] | None = None) -> dict[str, Any]:
    with here.inside():
        officer = db.session.get_one(Account, here.ids["officer"])
        asked = service.read_request(officer, document)
        ticked = [one["id"] for one in asked.body["entries"]] if agreed is None else agreed
        return service.answer(officer, asked, ticked).plain()


def take(below: Place, document: dict[str, Any]) -> tuple[int, int]:
    with below.inside():
        return service.take(db.session.get_one(Account, below.ids["admin"]), document)


def test_the_answer_of_the_office_makes_entries_count(here: Place, below: Place) -> None:
    enrol_by_key(here, below, below.ids["school"])
    asked = ask(below)
    assert [one["reason"] for one in asked["body"]["entries"]] == ["运动会", "期中考试"]
    signed = answer(here, asked, [asked["body"]["entries"][0]["id"]])
    assert take(below, signed) == (1, 1)
    assert take(below, signed) == (0, 0)  # twice changes nothing
    with below.inside():
        school = roster.school_of(below.ids["school"])
        [term] = roster.terms_of(school.id)
        assert schoolyear.pending_of(school, term) == []
        row = db.session.query(CalendarDay).filter_by(reason="运动会").one()
        assert row.countersigned_at is not None
        assert usage.verify_chain(school.id).ok


def test_an_unknown_school_is_not_read(here: Place, below: Place) -> None:
    with pytest.raises(Refused, match="school-unknown"):
        answer(here, ask(below))


def test_the_school_cannot_sign_for_the_office(here: Place, below: Place) -> None:
    enrol_by_key(here, below, below.ids["school"])
    asked = ask(below)
    with below.inside():
        admin = db.session.get_one(Account, below.ids["admin"])
        own = service.answer(admin, service.read_document(service.REQUEST, asked), ["x"]).plain()
    with pytest.raises(Refused, match="answer-key"):
        take(below, own)


@pytest.mark.parametrize("field", ["agreed", "on", "reason"])
def test_a_changed_answer_is_refused(here: Place, below: Place, field: str) -> None:
    enrol_by_key(here, below, below.ids["school"])
    signed = answer(here, ask(below), [])
    forged = deepcopy(signed)
    forged["body"]["entries"][0][field] = True if field == "agreed" else "2026-11-11"
    with pytest.raises(Invalid, match="document"):
        take(below, forged)


def test_an_answer_to_other_words_is_refused(here: Place, below: Place) -> None:
    enrol_by_key(here, below, below.ids["school"])
    asked = ask(below)
    with below.inside():  # the words are changed behind the signature's back
        row = db.session.query(CalendarDay).filter_by(reason="运动会").one()
        row.reason = "运动会和家长会"
        db.session.commit()
    with pytest.raises(ZhikeError, match="answer-entry"):
        take(below, answer(here, asked))


def test_the_files_go_through_the_pages(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    enrol_by_key(here, below, below.ids["school"])
    asked = ask(below)
    office = here.app.test_client()
    office.post("/sign-in", data={"username": "officer", "password": PASSWORD, "csrf_token": token(office)})
    form = {"csrf_token": token(office, "/school/calendar/area")}
    file = (io.BytesIO(json.dumps(asked).encode()), "a.json")
    page = office.post("/region/calendar/desk", data={**form, "file": file})
    assert page.status_code == 200, page.text[:500]
    assert "东风小学" in page.text
    ids = [one["id"] for one in asked["body"]["entries"]]
    signed = office.post("/region/calendar/desk/decide", data={**form, "document": json.dumps(asked), "entry": ids})
    assert signed.status_code == 200, signed.text[:500]
    assert take(below, json.loads(signed.data)) == (2, 0)
