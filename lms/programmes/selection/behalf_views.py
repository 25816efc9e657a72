"""Pages for bodies without an account: entering for them, reading their file, recording a decision (代填、代录)."""

from __future__ import annotations

import uuid

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock
from lms.core.auth import current_account, require
from lms.core.db import db
from lms.core.models import Organisation
from lms.core.stages import SCHOOL_TYPES
from lms.programmes import notices
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.selection import behalf
from lms.programmes.selection.blueprint import OFFICER, bp
from lms.programmes.selection.views import chosen, office, sent_file
from lms.roster.school import LOCALITIES

MANAGER = ("school_admin", "officer")
LEVEL_NAMES = {
    "nation": _l("中央"),
    "province": _l("省"),
    "city": _l("市州"),
    "county": _l("县区"),
    "school": _l("学校"),
}


@bp.get("/behalf")
@require(*OFFICER)
def behalf_page() -> str:
    """Organisations without an account, and what the office fills in for them."""
    own = office()
    wards = behalf.wards_of(own.id)
    now = clock.now()
    choices = [
        (pack, kind, batch)
        for pack in notices.packs_for(own.id)
        for kind in pack.document["kinds"]
        for batch in notices.open_batches(pack, now)
    ]
    rows = [
        (
            found,
            db.session.get_one(Organisation, found.school_id).name,
            pack_of(found),
            behalf.has_account(found.school_id),
            behalf.editable(found),
        )
        for found in behalf.filled_by(own.id)
    ]
    parents = {one.id: one.name for one in behalf.below(own.id)}
    return render_template(
        "selection/behalf.html",
        wards=wards,
        choices=choices,
        rows=rows,
        parents=parents,
        types=SCHOOL_TYPES,
        localities=LOCALITIES,
        own=own,
        levels=LEVEL_NAMES,
    )


@bp.post("/behalf/organisations")
@require(*OFFICER)
def add_organisation() -> BaseResponse:
    """Enter an organisation that the system does not know."""
    made = behalf.add_organisation(current_account(), request.form)
    flash(_("%(name)s 已登记。", name=made.name))
    return redirect(url_for("programmes.selection.behalf_page"))


@bp.post("/behalf")
@require(*OFFICER)
def begin_behalf() -> BaseResponse:
    """Begin an application for an organisation without an account."""
    slug, _slash, rest = request.form.get("choice", "").partition("/")
    kind, _slash, batch = rest.partition("/")
    found = behalf.begin(current_account(), chosen("organisation")[0], slug, kind, batch)
    return redirect(url_for("programmes.selection.originals", application_id=found.id))


@bp.route("/behalf/<uuid:application_id>", methods=["GET", "POST"])
@require(*OFFICER)
def originals(application_id: uuid.UUID) -> BaseResponse | str:
    """Upload what the applicant sent; dry run part by part."""
    account = current_account()
    found = behalf.ward_application(account, application_id)
    if request.method == "POST":
        name, data = sent_file()
        row = behalf.take_original(account, application_id, name, data)
        return redirect(url_for("programmes.selection.original", application_id=application_id, file_id=row.id))
    return _page(found)


def _page(found: Application, file_id: uuid.UUID | None = None, parts: list[behalf.PartIn] | None = None) -> str:
    return render_template(
        "selection/original.html", found=found, pack=pack_of(found), name=db.session.get_one(Organisation, found.school_id).name,
        files=behalf.originals_of(found), file_id=file_id, parts=parts, states=behalf.STATES, editable=behalf.editable(found),
        takes=[one for one in parts or [] if one.state in ("new", "changed")],
    )  # fmt: skip


@bp.get("/behalf/<uuid:application_id>/files/<uuid:file_id>")
@require(*OFFICER)
def original(application_id: uuid.UUID, file_id: uuid.UUID) -> str:
    """What a file would fill in, part by part; nothing is written."""
    account = current_account()
    parts = behalf.read_original(account, application_id, file_id)
    return _page(behalf.ward_application(account, application_id), file_id, parts)


@bp.post("/behalf/<uuid:application_id>/files/<uuid:file_id>")
@require(*OFFICER)
def take_original(application_id: uuid.UUID, file_id: uuid.UUID) -> BaseResponse:
    """Fill in the parts that are ticked."""
    count = behalf.take_parts(current_account(), application_id, file_id, request.form.getlist("key"))
    flash(_("已填入 %(count)s 部分，请逐项核对。", count=count))
    return redirect(url_for("programmes.show", application_id=application_id))


@bp.post("/behalf/<uuid:application_id>/hand-over")
@require(*OFFICER)
def hand_over(application_id: uuid.UUID) -> BaseResponse:
    """The applicant has an account now."""
    behalf.hand_over(current_account(), application_id)
    flash(_("已交还，以后由该单位自己填写。"))
    return redirect(url_for("programmes.selection.behalf_page"))


@bp.post("/recorded/<uuid:application_id>")
@require(*MANAGER)
def record(application_id: uuid.UUID) -> BaseResponse:
    """Record what an office above without an account decided on paper."""
    name, data = sent_file()
    behalf.record(current_account(), application_id, request.form, name, data)
    flash(_("已登记上级决定。"))
    return redirect(url_for("programmes.show", application_id=application_id))
