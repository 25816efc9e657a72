"""What experts do (评分): save, hand in, decline (回避); and scores that come back by Excel, with a dry run row by row."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import may
from lms.core.db import db, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account, Organisation
from lms.notices import service as notices
from lms.programmes.models import Application
from lms.programmes.notices import lock
from lms.programmes.selection import rules
from lms.programmes.selection.experts import EXPERT, expert_here, rows_for
from lms.programmes.selection.models import Expert, Panel, Review
from lms.programmes.selection.service import LIVE, decided, panel, waits
from lms.programmes.selection.tables import Workbook, rows_of

CODE = "编号（请勿改动）"
HEAD = (CODE, "序号", "申报单位")
COMMENT = "评语"
LONGEST = 2000


@dataclass(frozen=True)
class Task:
    """A review with what belongs to it, as the expert sees it."""

    review: Review
    panel: Panel
    found: Application
    name: str
    open: bool


def tasks_of(account: Account) -> list[Task]:
    """Everything that lies with the expert, open ones first."""
    ids = [one.id for one in rows_for(account)]
    query = (
        select(Review).where(Review.expert_id.in_(ids), Review.state.in_(LIVE)).order_by(Review.created_at, Review.id)
    )
    found = [_task(one) for one in db.session.scalars(query)]
    return sorted(found, key=lambda one: (one.review.state != "open", not one.open))


def task(account: Account, review_id: uuid.UUID) -> Task:
    """One of the expert's own reviews; NotFound for every other, and for what he declined or what was taken back."""
    review = db.session.get(Review, review_id)
    mine = {one.id for one in rows_for(account)} if may(account, EXPERT) else set()
    if review is None or review.expert_id not in mine or review.state not in LIVE:
        raise NotFound("review", _l("没有这项评审，或者已经不归您评。"), remedy=_l("请回到“评审任务”。"))
    return _task(review)


def _task(review: Review) -> Task:
    row, found = db.session.get_one(Panel, review.panel_id), db.session.get_one(Application, review.application_id)
    return Task(review, row, found, db.session.get_one(Organisation, found.school_id).name, waits(row, found))


@dataclass(frozen=True)
class Kept:
    """What a save left: its edition, the sum (None while an item is missing), what could not be read."""

    edition: int
    total: float | None
    problems: tuple[str, ...]


def save(account: Account, review_id: uuid.UUID, given: Mapping[str, str], *, hand_in: bool = False) -> Kept:
    """Keep points and words; what cannot be read is named and the rest kept. ``hand_in``: raises Invalid until all items are right."""
    with write():
        one = task(account, review_id)
        review = one.review
        db.session.refresh(review, with_for_update=True)
        if review.state == "handed" or not one.open:
            raise Refused(
                "review-closed",
                _l("这份评审已经交了，或申报已经办理，不能再改。"),
                remedy=_l("要改分数，请联系组织评审的部门退回。"),
            )
        scores, problems = dict(review.scores), []
        for item in one.panel.sheet:
            points, why = rules.read_points(item, given.get(f"score.{item['id']}", ""))
            if why:
                problems.append(why)
            else:
                scores[item["id"]] = points
        scores = {item["id"]: scores.get(item["id"]) for item in one.panel.sheet}
        total = rules.total_of(one.panel.sheet, scores)
        if hand_in and (problems or total is None):
            missing = "、".join(item["name"] for item in one.panel.sheet if scores.get(item["id"]) is None)
            raise Invalid(
                "scores",
                _l("还不能提交：%(why)s。", why="；".join(problems) or f"还没有打分：{missing}"),
                where="scores",
                problems=problems,
            )
        review.scores, review.comment, review.source = scores, given.get("comment", "")[:LONGEST], "page"
        review.edition += 1
        if hand_in:
            _hand_in(account, review, total)
    return Kept(review.edition, total, tuple(problems))


def _hand_in(actor: Account, review: Review, total: float | None) -> None:
    review.state, review.handed_at = "handed", clock.now()
    audit(
        actor, "hand-in-scores", "review", review.id, school_id=review.school_id, application=str(review.application_id),
        total=total, scores=review.scores, source=review.source,
    )  # fmt: skip
    row = db.session.get_one(Panel, review.panel_id)
    states = db.session.scalars(select(Review.state).where(Review.panel_id == row.id, Review.state.in_(LIVE))).all()
    if "open" not in states:
        matter = notices.Matter(
            f"panel/{row.id}/complete/{len(states)}",
            str(_l("专家评分已经交齐")),
            "",
            f"/programmes/selection/panels/{row.id}/ranking",
        )
        notices.tell(row.school_id, notices.holders(row.school_id, "officer"), matter)


def decline(account: Account, review_id: uuid.UUID, reason: str) -> None:
    """An expert declines because of a conflict of interest (回避), until the office has decided.

    What he had written is taken out; what he had handed in is kept, marked and counted no more.
    """
    if not reason.strip():
        raise Invalid("reason", _l("请写明回避的理由，例如：曾任该校校长。"), where="reason")
    with write():
        one = task(account, review_id)
        lock(one.panel.school_id)
        db.session.refresh(one.found)
        db.session.refresh(one.review, with_for_update=True)
        if decided(one.panel, one.found):
            raise Refused(
                "decided",
                _l("这份申报已经办理，现在不能在系统里回避。"),
                remedy=_l("请书面告知组织评审的部门，由它处理。"),
            )
        late = one.review.state == "handed"
        one.review.state, one.review.reason = "recused", reason.strip()[:400]
        if not late:
            one.review.scores, one.review.comment = {}, ""
        audit(
            account,
            "decline-review",
            "review",
            review_id,
            school_id=one.review.school_id,
            application=str(one.found.id),
            after_handing_in=late,
        )
        officers = notices.holders(one.review.school_id, "officer")
        title = str(_l("有专家申请回避，请另行分配"))
        notices.tell(
            one.review.school_id,
            officers,
            notices.Matter(
                f"review/{review_id}/declined", title, one.name, f"/programmes/selection/panels/{one.panel.id}"
            ),
        )


# ---- by Excel


def sheet_for(actor: Account, panel_id: uuid.UUID, expert_id: uuid.UUID) -> tuple[str, bytes]:
    """The score sheet of one expert as Excel: a row an application, a column an item; name and bytes."""
    return sheet_of(panel(actor, panel_id), expert_here(actor, expert_id))


def sheet_of(row: Panel, expert: Expert) -> tuple[str, bytes]:
    """As :func:`sheet_for`; its caller has made sure who asks."""
    return f"评分表（{expert.name}）.xlsx", _sheet(row, expert)


def own_sheet(account: Account, panel_id: uuid.UUID) -> tuple[str, bytes]:
    """As :func:`sheet_for`, for the expert who is signed in."""
    row = db.session.get(Panel, panel_id)
    expert = next((one for one in rows_for(account) if row is not None and one.school_id == row.school_id), None)
    if row is None or expert is None or not _reviews(row, expert):
        raise NotFound("panel", _l("没有这个评审。"))
    return sheet_of(row, expert)


def _reviews(row: Panel, expert: Expert) -> list[Review]:
    query = select(Review).where(Review.panel_id == row.id, Review.expert_id == expert.id, Review.state.in_(LIVE))
    return list(db.session.scalars(query.order_by(Review.created_at, Review.id)))


def _sheet(row: Panel, expert: Expert) -> bytes:
    book = Workbook()
    items = [f"{one['name']}（0–{one['most']}）" for one in row.sheet]
    lines = []
    for number, review in enumerate(_reviews(row, expert), 1):
        one = _task(review)
        points = [review.scores.get(item["id"]) for item in row.sheet]
        lines.append(
            [review.id.hex, number, one.name, *["" if value is None else value for value in points], review.comment]
        )
    notes = [
        f"专家：{expert.name}　满分 {rules.most_of(row.sheet)}　{'本级自定评分表' if row.own else '通知规定的评分表'}"
    ]
    notes += ["说明：请只填分数（最多一位小数）和评语；不要改动编号、列名，不要增删行。"]
    notes += [f"{item['name']}：{item['hint']}" for item in row.sheet if item.get("hint")]
    book.sheet("评分表", "评分表", notes, [*HEAD, *items, COMMENT], lines, [34, 6, 26, *[14] * len(items), 50])
    return book.saved()


@dataclass(frozen=True)
class Row:
    """A row of the sheet that came back: what it would do. ``state``: ok | same | problem | skip."""

    number: int
    name: str
    state: str
    text: str
    review: Review | None = None
    scores: Mapping[str, float] | None = None
    comment: str = ""
    total: float | None = None


def read_sheet(actor: Account, panel_id: uuid.UUID, expert_id: uuid.UUID, data: bytes, file_name: str) -> list[Row]:
    """What a filled sheet would do, row by row; nothing is written. Raises Invalid for what is no sheet of this panel."""
    row, expert = panel(actor, panel_id), expert_here(actor, expert_id)
    wanted = [*HEAD, *[f"{one['name']}（0–{one['most']}）" for one in row.sheet], COMMENT]
    for _title, rows in rows_of(data, file_name):
        head = next((number for number, cells in enumerate(rows) if cells and cells[0].strip() == CODE), None)
        if head is None:
            continue
        given = [one.strip() for one in rows[head]]
        absent = [one for one in wanted if one not in given]
        if absent:
            raise Invalid(
                "sheet-columns", _l("表里没有这些列：%(names)s。", names="、".join(absent)),
                remedy=_l("请重新下载评分表，把分数填进去；列名不能改。评分表改过以后，旧表作废。"), where=file_name,
            )  # fmt: skip
        places = {one: given.index(one) for one in wanted}
        known = {review.id.hex: review for review in _reviews(row, expert)}
        seen: set[str] = set()
        lines = [
            _line(row, number, cells, places, known, seen)
            for number, cells in enumerate(rows[head + 1 :], head + 2)
            if any(cells)
        ]
        lines += [Row(0, _task(known[one]).name, "skip", "表里没有这份申报") for one in known if one not in seen]
        return lines
    raise Invalid("sheet", _l("这个文件里没有评分表。"), remedy=_l("请上传从这里下载、填好的评分表。"), where=file_name)


def _line(
    row: Panel, number: int, cells: list[str], places: Mapping[str, int], known: Mapping[str, Review], seen: set[str]
) -> Row:
    def cell(name: str) -> str:
        return cells[places[name]].strip() if places[name] < len(cells) else ""

    code, name = cell(CODE), cell("申报单位")
    review = known.get(code)
    if review is None:
        return Row(number, name, "problem", "编号不对，或这份申报没有分给这位专家")
    if code in seen:
        return Row(number, name, "problem", "同一份申报出现了两次")
    seen.add(code)
    one = _task(review)
    if name != one.name:
        return Row(number, name, "problem", f"编号是“{one.name}”的，申报单位却写着“{name}”：可能错行")
    scores: dict[str, float] = {}
    problems = []
    for item in row.sheet:
        points, why = rules.read_points(item, cell(f"{item['name']}（0–{item['most']}）"))
        if why:
            problems.append(why)
        elif points is not None:
            scores[item["id"]] = points
    missing = [item["name"] for item in row.sheet if item["id"] not in scores]
    if not scores and not problems:
        return Row(number, name, "skip", "没有打分")
    if problems or missing:
        return Row(
            number,
            name,
            "problem",
            "；".join([*problems, *([f"还没有打分：{'、'.join(missing)}"] if missing and not problems else [])]),
        )
    comment, total = cell(COMMENT)[:LONGEST], rules.total_of(row.sheet, scores)
    if review.state == "handed":
        same = dict(review.scores) == scores and review.comment == comment
        return Row(
            number,
            name,
            "same" if same else "problem",
            "与已交的相同" if same else "已经交过，分数不同：请先退回再导入",
        )
    if not one.open:
        return Row(number, name, "problem", "这份申报已经办理，不再评审")
    return Row(number, name, "ok", "可以导入", review, scores, comment, total)


def take_in(actor: Account, panel_id: uuid.UUID, expert_id: uuid.UUID, data: bytes, file_name: str) -> int:
    """Write the rows that a dry run found right and hand them in; all at once. Raises Invalid while a row is wrong. Returns how many."""
    with write():
        rows = read_sheet(actor, panel_id, expert_id, data, file_name)
        wrong = [one for one in rows if one.state == "problem"]
        if wrong:
            raise Invalid(
                "sheet-rows",
                _l("第 %(number)s 行：%(why)s。没有导入。", number=wrong[0].number, why=wrong[0].text),
                where=file_name,
            )
        good = [one for one in rows if one.state == "ok"]
        for one in good:
            assert one.review is not None and one.scores is not None
            review = one.review
            review.scores, review.comment, review.source = dict(one.scores), one.comment, "excel"
            review.edition += 1
            _hand_in(actor, review, one.total)
    return len(good)


def scores_of(row: Panel, review: Review) -> list[tuple[str, Any]]:
    """Item and points, in the order of the sheet."""
    return [(item["name"], review.scores.get(item["id"])) for item in row.sheet]
