"""The page of stamped pages: print, hand over scans, see what is missing (盖章页)."""

from __future__ import annotations

import uuid
from io import BytesIO

from flask import Blueprint, Response, flash, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lms.core.audit import access
from lms.core.auth import current_account, require
from lms.core.paper import can_print
from lms.programmes import papers, service
from lms.programmes.notices import pack_of
from lms.programmes.rules import EDITABLE
from lms.programmes.sealing import service as sealing

bp = Blueprint("sealing", __name__)
STAFF = ("teacher", "school_admin", "officer")
ADMIN = ("school_admin", "officer")


@bp.get("/<uuid:application_id>/sealing")
@require(*STAFF)
def show(application_id: uuid.UUID) -> str:
    """How far each document is, and the pages that nobody knows yet."""
    account = current_account()
    found = service.application(account, application_id)
    pack = pack_of(found)
    access(account, "application-scans", "application", found.id, school_id=found.school_id)
    desk = sealing.desk_of(found, papers.codes_of(found))
    return render_template(
        "programmes/sealing.html",
        found=found,
        pack=pack,
        desk=desk,
        writable=service.manages(account, found) and pack.status_is(found.status) in EDITABLE,
        can_print=can_print(),
        can_read=sealing.can_read(),
    )


@bp.post("/<uuid:application_id>/sealing")
@require(*ADMIN)
def hand_over(application_id: uuid.UUID) -> BaseResponse:
    """Take scans in any order."""
    files = [(one.filename or "", one.read()) for one in request.files.getlist("files")]
    sealing.hand_over(current_account(), application_id, files)
    flash(_("已收下，正在识读；本页会自动刷新。"))
    return redirect(url_for("programmes.sealing.show", application_id=application_id))


@bp.get("/<uuid:application_id>/sealing/<uuid:page_id>.jpg")
@require(*STAFF)
def picture(application_id: uuid.UUID, page_id: uuid.UUID) -> Response:
    """A scanned page."""
    account = current_account()
    found = service.application(account, application_id)
    row = sealing.page_of(found, page_id)
    access(account, "application-scan", "application", found.id, school_id=found.school_id, page=str(page_id))
    return send_file(BytesIO(sealing.picture(row)), mimetype="image/jpeg", max_age=0)


@bp.post("/<uuid:application_id>/sealing/<uuid:page_id>")
@require(*ADMIN)
def assign(application_id: uuid.UUID, page_id: uuid.UUID) -> BaseResponse:
    """Say by hand what a page is, or throw it away."""
    document = "" if request.form.get("action") == "remove" else request.form.get("document", "") or "?"
    account, page = current_account(), request.form.get("page", 0, type=int)
    codes = papers.codes_of(service.application(account, application_id))
    sealing.assign(account, application_id, page_id, document, page, codes)
    return redirect(url_for("programmes.sealing.show", application_id=application_id))
