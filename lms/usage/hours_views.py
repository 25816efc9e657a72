"""The page of the rules that add up: class hours a term and a year, share of evidence (课时与证据占比), definitions B6, B10."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import current_account, current_school_id, require
from lms.core.db import db
from lms.roster import service as roster
from lms.roster.models import TeachingAssignment
from lms.usage import policies
from lms.usage.judging.verdicts import VERDICT_NAMES
from lms.usage.rulebook import service as rulebook

bp = Blueprint("hours", __name__, url_prefix="/compliance/hours")
ADMIN = ("school_admin",)


@bp.get("")
@require(*ADMIN)
def index() -> str:
    """Every rule that adds up over its period, with what each unit has and still needs."""
    school_id = current_school_id()
    today = roster.today_of(roster.school_of(school_id))
    results = [(rule, rulebook.judge(school_id, rule.name, today)) for rule in policies.rules() if rule.counts != "lessons"]
    taught = db.session.scalars(
        select(TeachingAssignment.subject).where(TeachingAssignment.school_id == school_id).distinct()
    )
    chosen = rulebook.subjects_of(school_id)
    return render_template(
        "usage/hours.html",
        results=results,
        today=today,
        chosen=chosen,
        subjects=sorted({*taught, *chosen} - {""}),
        verdict_names=VERDICT_NAMES,
    )


@bp.post("/subjects")
@require(*ADMIN)
def subjects() -> BaseResponse:
    """Choose the subjects that the class-hour rule asks about."""
    more = request.form.get("more", "").replace("，", "、").replace(",", "、").split("、")
    rulebook.choose_subjects(current_account(), current_school_id(), [*request.form.getlist("subject"), *more])
    flash(_("已保存选定的学科。"))
    return redirect(url_for("usage.hours.index"))
