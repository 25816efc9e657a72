"""The way upward (流转): submit with a receipt, return, recommend within quota, refuse, decide, appeal, withdraw, and the status ladder after."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotAllowed, Refused
from lms.core.models import Account, Organisation
from lms.notices import service as notices
from lms.programmes import filing, papers, service
from lms.programmes.dates import ZONE
from lms.programmes.models import Application, ApplicationStep
from lms.programmes.notices import due_of, lock, mend_days, own_due, pack_of, stations_of
from lms.programmes.pack import Document, Pack
from lms.programmes.reminders import stop
from lms.programmes.rules import EDITABLE, Lack, Station, may_appeal, quotas_for, station_at
from lms.programmes.sealing import service as sealing
from lms.programmes.selection.models import Plaque
from lms.programmes.service import application, files_of, manages, parts_of, stages_of, steps_of
from lms.programmes.years.rules import means
from lms.roster.models import School

ACTIONS = ("submit", "return", "recommend", "grant", "refuse", "withdraw", "appeal", "ladder", "recall")
ACTION_NAMES = {
    "submit": _l("提交"), "return": _l("退回修改"), "recommend": _l("推荐"), "grant": _l("确定"), "refuse": _l("不予推荐"),
    "withdraw": _l("撤回"), "appeal": _l("申诉"), "ladder": _l("状态变更"), "recall": _l("收回推荐"),
}  # fmt: skip
RECALLS = {"recommend": _l("收回推荐"), "return": _l("收回退回"), "refuse": _l("收回不予推荐")}


def verb_of(found: Application, step: ApplicationStep) -> str:
    """What a step is called: by the notice's own verb where it has one (推荐, 评估通过，挂牌, 摘牌退出)."""
    kind = pack_of(found).kind(found.kind)
    if step.action == "ladder":
        return next(
            (one["verb"] for one in kind["ladder"] if one["to"] == step.to_status and step.from_status in one["from"]),
            str(ACTION_NAMES["ladder"]),
        )
    if step.action == "recall":
        undone = {"returned": "return", "refused": "refuse"}.get(
            pack_of(found).status_is(step.from_status), "recommend"
        )
        return str(RECALLS[undone])
    if step.action in ("recommend", "grant"):
        return next(
            (one["verb"] for one in kind["chain"] if one["status"] == step.from_status), str(ACTION_NAMES[step.action])
        )
    return str(ACTION_NAMES[step.action])


def came_back(found: Application) -> ApplicationStep | None:
    """The step with which an office returned or refused it, while nobody has acted since."""
    steps = steps_of(found)
    return steps[-1] if steps and steps[-1].action in ("return", "refuse") else None


def lacks_of(found: Application) -> list[Lack]:
    """Everything that is missing or wrong in what was written, handed in and sealed; the hard ones stop the submission."""
    return [*service.lacks_of(found), *sealing.lacks(found, papers.codes_of(found))]


def submit(actor: Account, application_id: uuid.UUID, told: Callable[[Application], str] | None = None) -> Application:
    """Hand in before the deadline; the receipt says when by the server's clock. Raises Refused naming everything that is missing.

    ``told``: what the person says of must-criteria that are not met (:func:`selfcheck.exception_told`), asked when nothing is missing.
    """
    with write() as session:
        found = _locked(actor, application_id)
        pack = pack_of(found)
        _need_manager(actor, found)
        if pack.status_is(found.status) not in EDITABLE:
            raise Refused("submitted", _l("这份申报已经提交。"))
        stations, now = stations_of(found), clock.now()
        target = 0 if found.office_id is None else station_at(stations, found.office_id) or 0
        due = own_due(found, now)
        if due is not None and due.over:
            raise Refused(
                "deadline",
                _l("%(office)s 的截止日是 %(day)s，已经过了，不能提交。", office=due.office.name, day=str(due.day)),
                remedy=_l("请与主管部门联系；写好的内容仍然保留。"),
                clause="B9",
            )
        hard = [one.text for one in lacks_of(found) if one.hard]
        if hard:
            raise Refused(
                "incomplete",
                _l("还不能提交：%(first)s", first=hard[0]),
                remedy=_l("请补齐 %(count)s 处后再提交。", count=len(hard)),
                lacks=hard,
            )
        remark = told(found) if told else ""
        if pack.kind(found.kind).get("stages"):
            found.stages = stages_of(found.school_id)  # quotas are counted by them
        found.submitted_at = now
        filed = filing.keep(found, len(steps_of(found)) + 1)
        stamp = f"{found.id}/{found.edition}/{now.isoformat()}/{json.dumps(filed.codes, sort_keys=True)}"
        found.receipt, to = hashlib.sha256(stamp.encode()).hexdigest()[:12].upper(), stations[target]
        _step(
            actor, found, "submit", to.status, to=to.office.id, remark=remark, receipt=found.receipt, codes=filed.codes
        )
        session.flush()
    return found


def withdraws_for_good(found: Application) -> bool:
    """Whether taking it back now ends it in this batch: the first office has already passed it on (退出本批)."""
    stations = stations_of(found)
    return bool(stations) and found.office_id != stations[0].office.id


def withdraw(actor: Account, application_id: uuid.UUID, remark: str = "") -> Application:
    """The applicant takes it back while nobody has decided; it may be handed in again before the deadline. Later it needs a reason."""
    with write():
        found = _locked(actor, application_id)
        pack = pack_of(found)
        _need_manager(actor, found)
        if pack.status_is(found.status) != "waiting":
            raise Refused("withdraw", _l("现在不能撤回。"))
        final = withdraws_for_good(found)
        remark = _need_remark(remark) if final else remark
        found.office_id = None
        _step(actor, found, "withdraw", pack.status("withdrawn" if final else "draft"), remark=remark)
    return found


def appeal(actor: Account, application_id: uuid.UUID, remark: str) -> Application:
    """The applicant asks the office that refused to look again, within the notice's days, once."""
    with write():
        found = _locked(actor, application_id)
        pack = pack_of(found)
        _need_manager(actor, found)
        again = any(step.action == "appeal" for step in steps_of(found))
        if (
            pack.status_is(found.status) != "refused"
            or again
            or not may_appeal(pack.kind(found.kind), found.refused_at, clock.now())
        ):
            raise Refused("appeal", _l("现在不能申诉：不在申诉期内，或已经申诉过一次。"))
        stations = stations_of(found)
        station = stations[station_at(stations, found.refused_by) or 0]
        _step(actor, found, "appeal", station.status, to=station.office.id, remark=_need_remark(remark))
    return found


def act(
    actor: Account, application_id: uuid.UUID, action: str, remark: str = "", due_on: date | None = None
) -> Application:
    """An office acts on what lies with it: ``recommend`` (or ``grant`` at the last station), ``return`` (until ``due_on``), ``refuse``."""
    with write() as session:
        _lock_office(actor)
        found = _locked(actor, application_id)
        pack = pack_of(found)
        stations = stations_of(found)
        number = station_at(stations, actor.organisation_id)
        if number is None or found.office_id != actor.organisation_id or pack.status_is(found.status) != "waiting":
            raise Refused("not-here", _l("这份申报现在不在本单位。"), remedy=_l("请刷新收件箱。"))
        decide(actor, found, Desk(stations, number, clock.now(), due_on), action, remark)
        session.flush()
    return found


@dataclass(frozen=True)
class Desk:
    """Where and when an office decides: station ``number`` of the way, ``at`` judges deadlines; ``due_on``: 补正期限 of a return, None as proposed."""

    stations: Sequence[Station]
    number: int
    at: datetime
    due_on: date | None = None


def decide(actor: Account, found: Application, desk: Desk, action: str, remark: str) -> None:
    """What the office at the desk decides, in the open write, under its lock; ``actor`` acts there, or records its paper (代录)."""
    pack, stations, here = pack_of(found), desk.stations, desk.stations[desk.number]
    if action == "return":
        remark, day = _need_remark(remark), _mend_day(found, desk)
        _step(actor, found, "return", pack.status("returned"), by=here, remark=remark, keep_office=True, due_on=day)
    elif action == "refuse":
        found.refused_by, found.refused_at = here.office.id, clock.now()
        _step(actor, found, "refuse", pack.status("refused"), by=here, remark=_need_remark(remark))
    elif action == "recommend":
        _need_place(pack, found, here.office.id, here)
        if here.last:
            _step(actor, found, "grant", pack.kind(found.kind)["granted"], by=here, remark=remark)
        else:
            following = stations[desk.number + 1]
            due = due_of(pack, found.batch, stations, desk.number + 1, desk.at)
            if due.over:
                raise Refused(
                    "deadline",
                    _l("%(office)s 的截止日是 %(day)s，已经过了。", office=due.office.name, day=str(due.day)),
                    clause="B9",
                )
            _step(actor, found, "recommend", following.status, by=here, to=following.office.id, remark=remark)
    else:
        raise Invalid("action", _l("没有这种操作。"), where="action")


def _mend_day(found: Application, desk: Desk) -> date:
    """Until when it may be put right; raises Refused where the office could not pass it on any more, Invalid for a day that cannot be."""
    now = clock.now()
    usual, last = mend_days(found, desk.stations, desk.number, now)
    today = now.astimezone(ZONE).date()
    if last is not None and last < today:
        office = desk.stations[desk.number + 1].office.name
        raise Refused(
            "deadline",
            _l("%(office)s 的截止日是 %(day)s，已经过了：退回以后也报不上去。", office=office, day=str(last)),
            remedy=_l("请与上级联系；不能上报的，请写明理由不予推荐。"),
            clause="B9",
        )
    day, most = desk.due_on or usual, last or today + timedelta(days=366)
    if not today <= day <= most:
        raise Invalid(
            "mend-day",
            _l("补正期限应在 %(first)s 至 %(last)s 之间。", first=str(today), last=str(most)),
            where="due_on",
        )
    return day


def to_recall(found: Application, office_id: uuid.UUID) -> ApplicationStep | None:
    """The office's last step, if it may still take it back: a recommendation, return or refusal on which nobody has acted yet."""
    steps = steps_of(found)
    last = steps[-1] if steps else None
    if last is None or last.action not in RECALLS or last.by_office_id != office_id:
        return None
    return None if last.action == "return" and _touched(found, last.created_at) else last


def _touched(found: Application, since: datetime) -> bool:
    """Whether the applicant has changed anything since."""
    return any(one.saved_at > since for one in parts_of(found).values()) or any(
        one.created_at > since for one in files_of(found)
    )


def recall(actor: Account, application_id: uuid.UUID, remark: str) -> Application:
    """An office takes its last step back while nobody has acted on it: a recommendation (its place is free again), a return, a refusal."""
    with write():
        _lock_office(actor)
        found = _locked(actor, application_id)
        stations = stations_of(found)
        number = station_at(stations, actor.organisation_id)
        if number is None or to_recall(found, actor.organisation_id) is None:
            raise Refused(
                "recall",
                _l("对方已经办理，或已经开始修改，不能收回。"),
                remedy=_l("请联系上级退回，或等申报单位再次提交。"),
            )
        here = stations[number]
        found.refused_by = found.refused_at = None
        _step(actor, found, "recall", here.status, by=here, to=here.office.id, remark=_need_remark(remark))
    return found


def climb(actor: Account, application_id: uuid.UUID, to: str, remark: str) -> Application:
    """An office moves a granted status by hand along the notice's ladder; Refused where the years' room has a procedure for the step."""
    with write():
        found = _locked(actor, application_id)
        ladder = [one for one in pack_of(found).kind(found.kind).get("ladder", ()) if one["to"] == to]
        step = next((one for one in ladder if found.status in one["from"]), None)
        if step is not None and has_procedure(found, step):
            raise Refused(
                "procedure",
                _l("“%(verb)s”要按程序办理：抽查或整改的记录、期限、报告都在“实施”里。", verb=step["verb"]),
                remedy=_l("请打开这份申报的“实施”页办理。"),
            )
        return move(actor, application_id, to, remark)


def move(actor: Account, application_id: uuid.UUID, to: str, remark: str) -> Application:
    """An office moves a granted status along the notice's own ladder: plaque, warning, rectified, accepted, exit …"""
    with write():
        found = _locked(actor, application_id)
        office = db.session.get_one(Organisation, actor.organisation_id)
        step = next((one for one in rungs(found, office.level) if one["to"] == to), None)
        stations = stations_of(found)
        number = station_at(stations, actor.organisation_id)
        if step is None or number is None:
            raise Refused("ladder", _l("本单位现在不能作这一步。"))
        _step(actor, found, "ladder", to, by=stations[number], remark=_need_remark(remark))
        _call_in_plaques(found)
    return found


def _call_in_plaques(found: Application) -> None:
    """Where the status has no plaque any more, who gave one is told to take it back (应收回)."""
    pack = pack_of(found)
    if pack.document["statuses"][found.status].get("plaque"):
        return
    name = db.session.get_one(Organisation, found.school_id).name
    hanging = select(Plaque).where(Plaque.application_id == found.id, Plaque.withdrawn_at.is_(None))
    for row in db.session.scalars(hanging):
        title = f"{name}：{pack.status_name(found.status)}，牌 {row.number} 应收回"
        matter = notices.Matter(f"plaque/{row.id}/back", title, pack.title, "/programmes/selection/plaques")
        notices.tell(row.school_id, notices.holders(row.school_id, "officer"), matter)


def has_procedure(found: Application, step: Document) -> bool:
    """Whether the years' room has a procedure for a step of the ladder: warning, rectified, exit, acceptance; all but going on (推进)."""
    return means(pack_of(found).document, step) != "promote"


def rungs(found: Application, level: str) -> list[Document]:
    """Steps of the ladder that an office of that level may take now."""
    ladder = pack_of(found).kind(found.kind).get("ladder", ())
    return [one for one in ladder if found.status in one["from"] and level in one["by"]]


@dataclass(frozen=True)
class Quota:
    """A quota of this office: how many places, how many are used, and by which of 城区, 镇区, 乡村 where the notice wants a balance."""

    name: str
    most: int
    used: int
    clause: str
    spread: dict[str, int]

    @property
    def full(self) -> bool:
        """No place is left."""
        return self.used >= self.most


def quotas_of(found: Application, office_id: uuid.UUID) -> list[Quota]:
    """Quotas that recommending it would use up, with what is used."""
    office = db.session.get_one(Organisation, office_id)
    pack = pack_of(found)
    return [
        quota_of(pack, one, found.batch, office_id)
        for one in quotas_for(pack.document, office.level, found.kind, found.batch, found.stages)
    ]


def quota_of(pack: Pack, quota: Any, batch: str, office_id: uuid.UUID) -> Quota:
    """A quota of the notice as it stands at the office."""
    rows = _given(pack, quota, batch, office_id)
    return Quota(quota["name"], quota["most"], len(rows), quota["clause"], _spread(rows, quota.get("balance", ())))


def _given(pack: Pack, quota: Any, batch: str, office_id: uuid.UUID) -> list[Application]:
    """What stands on the places of a quota: recommended or granted by the office and not taken back since."""
    latest = select(ApplicationStep.application_id, func.max(ApplicationStep.number).label("number")).where(
        ApplicationStep.by_office_id == office_id, ApplicationStep.action.in_(("recommend", "grant"))
    )
    steps = latest.group_by(ApplicationStep.application_id).subquery()
    query = (
        select(Application)
        .join(steps, steps.c.application_id == Application.id)
        .where(Application.slug == pack.slug, Application.batch == batch, Application.kind.in_(quota["kinds"]))
    )
    rows = [row for row in db.session.scalars(query) if _takes_place(pack, row, office_id)]
    return [row for row in rows if "stages" not in quota or set(quota["stages"]) & set(row.stages)]


def _takes_place(pack: Pack, row: Application, office_id: uuid.UUID) -> bool:
    """What a higher office returns or refuses was handed up all the same; what this office took back, or the applicant withdrew, was not."""
    meaning = pack.status_is(row.status)
    return (
        row.office_id != office_id
        and meaning not in ("draft", "withdrawn")
        and not (meaning == "refused" and row.refused_by == office_id)
    )


def _spread(rows: Sequence[Application], names: Sequence[str]) -> dict[str, int]:
    """How given places are spread over 城区, 镇区 and 乡村, where the notice wants a balance (兼顾城市与农村)."""
    if not names:
        return {}
    query = select(School.locality, func.count()).where(School.id.in_({row.school_id for row in rows}))
    found = {row[0]: row[1] for row in db.session.execute(query.group_by(School.locality))}
    return {name: found.get(name, 0) for name in names}


def inbox(office_id: uuid.UUID) -> list[Application]:
    """Everything that came to the office, what waits there first, then by submission."""
    seen = select(ApplicationStep.application_id).where(ApplicationStep.to_office_id == office_id)
    rows = db.session.scalars(select(Application).where(Application.id.in_(seen))).all()

    def order(row: Application) -> tuple[bool, datetime]:
        waits = row.office_id == office_id and pack_of(row).status_is(row.status) == "waiting"
        return not waits, row.submitted_at or row.created_at

    return sorted(rows, key=order)


def _locked(actor: Account, application_id: uuid.UUID) -> Application:
    found = application(actor, application_id)
    db.session.refresh(found, with_for_update=True)
    return found


def need_officer(actor: Account) -> None:
    """Raise NotAllowed for everybody but officers (经办人) of the office itself."""
    if not may(actor, ("officer",)):
        raise NotAllowed("officer", _l("只有主管部门的经办人可以办理。"))


def _lock_office(actor: Account) -> None:
    """One decision of an office after another: its quota is counted under this lock."""
    need_officer(actor)
    lock(actor.organisation_id)


def _need_place(pack: Pack, found: Application, office_id: uuid.UUID, here: Station) -> None:
    for one in quotas_for(pack.document, here.office.level, found.kind, found.batch, found.stages):
        if len(_given(pack, one, found.batch, office_id)) >= one["most"]:
            raise Refused(
                "quota",
                _l("名额已满：%(name)s（%(most)s）。", name=one["name"], most=one["most"]),
                remedy=_l("请先收回一份已推荐的申报。"),
                clause=one["clause"],
            )


def _need_manager(actor: Account, found: Application) -> None:
    if not manages(actor, found):
        raise NotAllowed("applicant", _l("请由申报单位的管理员办理。"))


def _need_remark(remark: str) -> str:
    if not remark.strip():
        raise Invalid("remark", _l("请写明理由，对方会看到。"), where="remark")
    return remark.strip()[:2000]


def _step(
    actor: Account,
    found: Application,
    action: str,
    status: str,
    *,
    by: Station | None = None,
    to: uuid.UUID | None = None,
    remark: str = "",
    keep_office: bool = False,
    due_on: date | None = None,
    **detail: Any,
) -> None:
    number = (
        db.session.scalar(select(func.max(ApplicationStep.number)).where(ApplicationStep.application_id == found.id))
        or 0
    ) + 1
    before, office = found.status, by.office.id if by else None
    db.session.add(
        ApplicationStep(
            id=new_id(), school_id=found.school_id, application_id=found.id, number=number, action=action, from_status=before,
            to_status=status, by_office_id=office, to_office_id=to, remark=remark.strip()[:2000], due_on=due_on, by_id=actor.id,
        )
    )  # fmt: skip
    found.status = status
    found.edition += 1
    if not keep_office:
        found.office_id = to
    audit(
        actor,
        f"application-{action}",
        "application",
        found.id,
        school_id=found.school_id,
        status=status,
        was=before,
        **detail,
    )
    _tell(found, action, to, number, due_on)


def _tell(found: Application, action: str, to: uuid.UUID | None, number: int, due_on: date | None) -> None:
    """Tell who must act now; whoever was asked before is reminded no more."""
    pack, name = pack_of(found), db.session.get_one(Organisation, found.school_id).name
    link = f"/programmes/{found.id}"
    for office in (one.office.id for one in stations_of(found)):
        notices.end(office, f"application/{found.id}/inbox/{number - 1}")
    notices.end(found.school_id, f"application/{found.id}/back/{number - 1}")
    stop(found)
    title = f"{name}：{pack.status_name(found.status)}" + (f"，请在 {due_on} 结束前补正" if due_on else "")
    if to is not None:
        notices.tell(
            to,
            notices.holders(to, "officer"),
            notices.Matter(f"application/{found.id}/inbox/{number}", title, pack.title, link),
        )
    elif action in ("return", "refuse", "grant", "ladder"):
        own = {*notices.holders(found.school_id, "school_admin"), *notices.holders(found.school_id, "officer")}
        if found.filled_by_id:
            own |= {*notices.holders(found.filled_by_id, "officer")}
        notices.tell(
            found.school_id,
            own,
            notices.Matter(f"application/{found.id}/back/{number}", title, pack.title, link, due_on),
        )
