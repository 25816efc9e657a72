"""Pages of corrections: what waits for a second person, what was decided (更正)."""

from __future__ import annotations

import uuid

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response

from lms.core.auth import current_account, current_school_id, require
from lms.core.db import db
from lms.roster import service as roster
from lms.roster.models import Person
from lms.usage import service as usage
from lms.usage.corrections import service
from lms.usage.forms import DIVISIONS, changes_of
from lms.usage.judging.lessons import KIND_NAMES
from lms.usage.models import VOID
from lms.usage.reasons import N_

bp = Blueprint("corrections", __name__, template_folder="templates", url_prefix="/usage/corrections")
STAFF = ("teacher", "school_admin")
FIELDS = {
    "minutes": _l("课位内分钟数"),
    "present": _l("实到人数"),
    "on_leave": _l("请假人数"),
    "roster": _l("名册人数"),
    "class_hours": _l("课时"),
    "kind": _l("课型"),
    "subject": _l("学科"),
    "units": _l("教材的课"),
    "makeup_of": _l("补哪天的课"),
    "lesson_on": _l("日期"),
    "teacher_id": _l("教师"),
    "part_of": _l("分次"),
}
KINDS = {**KIND_NAMES, VOID: N_("作废")}


@bp.get("/")
@require(*STAFF)
def index() -> str:
    """Corrections that wait, and the latest decided ones."""
    actor = current_account()
    school = roster.school_of(current_school_id())
    return render_template(
        "corrections/index.html",
        school=school,
        me=actor.id,
        waiting=service.cases(actor, open_only=True),
        decided=service.cases(actor, open_only=False),
        class_names={
            one.id: roster.class_name(one, school, roster.today_of(school)) for one in roster.classes_of(school.id)
        },
        fields=FIELDS,
        kinds=KINDS,
        teachers={str(one.id): one.name for one in db.session.scalars(select(Person).where(Person.school_id == school.id, Person.kind == "staff"))},
        ways=DIVISIONS,
    )


@bp.post("/records/<uuid:record_id>")
@require(*STAFF)
def propose(record_id: uuid.UUID) -> Response:
    """Propose a correction of a record, or its withdrawal."""
    record = usage.record_of(current_school_id(), record_id)
    void = request.form.get("kind") == VOID
    changes = {"kind": VOID} if void else changes_of(request.form, record)
    service.propose(current_account(), record_id, changes, request.form.get("reason", ""))
    flash(_("已提出更正，等另一人确认后生效。"))
    return redirect(url_for("usage.record", record_id=record_id))


@bp.post("/<uuid:proposal_id>/countersign")
@require(*STAFF)
def countersign(proposal_id: uuid.UUID) -> Response:
    """Countersign: the corrections are written."""
    made = service.countersign(current_account(), proposal_id)
    flash(_("已更正 %(n)s 条：新记录写入证据链，原记录保留。", n=len(made)))
    return redirect(url_for("usage.corrections.index"))


@bp.post("/<uuid:proposal_id>/refuse")
@require(*STAFF)
def refuse(proposal_id: uuid.UUID) -> Response:
    """Refuse a proposal, or take back one's own."""
    service.refuse(current_account(), proposal_id)
    flash(_("这份更正不再等待确认，记录没有改动。"))
    return redirect(url_for("usage.corrections.index"))
