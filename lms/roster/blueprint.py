"""The blueprint of the roster's pages, its menu entry, and how forms answer (花名册页面)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date, time
from typing import Any, ParamSpec
from urllib.parse import urlsplit

from flask import Blueprint, flash, redirect, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import may
from lms.core.errors import Invalid, Refused
from lms.core.menu import Entry, offer
from lms.roster.rules import PICTURE_NAMES

P = ParamSpec("P")
Page = BaseResponse | str

bp = Blueprint("roster", __name__, template_folder="templates", url_prefix="/school")

ALL = ("teacher", "school_admin")
ADMIN_ONLY = ("school_admin",)
TABS = (
    Entry("roster.profile", _l("概况"), "building-community", ADMIN_ONLY, 0),
    Entry("roster.classes", _l("班级"), "users-group", ALL, 1),
    Entry("roster.people", _l("教职工"), "id-badge-2", ADMIN_ONLY, 2),
    Entry("roster.rooms", _l("教室"), "armchair", ALL, 3),
    Entry("roster.timetable", _l("课表"), "table", ALL, 4),
    Entry("usage.schoolyear.term", _l("校历"), "calendar", ALL, 5),
    Entry("roster.intake", _l("导入"), "file-import", ADMIN_ONLY, 6),
)
_HOME_OF = {
    "roster.class_page": "roster.classes",
    "roster.class_cards": "roster.classes",
    "roster.pupil_pin": "roster.classes",
    "roster.erase_list": "roster.classes",
    "roster.erase_page": "roster.classes",
    "roster.person_password": "roster.people",
    "roster.room": "roster.rooms",
    "roster.room_codes": "roster.rooms",
    "roster.intake_preview": "roster.intake",
    "usage.schoolyear.preview": "usage.schoolyear.term",
    "usage.schoolyear.table": "usage.schoolyear.term",
    "usage.schoolyear.sheet": "usage.schoolyear.term",
}


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(state.app, Entry("roster.home", _l("学校"), "school", ALL, 50))


@bp.context_processor
def tabs() -> dict[str, Any]:
    """``roster_tabs`` of the person, ``is_admin``, and the names of the PIN pictures."""
    here = _HOME_OF.get(request.endpoint or "", request.endpoint)
    tabs = [
        {"url": url_for(tab.endpoint), "label": tab.label, "icon": tab.icon, "active": tab.endpoint == here}
        for tab in TABS
        if current_user.is_authenticated and may(current_user, tab.roles)
    ]
    is_admin = current_user.is_authenticated and may(current_user, ("school_admin",))
    return {"roster_tabs": tabs, "is_admin": is_admin, "picture_names": PICTURE_NAMES}


def answered(view: Callable[P, Page]) -> Callable[P, Page]:
    """A form's refusal comes back on the page that it was sent from, in words."""

    @functools.wraps(view)
    def asked(*args: P.args, **kwargs: P.kwargs) -> Page:
        try:
            return view(*args, **kwargs)
        except (Invalid, Refused) as error:
            flash(f"{error.message}{error.remedy}", "error")
            return back()

    return asked


def back() -> BaseResponse:
    """To the page that the form stood on."""
    parts = urlsplit(request.referrer or "")
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    here = parts.netloc == request.host and target.startswith("/") and not target.startswith("//")
    return redirect(target if here else url_for("roster.home"))


def a_date(name: str, *, needed: bool = False) -> date | None:
    """The form's date; raises Invalid for what is none."""
    text = request.form.get(name, "").strip()
    if not text and not needed:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("date", _("请填写日期，例如 2026-09-01。"), where=name) from error


def day_of(name: str) -> date:
    """The form's date, which must be there."""
    found = a_date(name, needed=True)
    assert found is not None
    return found


def a_time(name: str) -> time:
    """The form's time of day; raises Invalid for what is none."""
    try:
        return time.fromisoformat(request.form.get(name, "").strip())
    except ValueError as error:
        raise Invalid("time", _("请填写时间，例如 08:00。"), where=name) from error


def a_number(name: str, default: int | None = None) -> int:
    """The form's whole number; raises Invalid for what is none."""
    text = request.form.get(name, "").strip()
    if not text and default is not None:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise Invalid("number", _("请填写整数。"), where=name) from error


def grades_of_form() -> list[int] | None:
    """Grades ticked in the form; None for all."""
    found = [int(text) for text in request.form.getlist("grades") if text.isdigit() and 1 <= int(text) <= 12]
    return found or None
