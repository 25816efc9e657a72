"""Pages of work for teachers: a class with all its attempts, one answer (作业页面)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.activities import marking, service
from lms.activities.models import Attempt, Draft, Marking
from lms.core import clock
from lms.core.audit import access
from lms.core.auth import current_account, may, require
from lms.core.db import db
from lms.core.errors import NotFound, ZhikeError
from lms.core.jobs import every
from lms.core.models import Account
from lms.courses.rules import render
from lms.courses.service import MEDIA
from lms.roster.access import need_class
from lms.roster.erasing.service import Part, holds
from lms.roster.models import Person, SchoolClass

bp = Blueprint("activities", __name__, template_folder="templates")


def _forget() -> None:
    service.forget_drafts(clock.now())


every(59, "forget-drafts", _forget)


def _work_of(person: Person) -> Iterable[Part]:
    mine = select(Attempt.id).where(Attempt.school_id == person.school_id, Attempt.person_id == person.id)
    yield Part(_l("对作业的评语和给分"), Marking, Marking.attempt_id.in_(mine))
    yield Part(_l("作答和作品"), Attempt, (Attempt.school_id == person.school_id) & (Attempt.person_id == person.id))
    yield Part(_l("没有交的草稿"), Draft, (Draft.school_id == person.school_id) & (Draft.person_id == person.id))


holds(_work_of)


@bp.record_once
def _filters(state: BlueprintSetupState) -> None:
    """``text|markdown``: rendered and cleaned, inside one line where it is one paragraph."""
    state.app.add_template_filter(_markdown, "markdown")


def _markdown(text: str, media: str = "") -> Markup:
    html = render(text, media).strip()
    if html.startswith("<p>") and html.count("<p>") == 1 and html.endswith("</p>"):
        html = html[3:-4]
    return Markup(html)


def _class_for(account: Account, class_id: uuid.UUID) -> SchoolClass:
    """The class if the account teaches it or administers its school; raises NotFound or NotAllowed."""
    cohort = db.session.get(SchoolClass, class_id)
    if cohort is None or (cohort.school_id != account.organisation_id and not may(account, ("school_admin",), cohort.school_id)):
        raise NotFound("class", _l("没有这个班级。"))
    need_class(account, cohort)
    return cohort


@bp.get("/classes/<uuid:class_id>/work")
@require("teacher", "school_admin")
def class_work(class_id: uuid.UUID) -> str:
    """A class with all its attempts; ``?lesson=<id>`` narrows it to one lesson."""
    cohort = _class_for(current_account(), class_id)
    lesson_id = request.args.get("lesson", type=uuid.UUID)
    report = service.class_report(class_id, lesson_id, school_id=cohort.school_id)
    access(current_account(), "class-work", "school_class", class_id, people=len(report.lines))
    cells = [[_cell(line.tries.get(column.key, ())) for column in report.columns] for line in report.lines]
    return render_template("activities/class_work.html", cohort=cohort, report=report, cells=cells, lesson_id=lesson_id)


def _cell(tries: Sequence[service.Try]) -> Markup:
    """A pupil's tries at an activity as links: built here, a template would take longer over thousands of them than the queries do."""
    waiting = _("待评")
    return Markup(
        "".join(
            f'<a class="try try-wait" href="/work/{one.id}">{waiting}</a> '
            if one.score is None
            else f'<a class="try{" try-done" if one.done else ""}" href="/work/{one.id}">{one.score:g}</a> '
            for one in tries
        )
    )


def _work_for(account: Account, attempt_id: str) -> Attempt:
    """The answer if the account may see its class's work; raises NotFound or NotAllowed."""
    try:
        attempt = db.session.get(Attempt, uuid.UUID(attempt_id))
    except ValueError:
        attempt = None
    if attempt is None or (attempt.school_id != account.organisation_id and not may(account, ("school_admin",), attempt.school_id)):
        raise NotFound("work", _l("没有这份作业。"))
    _class_for(account, attempt.class_id)
    return attempt


@bp.get("/work/<attempt_id>")
@require("teacher", "school_admin")
def work(attempt_id: str) -> str:
    """One answer as the teacher sees it, with a form to mark it where no program could."""
    return _work_page(_work_for(current_account(), attempt_id))


@bp.post("/work/<attempt_id>")
@require("teacher", "school_admin")
def mark_work(attempt_id: str) -> BaseResponse | str | tuple[str, int]:
    """Mark the answer, then go on to the next one that waits."""
    attempt = _work_for(current_account(), attempt_id)
    try:
        marking.mark(current_account(), attempt, request.form.get("score", ""), request.form.get("comment", ""))
    except ZhikeError as refusal:
        return _work_page(attempt, refusal), refusal.status
    following = marking.next_waiting(attempt)
    if following is not None:
        flash(_("已保存，下面是下一份。"))
        return redirect(url_for("activities.work", attempt_id=following))
    flash(_("已保存，这项活动没有待评的作答了。"))
    return redirect(url_for("activities.class_work", class_id=attempt.class_id, lesson=attempt.lesson_id))


def _work_page(attempt: Attempt, refusal: ZhikeError | None = None) -> str:
    access(current_account(), "work", "attempt", attempt.id)
    view = service.shown_answer(attempt)
    return render_template(
        "activities/work.html",
        view=view,
        shown=view["shown"],
        pupil=db.session.scalar(select(Person.name).where(Person.id == attempt.person_id)),
        media=MEDIA.format(hash=attempt.content_hash, lesson=attempt.activity.rpartition("/")[0]),
        show_program=True,
        refusal=refusal,
        typed=request.form,
        following=marking.next_waiting(attempt) if attempt.score is None else None,
        most_comment=marking.MOST_COMMENT,
    )
