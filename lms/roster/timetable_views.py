"""Pages of the timetable: the week of a class, a room or a teacher (课表)."""

from __future__ import annotations

import uuid
from typing import Any

from flask import flash, render_template, request
from flask_babel import gettext as _

from lms.core.auth import current_account, current_school_id, may, require
from lms.core.errors import Invalid, Refused
from lms.roster import timetable as verbs
from lms.roster.access import ADMIN, get_row, school_of, teacher_of, today_of
from lms.roster.blueprint import Page, a_date, a_number, answered, back, bp, day_of
from lms.roster.classes import class_name, classes_of
from lms.roster.models import Person, Room, SchoolClass, SlotMove, Term, TimetableSlot
from lms.roster.people import staff_of
from lms.roster.rooms import rooms_of
from lms.roster.school import periods_of, terms_of
from lms.roster.school_views import term_choice


def _asked(name: str, known: dict[uuid.UUID, str]) -> uuid.UUID | None:
    try:
        found = uuid.UUID(request.args.get(name, ""))
    except ValueError:
        return None
    return found if found in known else None


@bp.get("/timetable")
@require("teacher", "school_admin")
def timetable() -> Page:
    """The weekly plan of one class, room or teacher; a teacher begins with the own week."""
    account = current_account()
    school = school_of(current_school_id())
    today = today_of(school)
    term = term_choice(school.id, request.args.get("term", ""), today)
    cohorts = {cohort.id: cohort for cohort in classes_of(school.id)}
    classes = {class_id: class_name(cohort, school, today) for class_id, cohort in cohorts.items()}
    rooms = {room.id: room.name for room in rooms_of(school.id)}
    teachers = {person.id: person.name for person in staff_of(school.id) if "teacher" in person.roles}
    class_id, room_id, teacher_id = _asked("class", classes), _asked("room", rooms), _asked("teacher", teachers)
    if not (class_id or room_id or teacher_id):
        me = teacher_of(account)
        if me is not None and me.id in teachers and not may(account, ADMIN):
            teacher_id = me.id
        else:
            class_id = next(iter(classes), None)
    chosen = bool(class_id or room_id or teacher_id)
    slots = verbs.week_slots(school.id, term.id, class_id=class_id, room_id=room_id, teacher_id=teacher_id) if term and chosen else []
    stage = cohorts[class_id].stage if class_id else ""
    return render_template(
        "roster/timetable.html",
        terms=terms_of(school.id),
        term=term,
        classes=classes,
        rooms=rooms,
        teachers=teachers,
        class_id=class_id,
        room_id=room_id,
        teacher_id=teacher_id,
        heading=classes.get(class_id) or rooms.get(room_id) or teachers.get(teacher_id) or "",  # type: ignore[arg-type]  # None is in none
        rows=_rows(slots, school.id, stage, classes, rooms, teachers),
        weekdays=verbs.WEEKDAYS[: 7 if any(slot.weekday > 4 for slot in slots) else 5],
        periods=periods_of(school.id, stage) if stage else [],
        slots=slots,
        moves=[move for move in verbs.moves_between(term) if move.slot_id in {slot.id for slot in slots}] if term else [],
        slot_names={slot.id: f"{verbs.WEEKDAYS[slot.weekday]} {slot.ordinal} · {slot.subject}" for slot in slots},
        today=today,
    )


def _rows(
    slots: list[verbs.WeekSlot], school_id: uuid.UUID, stage: str, classes: dict[uuid.UUID, str], rooms: dict[uuid.UUID, str], teachers: dict[uuid.UUID, str]
) -> list[dict[str, Any]]:
    """A line a period, a list of slots a weekday; a class shows its stage's times, a room or teacher the number only."""
    periods = periods_of(school_id, stage or None)
    times = {period.ordinal: f"{period.starts_at:%H:%M}–{period.ends_at:%H:%M}" for period in periods} if stage else {}
    last = max([period.ordinal for period in periods] + [slot.ordinal for slot in slots], default=0)
    return [
        {
            "ordinal": ordinal,
            "time": times.get(ordinal, ""),
            "days": [
                [
                    {
                        "id": slot.id,
                        "subject": slot.subject,
                        "class": classes.get(slot.class_id, ""),
                        "room": rooms.get(slot.room_id, "") if slot.room_id else "",
                        "teacher": teachers.get(slot.teacher_id, ""),
                        "weeks": slot.weeks,
                    }
                    for slot in slots
                    if (slot.weekday, slot.ordinal) == (weekday, ordinal)
                ]
                for weekday in range(7)
            ],
        }
        for ordinal in range(1, last + 1)
    ]


def _form_id(name: str) -> uuid.UUID:
    try:
        return uuid.UUID(request.form.get(name, ""))
    except ValueError as error:
        raise Invalid("choice", _("请选择班级、教师和教室。"), where=name) from error


@bp.post("/timetable")
@require("school_admin")
@answered
def new_slot() -> Page:
    """Enter a weekly slot; clashes are refused in words."""
    school_id = current_school_id()
    verbs.set_slot(
        current_account(),
        get_row(Term, _form_id("term_id"), school_id),
        get_row(SchoolClass, _form_id("class_id"), school_id),
        get_row(Person, _form_id("teacher_id"), school_id),
        weekday=a_number("weekday"),
        ordinal=a_number("ordinal"),
        subject=request.form.get("subject", ""),
        room=get_row(Room, _form_id("room_id"), school_id) if request.form.get("room_id") else None,
        weeks=request.form.get("weeks", "all"),
    )
    flash(_("课已排入课表。"))
    return back()


@bp.post("/timetable/<uuid:slot_id>/remove")
@require("school_admin")
@answered
def remove_slot(slot_id: uuid.UUID) -> Page:
    """Take a slot off."""
    verbs.remove_slot(current_account(), get_row(TimetableSlot, slot_id, current_school_id()))
    flash(_("这节课已从课表删除。"))
    return back()


@bp.post("/timetable/moves")
@require("school_admin")
@answered
def move_slot() -> Page:
    """Move a lesson of one day, or call it off (调课); what is entered before the bell counts as planned."""
    school_id = current_school_id()
    row = verbs.move_slot(
        current_account(),
        get_row(TimetableSlot, _form_id("slot_id"), school_id),
        day_of("day"),
        a_date("to_day"),
        a_number("ordinal", 0) or None,
        request.form.get("reason", ""),
    )
    flash(_("已登记调课。") if row.to_day is not None else _("已登记停上这一节。"))
    return back()


@bp.post("/timetable/moves/<uuid:move_id>/undo")
@require("school_admin")
@answered
def undo_move(move_id: uuid.UUID) -> Page:
    """Take a swap back before its day is over."""
    move = get_row(SlotMove, move_id, current_school_id())
    if max(move.day, move.to_day or move.day) < today_of(school_of(move.school_id)):
        raise Refused("move-over", _("这节课的日子已经过去，不能撤回。"), clause="B10")
    verbs.undo_move(current_account(), move)
    flash(_("已撤回调课。"))
    return back()
