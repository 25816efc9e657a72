"""Pages of what comes out: publications, plaques, who is missing (公示、挂牌、谁还没报)."""

from __future__ import annotations

import uuid
from io import BytesIO

from flask import Response, flash, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock
from lms.core.audit import access
from lms.core.auth import current_account, require
from lms.core.db import db
from lms.core.downloads import download
from lms.core.models import Organisation
from lms.core.paper import can_print
from lms.programmes.attachments import MIME
from lms.programmes.dates import ZONE
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.paging import Sheaf
from lms.programmes.selection import missing, outcome, service
from lms.programmes.selection.blueprint import OFFICER, bp
from lms.programmes.selection.views import chosen, office


@bp.route("/panels/<uuid:panel_id>/publications", methods=["GET", "POST"])
@require(*OFFICER)
def publications(panel_id: uuid.UUID) -> BaseResponse | str:
    """The publication: list, dates, contact."""
    account = current_account()
    row = service.panel(account, panel_id)
    if request.method == "POST":
        outcome.publish(account, panel_id, request.form)
        flash(_("公示名单已生成，可以下载。"))
        return redirect(url_for("programmes.selection.publications", panel_id=panel_id))
    pack = service.pack_for(row)
    return render_template(
        "selection/publications.html", panel=row, pack=pack, kind=pack.kind(row.kind)["name"], batch=pack.batch(row.batch)["name"],
        rows=outcome.publications_of(row), proposed=[_name(one) for one in outcome.proposed(row)], can_print=can_print(), own=office(),
        today=clock.now().astimezone(ZONE).date(), closing=outcome.closing_of,
    )  # fmt: skip


def _name(found: Application) -> str:
    return db.session.get_one(Organisation, found.school_id).name


@bp.get("/publications/<uuid:publication_id>.<any(docx,xlsx,pdf):form>")
@require(*OFFICER)
def publication(publication_id: uuid.UUID, form: str) -> Response:
    """A publication as Word, Excel or PDF."""
    made = outcome.publication(current_account(), publication_id)
    data = outcome.PUBLICATION_FORMS[form](made)
    return send_file(BytesIO(data), as_attachment=True, download_name=f"{made.title}.{form}", mimetype=MIME[form])


@bp.route("/plaques", methods=["GET", "POST"])
@require(*OFFICER)
def plaques() -> BaseResponse | str:
    """The register of plaques."""
    account = current_account()
    if request.method == "POST":
        day = outcome.day_in(request.form.get("given_on", ""), "given_on")
        outcome.give_plaque(
            account, chosen("application")[0], request.form.get("number", ""), day, request.form.get("letter", "")
        )
        flash(_("已登记。"))
        return redirect(url_for("programmes.selection.plaques"))
    rows = [(row, found, name, pack_of(found)) for row, found, name in outcome.plaques_of(account.organisation_id)]
    waiting = [(found, name, pack_of(found)) for found, name in outcome.without_plaque(account.organisation_id)]
    return render_template(
        "selection/plaques.html", rows=rows, waiting=waiting, today=clock.now().astimezone(ZONE).date(), owed=outcome.owed_back,
    )  # fmt: skip


@bp.get("/plaques.xlsx")
@require(*OFFICER)
def plaques_excel() -> Response:
    """The register as Excel."""
    return download(outcome.register_book(current_account().organisation_id), "挂牌登记表.xlsx")


@bp.post("/plaques/<uuid:plaque_id>/withdraw")
@require(*OFFICER)
def withdraw_plaque(plaque_id: uuid.UUID) -> BaseResponse:
    """Take a plaque out of force."""
    day = outcome.day_in(request.form.get("taken_on", ""), "taken_on")
    outcome.withdraw_plaque(current_account(), plaque_id, request.form.get("reason", ""), day)
    flash(_("已收回。"))
    return redirect(url_for("programmes.selection.plaques"))


@bp.get("/plaques/<uuid:plaque_id>/letter.docx")
@require(*OFFICER)
def plaque_letter(plaque_id: uuid.UUID) -> Response:
    """The notice to the applicant."""
    name, data = outcome.letter_docx(outcome.plaque(current_account(), plaque_id))
    return send_file(BytesIO(data), as_attachment=True, download_name=name, mimetype=MIME["docx"])


@bp.get("/missing/<slug>/<kind>/<batch>")
@require(*OFFICER)
def who_is_missing(slug: str, kind: str, batch: str) -> str:
    """Who has not handed in."""
    made = missing.overview(current_account(), slug, kind, batch)
    first = sorted(made.lines, key=lambda one: one.state, reverse=True)
    lines = Sheaf.of(first, request.args.get("page", 1, type=int))
    return render_template(
        "selection/missing.html", made=made, lines=lines, text=missing.reminder(made, office()), states=missing.STATES
    )


@bp.get("/missing/<slug>/<kind>/<batch>.xlsx")
@require(*OFFICER)
def missing_excel(slug: str, kind: str, batch: str) -> Response:
    """The list as Excel."""
    account = current_account()
    made = missing.overview(account, slug, kind, batch)
    access(account, "missing", "notice", slug, people=len(made.lines), kind=kind, batch=batch)
    return download(missing.book(made), f"报送情况（{made.kind['name']}，{made.batch['name']}）.xlsx")


@bp.post("/missing/<slug>/<kind>/<batch>")
@require(*OFFICER)
def remind(slug: str, kind: str, batch: str) -> BaseResponse:
    """Remind those that are ticked, in the app."""
    account = current_account()
    made = missing.overview(account, slug, kind, batch)
    flash(
        _(
            "已提醒 %(count)s 个单位（每天最多一次）。",
            count=missing.remind(account, made, set(chosen("chosen", many=True))),
        )
    )
    return redirect(url_for("programmes.selection.who_is_missing", slug=slug, kind=kind, batch=batch))
