"""Who is missing (谁还没报): organisations below against what they handed in for a batch; a reminder to copy, a notice in the app, Excel."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.errors import Invalid, NotFound
from lms.core.models import Account, Organisation
from lms.notices import service as notices
from lms.programmes import workflow
from lms.programmes.dates import ZONE
from lms.programmes.models import Application
from lms.programmes.notices import above, days_for, due_of, pack_named, pack_of
from lms.programmes.pack import Document, Pack
from lms.programmes.reminders import missing_key
from lms.programmes.rules import EDITABLE, way
from lms.programmes.selection import behalf
from lms.programmes.selection.tables import Workbook

STATES = {
    "none": _l("未报"),
    "returned": _l("退回后未报"),
    "handed": _l("已报"),
    "refused": _l("未通过"),
    "withdrawn": _l("已撤回"),
}


@dataclass(frozen=True)
class Line:
    """An organisation that may apply: ``state`` of STATES; ``via``: the office it reports to; ``days`` left, None without a day, negative when over.

    ``step``: the application's, 0 where there is none.
    """

    organisation: Organisation
    state: str
    via: str
    due: date | None
    days: int | None
    at: str
    account: bool
    step: int = 0


@dataclass(frozen=True)
class Overview:
    """Everything on the page."""

    pack: Pack
    kind: Document
    batch: Document
    lines: tuple[Line, ...]

    @property
    def missing(self) -> list[Line]:
        """Those who have not handed in."""
        return [one for one in self.lines if one.state in ("none", "returned", "withdrawn")]


def overview(actor: Account, slug: str, kind: str, batch: str) -> Overview:
    """Organisations below the office that may apply, against what they handed in. What stands in a draft is not told, nor that there is one."""
    workflow.need_officer(actor)
    office = db.session.get_one(Organisation, actor.organisation_id)
    pack = pack_named(office.id, slug)
    try:
        kind_, batch_ = pack.kind(kind), pack.batch(batch)
    except KeyError as error:
        raise NotFound("batch", _l("没有这个类别或批次。")) from error
    wanted = db.session.scalars(
        select(Organisation)
        .where(
            Organisation.path.startswith(office.path),
            Organisation.id != office.id,
            Organisation.level.in_(kind_["applicant"]),
        )
        .order_by(Organisation.path)
    ).all()
    held = {
        row.school_id: row
        for row in db.session.scalars(
            select(Application).where(Application.slug == slug, Application.kind == kind, Application.batch == batch)
        )
    }
    now = clock.now()
    today = now.astimezone(ZONE).date()
    silent = {one.id for one in behalf.wards_of(office.id)}
    days = days_for([], wanted)
    lines = []
    for one in wanted:
        stations = way(kind_, above(one.id))
        if not stations:
            continue
        found = held.get(one.id)
        due = due_of(pack, batch, stations, 0, now, days)
        at = (
            db.session.get_one(Organisation, found.office_id).name
            if found and found.office_id and _state(found) == "handed"
            else ""
        )
        left = (due.day - today).days if due.day else None
        step = found.edition if found else 0
        lines.append(Line(one, _state(found), stations[0].office.name, due.day, left, at, one.id not in silent, step))
    return Overview(pack, kind_, batch_, tuple(lines))


def _state(found: Application | None) -> str:
    if found is None:
        return "none"
    meaning = pack_of(found).status_is(found.status)
    if meaning == "draft":
        return "none"
    return "returned" if meaning in EDITABLE else meaning if meaning in ("refused", "withdrawn") else "handed"


def reminder(made: Overview, office: Organisation) -> str:
    """A text to copy into a letter or a group: who is missing, until when."""
    days = {one.due for one in made.missing}
    groups = []
    for day in sorted(days, key=lambda one: (one is None, one or date.max)):
        names = "、".join(one.organisation.name for one in made.missing if one.due == day)
        until = f"请于{day.month}月{day.day}日24时前提交" if day else "请尽快提交"
        groups.append(f"{names}：{until}。")
    head = f"【提醒】{made.pack.title}（{made.kind['name']}，{made.batch['name']}）还有 {len(made.missing)} 个单位没有报送。"
    return "\n".join([head, *groups, f"逾期系统不再接收。如有困难请与{office.name}联系。"])


def remind(actor: Account, made: Overview, chosen: Collection[uuid.UUID]) -> int:
    """Tell the chosen ones that have accounts, in the app; once a day. Returns how many organisations were told."""
    today = clock.now().astimezone(ZONE).date()
    wanted = [one for one in made.missing if one.organisation.id in chosen and one.account]
    if not wanted:
        raise Invalid("none-chosen", _l("请先勾选有账号的单位；没有账号的请复制提醒文字另行通知。"), where="chosen")
    with write():
        for one in wanted:
            own = one.organisation.id
            until = f"，请于 {one.due} 24时前提交" if one.due else ""
            key = f"{missing_key(made.pack.slug, made.kind['id'], made.batch['id'])}{today}/{one.step}"
            matter = notices.Matter(
                key, f"您单位还没有报送{made.kind['name']}{until}", made.pack.title, "/programmes/", one.due
            )
            notices.tell(own, {*notices.holders(own, "school_admin"), *notices.holders(own, "officer")}, matter)
        audit(
            actor,
            "remind-missing",
            "notice",
            made.pack.slug,
            kind=made.kind["id"],
            batch=made.batch["id"],
            count=len(wanted),
        )
    return len(wanted)


def book(made: Overview, names: Sequence[str] = ()) -> bytes:
    """The list as Excel."""
    sheet = Workbook()
    rows = [
        [
            number,
            one.organisation.name,
            one.organisation.code,
            one.via,
            str(STATES[one.state]),
            one.at,
            str(one.due or ""),
            "" if one.days is None else one.days,
            "有" if one.account else "无，代填",
        ]
        for number, one in enumerate(made.lines, 1)
    ]
    head = ["序号", "单位", "代码", "报送至", "情况", "现在", "截止日", "剩余天数", "账号"]
    note = f"{made.kind['name']} · {made.batch['name']}　应报 {len(made.lines)}，未报 {len(made.missing)}"
    sheet.sheet("报送情况", made.pack.title, [note, *names], head, rows, [6, 30, 16, 20, 12, 20, 14, 10, 12])
    return sheet.saved()
