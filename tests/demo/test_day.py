"""The demo's bells at every hour of the day: a lesson is on now, and the imported timetable has no clash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from lms.core import clock
from lms.demo.plan import PERIODS, demo_bells, demo_zone
from lms.demo.school import make_school
from lms.roster import service as roster

MIDNIGHT = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)  # in Shanghai


@pytest.mark.parametrize("extra", [0, 120])
def test_periods_follow_one_another_and_one_runs(extra: int) -> None:
    for quarter in range(96):
        moment = MIDNIGHT + timedelta(minutes=15 * quarter)
        now = moment.astimezone(ZoneInfo(demo_zone(moment)))
        bells, running = demo_bells(now, 45, extra_minutes=extra)
        assert len(bells) == PERIODS
        assert all(one.ends_at < other.starts_at for one, other in pairwise(bells)), now
        assert running.starts_at <= now.time() < running.ends_at


@pytest.mark.parametrize("hour", [0.5, 8.5, 16.6, 21.9])
def test_the_school_can_be_made_at_any_hour(app: Flask, hour: float) -> None:
    clock.set_clock(clock.FixedClock(MIDNIGHT + timedelta(hours=hour)))
    school = make_school(0, lambda line: None)
    running = [one for one in roster.slots_on(school.school_id, school.calendar.today, class_id=school.class_id) if one.starts <= clock.now() < one.ends]
    assert len(running) == 1
