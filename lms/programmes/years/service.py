"""The door of the years after selection: who is in, what is owed, reports, seed teachers (实施). Verbs only; rules decide."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.notices import service as notices
from lms.programmes.dates import ZONE
from lms.programmes.models import Application, ApplicationStep, NoticeVersion
from lms.programmes.notices import pack_of, stations_of
from lms.programmes.rules import station_at
from lms.programmes.service import application, applications_of, manages
from lms.programmes.teaching import today
from lms.programmes.workflow import inbox
from lms.programmes.years.figures import Figure, figures_of
from lms.programmes.years.models import EthicsNorm, LessonCase, PhaseReport, Rectification, SeedTeacher
from lms.programmes.years.rules import ASSESSMENTS, Owed, Period, covered, owed, periods_of, phases_of, reports_of
from lms.roster.models import Person

LIVE = ("active", "warned")
LONGEST = 20_000


# ---- who is in


def grants_of(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, date]:
    """Days in Shanghai on which applications were granted (挂牌、列入), by id."""
    query = select(ApplicationStep.application_id, func.min(ApplicationStep.created_at)).where(
        ApplicationStep.application_id.in_(ids), ApplicationStep.action == "grant"
    )
    rows = db.session.execute(query.group_by(ApplicationStep.application_id))
    return {row[0]: row[1].astimezone(ZONE).date() for row in rows}


def granted_on(found: Application) -> date | None:
    """Day on which it was granted, None before."""
    return grants_of([found.id]).get(found.id)


def notices_of(rows: Sequence[Application]) -> list[NoticeVersion]:
    """Notices of the rows, read at once: while the list is held, :func:`pack_of` asks the database no more."""
    return list(db.session.scalars(select(NoticeVersion).where(NoticeVersion.id.in_({one.notice_id for one in rows}))))


def running(rows: Sequence[Application]) -> list[Application]:
    """Those that were granted and whose kind goes on after that (a summary table does not)."""
    grants, _held = grants_of([one.id for one in rows]), notices_of(rows)
    return [one for one in rows if one.id in grants and pack_of(one).kind(one.kind).get("ladder")]


def is_live(found: Application) -> bool:
    """Whether reports may still be written: neither accepted nor out."""
    return pack_of(found).status_is(found.status) in LIVE


def in_years(account: Account, application_id: uuid.UUID) -> Application:
    """A granted application that the account may see; NotFound."""
    found = application(account, application_id)
    if not running([found]):
        raise NotFound("years", _l("这份申报还没有进入实施阶段。"))
    return found


def own_of(organisation_id: uuid.UUID) -> list[Application]:
    """An organisation's own granted applications, newest first."""
    return running(applications_of(organisation_id))


def below(office_id: uuid.UUID) -> list[Application]:
    """Granted applications that went through the office, by notice and name of the applicant."""
    rows = running(inbox(office_id))
    names = {
        row.id: row.name
        for row in db.session.scalars(select(Organisation).where(Organisation.id.in_({one.school_id for one in rows})))
    }
    return sorted(rows, key=lambda row: (row.slug, row.kind, names[row.school_id]))


def need_writer(actor: Account, found: Application) -> None:
    """Raise unless the actor speaks for the applicant and the application is live."""
    if not manages(actor, found):
        raise NotAllowed("years", _l("请由本单位的管理员办理。"))
    if not is_live(found):
        raise Refused(
            "years-over", _l("实施已经结束（%(status)s），不能再改。", status=pack_of(found).status_name(found.status))
        )


def need_office(actor: Account, found: Application, *, last: bool = False) -> None:
    """Raise unless the actor is an officer of an office on the application's way; ``last``: of the one that grants."""
    stations = stations_of(found)
    number = station_at(stations, actor.organisation_id)
    if number is None or not may(actor, ("officer",)):
        raise NotAllowed("years-office", _l("请由主管部门的经办人办理。"))
    if last and not stations[number].last:
        raise NotAllowed(
            "years-office",
            _l("这一步由%(office)s办理。", office=stations[-1].office.name),
            remedy=_l("可以先通过或退回。"),
        )


def locked(actor: Account, application_id: uuid.UUID) -> Application:
    """As :func:`in_years`, locked until the open write ends."""
    found = in_years(actor, application_id)
    db.session.refresh(found, with_for_update=True)
    return found


def tell(found: Application, to: uuid.UUID, key: str, title: str, due: date | None = None) -> None:
    """Tell those who act for ``to`` of a matter of this application."""
    people = {*notices.holders(to, "school_admin"), *notices.holders(to, "officer")}
    link = f"/programmes/years/{found.id}"
    notices.tell(to, people, notices.Matter(f"years/{found.id}/{key}"[:120], title, pack_of(found).title, link, due))


def untell(found: Application, to: uuid.UUID, key: str) -> None:
    """The matter is done."""
    notices.end(to, f"years/{found.id}/{key}"[:120])


# ---- what is owed


def reports_by(found: Application) -> dict[tuple[str, str], PhaseReport]:
    """What was written, by (report, period)."""
    query = select(PhaseReport).where(PhaseReport.application_id == found.id)
    return {(row.report, row.period): row for row in db.session.scalars(query)}


def owed_by(found: Application, on: date | None = None) -> list[Owed]:
    """Every report that is owed for the whole time with how it stands on a day (default today), by due day."""
    return owed_of([found], on).get(found.id, [])


def owed_of(rows: Sequence[Application], on: date | None = None) -> dict[uuid.UUID, list[Owed]]:
    """As :func:`owed_by` for many, by id, with as few questions to the database."""
    ids, _held = [one.id for one in rows], notices_of(rows)
    grants, handed = grants_of(ids), _handed_in(ids)
    days: dict[tuple[uuid.UUID, str], list[date]] = {}
    submitted = select(LessonCase.application_id, LessonCase.report, LessonCase.submitted_at).where(
        LessonCase.application_id.in_(ids), LessonCase.submitted_at.is_not(None)
    )
    for id_, name, at in db.session.execute(submitted):
        if at is not None:
            days.setdefault((id_, name), []).append(at.astimezone(ZONE).date())
    schools = select(EthicsNorm.school_id).where(EthicsNorm.school_id.in_({one.school_id for one in rows})).distinct()
    with_norm = set(db.session.scalars(schools))
    found = {}
    for each in rows:
        if each.id not in grants:
            continue
        pack, granted = pack_of(each).document, grants[each.id]
        states, phases = dict(handed.get(each.id, {})), phases_of(pack, granted)
        for report in reports_of(pack, each.kind):
            periods = periods_of(report, phases, granted)
            if report.get("kind") == "norm" and each.school_id in with_norm:
                states |= {(report["id"], one.id): "submitted" for one in periods}
            if report.get("kind") == "case":
                done = covered(periods, days.get((each.id, report["id"]), ()))
                states |= {(report["id"], one): "submitted" for one in done}
        found[each.id] = owed(pack, each.kind, granted, states, on or today())
    return found


def _handed_in(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[tuple[str, str], str]]:
    found: dict[uuid.UUID, dict[tuple[str, str], str]] = {}
    query = select(PhaseReport.application_id, PhaseReport.report, PhaseReport.period, PhaseReport.status)
    for id_, report, period, status in db.session.execute(query.where(PhaseReport.application_id.in_(ids))):
        found.setdefault(id_, {})[report, period] = status
    return found


def late_of(rows: Sequence[Application]) -> dict[uuid.UUID, list[Owed]]:
    """What is past its day, by application; those that are over owe nothing."""
    _held = notices_of(rows)
    owed_now = owed_of([one for one in rows if is_live(one)])
    return {id_: [one for one in owed if one.state == "late"] for id_, owed in owed_now.items()}


@dataclass(frozen=True)
class ReportCount:
    """How many of those that went through an office owe a report for a period, and how many have handed it in; for dashboards."""

    slug: str
    report: str
    name: str
    period: Period
    owed: int
    done: int
    late: int


def report_counts(office_id: uuid.UUID, slug: str = "") -> list[ReportCount]:
    """Posts by report and period that has begun, by due day: progress, self-assessments, everything that is owed."""
    held: dict[tuple[str, str, str], list[Owed]] = {}
    rows = [one for one in below(office_id) if is_live(one) and slug in ("", one.slug)]
    owed_now = owed_of(rows)
    for found in rows:
        for one in owed_now[found.id]:
            if one.state != "later":
                held.setdefault((found.slug, one.report["id"], one.period.id), []).append(one)
    made = [
        ReportCount(
            key[0], key[1], str(rows[0].report["name"]), rows[0].period, len(rows), sum(one.state == "done" for one in rows),
            sum(one.state == "late" for one in rows),
        )
        for key, rows in held.items()
    ]  # fmt: skip
    return sorted(made, key=lambda one: (one.slug, one.period.due, one.report))


def report_and_period(found: Application, report: str, period: str) -> tuple[Mapping[str, Any], Period]:
    """A report of the notice and one of its periods; NotFound."""
    for one in owed_by(found):
        if one.report["id"] == report and one.period.id == period:
            return one.report, one.period
    raise NotFound("report", _l("没有这份报告。"))


# ---- reports (项目进展 HN-23、年度自评、验收自评)


@dataclass(frozen=True)
class ReportPage:
    """A report as a page shows it: figures live while it is a draft, as they stood after; ``texts`` beside them by key."""

    report: Mapping[str, Any]
    period: Period
    row: PhaseReport | None
    figures: list[Figure]
    texts: Mapping[str, str]

    @property
    def is_assessment(self) -> bool:
        """Whether there is a text beside each figure."""
        return self.report.get("kind") in ASSESSMENTS

    @property
    def is_sent(self) -> bool:
        """Whether it was handed in."""
        return self.row is not None and self.row.status == "submitted"


def report_page(found: Application, report: str, period: str) -> ReportPage:
    """One report with its figures."""
    what, when = report_and_period(found, report, period)
    row = reports_by(found).get((report, period))
    kept = row.figures if row is not None else []
    texts = {one["key"]: one["text"] for one in kept}
    if row is not None and row.status == "submitted":
        figures = [Figure(one["key"], one["label"], one["value"], one["source"]) for one in kept]
    else:
        figures = figures_of(found, when.first, when.last)
    return ReportPage(what, when, row, figures, texts)


@dataclass(frozen=True)
class ReportGiven:
    """What was typed: title, text, text beside each figure, and the edition that was read (0: nothing stood there)."""

    title: str
    text: str
    texts: Mapping[str, str]
    base: int


def save_report(actor: Account, application_id: uuid.UUID, report: str, period: str, given: ReportGiven) -> PhaseReport:
    """Save a draft; raises Refused (``conflict``) where another saved meanwhile, and where it was handed in."""
    with write() as session:
        found = locked(actor, application_id)
        need_writer(actor, found)
        page = report_page(found, report, period)
        if page.report.get("kind") in ("norm", "case"):
            raise NotFound("report", _l("没有这份报告。"))
        row = page.row
        if page.is_sent:
            raise Refused("report-sent", _l("这份报告已经提交。"), remedy=_l("要修改请先收回。"))
        if (row.edition if row else 0) != given.base:
            by = session.get(Account, row.saved_by) if row and row.saved_by else None
            raise Refused(
                "conflict",
                _l("%(name)s 刚才改了这份报告，您的内容还没有保存。", name=by.display_name if by else "-"),
                remedy=_l("请先复制自己写的内容，刷新页面，合并后再保存。"),
            )
        if len(given.text) > LONGEST:
            raise Invalid("report-text", _l("正文不能超过 %(most)s 字。", most=LONGEST), where="text")
        if row is None:
            row = PhaseReport(
                id=new_id(), school_id=found.school_id, application_id=found.id, report=report, period=period, edition=0
            )
            session.add(row)
        row.title, row.text = given.title.strip()[:120], given.text.replace("\r\n", "\n").strip()
        row.figures = [
            {"key": one.key, "label": one.label, "value": one.value, "source": one.source, "text": given.texts.get(one.key, "").strip()[:2000]}
            for one in page.figures
        ]  # fmt: skip
        row.edition, row.saved_by, row.saved_at = row.edition + 1, actor.id, clock.now()
        audit(actor, "save-report", "application", found.id, report=report, period=period)
    return row


def send_report(actor: Account, application_id: uuid.UUID, report: str, period: str) -> PhaseReport:
    """Hand a report in to the office; its figures stand from now on. Raises Refused (``incomplete``)."""
    with write():
        found = locked(actor, application_id)
        need_writer(actor, found)
        page = report_page(found, report, period)
        row = page.row
        if row is None or not row.text.strip():
            raise Refused("incomplete", _l("还没有写正文。"), remedy=_l("请写好并保存后再提交。"))
        if page.is_sent:
            return row
        row.figures = [
            {"key": one.key, "label": one.label, "value": one.value, "source": one.source, "text": page.texts.get(one.key, "")}
            for one in page.figures
        ]  # fmt: skip
        row.status, row.submitted_at, row.edition = "submitted", clock.now(), row.edition + 1
        audit(actor, "send-report", "application", found.id, report=report, period=period)
        end_reminders(found, report, period)
        untell(found, found.school_id, f"{report}/{period}/returned")
    return row


def take_report_back(actor: Account, application_id: uuid.UUID, report: str, period: str) -> None:
    """The applicant takes a report back to change it (undo of handing in)."""
    with write():
        found = locked(actor, application_id)
        need_writer(actor, found)
        row = _sent(found, report, period)
        row.status, row.submitted_at, row.edition = "draft", None, row.edition + 1
        audit(actor, "take-report-back", "application", found.id, report=report, period=period)


def return_report(actor: Account, application_id: uuid.UUID, report: str, period: str, remark: str) -> None:
    """An office returns a report with what is to be mended."""
    if not remark.strip():
        raise Invalid("remark", _l("请写明理由，对方会看到。"), where="remark")
    with write():
        found = locked(actor, application_id)
        need_office(actor, found)
        row = _sent(found, report, period)
        row.status, row.remark, row.edition = "returned", remark.strip()[:2000], row.edition + 1
        audit(actor, "return-report", "application", found.id, school_id=found.school_id, report=report, period=period)
        what, when = report_and_period(found, report, period)
        tell(found, found.school_id, f"{report}/{period}/returned", f"{what['name']}（{when.name}）被退回，请修改")


def _sent(found: Application, report: str, period: str) -> PhaseReport:
    row = reports_by(found).get((report, period))
    if row is None or row.status != "submitted":
        raise Refused("report-not-sent", _l("这份报告现在没有提交。"))
    return row


REMIND_DAYS = (14, 3, -1)


def end_reminders(found: Application, report: str, period: str) -> None:
    """It was handed in: nobody is reminded any more; in the open write."""
    for days in REMIND_DAYS:
        untell(found, found.school_id, f"{report}/{period}/{days}")


def end_all_reminders(found: Application) -> None:
    """Nothing is owed any more (验收、退出); in the open write."""
    notices.end_all(found.school_id, f"years/{found.id}/")


# ---- seed teachers (种子教师)


def seeds_of(found: Application) -> list[tuple[SeedTeacher, str]]:
    """Seed teachers with their names, oldest first."""
    query = select(SeedTeacher, Person.name).join(Person, Person.id == SeedTeacher.person_id)
    rows = db.session.execute(query.where(SeedTeacher.application_id == found.id).order_by(SeedTeacher.created_at))
    return [(row, name) for row, name in rows]


def name_seed(
    actor: Account, application_id: uuid.UUID, person_id: uuid.UUID, subject: str, reason: str, consent_on: date | None
) -> SeedTeacher:
    """The school names a teacher who has consented; naming one again who was withdrawn or declined brings the name back."""
    with write() as session:
        found = locked(actor, application_id)
        need_writer(actor, found)
        if consent_on is None or consent_on > today():
            raise Invalid("consent", _l("请填写教师本人同意的日期（不晚于今天）。"), where="consent_on")
        if not subject.strip():
            raise Invalid("subject", _l("请填写学科。"), where="subject")
        person = session.get(Person, person_id)
        if person is None or person.school_id != found.school_id or person.kind != "staff" or person.left_on:
            raise Invalid("person", _l("本校没有这位教师。"), where="person")
        query = select(SeedTeacher).where(SeedTeacher.application_id == found.id, SeedTeacher.person_id == person_id)
        row = session.scalar(query)
        if row is None:
            row = SeedTeacher(id=new_id(), school_id=found.school_id, application_id=found.id, person_id=person_id)
            session.add(row)
        row.subject, row.reason, row.consent_on = subject.strip()[:32], reason.strip()[:1000], consent_on
        row.status, row.decided_by, row.decided_at = "named", None, None
        audit(actor, "name-seed", "application", found.id, person=str(person_id))
    return row


def decide_seed(actor: Account, seed_id: uuid.UUID, status: str) -> SeedTeacher:
    """The office confirms or declines; the school (or the teacher through it) withdraws the name."""
    with write() as session:
        row = session.get(SeedTeacher, seed_id)
        if row is None:
            raise NotFound("seed", _l("没有这位种子教师。"))
        found = locked(actor, row.application_id)
        if status == "withdrawn":
            need_writer(actor, found)
        elif status in ("confirmed", "declined"):
            need_office(actor, found)
            if row.status == "withdrawn":
                raise Refused("seed-withdrawn", _l("学校已经撤回了这个名字。"))
        else:
            raise Invalid("action", _l("没有这种操作。"), where="action")
        row.status, row.decided_by, row.decided_at = status, actor.id, clock.now()
        audit(actor, f"seed-{status}", "application", found.id, school_id=found.school_id, person=str(row.person_id))
    return row


# ---- rectifications, for everybody


def open_rectification(found: Application) -> Rectification | None:
    """The order that is not closed."""
    return open_rectifications([found]).get(found.id)


def open_rectifications(rows: Sequence[Application]) -> dict[uuid.UUID, Rectification]:
    """Orders that are not closed, by application; those that are over have none."""
    query = select(Rectification).where(
        Rectification.application_id.in_([one.id for one in rows if is_live(one)]), Rectification.outcome == ""
    )
    return {row.application_id: row for row in db.session.scalars(query.order_by(Rectification.created_at))}
