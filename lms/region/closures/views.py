"""Pages: the school's request and answer files, the office's desk for requests by file (校历会签文件)."""

from __future__ import annotations

import json
import uuid
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import current_account, require
from lms.core.errors import Invalid
from lms.region.closures import service
from lms.roster.blueprint import answered

bp = Blueprint("closures", __name__, template_folder="templates", url_prefix="/region/calendar")
ADMIN = ("school_admin",)
OFFICER = ("officer",)


def _document() -> Any:
    file = request.files.get("file")
    if file is None or not file.filename:
        raise Invalid("no-file", _l("请先选择文件。"), where="file")
    return _parsed(file.read(), file.filename)


def _parsed(data: bytes | str, where: str) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise Invalid(
            "document", _l("这不是会签文件。"), remedy=_l("请选择对方发来的 .json 文件。"), where=where
        ) from error


def _file(document: dict[str, Any], name: str) -> Response:
    headers = {"Content-Disposition": f"attachment; filename={name}"}
    return Response(
        json.dumps(document, ensure_ascii=False, indent=1), content_type="application/json", headers=headers
    )


@bp.get("/request/<uuid:term_id>.json")
@require(*ADMIN)
def ask(term_id: uuid.UUID) -> Response:
    """The entries that wait, as a signed file for the office."""
    return _file(service.request_of(current_account(), term_id).plain(), "xiaoli-huiqian-shenqing.json")


@bp.post("/answer")
@require(*ADMIN)
@answered
def take() -> BaseResponse:
    """Take the office's answer in."""
    agreed, declined = service.take(current_account(), _document())
    flash(_("已收下会签：%(a)s 条计入，%(b)s 条退回。", a=agreed, b=declined))
    return redirect(url_for("usage.schoolyear.term"))


@bp.post("/desk")
@require(*OFFICER)
@answered
def desk() -> str:
    """Show a school's request; nothing is signed yet."""
    found = service.read_request(current_account(), _document())
    return render_template("closures/desk.html", asked=found.body, document=json.dumps(found.plain()))


@bp.post("/desk/decide")
@require(*OFFICER)
def decide() -> Response:
    """Sign the decision: the answer is a file for the school."""
    asked = service.read_request(current_account(), _parsed(request.form.get("document", ""), "document"))
    made = service.answer(current_account(), asked, request.form.getlist("entry"))
    return _file(made.plain(), "xiaoli-huiqian.json")
