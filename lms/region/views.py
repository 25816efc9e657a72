"""Pages of the hand-up at the school, and of the office: all schools, one school, enrolment, intake (上报、全区、登记、接收)."""

from __future__ import annotations

import json
import uuid
from datetime import date, timedelta
from io import BytesIO
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock
from lms.core.auth import current_account, current_school_id, require
from lms.core.db import db
from lms.core.downloads import download
from lms.core.errors import Invalid, NotFound, ZhikeError
from lms.core.menu import Entry, offer
from lms.core.models import Organisation
from lms.core.stages import STAGE_NAMES
from lms.core.web import csrf
from lms.region import forwarding, intake, office, questions, service, uplink
from lms.region import rules as rules_of_hand_up
from lms.region.counting import connect
from lms.region.models import HandedBatch, Subordinate
from lms.usage import policies
from lms.usage.judging.calendar import monday_of
from lms.usage.judging.verdicts import VERDICT_NAMES
from lms.usage.rulebook import service as rulebook

bp = Blueprint("region", __name__, template_folder="templates")
OFFICER = ("officer",)
HANDS_UP = ("school_admin", "officer")
DEFAULT_RULE = "fortnightly"
MOST_ON_THE_LINE = 16 * 1024 * 1024
PERIODS = {"": _l("整个学期"), "4": _l("近 4 周"), "8": _l("近 8 周")}
SHOW_NAMES = {
    "all": _l("全部学校"),
    "risk": _l("有风险"),
    "stale": _l("数据过期"),
    "silent": _l("从未上报"),
    "gaps": _l("有缺口或被退回"),
}


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(
        state.app,
        Entry("region.schools", _l("各校开课"), "map-2", OFFICER, 10, office.is_here),
        Entry("region.intake_page", _l("接收"), "inbox", OFFICER, 20, _is_own),
        Entry("region.enrolment", _l("登记"), "key", OFFICER, 30, _is_own, folded=True),
        Entry("region.hand_up", _l("上报"), "cloud-upload", OFFICER, 40, _is_own),
    )


def _is_own() -> bool:
    return office.is_own(current_account())


def _today() -> date:
    return clock.local_date(clock.now(), current_app.config["ZHIKE"].timezone)


# ---- the line between installations ---------------------------------------------------------------------------------


@bp.get("/api/region/identity")
def identity() -> Response:
    """Who this office is, signed; open, since it says only what anybody may know."""
    return jsonify(service.identity().plain())


@bp.post("/api/region/enrolments")
def enrol() -> Response:
    """A school or office below binds its key by a one-time code."""
    return jsonify(office.enrol(request.get_json(silent=True)))


@bp.post("/api/region/batches")
def batches() -> Response:
    """Take a batch; its signature says whose it is."""
    office.need_office()
    request.max_content_length = MOST_ON_THE_LINE
    return jsonify(service.take(request.get_data(cache=False)).plain())


csrf.exempt(enrol)
csrf.exempt(batches)


# ---- the school's page ----------------------------------------------------------------------------------------------


@bp.get("/hand-up")
@require(*HANDS_UP)
def hand_up() -> str:
    """Who is above, what is receipted, what waits; the ways to hand up."""
    return _hand_up_page()


def _hand_up_page(error: ZhikeError | None = None) -> str:
    own = _handing_up()
    is_school = _is_school(own)
    above = uplink.uplink_of(own)
    zone = current_app.config["ZHIKE"].timezone
    return render_template(
        "region/hand_up.html",
        above=above,
        is_school=is_school,
        fingerprint=office.own_fingerprint(),
        head=uplink.head_of(own)[0] if is_school else 0,
        waiting=uplink.waiting_links(own) if is_school else len(forwarding.open_batches(10_000)),
        receipts=uplink.receipts_of(own) if is_school else [],
        error=error,
        values=request.form,
        local=lambda at: clock.local(at, zone),
    )


def _handing_up() -> uuid.UUID:
    """The school, or the office that this installation serves; NotFound for other offices on the server: they see the schools here already."""
    if not _is_school(current_school_id()):
        office.need_own(current_account())
    return current_school_id()


def _is_school(organisation_id: uuid.UUID) -> bool:
    found = db.session.get(Organisation, organisation_id)
    return found is not None and found.level == "school"


@bp.post("/hand-up/join")
@require(*HANDS_UP)
def join() -> BaseResponse | tuple[str, int]:
    """Agree on the office above, by code or by fingerprint."""
    form = request.form
    _handing_up()
    try:
        if form.get("way") == "file":
            uplink.join_by_fingerprint(
                current_account(), current_school_id(), form.get("name", ""), form.get("fingerprint", "")
            )
        else:
            uplink.join_by_code(current_account(), current_school_id(), form.get("url", ""), form.get("code", ""))
    except ZhikeError as refusal:
        return _hand_up_page(refusal), refusal.status
    flash(_("已登记上级主管部门。"))
    return redirect(url_for("region.hand_up"))


@bp.post("/hand-up/leave")
@require(*HANDS_UP)
def leave() -> BaseResponse:
    """Stop handing up."""
    uplink.leave(current_account(), _handing_up())
    flash(_("已停止上报；回执仍然保留。"))
    return redirect(url_for("region.hand_up"))


@bp.post("/hand-up/send")
@require(*HANDS_UP)
def send() -> BaseResponse:
    """Hand up now."""
    _handing_up()
    service.hand_up_soon(current_account())
    flash(_("正在后台上报；刷新本页可以看到进度。"))
    return redirect(url_for("region.hand_up"))


@bp.get("/hand-up/file")
@require(*HANDS_UP)
def hand_up_file() -> Response:
    """What is not receipted yet, as a file."""
    own = _handing_up()
    data = uplink.as_file(current_account(), own) if _is_school(own) else forwarding.forward_file(current_account())
    name = db.session.get_one(Organisation, own).name
    return download(data, f"{_('上报')}-{name}-{_today().isoformat()}.zip")


@bp.post("/hand-up/receipts")
@require("school_admin")
def accept_receipt() -> BaseResponse | tuple[str, int]:
    """Take in a receipt that came as a file."""
    try:
        kept = uplink.accept_file(current_account(), current_school_id(), _uploaded("receipt"))
    except ZhikeError as refusal:
        return _hand_up_page(refusal), refusal.status
    flash(_("已收下 %(count)s 份回执。", count=kept))
    return redirect(url_for("region.hand_up"))


def _uploaded(field: str) -> bytes:
    sent = request.files.get(field)
    data = sent.read() if sent else b""
    if not data:
        raise Invalid("file", _l("请选择文件。"), where=field)
    return data


# ---- the office's pages ---------------------------------------------------------------------------------------------


def asked_of(
    arguments: Any, today: date, terms: list[str], seen: tuple[int, ...] | None = None
) -> questions.Asked:
    """The question in a link about the schools ``seen`` (None: all); raises Invalid for one that nobody asked."""
    rule = policies.policy(arguments.get("rule") or DEFAULT_RULE, "lessons")
    show, stage, period = arguments.get("show") or "all", arguments.get("stage") or "", arguments.get("period") or ""
    term = arguments.get("term") or (terms[0] if terms else "")
    try:
        number = int(arguments.get("office") or 0)
        questions.term_dates(term or "2026-1")
    except ValueError as error:
        raise Invalid("question", _l("看不懂这个查询。"), remedy=_l("请从“各校开课”重新打开。")) from error
    if show not in questions.SHOWS or stage not in ("", *STAGE_NAMES) or period not in PERIODS:
        raise Invalid("question", _l("看不懂这个查询。"), remedy=_l("请从“各校开课”重新打开。"))
    first = (monday_of(today) - timedelta(weeks=int(period))).isoformat() if period else ""
    return questions.Asked(
        rule=rule.name,
        stage=stage,
        office=number,
        schools=seen,
        name=(arguments.get("name") or "").strip(),
        show=show,
        term=term,
        first=first,
    )


@bp.get("/region")
@require(*OFFICER)
def schools() -> str:
    """Every school in one table, those at risk first."""
    office.need_office()
    here = db.session.get_one(Organisation, current_school_id())
    root = service.results_folder()
    seen = office.numbers_below(current_account())
    below = [
        row
        for row in db.session.scalars(
            select(Subordinate).where(Subordinate.level != "school").order_by(Subordinate.name)
        )
        if seen is None or row.number in seen
    ]
    rules = policies.rules("lessons")
    if not (root / "schools.parquet").exists():
        return render_template("region/empty.html", office=here, own=office.is_own(current_account()))
    with connect() as connection:
        rule = policies.policy(request.args.get("rule") or DEFAULT_RULE, "lessons").name
        terms = questions.terms(connection, root, rule)
        asked = asked_of(request.args, _today(), terms, seen)
        found = questions.table(connection, root, asked, _today(), request.args.get("page", 1, type=int))
    if not found.shown["all"] and not (asked.name or asked.office or asked.stage):
        return render_template("region/empty.html", office=here, own=office.is_own(current_account()))
    return render_template(
        "region/schools.html",
        office=here,
        asked=asked,
        period=request.args.get("period", ""),
        table=found,
        terms=terms,
        term_names={label: _term_name(label) for label in terms},
        offices=below,
        rules=rules,
        rule=rulebook.policy_for(here.id, asked.rule, _today()),
        shows=SHOW_NAMES,
        periods=PERIODS,
        stage_names=STAGE_NAMES,
        verdict_names=VERDICT_NAMES,
        office_names={row.number: row.name for row in below},
        today=_today(),
        arguments={key: value for key, value in request.args.items() if key not in ("page", "show")},
    )


def _term_name(label: str) -> str:
    year, ordinal = label.split("-")
    years = f"{year}–{int(year) + 1}"
    return str(_("%(years)s 学年第一学期", years=years) if ordinal == "1" else _("%(years)s 学年第二学期", years=years))


@bp.get("/region.xlsx")
@require(*OFFICER)
def export() -> Response:
    """The same table, all pages, as a workbook."""
    office.need_office()
    here, root = db.session.get_one(Organisation, current_school_id()), service.results_folder()
    with connect() as connection:
        rule = policies.policy(request.args.get("rule") or DEFAULT_RULE, "lessons")
        asked = asked_of(
            request.args,
            _today(),
            questions.terms(connection, root, rule.name),
            office.numbers_below(current_account()),
        )
        found = questions.table(connection, root, asked, _today(), size=0)
    from lms.region.export import workbook_of  # 25 MiB of openpyxl that only an export needs

    stream = BytesIO()
    workbook_of(here.name, rule, asked, found, _today(), simulated=uplink.origin_here() == "simulated").save(stream)
    return download(stream.getvalue(), f"{_('各校开课')}-{_today().isoformat()}.xlsx")


def _school(number: int) -> Subordinate:
    office.need_office()
    found = db.session.scalar(select(Subordinate).where(Subordinate.number == number))
    seen = office.numbers_below(current_account())
    if found is None or (seen is not None and number not in seen):
        raise NotFound("subordinate", _l("没有登记这个下级。"))
    return found


@bp.get("/region/schools/<int:number>")
@require(*OFFICER)
def school(number: int) -> str:
    """One school: its classes in counts, what it handed up, what is missing."""
    return _school_page(_school(number))


def _school_page(found: Subordinate, code: str = "", error: ZhikeError | None = None) -> str:
    root = service.results_folder()
    rules = policies.rules("lessons")
    rule = policies.policy(request.args.get("rule") or DEFAULT_RULE, "lessons")
    with connect() as connection:
        classes = questions.classes_of(connection, root, rule.name, found.number)
    query = select(HandedBatch).where(HandedBatch.school_id == found.organisation_id)
    zone = current_app.config["ZHIKE"].timezone
    return render_template(
        "region/school.html",
        found=found,
        classes=classes,
        weeks=sorted({week for one in classes for week, _effective, _counted in one.weeks}),
        rules=rules,
        rule=rule,
        batches=db.session.scalars(
            query.order_by(HandedBatch.received_at.desc(), HandedBatch.first_seq.desc()).limit(20)
        ).all(),
        gaps=intake.gaps_of(found),
        late=rules_of_hand_up.late_entries(found.calendar),
        code=code,
        own=office.is_own(current_account()),
        error=error,
        office_code=office.CODE_DAYS,
        level_names=office.LEVEL_NAMES,
        stage_names=STAGE_NAMES,
        verdict_names=VERDICT_NAMES,
        local=lambda at: clock.local(at, zone),
        today=_today(),
    )


@bp.post("/region/schools/<int:number>/code")
@require(*OFFICER)
def new_code(number: int) -> str:
    """A new one-time code for a school or office below; shown once."""
    office.need_own(current_account())
    found = _school(number)
    code = office.new_code(current_account(), found.id)
    return _school_page(_school(number), code)


@bp.post("/region/schools/<int:number>/key")
@require(*OFFICER)
def accept_key(number: int) -> BaseResponse | tuple[str, int]:
    """Accept another key by its fingerprint."""
    office.need_own(current_account())
    try:
        office.accept_key(current_account(), _school(number).id, request.form.get("fingerprint", ""))
    except ZhikeError as refusal:
        return _school_page(_school(number), error=refusal), refusal.status
    flash(_("已接受新的密钥指纹。"))
    return redirect(url_for("region.school", number=number))


@bp.post("/region/schools/<int:number>/calendar")
@require(*OFFICER)
def countersign(number: int) -> BaseResponse:
    """Countersign closures and flagged weeks that were entered late."""
    done = office.countersign(current_account(), _school(number).id, request.form.getlist("entry"))
    flash(_("已会签 %(count)s 条；学校下次上报后生效。", count=done))
    return redirect(url_for("region.school", number=number))


@bp.get("/region/schools/<int:number>/receipts.json")
@require(*OFFICER)
def receipts(number: int) -> Response:
    """The receipts of a school as a file to give back."""
    found = _school(number)
    query = select(HandedBatch.receipt).where(
        HandedBatch.school_id == found.organisation_id, HandedBatch.state == "applied"
    )
    documents = list(db.session.scalars(query.order_by(HandedBatch.last_seq, HandedBatch.received_at)))
    text = json.dumps([one for one in documents if one], ensure_ascii=False)
    name = f"{_('回执')}-{found.name}-{_today().isoformat()}.json"
    return download(text.encode(), name)


@bp.get("/region/enrolment")
@require(*OFFICER)
def enrolment() -> str:
    """Enrol schools and offices below; what is enrolled and has not come yet."""
    return _enrolment_page()


def _enrolment_page(found: Subordinate | None = None, code: str = "", error: ZhikeError | None = None) -> str:
    here = office.need_own(current_account())
    query = (
        select(Subordinate).where(Subordinate.handed_at.is_(None)).order_by(Subordinate.created_at.desc()).limit(200)
    )
    return render_template(
        "region/enrolment.html",
        office=here,
        levels=("school", *office.LEVELS[: office.LEVELS.index(here.level)]),
        level_names=office.LEVEL_NAMES,
        pending=db.session.scalars(query).all(),
        fingerprint=office.own_fingerprint(),
        found=found,
        code=code,
        days=office.CODE_DAYS,
        error=error,
        values=request.form,
    )


@bp.post("/region/enrolment")
@require(*OFFICER)
def register() -> str | tuple[str, int]:
    """Enrol one, by a code or by its fingerprint."""
    office.need_own(current_account())
    form = request.form
    level, name, code = (form.get(field, "") for field in ("level", "name", "code"))
    try:
        if form.get("way") == "file":
            found, secret = office.register_key(current_account(), level, name, code, form.get("fingerprint", "")), ""
        else:
            found, secret = office.register(current_account(), level, name, code)
    except ZhikeError as refusal:
        return _enrolment_page(error=refusal), refusal.status
    service.refresh_soon()
    return _enrolment_page(found, secret)


@bp.get("/region/intake")
@require(*OFFICER)
def intake_page() -> str:
    """Import files; the newest batches."""
    return _intake_page()


def _intake_page(outcomes: list[intake.Outcome] | None = None, error: ZhikeError | None = None) -> str:
    office.need_own(current_account())
    rows = db.session.scalars(select(HandedBatch).order_by(HandedBatch.received_at.desc()).limit(30)).all()
    ids = {row.school_id for row in rows} | {one.school_id for one in outcomes or ()}
    named = db.session.scalars(select(Subordinate).where(Subordinate.organisation_id.in_(ids)))
    refused = (
        select(Subordinate).where(Subordinate.refused_at.is_not(None)).order_by(Subordinate.refused_at.desc()).limit(20)
    )
    zone = current_app.config["ZHIKE"].timezone
    return render_template(
        "region/intake.html",
        rows=rows,
        outcomes=outcomes,
        error=error,
        below={row.organisation_id: row for row in named},
        refused=db.session.scalars(refused).all(),
        local=lambda at: clock.local(at, zone),
    )


@bp.post("/region/intake")
@require(*OFFICER)
def import_file() -> str | tuple[str, int]:
    """Import a file from a USB stick or e-mail."""
    office.need_own(current_account())
    try:
        return _intake_page(
            service.take_file(current_account(), _uploaded("file"), request.files["file"].filename or "")
        )
    except ZhikeError as refusal:
        db.session.rollback()
        return _intake_page(error=refusal), refusal.status
