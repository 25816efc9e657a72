"""Pages of the register: activities, achievements, one's own entries, import and export (研修与成果登记)."""

from __future__ import annotations

import uuid
from io import BytesIO

from flask import Blueprint, Response, current_app, flash, redirect, render_template, request, send_file, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response as BaseResponse

from lms.core import blobs
from lms.core.audit import access
from lms.core.auth import current_account, require
from lms.core.db import db
from lms.core.downloads import download
from lms.core.errors import Invalid, NotFound
from lms.core.menu import Entry, offer
from lms.core.models import Organisation
from lms.register import intake, rules, service
from lms.register.models import Achievement, Activity, RegisterFile
from lms.register.people import staff_of

bp = Blueprint("register", __name__, template_folder="templates", url_prefix="/register")
STAFF = ("teacher", "school_admin", "officer")
EDITORS = service.EDITORS
SPANS = {"1": _l("近一年"), "3": _l("近三年"), "all": _l("全部")}
PREVIEW_S = 3600
ACTIVITY_FIELDS = {
    "日期": "held_on",
    "类别": "category",
    "主题": "topic",
    "主办单位": "organiser",
    "学时": "hours",
    "学分": "credit",
    "其他人数": "others",
    "备注": "note",
}
ACHIEVEMENT_FIELDS = {
    "对象": "who",
    "姓名": "person",
    "类别": "category",
    "成果名称": "name",
    "级别": "level",
    "等次": "prize",
    "年份": "year",
    "颁发单位": "issuer",
    "人次": "number",
    "备注": "note",
}


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(state.app, Entry("register.index", _l("研修成果"), "certificate", STAFF, 55))


def _own_name() -> str:
    return db.session.get_one(Organisation, current_account().organisation_id).name


def _span() -> str:
    found = request.args.get("span", "1")
    return found if found in SPANS else "1"


def _activities() -> list[service.ActivityLine]:
    days = {"1": 365, "3": 3 * 365}.get(_span(), 100_000)
    today = service.today()
    return [
        line
        for line in service.activities_of(current_account().organisation_id)
        if (today - line.row.held_on).days < days
    ]


@bp.get("/")
@require(*STAFF)
def index() -> str | BaseResponse:
    """Training and 教研: what was held, who of the staff attended; a teacher sees the own entries."""
    account = current_account()
    if not service.edits(account):
        return mine()
    lines = _activities()
    staff = [one for one in staff_of(account.organisation_id) if not one.left]
    access(account, "register", "organisation", account.organisation_id, people=len(staff))
    hours = {one.key: [line.row.hours for line in lines if one.key in line.certificates] for one in staff}
    return render_template(
        "register/index.html",
        lines=lines,
        removed=service.activities_of(account.organisation_id, removed=True)[:20],
        staff=staff,
        hours=hours,
        total=rules.figures(
            [rules.Held(one.row.kind, one.row.category, one.row.held_on, one.row.hours, one.total) for one in lines]
        ),
        credit=sum(one.row.credit * len(one.people) for one in lines),
        kinds=rules.KINDS,
        span=_span(),
        spans=SPANS,
        name=_own_name(),
        imports=intake.imports_of(account.organisation_id),
        today=service.today(),
    )


@bp.get("/mine")
@require(*STAFF)
def mine() -> str:
    """What stands in the register about oneself."""
    activities, awards = service.mine(current_account())
    return render_template(
        "register/mine.html",
        activities=activities,
        awards=awards,
        hours=sum(one.row.hours for one in activities),
        credit=sum(one.row.credit for one in activities),
        kinds=rules.KINDS,
        keeps=service.edits(current_account()),
    )


@bp.get("/achievements")
@require(*EDITORS)
def achievements() -> str:
    """Achievements of teachers, and those of pupils as totals."""
    account = current_account()
    lines = service.achievements_of(account.organisation_id)
    if _span() != "all":
        first = service.today().year - (2 if _span() == "3" else 0)
        lines = [one for one in lines if one.row.year >= first]
    access(
        account,
        "register",
        "organisation",
        account.organisation_id,
        people=sum(one.person is not None for one in lines),
    )
    return render_template(
        "register/achievements.html",
        lines=lines,
        removed=service.achievements_of(account.organisation_id, removed=True)[:20],
        who=rules.WHO,
        span=_span(),
        spans=SPANS,
        name=_own_name(),
        imports=intake.imports_of(account.organisation_id),
    )


# --- one activity, one achievement


@bp.get("/activities/new", defaults={"activity_id": None})
@bp.get("/activities/<uuid:activity_id>")
@require(*EDITORS)
def activity(activity_id: uuid.UUID | None) -> str:
    """The form of an activity."""
    return _activity_page(activity_id)


def _activity_page(activity_id: uuid.UUID | None, refusal: Invalid | None = None) -> str:
    account = current_account()
    line = service.line_of(account, activity_id) if activity_id else None
    present = set(request.form.getlist("people")) if refusal else set(line.certificates) if line else set()
    values = {
        column: request.form.get(column, "") if refusal else _shown(line.row, field) if line else ""
        for column, field in ACTIVITY_FIELDS.items()
    }
    return render_template(
        "register/activity.html",
        line=line,
        values=values,
        present=present,
        staff=[one for one in staff_of(account.organisation_id) if not one.left or one.key in present],
        kinds=rules.KINDS,
        categories=rules.CATEGORIES,
        faults=refusal.facts["faults"] if refusal else (),
        today=service.today(),
        largest=blobs.LARGEST_MB,
    )


def _shown(row: Activity | Achievement, field: str) -> str:
    value = getattr(row, field)
    return f"{value:g}" if isinstance(value, float) else "" if value == 0 else str(value)


@bp.post("/activities/new", defaults={"activity_id": None})
@bp.post("/activities/<uuid:activity_id>")
@require(*EDITORS)
def save_activity(activity_id: uuid.UUID | None) -> BaseResponse | tuple[str, int]:
    """Save it; faults come back beside what was typed."""
    texts = {column: request.form.get(column, "") for column in ACTIVITY_FIELDS}
    try:
        row = service.save_activity(current_account(), activity_id, texts, request.form.getlist("people"))
    except Invalid as refusal:
        if refusal.code != "register-values":
            raise
        return _activity_page(activity_id, refusal), refusal.status
    _take_file(row)
    flash(_("已保存。"))
    return redirect(url_for("register.index"))


@bp.get("/achievements/new", defaults={"achievement_id": None})
@bp.get("/achievements/<uuid:achievement_id>")
@require(*EDITORS)
def achievement(achievement_id: uuid.UUID | None) -> str:
    """The form of an achievement."""
    return _achievement_page(achievement_id)


def _achievement_page(achievement_id: uuid.UUID | None, refusal: Invalid | None = None) -> str:
    account = current_account()
    row = service.row_of(Achievement, account, achievement_id) if achievement_id else None
    lines = service.achievements_of(account.organisation_id) if row else []
    line = next((one for one in lines if row is not None and one.row.id == row.id), None)
    values = {
        column: request.form.get(column, "")
        if refusal
        else (line.person.name if line and line.person else "")
        if field == "person"
        else _shown(row, field)
        if row
        else ""
        for column, field in ACHIEVEMENT_FIELDS.items()
    }
    chosen = values["对象"] or request.args.get("who", "teacher")
    values["对象"] = chosen if chosen in rules.WHO else "teacher"
    return render_template(
        "register/achievement.html",
        line=line,
        values=values,
        staff=[one for one in staff_of(account.organisation_id) if not one.left],
        who=rules.WHO,
        awards=rules.AWARDS,
        levels=rules.LEVELS,
        faults=refusal.facts["faults"] if refusal else (),
        year=service.today().year,
        largest=blobs.LARGEST_MB,
    )


@bp.post("/achievements/new", defaults={"achievement_id": None})
@bp.post("/achievements/<uuid:achievement_id>")
@require(*EDITORS)
def save_achievement(achievement_id: uuid.UUID | None) -> BaseResponse | tuple[str, int]:
    """Save it; faults come back beside what was typed."""
    texts = {column: request.form.get(column, "") for column in ACHIEVEMENT_FIELDS}
    try:
        row = service.save_achievement(current_account(), achievement_id, texts)
    except Invalid as refusal:
        if refusal.code != "register-values":
            raise
        return _achievement_page(achievement_id, refusal), refusal.status
    _take_file(row)
    flash(_("已保存。"))
    return redirect(url_for("register.achievements"))


def _take_file(row: Activity | Achievement) -> None:
    for sent in request.files.getlist("file"):
        if sent.filename:
            service.add_file(current_account(), row, sent.filename, sent.read())


# --- remove and put back


@bp.post("/<any(activities,achievements):kind>/<uuid:row_id>/<any(remove,restore):verb>")
@require(*EDITORS)
def change(kind: str, row_id: uuid.UUID, verb: str) -> BaseResponse:
    """Take an entry out, or put it back."""
    model: type[Activity] | type[Achievement] = Activity if kind == "activities" else Achievement
    if verb == "remove":
        service.remove(current_account(), model, row_id)
    else:
        service.restore(current_account(), model, row_id)
    flash(_("已删除；在页面下方“已删除的”里可以恢复。") if verb == "remove" else _("已恢复。"))
    return redirect(url_for("register.index" if kind == "activities" else "register.achievements", span="all"))


# --- scans


@bp.get("/files/<uuid:file_id>")
@require(*STAFF)
def get_file(file_id: uuid.UUID) -> Response:
    """Hand out a scan, always as a download."""
    row = service.file_of(current_account(), file_id)
    access(current_account(), "register-file", "register_file", row.id, school_id=row.school_id)
    return _sent(row)


def _sent(row: RegisterFile) -> Response:
    data = BytesIO(blobs.content(service.ROOM, row.sha256))
    return send_file(data, as_attachment=True, download_name=row.name, mimetype=blobs.MIME[row.type])


@bp.post("/files/<uuid:file_id>/remove")
@require(*EDITORS)
def remove_file(file_id: uuid.UUID) -> BaseResponse:
    """Take a scan out."""
    row = service.remove_file(current_account(), file_id)
    flash(_("已删除扫描件“%(name)s”。", name=row.name))
    if row.activity_id:
        return redirect(url_for("register.activity", activity_id=row.activity_id))
    return redirect(url_for("register.achievement", achievement_id=row.achievement_id))


# --- Excel


def _kept() -> URLSafeTimedSerializer:
    salt = f"register-rows-{current_account().organisation_id.hex}"
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=salt)


def _known(kind: str) -> str:
    if kind not in intake.LISTS:
        raise NotFound("list", _l("没有这种登记表。"))
    return kind


@bp.get("/<any(activities,achievements):kind>/template.xlsx")
@require(*EDITORS)
def template(kind: str) -> Response:
    """The empty list."""
    from lms.register.book import template as book

    return download(book(kind), f"{intake.LISTS[kind]}登记模板.xlsx")


@bp.get("/<any(activities,achievements):kind>.xlsx")
@require(*EDITORS)
def export(kind: str) -> Response:
    """The register as Excel; it can be imported again."""
    from lms.register import book

    account = current_account()
    title = f"{_own_name()} {intake.LISTS[kind]}登记（{service.today().isoformat()}）"
    if kind == "activities":
        lines = service.activities_of(account.organisation_id)
        data, people = book.activities_book(title, lines), sum(len(one.people) for one in lines)
    else:
        awards = service.achievements_of(account.organisation_id)
        data, people = book.achievements_book(title, awards), sum(one.person is not None for one in awards)
    access(account, "register-export", "organisation", account.organisation_id, people=people)
    return download(data, f"{intake.LISTS[kind]}登记.xlsx")


@bp.get("/import")
@require(*EDITORS)
def choose() -> str:
    """Choose a list and a file."""
    kind = request.args.get("kind", "activities")
    return render_template(
        "register/import.html", kind=kind if kind in intake.LISTS else "activities", lists=intake.LISTS
    )


@bp.post("/import")
@require(*EDITORS)
def preview() -> str:
    """Every row's verdict; nothing is written."""
    from lms.register.book import read_book

    kind, file = _known(request.form.get("kind", "")), request.files.get("file")
    if file is None or not file.filename:
        raise Invalid("no-file", _l("请先选择文件。"), where="file")
    judged = intake.judge(current_account(), kind, read_book(kind, file.read(), file.filename))
    rows = {"kind": kind, "lines": [[one.line.where, one.line.texts] for one in judged]}
    order = ("bad", "new", "more", "known")
    return render_template(
        "register/preview.html",
        kind=kind,
        lists=intake.LISTS,
        rows=sorted(judged, key=lambda one: order.index(one.state)),
        counts={state: sum(one.state == state for one in judged) for state in order},
        file_name=file.filename,
        kept=_kept().dumps(rows),
    )


def _lines() -> tuple[str, list[intake.Line]]:
    try:
        kept = _kept().loads(request.form.get("kept", ""), max_age=PREVIEW_S)
    except BadData as error:
        raise Invalid("preview-old", _l("预览已过期。"), remedy=_l("请重新上传文件。")) from error
    return kept["kind"], [intake.Line(where, texts) for where, texts in kept["lines"]]


@bp.post("/import/problems.xlsx")
@require(*EDITORS)
def problems() -> Response:
    """The rows that were not taken, with their faults."""
    from lms.register.book import annotated

    kind, lines = _lines()
    return download(annotated(kind, intake.judge(current_account(), kind, lines)), "有问题的行.xlsx")


@bp.post("/import/apply")
@require(*EDITORS)
def apply() -> BaseResponse:
    """Write what is new."""
    kind, lines = _lines()
    done = intake.apply(current_account(), kind, lines)
    flash(_("已导入 %(n)s 行。", n=done) if done else _("表里的内容都已登记，没有再写。"))
    return redirect(url_for("register.index" if kind == "activities" else "register.achievements", span="all"))


@bp.post("/imports/<uuid:import_id>/undo")
@require(*EDITORS)
def undo(import_id: uuid.UUID) -> BaseResponse:
    """Undo an import as a whole."""
    flash(
        _(
            "已撤销导入，共 %(n)s 行；活动和成果可以在“已删除的”里逐条恢复。",
            n=intake.undo(current_account(), import_id),
        )
    )
    back = request.form.get("back", "")
    return redirect(url_for("register.achievements" if back == "achievements" else "register.index", span="all"))
