"""The door of the selection (评审): panels, experts, assignment, ranking, decisions. Only officers of the office; rules decide."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import delete, func, select

from lms.core import clock
from lms.core.audit import audit
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.notices import service as notices
from lms.programmes import workflow
from lms.programmes.models import Application, ApplicationPart, ApplicationStep
from lms.programmes.notices import above, lock, open_batches, pack_named, pack_of, packs_for
from lms.programmes.pack import Document, Pack
from lms.programmes.selection import rules
from lms.programmes.selection.models import Expert, Panel, PanelExpert, Review
from lms.roster.models import School

OFFICER = ("officer",)
LIVE = ("open", "handed")


@dataclass(frozen=True)
class Field:
    """A kind and batch that the office decides on: the notice, with the panel where one was opened, and how many came."""

    pack: Pack
    kind: Document
    batch: Document
    panel: Panel | None
    came: int


def fields_of(office: Organisation) -> list[Field]:
    """What the office may review now: kinds whose chain it stands on, in batches that are open or in which something came."""
    panels = {
        (row.slug, row.kind, row.batch): row
        for row in db.session.scalars(select(Panel).where(Panel.school_id == office.id))
    }
    counts: dict[tuple[str, str, str], int] = {}
    for row in workflow.inbox(office.id):
        counts[row.slug, row.kind, row.batch] = counts.get((row.slug, row.kind, row.batch), 0) + 1
    found = []
    now = clock.now()
    for pack in packs_for(office.id):
        opened = {one["id"] for one in open_batches(pack, now)}
        for kind in pack.document["kinds"]:
            if all(step["level"] != office.level for step in kind["chain"]):
                continue
            for batch in pack.document["batches"]:
                key = pack.slug, kind["id"], batch["id"]
                if batch["id"] in opened or key in counts or key in panels:
                    found.append(Field(pack, kind, batch, panels.get(key), counts.get(key, 0)))
    return found


def open_panel(actor: Account, slug: str, kind: str, batch: str) -> Panel:
    """Begin a review, or go on with the one that was begun; its sheet is the notice's, or a proposal that the office may change."""
    workflow.need_officer(actor)
    office = db.session.get_one(Organisation, actor.organisation_id)
    pack = pack_named(office.id, slug)
    if all((kind, batch) != (one.kind["id"], one.batch["id"]) for one in fields_of(office) if one.pack.slug == slug):
        raise NotFound("panel", _l("本单位不评审这一类申报。"))
    with write() as session:
        lock(office.id)
        row = session.scalar(
            select(Panel).where(
                Panel.school_id == office.id, Panel.slug == slug, Panel.kind == kind, Panel.batch == batch
            )
        )
        if row is None:
            given = next((one for one in pack.document.get("scoring", ()) if kind in one["kinds"]), None)
            row = Panel(
                id=new_id(), school_id=office.id, slug=slug, kind=kind, batch=batch, own=given is None, created_by=actor.id,
                sheet=[dict(one) for one in (given["items"] if given else rules.NORMAL_SHEET)],
            )  # fmt: skip
            session.add(row)
            audit(actor, "open-panel", "panel", row.id, notice=slug, kind=kind, batch=batch)
    return row


def panel(actor: Account, panel_id: uuid.UUID) -> Panel:
    """One of the office's own; NotFound for others, as if there were none."""
    workflow.need_officer(actor)
    row = db.session.get(Panel, panel_id)
    if row is None or row.school_id != actor.organisation_id:
        raise NotFound("panel", _l("没有这个评审。"))
    return row


def pack_for(row: Panel) -> Pack:
    """The notice as the panel's office sees it now."""
    return pack_named(row.school_id, row.slug)


def set_panel(
    actor: Account, panel_id: uuid.UUID, items: Sequence[Mapping[str, Any]], rule: str, threshold: int, each: int
) -> Panel:
    """Set the score sheet and the rules of the panel; the sheet is fixed once somebody has handed in."""
    cause = rules.sheet_problem(items)
    if cause:
        raise Invalid("sheet", _l("评分表有误：%(why)s。", why=cause), where="sheet")
    if rule not in ("mean", "median") or not 1 <= threshold <= 100 or not 1 <= each <= 9:
        raise Invalid("panel", _l("差异界限应为百分之 1 到 100，每份申报 1–9 位专家。"), where="threshold")
    with write():
        row = _locked(actor, panel_id)
        known = [{key: one.get(key, "") for key in ("id", "name", "most", "hint")} for one in row.sheet]
        wanted = [
            {
                "id": str(one["id"]),
                "name": str(one["name"]).strip()[:40],
                "most": one["most"],
                "hint": str(one.get("hint", "")).strip()[:200],
            }
            for one in items
        ]
        if known != wanted:
            if any(one.state == "handed" for one in reviews_of(row)):
                raise Refused(
                    "sheet-used",
                    _l("已经有专家交了分数，评分表不能再改。"),
                    remedy=_l("请先把已交的评审退回专家，或新开一批。"),
                )
            row.sheet, row.own = wanted, True
        row.rule, row.threshold, row.each = rule, threshold, each
        audit(actor, "set-panel", "panel", row.id, rule=rule, threshold=threshold, each=each, items=len(wanted))
    return row


# ---- applications


def applications_of(row: Panel) -> list[Application]:
    """What came to the office in this kind and batch and was not taken back, by submission."""
    seen = select(ApplicationStep.application_id).where(ApplicationStep.to_office_id == row.school_id)
    found = db.session.scalars(
        select(Application).where(
            Application.slug == row.slug,
            Application.kind == row.kind,
            Application.batch == row.batch,
            Application.id.in_(seen),
        )
    )
    return sorted(
        (one for one in found if pack_of(one).status_is(one.status) not in ("draft", "withdrawn")),
        key=lambda one: (one.submitted_at or one.created_at, str(one.id)),
    )


def waits(row: Panel, found: Application) -> bool:
    """Whether the application lies with the panel's office."""
    return found.office_id == row.school_id and pack_of(found).status_is(found.status) == "waiting"


def decided(row: Panel, found: Application) -> bool:
    """Whether the panel's office has decided: it lies there no more. What it returned comes back (补正)."""
    return found.office_id != row.school_id


def organisations_of(found: Sequence[Application]) -> dict[uuid.UUID, Organisation]:
    """The applicants with all that stand above them, in two questions; who holds them saves one question each."""
    own = db.session.scalars(select(Organisation).where(Organisation.id.in_({one.school_id for one in found}))).all()
    ids = {uuid.UUID(part) for one in own for part in one.path.split("/") if part}
    return {one.id: one for one in db.session.scalars(select(Organisation).where(Organisation.id.in_(ids)))}


def subjects_of(row: Panel, found: Sequence[Application]) -> dict[uuid.UUID, rules.Subject]:
    """What the rules on conflicts need to know of applications."""
    held = organisations_of(found)
    values: dict[uuid.UUID, list[tuple[str, Any]]] = {one.id: [] for one in found}
    query = select(ApplicationPart.application_id, ApplicationPart.key, ApplicationPart.value)
    for owner, key, value in db.session.execute(query.where(ApplicationPart.application_id.in_(values))):
        values[owner].append((key, value["value"]))
    return {one.id: _subject(row, one, held[one.school_id], values[one.id]) for one in found}


def _subject(row: Panel, found: Application, own: Organisation, values: Sequence[tuple[str, Any]]) -> rules.Subject:
    pack = pack_of(found)
    keys = frozenset(pack.keys_of(found.kind))
    names, phones = rules.people_of([(pack.part(key), value) for key, value in values if key in keys])
    higher = []
    for one in above(found.school_id):
        if one.id == row.school_id:
            break
        higher.append(one.name)
    query = select(Organisation.name).where(Organisation.path.startswith(own.path), Organisation.id != own.id)
    below = db.session.scalars(query).all() if own.level != "school" else ()
    return rules.Subject(found.id, own.name, own.path, frozenset(higher), frozenset(below), names, phones)


# ---- experts


def experts_of(office_id: uuid.UUID) -> list[Expert]:
    """Experts of the office, by name."""
    return list(
        db.session.scalars(
            select(Expert)
            .where(Expert.school_id == office_id, Expert.removed_at.is_(None))
            .order_by(Expert.name, Expert.id)
        )
    )


def panel_experts(row: Panel) -> list[Expert]:
    """Experts who take part in the panel."""
    query = (
        select(Expert)
        .join(PanelExpert, PanelExpert.expert_id == Expert.id)
        .where(PanelExpert.panel_id == row.id, Expert.removed_at.is_(None))
    )
    return list(db.session.scalars(query.order_by(Expert.name, Expert.id)))


def referee_of(row: Expert) -> rules.Referee:
    """What the rules on conflicts need to know of an expert."""
    unit = db.session.get(Organisation, row.unit_id) if row.unit_id else None
    return rules.Referee(row.id, row.name, row.unit, unit.path if unit else "", row.phone, frozenset(row.avoid))


def conflicts_of(row: Panel) -> dict[uuid.UUID, dict[uuid.UUID, list[str]]]:
    """Application → expert → reasons why he must not see it; experts without conflict have an empty list."""
    office = db.session.get_one(Organisation, row.school_id)
    referees = [referee_of(one) for one in panel_experts(row)]
    found = {
        key: {referee.id: rules.conflicts(referee, subject, office.path) for referee in referees}
        for key, subject in subjects_of(row, applications_of(row)).items()
    }
    for review in reviews_of(row):
        if review.state == "recused" and review.expert_id in found.get(review.application_id, {}):
            found[review.application_id][review.expert_id].append("declared")
    return found


# ---- reviews


def reviews_of(row: Panel) -> list[Review]:
    """All reviews of the panel that were not undone, oldest first."""
    query = select(Review).where(Review.panel_id == row.id, Review.state != "undone")
    return list(db.session.scalars(query.order_by(Review.created_at, Review.id)))


def assign(
    actor: Account, panel_id: uuid.UUID, application_id: uuid.UUID, expert_id: uuid.UUID, *, third: bool = False
) -> Review:
    """Give an application to an expert by hand; Refused where a conflict of interest stands between them."""
    with write():
        row = _locked(actor, panel_id)
        found = next((one for one in applications_of(row) if one.id == application_id), None)
        expert = next((one for one in panel_experts(row) if one.id == expert_id), None)
        if found is None or expert is None:
            raise NotFound("assignment", _l("这份申报或这位专家不在本次评审里。"))
        if not waits(row, found):
            raise Refused("not-here", _l("这份申报已经办理，不再评审。"))
        why = conflicts_of(row)[application_id][expert_id]
        if why:
            raise Refused(
                "conflict-of-interest", _l("%(name)s 应当回避：%(why)s。", name=expert.name, why="、".join(rules.REASONS[one] for one in why)),
                remedy=_l("请换一位专家。"), clause="回避",
            )  # fmt: skip
        return _give(actor, row, application_id, expert_id, third=third)


def _give(
    actor: Account,
    row: Panel,
    application_id: uuid.UUID,
    expert_id: uuid.UUID,
    *,
    third: bool = False,
    drawn: bool = False,
) -> Review:
    review = db.session.scalar(
        select(Review).where(
            Review.panel_id == row.id, Review.application_id == application_id, Review.expert_id == expert_id
        )
    )
    if review is None:
        review = Review(
            id=new_id(), school_id=row.school_id, panel_id=row.id, application_id=application_id, expert_id=expert_id
        )
        db.session.add(review)
    elif review.state in LIVE:
        return review
    review.state, review.third, review.drawn, review.reason = "open", third, drawn, ""
    db.session.flush()
    audit(
        actor,
        "assign-expert",
        "application",
        application_id,
        panel=str(row.id),
        expert=str(expert_id),
        third=third,
        drawn=drawn,
    )
    expert = db.session.get_one(Expert, expert_id)
    if expert.account_id:
        matter = notices.Matter(
            f"review/{review.id}/{new_id()}",
            str(_l("有一份申报请您评审")),
            pack_for(row).title,
            "/programmes/selection/reviews",
        )
        notices.tell(row.school_id, [expert.account_id], matter)
    return review


def draw(actor: Account, panel_id: uuid.UUID, seed: str = "") -> rules.Draw:
    """Draw experts for every application that lacks some; the seed is kept, so that the draw can be repeated before witnesses."""
    with write():
        row = _locked(actor, panel_id)
        experts = panel_experts(row)
        if not experts:
            raise Refused("no-experts", _l("还没有聘请专家。"), remedy=_l("请先在“专家”里登记并聘请。"))
        why, here = conflicts_of(row), {one.id for one in applications_of(row) if waits(row, one)}
        eligible = {
            one: [expert for expert, codes in found.items() if not codes] for one, found in why.items() if one in here
        }
        held: dict[uuid.UUID, list[uuid.UUID]] = {}
        for review in reviews_of(row):
            if review.state in LIVE:
                held.setdefault(review.application_id, []).append(review.expert_id)
        row.seed = (seed.strip() or secrets.token_hex(8))[:64]
        made = rules.draw(eligible, held, row.each, row.seed, [one.id for one in experts])
        for application_id, expert_id in made.pairs:
            _give(actor, row, application_id, expert_id, drawn=True)
        audit(actor, "draw-experts", "panel", row.id, seed=row.seed, pairs=len(made.pairs), short=len(made.short))
    return made


def undo_review(actor: Account, review_id: uuid.UUID, *, back: bool = False) -> None:
    """Take an assignment back while nothing was handed in; or (``back``) give what was handed in back to the expert to be changed."""
    with write():
        review = review_here(actor, review_id)
        _locked(actor, review.panel_id)
        if back != (review.state == "handed") or review.state not in LIVE:
            raise Refused("review", _l("这项评审现在不能这样办理。"), remedy=_l("请刷新页面。"))
        if back and decided(panel(actor, review.panel_id), db.session.get_one(Application, review.application_id)):
            raise Refused("decided", _l("这份申报已经办理，分数是决定的依据，不能再退回修改。"))
        review.state, review.handed_at = ("open", None) if back else ("undone", None)
        audit(
            actor,
            "give-back-review" if back else "undo-review",
            "review",
            review.id,
            application=str(review.application_id),
        )


def undo_draw(actor: Account, panel_id: uuid.UUID) -> int:
    """Take everything back that was drawn and in which nothing was written yet; returns how many."""
    with write():
        row = _locked(actor, panel_id)
        found = [
            one for one in reviews_of(row) if one.drawn and one.state == "open" and not one.scores and not one.comment
        ]
        for one in found:
            one.state = "undone"
        audit(actor, "undo-draw", "panel", row.id, pairs=len(found))
    return len(found)


def review_here(actor: Account, review_id: uuid.UUID) -> Review:
    """A review of the officer's own office; NotFound."""
    workflow.need_officer(actor)
    review = db.session.get(Review, review_id)
    if review is None or review.school_id != actor.organisation_id:
        raise NotFound("review", _l("没有这项评审。"))
    return review


@dataclass(frozen=True)
class Line:
    """An application in the ranking: its reviews in the order of assignment, totals, place; what to do about a wide divergence.

    ``recused``: reviews of experts who declined after they had handed in (回避); their points are kept and not counted.
    """

    found: Application
    name: str
    locality: str
    reviews: tuple[Review, ...]
    totals: tuple[float, ...]
    place: rules.Place
    wide: bool
    waits: bool
    third: uuid.UUID | None = None
    recused: tuple[Review, ...] = ()


def ranking(row: Panel) -> list[Line]:
    """Everything in the panel by place; ``third``: the expert proposed where two differ widely (fewest reviews, no conflict)."""
    found = {one.id: one for one in applications_of(row)}
    reviews: dict[uuid.UUID, list[Review]] = {one: [] for one in found}
    load: dict[uuid.UUID, int] = {one.id: 0 for one in panel_experts(row)}
    recused: dict[uuid.UUID, list[Review]] = {}
    for review in reviews_of(row):
        if review.state == "recused" and review.scores:
            recused.setdefault(review.application_id, []).append(review)
        if review.state in LIVE:
            reviews.setdefault(review.application_id, []).append(review)
            load[review.expert_id] = load.get(review.expert_id, 0) + 1
    totals = {
        one: [value for value in (_total(row, review) for review in reviews[one]) if value is not None] for one in found
    }
    most = rules.most_of(row.sheet)
    wide = {one for one in found if rules.diverges(totals[one], most, row.threshold) and len(reviews[one]) == 2}
    why = conflicts_of(row) if wide else {}
    localities = {
        one[0]: one[1]
        for one in db.session.execute(
            select(School.id, School.locality).where(School.id.in_([one.school_id for one in found.values()]))
        )
    }
    held = organisations_of(list(found.values()))
    lines = []
    for place in rules.rank(totals, row.rule):
        one = found[place.id]
        asked = {review.expert_id for review in reviews[one.id]}
        free = (
            [expert for expert, codes in why.get(one.id, {}).items() if not codes and expert not in asked]
            if one.id in wide
            else []
        )
        third = min(free, key=lambda expert: (load.get(expert, 0), str(expert)), default=None)
        if third is not None:
            load[third] = load.get(third, 0) + 1  # the next proposal goes to another
        lines.append(
            Line(
                one, held[one.school_id].name, localities.get(one.school_id, ""), tuple(reviews[one.id]),
                tuple(totals[one.id]), place, one.id in wide, waits(row, one), third, tuple(recused.get(one.id, ())),
            )
        )  # fmt: skip
    return lines


def _total(row: Panel, review: Review) -> float | None:
    return rules.total_of(row.sheet, review.scores) if review.state == "handed" else None


def decide(actor: Account, panel_id: uuid.UUID, application_ids: Iterable[uuid.UUID], action: str, remark: str) -> int:
    """Decide on one or many at once: all of them, or none where one cannot be (quota full, not here any more)."""
    row = panel(actor, panel_id)
    wanted = list(dict.fromkeys(application_ids))
    if not wanted:
        raise Invalid("none-chosen", _l("请先勾选申报。"), where="chosen")
    if action not in ("recommend", "refuse", "return"):
        raise Invalid("action", _l("没有这种操作。"), where="action")
    with write():
        lock(row.school_id)
        known = {one.id for one in applications_of(row)}
        for one in wanted:
            if one not in known:
                raise NotFound("application", _l("没有这份申报。"))
            workflow.act(actor, one, action, remark)
        audit(actor, "decide-panel", "panel", row.id, decision=action, count=len(wanted))
    return len(wanted)


def quotas_of(row: Panel) -> list[workflow.Quota]:
    """Quotas of the office over this panel's kind and batch, with what is used."""
    pack, office = pack_for(row), db.session.get_one(Organisation, row.school_id)
    return [
        workflow.quota_of(pack, one, row.batch, office.id)
        for one in pack.document.get("quotas", ())
        if one["level"] == office.level
        and row.kind in one["kinds"]
        and ("batches" not in one or row.batch in one["batches"])
    ]


def _locked(actor: Account, panel_id: uuid.UUID) -> Panel:
    """The panel, one change after another for its office, in the open write."""
    row = panel(actor, panel_id)
    lock(row.school_id)
    db.session.refresh(row, with_for_update=True)
    return row


def engage(actor: Account, panel_id: uuid.UUID, expert_ids: Iterable[uuid.UUID]) -> None:
    """Say who takes part in the panel (聘请); who has reviews that are not undone stays."""
    with write() as session:
        row = _locked(actor, panel_id)
        wanted = set(expert_ids)
        known = {one.id for one in experts_of(row.school_id)}
        if wanted - known:
            raise NotFound("expert", _l("没有这位专家。"))
        busy = {one.expert_id for one in reviews_of(row)}
        here = set(session.scalars(select(PanelExpert.expert_id).where(PanelExpert.panel_id == row.id)))
        if (here - wanted) & busy:
            names = "、".join(one.name for one in experts_of(row.school_id) if one.id in (here - wanted) & busy)
            raise Refused(
                "expert-busy", _l("%(names)s 手上还有评审，不能解聘。", names=names), remedy=_l("请先撤销分配。")
            )
        session.execute(
            delete(PanelExpert).where(PanelExpert.panel_id == row.id, PanelExpert.expert_id.in_(here - wanted))
        )
        session.add_all(
            PanelExpert(id=new_id(), school_id=row.school_id, panel_id=row.id, expert_id=one) for one in wanted - here
        )
        audit(actor, "engage-experts", "panel", row.id, count=len(wanted))


def progress(row: Panel) -> tuple[int, int]:
    """How many reviews were handed in, of how many."""
    rows = db.session.execute(
        select(Review.state, func.count()).where(Review.panel_id == row.id).group_by(Review.state)
    )
    counts: dict[str, int] = {found[0]: found[1] for found in rows}
    return counts.get("handed", 0), counts.get("handed", 0) + counts.get("open", 0)
