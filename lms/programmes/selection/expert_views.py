"""Pages of an expert: what lies with him, one applicant a page, the PDF of one applicant (评审任务)."""

from __future__ import annotations

import uuid
from io import BytesIO

from flask import Response, flash, jsonify, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core.audit import access
from lms.core.auth import current_account, require
from lms.core.downloads import download
from lms.core.errors import NotFound
from lms.core.paper import can_print
from lms.programmes import attachments, selfcheck
from lms.programmes.notices import pack_of
from lms.programmes.selection import bound, dossier, experts, rules, scoring
from lms.programmes.selection.blueprint import EXPERT, bp


@bp.get("/reviews")
@require(*EXPERT)
def mine() -> str:
    """Everything that lies with the expert."""
    account = current_account()
    rows = experts.rows_for(account)
    tasks = scoring.tasks_of(account)
    panels = {one.panel.id: one.panel for one in tasks}
    return render_template(
        "selection/reviews.html", tasks=tasks, rows=rows, panels=list(panels.values()), total=rules.total_of
    )


@bp.post("/reviews/declare")
@require(*EXPERT)
def declare() -> BaseResponse:
    """Declare organisations that one must not judge."""
    flash(_("已登记回避单位 %(count)s 个。", count=experts.declare(current_account(), request.form.get("avoid", ""))))
    return redirect(url_for("programmes.selection.mine"))


@bp.get("/reviews/<uuid:review_id>")
@require(*EXPERT)
def review(review_id: uuid.UUID) -> str:
    """One applicant: what it claims on the left, the score sheet on the right."""
    account = current_account()
    one = scoring.task(account, review_id)
    access(account, "review", "application", one.found.id, review=str(review_id))
    tasks = [other for other in scoring.tasks_of(account) if other.panel.id == one.panel.id]
    ids = sorted(other.review.id for other in tasks)
    place = ids.index(one.review.id)
    made = dossier.dossier_of(one.found)
    return render_template(
        "selection/review.html", one=one, made=made, files=made.files, can_print=can_print(),
        summary=selfcheck.summary, total=rules.total_of(one.panel.sheet, one.review.scores), most=rules.most_of(one.panel.sheet),
        before=ids[place - 1] if place else None, after=ids[place + 1] if place + 1 < len(ids) else None, place=place + 1, count=len(ids),
    )  # fmt: skip


@bp.post("/reviews/<uuid:review_id>")
@require(*EXPERT)
def save_review(review_id: uuid.UUID) -> BaseResponse:
    """Save by script (JSON answer) or by a button; ``hand_in`` hands the scores in."""
    account = current_account()
    hand_in = request.form.get("hand_in") == "1"
    kept = scoring.save(account, review_id, request.form, hand_in=hand_in)
    if request.accept_mimetypes.best == "application/json":
        return jsonify(edition=kept.edition, total=kept.total, problems=list(kept.problems))
    for why in kept.problems:
        flash(_("没有保存：%(why)s。", why=why), "error")
    if hand_in:
        flash(_("已提交评分，合计 %(total)s 分。", total=kept.total))
        following = next((one for one in scoring.tasks_of(account) if one.review.state == "open" and one.open), None)
        if following is not None:
            return redirect(url_for("programmes.selection.review", review_id=following.review.id))
        return redirect(url_for("programmes.selection.mine"))
    flash(_("已保存。"))
    return redirect(url_for("programmes.selection.review", review_id=review_id))


@bp.post("/reviews/<uuid:review_id>/decline")
@require(*EXPERT)
def decline(review_id: uuid.UUID) -> BaseResponse:
    """Decline because of a conflict of interest."""
    scoring.decline(current_account(), review_id, request.form.get("reason", ""))
    flash(_("已申请回避，这份申报不再归您评。"))
    return redirect(url_for("programmes.selection.mine"))


@bp.get("/reviews/<uuid:review_id>.pdf")
@require(*EXPERT)
def review_pdf(review_id: uuid.UUID) -> Response:
    """One bookmarked PDF of the applicant."""
    account = current_account()
    one = scoring.task(account, review_id)
    data = bound.bound_of(one.found).pdf
    access(account, "review-pdf", "application", one.found.id, review=str(review_id))
    return download(data, f"评审材料（{one.name}）.pdf")


@bp.get("/reviews/<uuid:review_id>/files/<uuid:file_id>")
@require(*EXPERT)
def review_file(review_id: uuid.UUID, file_id: uuid.UUID) -> Response:
    """An attachment of the applicant, always as a download."""
    account = current_account()
    one = scoring.task(account, review_id)
    row = attachments.file_of(one.found, file_id)
    if row.slot not in dossier.slots_of(pack_of(one.found), one.found):
        raise NotFound("file", _l("没有这个文件。"))
    access(account, "application-file", "application", one.found.id, slot=row.slot, review=str(review_id))
    return send_file(
        BytesIO(attachments.content(row)),
        as_attachment=True,
        download_name=row.name,
        mimetype=attachments.MIME[row.type],
    )


@bp.get("/reviews/panels/<uuid:panel_id>/sheet.xlsx")
@require(*EXPERT)
def own_sheet(panel_id: uuid.UUID) -> Response:
    """One's own score sheet as Excel."""
    account = current_account()
    name, data = scoring.own_sheet(account, panel_id)
    access(account, "score-sheet", "panel", panel_id)
    return download(data, name)
