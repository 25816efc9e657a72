"""Pages of the school itself: profile with what is still to do (概况)."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import func, select

from lms.core.auth import current_account, current_school_id, may, require
from lms.core.db import db
from lms.core.stages import SCHOOL_TYPES, STAGE_NAMES, STAGES, school_year
from lms.roster import school as verbs
from lms.roster.access import school_of, today_of
from lms.roster.blueprint import Page, a_date, a_number, a_time, answered, back, bp
from lms.roster.models import Enrollment, Room, School, SchoolClass, SchoolStage, Term, TimetableSlot
from lms.roster.people import staff_of
from lms.roster.rules import CLASS_STYLES, Cohort, class_name

TRAINING_WARNING_DAYS = 60


@bp.get("")
@require("teacher", "school_admin")
def home() -> Page:
    """The admin begins at the profile, a teacher at the classes."""
    return redirect(url_for("roster.profile" if may(current_account(), ("school_admin",)) else "roster.classes"))


@bp.get("/profile")
@require("school_admin")
def profile() -> Page:
    """Profile, stages with their configuration, periods, and what is still to do."""
    school = school_of(current_school_id())
    today = today_of(school)
    stages = verbs.stages_of(school.id)
    periods = {stage.stage: verbs.periods_of(school.id, stage.stage) for stage in stages}
    return render_template(
        "roster/profile.html",
        school=school,
        stages=stages,
        open_stages=[stage for stage in STAGES if stage not in {each.stage for each in stages}],
        stage_names=STAGE_NAMES,
        periods=periods,
        school_types=SCHOOL_TYPES,
        localities=verbs.LOCALITIES,
        styles=[(style, _example(style, school, today)) for style in CLASS_STYLES],
        steps=_steps(school),
        renewals={stage.stage: _renewal(stage, today) for stage in stages},
    )


def _example(style: str, school: School, today: date) -> str:
    stages = SCHOOL_TYPES.get(school.school_type, ("primary",))
    cohort = Cohort(stages[0], school_year(today) - 1, 1)
    return class_name(cohort, today, style=style, system=school.system, many_stages=len(stages) > 1)


def _renewal(stage: SchoolStage, today: date) -> str:
    """Reminder of the one-year training service (GS-38)."""
    if stage.training_until is None:
        return ""
    left = (stage.training_until - today).days
    if left < 0:
        return str(_("培训服务已于 %(day)s 到期，请续订。", day=stage.training_until))
    return str(_("培训服务还有 %(n)s 天到期，请准备续订。", n=left)) if left <= TRAINING_WARNING_DAYS else ""


def _steps(school: School) -> list[dict[str, Any]]:
    """What a school needs before its first lesson, in order, with whether it is there."""

    def some(model: Any) -> bool:
        return bool(db.session.scalar(select(func.count()).select_from(model).where(model.school_id == school.id)))

    teachers = any("teacher" in person.roles for person in staff_of(school.id))
    return [
        {"label": _("学段"), "done": some(SchoolStage), "url": "#stages"},
        {"label": _("学期与校历"), "done": some(Term), "url": url_for("usage.schoolyear.term")},
        {"label": _("班级与学生"), "done": some(SchoolClass) and some(Enrollment), "url": url_for("roster.intake", kind="pupils")},
        {"label": _("教师与任课"), "done": teachers, "url": url_for("roster.intake", kind="staff")},
        {"label": _("教室与座位"), "done": some(Room), "url": url_for("roster.rooms")},
        {"label": _("课表"), "done": some(TimetableSlot), "url": url_for("roster.intake", kind="slots")},
    ]


@bp.post("/profile")
@require("school_admin")
@answered
def change_profile() -> Page:
    """Save the profile."""
    form = request.form
    verbs.change_school(
        current_account(),
        current_school_id(),
        name=form.get("name", ""),
        code=form.get("code", ""),
        school_type=form.get("school_type", ""),
        locality=form.get("locality", ""),
        system=form.get("system", ""),
        class_style=form.get("class_style", ""),
        host_subject=form.get("host_subject", ""),
    )
    flash(_("学校概况已保存。"))
    return back()


@bp.post("/stages/<stage>")
@require("school_admin")
@answered
def set_stage(stage: str) -> Page:
    """Declare or change a stage."""
    verbs.add_stage(
        current_account(),
        current_school_id(),
        request.form.get("stage", stage) if stage == "new" else stage,
        solution_config=a_number("solution_config", 1),
        class_hour_minutes=a_number("class_hour_minutes", 0),
        participates=bool(request.form.get("participates")),
        admitted_on=a_date("admitted_on"),
        training_until=a_date("training_until"),
    )
    flash(_("学段已保存。"))
    return back()


@bp.post("/periods/<stage>")
@require("school_admin")
@answered
def set_periods(stage: str) -> Page:
    """Save the times of a stage's periods."""
    school_id = current_school_id()
    wanted = [(period.ordinal, a_time(f"starts-{period.ordinal}"), a_time(f"ends-{period.ordinal}")) for period in verbs.periods_of(school_id, stage)]
    verbs.set_periods(current_account(), school_id, stage, wanted)
    flash(_("作息时间已保存。"))
    return back()


def term_choice(school_id: uuid.UUID, chosen: str, today: date) -> Term | None:
    """The term asked for, else the running one, else the newest."""
    terms = verbs.terms_of(school_id)
    return next((each for each in terms if str(each.id) == chosen), None) or verbs.term_on(school_id, today) or (terms[0] if terms else None)
