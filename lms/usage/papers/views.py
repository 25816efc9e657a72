"""Pages of the sheets and folders: look, print, take away, check a printed code (台账与材料)."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core.audit import audit
from lms.core.auth import current_account, current_school_id, may, require
from lms.core.db import db, write
from lms.core.downloads import download
from lms.core.errors import Invalid, NotFound
from lms.roster import service as roster
from lms.roster.models import Room
from lms.usage.ownclasses import own_classes
from lms.usage.papers import files
from lms.usage.papers.sheets import TITLES, Sheet, month_of, months, sheet, sheets_with

bp = Blueprint("papers", __name__, template_folder="templates", url_prefix="/usage/papers")
STAFF = ("teacher", "school_admin")
ADMIN = ("school_admin",)


@bp.get("/")
@require(*STAFF)
def index() -> str:
    """The months with their sheets; for the admin also the folder of documents and the check of a printed code."""
    school_id = current_school_id()
    code = request.args.get("code", "").strip()
    checked = code and may(current_account(), ADMIN)
    return render_template(
        "papers/index.html",
        months=months(school_id),
        rooms=db.session.scalars(select(Room).where(Room.school_id == school_id).order_by(Room.code)).all(),
        code=code,
        match=sheets_with(school_id, code) if checked else None,
        titles=TITLES,
    )


@bp.get("/<kind>/<month>")
@require(*STAFF)
def show(kind: str, month: str) -> str:
    """One sheet as it will be printed."""
    return render_template("papers/sheet.html", **files.page_of(_sheet(kind, month)))


@bp.get("/<kind>/<month>.<form>")
@require(*STAFF)
def file(kind: str, month: str, form: str) -> Response:
    """The sheet as PDF, Excel, CSV or JSON."""
    makers: dict[str, Any] = {"pdf": files.as_pdf, "csv": files.as_csv, "json": files.as_json, "xlsx": _xlsx}
    if form not in makers:
        raise NotFound("form", _l("没有这种格式。"), remedy=_l("可用：PDF、Excel、CSV、JSON。"))
    found = _sheet(kind, month)
    return download(makers[form](found), f"{TITLES[found.kind]}-{month}.{form}")


@bp.post("/dossier.zip")
@require(*ADMIN)
def dossier() -> Response:
    """The term's supporting documents in one zip; the export is journalled."""
    from lms.usage.papers.dossier import dossier_of

    school = roster.school_of(current_school_id())
    name, data = dossier_of(school, roster.today_of(school), simulated=_simulated())
    with write():
        audit(current_account(), "dossier", "school", school.id, school_id=school.id)
    return download(data, name)


def _sheet(kind: str, month: str) -> Sheet:
    if kind not in TITLES:
        raise NotFound("sheet", _l("没有这种表。"))
    account, school_id = current_account(), current_school_id()
    today = roster.today_of(roster.school_of(school_id))
    own = None if may(account, ADMIN) else own_classes(account, today)
    text = request.args.get("room", "")
    try:
        room = uuid.UUID(text) if text else None
    except ValueError as error:
        raise Invalid("room", _l("教室编号不对。"), where="room") from error
    return sheet(school_id, kind, month_of(month, today), classes=own, room=room)  # type: ignore[arg-type]  # kind is one of TITLES


def _simulated() -> bool:
    return bool(current_app.config["ZHIKE"].origin == "simulated")


def _xlsx(found: Sheet) -> bytes:
    return files.as_xlsx(found, simulated=_simulated())
