"""Library, package and lesson pages, media, upload, catalogue import (课程库)."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Blueprint, Response, current_app, flash, redirect, render_template, request, send_file, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock
from lms.core.auth import current_account, current_school_id, require
from lms.core.db import db
from lms.core.downloads import download
from lms.core.errors import Invalid, NotFound, ZhikeError
from lms.core.menu import Entry, offer
from lms.core.stages import STAGE_NAMES, grade_of
from lms.courses import service
from lms.courses.catalogue import CatalogueRow, read_catalogue
from lms.courses.models import PackageVersion
from lms.roster.models import School, SchoolClass
from lms.roster.service import class_name

bp = Blueprint("courses", __name__, template_folder="templates")
STAFF = ("teacher", "school_admin")


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(state.app, Entry("courses.library", _l("课程"), "books", STAFF, 20))


def _mine(package_id: uuid.UUID) -> PackageVersion:
    package = service.package_of(package_id)
    if package.school_id != current_school_id():
        raise NotFound("package", _l("没有这个课程包。"))
    return package


@bp.get("/courses")
@require(*STAFF)
def library() -> str:
    """Packages of the school by stage, with the classes that follow them."""
    school = db.session.get_one(School, current_school_id())
    today = clock.local_date(clock.now(), school.zone)
    classes = list(db.session.scalars(select(SchoolClass).where(SchoolClass.school_id == school.id, SchoolClass.closed_on.is_(None))))
    followers: dict[uuid.UUID, list[str]] = {}
    for cohort in classes:
        for package in service.pinned(cohort.id):
            followers.setdefault(package.id, []).append(class_name(cohort, school, today))
    packages = service.installed(school.id)
    return render_template(
        "courses/library.html",
        stages=[(STAGE_NAMES[stage], [p for p in packages if p.kind == "package" and p.stage == stage]) for stage in STAGE_NAMES],
        catalogues=[p for p in packages if p.kind == "catalogue"],
        followers=followers,
    )


@bp.get("/courses/<uuid:package_id>")
@require(*STAFF)
def package(package_id: uuid.UUID) -> str:
    """Lessons of one version; the classes of its grade to pin."""
    row = _mine(package_id)
    school = db.session.get_one(School, row.school_id)
    today = clock.local_date(clock.now(), school.zone)
    classes = [
        {
            "id": cohort.id,
            "name": class_name(cohort, school, today),
            "same_grade": cohort.stage == row.stage and grade_of(cohort.stage, cohort.entry_year, today, school.system) == row.grade,
            "pinned": any(found.id == row.id for found in service.pinned(cohort.id)),
        }
        for cohort in db.session.scalars(
            select(SchoolClass)
            .where(SchoolClass.school_id == school.id, SchoolClass.closed_on.is_(None), SchoolClass.stage == row.stage)
            .order_by(SchoolClass.entry_year.desc(), SchoolClass.number)
        )
    ]
    units = service.units(school.id, row.manifest["course"]["course"]) if row.kind == "catalogue" else []
    return render_template("courses/package.html", package=row, classes=classes, units=units, stage_names=STAGE_NAMES)


@bp.post("/courses/<uuid:package_id>/pin")
@require(*STAFF)
def pin(package_id: uuid.UUID) -> BaseResponse:
    """Let the ticked classes follow this version."""
    _mine(package_id)
    chosen = request.form.getlist("class_id", type=uuid.UUID)
    for class_id in chosen:
        service.pin(current_account(), class_id, package_id)
    flash(_("已让 %(n)d 个班使用这个版本；以前的作品都保留。", n=len(chosen)))
    return redirect(url_for("courses.package", package_id=package_id))


@bp.get("/courses/<uuid:package_id>/<slug>")
@require(*STAFF)
def lesson(package_id: uuid.UUID, slug: str) -> str:
    """A lesson as its teacher prepares it: steps for the configuration, texts, activities, check list."""
    row = _mine(package_id)
    found = service.lesson_of(package_id, slug)
    configuration = request.args.get("configuration", 3, type=int)
    if configuration not in (1, 2, 3):
        raise Invalid("configuration", _l("配置只能是一、二、三。"))
    return render_template(
        "courses/lesson.html", package=row, lesson=found, steps=service.steps_of(found, configuration), configuration=configuration
    )


@bp.get("/courses/<uuid:package_id>/<slug>/print/<part>")
@require(*STAFF)
def sheet(package_id: uuid.UUID, slug: str, part: str) -> str:
    """A page to print: task_sheet (任务单), plan (教案), text (学生读本), answers (答案)."""
    _mine(package_id)
    found = service.lesson_of(package_id, slug)
    names = {"task_sheet": _("任务单"), "plan": _("教案"), "text": _("学生读本"), "answers": _("教师用答案")}
    if part not in names:
        raise NotFound("sheet", _l("没有这一页。"))
    return render_template("courses/sheet.html", lesson=found, part=part, name=names[part], html=found.texts[part])


@bp.get("/packages/<content_hash>/<slug>/<path:name>")
def media(content_hash: str, slug: str, name: str) -> BaseResponse:
    """A media file of a lesson; content-addressed, so browsers keep it."""
    current_account()
    response = send_file(service.media_file(content_hash, slug, name).resolve(), max_age=31536000)
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return response


@contextmanager
def _uploaded(suffix: str) -> Iterator[Path]:
    upload: FileStorage | None = request.files.get("file")
    if upload is None or not upload.filename:
        raise Invalid("no-file", _l("还没有选择文件。"), remedy=_l("请先选择文件再点上传。"))
    with tempfile.TemporaryDirectory(dir=current_app.config["ZHIKE"].data_dir) as folder:
        place = Path(folder) / f"upload{suffix}"
        upload.save(place)
        yield place


@bp.route("/courses/upload", methods=["GET", "POST"])
@require("school_admin")
def upload() -> BaseResponse | str | tuple[str, int]:
    """Upload a package as zip: checked whole first, every problem listed, nothing half-installed."""
    if request.method == "GET":
        return render_template("courses/upload.html", problems=[])
    try:
        with _uploaded(".zip") as archive:
            row = service.install_zip(current_account(), current_school_id(), archive)
    except ZhikeError as error:
        problems = error.facts.get("problems") or [f"{error.where} {error.message}".strip()]
        return render_template("courses/upload.html", problems=problems, remedy=error.remedy), error.status
    flash(_("已安装《%(title)s》%(version)s。", title=row.title, version=row.version))
    return redirect(url_for("courses.package", package_id=row.id))


@bp.route("/courses/catalogue", methods=["GET", "POST"])
@require("school_admin")
def catalogue() -> BaseResponse | str | tuple[str, int]:
    """Import a textbook's catalogue from Excel: preview row by row, then keep it."""
    form = {"course": request.form.get("course", "ncet"), "title": request.form.get("title", "").strip()}
    if request.method == "GET":
        return render_template("courses/catalogue.html", rows=[], form=form)
    if kept := request.form.get("rows"):
        try:
            rows = [CatalogueRow(**row) for row in json.loads(kept)]
        except (ValueError, TypeError) as error:
            raise Invalid("catalogue-form", _l("预览已失效，没有导入。"), remedy=_l("请重新选择文件预览。")) from error
        row = service.install_catalogue(current_account(), current_school_id(), form["course"], form["title"], rows)
        flash(_("已导入目录，共 %(n)d 课。", n=len(rows)))
        return redirect(url_for("courses.package", package_id=row.id))
    with _uploaded(".xlsx") as place:
        rows = read_catalogue(place)
    good = bool(rows) and bool(form["title"]) and not any(row.problem for row in rows)
    kept = json.dumps([vars(row) for row in rows], ensure_ascii=False) if good else ""
    return render_template("courses/catalogue.html", rows=rows, form=form, kept=kept), 200 if good else 422


@bp.get("/courses/catalogue/sample.xlsx")
@require("school_admin")
def catalogue_sample() -> Response:
    """An example of the catalogue table to fill in."""
    import io

    from openpyxl import Workbook

    book = Workbook()
    sheet_ = book.worksheets[0]
    for line in (["册次", "课次", "课题"], ["五上", "五上-1", "（填写课题）"], ["五上", "五上-2", "（填写课题）"]):
        sheet_.append(line)
    out = io.BytesIO()
    book.save(out)
    return download(out.getvalue(), "目录示例.xlsx")
