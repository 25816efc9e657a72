"""The library of cases (千课、课例库): HN-05, HN-08, ZN-17, ZN-18. Submission, review, selection; browsing; counts against the target."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, or_, select
from sqlalchemy.sql import Select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.programmes.models import Application, ApplicationStep
from lms.programmes.notices import pack_of, stations_of
from lms.programmes.pack import Pack
from lms.programmes.rules import station_at
from lms.programmes.service import manages, stages_of
from lms.programmes.years.figures import lessons_of
from lms.programmes.years.models import LessonCase
from lms.programmes.years.rules import CASE_STATES, STAGE_NAMES, case_after, reports_of
from lms.programmes.years.service import in_years, is_live, locked, need_office, need_writer, tell, untell
from lms.roster import service as roster
from lms.usage.evidence.anchors import Standing
from lms.usage.models import UsageRecord

WRITERS = ("teacher", "school_admin", "officer")
PUBLIC = ("selected",)


@dataclass(frozen=True)
class CaseGiven:
    """What was typed; ``record_id``: the lesson record it shows, None for none."""

    report: str
    title: str
    subject: str
    stage: str
    grade: str
    theme: str
    teacher: str
    summary: str
    record_id: uuid.UUID | None


def case_reports(found: Application) -> list[Mapping[str, Any]]:
    """Kinds of cases that the notice asks of this kind of application."""
    return [one for one in reports_of(pack_of(found).document, found.kind) if one.get("kind") == "case"]


def themes_of(pack: Pack) -> list[str]:
    """Themes or activities of the notice, if it has any (HN-06, ZN-13)."""
    return pack.choices("theme") or pack.choices("activity")


def case_of(account: Account, case_id: uuid.UUID) -> tuple[LessonCase, Application]:
    """A case that the account may see: its own organisation's, one sent to its office, or one selected under a notice it takes part in."""
    row = db.session.get(LessonCase, case_id)
    found = db.session.get(Application, row.application_id) if row else None
    if (
        row is not None
        and found is not None
        and db.session.scalar(_seen(account).where(LessonCase.id == row.id)) is not None
    ):
        return row, found
    raise NotFound("case", _l("没有这个课例。"))


def _seen(account: Account) -> Select[LessonCase]:
    """Cases that the account may see."""
    own = account.organisation_id
    conditions: list[Any] = []
    if may(account, WRITERS):
        conditions.append(LessonCase.school_id == own)
        mine = select(Application.slug).where(Application.school_id == own)
        conditions.append(LessonCase.status.in_(PUBLIC) & LessonCase.slug.in_(mine))
    if may(account, ("officer",)):
        sent = select(ApplicationStep.application_id).where(ApplicationStep.to_office_id == own)
        conditions.append(LessonCase.application_id.in_(sent) & (LessonCase.status != "draft"))
    query = select(LessonCase)
    return query.where(or_(*conditions)) if conditions else query.where(LessonCase.id.is_(None))


@dataclass(frozen=True)
class Filter:
    """What the browsing page asks: notice, subject, stage, status, theme, words in title, summary or subject."""

    slug: str = ""
    subject: str = ""
    stage: str = ""
    status: str = ""
    theme: str = ""
    words: str = ""


def library(account: Account, wanted: Filter, limit: int = 500) -> list[tuple[LessonCase, str]]:
    """Cases that the account may see and that fit, selected ones first, then the newest; with the name of the school."""
    query = _seen(account)
    for column, value in (
        (LessonCase.slug, wanted.slug),
        (LessonCase.subject, wanted.subject),
        (LessonCase.stage, wanted.stage),
        (LessonCase.status, wanted.status),
        (LessonCase.theme, wanted.theme),
    ):
        query = query.where(column == value) if value else query
    for word in wanted.words.split():
        query = query.where(
            or_(
                *(
                    column.contains(word, autoescape=True)
                    for column in (LessonCase.title, LessonCase.summary, LessonCase.subject)
                )
            )
        )
    rows = db.session.scalars(
        query.order_by(LessonCase.status != "selected", LessonCase.created_at.desc()).limit(limit)
    ).all()
    names = {
        row.id: row.name
        for row in db.session.scalars(select(Organisation).where(Organisation.id.in_({one.school_id for one in rows})))
    }
    return [(row, names[row.school_id]) for row in rows]


def subjects_seen(account: Account) -> list[str]:
    """Subjects of cases that the account may see."""
    return sorted({row.subject for row in db.session.scalars(_seen(account))})


@dataclass(frozen=True)
class CaseCount:
    """Cases of a subject and stage: handed in (not drafts), passed or better, selected."""

    subject: str
    stage: str
    submitted: int
    accepted: int
    selected: int


def case_counts(slug: str, office_id: uuid.UUID | None = None) -> list[CaseCount]:
    """Cases of a notice by subject and stage, of all or of those that went through an office; for dashboards."""
    query = select(LessonCase.subject, LessonCase.stage, LessonCase.status, func.count()).where(
        LessonCase.slug == slug, LessonCase.status.not_in(("draft", "returned"))
    )
    if office_id is not None:
        sent = select(ApplicationStep.application_id).where(ApplicationStep.to_office_id == office_id)
        query = query.where(LessonCase.application_id.in_(sent))
    held: dict[tuple[str, str], dict[str, int]] = {}
    for subject, stage, status, count in db.session.execute(
        query.group_by(LessonCase.subject, LessonCase.stage, LessonCase.status)
    ):
        held.setdefault((subject, stage), {})[status] = count
    order = list(STAGE_NAMES)
    return [
        CaseCount(
            subject, stage, sum(one.values()), one.get("accepted", 0) + one.get("selected", 0), one.get("selected", 0)
        )
        for (subject, stage), one in sorted(held.items(), key=lambda each: (each[0][0], order.index(each[0][1])))
    ]


def case_target(pack: Pack) -> int | None:
    """How many selected cases the notice wants (千课: 1,000, HN-05), None where it says nothing."""
    return next((int(one["number"]) for one in pack.document.get("targets", ()) if one["id"] == "cases"), None)


def lessons_to_link(found: Application) -> list[tuple[UsageRecord, str]]:
    """The newest lesson records of the school with a name for each, to be linked to a case."""
    own = db.session.get_one(Organisation, found.school_id)
    if own.level != "school":
        return []
    rows = sorted(lessons_of([own.id], date.min, date.max), key=lambda row: row.started_at, reverse=True)[:60]
    standing = Standing(own.id, clock.now())
    school, classes = roster.school_of(own.id), {row.id: row for row in roster.classes_of(own.id)}
    return [
        (
            row,
            f"{row.lesson_on} {roster.class_name(classes[row.class_id], school, row.lesson_on) if row.class_id in classes else ''} "
            f"{row.subject or '人工智能'}（证据 {standing.of(row)[0]}，第 {row.event_seq} 号）",
        )
        for row in rows
    ]


def save_case(
    actor: Account, application_id: uuid.UUID, given: CaseGiven, case_id: uuid.UUID | None = None
) -> LessonCase:
    """Begin a case or change one that is not handed in; a teacher of the school may, each their own."""
    with write() as session:
        found = locked(actor, application_id)
        row = session.get(LessonCase, case_id) if case_id else None
        if case_id and (row is None or row.application_id != found.id):
            raise NotFound("case", _l("没有这个课例。"))
        need_author(actor, found, row)
        values = _checked(found, given)
        if row is None:
            row = LessonCase(
                id=new_id(), school_id=found.school_id, application_id=found.id, slug=found.slug, created_by=actor.id
            )
            session.add(row)
        for name, value in values.items():
            setattr(row, name, value)
        row.record_id, row.evidence = _linked(found, given.record_id)
        audit(actor, "save-case", "lesson_case", row.id, school_id=found.school_id)
    return row


def need_author(actor: Account, found: Application, row: LessonCase | None) -> None:
    """Raise unless the actor may write the case now: its author, or who speaks for the applicant; before it is handed in."""
    own = found.school_id == actor.organisation_id and may(actor, WRITERS)
    if not own or (row is not None and row.created_by != actor.id and not manages(actor, found)):
        raise NotAllowed("case", _l("请由课例的作者或本单位的管理员修改。"))
    if not is_live(found):
        raise Refused("years-over", _l("实施已经结束，不能再报课例。"))
    if row is not None and row.status not in ("draft", "returned"):
        raise Refused("case-sent", _l("课例已经提交。"), remedy=_l("评审以前可以收回再改。"))


def _checked(found: Application, given: CaseGiven) -> dict[str, Any]:
    pack = pack_of(found)
    reports = {one["id"] for one in case_reports(found)}
    for where, text in (("title", given.title), ("subject", given.subject)):
        if not text.strip():
            raise Invalid("case", _l("请填写课题和学科。"), where=where)
    if given.report not in reports:
        raise Invalid("case", _l("这个通知不收这一类案例。"), where="report")
    if given.stage not in STAGE_NAMES or (stages_of(found.school_id) and given.stage not in stages_of(found.school_id)):
        raise Invalid("case", _l("请选择本校参与的学段。"), where="stage")
    if not given.grade.isdecimal() or not 0 <= int(given.grade) <= 12:
        raise Invalid("case", _l("年级应为 1 到 12（幼儿园填 0）。"), where="grade")
    if given.theme and given.theme not in themes_of(pack):
        raise Invalid("case", _l("通知里没有这个主题。"), where="theme")
    return {
        "report": given.report,
        "title": given.title.strip()[:120],
        "subject": given.subject.strip()[:32],
        "stage": given.stage,
        "grade": int(given.grade),
        "theme": given.theme,
        "teacher": given.teacher.strip()[:64],
        "summary": given.summary.replace("\r\n", "\n").strip()[:20_000],
    }


def _linked(found: Application, record_id: uuid.UUID | None) -> tuple[uuid.UUID | None, str]:
    if record_id is None:
        return None, ""
    record = db.session.get(UsageRecord, record_id)
    if record is None or record.school_id != found.school_id:
        raise Invalid("case", _l("本校没有这条开课记录。"), where="record")
    return record.id, f"{Standing(record.school_id, clock.now()).of(record)[0]} 级，第 {record.event_seq} 号"


def step(actor: Account, case_id: uuid.UUID, action: str, remark: str = "") -> LessonCase:
    """``submit`` and ``take-back`` by the applicant; ``return``, ``accept`` by an office, ``select`` (入选精品) by the one that grants."""
    with write() as session:
        row, _found = case_of(actor, case_id)
        found = locked(actor, row.application_id)
        session.refresh(row, with_for_update=True)
        if action in ("submit", "take-back"):
            need_writer(actor, found)
        else:
            need_office(actor, found, last=action == "select")
        after = case_after(row.status, action)
        if after is None:
            raise Refused("case-step", _l("现在不能这样做（%(state)s）。", state=CASE_STATES[row.status]))
        if action == "submit" and len(row.summary) < 20:
            raise Refused("incomplete", _l("请先写简介（至少 20 字）再提交。"))
        if action == "return" and not remark.strip():
            raise Invalid("remark", _l("请写明理由，对方会看到。"), where="remark")
        row.status = after
        if action == "submit":
            row.submitted_at = clock.now()
        elif action == "take-back":
            row.submitted_at = None
        else:
            row.remark, row.reviewed_by, row.reviewed_at = remark.strip()[:2000], actor.id, clock.now()
        audit(actor, f"case-{action}", "lesson_case", row.id, school_id=row.school_id)
        _tell(found, row, action)
    return row


def _tell(found: Application, row: LessonCase, action: str) -> None:
    if action == "submit":
        untell(found, found.school_id, f"case/{row.id}/return")
    if action in ("return", "select"):
        tell(found, found.school_id, f"case/{row.id}/{action}", f"课例“{row.title}”：{CASE_STATES[row.status]}")


def may_review(account: Account, found: Application) -> tuple[bool, bool]:
    """Whether the account's office may pass or return its cases, and whether it may select."""
    stations = stations_of(found)
    number = station_at(stations, account.organisation_id)
    officer = number is not None and may(account, ("officer",))
    return officer, officer and number is not None and stations[number].last


def may_add(account: Account, application_id: uuid.UUID) -> bool:
    """Whether the account may begin a case for the application."""
    found = in_years(account, application_id)
    own = found.school_id == account.organisation_id and may(account, WRITERS)
    return own and is_live(found) and bool(case_reports(found))


def rows_for_excel(rows: Sequence[tuple[LessonCase, str]], titles: Mapping[str, str]) -> list[list[Any]]:
    """Lines of the Excel file, in the order of :data:`COLUMNS`."""
    return [
        [
            number, titles.get(row.slug, row.slug), school, row.title, row.subject, STAGE_NAMES[row.stage], row.grade, row.theme,
            row.teacher, row.evidence, CASE_STATES[row.status], row.submitted_at.date().isoformat() if row.submitted_at else "",
        ]
        for number, (row, school) in enumerate(rows, 1)
    ]  # fmt: skip


COLUMNS = ("序号", "通知", "学校", "课题", "学科", "学段", "年级", "主题", "授课教师", "开课证据", "状态", "提交日期")
