"""Pages of the teacher: today, console, projector, register, summary (教师页面)."""

from __future__ import annotations

import uuid
from datetime import datetime

from flask import redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import format_date
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response

from lms.core import clock, jobs
from lms.core.audit import access
from lms.core.auth import current_account, current_school_id, require
from lms.core.errors import Invalid
from lms.core.menu import Entry, offer
from lms.labs import service as labs
from lms.labs.veyon import service as pcs
from lms.labs.veyon.texts import console_texts as pc_texts
from lms.roster import service as roster
from lms.teaching import api, board, pc_api, plan, pupil_views, rules, seat_views, service, start_views, texts
from lms.teaching.access import school_of, steered, today_of
from lms.teaching.blueprint import bp
from lms.teaching.publishing import room_of
from lms.usage.evidence.anchors import Standing

__all__ = ["api", "bp", "pc_api", "pupil_views", "seat_views"]

STAFF = ("teacher", "school_admin")


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    state.app.add_template_filter(local_text, "datetimeformat_local")
    offer(state.app, Entry("teaching.today", _l("上课"), "chalkboard", STAFF, 10))


def local_text(at: datetime, zone: str, style: str = "short") -> str:
    """A moment in the school's zone: ``time`` 10:05, ``short`` 2026年11月24日 10:05, ``date`` with weekday."""
    there = clock.local(at, zone)
    if style == "time":
        return f"{there:%H:%M}"
    if style == "date":
        return str(format_date(there.date(), "full"))
    return f"{format_date(there.date(), 'medium')} {there:%H:%M}"


@bp.get("/today")
@require(*STAFF)
def today() -> str:
    """Lessons of the day, each with its button; classes for a lesson outside the timetable; recent lessons."""
    actor = current_account()
    chosen = request.args.get("class", "")
    substitute = plan.card_for(actor, _uuid(chosen, "class")) if chosen else None
    return render_template("teaching/today.html", page=plan.today(actor), substitute=substitute, school=school_of(current_school_id()), now=clock.now())


@bp.post("/today/open")
@require(*STAFF)
def open_today() -> Response:
    """Start a lesson and go to its console."""
    actor, form = current_account(), request.form
    slot_id = form.get("slot_id", "")
    slot = _slot(_uuid(slot_id, "slot_id")) if slot_id else None
    package_text, _slash, slug = form.get("lesson", "").partition("/")
    room_text = form.get("room_id", "")
    lesson = service.open_lesson(
        actor,
        _uuid(form.get("class_id", ""), "class_id"),
        _uuid(room_text, "room_id") if room_text else None,
        _uuid(package_text, "lesson") if package_text else None,
        slug,
        slot=slot,
        units=[form["unit"]] if form.get("unit") else [],
        subject=form.get("subject") or "人工智能",
        title=form.get("title", "").strip(),
        with_terminals=False if form.get("without_terminals") or form.get("kind") == "online" else None,
        wishes=start_views.wishes_of(),
        hours=2 if form.get("hours") == "2" else 1,
    )
    if not lesson.controller:
        api.take_wheel(lesson)
    return redirect(url_for("teaching.console", lesson_id=lesson.id))


def _slot(slot_id: uuid.UUID) -> roster.DaySlot:
    school_id = current_school_id()
    for slot in roster.slots_on(school_id, today_of(school_of(school_id))):
        if slot.slot_id == slot_id:
            return slot
    raise Invalid("slot", _l("今天没有这节课。"), remedy=_l("课表可能刚刚改过，请刷新页面。"))


def _uuid(text: str, where: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Invalid("id", _l("页面已过期，请刷新后再试。"), where=where) from None


@bp.get("/console/<uuid:lesson_id>")
@require(*STAFF)
def console(lesson_id: uuid.UUID) -> Response | str:
    """The teacher's live console; a closed lesson has its summary instead."""
    lesson = steered(current_account(), lesson_id)
    if lesson.state == "closed":
        return redirect(url_for("teaching.summary", lesson_id=lesson.id))
    room, state = room_of(lesson), board.console_state(lesson)
    access(current_account(), "console", "lesson", lesson.id, people=len(state["pupils"]), school_id=lesson.school_id)
    return render_template(
        "teaching/console.html",
        lesson=lesson,
        class_name=board.class_title(lesson),
        room=room,
        pc_texts=pc_texts() if room is not None and pcs.settings_of(room.id) is not None else None,
        content=board.console_content(lesson),
        state={**state, "controller": api.controller_of(lesson)},
        texts=texts.console_texts(),
        statuses=texts.status_names(),
    )


@bp.get("/projector/<uuid:lesson_id>")
@require(*STAFF)
def projector(lesson_id: uuid.UUID) -> str:
    """The window for the class's screen: step, clock, figures; no names."""
    lesson = steered(current_account(), lesson_id)
    return render_template(
        "teaching/projector.html", lesson=lesson, class_name=board.class_title(lesson), room=room_of(lesson), texts=texts.projector_texts()
    )


@bp.get("/projector/<uuid:lesson_id>/screen")
@require(*STAFF)
def projector_screen(lesson_id: uuid.UUID) -> str:
    """The part of the projector that changes, as HTML."""
    lesson = steered(current_account(), lesson_id)
    state = board.projector_state(lesson, with_results=request.args.get("results") == "1")
    return render_template("teaching/projector_screen.html", lesson=lesson, state=state, class_name=board.class_title(lesson))


@bp.get("/register/<uuid:lesson_id>")
@require(*STAFF)
def register(lesson_id: uuid.UUID) -> str:
    """The register, to correct until the record is written, and to print."""
    lesson = steered(current_account(), lesson_id)
    state = board.console_state(lesson)
    access(current_account(), "lesson-register", "lesson", lesson.id, people=len(state["pupils"]), school_id=lesson.school_id)
    return render_template(
        "teaching/register.html",
        lesson=lesson,
        class_name=board.class_title(lesson),
        room=room_of(lesson),
        school=school_of(lesson.school_id),
        teacher=service.teacher_name(lesson),
        state=state,
        editable=rules.allowed("mark", lesson.state),
        statuses=texts.status_names(),
        texts=texts.console_texts(),
    )


@bp.get("/lessons/<uuid:lesson_id>")
@require(*STAFF)
def summary(lesson_id: uuid.UUID) -> str:
    """What a lesson was: times, register in numbers, work, devices, stops, its usage record."""
    lesson = steered(current_account(), lesson_id)
    record = api.record_of(lesson)
    return render_template(
        "teaching/summary.html",
        lesson=lesson,
        facts=api.summary_of(lesson),
        record=record,
        standing=Standing(record.school_id, clock.now()).of(record) if record is not None else None,
        record_url=url_for("usage.record", record_id=record.id) if record is not None else "",
        class_name=board.class_title(lesson),
        room=room_of(lesson),
        school=school_of(lesson.school_id),
        teacher=service.teacher_name(lesson),
        can_reopen=rules.may_reopen(lesson.state, lesson.reopen_until, clock.now()),
        statuses=texts.status_names(),
        stops=labs.stop_events(lesson.id),
        units=plan.unit_choices(lesson.school_id),
        report_url=url_for("activities.class_work", class_id=lesson.class_id, lesson=lesson.id),
        event_names=texts.event_names(),
        judged=start_views.judged(lesson),
        **start_views.kind_choices(lesson),
    )


@bp.post("/lessons/<uuid:lesson_id>/units")
@require(*STAFF)
def units_page(lesson_id: uuid.UUID) -> Response:
    """Name the catalogue unit that the lesson taught, until its record is written."""
    unit = request.form.get("unit", "")
    service.set_units(current_account(), steered(current_account(), lesson_id), [unit] if unit else [])
    return redirect(url_for("teaching.summary", lesson_id=lesson_id))


@bp.post("/lessons/<uuid:lesson_id>/reopen")
@require(*STAFF)
def reopen_page(lesson_id: uuid.UUID) -> Response:
    """Go on with a lesson that ended less than ten minutes ago."""
    lesson = service.reopen(current_account(), steered(current_account(), lesson_id))
    api.take_wheel(lesson)
    return redirect(url_for("teaching.console", lesson_id=lesson.id))


def close_due_lessons() -> None:
    """Close ended and forgotten lessons."""
    service.close_due(clock.now())


jobs.every(1, "close-lessons", close_due_lessons)
