"""What comes out of the selection (结果): the internal ranking as Excel, the publication list without scores, plaques and their notice."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from flask import current_app, render_template
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock, paper, word
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.core.stages import STAGE_NAMES
from lms.notices import service as told
from lms.programmes import workflow
from lms.programmes.dates import ZONE
from lms.programmes.layout import SIMULATED, in_chinese
from lms.programmes.models import Application, ApplicationStep
from lms.programmes.notices import lock, pack_of
from lms.programmes.selection import rules, service
from lms.programmes.selection.models import Panel, Plaque, Publication
from lms.programmes.selection.tables import Workbook

RULE_NAMES = {"mean": "平均分", "median": "中位数"}
COLUMNS = ("序号", "单位", "类别", "学段")


def day_in(text: str, where: str) -> date:
    """A day of a form; raises Invalid."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid(where, _l("请填写日期。"), where=where) from error


def ranking_book(row: Panel, lines: Sequence[service.Line], names: Mapping[uuid.UUID, str]) -> bytes:
    """The ranking for the committee: place, score, every expert's sum; and a sheet of all items and words."""
    book = Workbook()
    notes = [
        f"内部材料，仅供评审委员会使用，不得外传　{clock.local(clock.now(), current_app.config['ZHIKE'].timezone):%Y-%m-%d %H:%M}",
        f"排序规则：各专家合计分的{RULE_NAMES[row.rule]}（保留两位小数），同分并列；满分 {rules.most_of(row.sheet)}，{'本级自定评分表' if row.own else '通知规定的评分表'}；"
        f"两位专家相差超过满分的 {row.threshold}% 的，请第三位专家评审后三个分数一起计算",
    ]
    most = max((len(one.reviews) for one in lines), default=0)
    experts = [f"专家{number}" for number in range(1, most + 1)]
    head = ["名次", "申报单位", "学段", "城乡", RULE_NAMES[row.rule], *experts, "说明", "状态"]
    ranked = [_ranked(row, one, most) for one in lines]
    book.sheet("排序", "评审排序", notes, head, ranked, [8, 30, 14, 8, 10, *[10] * most, 22, 16])
    items = [f"{item['name']}（{item['most']}）" for item in row.sheet]
    head = ["申报单位", "专家", "", *items, "合计", "评语"]
    scored = [_scored(row, one, review, names) for one in lines for review in one.reviews]
    book.sheet("明细", "评分明细", notes[:1], head, scored, [30, 12, 10, *[12] * len(items), 10, 60])
    return book.saved()


def _ranked(row: Panel, one: service.Line, most: int) -> list[Any]:
    """A school's row of the ranking, with the sums of ``most`` experts side by side."""
    totals = [_sum(row, review) for review in one.reviews]
    told = {"并列": one.place.tied, "差异大，待第三专家": one.wide, "代填": one.found.filled_by_id}
    return [
        "" if one.place.number is None else one.place.number,
        one.name,
        _stages(one.found),
        one.locality,
        "" if one.place.score is None else float(one.place.score),
        *totals,
        *[""] * (most - len(totals)),
        "、".join(word for word, holds in told.items() if holds),
        _status(one.found),
    ]


def _scored(row: Panel, one: service.Line, review: Any, names: Mapping[uuid.UUID, str]) -> list[Any]:
    """An expert's row of the details: points of each item, empty where not handed in."""
    given = review.scores if review.state == "handed" else {}
    points = ["" if given.get(item["id"]) is None else given[item["id"]] for item in row.sheet]
    third = "第三专家" if review.third else ""
    return [one.name, names.get(review.expert_id, ""), third, *points, _sum(row, review), review.comment]


def _sum(row: Panel, review: Any) -> Any:
    total = rules.total_of(row.sheet, review.scores) if review.state == "handed" else None
    return "未交" if total is None else total


def _stages(found: Application) -> str:
    return "、".join(STAGE_NAMES[one] for one in found.stages if one in STAGE_NAMES)


def _status(found: Application) -> str:
    return pack_of(found).status_name(found.status)


# ---- publication (公示)


def proposed(row: Panel) -> list[Application]:
    """What the office recommended or granted and what stands, in the order of its decisions: what a publication lists."""
    query = (
        select(Application)
        .join(ApplicationStep, ApplicationStep.application_id == Application.id)
        .where(
            Application.slug == row.slug, Application.kind == row.kind, Application.batch == row.batch,
            ApplicationStep.by_office_id == row.school_id, ApplicationStep.action.in_(("recommend", "grant")),
        )
        .order_by(ApplicationStep.created_at, ApplicationStep.id)
    )  # fmt: skip
    found = dict.fromkeys(db.session.scalars(query))
    return [
        one for one in found
        if one.office_id != row.school_id and pack_of(one).status_is(one.status) not in ("draft", "withdrawn", "refused", "returned")
    ]  # fmt: skip


def publish(actor: Account, panel_id: uuid.UUID, form: Mapping[str, str]) -> Publication:
    """Make a publication of what is proposed now; the list is kept as it was. Raises Invalid for dates and contacts that are missing."""
    row = service.panel(actor, panel_id)
    starts, ends = day_in(form.get("starts_on", ""), "starts_on"), day_in(form.get("ends_on", ""), "ends_on")
    if ends < starts:
        raise Invalid("ends_on", _l("公示结束日不能早于开始日。"), where="ends_on")
    title, contact, phone = (form.get(name, "").strip() for name in ("title", "contact", "phone"))
    if not title or not contact or not phone:
        raise Invalid("contact", _l("请填写标题、联系人和电话：公示期内要能反映意见。"), where="contact")
    found = proposed(row)
    if not found:
        raise Refused("nothing-to-publish", _l("还没有推荐或确定任何申报。"), remedy=_l("请先在“排序”里办理。"))
    kind = service.pack_for(row).kind(row.kind)["name"]
    rows = [
        {
            "application": str(one.id),
            "name": db.session.get_one(Organisation, one.school_id).name,
            "kind": kind,
            "stages": _stages(one),
        }
        for one in found
    ]
    with write() as session:
        made = Publication(
            id=new_id(), school_id=row.school_id, panel_id=row.id, title=title[:200], text=form.get("text", "").strip()[:4000], starts_on=starts, ends_on=ends,
            contact=contact[:60], phone=phone[:40], rows=rows, made_by=actor.id,
        )  # fmt: skip
        session.add(made)
        audit(
            actor,
            "publish-list",
            "publication",
            made.id,
            panel=str(row.id),
            count=len(rows),
            starts=starts.isoformat(),
            ends=ends.isoformat(),
        )
    return made


def publications_of(row: Panel) -> list[Publication]:
    """Publications of the panel, newest first."""
    return list(
        db.session.scalars(
            select(Publication).where(Publication.panel_id == row.id).order_by(Publication.created_at.desc())
        )
    )


def publication(actor: Account, publication_id: uuid.UUID) -> Publication:
    """One of the office's own; NotFound."""
    workflow.need_officer(actor)
    found = db.session.get(Publication, publication_id)
    if found is None or found.school_id != actor.organisation_id:
        raise NotFound("publication", _l("没有这份公示。"))
    return found


def closing_of(made: Publication) -> str:
    """The sentence on dates and contact at the end."""
    return (
        f"公示期为{in_chinese(made.starts_on.isoformat())}至{in_chinese(made.ends_on.isoformat())}。公示期内如有异议，"
        f"请以书面形式实名反映。联系人：{made.contact}，电话：{made.phone}。"
    )


def _publication_rows(made: Publication) -> list[tuple[str, str, str, str]]:
    return [(str(number), one["name"], one["kind"], one["stages"] or "–") for number, one in enumerate(made.rows, 1)]


def publication_docx(made: Publication) -> bytes:
    """The publication in the layout of GB/T 9704; no scores."""
    document = word.new_paper()
    _mark(document)
    word.write_title(document, made.title)
    for line in filter(None, [*made.text.split("\n"), closing_of(made)]):
        word.write_line(document, f"　　{line}")
    word.write_table(document, COLUMNS, _publication_rows(made), word.fitted(document, (14, 80, 36, 36)))
    _signed(document, db.session.get_one(Organisation, made.school_id).name, made.created_at)
    return word.saved(document)


def publication_xlsx(made: Publication) -> bytes:
    """The publication as Excel."""
    book = Workbook()
    book.sheet("公示名单", made.title, [closing_of(made)], COLUMNS, _publication_rows(made), [8, 40, 16, 20])
    return book.saved()


def publication_pdf(made: Publication) -> bytes:
    """The publication as PDF; raises Refused (``no-pdf``) where the server cannot print."""
    page = render_template(
        "selection/publication_paper.html", made=made, rows=_publication_rows(made), columns=COLUMNS, closing=closing_of(made),
        office=db.session.get_one(Organisation, made.school_id).name, day=_today_in_chinese(made.created_at),
        mark=SIMULATED if current_app.config["ZHIKE"].origin == "simulated" else "",
    )  # fmt: skip
    return paper.pdf(page, "css/programmes-paper.css")


PUBLICATION_FORMS: dict[str, Callable[[Publication], bytes]] = {
    "docx": publication_docx,
    "xlsx": publication_xlsx,
    "pdf": publication_pdf,
}


def _mark(document: Any) -> None:
    if current_app.config["ZHIKE"].origin == "simulated":
        word.write_line(document, SIMULATED, word.HEI, word.SIZE_5)


def _signed(document: Any, office: str, at: datetime) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH

    for text in ("", office, _today_in_chinese(at)):
        word.write_line(document, text)
        document.paragraphs[-1].alignment = WD_ALIGN_PARAGRAPH.RIGHT


def _today_in_chinese(at: datetime) -> str:
    return in_chinese(clock.local(at, current_app.config["ZHIKE"].timezone).date().isoformat())


# ---- plaques (挂牌)


def plaques_of(office_id: uuid.UUID) -> list[tuple[Plaque, Application, str]]:
    """The register: plaque, application, applicant's name; by number."""
    query = select(Plaque, Application, Organisation.name).join(Application, Application.id == Plaque.application_id)
    query = query.join(Organisation, Organisation.id == Application.school_id).where(Plaque.school_id == office_id)
    return [(row[0], row[1], row[2]) for row in db.session.execute(query.order_by(Plaque.number))]


def owed_back(row: Plaque, found: Application) -> bool:
    """Whether the plaque must be taken down (应收回): it still hangs, and the status has none any more."""
    return row.withdrawn_at is None and not pack_of(found).document["statuses"][found.status].get("plaque")


def state_of(row: Plaque, found: Application) -> str:
    """What the register says: in force, to be taken back, taken back with day and reason."""
    if row.withdrawn_at is not None:
        return f"已收回（{row.taken_on}）：{row.reason}"
    return f"应收回（{pack_of(found).status_name(found.status)}）" if owed_back(row, found) else "在用"


def without_plaque(office_id: uuid.UUID) -> list[tuple[Application, str]]:
    """Applications that this office granted, whose status has a plaque, and which have none in the register yet."""
    granted = select(ApplicationStep.application_id).where(
        ApplicationStep.by_office_id == office_id, ApplicationStep.action == "grant"
    )
    standing = select(Plaque.application_id).where(Plaque.school_id == office_id, Plaque.withdrawn_at.is_(None))
    query = select(Application, Organisation.name).join(Organisation, Organisation.id == Application.school_id)
    rows = db.session.execute(
        query.where(Application.id.in_(granted), Application.id.not_in(standing)).order_by(Organisation.name)
    )
    return [(row[0], row[1]) for row in rows if pack_of(row[0]).document["statuses"][row[0].status].get("plaque")]


def give_plaque(actor: Account, application_id: uuid.UUID, number: str, day: date, letter: str) -> Plaque:
    """Enter a plaque; Refused for a number that is taken, or a status without one."""
    workflow.need_officer(actor)
    if not number.strip() or len(number) > 60:
        raise Invalid("number", _l("请填写牌号，例如 HN-AI-2026-001。"), where="number")
    with write() as session:
        lock(actor.organisation_id)
        if all(one.id != application_id for one, _name in without_plaque(actor.organisation_id)):
            raise Refused("plaque", _l("这份申报现在不能登记挂牌：不是本单位确定的，通知没有挂牌，或已经登记。"))
        if session.scalar(
            select(Plaque.id).where(Plaque.school_id == actor.organisation_id, Plaque.number == number.strip())
        ):
            raise Invalid("number", _l("牌号 %(number)s 已经用过。", number=number.strip()), where="number")
        made = Plaque(
            id=new_id(), school_id=actor.organisation_id, application_id=application_id, number=number.strip(), given_on=day, letter=letter.strip()[:60],
            made_by=actor.id,
        )  # fmt: skip
        session.add(made)
        audit(actor, "give-plaque", "application", application_id, number=made.number, day=day.isoformat())
    return made


def plaque(actor: Account, plaque_id: uuid.UUID) -> Plaque:
    """One of the office's own; NotFound."""
    workflow.need_officer(actor)
    found = db.session.get(Plaque, plaque_id)
    if found is None or found.school_id != actor.organisation_id:
        raise NotFound("plaque", _l("没有这块牌。"))
    return found


def withdraw_plaque(actor: Account, plaque_id: uuid.UUID, reason: str, day: date) -> None:
    """Take a plaque out of force (收回、登记有误) on that day; the register keeps it with the reason."""
    if not reason.strip():
        raise Invalid("reason", _l("请写明收回的理由。"), where="reason")
    with write():
        row = plaque(actor, plaque_id)
        if row.withdrawn_at is not None:
            raise Refused("plaque", _l("这块牌已经收回。"))
        if day > clock.now().astimezone(ZONE).date():
            raise Invalid("taken_on", _l("收回日期不能晚于今天。"), where="taken_on")
        row.withdrawn_at, row.taken_on, row.reason = clock.now(), day, reason.strip()[:400]
        told.end(row.school_id, f"plaque/{row.id}/back")
        audit(actor, "withdraw-plaque", "application", row.application_id, number=row.number, day=day.isoformat())


def letter_docx(row: Plaque) -> tuple[str, bytes]:
    """The notice to the applicant in the layout of GB/T 9704: title, addressee, body, office and day. Name and bytes; no seal is drawn."""
    found = db.session.get_one(Application, row.application_id)
    pack, office = pack_of(found), db.session.get_one(Organisation, row.school_id)
    name, kind = db.session.get_one(Organisation, found.school_id).name, pack.kind(found.kind)["name"]
    document = word.new_paper()
    _mark(document)
    if row.letter:
        word.write_line(document, row.letter, centred=True)
    word.write_title(document, f"{office.name}关于认定{name}为\n“{pack.title}”{kind}的通知")
    word.write_line(document, "")
    word.write_line(document, f"{name}：")
    issued = f"（{pack.document['number']}）" if pack.document.get("number") else ""
    day = in_chinese(row.given_on.isoformat())
    for line in (
        f"根据{pack.document['issuer']}《{pack.title}》{issued}，经申报、逐级推荐、评审和公示，现认定你单位为{kind}，予以挂牌，牌号：{row.number}，挂牌日期：{day}。",
        "请按照通知要求和申报方案组织实施，按期填报进展，接受检查；未达到要求的，将按规定限期整改直至退出。",
    ):
        word.write_line(document, f"　　{line}")
    _signed(document, office.name, clock.now())
    return f"挂牌通知（{name}）.docx", word.saved(document)


def register_book(office_id: uuid.UUID) -> bytes:
    """The register of plaques as Excel."""
    book = Workbook()
    rows = []
    for number, (row, found, name) in enumerate(plaques_of(office_id), 1):
        pack = pack_of(found)
        rows.append(
            [
                number,
                row.number,
                name,
                pack.title,
                pack.kind(found.kind)["name"],
                row.given_on.isoformat(),
                row.letter,
                state_of(row, found),
            ]
        )
    head = ["序号", "牌号", "单位", "项目", "类别", "挂牌日期", "文号", "状态"]
    book.sheet(
        "挂牌登记",
        "挂牌登记表",
        [db.session.get_one(Organisation, office_id).name],
        head,
        rows,
        [6, 20, 30, 40, 12, 14, 20, 24],
    )
    return book.saved()
