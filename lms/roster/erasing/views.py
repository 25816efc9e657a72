"""Pages that erase a pupil: who is due, what would go and what stays, the name typed once more (删除学生个人信息)."""

from __future__ import annotations

import uuid

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from lms.core.auth import current_account, current_school_id, require
from lms.core.db import write
from lms.core.errors import Invalid
from lms.roster.access import get_row, school_of, today_of
from lms.roster.blueprint import Page, answered, bp
from lms.roster.erasing import service
from lms.roster.models import Person


@bp.get("/erase")
@require("school_admin")
def erase_list() -> Page:
    """Pupils whose time is over, and a search among all of them."""
    school = school_of(current_school_id())
    wanted = request.args.get("q", "").strip()
    return render_template(
        "erasing/list.html", due=service.due(school.id, today_of(school)), wanted=wanted, found=service.search(school.id, wanted)
    )


@bp.post("/erase")
@require("school_admin")
@answered
def erase_due() -> Page:
    """Erase those chosen among the pupils whose time is over; their number is typed once more."""
    school = school_of(current_school_id())
    waiting = {str(one.id): one for one in service.due(school.id, today_of(school))}
    chosen = [waiting[one] for one in request.form.getlist("person") if one in waiting]
    if not chosen or request.form.get("count", "").strip() != str(len(chosen)):
        raise Invalid("erase-count", _("选中 %(n)s 人，输入的人数不一致，没有删除。", n=len(chosen)), where="count")
    with write():  # all or none
        for person in chosen:
            service.erase(current_account(), person, person.name, request.form.get("reason", ""))
    flash(_("已删除 %(n)s 名学生的个人信息；开课次数和证据链没有变。", n=len(chosen)))
    return redirect(url_for("roster.erase_list"))


@bp.get("/pupils/<uuid:person_id>/erase")
@require("school_admin")
def erase_page(person_id: uuid.UUID) -> Page:
    """What would go and what stays; nothing is changed by looking."""
    plan = service.plan(current_account(), get_row(Person, person_id, current_school_id()))
    return render_template("erasing/one.html", plan=plan)


@bp.post("/pupils/<uuid:person_id>/erase")
@require("school_admin")
@answered
def erase_one(person_id: uuid.UUID) -> Page:
    """Erase the pupil for good."""
    person = get_row(Person, person_id, current_school_id())
    gone = service.erase(current_account(), person, request.form.get("name", ""), request.form.get("reason", ""))
    flash(_("已删除：%(n)s 处个人信息。开课次数和证据链没有变。", n=sum(count for _what, count in gone.lines)))
    return redirect(url_for("roster.erase_list"))
