"""Pages of the calendar: a month, a list, the file for calendar programs; the box 近期截止 (日程)."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from lms.core import clock
from lms.core.auth import current_account, require
from lms.core.db import db
from lms.core.downloads import download
from lms.core.errors import Invalid
from lms.core.models import Organisation
from lms.programmes.calendar import reminding  # noqa: F401  (its work by the clock)
from lms.programmes.calendar.rules import KIND_NAMES, URGENCY_NAMES, Deadline, beside, month_of, near, urgency, weeks_of
from lms.programmes.calendar.service import deadlines_of, today
from lms.programmes.notices import packs_for
from lms.usage.schoolyear.ical import file_of, new_calendar, whole_day

bp = Blueprint("calendar", __name__, url_prefix="/calendar")
STAFF = ("teacher", "school_admin", "officer")
LISTED_DAYS, BACK_DAYS = 180, 31
VIEWS = ("month", "list")


@bp.app_context_processor
def _box() -> dict[str, Any]:
    return {"near_deadlines": near_deadlines, "urgency_names": URGENCY_NAMES}


def near_deadlines() -> list[tuple[Deadline, str, int]]:
    """What presses on the signed-in person's organisation: (deadline, urgency, days left)."""
    day = today()
    found = deadlines_of(current_account(), day - timedelta(days=7), day + timedelta(days=30))
    return [(one, urgency(one, day), (one.day - day).days) for one in near(found, day)]


@bp.get("")
@require(*STAFF)
def show() -> str:
    """A month, or the half year that follows, of every deadline; of one notice if asked."""
    day, view, slug = today(), request.args.get("view") or "month", request.args.get("notice", "")
    month = _month(day)
    packs = packs_for(current_account().organisation_id)
    if view not in VIEWS or slug not in ("", *(one.slug for one in packs)):
        raise Invalid("question", _l("看不懂这个查询。"), remedy=_l("请从“日程”重新打开。"))
    weeks = weeks_of(month)
    first, last = (weeks[0][0], weeks[-1][-1]) if view == "month" else (month, month + timedelta(days=LISTED_DAYS))
    rows = [(one, urgency(one, day)) for one in deadlines_of(current_account(), first, last, slug)]
    by_day: dict[date, list[tuple[Deadline, str]]] = defaultdict(list)
    for one, how in rows:
        by_day[one.day].append((one, how))
    return render_template(
        "programmes/calendar.html",
        rows=rows,
        by_day=by_day,
        weeks=weeks,
        month=month,
        before=f"{beside(month, -1):%Y-%m}",
        after=f"{beside(month, 1):%Y-%m}",
        today=day,
        view=view,
        slug=slug,
        packs=packs,
        kind_names=KIND_NAMES,
        here=db.session.get_one(Organisation, current_account().organisation_id),
    )


def _month(day: date) -> date:
    try:
        return month_of(request.args.get("month", ""), day)
    except ValueError as error:
        raise Invalid("month", _l("月份应写成 2026-12 这样。"), where="month") from error


@bp.get("/deadlines.ics")
@require(*STAFF)
def ics() -> Response:
    """Every deadline from a month ago on, for calendar programs."""
    day, account = today(), current_account()
    own = db.session.get_one(Organisation, account.organisation_id)
    rows = deadlines_of(
        account, day - timedelta(days=BACK_DAYS), day + timedelta(days=730), request.args.get("notice", "")
    )
    name = _("申报日程")
    made = new_calendar(f"{own.name} {name}", current_app.config["ZHIKE"].timezone)
    for one in rows:
        done = _("（已完成）") if one.done else ""
        event = whole_day(f"{own.id}/{one.key}", one.day, one.day, f"{one.title}{done}", clock.now())
        event.add("description", one.programme)
        made.add_component(event)
    return download(file_of(made), f"{name}-{day.isoformat()}.ics")
