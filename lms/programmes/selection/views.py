"""Pages of the selection for an office: panels, experts, assignment, ranking, decisions (评审与推荐)."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.core import blobs
from lms.core.audit import access
from lms.core.auth import current_account, require
from lms.core.db import db
from lms.core.downloads import download
from lms.core.errors import Invalid, Refused, ZhikeError
from lms.core.models import Account, Organisation
from lms.core.paper import can_print
from lms.core.stages import STAGE_NAMES
from lms.programmes import workflow
from lms.programmes.attachments import ROOM
from lms.programmes.notices import pack_of
from lms.programmes.selection import experts, parcels, rules, scoring, service
from lms.programmes.selection.blueprint import OFFICER, bp
from lms.programmes.selection.models import Expert, Panel
from lms.programmes.selection.outcome import ranking_book
from lms.roster.school import LOCALITIES

TOKEN_S = 3600


def chosen(name: str, *, many: bool = False) -> list[uuid.UUID]:
    """Ids that a form sent; raises Invalid for anything else."""
    try:
        return [uuid.UUID(one) for one in (request.form.getlist(name) if many else [request.form.get(name, "")])]
    except ValueError as error:
        raise Invalid("chosen", _l("请先选择。"), where=name) from error


def number(name: str, normal: int) -> int:
    """A whole number of a form; -1 for what is none."""
    text = request.form.get(name, str(normal)).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else -1


def sent_file(name: str = "file") -> tuple[str, bytes]:
    """Name and bytes of an uploaded file; Invalid where none was chosen."""
    sent = request.files.get(name)
    data = sent.read() if sent else b""
    if not data:
        raise Invalid("file", _l("请选择文件。"), where=name)
    return (sent.filename if sent else "") or "", data


def office() -> Organisation:
    """The office that is signed in."""
    return db.session.get_one(Organisation, current_account().organisation_id)


@bp.get("/")
@require(*OFFICER)
def index() -> str:
    """What the office may review, and the way to experts, plaques, entering for others."""
    own = office()
    lines = [(one, service.progress(one.panel) if one.panel else None) for one in service.fields_of(own)]
    return render_template("selection/index.html", lines=lines, own=own)


@bp.post("/panels")
@require(*OFFICER)
def open_panel() -> BaseResponse:
    """Begin a review."""
    form = request.form
    row = service.open_panel(current_account(), form.get("notice", ""), form.get("kind", ""), form.get("batch", ""))
    return redirect(url_for("programmes.selection.show", panel_id=row.id))


def _head(row: Panel) -> dict[str, Any]:
    pack = service.pack_for(row)
    return {
        "panel": row,
        "pack": pack,
        "kind": pack.kind(row.kind)["name"],
        "batch": pack.batch(row.batch)["name"],
        "most": rules.most_of(row.sheet),
        "progress": service.progress(row),
    }


@bp.get("/panels/<uuid:panel_id>")
@require(*OFFICER)
def show(panel_id: uuid.UUID) -> str:
    """One review: its sheet, its experts, who reviews what, what stands in the way."""
    row = service.panel(current_account(), panel_id)
    engaged, why = service.panel_experts(row), service.conflicts_of(row)
    reviews = [one for one in service.reviews_of(row) if one.state in service.LIVE]
    names = {one.id: one for one in db.session.scalars(_all_experts(row))}
    load = {one.id: sum(review.expert_id == one.id for review in reviews) for one in engaged}
    handed = {
        one.id: sum(review.expert_id == one.id and review.state == "handed" for review in reviews) for one in engaged
    }
    came = service.applications_of(row)
    held = service.organisations_of(came)
    asked_of: dict[uuid.UUID, list[Any]] = {found.id: [] for found in came}
    for one in reviews:
        asked_of.setdefault(one.application_id, []).append(one)
    words = {expert.id: _conflict_words(why, expert.id) for expert in engaged}
    lines = []
    for found in came:
        own = asked_of[found.id]
        asked = {one.expert_id for one in own}
        lines.append(
            {
                "found": found,
                "name": held[found.school_id].name,
                "status": pack_of(found).status_name(found.status),
                "waits": service.waits(row, found),
                "reviews": own,
                "choices": [(one, words[one.id].get(found.id, [])) for one in engaged if one.id not in asked],
                "lacks": max(0, row.each - len(own)),
            }
        )
    lines.sort(key=lambda line: not line["waits"])
    return render_template(
        "selection/panel.html", **_head(row), lines=lines, experts=service.experts_of(row.school_id), engaged=engaged, names=names, load=load,
        handed=handed, reasons=rules.REASONS, parcels=parcels.parcels_of(row), can_print=can_print(),
    )  # fmt: skip


def _conflict_words(why: dict[uuid.UUID, dict[uuid.UUID, list[str]]], expert: uuid.UUID) -> dict[uuid.UUID, list[Any]]:
    return {found: [rules.REASONS[code] for code in codes[expert]] for found, codes in why.items() if codes[expert]}


def _all_experts(row: Panel) -> Any:
    return select(Expert).where(Expert.school_id == row.school_id)


@bp.route("/panels/<uuid:panel_id>/sheet", methods=["GET", "POST"])
@require(*OFFICER)
def sheet(panel_id: uuid.UUID) -> BaseResponse | str:
    """The score sheet and the rules of the panel."""
    row = service.panel(current_account(), panel_id)
    if request.method == "GET":
        fixed = any(one.state == "handed" for one in service.reviews_of(row))
        return render_template("selection/sheet.html", **_head(row), fixed=fixed)
    items: list[dict[str, Any]] = []
    known = {one["id"] for one in row.sheet}
    for place in range(30):
        name = request.form.get(f"name.{place}", "").strip()
        if not name:
            continue
        most = request.form.get(f"most.{place}", "").strip()
        held = request.form.get(f"id.{place}", "")
        points = int(most) if most.isascii() and most.isdigit() and len(most) < 5 else 0
        items.append(
            {
                "id": held if held in known else f"i{uuid.uuid4().hex[:8]}",
                "name": name,
                "most": points,
                "hint": request.form.get(f"hint.{place}", ""),
            }
        )
    service.set_panel(
        current_account(), panel_id, items, request.form.get("rule", ""), number("threshold", 15), number("each", 2)
    )
    flash(_("已保存。"))
    return redirect(url_for("programmes.selection.show", panel_id=panel_id))


@bp.post("/panels/<uuid:panel_id>/experts")
@require(*OFFICER)
def engage(panel_id: uuid.UUID) -> BaseResponse:
    """Say who takes part."""
    service.engage(current_account(), panel_id, chosen("expert", many=True))
    flash(_("已保存。"))
    return redirect(url_for("programmes.selection.show", panel_id=panel_id))


@bp.post("/panels/<uuid:panel_id>/assign")
@require(*OFFICER)
def assign(panel_id: uuid.UUID) -> BaseResponse:
    """Give an application to an expert by hand."""
    service.assign(current_account(), panel_id, chosen("application")[0], chosen("expert")[0])
    flash(_("已分配。"))
    return redirect(url_for("programmes.selection.show", panel_id=panel_id))


@bp.post("/panels/<uuid:panel_id>/draw")
@require(*OFFICER)
def draw(panel_id: uuid.UUID) -> BaseResponse:
    """Draw experts."""
    made = service.draw(current_account(), panel_id, request.form.get("seed", ""))
    flash(_("已抽取 %(count)s 项评审。", count=len(made.pairs)))
    if made.short:
        flash(
            _("有 %(count)s 份申报凑不齐专家（其余都要回避）：请再聘请专家，或手工分配。", count=len(made.short)),
            "error",
        )
    return redirect(url_for("programmes.selection.show", panel_id=panel_id))


@bp.post("/panels/<uuid:panel_id>/undo-draw")
@require(*OFFICER)
def undo_draw(panel_id: uuid.UUID) -> BaseResponse:
    """Take the draw back where nobody has begun."""
    flash(_("已撤销 %(count)s 项还没有动笔的抽取。", count=service.undo_draw(current_account(), panel_id)))
    return redirect(url_for("programmes.selection.show", panel_id=panel_id))


@bp.post("/assignments/<uuid:review_id>/<any(undo,back):what>")
@require(*OFFICER)
def undo_review(review_id: uuid.UUID, what: str) -> BaseResponse:
    """Take an assignment back, or give handed scores back to the expert."""
    service.undo_review(current_account(), review_id, back=what == "back")
    row = service.review_here(current_account(), review_id)
    flash(_("已退回专家修改。") if what == "back" else _("已撤销分配。"))
    return redirect(url_for("programmes.selection.show", panel_id=row.panel_id))


# ---- ranking


@bp.get("/panels/<uuid:panel_id>/ranking")
@require(*OFFICER)
def ranking(panel_id: uuid.UUID) -> str:
    """The ranking, for the committee only: never shown to experts or applicants."""
    account = current_account()
    row = service.panel(account, panel_id)
    stage, locality = request.args.get("stage", ""), request.args.get("locality", "")
    lines = _filtered(row, stage, locality)
    access(account, "ranking", "panel", row.id, people=len(lines))
    recalls = {
        one.found.id: workflow.RECALLS[step.action]
        for one in lines
        if (step := workflow.to_recall(one.found, row.school_id))
    }
    return render_template(
        "selection/ranking.html", **_head(row), lines=lines, names=_names(row), stage=stage, locality=locality, stages=STAGE_NAMES, localities=LOCALITIES,
        quotas=service.quotas_of(row), recalls=recalls, statuses={one.found.id: pack_of(one.found).status_name(one.found.status) for one in lines},
    )  # fmt: skip


def _names(row: Panel) -> dict[uuid.UUID, str]:
    return {one.id: one.name for one in db.session.scalars(_all_experts(row))}


def _filtered(row: Panel, stage: str, locality: str) -> list[service.Line]:
    return [
        one
        for one in service.ranking(row)
        if (not stage or stage in one.found.stages) and (not locality or one.locality == locality)
    ]


@bp.get("/panels/<uuid:panel_id>/ranking.xlsx")
@require(*OFFICER)
def ranking_excel(panel_id: uuid.UUID) -> Response:
    """The ranking as Excel, with every expert's points."""
    account = current_account()
    row = service.panel(account, panel_id)
    lines = _filtered(row, request.args.get("stage", ""), request.args.get("locality", ""))
    access(account, "ranking-excel", "panel", row.id, people=len(lines))
    return download(ranking_book(row, lines, _names(row)), f"评审排序（{_head(row)['kind']}）-内部.xlsx")


@bp.post("/panels/<uuid:panel_id>/thirds")
@require(*OFFICER)
def thirds(panel_id: uuid.UUID) -> BaseResponse:
    """Ask the proposed third experts."""
    account = current_account()
    count = 0
    for one in service.ranking(service.panel(account, panel_id)):
        if one.third is not None and one.waits:
            service.assign(account, panel_id, one.found.id, one.third, third=True)
            count += 1
    flash(_("已请 %(count)s 位第三专家。", count=count))
    return redirect(url_for("programmes.selection.ranking", panel_id=panel_id))


@bp.post("/panels/<uuid:panel_id>/decide")
@require(*OFFICER)
def decide(panel_id: uuid.UUID) -> BaseResponse | str:
    """Decide on those that are ticked: all or none; a refusal is asked for once more, with the names and the reason."""
    account, form, ids = current_account(), request.form, chosen("chosen", many=True)
    action, remark = form.get("action", ""), form.get("remark", "")
    if action == "refuse" and ids and "sure" not in form:
        row = service.panel(account, panel_id)
        names = [(one.found.id, one.name) for one in service.ranking(row) if one.found.id in ids]
        return render_template("selection/refuse.html", **_head(row), names=names, remark=remark)
    count = service.decide(account, panel_id, ids, action, remark)
    flash(_("已办理 %(count)s 份。", count=count))
    return redirect(url_for("programmes.selection.ranking", panel_id=panel_id))


@bp.post("/panels/<uuid:panel_id>/recall")
@require(*OFFICER)
def recall(panel_id: uuid.UUID) -> BaseResponse:
    """Take the office's last step back while nobody has acted on it."""
    workflow.recall(current_account(), chosen("application")[0], request.form.get("remark", ""))
    flash(_("已收回，名额已空出，申报又在本单位待办。"))
    return redirect(url_for("programmes.selection.ranking", panel_id=panel_id))


# ---- scores by Excel


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt="selection-file")


def keep_file(data: bytes, name: str, *about: str) -> str:
    """Put an uploaded file aside for an hour, between the dry run and the confirmation; returns its token."""
    return _signer().dumps([blobs.keep(ROOM, data), name, *about])


def kept_file(*about: str) -> tuple[str, bytes]:
    """Name and bytes of what was put aside; Refused where the token is old or of another page."""
    try:
        digest, name, *rest = _signer().loads(request.form.get("token", ""), max_age=TOKEN_S)
    except BadSignature as error:
        raise Refused("token", _l("预览已经过期。"), remedy=_l("请重新上传文件。")) from error
    if rest != list(about):
        raise Refused("token", _l("预览已经过期。"), remedy=_l("请重新上传文件。"))
    return name, blobs.content(ROOM, digest)


@bp.get("/panels/<uuid:panel_id>/experts/<uuid:expert_id>/sheet.xlsx")
@require(*OFFICER)
def expert_sheet(panel_id: uuid.UUID, expert_id: uuid.UUID) -> Response:
    """The score sheet of an expert who has no account."""
    account = current_account()
    name, data = scoring.sheet_for(account, panel_id, expert_id)
    access(account, "score-sheet", "expert", expert_id, panel=str(panel_id))
    return download(data, name)


@bp.post("/panels/<uuid:panel_id>/experts/<uuid:expert_id>/sheet")
@require(*OFFICER)
def try_sheet(panel_id: uuid.UUID, expert_id: uuid.UUID) -> str:
    """Dry run of a filled sheet, row by row; nothing is written."""
    account = current_account()
    name, data = sent_file()
    rows = scoring.read_sheet(account, panel_id, expert_id, data, name)
    good = sum(one.state == "ok" for one in rows)
    wrong = any(one.state == "problem" for one in rows)
    token = keep_file(data, name, str(panel_id), str(expert_id)) if good and not wrong else ""
    row = service.panel(account, panel_id)
    return render_template(
        "selection/sheet_in.html",
        **_head(row),
        rows=rows,
        good=good,
        token=token,
        expert=experts.expert_here(account, expert_id),
        file=name,
    )


@bp.post("/panels/<uuid:panel_id>/experts/<uuid:expert_id>/sheet/confirm")
@require(*OFFICER)
def take_sheet(panel_id: uuid.UUID, expert_id: uuid.UUID) -> BaseResponse:
    """Take in what the dry run found right."""
    service.panel(current_account(), panel_id)
    name, data = kept_file(str(panel_id), str(expert_id))
    count = scoring.take_in(current_account(), panel_id, expert_id, data, name)
    flash(_("已导入 %(count)s 份评分。", count=count))
    return redirect(url_for("programmes.selection.show", panel_id=panel_id))


# ---- what an expert without an account is sent


@bp.post("/panels/<uuid:panel_id>/experts/<uuid:expert_id>/materials")
@require(*OFFICER)
def ask_parcel(panel_id: uuid.UUID, expert_id: uuid.UUID) -> BaseResponse:
    """Have the papers of an expert's applicants put together in the background."""
    made = parcels.ask(current_account(), panel_id, expert_id)
    flash(_("正在准备 %(count)s 份评审材料，做好以后在这里下载。", count=made.total))
    return redirect(url_for("programmes.selection.show", panel_id=panel_id))


@bp.get("/panels/<uuid:panel_id>/experts/<uuid:expert_id>/materials.zip")
@require(*OFFICER)
def parcel(panel_id: uuid.UUID, expert_id: uuid.UUID) -> Response:
    """The papers of an expert's applicants: a PDF each, and the score sheet."""
    account = current_account()
    name, data, count = parcels.parcel_file(account, panel_id, expert_id)
    access(account, "review-parcel", "expert", expert_id, panel=str(panel_id), applications=count)
    return download(data, name)


# ---- experts


@bp.get("/experts")
@require(*OFFICER)
def experts_page() -> str:
    """The office's experts."""
    rows = service.experts_of(current_account().organisation_id)
    access(current_account(), "experts", "organisation", current_account().organisation_id, people=len(rows))
    return _experts_page(rows)


def _experts_page(
    rows: list[Expert],
    form: Any = None,
    refusal: ZhikeError | None = None,
    password: tuple[str, str, str] | None = None,
) -> str:
    accounts = {
        one.id: one.username
        for one in db.session.query(Account).where(Account.id.in_([row.account_id for row in rows if row.account_id]))
    }
    return render_template(
        "selection/experts.html", rows=rows, accounts=accounts, form=form or {}, refusal=refusal, password=password
    )


@bp.post("/experts")
@require(*OFFICER)
def add_expert() -> BaseResponse | str | tuple[str, int]:
    """Enter an expert."""
    try:
        experts.save_expert(current_account(), request.form)
    except Invalid as error:
        return _experts_page(service.experts_of(current_account().organisation_id), request.form, error), error.status
    flash(_("已登记。"))
    return redirect(url_for("programmes.selection.experts_page"))


@bp.post("/experts/<uuid:expert_id>")
@require(*OFFICER)
def change_expert(expert_id: uuid.UUID) -> BaseResponse:
    """Change what is known of an expert."""
    experts.save_expert(current_account(), request.form, expert_id)
    flash(_("已保存。"))
    return redirect(url_for("programmes.selection.experts_page"))


@bp.post("/experts/<uuid:expert_id>/account")
@require(*OFFICER)
def expert_account(expert_id: uuid.UUID) -> str:
    """Open a sign-in, or set a new first password; shown once."""
    username, password = experts.open_account(current_account(), expert_id)
    row = experts.expert_here(current_account(), expert_id)
    return _experts_page(service.experts_of(row.school_id), password=(row.name, username, password))


@bp.post("/experts/<uuid:expert_id>/remove")
@require(*OFFICER)
def remove_expert(expert_id: uuid.UUID) -> BaseResponse:
    """Take an expert out of the list."""
    experts.remove_expert(current_account(), expert_id)
    flash(_("已移出。"))
    return redirect(url_for("programmes.selection.experts_page"))
