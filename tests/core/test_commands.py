"""What the commands share: the school that is meant, refusals as sentences."""

from __future__ import annotations

import click
import pytest
from flask import Flask

from lms.config import Settings
from lms.core.cli import in_app, the_school
from lms.core.db import db
from lms.core.errors import Refused
from tests.factories import make_school


def test_the_only_school_needs_no_name(app: Flask) -> None:
    with pytest.raises(click.ClickException, match="还没有学校"):
        the_school(None)
    school = make_school()
    assert the_school(None) == the_school("") == (school.id, school.organisation.name)


def test_one_of_several_schools_is_named(app: Flask) -> None:
    one, other = make_school(), make_school()
    one.organisation.name, other.organisation.name, other.organisation.code = "东校", "西校", "4301000002"
    db.session.flush()
    for wanted in (str(other.id), other.id.hex, "4301000002", "西校"):
        assert the_school(wanted) == (other.id, "西校")
    for wanted in (None, "", "南校"):
        with pytest.raises(click.ClickException, match="东校、西校"):
            the_school(wanted)


def test_a_refusal_is_a_sentence(settings: Settings) -> None:
    with pytest.raises(click.ClickException, match="现在不行（甲）请明天再来"), in_app(settings):
        raise Refused("busy", "现在不行", remedy="请明天再来", where="甲")
    with pytest.raises(ZeroDivisionError), in_app(settings):
        raise ZeroDivisionError
