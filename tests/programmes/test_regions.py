"""A notice for a region is seen, and applied for, there only; whose place nobody told is not shut out."""

from __future__ import annotations

import pytest
from flask import Flask

from lms.core import clock
from lms.core.errors import NotFound
from lms.programmes import notices, service
from lms.programmes.calendar.service import deadlines_of
from lms.programmes.regions import Place, concerns
from tests.programmes import places as make
from tests.programmes.test_calendar import TODAY, date

SCHOOL, COUNTY, CITY = Place("school", "一小", "4199000001"), Place("county", "某县"), Place("city", "岳阳市教育局", "430600")
HUNAN, GANSU, MADE_UP, NATION = Place("province", "湖南省教育厅"), Place("province", "甘肃省"), Place("province", "甲省"), Place("nation", "全国")


@pytest.mark.parametrize(
    ("region", "places", "seen"),
    [
        ([], [SCHOOL, GANSU], True),
        (["43"], [SCHOOL, COUNTY, HUNAN, NATION], True),
        (["43"], [SCHOOL, COUNTY, GANSU, NATION], False),  # the code of a school is no division's
        (["41"], [SCHOOL, COUNTY, HUNAN, NATION], False),
        (["41"], [SCHOOL, COUNTY, MADE_UP, NATION], True),
        (["43"], [NATION], True),
        (["4306"], [SCHOOL, CITY, HUNAN], True),
        (["4307"], [SCHOOL, CITY, HUNAN], False),
        (["4306"], [HUNAN, NATION], True),  # it goes up to the province
        (["岳阳市教育局"], [SCHOOL, CITY, HUNAN], True),
        (["岳阳市教育局"], [SCHOOL, COUNTY, HUNAN], False),
        (["岳阳市教育局"], [SCHOOL, COUNTY, MADE_UP], False),
    ],
)
def test_whom_it_concerns(region: list[str], places: list[Place], seen: bool) -> None:
    assert concerns(region, places) is seen


def test_a_school_of_gansu_is_told_nothing_of_hunan_and_henan(app: Flask, fixed_clock: clock.FixedClock) -> None:
    province = make.organisation("province", "甘肃省", make.organisation("nation", "全国"), "620000")
    school = make.school("兰州一小", make.organisation("county", "某县", make.organisation("city", "某市", province)))
    admin = make.person(school)
    assert {one.slug for one in notices.packs_for(school.id)} == {"ncet-pilot", "smart-training"}
    assert {one.slug for one in deadlines_of(admin, TODAY, date(2030, 1, 1))} <= {"ncet-pilot", "smart-training"}
    with pytest.raises(NotFound):
        service.begin(admin, "henan-experiment", "school", "2026")
