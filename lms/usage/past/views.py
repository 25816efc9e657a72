"""Pages of past lessons: one by hand, many from Excel, what was entered and how to undo it (补录)."""

from __future__ import annotations

import hashlib
import uuid

from flask import Blueprint, Response, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import current_account, current_school_id, require
from lms.core.downloads import download
from lms.core.errors import Invalid
from lms.courses import service as courses
from lms.roster import service as roster
from lms.usage import service as usage
from lms.usage.corrections.service import names_of
from lms.usage.judging.lessons import KIND_NAMES
from lms.usage.ownclasses import own_classes
from lms.usage.past import service
from lms.usage.past.planned import COLUMNS, DIVISIONS, Judged, Row

bp = Blueprint("past", __name__, template_folder="templates", url_prefix="/usage/past")
STAFF = ("teacher", "school_admin")
PREVIEW_S = 3600
BY_HAND = "手工补录"


def _index(values: dict[str, str] | None = None, judged: Judged | None = None) -> str:
    actor, school = current_account(), roster.school_of(current_school_id())
    own = own_classes(actor, roster.today_of(school))
    imports = service.imports_of(school.id)
    return render_template(
        "past/index.html",
        school=school,
        today=roster.today_of(school),
        classes=[
            roster.class_name(one, school, roster.today_of(school))
            for one in roster.classes_of(school.id)
            if own is None or str(one.id) in own
        ],
        teachers=[person.name for person in roster.staff_of(school.id)],
        me=person.name if (person := roster.teacher_of(actor)) is not None else "",
        units=[
            (unit.code, f"{unit.code} {unit.title}") for unit in courses.units(school.id, usage.course_of(school.id))
        ],
        kinds=list(KIND_NAMES.values()),
        divisions=list(DIVISIONS),
        imports=imports,
        left=service.left_of(imports, school.id),
        names=names_of(one.entered_by for one in imports),
        values=values or {},
        judged=judged,
    )


@bp.get("/")
@require(*STAFF)
def index() -> str:
    """The form for one lesson, the upload, the imports."""
    return _index()


@bp.post("/one")
@require(*STAFF)
def one() -> str | BaseResponse:
    """Enter one lesson by hand; a fault comes back beside the form, with what was typed."""
    school = roster.school_of(current_school_id())
    texts = {name: request.form.get(name, "") for name in COLUMNS}
    row = Row(str(_("这一条")), texts)
    [found] = service.judged(current_account(), school, [row])
    if found.state != "new":
        return _index(texts, found)
    digest = hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()
    service.enter(current_account(), school, [row], f"{BY_HAND} {texts['班级']} {texts['日期']}", digest)
    flash(_("已补录，证据等级 C。"))
    return redirect(url_for("usage.past.index"))


@bp.get("/template.xlsx")
@require(*STAFF)
def template() -> Response:
    """The empty Excel list."""
    from lms.usage.past.book import template as book

    return download(book(), "补录.xlsx")


def _kept() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=f"past-rows-{current_school_id().hex}")


@bp.post("/preview")
@require(*STAFF)
def preview() -> str:
    """Show what a file would enter, row by row; nothing is written."""
    school = roster.school_of(current_school_id())
    file = request.files.get("file")
    if file is None or not file.filename:
        raise Invalid("no-file", _l("请先选择文件。"), where="file")
    from lms.usage.past.book import read_book

    data = file.read()
    rows = service.judged(current_account(), school, read_book(data, file.filename))
    good = [[one.row.where, dict(one.row.texts)] for one in rows if one.state != "bad"]
    kept = {"name": file.filename, "sha256": hashlib.sha256(data).hexdigest(), "rows": good}
    return render_template(
        "past/preview.html",
        rows=rows,
        counts={state: sum(row.state == state for row in rows) for state in ("new", "known", "skipped", "bad")},
        file_name=file.filename,
        kinds=KIND_NAMES,
        kept=_kept().dumps(kept),
    )


@bp.post("/apply")
@require(*STAFF)
def apply() -> BaseResponse:
    """Enter the rows that were shown without a fault."""
    school = roster.school_of(current_school_id())
    try:
        kept = _kept().loads(request.form.get("kept", ""), max_age=PREVIEW_S)
    except BadData as error:
        raise Invalid("preview-old", _l("预览已过期。"), remedy=_l("请重新上传文件。")) from error
    rows = [Row(where, texts) for where, texts in kept["rows"]]
    made = service.enter(current_account(), school, rows, kept["name"], kept["sha256"])
    if made is None:
        flash(_("这些课都已经有记录，没有再写。"))
    else:
        flash(_("已补录 %(n)s 节课，证据等级 C。", n=len(made.record_ids)))
    return redirect(url_for("usage.past.index"))


@bp.post("/<uuid:import_id>/undo")
@require(*STAFF)
def undo(import_id: uuid.UUID) -> BaseResponse:
    """Propose to withdraw an import's records."""
    count = service.undo(current_account(), import_id, request.form.get("reason", "").strip())
    flash(_("已提出作废 %(n)s 条记录，等另一人确认。", n=count))
    return redirect(url_for("usage.corrections.index"))
