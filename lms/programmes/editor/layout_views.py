"""The page on which an office binds its own Word or Excel file to a form (表样)."""

from __future__ import annotations

import uuid
from io import BytesIO

from flask import Blueprint, Response, flash, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import current_account, require
from lms.core.blobs import MIME
from lms.core.errors import NotFound
from lms.programmes.editor import binding, drafts
from lms.programmes.originals import files, rules

bp = Blueprint("layout", __name__)
OFFICER = ("officer",)


@bp.get("/<uuid:draft_id>/layout/<form>")
@require(*OFFICER)
def show(draft_id: uuid.UUID, form: str) -> str:
    """The file's places, what is bound to each, and the field for the one that was clicked."""
    row = drafts.draft_of(current_account(), draft_id)
    described, document = binding.form_of(row, form)
    template = described.get("template")
    preview: rules.Preview = ()
    refusal = ""
    if template is not None:
        try:
            preview = files.look(*files.stored(template))
        except NotFound as missing:
            refusal = str(missing.message)
    targets = rules.targets(described, binding.texts_of_criteria(document))
    names = {one.field: one for one in targets}
    bound: dict[str, list[dict[str, str]]] = {}
    for one in template["bindings"] if template else ():
        bound.setdefault(one["at"], []).append(one)
    used = {one["field"] for rows in bound.values() for one in rows}
    spot = rules.places_in(preview).get(request.args.get("at", ""))
    return render_template(
        "programmes/editor/layout.html",
        row=row,
        form=described,
        forms=sorted(document["forms"].values(), key=lambda one: str(one["form"])),
        template=template,
        preview=preview,
        refusal=refusal,
        bound=bound,
        names=names,
        targets=targets,
        left=[one for one in targets if one.field not in used and one.part != "单位"],
        used=used,
        spot=spot,
        put=_next_put(spot, bound) if spot else "",
        tab="layout",
    )


def _next_put(spot: rules.Spot, bound: dict[str, list[dict[str, str]]]) -> str:
    """How the next field is most likely written here: into the first blank that is still free."""
    taken = {one.get("put") for one in bound.get(spot.at, [])}
    blanks = [f"blank {number}" for number in range(1, spot.blanks + 1)]
    return next((one for one in blanks if one not in taken), spot.put) if spot.put.startswith("blank") else spot.put


@bp.post("/<uuid:draft_id>/layout/<form>/file")
@require(*OFFICER)
def upload(draft_id: uuid.UUID, form: str) -> BaseResponse:
    """Take the office's file as the form's layout."""
    sent = request.files.get("file")
    lost = binding.upload(
        current_account(), draft_id, form, (sent.filename if sent else "") or "", sent.read() if sent else b""
    )
    flash(_("表样已上传，请点一个空格或单元格，选择填什么。"))
    if lost:
        flash(_("新表样里没有这些位置，绑定已取消：%(places)s", places="、".join(lost)), "warning")
    return redirect(url_for("programmes.editor.layout.show", draft_id=draft_id, form=form))


@bp.post("/<uuid:draft_id>/layout/<form>")
@require(*OFFICER)
def bind(draft_id: uuid.UUID, form: str) -> BaseResponse:
    """Bind a place, take a binding out, or drop the file."""
    account, given = current_account(), request.form
    at, put = given.get("at", ""), given.get("put", "fill")
    if given.get("action") == "drop":
        binding.drop(account, draft_id, form)
        flash(_("已改回本系统的版式。"))
    elif given.get("action") == "unbind":
        binding.unbind(account, draft_id, form, at, put)
    else:
        binding.bind(account, draft_id, form, at, put, given.get("field", ""))
    return redirect(
        url_for("programmes.editor.layout.show", draft_id=draft_id, form=form, at=at or None) + (f"#{at}" if at else "")
    )


@bp.get("/<uuid:draft_id>/layout/<form>/trial")
@require(*OFFICER)
def trial(draft_id: uuid.UUID, form: str) -> Response:
    """The file filled with the fields' names."""
    row = drafts.draft_of(current_account(), draft_id)
    if "template" not in binding.form_of(row, form)[0]:
        raise NotFound("template", _("这份表单还没有表样。"))
    name, data = binding.trial(row, form)
    return send_file(BytesIO(data), as_attachment=True, download_name=name, mimetype=MIME[name[-4:]])
