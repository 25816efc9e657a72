"""Pages of the library of cases: browse, search, Excel; write, hand in, review (课例库)."""

from __future__ import annotations

import uuid
from io import BytesIO

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core.audit import access
from lms.core.auth import current_account, may, require
from lms.core.downloads import download
from lms.core.errors import Invalid
from lms.programmes.notices import pack_of, packs_for
from lms.programmes.service import manages, stages_of
from lms.programmes.years import cases, files, service
from lms.programmes.years.models import LessonCase
from lms.programmes.years.rules import CASE_STATES, STAGE_NAMES
from lms.programmes.years.views import ADMIN, CASE_COLOURS, STAFF, id_in, local, name_of, uploaded

bp = Blueprint("cases", __name__, url_prefix="/cases")


def _wanted() -> cases.Filter:
    given = request.args
    return cases.Filter(
        *(given.get(name, "").strip() for name in ("slug", "subject", "stage", "status", "theme", "words"))
    )


@bp.get("")
@require(*STAFF)
def index() -> str:
    """Browse: filters, search, counts by subject and stage against the notice's target."""
    account, wanted = current_account(), _wanted()
    rows = cases.library(account, wanted)
    packs = {pack.slug: pack for pack in packs_for(account.organisation_id)}
    chosen = packs.get(wanted.slug) or next(
        (packs[row.slug] for row, _school in rows if row.slug in packs and cases.case_target(packs[row.slug])), None
    )
    officer = may(account, ("officer",))
    counts = cases.case_counts(chosen.slug, account.organisation_id) if chosen is not None and officer else []
    return render_template(
        "years/cases.html",
        rows=rows,
        wanted=wanted,
        titles={slug: pack.title for slug, pack in packs.items()},
        subjects=cases.subjects_seen(account),
        themes=cases.themes_of(chosen) if chosen else [],
        stages=STAGE_NAMES,
        states={key: name for key, name in CASE_STATES.items() if not officer or key != "draft"},
        colours=CASE_COLOURS,
        chosen=chosen,
        counts=counts,
        target=cases.case_target(chosen) if chosen else None,
        selected=sum(one.selected for one in counts),
        mine=[row for row in service.own_of(account.organisation_id) if cases.may_add(account, row.id)],
        query={name: value for name, value in request.args.items() if value},
    )


@bp.get("/library.xlsx")
@require(*ADMIN)
def export() -> Response:
    """What the page shows, as Excel."""
    from openpyxl import Workbook

    from lms.usage.export import add_sheet

    account = current_account()
    rows = cases.library(account, _wanted(), 5000)
    access(account, "case-library", "lesson_case", "all", people=len(rows))
    book = Workbook()
    book.remove(book.active)  # type: ignore[arg-type]  # a new book has one
    titles = {pack.slug: pack.title for pack in packs_for(account.organisation_id)}
    widths = (6, 28, 24, 30, 10, 8, 6, 24, 12, 16, 10, 12)
    add_sheet(book, "课例", ["课例库"], cases.COLUMNS, cases.rows_for_excel(rows, titles), widths=widths)
    stream = BytesIO()
    book.save(stream)
    return download(stream.getvalue(), "课例库.xlsx")


@bp.get("/new/<uuid:application_id>")
@require(*STAFF)
def new(application_id: uuid.UUID) -> str:
    """An empty case."""
    account = current_account()
    found = service.in_years(account, application_id)
    cases.need_author(account, found, None)
    return _edit(application_id, None)


def _edit(application_id: uuid.UUID, row: LessonCase | None) -> str:
    account = current_account()
    found = service.in_years(account, application_id)
    pack = pack_of(found)
    stages = stages_of(found.school_id) or list(STAGE_NAMES)
    return render_template(
        "years/case_edit.html",
        found=found,
        row=row,
        pack=pack,
        reports=cases.case_reports(found),
        stages={one: STAGE_NAMES[one] for one in stages},
        themes=cases.themes_of(pack),
        lessons=cases.lessons_to_link(found),
        files=files.files_about(row.id) if row else [],
    )


@bp.post("/new/<uuid:application_id>")
@require(*STAFF)
def create(application_id: uuid.UUID) -> BaseResponse:
    """Begin a case."""
    row = cases.save_case(current_account(), application_id, _given())
    _attach(row)
    flash(_("已保存。写好以后由管理员提交。"))
    return redirect(url_for("programmes.years.cases.show", case_id=row.id))


def _given() -> cases.CaseGiven:
    names = ("report", "title", "subject", "stage", "grade", "theme", "teacher", "summary")
    given = {name: request.form.get(name, "") for name in names}
    return cases.CaseGiven(**given, record_id=id_in(request.form.get("record")))


def _attach(row: LessonCase) -> None:
    sent = uploaded()
    if sent is not None:
        files.add(current_account(), row.school_id, row.id, *sent)


@bp.get("/<uuid:case_id>")
@require(*STAFF)
def show(case_id: uuid.UUID) -> str:
    """One case; with ``?edit=1`` its form."""
    account = current_account()
    row, found = cases.case_of(account, case_id)
    own = found.school_id == account.organisation_id
    if "edit" in request.args:
        cases.need_author(account, found, row)
        return _edit(found.id, row)
    if not own:
        access(account, "case", "lesson_case", row.id)
    reviews, selects = cases.may_review(account, found)
    return render_template(
        "years/case.html",
        row=row,
        found=found,
        pack=pack_of(found),
        school=name_of(row.school_id),
        stage=STAGE_NAMES[row.stage],
        state=CASE_STATES[row.status],
        colour=CASE_COLOURS[row.status],
        files=files.files_about(row.id),
        edits=own and row.status in ("draft", "returned") and (row.created_by == account.id or manages(account, found)),
        manages=manages(account, found),
        reviews=reviews and not own,
        selects=selects and not own,
        local=local,
    )


@bp.post("/<uuid:case_id>")
@require(*STAFF)
def save(case_id: uuid.UUID) -> BaseResponse:
    """Change a case that is not handed in."""
    account = current_account()
    row, found = cases.case_of(account, case_id)
    row = cases.save_case(account, found.id, _given(), row.id)
    _attach(row)
    flash(_("已保存。"))
    return redirect(url_for("programmes.years.cases.show", case_id=case_id))


@bp.post("/<uuid:case_id>/step")
@require(*ADMIN)
def step(case_id: uuid.UUID) -> BaseResponse:
    """Hand in, take back; return, pass, select."""
    action = request.form.get("action", "")
    if action not in ("submit", "take-back", "return", "accept", "select"):
        raise Invalid("action", _l("没有这种操作。"), where="action")
    cases.step(current_account(), case_id, action, request.form.get("remark", ""))
    flash(_("已办理。"))
    return redirect(url_for("programmes.years.cases.show", case_id=case_id))
