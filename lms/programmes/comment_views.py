"""Writing and settling remarks (批注)."""

from __future__ import annotations

import uuid

from flask import Blueprint, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import current_account, require
from lms.programmes import comments
from lms.programmes.models import PartComment
from lms.programmes.service import application

bp = Blueprint("comments", __name__)
STAFF = ("teacher", "school_admin", "officer")


@bp.post("/<uuid:application_id>/parts/<key>/comments")
@require(*STAFF)
def add(application_id: uuid.UUID, key: str) -> BaseResponse:
    """Write a remark on a part."""
    row = comments.remark(current_account(), application_id, key, request.form.get("text", ""))
    flash(_("批注已写下，责任人会收到通知。"))
    return _back(row)


@bp.post("/<uuid:application_id>/comments/<uuid:comment_id>")
@require(*STAFF)
def settle(application_id: uuid.UUID, comment_id: uuid.UUID) -> BaseResponse:
    """Mark a remark as done, or open it again."""
    row = comments.settle(current_account(), application_id, comment_id, again=bool(request.form.get("again")))
    return _back(row)


def _back(row: PartComment) -> BaseResponse:
    account = current_account()
    if application(account, row.application_id).school_id == account.organisation_id:
        return redirect(url_for("programmes.part", application_id=row.application_id, key=row.key) + "#remarks")
    return redirect(url_for("programmes.show", application_id=row.application_id) + f"#part-{row.key}")
