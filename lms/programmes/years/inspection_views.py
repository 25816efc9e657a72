"""Pages of random inspection, rectification, exit and acceptance (随机抽查、整改、退出、验收)."""

from __future__ import annotations

import json
import uuid
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core.audit import access
from lms.core.auth import current_account, may, require
from lms.core.db import db
from lms.core.errors import Invalid
from lms.programmes import teaching
from lms.programmes.dates import day_in
from lms.programmes.models import Application
from lms.programmes.notices import pack_of, packs_for
from lms.programmes.years import files, inspections, service
from lms.programmes.years.rules import half_year, half_year_name, list_text, shares
from lms.programmes.years.views import ADMIN, OFFICER, local, name_of, uploaded

bp = Blueprint("inspections", __name__, url_prefix="/inspections")
RESULTS = {"": _l("待检查"), "passed": _l("合格"), "warned": _l("限期整改"), "exited": _l("退出")}


@bp.get("")
@require(*OFFICER)
def index() -> str:
    """Inspections of the office; the form to announce one."""
    account = current_account()
    packs = {pack.slug: pack for pack in packs_for(account.organisation_id)}
    groups: dict[str, list[Any]] = {}
    below = service.below(account.organisation_id)
    _held = service.notices_of(below)
    for row in below:
        if service.is_live(row):
            key = f"{row.slug}/{row.kind}"
            groups.setdefault(key, [pack_of(row), pack_of(row).kind(row.kind)["name"], 0])[2] += 1
    rows = inspections.inspections_by(account.organisation_id)
    return render_template(
        "years/inspections.html",
        rows=[
            (row, packs[row.slug].title if row.slug in packs else row.slug, half_year_name(row.period)) for row in rows
        ],
        groups=groups,
        owed=[
            (pack_of(row).title, pack_of(row).kind(row.kind)["name"], line["name"], line.get("clause", ""))
            for row, line in inspections.owed_by_office(account.organisation_id)
        ],
        half_year=half_year_name(half_year(teaching.today())),
        strata=inspections.STRATA,
        local=local,
        today=teaching.today(),
    )


@bp.post("")
@require(*OFFICER)
def announce() -> BaseResponse:
    """Fix the list and say what the seed will be."""
    form = request.form
    slug, _slash, kind = form.get("group", "").partition("/")
    row = inspections.announce(
        current_account(), slug, kind, form.get("count", 0, type=int), form.get("strata", ""), form.get("seed_from", ""), day_in(form.get("seed_on"))
    )  # fmt: skip
    flash(_("名单已公布，共 %(count)s 个。种子公布以后再来抽。", count=len(row.candidates)))
    return redirect(url_for("programmes.years.inspections.show", inspection_id=row.id))


@bp.get("/<uuid:inspection_id>")
@require(*ADMIN)
def show(inspection_id: uuid.UUID) -> str:
    """One inspection: the list, the seed, how anybody draws it again, who was drawn and what was found."""
    account = current_account()
    row = inspections.inspection_of(account, inspection_id)
    listed = inspections.listed(row)
    own = row.school_id == account.organisation_id
    return render_template(
        "years/inspection.html",
        row=row,
        listed=listed,
        shares=shares(listed, row.count),
        recipe_seed=json.dumps(row.seed or "…", ensure_ascii=False),
        recipe_shares=json.dumps(shares(listed, row.count), ensure_ascii=False),
        own=own,
        office=name_of(row.school_id),
        period=half_year_name(row.period),
        strata=inspections.STRATA[row.strata],
        visits=[(one, name, RESULTS[one.result]) for one, name in inspections.visits_of(row)] if own else [],
        drawn=[(number, next(one for one in listed if one.id == id_)) for number, id_ in enumerate(row.drawn, 1)],
        early=teaching.today() < row.seed_on,
        local=local,
    )


@bp.get("/<uuid:inspection_id>/list.txt")
@require(*ADMIN)
def list_file(inspection_id: uuid.UUID) -> Response:
    """The published list, byte by byte what the digest is of."""
    row = inspections.inspection_of(current_account(), inspection_id)
    headers = {"Content-Disposition": "attachment; filename=list.txt"}
    return Response(
        list_text(inspections.listed(row)).encode(), content_type="text/plain; charset=utf-8", headers=headers
    )


@bp.post("/<uuid:inspection_id>/draw")
@require(*OFFICER)
def draw(inspection_id: uuid.UUID) -> BaseResponse:
    """Draw with the public seed."""
    row = inspections.draw(current_account(), inspection_id, request.form.get("seed", ""))
    flash(_("已抽出 %(count)s 个，已通知被抽中的单位。", count=len(row.drawn)))
    return redirect(url_for("programmes.years.inspections.show", inspection_id=row.id))


@bp.post("/<uuid:inspection_id>/cancel")
@require(*OFFICER)
def cancel(inspection_id: uuid.UUID) -> BaseResponse:
    """Give an inspection up before it is drawn."""
    inspections.cancel(current_account(), inspection_id, request.form.get("reason", ""))
    flash(_("已取消，记录保留。"))
    return redirect(url_for("programmes.years.inspections.index"))


@bp.get("/visits/<uuid:visit_id>")
@require(*ADMIN)
def visit(visit_id: uuid.UUID) -> str:
    """What was found at one school: checklist with live figures, findings, scan, result."""
    account = current_account()
    row = inspections.visit_of(account, visit_id)
    found = db.session.get_one(Application, row.application_id)
    own = row.office_id == account.organisation_id
    if own:
        access(account, "inspection-visit", "inspection_visit", row.id, school_id=found.school_id)
    return render_template(
        "years/visit.html",
        row=row,
        found=found,
        pack=pack_of(found),
        name=name_of(row.school_id),
        office=name_of(row.office_id),
        lines=inspections.checklist(row),
        checks=inspections.CHECKS,
        files=files.files_about(row.id),
        writes=own and not row.result,
        result=RESULTS[row.result],
        may_now=inspections.may_now(account, found) if own else {},
        orders=[one for one in inspections.rectifications_of(found) if one.visit_id != row.id],
        open_order=service.open_rectification(found),
        today=teaching.today(),
    )


@bp.post("/visits/<uuid:visit_id>")
@require(*OFFICER)
def save_visit(visit_id: uuid.UUID) -> BaseResponse:
    """Save what was found, and conclude where a result was pressed."""
    account, form = current_account(), request.form
    ticks = {
        key.removeprefix("result."): (value, form.get(f"note.{key.removeprefix('result.')}", ""))
        for key, value in form.items()
        if key.startswith("result.")
    }
    row = inspections.save_visit(account, visit_id, day_in(form.get("visited_on")), ticks, form.get("findings", ""))
    sent = uploaded()
    if sent is not None:
        files.add(account, row.school_id, row.id, *sent)
    result = form.get("conclude", "")
    if result:
        inspections.conclude(account, visit_id, result, day_in(form.get("due_on")))
    flash(_("已作结论。") if result else _("已保存。"))
    return redirect(url_for("programmes.years.inspections.visit", visit_id=visit_id))


# ---- outside an inspection


@bp.post("/warn/<uuid:application_id>")
@require(*OFFICER)
def warn(application_id: uuid.UUID) -> BaseResponse:
    """Order to put right, without an inspection."""
    form = request.form
    inspections.order(current_account(), application_id, form.get("findings", ""), day_in(form.get("due_on")))
    flash(_("已发出限期整改。"))
    return redirect(url_for("programmes.years.show", application_id=application_id) + "#orders")


@bp.post("/rectifications/<uuid:rectification_id>")
@require(*ADMIN)
def rectification(rectification_id: uuid.UUID) -> BaseResponse:
    """The school reports; the office closes."""
    account, form = current_account(), request.form
    action = form.get("action", "")
    if action == "report":
        row = inspections.report(account, rectification_id, form.get("report", ""))
        sent = uploaded()
        if sent is not None:
            files.add(account, row.school_id, row.id, *sent)
        flash(_("整改报告已提交。"))
    elif action in ("accepted", "exited"):
        row = inspections.close(account, rectification_id, action, form.get("remark", ""))
        flash(_("已办结。"))
    else:
        raise Invalid("action", _l("没有这种操作。"), where="action")
    return redirect(url_for("programmes.years.show", application_id=row.application_id) + "#orders")


@bp.post("/end/<uuid:application_id>")
@require(*OFFICER)
def end(application_id: uuid.UUID) -> BaseResponse:
    """Accept what was done, or end the status."""
    account, form = current_account(), request.form
    action, remark = form.get("action", ""), form.get("remark", "")
    if action == "accept":
        inspections.accept(account, application_id, remark)
    elif action == "exit" and may(account, OFFICER):
        inspections.exit_(account, application_id, remark)
    else:
        raise Invalid("action", _l("没有这种操作。"), where="action")
    flash(_("已办理。"))
    return redirect(url_for("programmes.years.show", application_id=application_id))
