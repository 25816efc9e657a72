"""Pages that look ahead: what if, and one click for a lesson that repairs (推演与补课)."""

from __future__ import annotations

import uuid
from datetime import date

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import current_account, current_school_id, require
from lms.core.errors import Invalid
from lms.roster import service as roster
from lms.usage import board, policies, service
from lms.usage.ahead import scenarios
from lms.usage.ahead import service as ahead
from lms.usage.judging.forecast import what_if
from lms.usage.judging.verdicts import VERDICT_NAMES
from lms.usage.planned import foreseen_facts
from lms.usage.rulebook import service as rulebook

bp = Blueprint("ahead", __name__, template_folder="templates", url_prefix="/compliance")
ADMIN = ("school_admin",)


@bp.get("/what-if")
@require(*ADMIN)
def ask() -> str:
    """The verdict as it is and as it would be; nothing is saved."""
    school = roster.school_of(current_school_id())
    today = roster.today_of(school)
    facts = service.facts_of(school.id, today)
    rule = rulebook.policy_for(school.id, request.args.get("rule") or "fortnightly", facts.judged_on, "lessons")
    asked = scenarios.read(request.args)
    before = policies.evaluate(facts, rule)
    answer = what_if(before, policies.evaluate(asked.change(facts), rule)) if asked else None
    planned = None if asked else policies.evaluate(foreseen_facts(school.id, today), rule)
    weeks = before.classes[0].weeks if before.classes else ()
    return render_template(
        "ahead/what_if.html",
        rule=rule,
        rules=policies.rules("lessons"),
        asked=asked,
        answer=answer,
        planned=planned,
        before=before,
        kinds=scenarios.KINDS,
        weeks=[week for week in weeks if week.monday > today] if asked is None or asked.kind != "move" else weeks,
        all_weeks=weeks,
        flagged=sorted({flag.monday for flag in facts.flags}),
        grades=sorted({one.grade for one in facts.classes}),
        verdict_names=VERDICT_NAMES,
        advice=board.advice,
        today=today,
    )


@bp.post("/classes/<uuid:class_id>/repair")
@require(*ADMIN)
def repair(class_id: uuid.UUID) -> BaseResponse:
    """Put a lesson into a free slot; it can be taken back."""
    try:
        day, ordinal = date.fromisoformat(request.form.get("day", "")), int(request.form.get("ordinal", ""))
    except ValueError as error:
        raise Invalid("slot", _l("日期或节次不对。"), where="day") from error
    move = ahead.arrange(current_account(), class_id, day, ordinal)
    flash(_("已排上：%(day)s 第 %(n)s 节，课表和老师的“上课”页都会出现。", day=day.isoformat(), n=ordinal))
    return redirect(url_for("usage.class_page", class_id=class_id, arranged=move.id))


@bp.post("/repairs/<uuid:move_id>/undo")
@require(*ADMIN)
def undo(move_id: uuid.UUID) -> BaseResponse:
    """Take the arranged lesson back."""
    move = ahead.take_back(current_account(), move_id)
    flash(_("已撤回 %(day)s 的补课。", day=move.day.isoformat()))
    return redirect(
        request.form.get("back", "")
        if request.form.get("back", "").startswith("/compliance/")
        else url_for("usage.compliance")
    )
