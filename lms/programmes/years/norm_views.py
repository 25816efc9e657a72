"""Pages of the AI-ethics norm and of the risk register (伦理规范、风险清单)."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core.audit import access
from lms.core.auth import current_account, current_school_id, may, require
from lms.core.db import db
from lms.core.errors import Invalid, NotAllowed, NotFound
from lms.core.models import Organisation
from lms.core.paper import can_print
from lms.programmes.dates import day_in
from lms.programmes.teaching import today
from lms.programmes.years import norms, papers
from lms.programmes.years.rules import LEVELS, risk_level
from lms.programmes.years.views import local, out
from lms.roster import service as roster
from lms.roster.models import SchoolClass

bp = Blueprint("norms", __name__, url_prefix="/norm")
STAFF = ("teacher", "school_admin", "officer")
ADMIN = norms.ADMIN


@bp.get("")
@require(*STAFF)
def index() -> str:
    """The norm in force, who has taken note, older versions; the admin writes the next one."""
    account, school_id = current_account(), current_school_id()
    _need_keeper(school_id)
    is_school = db.session.get_one(Organisation, school_id).level == "school"
    versions = norms.norms_of(school_id)
    admin = may(account, ADMIN)
    classes = []
    for cohort in roster.classes_of(school_id) if versions and is_school else []:
        school = roster.school_of(school_id)
        if admin or roster.teaches(account, cohort.id, today()):
            lines = norms.class_answers(school_id, cohort)
            classes.append(
                (
                    cohort,
                    roster.class_name(cohort, school, today()),
                    len(lines),
                    sum(one.agreed is True for one in lines),
                    sum(one.agreed is False for one in lines),
                )
            )
    return render_template(
        "years/norm.html",
        norm=versions[0] if versions else None,
        versions=versions[1:],
        text=versions[0].text if versions else norms.starting_text(),
        staff=norms.staff_coverage(school_id),
        pupils=norms.pupil_coverage(school_id) if is_school else None,
        classes=classes,
        acknowledged=norms.has_acknowledged(account),
        admin=admin,
        can_print=can_print(),
        local=local,
    )  # fmt: skip


def _need_keeper(organisation_id: uuid.UUID) -> None:
    if not norms.keeps(organisation_id):
        raise NotFound("norm", _l("伦理规范和风险清单由学校和申报的市、县制定。"))


@bp.post("")
@require(*ADMIN)
def publish() -> BaseResponse:
    """Put a new version in force."""
    form = request.form
    row = norms.publish(current_account(), form.get("text", ""), form.get("note", ""), asks_again="again" in form)
    flash(_("第 %(number)s 版已发布。", number=row.number))
    return redirect(url_for("programmes.years.norms.index"))


@bp.post("/acknowledge")
@require(*STAFF)
def acknowledge() -> BaseResponse:
    """I have read it."""
    norms.acknowledge(current_account())
    flash(_("已记录您的知悉。"))
    return redirect(url_for("programmes.years.norms.index"))


@bp.get("/norm.<any(docx,pdf):form>")
@require(*STAFF)
def paper(form: str) -> Response:
    """The norm with its coverage in Word or PDF."""
    norm = norms.norm_of(current_school_id())
    if norm is None:
        raise NotFound("norm", _l("学校还没有发布人工智能伦理规范。"))
    made = papers.norm_paper(norm)
    return out(papers.rendered(made, form), f"{made.title}.{form}")


def _cohort(class_id: uuid.UUID) -> SchoolClass:
    account = current_account()
    cohort = db.session.get(SchoolClass, class_id)
    if cohort is None or cohort.school_id != account.organisation_id:
        raise NotFound("class", _l("没有这个班。"))
    if not may(account, ADMIN) and not roster.teaches(account, cohort.id, today()):
        raise NotAllowed("norm-class", _l("请由学校管理员或本班任课教师登记。"))
    return cohort


@bp.get("/classes/<uuid:class_id>")
@require(*STAFF)
def answers(class_id: uuid.UUID) -> str:
    """A class: what the guardians answered on paper; with ``?sheet=1`` the sheet to print and sign."""
    cohort = _cohort(class_id)
    school = roster.school_of(cohort.school_id)
    lines = norms.class_answers(cohort.school_id, cohort)
    access(current_account(), "norm-class", "school_class", cohort.id, people=len(lines))
    sheet = "sheet" in request.args
    return render_template(
        "years/norm_sheet.html" if sheet else "years/norm_class.html",
        cohort=cohort,
        name=roster.class_name(cohort, school, today()),
        school=db.session.get_one(Organisation, cohort.school_id).name,
        lines=lines,
        norm=norms.norm_of(cohort.school_id),
        today=today(),
    )


@bp.post("/classes/<uuid:class_id>")
@require(*STAFF)
def record(class_id: uuid.UUID) -> BaseResponse:
    """Enter what stands on the signed sheets."""
    cohort, form = _cohort(class_id), request.form
    on = day_in(form.get("on"))
    if on is None:
        raise Invalid("norm-day", _l("请填写签字日期。"), where="on")
    given = {}
    for key, value in form.items():
        if key.startswith("answer."):
            try:
                given[uuid.UUID(key.removeprefix("answer."))] = value
            except ValueError as error:
                raise Invalid("choice", _l("选择的内容不对，请刷新页面再选。"), where=key) from error
    changed = norms.record_guardians(current_account(), cohort, given, on)
    flash(_("已登记，改动 %(count)s 人。", count=changed))
    return redirect(url_for("programmes.years.norms.answers", class_id=class_id))


# ---- risks


@bp.get("/risks")
@require(*STAFF)
def risks() -> str:
    """The register of a year."""
    school_id = current_school_id()
    _need_keeper(school_id)
    year = request.args.get("year", today().year, type=int)
    rows = norms.risks_of(school_id, year)
    return render_template(
        "years/risks.html",
        rows=[(row, risk_level(row.likelihood, row.severity)) for row in rows],
        year=year,
        years=sorted({year, today().year, *norms.risk_years(school_id)}, reverse=True),
        levels=LEVELS,
        admin=may(current_account(), ADMIN),
        samples=SAMPLES if not rows else (),
        removed=request.args.get("removed", ""),
        can_print=can_print(),
    )


# What schools usually name first; shown where the register is empty, taken over one by one.
SAMPLES = (
    ("学生个人信息输入校外人工智能工具", 2, 3, "工具白名单，课前提醒，不登录个人账号", "信息技术组长"),
    ("生成内容有误或有偏见，学生直接采信", 3, 2, "教师先试用，课堂上要求查证", "授课教师"),
    ("机器人、无人机伤人或损坏", 1, 3, "限速、围栏、急停演练，有人看管", "实验室管理员"),
    ("摄像设备采集学生面部", 1, 3, "不做人脸识别，开启有提示，不保存画面", "网络管理员"),
)


@bp.post("/risks")
@require(*ADMIN)
def save_risk() -> BaseResponse:
    """Add or change a line."""
    form = request.form
    year = form.get("year", 0, type=int)
    given = norms.RiskGiven(
        form.get("risk", ""), form.get("likelihood", 0, type=int), form.get("severity", 0, type=int), form.get("measure", ""),
        form.get("owner", ""), day_in(form.get("reviewed_on")),
    )  # fmt: skip
    risk = form.get("id", "")
    try:
        risk_id = uuid.UUID(risk) if risk else None
    except ValueError as error:
        raise NotFound("risk", _l("没有这一项风险。")) from error
    norms.save_risk(current_account(), year, given, risk_id)
    flash(_("已保存。"))
    return redirect(url_for("programmes.years.norms.risks", year=year))


@bp.post("/risks/<uuid:risk_id>/remove")
@require(*ADMIN)
def remove_risk(risk_id: uuid.UUID) -> BaseResponse:
    """Take a line out, or back in."""
    back = "back" in request.form
    norms.remove_risk(current_account(), risk_id, back=back)
    year = norms.risk(current_school_id(), risk_id).year
    return redirect(url_for("programmes.years.norms.risks", year=year, removed=None if back else risk_id))


@bp.post("/risks/copy")
@require(*ADMIN)
def copy_risks() -> BaseResponse:
    """Copy a year into the next."""
    year = request.form.get("year", 0, type=int)
    count = norms.copy_year(current_account(), year)
    flash(_("已复制 %(count)s 项到 %(year)s 年，请逐项复核。", count=count, year=year + 1))
    return redirect(url_for("programmes.years.norms.risks", year=year + 1))


@bp.get("/risks.<any(docx,pdf,xlsx):form>")
@require(*STAFF)
def risk_paper(form: str) -> Response:
    """The register in Word, PDF or Excel."""
    school = db.session.get_one(Organisation, current_school_id())
    made = papers.risk_paper(school, request.args.get("year", today().year, type=int))
    return out(papers.rendered(made, form), f"{made.title}.{form}")
