"""Pages of staff: accounts, roles, duties (教职工)."""

from __future__ import annotations

import uuid

from flask import flash, render_template, request
from flask_babel import gettext as _

from lms.core.auth import current_account, current_school_id, require
from lms.core.errors import Invalid
from lms.roster import people as verbs
from lms.roster.access import get_row, school_of, today_of
from lms.roster.blueprint import Page, answered, back, bp
from lms.roster.classes import class_name, classes_of, leave
from lms.roster.models import Person, SchoolClass, TeachingAssignment


def _people(fresh: tuple[str, str, str] | None = None) -> str:
    school = school_of(current_school_id())
    today = today_of(school)
    return render_template(
        "roster/people.html",
        staff=verbs.staff_of(school.id),
        classes=[(cohort.id, class_name(cohort, school, today)) for cohort in classes_of(school.id)],
        fresh=fresh,
    )


@bp.get("/people")
@require("school_admin")
def people() -> Page:
    """Staff with roles and duties."""
    return _people()


@bp.post("/people")
@require("school_admin")
@answered
def new_person() -> Page:
    """A member of staff with an account."""
    verbs.create_staff(
        current_account(),
        current_school_id(),
        request.form.get("name", ""),
        staff_no=request.form.get("staff_no", ""),
        username=request.form.get("username", ""),
        title=request.form.get("title", ""),
        roles=request.form.getlist("roles") or ["teacher"],
    )
    flash(_("账号已建立，请点“设初始密码”并当面告知。"))
    return back()


def _person(person_id: uuid.UUID) -> Person:
    return get_row(Person, person_id, current_school_id())


@bp.post("/people/<uuid:person_id>/password")
@require("school_admin")
def person_password(person_id: uuid.UUID) -> Page:
    """A first password, shown this once."""
    person = _person(person_id)
    password = verbs.reset_password(current_account(), person)
    return _people((person.name, person.account.username if person.account else "", password))


@bp.post("/people/<uuid:person_id>/duties")
@require("school_admin")
@answered
def new_duty(person_id: uuid.UUID) -> Page:
    """Who teaches what to whom."""
    try:
        class_id = uuid.UUID(request.form.get("class_id", ""))
    except ValueError as error:
        raise Invalid("class", _("请选择班级。"), where="class_id") from error
    cohort = get_row(SchoolClass, class_id, current_school_id())
    verbs.assign(current_account(), _person(person_id), cohort, request.form.get("subject", ""))
    flash(_("任课已登记。"))
    return back()


@bp.post("/duties/<uuid:duty_id>/end")
@require("school_admin")
def end_duty(duty_id: uuid.UUID) -> Page:
    """A duty ends today."""
    duty = get_row(TeachingAssignment, duty_id, current_school_id())
    verbs.end_assignment(current_account(), duty, verbs.day_before(today_of(school_of(duty.school_id))))
    flash(_("任课已结束。"))
    return back()


@bp.post("/people/<uuid:person_id>/leave")
@require("school_admin")
@answered
def person_leave(person_id: uuid.UUID) -> Page:
    """A member of staff leaves today; the account closes."""
    person = _person(person_id)
    if person.account_id == current_account().id:
        raise Invalid("own-account", _("不能停用自己的账号。"), where="person")
    leave(current_account(), person, verbs.day_before(today_of(school_of(person.school_id))))
    flash(_("%(name)s 已离职，账号停用；历史记录保留。", name=person.name))
    return back()
