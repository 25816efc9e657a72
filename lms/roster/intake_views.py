"""Pages of import: choose a file, look at every row's verdict, apply (导入)."""

from __future__ import annotations

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from lms.core.auth import current_account, current_school_id, require
from lms.core.downloads import download
from lms.core.errors import Invalid
from lms.core.jobs import every
from lms.roster.access import school_of, today_of
from lms.roster.blueprint import Page, answered, bp
from lms.roster.intake import service as verbs
from lms.roster.intake.pending import forget_old
from lms.roster.intake.pupils import Options
from lms.roster.intake.words import CHANGES, STATUS, reason_of, remedy_of
from lms.roster.school import stages_of
from lms.roster.school_views import term_choice


def _forget() -> None:
    forget_old()


every(13, "forget-imports", _forget)

NOTES = {
    "sheet-other": _l("工作表“%(sheet)s”不是这种名单，没有读取。"),
    "sheet-hidden": _l("工作表“%(sheet)s”是隐藏的，没有读取。"),
    "id-cards": _l("工作表“%(sheet)s”的身份证号列已忽略：本系统不保存身份证号。"),
    "unread": _l("工作表“%(sheet)s”中没有导入的列：%(columns)s。"),
    "rows-skipped": _l("工作表“%(sheet)s”第 %(rows)s 行是重复的表头或合计，已跳过。"),
}
SHOWN_ROWS = 300


@bp.get("/import")
@require("school_admin")
def intake() -> Page:
    """Choose what to import, and a file."""
    kind = request.args.get("kind", "pupils")
    school = school_of(current_school_id())
    return render_template(
        "roster/import.html",
        kinds=verbs.KINDS,
        kind=kind if kind in verbs.KINDS else "pupils",
        has_stages=bool(stages_of(school.id)),
        term=term_choice(school.id, "", today_of(school)),
    )


@bp.post("/import")
@require("school_admin")
@answered
def intake_upload() -> Page:
    """Read and judge the file; nothing is stored yet."""
    school = school_of(current_school_id())
    kind, upload = request.form.get("kind", ""), request.files.get("file")
    if upload is None or not upload.filename:
        raise Invalid("no-file", _("请选择文件。"), where="file")
    form = request.form
    options = Options(bool(form.get("create_classes")), bool(form.get("keep_guardians")), bool(form.get("keep_registry")))
    term = term_choice(school.id, "", today_of(school)) if kind == "slots" else None
    shown = verbs.preview(current_account(), school.id, kind, upload.read(), upload.filename, options, term)
    return redirect(url_for("roster.intake_preview", token=shown.token))


@bp.get("/import/<token>")
@require("school_admin")
def intake_preview(token: str) -> Page:
    """Every row's verdict, problems first."""
    shown = verbs.again(current_account(), current_school_id(), token)
    rows = [
        {
            "verdict": verdict,
            "status": STATUS[verdict.status],
            "changes": [CHANGES[name] for name in verdict.changes],
            "problems": [(reason_of(problem), remedy_of(problem)) for problem in verdict.problems],
            "warnings": [reason_of(problem) for problem in verdict.warnings],
        }
        for verdict in sorted(shown.verdicts, key=lambda each: ("error", "changed", "new", "unchanged").index(each.status))[:SHOWN_ROWS]
    ]
    return render_template(
        "roster/preview.html",
        shown=shown,
        title=verbs.KINDS[shown.kind],
        rows=rows,
        total=len(shown.verdicts),
        status=STATUS,
        notes=[str(NOTES[code]) % facts for code, facts in shown.notes],
    )


@bp.post("/import/<token>")
@require("school_admin")
@answered
def intake_again(token: str) -> Page:
    """Judge the file again with unknown classes to be made, or not."""
    verbs.again(current_account(), current_school_id(), token, Options(create_classes=bool(request.form.get("create_classes"))))
    return redirect(url_for("roster.intake_preview", token=token))


@bp.post("/import/<token>/apply")
@require("school_admin")
@answered
def intake_apply(token: str) -> Page:
    """Store it, whole or the good rows."""
    done = verbs.apply(current_account(), current_school_id(), token, good_only=bool(request.form.get("good_only")))
    flash(_("导入完成：新增 %(new)s，更新 %(changed)s，无变化 %(same)s，跳过 %(skipped)s。", new=done.new, changed=done.changed, same=done.unchanged, skipped=done.skipped))
    target = {"staff": "roster.people", "slots": "roster.timetable"}.get(request.form.get("kind", ""), "roster.classes")
    return redirect(url_for(target))


@bp.get("/import/<token>/problems.xlsx")
@require("school_admin")
def intake_problems(token: str) -> Response:
    """The annotated copy: the file's rows with a red column 问题."""
    from lms.roster.intake.books import annotated

    pending, verdicts = verbs.pending_of(current_account(), current_school_id(), token)
    return download(annotated(pending, verdicts), "problems.xlsx")


@bp.get("/templates/<kind>.xlsx")
@require("school_admin")
def intake_template(kind: str) -> Response:
    """An empty list with the right headers."""
    from lms.roster.intake.books import template

    return download(template(kind if kind in verbs.KINDS else "pupils"), f"{kind}.xlsx")
