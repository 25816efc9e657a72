"""Pages of meetings (推进会、展示会)."""

from __future__ import annotations

import uuid

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import current_account, may, require
from lms.core.db import db
from lms.core.errors import Invalid
from lms.core.models import Organisation
from lms.programmes.dates import day_in
from lms.programmes.notices import packs_for
from lms.programmes.years import events, files
from lms.programmes.years.service import below
from lms.programmes.years.views import ADMIN, STAFF, id_in, name_of, uploaded

LEVELS = {
    "nation": _l("国家级"),
    "province": _l("省级"),
    "city": _l("市级"),
    "county": _l("县级"),
    "school": _l("校级"),
}
bp = Blueprint("events", __name__, url_prefix="/events")


@bp.get("")
@require(*STAFF)
def index() -> str:
    """Meetings, newest first; the form to enter one."""
    account = current_account()
    packs = {pack.slug: pack for pack in packs_for(account.organisation_id)}
    slugs = [one for one in events.slugs_of(account) if one in packs]
    rows = events.events_of(account)
    return render_template(
        "years/events.html",
        rows=[
            {
                "row": row,
                "holder": name_of(row.school_id),
                "level": LEVELS[db.session.get_one(Organisation, row.school_id).level],
                "came": [name_of(uuid.UUID(one)) for one in row.came],
                "files": files.files_about(row.id),
                "mine": row.school_id == account.organisation_id,
            }
            for row in rows
        ],
        packs={slug: packs[slug] for slug in slugs},
        kinds=events.KINDS,
        schools=_schools(account.organisation_id),
        writes=may(account, ADMIN) and bool(slugs),
    )  # fmt: skip


def _schools(office_id: uuid.UUID) -> list[tuple[uuid.UUID, str]]:
    """Who may have come: those that went through the office, by name."""
    ids = {row.school_id for row in below(office_id)}
    query = select(Organisation.id, Organisation.name).where(Organisation.id.in_(ids)).order_by(Organisation.name)
    return [(row[0], row[1]) for row in db.session.execute(query)]


@bp.post("")
@require(*ADMIN)
def add() -> BaseResponse:
    """Enter a meeting."""
    account, form = current_account(), request.form
    people = form.get("people", "").strip() or "0"
    if not people.isdecimal():
        raise Invalid("event", _l("人数不对。"), where="people")
    came = [one for value in form.getlist("came") if (one := id_in(value))]
    row = events.add_event(
        account,
        events.EventGiven(
            form.get("slug", ""), form.get("kind", ""), form.get("title", ""), day_in(form.get("held_on")), form.get("place", ""),
            int(people), came, form.get("summary", ""),
        ),
    )  # fmt: skip
    sent = uploaded()
    if sent is not None:
        files.add(account, row.school_id, row.id, *sent)
    flash(_("已登记。"))
    return redirect(url_for("programmes.years.events.index"))


@bp.post("/<uuid:event_id>/files")
@require(*ADMIN)
def add_file(event_id: uuid.UUID) -> BaseResponse:
    """Add materials to a meeting."""
    account = current_account()
    row = events.event_of(account, event_id)
    events.need_holder(account, row)
    files.add(account, row.school_id, row.id, *(uploaded() or ("", b"")))
    flash(_("已上传。"))
    return redirect(url_for("programmes.years.events.index"))


@bp.post("/<uuid:event_id>/remove")
@require(*ADMIN)
def remove(event_id: uuid.UUID) -> BaseResponse:
    """Take a meeting out."""
    events.remove_event(current_account(), event_id)
    flash(_("已删除。"))
    return redirect(url_for("programmes.years.events.index"))
