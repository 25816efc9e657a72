"""Pages of classes: the list, a class with its pupils, PIN cards (班级、学生、口令卡)."""

from __future__ import annotations

import uuid

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from lms.core.auth import current_account, current_school_id, may, require
from lms.core.downloads import download
from lms.core.errors import Invalid
from lms.core.stages import STAGE_NAMES
from lms.roster import classes as verbs
from lms.roster import people
from lms.roster.access import ADMIN, get_row, school_of, today_of
from lms.roster.blueprint import Page, a_number, answered, back, bp
from lms.roster.models import Person, SchoolClass
from lms.roster.people import Card
from lms.roster.rules import ClassNameError, cohort_of, parse_class_name
from lms.roster.school import stages_of


@bp.get("/classes")
@require("teacher", "school_admin")
def classes() -> Page:
    """Classes by stage with counts; a teacher sees the classes taught."""
    account, school_id = current_account(), current_school_id()
    is_admin = may(account, ADMIN)
    lines = verbs.class_lines(account, school_id, mine_only=not is_admin)
    return render_template(
        "roster/classes.html",
        groups=[(STAGE_NAMES[stage], [line for line in lines if line.stage == stage]) for stage in STAGE_NAMES if any(line.stage == stage for line in lines)],
        pupils=sum(line.pupils for line in lines),
        without_pin=sum(line.without_pin for line in lines),
        left=len(verbs.classes_of(school_id, left=True)),
        has_stages=bool(stages_of(school_id)),
    )


@bp.post("/classes")
@require("school_admin")
@answered
def new_class() -> Page:
    """Found a class by its name."""
    school = school_of(current_school_id())
    text = request.form.get("name", "")
    try:
        ref = parse_class_name(text, school.system)
        cohort = cohort_of(ref, [stage.stage for stage in stages_of(school.id)], today_of(school), school.system, text)
    except ClassNameError as error:
        raise Invalid(
            error.code, _("看不懂班级“%(text)s”，或本校没有这个学段。", text=text[:20]), remedy=_("请写成“五年级1班”“初一（3）班”“高一5班”或“初中2024级3班”。")
        ) from error
    row = verbs.create_class(current_account(), school.id, cohort)
    flash(_("已新建 %(name)s。", name=verbs.class_name(row, school, today_of(school))))
    return redirect(url_for("roster.class_page", class_id=row.id))


def _class_page(cohort: SchoolClass, *, fresh: Card | None = None) -> str:
    school = school_of(cohort.school_id)
    today = today_of(school)
    others = [(each.id, verbs.class_name(each, school, today)) for each in verbs.classes_of(school.id) if each.id != cohort.id]
    return render_template(
        "roster/class.html",
        cohort=cohort,
        name=verbs.class_name(cohort, school, today),
        pupils=verbs.class_page(current_account(), cohort),
        others=others,
        fresh=fresh,
        today=today,
    )


@bp.get("/classes/<uuid:class_id>")
@require("teacher", "school_admin")
def class_page(class_id: uuid.UUID) -> Page:
    """A class's list; the look at it is journalled."""
    return _class_page(get_row(SchoolClass, class_id, current_school_id()))


@bp.post("/classes/<uuid:class_id>/pin-style")
@require("teacher", "school_admin")
@answered
def class_pin_style(class_id: uuid.UUID) -> Page:
    """Digits or pictures for new PINs."""
    cohort = get_row(SchoolClass, class_id, current_school_id())
    verbs.set_pin_style(current_account(), cohort, request.form.get("style", ""))
    flash(_("口令方式已保存；下次打印口令卡或重置时生效。"))
    return back()


@bp.post("/classes/<uuid:class_id>/cards")
@require("teacher", "school_admin")
def class_cards(class_id: uuid.UUID) -> Page:
    """New PINs for the class as cards to print and cut; shown this once."""
    cohort = get_row(SchoolClass, class_id, current_school_id())
    cards = people.pin_cards(current_account(), cohort.id, only_missing=request.form.get("scope") == "missing")
    school = school_of(cohort.school_id)
    return render_template(
        "roster/cards.html", cards=cards, cohort=cohort, name=verbs.class_name(cohort, school, today_of(school)), school=school.organisation.name
    )


@bp.post("/classes/<uuid:class_id>/pupils")
@require("school_admin")
@answered
def new_pupil(class_id: uuid.UUID) -> Page:
    """Enrol one pupil (插班)."""
    cohort = get_row(SchoolClass, class_id, current_school_id())
    sex = request.form.get("sex", "")
    people.add_pupil(
        current_account(),
        cohort,
        request.form.get("name", ""),
        student_no=request.form.get("student_no", "").strip(),
        sex=sex if sex in ("男", "女") else "",
        roll_no=a_number("roll_no", 0),
    )
    flash(_("学生已加入，请为他打印口令卡或点“重置口令”。"))
    return back()


def _pupil(person_id: uuid.UUID) -> Person:
    return get_row(Person, person_id, current_school_id())


@bp.post("/pupils/<uuid:person_id>/pin")
@require("teacher", "school_admin")
def pupil_pin(person_id: uuid.UUID) -> Page:
    """One tap: a new PIN, shown at the top of the class page this once."""
    person = _pupil(person_id)
    pin = people.set_pin(current_account(), person)
    cohort = people.pin_class(person)
    pictures = tuple(pin.split("-")) if "-" in pin else ()
    return _class_page(cohort, fresh=Card(person.id, person.name, "", 0, "" if pictures else pin, pictures))


@bp.post("/pupils/<uuid:person_id>/unlock")
@require("teacher", "school_admin")
def pupil_unlock(person_id: uuid.UUID) -> Page:
    """Lift a lock after too many wrong PINs."""
    people.unlock_pupil(current_account(), _pupil(person_id))
    flash(_("已解锁。"))
    return back()


@bp.post("/pupils/<uuid:person_id>/move")
@require("school_admin")
@answered
def pupil_move(person_id: uuid.UUID) -> Page:
    """Move to another class from today, or leave the school today."""
    person = _pupil(person_id)
    today = today_of(school_of(person.school_id))
    target = request.form.get("to", "")
    if target == "leave":
        verbs.leave(current_account(), person, today)
        flash(_("%(name)s 已离校，账号停用；历史记录保留。", name=person.name))
        return back()
    try:
        class_id = uuid.UUID(target)
    except ValueError as error:
        raise Invalid("move", _("请选择要转入的班级。"), where="to") from error
    verbs.move_pupil(current_account(), person, get_row(SchoolClass, class_id, person.school_id), today)
    flash(_("%(name)s 已转班，今天起生效。", name=person.name))
    return back()


@bp.get("/roster.xlsx")
@require("school_admin")
def export() -> Response:
    """The roster as Excel; the export is journalled."""
    from lms.roster.intake.books import roster_book

    return download(roster_book(current_account(), current_school_id()), "roster.xlsx")
