"""Pages on which a teacher says what kind of lesson it is: before it starts, and until its record is written (开课方式)."""

from __future__ import annotations

import uuid
from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response

from lms.core.auth import current_account, current_school_id, require
from lms.core.db import db
from lms.core.errors import Invalid, NotFound
from lms.roster import service as roster
from lms.roster.models import SchoolClass, TeachingAssignment
from lms.roster.timetable import WEEKDAYS
from lms.teaching import api, kinds, plan
from lms.teaching.access import person_id_of, school_of, steered, today_of
from lms.teaching.blueprint import bp
from lms.teaching.models import LessonSession

STAFF = ("teacher", "school_admin")
KINDS = {
    "regular": _l("常规课"),
    "makeup": _l("补课"),
    "combined": _l("合班"),
    "substitute": _l("代课"),
    "online": _l("线上课"),
    "club": _l("社团、课后服务（不计）"),
    "exam": _l("考试（不计）"),
}
WHY = {
    "closed": _l("停课"),
    "called-off": _l("取消"),
    "missed": _l("没有开课"),
    "too-short": _l("只上了一部分"),
}


def _class(text: str) -> SchoolClass:
    try:
        cohort = db.session.get(SchoolClass, uuid.UUID(text))
    except ValueError:
        cohort = None
    if cohort is None or cohort.school_id != current_school_id():
        raise NotFound("class", _l("没有这个班级。"))
    return cohort


def _choices(cohort: SchoolClass) -> dict[str, Any]:
    """What the form offers for a class."""
    school = school_of(cohort.school_id)
    today = today_of(school)
    others = [one for one in roster.classes_of(school.id) if one.id != cohort.id]
    return {
        "kinds": KINDS,
        "why": WHY,
        "weekdays": WEEKDAYS,
        "cancelled": kinds.cancelled_slots(cohort, today),
        "waiting": kinds.waiting_parts(cohort, today),
        "divisions": kinds.DIVISIONS,
        "others": [(one.id, roster.class_name(one, school, today)) for one in others],
    }


@bp.get("/today/start")
@require(*STAFF)
def start() -> str:
    """One class, every way of teaching it: make-up, in parts, combined, online, an open lesson of any subject."""
    actor = current_account()
    cohort = _class(request.args.get("class", ""))
    query = select(TeachingAssignment.subject).where(TeachingAssignment.teacher_id == person_id_of(actor))
    taught = list(db.session.scalars(query.distinct().order_by(TeachingAssignment.subject)))
    return render_template(
        "teaching/start.html",
        card=plan.card_for(actor, cohort.id),
        slot_id=request.args.get("slot", ""),
        rooms=roster.rooms_of(cohort.school_id),
        subjects=kinds.subjects_of(cohort.school_id, taught),
        subject=request.args.get("subject") or (taught[0] if taught else "人工智能"),
        lesson=None,
        division="",
        **_choices(cohort),
    )


def wishes_of() -> kinds.Wishes:
    """The choice in the form. One field names the parts: "halves-2", or "with:<id of the first part>"."""
    form = request.form
    part = form.get("part", "")
    continues = part.removeprefix("with:") if part.startswith("with:") else ""
    try:
        return kinds.Wishes(
            kind=form.get("kind") or "regular",
            makeup_of=form.get("makeup_of", ""),
            division="" if continues else part,
            continues=uuid.UUID(continues) if continues else None,
            joined=tuple(uuid.UUID(one) for one in form.getlist("joined")),
            aborted=form.get("aborted") == "1",
        )
    except ValueError as error:
        raise Invalid("id", _l("页面已过期，请刷新后再试。"), where="part") from error


@bp.post("/lessons/<uuid:lesson_id>/kind")
@require(*STAFF)
def kind_page(lesson_id: uuid.UUID) -> Response:
    """Change what kind of lesson it was, until its record is written."""
    kinds.change(current_account(), steered(current_account(), lesson_id), wishes_of())
    return redirect(url_for("teaching.summary", lesson_id=lesson_id))


def kind_choices(lesson: LessonSession) -> dict[str, Any]:
    """What the summary offers and says of the lesson's kind."""
    cohort = db.session.get_one(SchoolClass, lesson.class_id)
    school = school_of(lesson.school_id)
    today = today_of(school)
    joined = [db.session.get_one(SchoolClass, uuid.UUID(one)) for one in lesson.joined]
    told: dict[str, Any] = {
        "kinds": KINDS,
        "joined_names": [roster.class_name(one, school, today) for one in joined],
        "division": kinds.division_of(lesson),
        "divisions": kinds.DIVISIONS,
    }
    if lesson.state == "closed":
        return told
    return {**_choices(cohort), **told}


def judged(lesson: LessonSession) -> list[dict[str, Any]]:
    """Each record of the lesson with whether it counts and why, once it is written."""
    return [{"record": record, "verdict": verdict} for record, verdict in api.records_of(lesson)]
