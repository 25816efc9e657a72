"""Pages of usage: compliance of the school, of a class, one record with its evidence, the chain (合规与证据)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    jsonify,
    render_template,
    request,
)
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.auth import current_account, current_school_id, may, require
from lms.core.db import db
from lms.core.downloads import download
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.menu import Entry, offer
from lms.courses import service as courses
from lms.courses.models import CatalogueUnit
from lms.roster import service as roster
from lms.roster.models import Person, Room, SchoolClass
from lms.usage import board, digest, forms, policies, service
from lms.usage.ahead.service import repairs_for
from lms.usage.ahead.views import bp as ahead
from lms.usage.corrections import service as corrected
from lms.usage.corrections.views import KINDS as RECORD_KINDS
from lms.usage.corrections.views import bp as corrections
from lms.usage.evidence.anchors import Standing
from lms.usage.evidence.grades import WITNESS_NAMES
from lms.usage.evidence.suspicion import flags_of
from lms.usage.evidence.views import bp as evidence
from lms.usage.hours_views import bp as hours
from lms.usage.judging.lessons import KIND_NAMES
from lms.usage.judging.standings import standings
from lms.usage.judging.verdicts import VERDICT_NAMES, ClassResult, SchoolResult
from lms.usage.models import ChainHead, DailyRoot, EvidenceEvent, UsageRecord
from lms.usage.ownclasses import own_classes
from lms.usage.papers.views import bp as papers
from lms.usage.past.views import bp as past
from lms.usage.reasons import Reason
from lms.usage.rulebook.service import policy_for
from lms.usage.rulebook.views import bp as rulebook
from lms.usage.schoolyear.views import bp as schoolyear
from lms.usage.speech import say

JOBS = (digest.digest_due,)  # declared when these pages are loaded
bp = Blueprint("usage", __name__, template_folder="templates")
bp.register_blueprint(papers)
bp.register_blueprint(hours)
bp.register_blueprint(evidence)
bp.register_blueprint(ahead)
bp.register_blueprint(rulebook)
bp.register_blueprint(schoolyear)
bp.register_blueprint(corrections)
bp.register_blueprint(past)
STAFF = ("teacher", "school_admin")
ADMIN = ("school_admin",)
DEFAULT_RULE = "fortnightly"
COURSE_NAMES = {"ncet": _l("央馆人工智能课程"), "demo-ncet": _l("示范课程目录")}


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(state.app, Entry("usage.compliance", _l("开课合规"), "shield-check", STAFF, 30))


@bp.app_template_filter("say")
def _say(why: Reason) -> str:
    return say(why)


@dataclass(frozen=True)
class Asked:
    """What the page was asked for."""

    rule: policies.Policy
    as_of: date
    today: date

    @property
    def arguments(self) -> dict[str, str]:
        """The same question in another link."""
        return {"rule": self.rule.name} | ({"as_of": self.as_of.isoformat()} if self.as_of != self.today else {})


def _asked() -> Asked:
    today = roster.today_of(roster.school_of(current_school_id()))
    text = request.args.get("as_of", "").strip()
    try:
        as_of = date.fromisoformat(text) if text else today
    except ValueError as error:
        raise Invalid("date", _l("日期应写成 2026-11-24 这样。"), where="as_of") from error
    return Asked(policies.policy(request.args.get("rule") or DEFAULT_RULE, "lessons"), as_of, today)


def _common(asked: Asked, result: SchoolResult) -> dict[str, Any]:
    return {
        "asked": asked,
        "result": result,
        "school": roster.school_of(current_school_id()),
        "course_name": COURSE_NAMES.get(result.facts.course, result.facts.course),
        "verdict_names": VERDICT_NAMES,
        "advice": board.advice,
        "rules": policies.rules("lessons"),
    }


@bp.get("/compliance")
@require(*STAFF)
def compliance() -> str:
    """Compliance: the answer first, then why, then what to do."""
    asked = _asked()
    own = own_classes(current_account(), asked.today)
    try:
        results = standings(current_school_id(), asked.as_of)
    except Refused as refusal:
        return render_template("usage/empty.html", refusal=refusal, admin=own is None)
    result = results[asked.rule.name]
    boards = board.stage_boards(result, own)
    return render_template(
        "usage/compliance.html",
        **_common(asked, result),
        results=results,
        boards=boards,
        todo=board.todo(boards),
        on_track=board.on_track(boards),
        own=own,
        classes=sum(len(row.tiles) for stage in boards for row in stage.grades),
        lessons=any(one.lessons for one in result.classes),
    )


@bp.get("/compliance/classes/<uuid:class_id>")
@require(*STAFF)
def class_page(class_id: uuid.UUID) -> str:
    """One class: its calendar, the lessons behind the figure, what is missing and by when."""
    asked = _asked()
    _need_class(class_id)
    result = standings(current_school_id(), asked.as_of)[asked.rule.name]
    one = _class_of(result, class_id)
    units = _unit_titles(result.facts.course)
    now = asked.as_of == asked.today
    admin = may(current_account(), ADMIN) and now
    rule = policy_for(current_school_id(), asked.rule.name, result.facts.judged_on, "lessons")
    return render_template(
        "usage/class.html",
        repairs=repairs_for(result.facts, rule, class_id) if now and one.outlook.needed else (),
        arranging=admin,
        arranged=request.args.get("arranged", "") if admin else "",
        weekdays=board.WEEKDAY_NAMES,
        **_common(asked, result),
        one=one,
        tile=board.tile_of(one),
        heat=board.heat_of(one, result.facts),
        units=units,
        kind_names=KIND_NAMES,
    )


def _need_class(class_id: uuid.UUID) -> None:
    roster.need_class(current_account(), roster.get_row(SchoolClass, class_id, current_school_id()))


def _class_of(result: SchoolResult, class_id: uuid.UUID) -> ClassResult:
    for one in result.classes:
        if one.cohort.id == str(class_id):
            return one
    raise NotFound("class", _l("这个班不在本学期参与判定的班级之中。"), remedy=_l("请回到合规页选择班级。"))


def _unit_titles(course: str) -> dict[str, str]:
    query = select(CatalogueUnit).where(CatalogueUnit.school_id == current_school_id(), CatalogueUnit.course == course)
    return {unit.code: unit.title for unit in db.session.scalars(query)}


@bp.get("/usage/records/<uuid:record_id>")
@require(*STAFF)
def record(record_id: uuid.UUID) -> str:
    """One usage record with its evidence."""
    school = roster.school_of(current_school_id())
    found = service.record_of(school.id, record_id)
    _need_class(found.class_id)
    event = db.session.scalar(select(EvidenceEvent).where(EvidenceEvent.school_id == school.id, EvidenceEvent.seq == found.event_seq))
    cohort = db.session.get(SchoolClass, found.class_id)
    root = db.session.scalar(
        select(DailyRoot).where(DailyRoot.school_id == school.id, DailyRoot.first_seq <= found.event_seq, DailyRoot.last_seq >= found.event_seq)
    )
    return render_template(
        "usage/record.html",
        record=found,
        event=event,
        root=root,
        state=service.check_link_of(found),
        class_name=roster.class_name(cohort, school, found.lesson_on) if cohort else "",
        teacher=db.session.get(Person, found.teacher_id),
        room=db.session.get(Room, found.room_id) if found.room_id else None,
        corrected_by=db.session.scalar(select(UsageRecord).where(UsageRecord.school_id == school.id, UsageRecord.corrects_id == found.id)),
        started=clock.local(found.started_at, school.zone),
        ended=clock.local(found.ended_at, school.zone),
        kind_names=KIND_NAMES,
        record_kinds=RECORD_KINDS,
        verdict=service.judged(found),
        people=corrected.names_of((found.entered_by, found.countersigned_by)),
        proposal=corrected.open_proposal(found),
        units=[(f"{one.course}:{one.code}", f"{one.code} {one.title}") for one in courses.units(school.id)],
        teachers=forms.teachers_for(found),
        parts=forms.parts_for(found),
        part=forms.part_value(found),
        witness_names=WITNESS_NAMES,
        standing=Standing(school.id, clock.now()).of(found),
        flags=flags_of(found),
    )


@bp.get("/usage/chain")
@require(*ADMIN)
def chain() -> str:
    """The school's evidence chain, verified now."""
    school = roster.school_of(current_school_id())
    report = service.verify_chain(school.id)
    head = db.session.get(ChainHead, school.id)
    roots = db.session.scalars(select(DailyRoot).where(DailyRoot.school_id == school.id).order_by(DailyRoot.day.desc()).limit(31)).all()
    return render_template("usage/chain.html", school=school, report=report, head=head, roots=roots, checked=clock.local(clock.now(), school.zone))


@bp.get("/compliance.xlsx")
@require(*STAFF)
def export() -> Response:
    """The same figures as an Excel workbook."""
    asked = _asked()
    own = own_classes(current_account(), asked.today)
    school = roster.school_of(current_school_id())
    simulated = current_app.config["ZHIKE"].origin == "simulated"
    results = list(standings(school.id, asked.as_of).values())
    from lms.usage.export import workbook_of  # 25 MiB of openpyxl that only an export needs

    book = workbook_of(school.organisation.name, results, own, _unit_titles(results[0].facts.course), say, simulated=simulated)
    stream = BytesIO()
    book.save(stream)
    return download(stream.getvalue(), f"{_('开课合规')}-{asked.as_of.isoformat()}.xlsx")


@bp.get("/api/usage/compliance")
@require(*ADMIN)
def api_compliance() -> Response:
    """The engine's output as JSON."""
    asked = _asked()
    return jsonify(service.evaluate(current_school_id(), asked.rule.name, asked.as_of))
