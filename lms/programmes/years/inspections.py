"""Random inspection (随机抽查, HA-15, B10.7): list fixed, seed public afterwards, drawn; what was found; warning, rectification, exit, acceptance."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.core.stages import STAGE_NAMES
from lms.notices import service as notices
from lms.programmes import selfcheck
from lms.programmes.models import Application
from lms.programmes.notices import lock, pack_of, stations_of
from lms.programmes.pack import Document
from lms.programmes.teaching import today
from lms.programmes.workflow import move, rungs
from lms.programmes.years.models import Inspection, InspectionVisit, PhaseReport, Rectification
from lms.programmes.years.rules import Candidate, Means, digest_of, drawn, half_year, inspections_of, list_text, means
from lms.programmes.years.service import (
    below,
    end_all_reminders,
    in_years,
    is_live,
    late_of,
    locked,
    need_office,
    need_writer,
    notices_of,
    open_rectification,
    open_rectifications,
    tell,
    untell,
)
from lms.roster.models import School

OFFICER = ("officer",)
STRATA: Mapping[str, str] = {"": "不分层", "stage": "按学段", "locality": "按城乡", "place": "按区县"}
CHECKS: Mapping[str, str] = {"met": "符合", "partly": "部分符合", "not-met": "不符合", "": "未查"}
LARGEST = 200
SOON = timedelta(days=60)
_SEED = re.compile(r"[0-9A-Za-z .,:+/-]+")


# ---- the draw


def candidates_of(office_id: uuid.UUID, slug: str, kind: str, strata: str = "") -> list[Candidate]:
    """Those whose status is in force under the notice and that went through the office."""
    granted = [row for row in below(office_id) if row.slug == slug and row.kind == kind]
    _held = notices_of(granted)
    rows = [row for row in granted if is_live(row)]
    return sorted(
        (Candidate(str(row.id), _name(row.school_id), _stratum(row, strata)) for row in rows), key=lambda one: one.id
    )


def _name(organisation_id: uuid.UUID) -> str:
    return db.session.get_one(Organisation, organisation_id).name


def _stratum(row: Application, strata: str) -> str:
    own = db.session.get_one(Organisation, row.school_id)
    if strata == "stage":
        return "、".join(STAGE_NAMES.get(one, one) for one in row.stages) or "未定"
    if strata == "locality":
        school = db.session.get(School, own.id)
        return school.locality if school is not None else "未定"
    if strata == "place":
        return _name(own.parent_id) if own.parent_id else ""
    return ""


def inspections_by(office_id: uuid.UUID) -> list[Inspection]:
    """Inspections of an office, newest first; cancelled ones stay in the list."""
    query = select(Inspection).where(Inspection.school_id == office_id).order_by(Inspection.created_at.desc())
    return list(db.session.scalars(query))


def owed_by_office(office_id: uuid.UUID) -> list[tuple[Application, Document]]:
    """Inspections that a notice prescribes for this half-year (HA-15) and the office, the last on the way, has not announced: one of the inspected and the notice's line."""
    known = {
        (row.slug, row.kind)
        for row in inspections_by(office_id)
        if row.cancelled_at is None and row.period == half_year(today())
    }
    found: dict[tuple[str, str], tuple[Application, Document]] = {}
    rows = below(office_id)
    _held = notices_of(rows)
    for row in rows:
        key, lines = (row.slug, row.kind), inspections_of(pack_of(row).document, row.kind)
        asked = bool(lines) and key not in known and key not in found and is_live(row)
        if asked and stations_of(row)[-1].office.id == office_id:
            found[key] = (row, dict(lines[0]))
    return list(found.values())


def inspection_of(account: Account, inspection_id: uuid.UUID) -> Inspection:
    """One that the account may see: its office's, one that it (or one below its office) is on the list of; NotFound."""
    row = db.session.get(Inspection, inspection_id)
    if row is not None and (row.school_id == account.organisation_id and may(account, OFFICER)):
        return row
    if row is not None and may(account, ("school_admin", "officer")):
        listed = [uuid.UUID(one["id"]) for one in row.candidates]
        query = select(Application.id).where(
            Application.id.in_(listed), Application.school_id == account.organisation_id
        )
        if db.session.scalar(query.limit(1)) is not None:
            return row
        if may(account, OFFICER) and {str(one.id) for one in below(account.organisation_id)} & set(map(str, listed)):
            return row
    raise NotFound("inspection", _l("没有这次抽查。"))


def announce(
    actor: Account, slug: str, kind: str, count: int, strata: str, seed_from: str, seed_on: date | None
) -> Inspection:
    """Fix and publish the list of those who may be drawn, and say which public number of a later day will be the seed.

    Raises Invalid (``count``, ``seed``), Refused (``nobody``).
    """
    if not may(actor, OFFICER):
        raise NotAllowed("inspection", _l("抽查由主管部门的经办人办理。"))
    day = today()
    if seed_on is None or not day < seed_on <= day + SOON:
        raise Invalid(
            "seed-day",
            _l("种子公布的日子应在明天以后、60 天以内：先定名单，后出种子，谁也不能挑。"),
            where="seed_on",
            clause="B10",
        )
    if len(seed_from.strip()) < 6:
        raise Invalid(
            "seed-from",
            _l("请写明用哪一个公开号码，例如“当日福利彩票双色球开奖号码”。"),
            where="seed_from",
            clause="B10",
        )
    if strata not in STRATA:
        raise Invalid("strata", _l("没有这种分层。"), where="strata")
    with write() as session:
        lock(actor.organisation_id)
        candidates = candidates_of(actor.organisation_id, slug, kind, strata)
        if not candidates:
            raise Refused("nobody", _l("这个通知下还没有在实施的学校（试验区）。"))
        if not 1 <= count <= min(len(candidates), LARGEST):
            raise Invalid("count", _l("抽查数量为 1 到 %(most)s。", most=min(len(candidates), LARGEST)), where="count")
        row = Inspection(
            id=new_id(), school_id=actor.organisation_id, slug=slug, kind=kind, period=half_year(seed_on), count=count, strata=strata,
            candidates=[{"id": one.id, "name": one.name, "stratum": one.stratum} for one in candidates],
            digest=digest_of(list_text(candidates)), seed_from=seed_from.strip()[:200], seed_on=seed_on, created_by=actor.id,
        )  # fmt: skip
        session.add(row)
        audit(
            actor,
            "announce-inspection",
            "inspection",
            row.id,
            notice=slug,
            of=len(candidates),
            count=count,
            digest=row.digest,
        )
    return row


def listed(row: Inspection) -> list[Candidate]:
    """The list as it was published."""
    return [Candidate(one["id"], one["name"], one["stratum"]) for one in row.candidates]


def draw(actor: Account, inspection_id: uuid.UUID, seed: str) -> Inspection:
    """Draw with the seed that has become public; once, for good. Those drawn are told."""
    text = " ".join(seed.split())
    if len(text.replace(" ", "")) < 6 or len(text) > 200 or not _SEED.fullmatch(text):
        raise Invalid(
            "seed",
            _l("请填写公开的种子（6 到 200 位数字或字母，以空格分开），照公布的原样。"),
            where="seed",
            clause="B10",
        )
    with write() as session:
        row = _own(actor, inspection_id)
        session.refresh(row, with_for_update=True)
        if row.cancelled_at is not None or row.drawn_at is not None:
            raise Refused("drawn", _l("这次抽查已经抽过或已取消。"), remedy=_l("要再抽请另行公布名单。"))
        if today() < row.seed_on:
            raise Refused(
                "seed-early", _l("种子在 %(day)s 公布，现在还不能抽。", day=row.seed_on.isoformat()), clause="B10"
            )
        if digest_of(list_text(listed(row))) != row.digest:
            raise Refused("list-changed", _l("名单与公布时不一致，不能抽。"), remedy=_l("请联系系统管理员核查。"))
        row.seed, row.drawn, row.drawn_at = text, drawn(text, listed(row), row.count), clock.now()
        audit(actor, "draw-inspection", "inspection", row.id, seed=text, drawn=row.drawn)
        for one in row.drawn:
            found = session.get_one(Application, uuid.UUID(one))
            session.add(
                InspectionVisit(
                    id=new_id(),
                    school_id=found.school_id,
                    inspection_id=row.id,
                    application_id=found.id,
                    office_id=row.school_id,
                )
            )
            tell(found, found.school_id, f"inspection/{row.id}", f"被抽中检查：{_name(row.school_id)} {row.period}")
    return row


def cancel(actor: Account, inspection_id: uuid.UUID, reason: str) -> None:
    """Give an announced inspection up before it is drawn; it stays in the list with the reason."""
    if not reason.strip():
        raise Invalid("remark", _l("请写明理由，对方会看到。"), where="reason")
    with write() as session:
        row = _own(actor, inspection_id)
        session.refresh(row, with_for_update=True)
        if row.drawn_at is not None or row.cancelled_at is not None:
            raise Refused("drawn", _l("已经抽过的不能取消。"))
        row.cancelled_at, row.reason = clock.now(), reason.strip()[:2000]
        audit(actor, "cancel-inspection", "inspection", row.id, reason.strip()[:200])


def _own(actor: Account, inspection_id: uuid.UUID) -> Inspection:
    row = db.session.get(Inspection, inspection_id)
    if row is None or row.school_id != actor.organisation_id or not may(actor, OFFICER):
        raise NotFound("inspection", _l("没有这次抽查。"))
    return row


# ---- what was found


def visits_of(row: Inspection) -> list[tuple[InspectionVisit, str]]:
    """Visits in the order drawn, with the name of the inspected."""
    query = select(InspectionVisit).where(InspectionVisit.inspection_id == row.id)
    rows = {str(one.application_id): one for one in db.session.scalars(query)}
    return [(rows[one], _name(rows[one].school_id)) for one in row.drawn if one in rows]


def visits_at(found: Application) -> list[InspectionVisit]:
    """Visits at one school, newest first."""
    query = select(InspectionVisit).where(InspectionVisit.application_id == found.id)
    return list(db.session.scalars(query.order_by(InspectionVisit.created_at.desc())))


def visit_of(account: Account, visit_id: uuid.UUID) -> InspectionVisit:
    """One that the account may see: the inspecting office's, the inspected's once it is concluded; NotFound."""
    row = db.session.get(InspectionVisit, visit_id)
    if row is not None and row.office_id == account.organisation_id and may(account, OFFICER):
        return row
    own = row is not None and row.school_id == account.organisation_id and may(account, ("school_admin", "officer"))
    if row is not None and own and row.result:
        return row
    raise NotFound("visit", _l("没有这份检查记录。"))


@dataclass(frozen=True)
class CheckLine:
    """A line of the checklist: the notice's criterion, the live figure beside it, what the inspector ticked and noted."""

    criterion: Document
    figure: str
    source: str
    state: str
    result: str
    note: str


def checklist(row: InspectionVisit) -> list[CheckLine]:
    """The notice's criteria with live figures; of a concluded visit the figures as they stood then."""
    found = db.session.get_one(Application, row.application_id)
    made = []
    for line in selfcheck.check(found):
        held = row.checks.get(line.criterion["id"], {})
        figure, source = line.outcome.figure, line.outcome.source
        if row.concluded_at is not None and held:
            figure, source = held["figure"], held["source"]
        made.append(
            CheckLine(line.criterion, figure, source, line.state_name, held.get("result", ""), held.get("note", ""))
        )
    return made


def save_visit(
    actor: Account, visit_id: uuid.UUID, visited_on: date | None, ticks: Mapping[str, tuple[str, str]], findings: str
) -> InspectionVisit:
    """Write down what was found; ``ticks``: (result, note) by criterion. The live figures are kept beside them."""
    with write() as session:
        row = visit_of(actor, visit_id)
        session.refresh(row, with_for_update=True)
        need_open(actor, row)
        if visited_on is not None and visited_on > today():
            raise Invalid("visited-on", _l("检查日期不能晚于今天。"), where="visited_on")
        row.checks = {
            line.criterion["id"]: {
                "result": result if result in CHECKS else "",
                "note": note.strip()[:1000],
                "figure": line.figure,
                "source": line.source,
            }
            for line in checklist(row)
            for result, note in (ticks.get(line.criterion["id"], ("", "")),)
        }
        row.visited_on, row.findings, row.saved_by = (
            visited_on,
            findings.replace("\r\n", "\n").strip()[:10_000],
            actor.id,
        )
        audit(actor, "save-visit", "inspection_visit", row.id, school_id=row.school_id)
    return row


def need_open(actor: Account, row: InspectionVisit) -> None:
    """Raise unless the actor's office may still write in the visit."""
    if row.office_id != actor.organisation_id or row.result:
        raise Refused("visit-closed", _l("这次检查已经有结论。"))


def conclude(actor: Account, visit_id: uuid.UUID, result: str, due_on: date | None = None) -> InspectionVisit:
    """The office concludes: ``passed``, ``warned`` (限期整改 until ``due_on``) or ``exited`` along the notice's ladder."""
    with write() as session:
        row = visit_of(actor, visit_id)
        found = locked(actor, row.application_id)
        session.refresh(row, with_for_update=True)
        need_open(actor, row)
        if row.visited_on is None or not row.findings:
            raise Refused("incomplete", _l("请先填写检查日期和检查意见并保存。"))
        if result == "warned":
            order(actor, found.id, row.findings, due_on, row.id)
        elif result == "exited":
            exit_(actor, found.id, row.findings)
        elif result != "passed":
            raise Invalid("action", _l("没有这种操作。"), where="action")
        row.result, row.concluded_at = result, clock.now()
        audit(actor, "conclude-visit", "inspection_visit", row.id, school_id=row.school_id, result=result)
        untell(found, found.school_id, f"inspection/{row.inspection_id}")
    return row


# ---- warning, rectification, exit, acceptance (动态管理)


def rung(actor: Account, found: Application, wanted: Means) -> Document:
    """The step of that meaning that the actor's office may take now; raises Refused naming who may."""
    pack, office = pack_of(found).document, db.session.get_one(Organisation, actor.organisation_id)
    for one in rungs(found, office.level):
        if means(pack, one) == wanted:
            return one
    names = {"county": "区县", "city": "市州", "province": "省", "nation": "国家", "school": "学校"}
    ladder = [one for one in pack_of(found).kind(found.kind).get("ladder", ()) if means(pack, one) == wanted]
    by = "、".join(names[one] for one in dict.fromkeys(level for each in ladder for level in each["by"]))
    if not ladder:
        raise Refused("ladder", _l("这个通知没有这一步。"))
    raise Refused("ladder", _l("按通知这一步由%(by)s办理，或现在的状态不能作这一步。", by=by))


def may_now(actor: Account, found: Application) -> dict[str, Document]:
    """Steps that the actor's office may take now, by what they mean."""
    office = db.session.get_one(Organisation, actor.organisation_id)
    if not may(actor, OFFICER) or all(one.office.id != office.id for one in stations_of(found)):
        return {}
    return {means(pack_of(found).document, one): one for one in reversed(rungs(found, office.level))}


def rectifications_of(found: Application) -> list[Rectification]:
    """Orders at one school, newest first."""
    query = select(Rectification).where(Rectification.application_id == found.id)
    return list(db.session.scalars(query.order_by(Rectification.created_at.desc())))


def order(
    actor: Account, application_id: uuid.UUID, findings: str, due_on: date | None, visit_id: uuid.UUID | None = None
) -> Rectification:
    """Order to put right until a day (限期整改); the status goes to warned along the ladder where it is not there yet."""
    with write() as session:
        found = locked(actor, application_id)
        need_office(actor, found)
        day = today()
        if due_on is None or not day < due_on <= day + timedelta(days=366):
            raise Invalid("due", _l("请填写整改期限（明天以后、一年以内）。"), where="due_on")
        if not findings.strip():
            raise Invalid("remark", _l("请写明要整改什么。"), where="findings")
        if open_rectification(found) is not None:
            raise Refused("rectifying", _l("已有未办结的整改。"), remedy=_l("请先办结。"))
        if pack_of(found).status_is(found.status) != "warned":
            move(actor, found.id, rung(actor, found, "warn")["to"], findings)
        row = Rectification(
            id=new_id(), school_id=found.school_id, application_id=found.id, visit_id=visit_id, office_id=actor.organisation_id,
            findings=findings.strip()[:10_000], due_on=due_on, ordered_by=actor.id,
        )  # fmt: skip
        session.add(row)
        audit(actor, "order-rectification", "application", found.id, school_id=found.school_id, due=due_on.isoformat())
        tell(found, found.school_id, f"rectify/{row.id}", f"限期整改：请在 {due_on} 结束前提交整改报告", due_on)
    return row


def rectification_of(account: Account, rectification_id: uuid.UUID) -> tuple[Rectification, Application]:
    """One of an application that the account may see; NotFound."""
    row = db.session.get(Rectification, rectification_id)
    if row is None:
        raise NotFound("rectification", _l("没有这份整改通知。"))
    return row, in_years(account, row.application_id)


def report(actor: Account, rectification_id: uuid.UUID, text: str) -> Rectification:
    """The school reports what it has put right; it may be changed until the office closes it."""
    with write() as session:
        row, found = rectification_of(actor, rectification_id)
        need_writer(actor, found)
        if len(text.strip()) < 20:
            raise Invalid("report", _l("请写明整改情况（至少 20 字）。"), where="report")
        session.refresh(row, with_for_update=True)
        if row.outcome:
            raise Refused("rectified", _l("这次整改已经办结。"))
        row.report, row.reported_at = text.replace("\r\n", "\n").strip()[:10_000], clock.now()
        audit(actor, "report-rectification", "application", found.id, rectification=str(row.id))
        notices.end_all(found.school_id, f"years/{found.id}/rectify/{row.id}")
        tell(found, row.office_id, f"rectified/{row.id}", f"{_name(found.school_id)}：整改报告已交，请复核")
    return row


def close(actor: Account, rectification_id: uuid.UUID, outcome: str, remark: str) -> Rectification:
    """The office closes an order: ``accepted`` (整改合格) after a report, or ``exited`` when it was not put right in time."""
    with write() as session:
        row, found = rectification_of(actor, rectification_id)
        need_office(actor, found)
        session.refresh(row, with_for_update=True)
        if row.outcome:
            raise Refused("rectified", _l("这次整改已经办结。"))
        if outcome == "accepted":
            if row.reported_at is None:
                raise Refused("no-report", _l("学校还没有提交整改报告。"))
            move(actor, found.id, rung(actor, found, "rectified")["to"], remark or "整改合格")
        elif outcome == "exited":
            if row.reported_at is None and today() <= row.due_on:
                raise Refused("not-due", _l("整改期限 %(day)s 还没有过。", day=row.due_on.isoformat()))
            move(actor, found.id, rung(actor, found, "exit")["to"], remark)
            end_all_reminders(found)
        else:
            raise Invalid("action", _l("没有这种操作。"), where="action")
        row.outcome, row.remark, row.closed_at = outcome, remark.strip()[:2000], clock.now()
        audit(actor, "close-rectification", "application", found.id, school_id=found.school_id, outcome=outcome)
        untell(found, row.office_id, f"rectified/{row.id}")
        notices.end_all(found.school_id, f"years/{found.id}/rectify/{row.id}")
    return row


def exit_(actor: Account, application_id: uuid.UUID, remark: str) -> Application:
    """The office ends the status (退出、摘牌); an open order ends with it."""
    with write():
        found = locked(actor, application_id)
        need_office(actor, found)
        step = rung(actor, found, "exit")
        row = open_rectification(found)
        if row is not None:
            row.outcome, row.remark, row.closed_at = "exited", remark.strip()[:2000], clock.now()
            notices.end_all(found.school_id, f"years/{found.id}/rectify/{row.id}")
        move(actor, found.id, step["to"], remark)
        end_all_reminders(found)
    return found


def lacks_for_acceptance(found: Application) -> list[str]:
    """What stands against accepting (验收): an open order, the acceptance report that is not in."""
    lacks = ["有未办结的整改"] if open_rectification(found) is not None else []
    wanted = [one for one in pack_of(found).document.get("reports", ()) if one.get("kind") == "acceptance"]
    for one in wanted:
        if found.kind not in one.get("by", (found.kind,)):
            continue
        query = select(PhaseReport.id).where(
            PhaseReport.application_id == found.id, PhaseReport.report == one["id"], PhaseReport.status == "submitted"
        )
        if db.session.scalar(query.limit(1)) is None:
            lacks.append(f"还没有提交“{one['name']}”")
    return lacks


def accept(actor: Account, application_id: uuid.UUID, remark: str) -> Application:
    """The office accepts what was done (验收、期满); raises Refused naming what is missing."""
    with write():
        found = locked(actor, application_id)
        need_office(actor, found)
        step: dict[str, Any] = rung(actor, found, "accept")
        lacks = lacks_for_acceptance(found)
        if lacks:
            raise Refused("acceptance", _l("还不能验收：%(lacks)s。", lacks="；".join(lacks)), lacks=lacks)
        move(actor, found.id, step["to"], remark)
        end_all_reminders(found)
    return found


@dataclass(frozen=True)
class Standing:
    """Statuses of those that went through an office, under one notice and kind; for dashboards."""

    slug: str
    kind: str
    by_status: Mapping[str, int]
    late: int
    rectifying: int


def standings(office_id: uuid.UUID) -> list[Standing]:
    """How many stand where: by notice and kind, the notice's status names; how many have something late, how many are rectifying."""
    groups: dict[tuple[str, str], list[Application]] = {}
    for row in below(office_id):
        groups.setdefault((row.slug, row.kind), []).append(row)
    made = []
    for (slug, kind), rows in sorted(groups.items()):
        counts: dict[str, int] = {}
        for row in rows:
            name = pack_of(row).status_name(row.status)
            counts[name] = counts.get(name, 0) + 1
        late = sum(bool(one) for one in late_of(rows).values())
        made.append(Standing(slug, kind, counts, late, len(open_rectifications(rows))))
    return made
