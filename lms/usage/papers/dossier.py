"""The term's supporting documents as one zip (佐证材料): folders numbered by indicator and a Word table of contents (目录)."""

from __future__ import annotations

import tempfile
import uuid
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock, paper, word
from lms.core.db import db
from lms.courses.models import CatalogueUnit
from lms.roster.models import Room, School, Term
from lms.usage import policies
from lms.usage.evidence.packing import write_pack
from lms.usage.export import workbook_of
from lms.usage.judging.gathering import facts_of, term_for
from lms.usage.papers import files
from lms.usage.papers.sheets import TITLES, Kind, months, sheet
from lms.usage.rulebook.service import rules_for
from lms.usage.speech import say


@dataclass(frozen=True)
class Paper:
    """One file of the folder; ``clause``: the demand that it supports."""

    indicator: int
    clause: str
    title: str
    name: str
    data: bytes


INDICATORS = {1: _l("开课频次"), 2: _l("实验室使用"), 3: _l("证据与核验")}
HOW_TO_VERIFY = _l(
    "1. 解压“证据包.zip”。2. 在装有 Python 3.9 以上和 cryptography 的任何一台电脑上运行：python verify.py 证据包.zip。"
    "3. 程序逐环核对证据链、每日根、签名和锚定，给出“完整”或第一处断裂。它不联网，也不需要本系统。"
    "4. 证据包里只有人数和化名，没有姓名；要看姓名请到学校现场。"
)


def dossier_of(school: School, today: date, *, simulated: bool) -> tuple[str, bytes]:
    """Name and bytes of the zip for the term of ``today``. Raises Refused (``no-term``, ``no-stage``)."""
    papers = list(_papers(school, today, simulated=simulated))
    top = _("佐证材料") + f"-{school.organisation.name}-{today.isoformat()}"
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as folder:
        folder.writestr(f"{top}/00 {_('目录')}.docx", _contents(school, today, papers, simulated=simulated))
        for number, each in _numbered(papers):
            folder.writestr(f"{top}/{_folder(each.indicator)}/{number} {each.name}", each.data)
    return f"{top}.zip", stream.getvalue()


def _folder(indicator: int) -> str:
    return f"{indicator:02d} {INDICATORS[indicator]}"


def _numbered(papers: list[Paper]) -> Iterable[tuple[str, Paper]]:
    counts: dict[int, int] = {}
    for each in papers:
        counts[each.indicator] = counts.get(each.indicator, 0) + 1
        yield f"{each.indicator:02d}-{counts[each.indicator]}", each


def _papers(school: School, today: date, *, simulated: bool) -> Iterable[Paper]:
    term = term_for(school.id, today)
    facts = facts_of(school.id, today)
    units = {
        unit.code: unit.title
        for unit in db.session.scalars(select(CatalogueUnit).where(CatalogueUnit.school_id == school.id))
    }
    results = [policies.evaluate(facts, rule) for rule in rules_for(school.id, facts.judged_on, "lessons")]
    book = workbook_of(school.organisation.name, results, None, units, say, simulated=simulated)
    stream = BytesIO()
    book.save(stream)
    yield Paper(1, "GS-18", _("开课判定（各规则、各班、各课次）"), _("开课判定") + ".xlsx", stream.getvalue())
    wanted = [month for month in reversed(months(school.id)) if term.starts_on.replace(day=1) <= month <= term.ends_on]
    yield from _sheets("GS-18", school.id, 1, "ledger", wanted, None, simulated=simulated)
    for room in db.session.scalars(select(Room).where(Room.school_id == school.id).order_by(Room.code)):
        yield from _sheets("HN-19", school.id, 2, "lab-log", wanted, room, simulated=simulated)
    yield from _evidence(school, term)


def _sheets(
    clause: str,
    school_id: uuid.UUID,
    indicator: int,
    kind: Kind,
    wanted: list[date],
    room: Room | None,
    *,
    simulated: bool,
) -> Iterable[Paper]:
    """The sheets of all months as one PDF to sign, else (no Pango here) as a workbook a month."""
    found = [one for month in wanted if (one := sheet(school_id, kind, month, room=room.id if room else None)).lines]
    if not found:
        return
    title = str(TITLES[kind]) + (f"（{room.name}）" if room else "")
    if paper.can_print():
        yield Paper(indicator, clause, title, f"{title}.pdf", files.as_pdf(*found))
        return
    for one in found:
        name = f"{title} {one.month:%Y-%m}"
        yield Paper(indicator, clause, name, f"{name}.xlsx", files.as_xlsx(one, simulated=simulated))


def _evidence(school: School, term: Term) -> Iterable[Paper]:
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "pack.zip"
        write_pack(school.id, term, pack, clock.now())
        yield Paper(3, "B10", _("证据包（人数与化名，无姓名）"), _("证据包") + ".zip", pack.read_bytes())
    yield Paper(
        3,
        "B10",
        _("离线校验程序"),
        "verify.py",
        resources.files("lms.usage.verifier").joinpath("verify.py").read_bytes(),
    )
    yield Paper(
        3, "B10", _("怎样核验"), _("怎样核验") + ".txt", str(HOW_TO_VERIFY).replace("。", "。\r\n").encode("utf-8-sig")
    )


def _contents(school: School, today: date, papers: list[Paper], *, simulated: bool) -> bytes:
    document: Any = word.new_paper()
    word.write_title(document, _("%(school)s人工智能课程佐证材料目录", school=school.organisation.name))
    if simulated:
        word.write_line(document, _("示范数据：数据与设备均为模拟，不作为开课证明。"), word.HEI)
    rows = [
        [
            number,
            str(INDICATORS[each.indicator]),
            each.clause,
            each.title,
            f"{_folder(each.indicator)}/{number} {each.name}",
        ]
        for number, each in _numbered(papers)
    ]
    word.write_table(document, [_("编号"), _("指标"), _("条款"), _("材料"), _("文件")], rows, (14, 26, 18, 46, 52))
    word.write_line(document, "")
    word.write_line(
        document, _("由智课按系统数据生成于 %(day)s；须经学校核对、签字、盖章后使用。", day=today.isoformat())
    )
    return word.saved(document)
