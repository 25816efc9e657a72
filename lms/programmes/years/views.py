"""Pages of the years after selection: overview, reports, seed teachers, files, the inspection pack (实施)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.core.audit import access
from lms.core.auth import current_account, may, require
from lms.core.db import db
from lms.core.errors import Invalid, NotAllowed, NotFound
from lms.core.models import Account, Organisation
from lms.core.paper import can_print
from lms.programmes import attachments, teaching
from lms.programmes.dates import ZONE, day_in
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.service import manages
from lms.programmes.years import cases, events, files, inspections, norms, papers, service
from lms.programmes.years.models import (
    InspectionVisit,
    LessonCase,
    PhaseReport,
    ProgrammeEvent,
    Rectification,
    YearFile,
)
from lms.programmes.years.rules import CASE_STATES, phases_of
from lms.roster.models import Person

bp = Blueprint("years", __name__, template_folder="templates", url_prefix="/years")
STAFF = ("teacher", "school_admin", "officer")
ADMIN = ("school_admin", "officer")
OFFICER = ("officer",)
COLOURS = {"done": "green", "returned": "orange", "late": "red", "open": "azure", "later": "secondary"}
CASE_COLOURS = {
    "draft": "secondary",
    "submitted": "azure",
    "returned": "orange",
    "accepted": "green",
    "selected": "purple",
}
MEANING_COLOURS = {"active": "green", "warned": "orange", "ended": "secondary"}
SEED_STATES = {"named": _l("待确认"), "confirmed": _l("已确认"), "declined": _l("未确认"), "withdrawn": _l("已撤回")}


def name_of(organisation_id: uuid.UUID | None) -> str:
    """Name of an organisation."""
    found = db.session.get(Organisation, organisation_id) if organisation_id else None
    return found.name if found else ""


def id_in(value: str | None) -> uuid.UUID | None:
    """An id that was chosen, None for none; raises Invalid."""
    try:
        return uuid.UUID(value) if value else None
    except ValueError as error:
        raise Invalid("choice", _l("选择的内容不对，请刷新页面再选。"), where="choice") from error


def local(at: datetime) -> str:
    """Time in Shanghai."""
    return at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M")


def lines_of(rows: Sequence[Application]) -> list[dict[str, Any]]:
    """Granted applications as lists show them."""
    _held = service.notices_of(rows)
    places = select(Organisation.id, Organisation.name).where(Organisation.id.in_({one.school_id for one in rows}))
    names = {row[0]: row[1] for row in db.session.execute(places)}
    grants, late, orders = (
        service.grants_of([one.id for one in rows]),
        service.late_of(rows),
        service.open_rectifications(rows),
    )
    return [
        {
            "row": found,
            "pack": (pack := pack_of(found)),
            "kind": pack.kind(found.kind)["name"],
            "name": names[found.school_id],
            "status": pack.status_name(found.status),
            "colour": MEANING_COLOURS.get(pack.status_is(found.status), "secondary"),
            "granted": grants[found.id],
            "late": late.get(found.id, []),
            "order": orders.get(found.id),
        }
        for found in rows
    ]


@bp.context_processor
def _menu() -> dict[str, object]:
    return {"keeps_norm": lambda: norms.keeps(current_account().organisation_id)}


@bp.get("/")
@require(*STAFF)
def index() -> str:
    """A school's own granted applications; for an office those that went through it, with what is late."""
    account = current_account()
    own = lines_of(service.own_of(account.organisation_id))
    officer = may(account, OFFICER)
    rows = lines_of(service.below(account.organisation_id)) if officer else []
    wanted = request.args.get("show", "")
    shown = [
        one
        for one in rows
        if not wanted
        or (wanted == "late" and one["late"])
        or (wanted == "rectify" and one["order"])
        or wanted == one["status"]
    ]
    return render_template(
        "years/index.html",
        own=own,
        rows=shown,
        total=len(rows),
        late=sum(bool(one["late"]) for one in rows),
        rectifying=sum(one["order"] is not None for one in rows),
        statuses=sorted({one["status"] for one in rows}),
        show=wanted,
        officer=officer,
        is_school=name_level(account) == "school",
        admin=may(account, ADMIN),
    )


def name_level(account: Account) -> str:
    """Level of the account's organisation."""
    return db.session.get_one(Organisation, account.organisation_id).level


@bp.get("/<uuid:application_id>")
@require(*STAFF)
def show(application_id: uuid.UUID) -> str:
    """One school or area in its three years: phases, what is owed, cases, seed teachers, inspections, rectification."""
    account = current_account()
    found = service.in_years(account, application_id)
    own = found.school_id == account.organisation_id
    writes = manages(account, found) and service.is_live(found)
    pack, granted = pack_of(found), service.granted_on(found)
    assert granted is not None
    seeds = service.seeds_of(found)
    if not own and seeds:
        access(account, "seed-teachers", "application", found.id, people=len(seeds), school_id=found.school_id)
    owed = service.owed_by(found)
    reports = service.reports_by(found)
    orders = inspections.rectifications_of(found)
    counts: dict[str, int] = {}
    for case in db.session.scalars(select(LessonCase.status).where(LessonCase.application_id == found.id)):
        counts[case] = counts.get(case, 0) + 1
    visits = [one for one in inspections.visits_at(found) if one.result or one.office_id == account.organisation_id]
    today = teaching.today()
    return render_template(
        "years/show.html",
        line=lines_of([found])[0], found=found, pack=pack, own=own, writes=writes, live=service.is_live(found), warned=pack.status_is(found.status) == "warned",
        phases=[(one, "past" if one.last < today else "now" if one.first <= today else "later") for one in phases_of(pack.document, granted)],
        owed=[(one, reports.get((one.report["id"], one.period.id))) for one in owed if one.state != "later"],
        later=[one for one in owed if one.state == "later"],
        colours=COLOURS, case_counts=[(name, CASE_COLOURS[state], counts[state]) for state, name in CASE_STATES.items() if counts.get(state) and (own or state != "draft")],
        has_cases=bool(cases.case_reports(found)), may_add=cases.may_add(account, found.id),
        seeds=seeds, seed_states=SEED_STATES, staff=_teachers(found) if writes else [],
        visits=visits, orders=[(row, files.files_about(row.id)) for row in orders],
        may_now=inspections.may_now(account, found), lacks=inspections.lacks_for_acceptance(found),
        office=not own and may(account, OFFICER), today=today, local=local, is_school=name_level(account) == "school",
    )  # fmt: skip


def _teachers(found: Application) -> list[tuple[uuid.UUID, str]]:
    query = select(Person.id, Person.name).where(
        Person.school_id == found.school_id, Person.kind == "staff", Person.left_on.is_(None)
    )
    return [(row[0], row[1]) for row in db.session.execute(query.order_by(Person.name))]


# ---- reports


@bp.get("/<uuid:application_id>/reports/<report>/<period>")
@require(*ADMIN)
def report(application_id: uuid.UUID, report: str, period: str) -> str:
    """Read or write one report."""
    account = current_account()
    found = service.in_years(account, application_id)
    page = service.report_page(found, report, period)
    own = found.school_id == account.organisation_id
    if not own and (page.row is None or page.row.status == "draft"):
        raise NotFound("report", _l("这份报告还没有提交。"))
    if page.report.get("kind") in ("norm", "case"):
        raise NotFound("report", _l("没有这份报告。"))
    return render_template(
        "years/report.html",
        found=found,
        pack=pack_of(found),
        page=page,
        own=own,
        name=name_of(found.school_id),
        writes=own and manages(account, found) and service.is_live(found) and not page.is_sent,
        office=not own and may(account, OFFICER),
        takes_back=own and manages(account, found) and service.is_live(found) and page.is_sent,
        rows=files.files_about(page.row.id) if page.row else [],
        can_print=can_print(),
        local=local,
    )


@bp.post("/<uuid:application_id>/reports/<report>/<period>")
@require(*ADMIN)
def save_report(application_id: uuid.UUID, report: str, period: str) -> BaseResponse:
    """Save, hand in, take back, or return a report, as the button says."""
    account, form = current_account(), request.form
    action = form.get("action", "save")
    if action == "return":
        service.return_report(account, application_id, report, period, form.get("remark", ""))
        flash(_("已退回。"))
    elif action == "take-back":
        service.take_report_back(account, application_id, report, period)
        flash(_("已收回，可以修改后再提交。"))
    elif action in ("save", "send"):
        texts = {key.removeprefix("text."): value for key, value in form.items() if key.startswith("text.")}
        given = service.ReportGiven(
            form.get("title", ""), form.get("text", ""), texts, form.get("edition", 0, type=int)
        )
        row = service.save_report(account, application_id, report, period, given)
        sent = request.files.get("file")
        if sent is not None and sent.filename:
            files.add(account, row.school_id, row.id, sent.filename, sent.read())
        if action == "send":
            service.send_report(account, application_id, report, period)
        flash(_("已提交。") if action == "send" else _("已保存。"))
    else:
        raise Invalid("action", _l("没有这种操作。"), where="action")
    return redirect(url_for("programmes.years.report", application_id=application_id, report=report, period=period))


@bp.get("/<uuid:application_id>/reports/<report>/<period>.<any(docx,pdf):form>")
@require(*ADMIN)
def report_file(application_id: uuid.UUID, report: str, period: str, form: str) -> Response:
    """A report in Word or PDF."""
    account = current_account()
    found = service.in_years(account, application_id)
    page = service.report_page(found, report, period)
    if found.school_id != account.organisation_id and not page.is_sent:
        raise NotFound("report", _l("这份报告还没有提交。"))
    made = papers.report_paper(found, page)
    return out(papers.rendered(made, form), f"{made.title}.{form}")


def out(data: bytes, name: str) -> Response:
    """A file to keep."""
    return send_file(
        BytesIO(data), as_attachment=True, download_name=name, mimetype=attachments.MIME[name.rpartition(".")[2]]
    )


@bp.get("/<uuid:application_id>/inspection-pack.zip")
@require(*ADMIN)
def inspection_pack(application_id: uuid.UUID) -> Response:
    """The folder for an inspection (迎检材料): for whom it is about, and for the offices above, which inspect."""
    account = current_account()
    found = service.in_years(account, application_id)
    name, data = papers.inspection_pack(found)
    access(account, "inspection-pack", "application", found.id, people=0)
    return out(data, name)


# ---- seed teachers


@bp.post("/<uuid:application_id>/seeds")
@require(*ADMIN)
def name_seed(application_id: uuid.UUID) -> BaseResponse:
    """The school names a seed teacher."""
    form = request.form
    person = id_in(form.get("person"))
    if person is None:
        raise Invalid("person", _l("请选择教师。"), where="person")
    consent = day_in(form.get("consent_on"))
    service.name_seed(
        current_account(), application_id, person, form.get("subject", ""), form.get("reason", ""), consent
    )
    flash(_("已推荐，等主管部门确认。"))
    return redirect(url_for("programmes.years.show", application_id=application_id) + "#seeds")


@bp.post("/seeds/<uuid:seed_id>")
@require(*ADMIN)
def decide_seed(seed_id: uuid.UUID) -> BaseResponse:
    """The office confirms or declines, the school withdraws."""
    row = service.decide_seed(current_account(), seed_id, request.form.get("status", ""))
    flash(_("已办理。"))
    return redirect(url_for("programmes.years.show", application_id=row.application_id) + "#seeds")


# ---- files


@bp.get("/files/<uuid:file_id>")
@require(*STAFF)
def get_file(file_id: uuid.UUID) -> Response:
    """Hand a file out, always as a download."""
    account = current_account()
    row = files.file_of(file_id)
    _reader(account, row)
    access(account, "year-file", "year_file", row.id, school_id=row.school_id)
    return out_file(row)


def out_file(row: YearFile) -> Response:
    """The bytes of a file."""
    return send_file(
        BytesIO(files.content(row)),
        as_attachment=True,
        download_name=row.name,
        mimetype=attachments.MIME[row.type],
    )


@bp.post("/files/<uuid:file_id>/remove")
@require(*STAFF)
def remove_file(file_id: uuid.UUID) -> BaseResponse:
    """Take a file out."""
    account = current_account()
    row = files.file_of(file_id)
    back = _writer(account, row)
    files.remove(account, row)
    flash(_("已删除。"))
    return redirect(back)


def _reader(account: Account, row: YearFile) -> None:
    """Raise NotFound unless the account may see what the file belongs to."""
    about = about_of(row)
    if isinstance(about, LessonCase):
        cases.case_of(account, about.id)
    elif isinstance(about, ProgrammeEvent):
        events.event_of(account, about.id)
    elif isinstance(about, InspectionVisit):
        inspections.visit_of(account, about.id)
    elif isinstance(about, PhaseReport):
        service.in_years(account, about.application_id)
        if about.school_id != account.organisation_id and about.status == "draft":
            raise NotFound("file", _l("没有这个文件。"))
    else:
        inspections.rectification_of(account, about.id)


def _writer(account: Account, row: YearFile) -> str:
    """Raise unless the account may change what the file belongs to; the page to go back to."""
    _reader(account, row)
    about = about_of(row)
    if isinstance(about, LessonCase):
        _case, found = cases.case_of(account, about.id)
        cases.need_author(account, found, about)
        return url_for("programmes.years.cases.show", case_id=about.id)
    if isinstance(about, ProgrammeEvent):
        events.need_holder(account, about)
        return url_for("programmes.years.events.index")
    if isinstance(about, InspectionVisit):
        inspections.need_open(account, about)
        return url_for("programmes.years.inspections.visit", visit_id=about.id)
    found = service.in_years(account, about.application_id)
    service.need_writer(account, found)
    sent = about.status == "submitted" if isinstance(about, PhaseReport) else bool(about.outcome)
    if sent:
        raise NotAllowed("file", _l("已经提交或办结，不能再改附件。"))
    if isinstance(about, PhaseReport):
        return url_for("programmes.years.report", application_id=found.id, report=about.report, period=about.period)
    return url_for("programmes.years.show", application_id=found.id)


About = PhaseReport | LessonCase | ProgrammeEvent | InspectionVisit | Rectification


def about_of(row: YearFile) -> About:
    """What a file belongs to; NotFound."""
    found: About | None = (
        db.session.get(PhaseReport, row.about)
        or db.session.get(LessonCase, row.about)
        or db.session.get(ProgrammeEvent, row.about)
        or db.session.get(InspectionVisit, row.about)
        or db.session.get(Rectification, row.about)
    )
    if found is not None:
        return found
    raise NotFound("file", _l("没有这个文件。"))


def uploaded() -> tuple[str, bytes] | None:
    """The file that was sent with the form, if one was."""
    sent = request.files.get("file")
    return (sent.filename, sent.read()) if sent is not None and sent.filename else None
