"""The page 还差什么: every criterion with its figure, what to do, where, and whether there is time."""

from __future__ import annotations

import uuid

from flask import Blueprint, Response, render_template
from flask_babel import lazy_gettext as _l

from lms.core import clock
from lms.core.auth import current_account, require
from lms.core.db import db
from lms.core.downloads import download
from lms.core.errors import NotFound
from lms.core.models import Organisation
from lms.programmes import lacks, workflow
from lms.programmes.models import Application
from lms.programmes.notices import own_due, pack_of
from lms.programmes.rules import EDITABLE
from lms.programmes.service import application, speaks_for
from lms.programmes.teaching import today

bp = Blueprint("lacks", __name__)
STAFF = ("teacher", "school_admin", "officer")


def _own(application_id: uuid.UUID) -> Application:
    account = current_account()
    found = application(account, application_id)
    if not speaks_for(account, found):
        raise NotFound("application", _l("没有这份申报。"))
    return found


@bp.get("/<uuid:application_id>/lacks.xlsx")
@require(*STAFF)
def book(application_id: uuid.UUID) -> Response:
    """The same as Excel, every criterion with its figure and source."""
    from lms.roster.intake.books import plain_list

    rows = [
        (
            str(one.line.criterion.get("clause", one.line.criterion["id"])),
            str(one.line.criterion["text"]),
            one.line.state_name,
            one.line.outcome.figure,
            one.line.outcome.source,
            one.answer.todo,
            one.reach_name,
            one.answer.why,
        )
        for one in lacks.steps_of(_own(application_id))
    ]
    columns = ("条款", "条件", "状态", "数字", "来源", "要做什么", "截止前", "说明")
    return download(plain_list("资格自查", columns, rows, (10, 50, 10, 40, 24, 34, 10, 40)), "资格自查.xlsx")


@bp.get("/<uuid:application_id>/lacks")
@require(*STAFF)
def show(application_id: uuid.UUID) -> str:
    """What is still lacking, for the applicant itself."""
    found = _own(application_id)
    pack, steps, due = pack_of(found), lacks.steps_of(found), own_due(found, clock.now())
    editable = pack.status_is(found.status) in EDITABLE
    left = (due.day - today()).days if due and due.day else None
    return render_template(
        "programmes/lacks.html",
        found=found,
        pack=pack,
        kind=pack.kind(found.kind)["name"],
        batch=pack.batch(found.batch)["name"],
        applicant=db.session.get_one(Organisation, found.school_id).name,
        due=due,
        left=left,
        today=today(),
        open=[one for one in steps if one.answer.reach != "done"],
        done=[one for one in steps if one.answer.reach == "done"],
        counts={name: sum(one.answer.reach == key for one in steps) for key, name in lacks.REACH_NAMES.items()},
        papers=workflow.lacks_of(found) if editable else [],
        keys=set(pack.keys_of(found.kind)),
        editable=editable,
    )
